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
#include "policy/policy.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::validator {

class Validator;

// The answer to one request of a proxy.
struct GateAnswer {
  using Headers = std::vector<std::pair<std::string, std::string>>;

  bool passes = false;
  // 200; 400, 401, 403, 404 or 503.
  int status = 503;
  // Stable, UPPER_SNAKE: of the refusal (docs/errors.md). Empty when it passes.
  std::string reason;
  // Whoever speaks, where the token may be named (Decision::ReadIdentity); else empty.
  tollgate::v1::Identity identity;

  // When it passes. To the service behind: set these, over what the client sent; drop those.
  Headers upstream_headers;
  std::vector<std::string> drop_headers;  // lower case
  std::vector<std::string> drop_query;    // names of query parameters
  // To the client, whether it passes or not: Cache-Control, WWW-Authenticate, Retry-After,
  // Tollgate-Token-Expires, Sunset, and the answer's id.
  Headers client_headers;
  // When it does not pass: application/problem+json (RFC 9457), below 1 KiB.
  std::string body;

  // What decided, for logs: "route 2 (edge.yaml:14)".
  std::string decided_by;
};

// The policy in force. Thread-safe.
class PolicySource {
 public:
  virtual ~PolicySource() = default;
  // Never null.
  virtual std::shared_ptr<const policy::Policy> Current() const = 0;
};

// Thread-safe.
class Gate {
 public:
  // Both outlive it, and every callback.
  Gate(Validator* validator, const PolicySource* policies)
      : validator_(validator), policies_(policies) {}

  // Calls back once: before it returns where the edge's memory knows the answer, else later, on a
  // thread of the validator. `request` is read before it returns; nothing of the credential is kept
  // but its digest (I6).
  void Ask(const policy::Request& request, std::function<void(const GateAnswer&)> callback);

 private:
  Validator* const validator_;
  const PolicySource* const policies_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_GATE_H_
