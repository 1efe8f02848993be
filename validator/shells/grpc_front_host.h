// Lets fronts register what they serve on hosts that are not built yet.
#ifndef TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_
#define TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_

#include <memory>
#include <string>
#include <vector>

#include "net/grpc_host.h"
#include "net/http_host.h"
#include "validator/fronts/front.h"

namespace tollgate::validator {

class GrpcFrontHost final : public FrontHost {
 public:
  // None of them is built yet; they are used only while fronts register themselves.
  GrpcFrontHost(net::GrpcHost* host, const std::vector<std::unique_ptr<net::HttpHost>>* http)
      : host_(*host), http_(*http) {}

  void AddGrpcService(grpc::Service* service, const std::string& health_name) override {
    host_.AddService(health_name, service);
  }
  void AddHttpHandler(const std::string& path, const net::HttpHandler& handler) override {
    for (const auto& host : http_) host->Handle(path, {}, handler);
  }

 private:
  net::GrpcHost& host_;
  const std::vector<std::unique_ptr<net::HttpHost>>& http_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_GRPC_FRONT_HOST_H_
