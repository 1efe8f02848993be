#include "tests/simulation/service_node.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "lease/proof.h"
#include "service/feed/follower_stream.h"
#include "service/reads/resolve.h"
#include "service/restore/replay_command.h"
#include "service/restore/replay_plan.h"
#include "storage/schema.h"
#include "storage/start_command.h"
#include "tests/instruments/live_scan.h"
#include "tests/simulation/bent_ledger.h"

namespace tollgate::simulation {

using v1::ResolveRequest;
using v1::ResolveResponse;

// The sequencer: the real RunBatch, and a write that takes time.
class ServiceNode::Writer : public storage::Sequencer {
 public:
  explicit Writer(ServiceNode* service) : service_(service) {}

  void Submit(std::shared_ptr<storage::Command> command, Callback done) override {
    SubmitTracked(std::move(command), nullptr, std::move(done));
  }
  void SubmitTracked(std::shared_ptr<storage::Command> command, Applied applied, Callback done) {
    if (stopped_) return done(absl::UnavailableError("stopped"));
    queue_.push_back({std::move(command), std::move(applied), std::move(done)});
    BeginSoon();
  }
  void Stop() override {}
  void Halt(absl::Status) override {}
  base::BootTime last_write_start() const override { return last_write_.boot; }
  WriteStart last_write() const override { return last_write_; }

  // The process ends. `keep`: a write under way is in the store nevertheless.
  void Die(bool keep) {
    if (stopped_) return;
    stopped_ = true;
    if (outcome_.has_value() && !service_->disk_->detached) {
      if (early_) {
        // Under the mutation the command was answered before it was durable; the power cut takes it
        // away.
        if (!keep) {
          service_->disk_->history->Lose(outcome_->request.expected_head + 1);
          service_->disk_->engine = std::move(undo_);
        }
      } else if (keep) {
        Write();
      }
    }
    outcome_.reset();
    std::vector<Queued> all = std::move(batch_);
    for (Queued& queued : queue_) all.push_back(std::move(queued));
    batch_.clear();
    queue_.clear();
    for (Queued& queued : all) queued.done(absl::UnavailableError("the process ended"));
  }

 private:
  struct Queued {
    std::shared_ptr<storage::Command> command;
    Applied applied;
    Callback done;
  };

  void BeginSoon() {
    if (busy_) return;
    busy_ = true;
    World* world = service_->world_;
    // A little later, so that batches hold more than one command.
    world->After(world->Exponential(service_->options_.write_latency / 2), service_->node_,
                 [service = service_->shared_from_this()] {
                   if (service->alive_) service->writer_->BeginBatch();
                 });
  }

  void BeginBatch() {
    batch_.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
    queue_.clear();
    std::vector<storage::Command*> commands;
    for (const Queued& queued : batch_) commands.push_back(queued.command.get());
    Disk& disk = *service_->disk_;
    {
      auto snapshot = disk.engine->NewSnapshot();
      absl::StatusOr<storage::BatchOutcome> outcome =
          storage::RunBatch(**snapshot, service_->time_->Batch(), commands);
      if (!outcome.ok()) {
        service_->world_->Break("store", std::string(outcome.status().message()));
        return;
      }
      outcome_ = *std::move(outcome);
    }
    if (!outcome_->has_effects) return Answer();
    started_ = {service_->clock_.Now(), service_->clock_.WallNow()};
    // R7: what is announced is durable. This shell's own mutation: announced first, synced later.
    early_ = TOLLGATE_MUTATED("r7_announced_before_durable") && !disk.detached;
    if (early_) {
      auto snapshot = disk.engine->NewSnapshot();
      undo_ = *storage::MemoryEngine::CopyOf(**snapshot);
      Write();
      last_write_ = started_;
      AnswerAll();
    }
    World* world = service_->world_;
    world->After(world->Exponential(service_->options_.write_latency) + 10'000, service_->node_,
                 [service = service_->shared_from_this()] {
                   if (service->alive_) service->writer_->EndBatch();
                 });
  }

  void EndBatch() {
    if (service_->disk_->detached) return;  // it hangs for ever
    if (early_) {
      early_ = false;
      outcome_.reset();
      busy_ = false;
      if (!queue_.empty()) BeginSoon();
      return;
    }
    if (service_->fail_next_write_) {
      service_->world_->Note("a write fails: the process ends", service_->name_);
      return service_->Crash();
    }
    if (!Write()) return;
    last_write_ = started_;
    Answer();
  }

  bool Write() {
    Disk& disk = *service_->disk_;
    const int64_t revision = outcome_->request.expected_head + 1;
    absl::StatusOr<storage::CommitResult> written = service_->store_->Commit(outcome_->request);
    if (!written.ok() || !written->committed) {
      service_->world_->Break("store", "a commit was refused");
      return false;
    }
    disk.history->OnCommit(revision, outcome_->request.events.events().events_size());
    for (size_t i = 0; i < batch_.size(); ++i) {
      const absl::StatusOr<storage::Committed>& result = outcome_->results[i];
      if (result.ok() && result->revision == revision && batch_[i].applied) {
        batch_[i].applied(revision, result->index);
      }
    }
    service_->world_->Note("committed", service_->name_, revision,
                           static_cast<int64_t>(batch_.size()),
                           outcome_->request.events.events().events_size());
    return true;
  }

  void Answer() {
    AnswerAll();
    if (stopped_) return;
    outcome_.reset();
    busy_ = false;
    if (!queue_.empty()) BeginSoon();
  }

  void AnswerAll() {
    std::vector<Queued> batch = std::move(batch_);
    batch_.clear();
    const std::vector<absl::StatusOr<storage::Committed>> results = outcome_->results;
    for (size_t i = 0; i < batch.size(); ++i) batch[i].done(results[i]);
  }

  ServiceNode* const service_;
  std::deque<Queued> queue_;
  std::vector<Queued> batch_;
  absl::optional<storage::BatchOutcome> outcome_;
  WriteStart started_;
  WriteStart last_write_{base::BootTime::InfinitePast(), absl::nullopt};
  bool busy_ = false;
  bool stopped_ = false;
  bool early_ = false;
  std::unique_ptr<storage::MemoryEngine> undo_;
};

ServiceNode::ServiceNode(World* world, Oracle* oracle, const token::Keyring* keyring,
                         ServiceOptions options, std::shared_ptr<Disk> disk, double clock_rate,
                         std::string name)
    : world_(world),
      oracle_(oracle),
      keyring_(keyring),
      options_(options),
      disk_(std::move(disk)),
      name_(std::move(name)),
      node_(world->AddNode()),
      clock_(world, clock_rate, world->Between(0, 1000) * kSecond, 0),
      writer_(std::make_unique<Writer>(this)) {
  clock_.KeepTrueWall();
}

ServiceNode::~ServiceNode() { Crash(); }

bool ServiceNode::OpenStore() {
  store_ = disk_->engine.get();
  const auto refused = [this](const absl::Status& status, const char* what) {
    if (base::ReasonOf(status) == "STORE_ROLLED_BACK") {
      world_->Note(absl::StrCat("refuses a store that is older than its ", what), name_);
      refused_ = true;
    } else {
      world_->Break(what, std::string(status.message()));
    }
    return false;
  };
  if (!disk_->journal.empty()) {
    absl::StatusOr<std::unique_ptr<storage::JournaledEngine>> journaled =
        storage::JournaledEngine::Open(disk_->engine.get(), disk_->journal);
    if (!journaled.ok()) return refused(journaled.status(), "journal");
    journaled_ = *std::move(journaled);
    store_ = journaled_.get();
  }
  if (!disk_->mark.empty()) {
    absl::StatusOr<std::unique_ptr<storage::MarkedEngine>> marked =
        storage::MarkedEngine::Open(store_, {disk_->mark, nullptr});
    if (!marked.ok()) return refused(marked.status(), "mark");
    marked_ = *std::move(marked);
    store_ = marked_.get();
  }
  return true;
}

void ServiceNode::FinishJournal() {
  if (journaled_ == nullptr || TOLLGATE_MUTATED("r17_unfinished_forgotten")) return;
  absl::optional<store::v1::JournalCommit> entry = journaled_->unfinished();
  if (!entry.has_value()) return;
  world_->Note("takes away anew what its journal's last entry does", name_, entry->revision());
  const auto plan =
      std::make_shared<service::ReplayPlan>(service::ReplayPlan::OfOneEntry(*std::move(entry)));
  writer_->Submit(service::ReplayCommand::Anew(plan.get(), "journal"),
                  [this, plan](const absl::StatusOr<storage::Committed>& done) {
                    if (!done.ok() || !alive_) return;
                    const absl::Status cut = journaled_->CutUnfinished();
                    if (!cut.ok()) world_->Break("journal", std::string(cut.message()));
                  });
}

void ServiceNode::Start(std::function<void()> on_serving) {
  on_serving_ = std::move(on_serving);
  world_->Note("service starts", name_, disk_->history->head());
  auto snapshot = disk_->engine->NewSnapshot();
  if ((*snapshot)->revision() < disk_->history->acknowledged) {
    return world_->Break("I4",
                         absl::StrCat("the store is at revision ", (*snapshot)->revision(),
                                      ", a client was told of ", disk_->history->acknowledged));
  }
  if (const std::string faults = instruments::LiveCountFaults(**snapshot); !faults.empty()) {
    return world_->Break("live tokens", faults);
  }
  snapshot->reset();
  if (!OpenStore()) return;
  // R20, on what the store's head says. Steps of the world's clocks are of hours, and nothing is
  // off for longer than seconds.
  service::ServiceClock::Options time;
  time.time.step_bound = absl::Milliseconds(200);
  time.time.longest_off = absl::Minutes(1);
  time.time.edge_bound = absl::Minutes(30);
  time.time.edge_life = options_.feed.lease;
  time.time.drift_bound = options_.feed.drift_bound;
  time.machine = &clock_;
  time.kernel = this;
  const auto stored = service::ReadStoredTime(**disk_->engine->NewSnapshot());
  if (!stored.ok()) return world_->Break("set-up", std::string(stored.status().message()));
  time_ = std::make_unique<service::ServiceClock>(time, *stored);
  service::Feed::Options& feed = options_.feed;
  feed.engine = store_;
  feed.sequencer = writer_.get();
  feed.clock = time_.get();
  feed.on_edge_time = [this](const std::string& validator, absl::Time wall) {
    time_->OnEdgeTime(validator, wall);
  };
  feed.random = &world_->rng();
  // As in a file beside the store: put back with it, and new with an epoch.
  feed.sealer = std::make_shared<const lease::Sealer>(
      base::SecretBytes::CopyOf(disk_->history->epoch().substr(0, lease::kSealingKeyBytes)));
  feed.make_ledger = [](const service::EnforcementLedger::Options& options,
                        const service::EnforcementLedger::Start& start) {
    return std::make_unique<BentLedger>(options, start);
  };
  feed.on_rolled_back = [this](const std::string& validator, const absl::Status& why) {
    world_->Note("proves another history: the store was put back", validator);
    rolled_back_ = true;
    disk_->stopped = true;  // the shell's mark beside the store
  };
  feed.on_fatal = [this](const absl::Status& status) {
    world_->Break("store", std::string(status.message()));
  };
  service::UseLedger::Options use;
  use.engine = store_;
  use.executor = this;
  use.clock = time_.get();
  use_ = *service::UseLedger::Create(use);
  feed.use = use_.get();
  const absl::Status checked = service::Feed::CheckOptions(feed);
  if (!checked.ok()) return world_->Break("set-up", std::string(checked.message()));
  const absl::StatusOr<service::Feed::FirstWrite> first = service::Feed::PrepareStart(feed);
  if (!first.ok()) return world_->Break("set-up", std::string(first.status().message()));
  // A number of its own for every process; the same whatever else is drawn.
  const std::string number = absl::StrCat(node_);
  writer_->Submit(std::make_shared<storage::ServiceStarted>(
                      "sim", std::string(32 - number.size(), '0') + number, ""),
                  [](const absl::StatusOr<storage::Committed>&) {});
  FinishJournal();
  writer_->Submit(first->command,
                  [this, first = *first](const absl::StatusOr<storage::Committed>& done) {
                    if (!alive_ || !done.ok()) return;
                    world_->After(100'000, node_, [self = shared_from_this(), first] {
                      if (self->alive_) self->Begin(first);
                    });
                  });
}

void ServiceNode::Begin(const service::Feed::FirstWrite& written) {
  absl::StatusOr<std::unique_ptr<service::Feed>> feed =
      service::Feed::Start(options_.feed, this, written);
  if (!feed.ok()) return world_->Break("set-up", std::string(feed.status().message()));
  feed_ = *std::move(feed);
  use_->RosterLoaded();
  if (on_serving_) std::exchange(on_serving_, nullptr)();
  began_at_ = world_->now();
  serving_ = true;
  world_->Note("service serves", name_, head(), static_cast<int64_t>(feed_->stats().live_sessions));
  TickAt(world_->now());
}

void ServiceNode::WakeAllSoon() {
  if (wake_due_) return;
  wake_due_ = true;
  world_->After(world_->Between(1000, 2 * kMillisecond), node_, [self = shared_from_this()] {
    if (!self->alive_) return;
    self->wake_due_ = false;
    self->feed_->WakeStreams(0);
  });
}

void ServiceNode::WakeStreamSoon(std::shared_ptr<service::FollowerStream> stream) {
  world_->After(world_->Between(1000, kMillisecond), node_,
                [self = shared_from_this(), stream = std::move(stream)] {
                  if (self->alive_) stream->Wake();
                });
}

void ServiceNode::TickSoon() { TickAt(world_->now() + world_->Between(1000, kMillisecond)); }

void ServiceNode::TickAt(int64_t time) {
  if (time >= next_tick_) return;
  next_tick_ = time;
  const uint64_t number = ++tick_number_;
  world_->At(time, node_, [self = shared_from_this(), number] {
    if (!self->alive_ || number != self->tick_number_) return;
    self->next_tick_ = INT64_MAX;
    self->Tick();
  });
}

void ServiceNode::Tick() {
  for (const service::ClockChange& change : time_->Watch()) {
    world_->Note(change.in_doubt ? "its clock is in doubt" : "its clock is trusted again", name_);
  }
  const base::BootTime next = feed_->Tick();
  if (!alive_) return;
  AfterStep();
  TickAt(clock_.TrueTimeOf(next));
}

bool ServiceNode::RunRead(std::function<void()> read) {
  world_->After(world_->Exponential(options_.read_latency) + 10'000, node_,
                [self = shared_from_this(), read = std::move(read)] {
                  if (self->alive_) read();
                });
  return true;
}

// I5: bounded, whoever reads slowly.
void ServiceNode::AfterStep() {
  if (!serving()) return;
  const size_t one = 4096;  // the newest is kept whatever its size
  const service::EventRing& ring = feed_->ring();
  if (ring.size() > options_.feed.ring.max_revisions ||
      ring.bytes() > options_.feed.ring.max_bytes + one) {
    world_->Break("I5", "the ring is above its bound");
  }
}

void ServiceNode::CheckWritten(const v1::FollowResponse& message) {
  if (!message.has_pong()) return;
  const absl::Time told = base::FromProto(message.pong().service_time());
  oracle_->OnServiceTime(name_, told);
  if (rolled_back_ && message.pong().has_lease())
    world_->Break("R11", "a lease of a store that was rolled back");
}

absl::StatusOr<std::shared_ptr<service::FollowerStream>> ServiceNode::Connect(
    std::shared_ptr<Connection> call) {
  connections_.push_back(call);
  return feed_->Connect(std::move(call));
}

void ServiceNode::Propose(std::shared_ptr<storage::Command> command, Applied applied,
                          Answered answered) {
  if (!serving() || rolled_back_ || draining_) return;
  writer_->SubmitTracked(
      std::move(command), std::move(applied),
      [this, answered = std::move(answered)](const absl::StatusOr<storage::Committed>& result) {
        if (!alive_) return;
        if (result.ok()) {
          int64_t& told = disk_->history->acknowledged;
          told = std::max(told, result->revision);
        }
        if (answered) answered(result);
      });
}

absl::StatusOr<ResolveResponse> ServiceNode::Resolve(const ResolveRequest& request) {
  if (!serving()) return absl::UnavailableError("not serving");
  if (replica_ == nullptr || !options_.lagging_reads || world_->Chance(0.4)) {
    replica_ = *disk_->engine->NewSnapshot();
  }
  return service::ResolveFrom(*replica_, *keyring_, feed_->history(), request);
}

void ServiceNode::WaitEnforced(const service::ReceiptQuestion& question, absl::Duration timeout,
                               std::function<void(tollgate::v1::Receipt)> done) {
  if (serving()) {
    feed_->desk().WaitEnforced(question, timeout,
                               [this, done = std::move(done)](v1::Receipt receipt) {
                                 if (alive_) done(std::move(receipt));
                               });
  }
}

bool ServiceNode::Submit(std::function<void()> work) {
  world_->After(world_->Between(10'000, 5 * kMillisecond), node_,
                [self = shared_from_this(), work = std::move(work)] {
                  if (self->alive_) work();
                });
  return true;
}

Oracle::Heard ServiceNode::HeardOf(const std::string& workspace, const std::string& token_id) {
  use_->Flush();
  Oracle::Heard heard;
  heard.since = began_at_;
  heard.gaps = use_->Evidence().gaps;
  heard.purged = !*storage::GetRecord<store::v1::TokenRecord>(
      **disk_->engine->NewSnapshot(), storage::Table::kTokens,
      storage::TokenKey(workspace, token_id));
  heard.rows =
      *service::ReadUses(**disk_->engine->NewSnapshot(), workspace, token_id, time_->ServiceNow());
  return heard;
}

tollgate::v1::Receipt ServiceNode::ReceiptFor(int64_t revision) {
  service::ReceiptQuestion question;
  question.revision = revision;
  return feed_->desk().ReceiptFor(question);
}

void ServiceNode::Crash() {
  if (!alive_) return;
  alive_ = false;
  serving_ = false;
  world_->Note("service is gone", name_, head());
  replica_.reset();
  const std::shared_ptr<storage::MemoryEngine> engine = disk_->engine;  // the feed's, to its end
  writer_->Die(world_->Chance(0.5));
  for (const auto& weak : connections_) {
    if (auto connection = weak.lock()) {
      connection->ServerDied(world_->Chance(0.7) ? world_->Exponential(5 * kMillisecond)
                                                 : world_->Between(0, 60 * kSecond));
    }
  }
  connections_.clear();
  feed_.reset();
  use_.reset();
  marked_.reset();
  if (journaled_ != nullptr) {
    // The mark of a clean stop is not written by a process that is killed.
    const auto size = std::filesystem::file_size(disk_->journal);
    journaled_.reset();
    if (!draining_) std::filesystem::resize_file(disk_->journal, size);
  }
}

void ServiceNode::StopCleanly() {
  if (!serving() || draining_) return;
  draining_ = true;
  feed_->BeginDrain();
  world_->After(world_->Between(50, 500) * kMillisecond, node_,
                [self = shared_from_this()] { self->Crash(); });
}

}  // namespace tollgate::simulation
