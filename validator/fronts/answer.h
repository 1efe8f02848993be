// What a decision means in the field's words: the one place that turns a reason into an HTTP
// status, an RFC 6750 error code and headers. Pure.
#ifndef TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_
#define TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "token/grant.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/decision.h"

namespace tollgate::validator {

// Says no more to a stranger than RFC 6750 would.
struct Answer {
  // 200, 400, 401, 403 or 503.
  int status = 503;
  // RFC 6750, 3.1: `invalid_request`, `invalid_token`, `insufficient_scope`; empty: none.
  absl::string_view error;
  // For logs and people; empty when admitted.
  absl::string_view description;
  // With 503: when to try again; rounded up to whole seconds, it is the header Retry-After.
  absl::Duration retry_after;
  // The value of the header WWW-Authenticate: with 400, 401 and 403; else empty.
  std::string challenge;
};

// The answer to a decision on `requirement`. I7: `invalid_token` is said only on proof (a final or
// suspended state, a bad form, or unknown to the store), since clients throw a token away on it; an
// audience or a scope that is missing is no fault of the token, and what prevents an answer is 503.
// `realm` goes into the challenge; empty: none.
Answer AnswerTo(tollgate::v1::VerdictReason reason, absl::Duration retry_after,
                const token::Requirement& requirement, absl::string_view realm);
Answer AnswerTo(const Decision& decision, const token::Requirement& requirement,
                absl::string_view realm);

// The answer to a request that cannot be read, such as one that presents a token twice: 400
// `invalid_request`. `description` outlives the answer.
Answer AnswerToBadRequest(absl::string_view description, absl::string_view realm);

// A reason as verdicts have it: ADMIT, DENY, or UNAVAILABLE for what prevents an answer.
tollgate::v1::Verdict VerdictOf(tollgate::v1::VerdictReason reason);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_
