// What all fronts for proxies share: a request, judged by the policy and the edge, and the answer
// in HTTP's words. A front only reads its protocol and writes it.
#ifndef TOLLGATE_VALIDATOR_FRONTS_GATE_H_
#define TOLLGATE_VALIDATOR_FRONTS_GATE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/random.h"
#include "policy/policy.h"
#include "token/grant.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/decision.h"
#include "validator/fronts/answer.h"
#include "validator/fronts/answer_id.h"
#include "validator/fronts/front.h"

namespace tollgate::validator {

class Validator;

// The answer to one request of a proxy.
struct GateAnswer {
  using Headers = std::vector<std::pair<std::string, std::string>>;

  bool passes = false;
  // 200; 400, 401, 403, 404 or 503. 500: the proxy itself is set up wrongly.
  int status = 503;
  // What was decided; UNSPECIFIED where the request was refused before there was a decision.
  tollgate::v1::Verdict verdict = tollgate::v1::VERDICT_UNSPECIFIED;
  // Stable, UPPER_SNAKE: of the refusal (docs/errors.md). Empty when it passes.
  std::string reason;
  // Whoever speaks, where the token may be named (Decision::ReadIdentity); else empty.
  tollgate::v1::Identity identity;

  // When it passes. To the service behind: set these, over what the client sent; drop those.
  Headers upstream_headers;
  std::vector<std::string> drop_headers;  // lower case; none that is set
  std::vector<std::string> drop_query;    // names of query parameters
  // To the client, whether it passes or not: Cache-Control, WWW-Authenticate, Retry-After,
  // Tollgate-Token-Expires, Sunset, and the answer's id.
  Headers client_headers;
  // When it does not pass: application/problem+json (RFC 9457), below 1 KiB.
  std::string body;
};

// The policy in force. Thread-safe.
class PolicySource {
 public:
  virtual ~PolicySource() = default;
  // Never null.
  virtual std::shared_ptr<const policy::Policy> Current() const = 0;
};

// Counts an answer of a front: what was refused before a decision as refused.
void CountAnswer(const GateAnswer& answer, FrontCounts* counts);

// Thread-safe.
class Gate {
 public:
  using Callback = std::function<void(const GateAnswer&)>;

  // All outlive it, and every callback. `random` is drawn from once.
  Gate(Validator* validator, const PolicySource* policies,
       base::Random& random = base::SystemRandom());

  // Calls back once: before it returns where the edge's memory knows the answer, else later, on a
  // thread of the validator. `request` is read before it calls back, or returns; nothing of the
  // credential is kept but its digest (I6). An open route passes without a lease.
  void Ask(const policy::Request& request, Callback callback);

  // A refusal of the front's own: `status` is 400 or above. `reason` is stable (docs/errors.md);
  // `words` hold nothing of the request.
  GateAnswer Reject(int status, absl::string_view reason, absl::string_view words) const;

 private:
  GateAnswer Refuse(const Answer& words) const;
  GateAnswer Decided(const policy::Policy& policy, const policy::Judgement& judgement,
                     const Decision& decision) const;
  GateAnswer Pass(const policy::Policy& policy, const policy::Judgement& judgement,
                  const token::GrantView* grant) const;
  // Cache-Control, and the answer's id. Returns the id.
  std::string Sign(GateAnswer* answer) const;

  Validator* const validator_;
  const PolicySource* const policies_;
  mutable AnswerIds ids_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_GATE_H_
