// An ext_authz server that says yes to everything, as fast as ours can: what bench/envoy.py holds
// the validator against. It does not even parse what it is asked.
//
//   yes_ext_authz unix:/path
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "base/secret.h"
#include "envoy/service/auth/v3/external_auth.grpc.pb.h"
#include "net/grpc_host.h"
#include "net/reactor.h"
#include "net/wire.h"
#include "validator/fronts/ext_authz_message.h"
#include "validator/fronts/gate.h"

namespace tollgate::bench {
namespace {

using envoy::service::auth::v3::Authorization;
using envoy::service::auth::v3::CheckResponse;
using BytesCall = net::UnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>;

CheckResponse BareYes() {
  CheckResponse yes;
  yes.mutable_status()->set_code(0);
  yes.mutable_ok_response();
  return yes;
}

CheckResponse SameAnswer() {
  validator::GateAnswer answer;
  answer.passes = true;
  answer.status = 200;
  answer.identity.set_token("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  answer.identity.set_workspace("acme");
  answer.identity.add_scopes("items:read");
  answer.upstream_headers = {{"x-tollgate-workspace", "acme"},
                             {"x-tollgate-token", "4mXp81QzR0aYc7Ld"},
                             {"x-tollgate-owner", ""},
                             {"x-tollgate-scopes", "items:read"},
                             {"x-tollgate-expires", ""}};
  answer.drop_headers = {"authorization"};
  answer.client_headers = {{"Cache-Control", "no-store"},
                           {"Tollgate-Decision", "7b0f1d2c3b4a59687f6e5d4c3b2a1908"}};
  CheckResponse same;
  same.ParseFromString(validator::WriteCheckResponse(answer, /*grpc=*/false));
  return same;
}

class Yes final : public Authorization::WithRawCallbackMethod_Check<Authorization::Service> {
 public:
  explicit Yes(const CheckResponse& answer)
      : bytes_(std::make_shared<const std::string>(answer.SerializeAsString())) {}

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return BytesCall::Serve(context, request, response, [this](std::shared_ptr<BytesCall> call) {
      call->Reply(net::ToByteBuffer(bytes_));
    });
  }

 private:
  const std::shared_ptr<const std::string> bytes_;
};

int Main(int argc, char** argv) {
  const bool same = argc == 3 && std::strcmp(argv[2], "same") == 0;
  if (argc != 2 && !same) {
    std::fprintf(stderr, "yes_ext_authz ADDRESS [same]\n");
    return 2;
  }
  base::InitSecrets();
  Yes yes(same ? SameAnswer() : BareYes());
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
