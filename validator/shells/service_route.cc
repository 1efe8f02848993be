#include "validator/shells/service_route.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"

namespace tollgate::validator {

absl::StatusOr<ServiceRoute> ServiceRoute::For(const EdgeOptions& options,
                                               const RouteWords& words) {
  ServiceRoute route;
  net::Peer& peer = route.peer_;
  ASSIGN_OR_RETURN(peer.target.address, net::ParseAddress(options.service));
  const net::TlsFiles tls{options.service_cert, options.service_key, options.service_ca};
  const bool use_tls = options.service_tls || !tls.empty();
  // Whoever stands between an edge and its service could have anything admitted.
  if (!use_tls && !options.allow_plaintext && !peer.target.address.IsLoopback()) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "PLAINTEXT_REFUSED",
                        absl::StrCat("refusing to follow ", route.service(),
                                     " in plaintext: it is on another host.", words.ways_out));
  }
  peer.target.tls = tls;
  peer.target.use_tls = use_tls;
  peer.target.server = {options.service_spiffe_id, options.service_host_name};
  ASSIGN_OR_RETURN(peer.credentials, net::ClientCredentialsFor(tls, use_tls, peer.target.server));
  peer.words.address = peer.target.address;
  peer.words.peer = "the service";
  peer.words.asker = "this validator";
  peer.words.usually = "localhost:7411, or unix:/run/tollgate/service.sock";
  peer.words.address_option = words.address;
  peer.words.trust_option = words.trust;
  peer.words.certificate_options = words.certificate;
  peer.words.name_option = words.name;
  peer.words.health_name = "tollgate.v1.EdgeService";
  peer.words.kin = {{.health_name = "tollgate.v1.ValidationService",
                     .reason = "IS_A_VALIDATOR",
                     .what = "a validator"}};
  // A flood of questions must not stand before a ping: each channel has its own connection.
  route.channel_.own_connection = true;
  route.channel_.max_reconnect_backoff = options.longest_backoff;
  // A connection whose bytes vanish must be found and replaced well inside a lease, also by the
  // questions, which have no pings of their own. Not below the service's
  // ServerLimits::min_ping_interval.
  route.channel_.keepalive_time = absl::Seconds(11);
  route.channel_.keepalive_timeout = absl::Seconds(4);
  return route;
}

std::shared_ptr<grpc::Channel> ServiceRoute::NewChannel() const {
  return net::MakeChannel(peer_.target.address, peer_.credentials, channel_);
}

}  // namespace tollgate::validator
