// How an edge reaches the service.
#ifndef TOLLGATE_VALIDATOR_SHELLS_SERVICE_ROUTE_H_
#define TOLLGATE_VALIDATOR_SHELLS_SERVICE_ROUTE_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "net/address.h"
#include "net/credentials.h"
#include "validator/shells/edge_options.h"

namespace tollgate::validator {

// Where the service is, with which credentials it is spoken to, and how a connection to it behaves.
// A value; thread-safe.
class ServiceRoute {
 public:
  // Errors, by reason: ADDRESS_INVALID; PLAINTEXT_REFUSED, whose message ends with `ways_out`: what
  // to set instead; TLS_FILES_INVALID. Whatever is refused is refused before gRPC is touched.
  static absl::StatusOr<ServiceRoute> For(const EdgeOptions& options, absl::string_view ways_out);

  // A channel with a connection of its own; it connects when it is first used. Never null.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  // The service's address, for logs.
  std::string service() const { return address_.ToString(); }

 private:
  ServiceRoute() = default;

  net::Address address_;
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  net::ChannelOptions channel_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_SERVICE_ROUTE_H_
