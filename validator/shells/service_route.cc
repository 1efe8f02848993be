#include "validator/shells/service_route.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"

namespace tollgate::validator {

absl::StatusOr<ServiceRoute> ServiceRoute::For(const EdgeOptions& options,
                                               absl::string_view ways_out) {
  ServiceRoute route;
  ASSIGN_OR_RETURN(route.address_, net::ParseAddress(options.service));
  const net::TlsFiles tls{options.service_cert, options.service_key, options.service_ca};
  const bool use_tls = options.service_tls || !tls.empty();
  // Whoever stands between an edge and its service could have anything admitted.
  if (!use_tls && !options.allow_plaintext && !route.address_.IsLoopback()) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "PLAINTEXT_REFUSED",
                        absl::StrCat("refusing to follow ", route.service(),
                                     " in plaintext: it is on another host.", ways_out));
  }
  ASSIGN_OR_RETURN(
      route.credentials_,
      net::ClientCredentialsFor(
          tls, use_tls, net::ServerIdentity{options.service_spiffe_id, options.service_host_name}));
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
  return net::MakeChannel(address_, credentials_, channel_);
}

}  // namespace tollgate::validator
