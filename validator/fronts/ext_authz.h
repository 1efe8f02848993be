// The front for Envoy, and for whatever asks as it does (Istio, Contour, the Gateway API's GRPC
// form): envoy.service.auth.v3.Authorization over gRPC.
#ifndef TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_H_
#define TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "envoy/service/auth/v3/external_auth.grpc.pb.h"
#include "validator/fronts/front.h"
#include "validator/fronts/gate.h"

namespace tollgate::validator {

// Longer requests are refused before they are parsed. Envoy lets 60 KiB of headers in, unless told
// otherwise.
inline constexpr size_t kMostCheckBytes = size_t{1} << 20;

// Answers every call with a CheckResponse and status OK. Whatever keeps it from a decision (a
// request that cannot be read, a service that does not answer in time) is a denial with 503: a
// failed call would be the proxy's to judge, and `failure_mode_allow` lets it pass. It answers
// before the proxy's own time is up, for the same reason. Thread-safe.
class ExtAuthzFront final
    : public Front,
      public envoy::service::auth::v3::Authorization::WithRawCallbackMethod_Check<
          envoy::service::auth::v3::Authorization::Service> {
 public:
  // `gate` outlives the server's calls.
  explicit ExtAuthzFront(Gate* gate) : gate_(*gate) {}

  absl::string_view name() const override { return "ext_authz"; }
  void RegisterOn(FrontHost* host) override;

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;

 private:
  Gate& gate_;
};

// How long a question may take whose asker waits for `patience` more: a fifth less, at most a
// second, so that the answer is there first on a busy machine, too.
absl::Duration TimeToAnswer(absl::Duration patience);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_H_
