// One process of the control plane: the real commands and the real feed, in a shell without threads
// that stands for the threads of service/feed/hub.cc and storage/sequencer.cc.
#ifndef TOLLGATE_TESTS_SIMULATION_SERVICE_NODE_H_
#define TOLLGATE_TESTS_SIMULATION_SERVICE_NODE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "service/clock/service_clock.h"
#include "service/feed/feed.h"
#include "service/use/use_ledger.h"
#include "storage/journal/journaled_engine.h"
#include "storage/journal/marked_engine.h"
#include "storage/memory/memory_engine.h"
#include "storage/sequencer.h"
#include "tests/simulation/network.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/world.h"
#include "token/keyring.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::simulation {

// A store, with its history.
struct Disk {
  std::shared_ptr<storage::MemoryEngine> engine;
  std::shared_ptr<History> history;
  std::string journal;    // the path of its journal; empty: it has none
  std::string mark;       // the path of its head mark; empty: none is kept in this run
  bool detached = false;  // the disk is detached from this machine: writes hang
  bool stopped = false;   // a proof has stopped its store: no process starts on it any more (R19)
};

struct ServiceOptions {
  service::Feed::Options feed;               // without what each process has of its own
  int64_t write_latency = 3 * kMillisecond;  // the mean
  bool lagging_reads = false;                // Resolve may read a replica that lags
  int64_t read_latency = 3 * kMillisecond;   // of a read of old events
};

class ServiceNode : public service::FeedScheduler,
                    public base::Executor,
                    public service::KernelClock,
                    public std::enable_shared_from_this<ServiceNode> {
 public:
  // Tells the oracle what a command did, once its commit is in the store.
  using Applied = std::function<void(int64_t revision, uint32_t index)>;
  using Answered = std::function<void(const absl::StatusOr<storage::Committed>&)>;

  ServiceNode(World* world, Oracle* oracle, const token::Keyring* keyring, ServiceOptions options,
              std::shared_ptr<Disk> disk, double clock_rate, std::string name);
  ~ServiceNode() override;

  // Makes one synced write, then serves. `on_serving`, where given, runs before anybody is served.
  void Start(std::function<void()> on_serving = nullptr);
  // Ends the process, by kill -9 or a power cut. A write under way may or may not be in the store
  // afterwards.
  void Crash();
  // Ends every stream with a GoAway first.
  void StopCleanly();
  // The next write fails, and its outcome is uncertain: the process ends (R7).
  void FailNextWrite() { fail_next_write_ = true; }
  // Makes the store healthy and quick again.
  void Mend() {
    fail_next_write_ = false;
    options_.read_latency = 2 * kMillisecond;
  }
  // Checks R11: a message that is written after the roll-back is known grants nothing.
  void CheckWritten(const tollgate::v1::FollowResponse& message);

  bool alive() const { return alive_; }
  bool serving() const { return alive_ && serving_; }
  bool draining() const { return draining_; }
  // The process refused to start, because its store is older than its journal or its mark.
  bool refused() const { return refused_; }
  bool rolled_back() const { return rolled_back_; }
  int node() const { return node_; }
  const std::string& name() const { return name_; }
  const NodeClock& clock() const { return clock_; }
  // The machine was resumed from a snapshot of its memory: its boot clock stood still meanwhile.
  void StandStill(int64_t ns) { clock_.StandStill(ns); }
  // Its machine's wall clock is set wrong, by hand or by a bad battery: the kernel does not call it
  // synchronised.
  void SetClockWrong(int64_t by) {
    clock_.SetWallError(by);
    kernel_synchronised_ = false;
  }
  // Its time daemon has found the time again.
  void SynchroniseClock() { kernel_synchronised_ = true; }
  const std::shared_ptr<Disk>& disk() const { return disk_; }
  ServiceOptions& options() { return options_; }
  int64_t head() const { return feed_ == nullptr ? 0 : feed_->head(); }

  absl::StatusOr<std::shared_ptr<service::FollowerStream>> Connect(
      std::shared_ptr<Connection> call);
  // Submits a client's change. `answered` never runs when the process ends first.
  void Propose(std::shared_ptr<storage::Command> command, Applied applied, Answered answered);
  // Answers EdgeService.Resolve.
  absl::StatusOr<tollgate::v1::ResolveResponse> Resolve(
      const tollgate::v1::ResolveRequest& request);
  void WaitEnforced(const service::ReceiptQuestion& question, absl::Duration timeout,
                    std::function<void(tollgate::v1::Receipt)> done);
  tollgate::v1::Receipt ReceiptFor(int64_t revision);
  // What the service has heard of a token's use.
  Oracle::Heard HeardOf(const std::string& workspace, const std::string& token_id);
  // Checks the bounds of I5.
  void AfterStep();

 private:
  class Writer;  // the sequencer
  // Opens what lies around the disk's engine. False: the process ends, or the world is broken.
  bool OpenStore();
  // As service/restore/unfinished_entry does it, without a thread that waits.
  void FinishJournal();
  void Begin(const service::Feed::FirstWrite& written);
  void TickAt(int64_t time);
  void Tick();

  // FeedScheduler.
  void WakeStreamSoon(std::shared_ptr<service::FollowerStream> stream) override;
  void WakeAllSoon() override;
  void TickSoon() override;
  bool RunRead(std::function<void()> read) override;
  void StreamGone() override {}

  // KernelClock.
  absl::optional<absl::Time> Synchronised() const override {
    return kernel_synchronised_ ? absl::optional<absl::Time>(clock_.WallNow()) : absl::nullopt;
  }
  std::string BootId() const override { return name_; }

  // Executor, for the use ledger's merges.
  bool Submit(std::function<void()> work) override;

  World* const world_;
  Oracle* const oracle_;
  const token::Keyring* const keyring_;
  ServiceOptions options_;
  const std::shared_ptr<Disk> disk_;
  const std::string name_;
  const int node_;
  NodeClock clock_;
  bool alive_ = true;
  bool serving_ = false;
  bool rolled_back_ = false;
  bool draining_ = false;
  bool refused_ = false;
  bool fail_next_write_ = false;
  bool kernel_synchronised_ = true;
  bool wake_due_ = false;
  uint64_t tick_number_ = 0;
  int64_t next_tick_ = INT64_MAX;
  int64_t began_at_ = 0;
  std::function<void()> on_serving_;
  std::unique_ptr<storage::JournaledEngine> journaled_;
  std::unique_ptr<storage::MarkedEngine> marked_;
  storage::Engine* store_ = nullptr;             // the outermost of these, or the disk's engine
  std::unique_ptr<service::ServiceClock> time_;  // made at the start
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<service::UseLedger> use_;
  std::unique_ptr<service::Feed> feed_;
  std::unique_ptr<storage::Snapshot> replica_;  // the state that a lagging replica reads
  std::vector<std::weak_ptr<Connection>> connections_;
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_SERVICE_NODE_H_
