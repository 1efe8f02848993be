// What can be chosen about a service, and the bounds of each choice.
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

namespace tollgate::service {

// All that can be chosen. The defaults are right for production; flags.h gives each a flag.
struct ServerOptions {
  // The store: a directory, made where there is none, or ENGINE:LOCATION. Required.
  std::string store;
  // The keyring's file; empty: beside the store, `<store>.keyring`, so that a copy of the store
  // alone can verify nothing.
  std::string keyring;
  // Where what takes permission away is journaled (R17), best on another disk; empty: beside the
  // store, `<store>.journal`.
  std::string journal;
  // Keep no journal: a restore then brings back what was revoked after the backup.
  bool no_journal = false;
  // Where backups go; empty: none are made.
  std::string backup_dir;
  // What token strings begin with: 2 to 8 lower-case letters.
  std::string brand = "tg";

  // `host:port`, `[v6]:port` or `unix:/path`. Port 0: any free one. At least one.
  std::vector<std::string> listen = {"localhost:7411"};
  // Together or not at all: mutual TLS on every TCP listener.
  std::string tls_cert;
  std::string tls_key;
  std::string client_ca;
  // Serve plaintext where other hosts can reach it.
  bool allow_plaintext = false;

  // For how long a validator may go on without hearing from the service. Above 0, at most 10 min.
  absl::Duration lease = absl::Seconds(30);
  // How often validators ping; at most a third of the lease.
  absl::Duration ping_interval = absl::Seconds(5);
  // Above so many pings a second validators are told to ping less often, down to once in a third of
  // the lease.
  double max_pings_per_second = 2000;
  // How often validators report use.
  absl::Duration usage_interval = absl::Seconds(10);
  // A validator that leaves an event unacknowledged for longer gets no new lease (R6).
  absl::Duration ack_limit = absl::Seconds(10);
  // The bound on how differently two boot clocks run, as a fraction (R1).
  double drift_bound = 0.001;
  // How often the sweep looks for what is due.
  absl::Duration sweep_interval = absl::Seconds(1);
  // Events are kept at least this long, and at most so many revisions of them: a validator that
  // was away for longer starts anew.
  absl::Duration event_retention = absl::Hours(24);
  int64_t event_retention_count = 1'000'000;

  // The largest request taken, in bytes.
  int max_message_bytes = 4 << 20;
  // Threads for reads, and how many reads may wait for one.
  int read_threads = 4;
  int max_queued_reads = 1000;
  // Threads for counts of whole workspaces and for backups (one at a time), and how many counts may
  // wait for one.
  int scan_threads = 2;
  int max_queued_scans = 100;
  // Use by edges that did not use a token for longer is summed up under one name, but for the
  // latest 100. At least a day.
  absl::Duration use_retention = absl::Hours(24 * 30);
  // WatchEvents streams at once, and how many revisions may wait for a slow one.
  int max_watchers = 64;
  int max_queued_watch = 1000;
  // Connections at once on each listener, those beyond are closed as soon as accepted. 0: its share
  // of what the limit on open files allows.
  int max_connections = 0;
  // Validators that follow at once; more are refused, and come again.
  int max_followers = 20'000;
  // A stream whose message is not taken for so long is cut; so is one that leaves the same event
  // unacknowledged so long.
  absl::Duration write_stall_limit = absl::Seconds(30);
  absl::Duration no_progress_limit = absl::Seconds(30);
  // A stream lives no longer, so that a fleet spreads over what stands behind a balancer.
  absl::Duration max_stream_age = absl::Minutes(10);
  // The newest events are kept in memory, so many revisions and bytes of them, for all streams; a
  // validator further behind is read for from the store, or starts anew.
  int64_t ring_revisions = 65'536;
  int64_t ring_bytes = 64 << 20;

  // Injected; they outlive the server. nullptr: the machine's.
  const base::Clock* clock = nullptr;
  base::Random* random = nullptr;
  // Called once when a store write failed or is uncertain (R7): it must end the process, and is
  // called on the committing thread. Empty: logs, then ends it with exit code 70.
  std::function<void(const absl::Status&)> on_fatal;
  // Called once when a validator has shown that the store was rolled back (R11), after it was
  // marked: it must end the process. Empty: logs, then ends it with exit code 9.
  std::function<void(const absl::Status&)> on_rolled_back;
};

// OK, or INVALID_ARGUMENT (reason BAD_FLAG, field the flag's name) for options that contradict
// themselves or a rule. What the feed demands of its own, Hub::CheckOptions says, and here it bears
// the flag's name; every other bound stands here alone.
absl::Status CheckServerOptions(const ServerOptions& options);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_SERVER_OPTIONS_H_
