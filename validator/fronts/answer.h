// What a decision means in HTTP: the one place that turns a reason into an HTTP status, an RFC 6750
// error code and headers. Pure.
#ifndef TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_
#define TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/policy.h"
#include "token/grant.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/decision.h"

namespace tollgate::validator {

// The parts of an answer. They tell a stranger no more than RFC 6750 does.
struct Answer {
  // 200, 400, 401, 403, 404 or 503.
  int status = 503;
  // Stable, for programs: "REVOKED", "NO_LEASE", "PATH_AMBIGUOUS" (docs/errors.md). Empty when
  // admitted.
  absl::string_view reason;
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
// answer is 503. Realm and resource_metadata of `words` go into every challenge; empty: neither.
Answer AnswerTo(tollgate::v1::VerdictReason reason, absl::Duration retry_after,
                const token::Requirement& requirement, const policy::Words& words);
Answer AnswerTo(const Decision& decision, const token::Requirement& requirement,
                const policy::Words& words);

// The answer to a request that the policy refuses whatever token it presents (kRefused): 403 and
// 404 as they are; everything else is 400 `invalid_request`. The views are the judgement's.
Answer AnswerToRefused(const policy::Judgement& judgement, const policy::Words& words);

// The verdict of a reason: ADMIT, DENY, or UNAVAILABLE where something prevents an answer.
tollgate::v1::Verdict VerdictOf(tollgate::v1::VerdictReason reason);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_ANSWER_H_
