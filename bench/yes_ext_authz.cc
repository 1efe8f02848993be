// An ext_authz server that says yes to everything, as fast as ours can: what bench/envoy.py holds
// the validator against. It does not even parse what it is asked.
//
//   yes_ext_authz unix:/path
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "base/secret.h"
#include "envoy/service/auth/v3/external_auth.grpc.pb.h"
#include "net/grpc_host.h"
#include "net/reactor.h"
#include "net/wire.h"

namespace tollgate::bench {
namespace {

using envoy::service::auth::v3::Authorization;
using envoy::service::auth::v3::CheckResponse;
using BytesCall = net::UnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>;

class Yes final : public Authorization::WithRawCallbackMethod_Check<Authorization::Service> {
 public:
  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return BytesCall::Serve(context, request, response, [](std::shared_ptr<BytesCall> call) {
      CheckResponse yes;
      yes.mutable_status()->set_code(0);
      yes.mutable_ok_response();
      call->Reply(net::ToByteBuffer(yes));
    });
  }
};

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "yes_ext_authz ADDRESS\n");
    return 2;
  }
  base::InitSecrets();
  Yes yes;
  net::GrpcHost::Options options;
  options.listen = {argv[1]};
  absl::StatusOr<std::unique_ptr<net::GrpcHost>> host = net::GrpcHost::Bind(std::move(options));
  absl::Status good = host.status();
  if (good.ok()) {
    (*host)->AddService("envoy.service.auth.v3.Authorization", &yes);
    good = (*host)->Build();
  }
  if (good.ok()) good = (*host)->Accept();
  if (!good.ok()) {
    std::fprintf(stderr, "yes_ext_authz: %s\n", good.ToString().c_str());
    return 1;
  }
  std::printf("ready\n");
  std::fflush(stdout);
  std::getchar();  // until whoever started it is done
  return 0;
}

}  // namespace
}  // namespace tollgate::bench

int main(int argc, char** argv) { return tollgate::bench::Main(argc, argv); }
