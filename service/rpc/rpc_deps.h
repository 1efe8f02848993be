// The objects that the server gives to every RPC service. Nothing here is owned.
#ifndef TOLLGATE_SERVICE_RPC_RPC_DEPS_H_
#define TOLLGATE_SERVICE_RPC_RPC_DEPS_H_

#include <functional>

#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "service/access/access.h"
#include "service/access/authenticator.h"
#include "service/clock/service_clock.h"
#include "service/feed/hub.h"
#include "service/server_metrics.h"
#include "service/use/silence.h"
#include "storage/engine.h"
#include "storage/sequencer.h"
#include "token/keyring.h"
#include "token/token_string.h"

namespace tollgate::service {

// All thread-safe, all outlive the services.
struct RpcDeps {
  storage::Engine* engine = nullptr;
  storage::Sequencer* sequencer = nullptr;
  Hub* hub = nullptr;
  base::Executor* reads = nullptr;
  // For long work: counts of whole workspaces, backups. Separate from `reads`, so that no amount of
  // it delays a validator's question or a follower's catching up.
  base::Executor* scans = nullptr;
  const Access* access = nullptr;
  const Authenticator* authenticator = nullptr;
  const base::Clock* clock = nullptr;  // what `time` is, for those who only ask it
  ServiceClock* time = nullptr;
  base::Random* random = nullptr;
  const token::Keyring* keyring = nullptr;
  const token::TokenFormat* format = nullptr;
  ServerMetrics* metrics = nullptr;
  // What the edges have said about use, as of now.
  std::function<SilenceEvidence()> evidence;
  // Logs and writes down what has changed about the clock, without waiting for that.
  std::function<void()> note_clock;
  // Merges the reported use into the store. May block, so it must not run on a gRPC thread.
  std::function<void()> merge_use;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_RPC_DEPS_H_
