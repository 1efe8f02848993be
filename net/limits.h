// A server's limits on its peers: sizes, pings, streams, ages, memory.
#ifndef TOLLGATE_NET_LIMITS_H_
#define TOLLGATE_NET_LIMITS_H_

#include <grpcpp/server_builder.h>

#include <cstddef>

#include "absl/time/time.h"

namespace tollgate::net {

// Each limit is meant to be a flag; the defaults are right for production.
struct ServerLimits {
  int max_receive_bytes = 1 << 20;
  // Of one call. gRPC 1.51 ends the whole connection, and with it everybody else's calls on it,
  // where a call brings more: so this is above what proxies pass on (Envoy: 60 KiB), and what is
  // too much for us is refused call by call (net/reactor.h, CheckMetadata).
  int max_metadata_bytes = 128 << 10;
  // The server's own pings, which find peers that are gone.
  absl::Duration keepalive_time = absl::Seconds(30);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  // The peers' pings: a peer that pings more often gets GOAWAY `too_many_pings`. gRPC's default of
  // 5 minutes would cut every client that looks after its connection.
  absl::Duration min_ping_interval = absl::Seconds(10);
  // Streams on one connection at once.
  int max_concurrent_streams = 1024;
  // Bounds how long a connection outlives its certificate's CA or a change of replicas. The grace
  // is longer than the life of a feed stream, so that streams end by themselves first. Zero: no
  // limit.
  absl::Duration max_connection_age = absl::Minutes(30);
  absl::Duration max_connection_age_grace = absl::Minutes(11);
  // Roughly how much gRPC may buffer for all connections together. 0: no quota.
  size_t memory_quota_bytes = size_t{256} << 20;
};

// Applies `limits` to a server that is being built. The server takes no compressed messages.
void ApplyServerLimits(grpc::ServerBuilder& builder, const ServerLimits& limits);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_LIMITS_H_
