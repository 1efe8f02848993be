// The control plane as one object: everything that main.cc starts. Tests start it too.
#ifndef TOLLGATE_SERVICE_SERVER_H_
#define TOLLGATE_SERVICE_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "service/exit_code.h"
#include "service/server_options.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace tollgate::service {

// A running service. Thread-safe.
//
// A start goes in this order: take the listeners' addresses; open the store (engine, mark, journal,
// keyring: store_home.h); start the sequencer, with one synced write before the service says
// anything (R7); the use ledger; the hub (roster, longest lease: R5, R15); the services; the sweep;
// say SERVING; accept connections.
// A stop (Drain) goes in this order: say NOT_SERVING; take no new connections; end watchers, send
// GoAway to followers; stop the hub, which answers the waits for enforcement; take no new calls,
// and give those under way until the deadline; stop the sweep; the executors; the use ledger
// (merges its queue); the sequencer (finishes its queue); the engine.
class Server {
 public:
  // Errors, by reason: BAD_FLAG, TLS_FILES_INVALID; KEYRING_MISSING, KEYRING_MISMATCH,
  // KEYRING_PERMISSIONS, KEYRING_UNREADABLE, KEYRING_MALFORMED; ADDRESS_IN_USE, ADDRESS_DENIED;
  // ADDRESS_INVALID, ADDRESS_UNAVAILABLE; STORE_FILES_ELSEWHERE, EngineDriver::Open's,
  // STORE_ROLLED_BACK; JOURNAL_*; PLAINTEXT_REFUSED. Nothing is left running, and no listener open,
  // after an error.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options);
  // Drains without waiting if Drain was not called.
  virtual ~Server() = default;

  // The port of the first TCP listener; 0 where there is none.
  virtual int port() const = 0;
  // The server's metrics, for a metrics port or a test. The registry lives on with the pointer.
  virtual std::shared_ptr<prometheus::Registry> registry() const = 0;
  // Says whether a health name is SERVING: for probes over HTTP. Lives on after the server.
  virtual std::function<bool(const std::string& name)> health() const = 0;
  // The listeners' addresses, with the real ports in place of port 0.
  virtual std::vector<std::string> addresses() const = 0;
  // The store's epoch, and the newest durable revision.
  virtual std::string epoch() const = 0;
  virtual int64_t head() const = 0;
  // Tells what has waited longest for a disk: "a commit in /data for 12s"; empty where nothing
  // waits. Waits for nothing itself, and may be called at any time, also after the server is gone.
  virtual std::function<std::string()> longest_disk_wait() const = 0;

  // Stops: says NOT_SERVING, waits `pause` for balancers to notice, and then gives the calls under
  // way until `limit` after that. Idempotent; returns once nothing runs.
  virtual void Drain(absl::Duration pause, absl::Duration limit) = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_SERVER_H_
