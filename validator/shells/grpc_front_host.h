// A gRPC server that is being built, as fronts see it.
#ifndef TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_
#define TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_

#include <grpcpp/server_builder.h>

#include <string>
#include <vector>

#include "validator/fronts/front.h"

namespace tollgate {

class GrpcFrontHost final : public FrontHost {
 public:
  // `builder` is used while fronts register themselves.
  explicit GrpcFrontHost(grpc::ServerBuilder* builder) : builder_(*builder) {}

  void AddGrpcService(grpc::Service* service, const std::string& health_name) override {
    builder_.RegisterService(service);
    health_names_.push_back(health_name);
  }
  // The services whose health is to be told.
  const std::vector<std::string>& health_names() const { return health_names_; }

 private:
  grpc::ServerBuilder& builder_;
  std::vector<std::string> health_names_;
};

}  // namespace tollgate

#endif  // TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_
