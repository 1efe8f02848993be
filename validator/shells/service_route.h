// How an edge reaches the service.
#ifndef TOLLGATE_VALIDATOR_SHELLS_SERVICE_ROUTE_H_
#define TOLLGATE_VALIDATOR_SHELLS_SERVICE_ROUTE_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "net/address.h"
#include "net/credentials.h"
#include "net/diagnosis.h"
#include "validator/shells/edge_options.h"

namespace tollgate::validator {

// How an edge's options are called where they are set: by flags, or by a host's program.
struct RouteWords {
  std::string ways_out;  // of plaintext; ends a message
  std::string address;   // "--service"
  std::string trust;     // "--service-ca FILE"
  std::string certificate;
  std::string name;
};

// Where the service is, with which credentials it is spoken to, and how a connection to it behaves.
// A value; thread-safe.
class ServiceRoute {
 public:
  // Errors, by reason: ADDRESS_INVALID; PLAINTEXT_REFUSED, whose message ends with the ways out;
  // TLS_FILES_INVALID. Whatever is refused is refused before gRPC is touched.
  static absl::StatusOr<ServiceRoute> For(const EdgeOptions& options, const RouteWords& words);

  // A channel with a connection of its own; it connects when it is first used. Never null.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  // The service's address, for logs.
  std::string service() const { return peer_.target.address.ToString(); }
  // What keeps the service from being reached, where a stream ended so. Blocks for about a second.
  net::ReachFault Look(const absl::Status& ended, const net::Interruption& stop) const {
    return net::Diagnose(peer_, ended, net::kDiagnosisLimit, &stop);
  }

 private:
  ServiceRoute() = default;

  net::Peer peer_;
  net::ChannelOptions channel_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_SERVICE_ROUTE_H_
