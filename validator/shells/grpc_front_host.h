// Lets fronts register their services on a gRPC server that is not built yet.
#ifndef TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_
#define TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_

#include <string>

#include "net/grpc_host.h"
#include "validator/fronts/front.h"

namespace tollgate::validator {

class GrpcFrontHost final : public FrontHost {
 public:
  // `host` is not built yet, and is used only while fronts register themselves.
  explicit GrpcFrontHost(net::GrpcHost* host) : host_(*host) {}

  void AddGrpcService(grpc::Service* service, const std::string& health_name) override {
    host_.AddService(health_name, service);
  }

 private:
  net::GrpcHost& host_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_
