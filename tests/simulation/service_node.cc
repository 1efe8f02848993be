#include "tests/simulation/service_node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/status.h"
#include "service/feed/roster_command.h"
#include "storage/schema.h"
#include "tests/simulation/bent_ledger.h"
#include "token/digest.h"
#include "token/field_rules.h"
#include "token/life_cycle.h"

namespace tollgate::simulation {

using store::v1::CohortRecord;
using store::v1::DigestRecord;
using store::v1::HeadRecord;
using store::v1::MetaRecord;
using store::v1::TokenRecord;
using v1::ResolveRequest;
using v1::ResolveResponse;

// The sequencer: the real RunBatch, and a write that takes time.
class ServiceNode::Writer : public Sequencer {
 public:
  explicit Writer(ServiceNode* service) : service_(service) {}

  void Submit(std::shared_ptr<Command> command, Callback done) override {
    SubmitTracked(std::move(command), nullptr, std::move(done));
  }
  void SubmitTracked(std::shared_ptr<Command> command, Applied applied, Callback done) {
    if (stopped_) return done(absl::UnavailableError("stopped"));
    queue_.push_back({std::move(command), std::move(applied), std::move(done)});
    BeginSoon();
  }
  void Stop() override {}
  void Halt(absl::Status) override {}
  BootTime last_write_start() const override { return last_write_start_; }

  // The process ends. `keep`: a write under way is in the store all the same.
  void Die(bool keep) {
    if (stopped_) return;
    stopped_ = true;
    if (outcome_.has_value() && !service_->disk_->detached) {
      if (early_) {
        // Under the mutation it was answered before it was durable; the power cut takes it.
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
    std::shared_ptr<Command> command;
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
    std::vector<Command*> commands;
    for (const Queued& queued : batch_) commands.push_back(queued.command.get());
    Disk& disk = *service_->disk_;
    {
      auto snapshot = disk.engine->NewSnapshot();
      absl::StatusOr<BatchOutcome> outcome =
          RunBatch(**snapshot, service_->clock_.WallNow(), commands);
      if (!outcome.ok()) {
        service_->world_->Break("store", std::string(outcome.status().message()));
        return;
      }
      outcome_ = *std::move(outcome);
    }
    if (!outcome_->has_effects) return Answer();
    started_ = service_->clock_.Now();
    // R7: what is announced is durable. This shell's own mutation: announced first, synced later.
    early_ = TOLLGATE_MUTATED("r7_announced_before_durable") && !disk.detached;
    if (early_) {
      auto snapshot = disk.engine->NewSnapshot();
      undo_ = *MemoryEngine::CopyOf(**snapshot);
      Write();
      last_write_start_ = started_;
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
    last_write_start_ = started_;
    Answer();
  }

  bool Write() {
    Disk& disk = *service_->disk_;
    const int64_t revision = outcome_->request.expected_head + 1;
    absl::StatusOr<CommitResult> written = disk.engine->Commit(outcome_->request);
    if (!written.ok() || !written->committed) {
      service_->world_->Break("store", "a commit was refused");
      return false;
    }
    disk.history->OnCommit(revision, outcome_->request.events.events().events_size());
    for (size_t i = 0; i < batch_.size(); ++i) {
      const absl::StatusOr<Committed>& result = outcome_->results[i];
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
    const std::vector<absl::StatusOr<Committed>> results = outcome_->results;
    for (size_t i = 0; i < batch.size(); ++i) batch[i].done(results[i]);
  }

  ServiceNode* const service_;
  std::deque<Queued> queue_;
  std::vector<Queued> batch_;
  absl::optional<BatchOutcome> outcome_;
  BootTime started_;
  BootTime last_write_start_ = BootTime::InfinitePast();
  bool busy_ = false;
  bool stopped_ = false;
  bool early_ = false;
  std::unique_ptr<MemoryEngine> undo_;
};

ServiceNode::ServiceNode(World* world, Oracle* oracle, const Keyring* keyring,
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

void ServiceNode::Start() {
  world_->Note("service starts", name_, disk_->history->head());
  auto snapshot = disk_->engine->NewSnapshot();
  if ((*snapshot)->revision() < disk_->history->acknowledged) {
    return world_->Break("I4",
                         absl::StrCat("the store is at revision ", (*snapshot)->revision(),
                                      ", a client was told of ", disk_->history->acknowledged));
  }
  const auto meta = GetRecord<MetaRecord>(**snapshot, Table::kMeta, kMetaKey);
  const absl::Duration longest_before = absl::Microseconds((**meta).longest_lease_us());
  snapshot->reset();
  // R5, R7, R16: one synced write, that raises the longest lease where ours is longer.
  writer_->Submit(std::make_shared<SetLongestLease>(options_.lease, SetLongestLease::Mode::kRaise),
                  [this, longest_before](const absl::StatusOr<Committed>& done) {
                    if (!alive_ || !done.ok()) return;
                    world_->After(100'000, node_, [self = shared_from_this(), longest_before] {
                      if (self->alive_) self->Begin(longest_before);
                    });
                  });
}

// As HubImpl::Begin.
void ServiceNode::Begin(absl::Duration longest_before) {
  auto snapshot = *disk_->engine->NewSnapshot();
  const MetaRecord meta = **GetRecord<MetaRecord>(*snapshot, Table::kMeta, kMetaKey);
  const HeadRecord head = **GetRecord<HeadRecord>(*snapshot, Table::kMeta, kHeadKey);
  epoch_ = meta.epoch();
  ledger_head_ = snapshot->revision();

  EnforcementLedger::Options ledger;
  ledger.epoch = epoch_;
  ledger.lease = options_.lease;
  ledger.drift_bound = options_.drift;
  ledger.ack_limit = options_.ack_limit;
  ledger.write_window = options_.write_window;
  EnforcementLedger::Start start;
  start.head = ledger_head_;
  start.last_event_revision = head.last_event_revision();
  start.longest_lease = absl::Microseconds(meta.longest_lease_us());
  start.longest_lease_before = longest_before;
  start.restored = meta.restored();
  start.roster = *ReadRoster(*snapshot);
  start.now = clock_.Now();

  EnforcementDesk::Options desk;
  desk.sequencer = writer_.get();
  desk.clock = &clock_;
  desk.wake = [this] { TickSoon(world_->Between(1000, kMillisecond)); };
  desk_ = std::make_unique<EnforcementDesk>(std::move(desk),
                                            std::make_unique<BentLedger>(ledger, start));
  const int64_t floor = std::max(head.compacted_revision(), ledger_head_ - options_.preload);
  ring_ = std::make_unique<EventRing>(options_.ring, std::max<int64_t>(0, floor));
  readers_ =
      std::make_unique<FeedReaders>(disk_->engine.get(), ring_.get(), options_.ring.max_part_bytes);
  snapshot.reset();
  auto tail =
      disk_->engine->TailFrom(ring_->head(), [this](const TailEntry& entry) { OnEntry(entry); });
  if (!tail.ok()) return world_->Break("store", std::string(tail.status().message()));
  tail_ = *std::move(tail);
  serving_ = true;
  world_->Note("service serves", name_, ledger_head_, static_cast<int64_t>(start.roster.size()));
  TickSoon(0);
}

void ServiceNode::OnEntry(const TailEntry& entry) {
  const bool has_events = entry.events.events_size() > 0;
  if (!ring_->Append(entry)) {
    desk_->StopGranting();
    return;
  }
  if (entry.revision > ledger_head_) desk_->OnRevision(entry.revision, has_events);
  if (!has_events || wake_due_) return;
  wake_due_ = true;
  world_->After(world_->Between(1000, 2 * kMillisecond), node_, [self = shared_from_this()] {
    if (!self->alive_) return;
    self->wake_due_ = false;
    self->WakeStreams();
  });
}

std::vector<std::shared_ptr<FollowerStream>> ServiceNode::Streams() {
  std::vector<std::shared_ptr<FollowerStream>> streams;
  for (const auto& [number, stream] : streams_) streams.push_back(stream);
  return streams;
}

void ServiceNode::WakeStreams() {
  for (const auto& stream : Streams()) stream->Wake();
}

void ServiceNode::TickSoon(int64_t delay) {
  const int64_t at = world_->now() + delay;
  if (at >= next_tick_) return;
  next_tick_ = at;
  const uint64_t number = ++tick_number_;
  world_->At(at, node_, [self = shared_from_this(), number] {
    if (!self->alive_ || number != self->tick_number_) return;
    self->next_tick_ = INT64_MAX;
    self->Tick();
  });
}

// As HubImpl::TimeWork, once round.
void ServiceNode::Tick() {
  const BootTime next = desk_->Tick();
  if (!alive_) return;
  if (world_->now() >= next_stream_tick_) {
    next_stream_tick_ = world_->now() + 250 * kMillisecond;
    const BootTime now = clock_.Now();
    for (const auto& stream : Streams()) stream->Tick(now, options_.stall_limit);
  }
  AfterStep();
  const int64_t wait =
      std::clamp(std::min(next == BootTime::InfiniteFuture() ? INT64_MAX : clock_.TrueTimeOf(next),
                          next_stream_tick_) -
                     world_->now(),
                 kMillisecond, 250 * kMillisecond);
  TickSoon(wait);
}

// I5: bounded, whoever reads slowly.
void ServiceNode::AfterStep() {
  if (!serving()) return;
  const size_t one = 4096;  // the newest is kept whatever its size
  if (ring_->size() > options_.ring.max_revisions ||
      ring_->bytes() > options_.ring.max_bytes + one) {
    world_->Break("I5", "the ring is above its bound");
  }
}

void ServiceNode::CheckWritten(const std::string& bytes) {
  v1::FollowResponse message;
  if (!rolled_back_ || !message.ParseFromString(bytes) || !message.has_pong()) return;
  if (message.pong().has_lease()) world_->Break("R11", "a lease of a store that was rolled back");
}

absl::StatusOr<std::shared_ptr<FollowStream>> ServiceNode::Connect(
    std::shared_ptr<Connection> call) {
  if (draining_) return absl::UnavailableError("draining");
  Session::Options session;
  session.epoch = epoch_;
  session.ping_interval = options_.ping_interval;
  session.usage_interval = options_.ping_interval * 4;
  session.max_age = options_.max_age * (1 + world_->rng().UniformReal());
  session.come_back_after = absl::Milliseconds(world_->rng().Uniform(100));
  session.pong_patience = options_.pong_patience;
  session.no_progress_limit = options_.no_progress_limit;
  session.max_message_bytes = options_.ring.max_part_bytes;
  const uint64_t number = next_number_++;
  auto stream = std::make_shared<FollowerStream>(number, std::move(session), ring_.get(),
                                                 desk_.get(), this, nullptr, &clock_, call);
  streams_.emplace(number, stream);
  connections_.push_back(call);
  return std::shared_ptr<FollowStream>(std::move(stream));
}

void ServiceNode::OnGreeted(const std::shared_ptr<FollowerStream>& stream, bool resumes) {
  world_->Note(resumes ? "a stream resumes" : "a stream is reset", stream->key().validator_id,
               head());
  auto [it, fresh] = newest_.try_emplace(stream->key(), stream->number());
  if (fresh) return;
  const uint64_t older = std::exchange(it->second, stream->number());
  auto found = streams_.find(older);
  if (found == streams_.end()) return;
  const std::shared_ptr<FollowerStream> replaced = found->second;
  replaced->GoAway("replaced", absl::ZeroDuration());
}

void ServiceNode::OnFuture(const std::string& validator_id, int64_t seen) {
  if (!desk_->StopGranting()) return;
  world_->Note("has seen more than the store holds: it was rolled back", validator_id, seen,
               head());
  rolled_back_ = true;
}

bool ServiceNode::ReadStore(int64_t after, std::function<void(CatchUp)> done) {
  world_->After(world_->Exponential(options_.read_latency) + 10'000, node_,
                [self = shared_from_this(), after, done = std::move(done)] {
                  if (self->alive_) done(self->readers_->ReadStore(after, 8));
                });
  return true;
}

void ServiceNode::WakeLater(const std::shared_ptr<FollowerStream>& stream) {
  if (stream == nullptr) return TickSoon(world_->Between(1000, kMillisecond));
  world_->After(world_->Between(1000, kMillisecond), node_, [self = shared_from_this(), stream] {
    if (self->alive_) stream->Wake();
  });
}

void ServiceNode::OnClosed(FollowerStream* stream) {
  const SessionId key = stream->key();
  auto it = newest_.find(key);
  if (it != newest_.end() && it->second == stream->number()) newest_.erase(it);
  streams_.erase(stream->number());
}

void ServiceNode::Propose(std::shared_ptr<Command> command, Applied applied, Answered answered) {
  if (!serving() || rolled_back_ || draining_) return;
  writer_->SubmitTracked(
      std::move(command), std::move(applied),
      [this, answered = std::move(answered)](const absl::StatusOr<Committed>& result) {
        if (!alive_) return;
        if (result.ok()) {
          int64_t& told = disk_->history->acknowledged;
          told = std::max(told, result->revision);
        }
        if (answered) answered(result);
      });
}

// As ResolveFrom of service/rpc/edge_service.cc.
absl::StatusOr<ResolveResponse> ServiceNode::Resolve(const ResolveRequest& request) {
  if (!serving()) return absl::UnavailableError("not serving");
  if (replica_ == nullptr || !options_.lagging_reads || world_->Chance(0.4)) {
    replica_ = *disk_->engine->NewSnapshot();
  }
  const Snapshot* snapshot = replica_.get();
  const absl::optional<EdgeDigest> edge = EdgeDigest::FromBytes(request.edge_digest());
  if (!edge.has_value()) return absl::InvalidArgumentError("digest");
  if (request.epoch() == epoch_ && snapshot->revision() < request.applied_revision() &&
      !TOLLGATE_MUTATED("r12_need_from_applied")) {
    return absl::UnavailableError("behind");
  }
  ResolveResponse response;
  response.set_epoch(epoch_);
  response.set_revision(snapshot->revision());
  for (const auto& [pepper, digest] : keyring_->Candidates(*edge)) {
    const auto found = *GetRecord<DigestRecord>(*snapshot, Table::kDigests, digest.bytes());
    if (!found.has_value()) continue;
    const auto token = *GetRecord<TokenRecord>(
        *snapshot, Table::kTokens, tollgate::TokenKey(found->workspace(), found->token_id()));
    if (!token.has_value()) return absl::DataLossError("a digest has no token");
    Cohorts cohorts;
    cohorts.workspace =
        *GetRecord<CohortRecord>(*snapshot, Table::kCohorts, CohortKey(token->workspace(), ""));
    if (!token->owner().empty()) {
      cohorts.owner = *GetRecord<CohortRecord>(*snapshot, Table::kCohorts,
                                               CohortKey(token->workspace(), token->owner()));
    }
    *response.mutable_grant() = ToGrant(*token, cohorts);
    return response;
  }
  response.set_unknown(true);
  return response;
}

void ServiceNode::WaitEnforced(const ReceiptQuestion& question, absl::Duration timeout,
                               std::function<void(tollgate::v1::Receipt)> done) {
  if (serving()) {
    desk_->WaitEnforced(question, timeout, [this, done = std::move(done)](v1::Receipt receipt) {
      if (alive_) done(std::move(receipt));
    });
  }
}

tollgate::v1::Receipt ServiceNode::ReceiptFor(int64_t revision) {
  ReceiptQuestion question;
  question.revision = revision;
  return desk_->ReceiptFor(question);
}

void ServiceNode::Crash() {
  if (!alive_) return;
  alive_ = false;
  serving_ = false;
  world_->Note("service is gone", name_, head());
  tail_.reset();
  replica_.reset();
  writer_->Die(world_->Chance(0.5));
  for (const auto& weak : connections_) {
    if (auto connection = weak.lock()) {
      connection->ServerDied(world_->Chance(0.7) ? world_->Exponential(5 * kMillisecond)
                                                 : world_->Between(0, 60 * kSecond));
    }
  }
  connections_.clear();
  streams_.clear();
  newest_.clear();
  readers_.reset();
  desk_.reset();
  ring_.reset();
}

void ServiceNode::StopCleanly() {
  if (!serving() || draining_) return;
  draining_ = true;
  for (const auto& stream : Streams()) {
    stream->GoAway("draining", absl::Milliseconds(world_->rng().Uniform(200)));
  }
  world_->After(world_->Between(50, 500) * kMillisecond, node_,
                [self = shared_from_this()] { self->Crash(); });
}

}  // namespace tollgate::simulation
