// What can be chosen about a service.
#ifndef TOLLGATE_SERVICE_SERVER_OPTIONS_H_
#define TOLLGATE_SERVICE_SERVER_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "service/clock/kernel_clock.h"

namespace tollgate::service {

// All options. The defaults are right for production; flags.h gives each a flag.
struct ServerOptions {
  // The store: a directory, made where there is none, or ENGINE:LOCATION. Required.
  std::string store;
  // The keyring's file; empty: `<store>.keyring`, beside the store, so that a copy of the store
  // alone verifies no token.
  std::string keyring;
  // The journal of the changes that take permission away (R17), best on another disk; empty:
  // `<store>.journal`, beside the store.
  std::string journal;
  // The sealing key's file (R19); empty: `<store>.seal`, beside the store.
  std::string seal;
  // Keyring and sealing key may be open to their group (mode 0440 or 0660), root's, and reached
  // through links, as in a mounted Kubernetes Secret or a volume with an fsGroup.
  bool group_readable_secrets = false;
  // Keep no journal. A restore then brings back the tokens that were revoked after the backup.
  bool no_journal = false;
  // A read or a write of the store that takes longer than this: the service says NOT_SERVING until
  // it has ended. At least a second.
  absl::Duration disk_hang_limit = absl::Seconds(5);
  // The folder for backups; empty: none are made.
  std::string backup_dir;
  // The brand, with which token strings begin: 2 to 8 lower-case letters.
  std::string brand = "tg";

  // Addresses to listen on: `host:port`, `[v6]:port` or `unix:/path`. Port 0: any free port. At
  // least one address.
  std::vector<std::string> listen = {"localhost:7411"};
  // Mutual TLS on every TCP listener: all three, or none. A caller without a certificate is let in
  // with `client_cert_optional`, and is nobody until he brings an operator token.
  std::string tls_cert;
  std::string tls_key;
  std::string client_ca;
  bool client_cert_optional = false;
  // Serve plaintext where other hosts can reach it.
  bool allow_plaintext = false;
  // Members that are admin as long as the service runs, besides those of the store. Without any, a
  // store that knows no admin gets an operator token with that role (first_operator.h).
  std::vector<std::string> admin;
  // Members that are validators as long as the service runs, besides those of the store.
  std::vector<std::string> validator;
  // Otherwise root and the service's own user are admin over a Unix socket.
  bool no_host_admins = false;
  // Whoever reaches the service may do everything.
  bool dev_open = false;

  // How long a validator may go on without hearing from the service. Above 0, at most 10 min.
  absl::Duration lease = absl::Seconds(30);
  // How often validators ping; at most a third of the lease.
  absl::Duration ping_interval = absl::Seconds(5);
  // The most pings a second; above it validators are told to ping less often, down to once in a
  // third of the lease.
  double max_pings_per_second = 2000;
  // How often validators report use.
  absl::Duration usage_interval = absl::Seconds(10);
  // A validator that leaves an event unacknowledged for longer gets no new lease (R6).
  absl::Duration ack_limit = absl::Seconds(10);
  // The bound on how differently two boot clocks run, as a fraction (R1).
  double drift_bound = 0.001;
  // R20. The wall clock is trusted while it is within clock_step_bound of where the boot clock
  // says; at a start, while it is no more than longest_off ahead of the store's last commit; and
  // while no more than half of the edges contradict it by more than clock_edge_bound.
  absl::Duration clock_step_bound = absl::Seconds(10);
  absl::Duration longest_off = absl::Hours(72);
  absl::Duration clock_edge_bound = absl::Minutes(1);
  // How often the sweep looks for what is due.
  absl::Duration sweep_interval = absl::Seconds(1);
  // Events are kept at least this long, and at most this many revisions of them. A validator that
  // was away for longer starts anew.
  absl::Duration event_retention = absl::Hours(24);
  int64_t event_retention_count = 1'000'000;

  // The largest request taken, in bytes.
  int max_message_bytes = 4 << 20;
  // Threads for reads, and how many reads may wait for a thread.
  int read_threads = 4;
  int max_queued_reads = 1000;
  // Threads for counts of whole workspaces and for backups (one at a time), and how many counts may
  // wait for a thread.
  int scan_threads = 2;
  int max_queued_scans = 100;
  // After this time the use by an edge that no longer uses a token is added up under one name, but
  // for the token's latest 100 edges. At least a day.
  absl::Duration use_retention = absl::Hours(24 * 30);
  // How many WatchEvents streams at once, and how many revisions may wait for a slow one.
  int max_watchers = 64;
  int max_queued_watch = 1000;
  // The most connections at once on each listener; a connection above it is closed as soon as it is
  // accepted. 0: the listener's share of what the limit on open files allows.
  int max_connections = 0;
  // The most validators that follow at once. Others are refused, and try again.
  int max_followers = 20'000;
  // A stream is cut when its message is not taken for this long, or when it leaves the same event
  // unacknowledged for this long.
  absl::Duration write_stall_limit = absl::Seconds(30);
  absl::Duration no_progress_limit = absl::Seconds(30);
  // The longest life of a stream, so that a fleet spreads over the services behind a balancer.
  absl::Duration max_stream_age = absl::Minutes(10);
  // The newest events are kept in memory for all streams: this many revisions, and this many bytes.
  // A validator that is further behind gets its events from the store, or starts anew.
  int64_t ring_revisions = 65'536;
  int64_t ring_bytes = 64 << 20;

  // Injected; both outlive the server. nullptr: the machine's.
  const base::Clock* clock = nullptr;
  const KernelClock* kernel = nullptr;
  base::Random* random = nullptr;
  // Called once, on the committing thread, when a store write failed or is uncertain (R7). It must
  // end the process. Empty: logs, then ends the process with exit code 70.
  std::function<void(const absl::Status&)> on_fatal;
  // Called once when a validator has shown that the store was rolled back (R11), after the store
  // was marked. It must end the process. Empty: logs, then ends the process with exit code 9.
  std::function<void(const absl::Status&)> on_rolled_back;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_SERVER_OPTIONS_H_
