// EdgeService, the validators' API, on the wire. The hub decides what is said.
#ifndef TOLLGATE_SERVICE_RPC_EDGE_SERVICE_H_
#define TOLLGATE_SERVICE_RPC_EDGE_SERVICE_H_

#include <memory>

#include "grpcpp/support/byte_buffer.h"
#include "service/rpc/rpc_call.h"
#include "service/rpc/rpc_deps.h"
#include "tollgate/v1/edge_service.grpc.pb.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// Thread-safe. Both methods take bytes: Follow, so that an event is serialised once for all
// streams; Resolve, so that it can answer bad input with the usual errors.
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
