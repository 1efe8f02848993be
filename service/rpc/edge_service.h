// EdgeService: what validators speak to. The feed is the hub's; this is its wire.
#ifndef TOLLGATE_SERVICE_RPC_EDGE_SERVICE_H_
#define TOLLGATE_SERVICE_RPC_EDGE_SERVICE_H_

#include <memory>

#include "grpcpp/support/byte_buffer.h"
#include "service/rpc/rpc_call.h"
#include "service/rpc/rpc_deps.h"
#include "tollgate/v1/edge_service.grpc.pb.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// Thread-safe. Both methods take bytes: Follow because the same event goes to every stream without
// being serialised again, Resolve to answer bad input in the house's way.
class EdgeService : public tollgate::v1::EdgeService::WithRawCallbackMethod_Resolve<
                        tollgate::v1::EdgeService::WithRawCallbackMethod_Follow<
                            tollgate::v1::EdgeService::Service>> {
 public:
  // `deps` outlives it.
  explicit EdgeService(const RpcDeps* deps);

  grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Follow(
      grpc::CallbackServerContext* context) override;

 private:
  const RpcDeps* const deps_;
  const Method<tollgate::v1::ResolveRequest, tollgate::v1::ResolveResponse> resolve_;
  MethodMetrics* const follow_metrics_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_EDGE_SERVICE_H_
