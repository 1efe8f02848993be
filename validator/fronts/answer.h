// What a decision means in HTTP: the one place that turns a reason into an HTTP status, an RFC 6750
// error code and headers. Pure.
#ifndef TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_
#define TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "token/grant.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/decision.h"

namespace tollgate::validator {

// The parts of an answer. They tell a stranger no more than RFC 6750 does.
struct Answer {
  // 200, 400, 401, 403 or 503.
  int status = 503;
  // RFC 6750, 3.1: `invalid_request`, `invalid_token`, `insufficient_scope`; empty: none.
  absl::string_view error;
  // For logs and people; empty when admitted.
  absl::string_view description;
  // With 503: when to try again. Rounded up to whole seconds, it is the header Retry-After.
  absl::Duration retry_after;
  // The value of the header WWW-Authenticate, with 400, 401 and 403; otherwise empty.
  std::string challenge;
};

// The answer to a decision on `requirement`. `invalid_token` is said only on proof (a final or
// suspended state, a bad form, or a token unknown to the store), because clients throw a token away
// on it (I7). A missing audience or scope is no fault of the token; anything that prevents an
// answer is 503. `realm` goes into the challenge; empty: none.
Answer AnswerTo(tollgate::v1::VerdictReason reason, absl::Duration retry_after,
                const token::Requirement& requirement, absl::string_view realm);
Answer AnswerTo(const Decision& decision, const token::Requirement& requirement,
                absl::string_view realm);

// The answer to a request that cannot be read, such as one that presents two tokens: 400
// `invalid_request`. `description` outlives the answer.
Answer AnswerToBadRequest(absl::string_view description, absl::string_view realm);

// The verdict of a reason: ADMIT, DENY, or UNAVAILABLE where something prevents an answer.
tollgate::v1::Verdict VerdictOf(tollgate::v1::VerdictReason reason);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_
