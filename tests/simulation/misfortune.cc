// What a run is made of, what goes wrong in it, and how it ends.
#include "tests/simulation/town.h"  // before storage/schema.h: see town.h

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "service/commands/revoke_token.h"
#include "storage/schema.h"
#include "tests/simulation/simulation.h"
#include "token/resource_name.h"

namespace tollgate::simulation {

namespace {

enum Fault {
  kCut,
  kBlockLink,
  kSlowReader,
  kFlapping,
  kPauseValidator,
  kPauseService,
  kCrashValidator,
  kGoodbye,
  kTwin,
  kCrashService,
  kStopService,
  kFailWrite,
  kSteal,
  kRestore,
  kRollBack,
  kCompact,
  kNewer,
  kResumedMachine,
  kWallStep,
  kFaultKinds,
};

class RestoreMeta : public Command {
 public:
  explicit RestoreMeta(std::string epoch) : epoch_(std::move(epoch)) {}
  absl::string_view name() const override { return "restore"; }
  absl::Status Run(const View& view, const Slot&, Effects& effects) override {
    store::v1::MetaRecord meta = **GetRecord<store::v1::MetaRecord>(view, Table::kMeta, kMetaKey);
    meta.set_epoch(epoch_);
    meta.set_restored(true);
    effects.Put(Table::kMeta, kMetaKey, meta);
    return absl::OkStatus();
  }

 private:
  const std::string epoch_;
};

// Rare enough not to be in most runs, or too much of a thing for it.
bool InThisRun(World* world, int fault) {
  switch (fault) {
    case kSteal:
    case kRollBack:
      return world->Chance(0.12);
    case kRestore:
      return world->Chance(0.1);
    default:
      return world->Chance(0.45);
  }
}

}  // namespace

Fate DrawFate(World* world) {
  Fate fate;
  const int64_t lease_ms = world->Pick<int64_t>({800, 1500, 3000});
  fate.drift = world->Pick({0.001, 0.02, 0.08});
  fate.service.lease = absl::Milliseconds(lease_ms);
  fate.service.ping_interval = absl::Milliseconds(lease_ms / world->Pick<int64_t>({3, 5, 8}));
  fate.service.ack_limit = absl::Milliseconds(lease_ms * world->Pick<int64_t>({1, 2}) / 2);
  fate.service.write_window = absl::Milliseconds(world->Pick<int64_t>({250, 600, 1500, 3000}));
  fate.service.drift = fate.drift;
  fate.service.ring.max_revisions = world->Pick<size_t>({3, 12, 200});
  fate.service.ring.max_bytes = world->Pick<size_t>({1500, 1 << 20});
  fate.service.ring.max_part_bytes = world->Pick<size_t>({50, 90, 400, 1 << 18});
  fate.service.preload = world->Pick<int64_t>({0, 10, 1000});
  fate.service.pong_patience = absl::Milliseconds(world->Pick<int64_t>({30, 300, 1000}));
  fate.service.max_age = absl::Milliseconds(world->Pick<int64_t>({1500, 6000, 60'000}));
  fate.service.stall_limit = absl::Milliseconds(world->Pick<int64_t>({2000, 10'000}));
  fate.service.no_progress_limit = absl::Milliseconds(world->Pick<int64_t>({2000, 10'000}));
  fate.service.write_latency = world->Pick<int64_t>({2, 5, 30}) * kMillisecond;
  fate.service.lagging_reads = world->Chance(0.3);
  fate.service.read_latency = world->Pick<int64_t>({3, 100, 600}) * kMillisecond;
  fate.validators = 2 + static_cast<int>(world->rng().Uniform(3));
  fate.delay = world->Pick<int64_t>({1, 5, 40}) * kMillisecond;
  fate.length = world->Between(8, 20) * kSecond;
  fate.change_every = world->Pick<int64_t>({40, 120, 400}) * kMillisecond;
  fate.check_every = world->Pick<int64_t>({8, 20}) * kMillisecond;
  fate.fault_every = world->Pick<int64_t>({300, 1000, 3000}) * kMillisecond;
  fate.lowers_lease = world->Chance(0.4);
  fate.fail_open = world->Chance(0.25);
  fate.stuck = world->Chance(0.15);
  fate.validator.drift = fate.drift;
  fate.validator.resolve_delay = fate.delay;
  fate.validator.resolve_straggles = world->Pick({0.0, 0.05, 0.3});
  fate.validator.straggle = world->Pick<int64_t>({100, 600, 3000}) * kMillisecond;
  for (int fault = 0; fault < kFaultKinds; ++fault) {
    // R1 takes a wall clock that is right after a resume for its witness: one that is set at will in
    // the same run could bear false witness, which no rule claims to see through.
    if (fault == kWallStep && !fate.faults.empty() && fate.faults.back() == kResumedMachine) continue;
    if (InThisRun(world, fault)) fate.faults.push_back(fault);
  }
  return fate;
}

// A validator gone wrong: it pings, and applies nothing (R6).
class Town::StuckClient : public ClientEnd, public std::enable_shared_from_this<StuckClient> {
 public:
  StuckClient(World* world, Oracle* oracle, Router router, int64_t ping_every)
      : world_(world),
        oracle_(oracle),
        router_(std::move(router)),
        ping_every_(ping_every),
        node_(world->AddNode()) {}
  void Connect() {
    if (stopped_) return;
    const std::shared_ptr<ServiceNode> server = router_();
    if (server == nullptr) return Again();
    connection_ = std::make_shared<Connection>(world_, oracle_, &link_, node_,
                                               std::weak_ptr<ClientEnd>(weak_from_this()),
                                               ++stream_, server);
    connection_->Open();
  }
  void Stop() {
    stopped_ = true;
    if (connection_ != nullptr) connection_->ClientClose(1000);
    connection_ = nullptr;
  }
  void OnOpen(uint64_t stream, bool ok) override {
    if (stream != stream_) return;
    if (!ok) return Again();
    v1::FollowRequest request;
    request.mutable_hello()->set_validator_id("stuck");
    request.mutable_hello()->set_incarnation("0123456789abcdef");
    request.mutable_hello()->set_epoch(epoch_);
    request.mutable_hello()->set_applied_revision(applied_);
    connection_->Send(request.SerializeAsString());
    sequence_ = 0;
  }
  void OnDown(uint64_t stream, const std::string& bytes) override {
    v1::FollowResponse message;
    if (stream != stream_ || !message.ParseFromString(bytes) || !message.has_welcome()) return;
    if (message.welcome().reset()) {
      epoch_ = message.welcome().epoch();
      applied_ = message.welcome().revision();
    }
    Ping(stream);
  }
  void OnEnd(uint64_t stream) override {
    if (stream == stream_) Again();
  }

 private:
  void Again() {
    connection_ = nullptr;
    world_->After(200 * kMillisecond, node_, [self = shared_from_this()] { self->Connect(); });
  }
  void Ping(uint64_t stream) {
    if (stopped_ || connection_ == nullptr || stream != stream_) return;
    v1::FollowRequest request;
    request.mutable_ping()->set_sequence(++sequence_);
    request.mutable_ping()->set_applied_revision(applied_);
    connection_->Send(request.SerializeAsString());
    world_->After(ping_every_, node_, [self = shared_from_this(), stream] { self->Ping(stream); });
  }

  World* const world_;
  Oracle* const oracle_;
  const Router router_;
  const int64_t ping_every_;
  const int node_;
  Link link_;
  std::shared_ptr<Connection> connection_;
  uint64_t stream_ = 0;
  uint64_t sequence_ = 0;
  std::string epoch_;
  int64_t applied_ = 0;
  bool stopped_ = false;
};

Town::Town(World* world)
    : world_(world),
      fate_(DrawFate(world)),
      oracle_(world, fate_.service.lease * 2, fate_.drift),
      keyring_(Keyring::Generate(world->rng())) {}

Town::~Town() {
  if (stuck_ != nullptr) stuck_->Stop();
  for (auto* all : {&validators_, &lingering_}) {
    for (auto& validator : *all) validator->Crash(true);
  }
  if (former_ != nullptr) former_->Crash();
  if (service_ != nullptr) service_->Crash();
  world_->Clear();
}

std::shared_ptr<ServiceNode> Town::Reachable() {
  if (former_ != nullptr && former_->serving() && !healing_ && world_->Chance(0.4)) {
    return former_;
  }
  return service_ != nullptr && service_->serving() ? service_ : nullptr;
}

std::shared_ptr<ServiceNode> Town::StartService(std::shared_ptr<Disk> disk) {
  ServiceOptions options = fate_.service;
  if (fate_.lowers_lease && services_ > 0) {
    const int64_t divide = world_->Pick<int64_t>({1, 1, 2, 4});
    options.lease = options.lease * (divide == 1 ? 2 : 1) / divide;
    options.ping_interval = std::min(options.ping_interval, options.lease / 3);
  }
  const double rate = 1 + (world_->rng().UniformReal() - 0.5) * fate_.drift * 0.95;
  auto service = std::make_shared<ServiceNode>(world_, &oracle_, &keyring_, options,
                                               std::move(disk), rate,
                                               absl::StrCat("service-", ++services_));
  if (healing_) service->Mend();
  AuditStore(*service);
  service->Start();
  return service;
}

void Town::AuditStore(ServiceNode& service) {
  // I4: what the model holds at the store's head is what the store holds.
  auto snapshot = *service.disk()->engine->NewSnapshot();
  const History& history = *service.disk()->history;
  if (snapshot->revision() != history.head()) {
    return world_->Break("I4", absl::StrCat("the store is at ", snapshot->revision(),
                                            ", what was committed is at ", history.head()));
  }
  for (const auto& [token, versions] : history.tokens()) {
    const TokenTruth& truth = history.Now(token);
    const auto record = *GetRecord<store::v1::TokenRecord>(
        *snapshot, Table::kTokens,
        tollgate::TokenKey(tokens_[token].workspace, tokens_[token].public_id));
    const bool same = record.has_value() == truth.exists &&
                      (!truth.exists ||
                       (record->suspended() == truth.suspended &&
                        (!record->has_ending() || truth.end != TokenTruth::End::kNone) &&
                        record->scopes_size() == static_cast<int>(truth.scopes.size())));
    if (!same) {
      return world_->Break("I4", absl::StrCat("token ", token, " is not stored as committed"));
    }
    if (record.has_value()) oracle_.CheckBytes(record->SerializeAsString(), "the store");
  }
}

void Town::RestartLater(int64_t delay) {
  if (restart_due_) return;
  restart_due_ = true;
  world_->After(delay, 0, [this] {
    restart_due_ = false;
    if (service_ != nullptr && service_->alive()) return;
    service_ = StartService(disk_);
  });
}

void Town::StealVolume() {
  if (service_ == nullptr || !service_->serving() || former_ != nullptr || quiet_) return;
  auto snapshot = *disk_->engine->NewSnapshot();
  auto disk = std::make_shared<Disk>();
  disk->engine = *MemoryEngine::CopyOf(*snapshot);
  disk->history = disk_->history;
  disk_->detached = true;
  former_ = service_;
  disk_ = disk;
  world_->Note("its volume is taken from", former_->name());
  service_ = nullptr;
  world_->After(world_->Between(0, 500) * kMillisecond, 0, [this] {
    if (service_ == nullptr) service_ = StartService(disk_);
  });
  world_->After(world_->Between(2, 12) * kSecond, 0, [this, former = former_] {
    former->Crash();
    if (former_ == former) former_ = nullptr;
  });
}

void Town::TakeBackup() {
  auto snapshot = *disk_->engine->NewSnapshot();
  backup_ = *MemoryEngine::CopyOf(*snapshot);
  backup_history_ = disk_->history;
  backup_revision_ = snapshot->revision();
  world_->Note("a backup is taken", "", backup_revision_);
}

void Town::Restore(bool journal) {
  if (service_ != nullptr) service_->Crash();
  if (former_ != nullptr) former_->Crash();
  former_ = nullptr;
  ++restores_;
  const bool from_backup = backup_ != nullptr && backup_history_ == disk_->history;
  const std::shared_ptr<History> before = disk_->history;
  auto snapshot = from_backup ? *backup_->NewSnapshot() : *disk_->engine->NewSnapshot();
  auto disk = std::make_shared<Disk>();
  disk->engine = *MemoryEngine::CopyOf(*snapshot);
  const std::string epoch = world_->rng().Hex(16);
  disk->history = History::Fork(before, snapshot->revision(), epoch);
  world_->Note(journal ? "restored, with the journal" : "restored, without a journal", "",
               snapshot->revision());
  snapshot.reset();
  oracle_.Add(disk->history);
  const auto commit = [&](const std::vector<Command*>& commands) {
    auto at = *disk->engine->NewSnapshot();
    BatchOutcome outcome = *RunBatch(*at, NodeClock::WallAt(world_->now()), commands);
    at.reset();
    if (!outcome.has_effects) return;
    if (!disk->engine->Commit(outcome.request).ok()) return;
    disk->history->OnCommit(outcome.request.expected_head + 1,
                            outcome.request.events.events().events_size());
  };
  RestoreMeta meta(epoch);
  commit({&meta});
  if (journal) {
    for (const auto& [token, versions] : before->tokens()) {
      if (before->Now(token).end == TokenTruth::End::kNone) continue;
      TokenTruth truth = disk->history->Now(token);
      if (!truth.exists || truth.end != TokenTruth::End::kNone) continue;
      v1::RevokeTokenRequest request;
      request.set_name(FormatTokenName(tokens_[token].workspace, tokens_[token].public_id));
      auto revoke = *RevokeTokenCommand::Make(request, "journal");
      commit({revoke.get()});
      truth.end = TokenTruth::End::kRevoked;
      disk->history->Set(token, disk->history->head(), truth);
    }
  }
  backup_ = nullptr;
  disk_ = disk;
  quiet_ = false;
  service_ = StartService(disk_);
}

void Town::RollBack() {
  // Only far enough back that whoever was up to date has seen more than the store will hold for a
  // while: a store that has grown past its followers again is nothing that R11 can see.
  if (backup_ == nullptr || backup_history_ != disk_->history || service_ == nullptr ||
      !service_->serving() || former_ != nullptr || quiet_) {
    return;
  }
  for (const auto& validator : validators_) {
    if (!validator->alive()) return;
    if (validator->Status().follower.applied_revision < backup_revision_ + 20) return;
    if (validator->Status().follower.epoch != disk_->history->epoch()) return;
  }
  service_->Crash();
  auto snapshot = *backup_->NewSnapshot();
  auto disk = std::make_shared<Disk>();
  disk->engine = *MemoryEngine::CopyOf(*snapshot);
  disk->history = History::Fork(disk_->history, backup_revision_, disk_->history->epoch());
  world_->Note("the store is rolled back to", "", backup_revision_);
  snapshot.reset();
  backup_ = nullptr;
  oracle_.Add(disk->history);
  disk_ = disk;
  quiet_ = true;
  service_ = StartService(disk_);
  const std::shared_ptr<ServiceNode> rolled = service_;
  // Once somebody has come back it must be known, and nothing granted any more.
  world_->After(4 * kSecond, 0, [this, rolled] {
    if (service_ != rolled || !rolled->serving() || healing_ || !quiet_) return;
    Restore(false);
  });
}

void Town::AddValidator(const std::string& id, bool fail_open, std::shared_ptr<Link> link) {
  ValidatorSettings settings = fate_.validator;
  settings.id = id;
  settings.clock_rate = 1 + (world_->rng().UniformReal() - 0.5) * fate_.drift * 0.95;
  if (fail_open) settings.fail_open_for = absl::Milliseconds(world_->Between(500, 5000));
  auto validator = std::make_shared<ValidatorNode>(
      world_, &oracle_, settings, [this] { return Reachable(); }, std::move(link));
  validators_.push_back(validator);
  world_->After(world_->Between(0, 50) * kMillisecond, validator->node(), [validator] {
    if (validator->alive()) validator->Start();
  });
}

void Town::RestartValidator(size_t index, int64_t delay) {
  const std::shared_ptr<ValidatorNode> gone = validators_[index];
  validators_.erase(validators_.begin() + static_cast<int64_t>(index));
  const std::string id = gone->settings().id;
  const bool fail_open = gone->settings().fail_open_for > absl::ZeroDuration();
  const std::shared_ptr<Link> link = gone->shared_link();
  world_->After(delay, 0, [this, id, fail_open, link] { AddValidator(id, fail_open, link); });
}

void Town::Misfortune() {
  if (fate_.faults.empty() || validators_.empty()) return;
  const int fault = fate_.faults[world_->rng().Uniform(fate_.faults.size())];
  const size_t index = world_->rng().Uniform(validators_.size());
  const std::shared_ptr<ValidatorNode> validator = validators_[index];
  const int64_t lease = Nanos(fate_.service.lease);
  const bool up = service_ != nullptr && service_->serving();
  ++world_->faults;
  switch (fault) {
    case kCut:
      if (validator->connection() == nullptr) return;
      world_->Note("the connection is cut", validator->settings().id);
      // Half open where one end hears of it much later.
      return validator->connection()->Cut(
          world_->Chance(0.5) ? world_->Exponential(5 * kMillisecond)
                              : world_->Between(0, 3 * lease),
          world_->Chance(0.5) ? world_->Exponential(5 * kMillisecond)
                              : world_->Between(0, 20 * kSecond));
    case kBlockLink: {
      const int64_t until = world_->now() + world_->Between(lease / 10, 2 * lease);
      world_->Note("cut off for a while", validator->settings().id,
                   (until - world_->now()) / kMillisecond);
      const uint64_t how = world_->rng().Uniform(4);
      if (how != 0) validator->link().up_blocked_until = until;
      if (how != 1) validator->link().down_blocked_until = until;
      return;
    }
    case kSlowReader:
      world_->Note("reads slowly", validator->settings().id);
      validator->link().slow_until = world_->now() + world_->Between(lease / 2, 4 * lease);
      validator->link().slow_read = world_->Between(20, 600) * kMillisecond;
      return;
    case kFlapping:
      world_->Note("flaps", validator->settings().id);
      for (int i = 0; i < 8; ++i) {
        world_->After(world_->Between(0, lease), 0, [validator] {
          if (validator->alive() && validator->connection() != nullptr) {
            validator->connection()->Cut(kMillisecond, 2 * kMillisecond);
          }
        });
      }
      return;
    case kPauseValidator: {
      const int64_t until = world_->now() + world_->Between(lease / 4, 5 * lease / 2);
      world_->Note("is stopped for a while", validator->settings().id,
                   (until - world_->now()) / kMillisecond);
      world_->Pause(validator->node(), until);
      // The first thing that it does on waking is to decide.
      world_->At(until, validator->node(), [this, validator] { Probe(*validator); },
                 /*first=*/true);
      return;
    }
    case kPauseService: {
      if (!up) return;
      const int64_t until = world_->now() + world_->Between(lease / 4, 5 * lease / 2);
      world_->Note("is stopped for a while", service_->name(),
                   (until - world_->now()) / kMillisecond);
      return world_->Pause(service_->node(), until);
    }
    case kCrashValidator:
      validator->Crash(world_->Chance(0.5));
      return RestartValidator(index, world_->Exponential(lease / 4));
    case kGoodbye:
      // The process goes on being asked, while its successor starts.
      validator->SayGoodbye();
      lingering_.push_back(validator);
      world_->After(world_->Between(0, 2 * lease), 0, [validator] { validator->Crash(true); });
      return RestartValidator(index, world_->Exponential(lease / 4));
    case kTwin: {
      if (lingering_.size() > 3) return;
      world_->Note("a twin starts", validator->settings().id);
      AddValidator(validator->settings().id, false, std::make_shared<Link>(validator->link()));
      const std::shared_ptr<ValidatorNode> twin = validators_.back();
      validators_.pop_back();
      lingering_.push_back(twin);
      world_->After(world_->Between(lease, 5 * lease), 0, [this, twin] {
        twin->Crash(world_->Chance(0.5));
      });
      return;
    }
    case kCrashService:
      if (!up) return;
      service_->Crash();
      return RestartLater(world_->Exponential(world_->Chance(0.8) ? lease / 5 : 2 * lease));
    case kStopService:
      if (!up) return;
      service_->StopCleanly();
      return RestartLater(600 * kMillisecond + world_->Exponential(lease / 4));
    case kFailWrite:
      if (!up) return;
      return service_->FailNextWrite();
    case kSteal:
      return StealVolume();
    case kRestore:
      if (quiet_ || restores_ > 0) return;
      if (backup_ == nullptr) return TakeBackup();
      if (disk_->history->head() < backup_revision_ + 5) return;
      return Restore(world_->Chance(0.5));
    case kRollBack:
      if (backup_ == nullptr) return TakeBackup();
      return RollBack();
    case kCompact:
      return Sweep(true);
    case kNewer:
      return NewerServiceChange(AnyToken());
    case kResumedMachine: {
      // A virtual machine: stopped, and resumed as if no time had passed, but for its wall clock.
      const int64_t gone = world_->Between(lease / 4, 3 * lease);
      world_->Note("its machine is suspended", validator->settings().id, gone / kMillisecond);
      world_->Pause(validator->node(), world_->now() + gone);
      world_->At(world_->now() + gone, validator->node(),
                 [this, validator, gone] {
                   validator->clock().StandStill(gone);
                   Probe(*validator);
                 },
                 /*first=*/true);
      return;
    }
    case kWallStep:
      world_->Note("its wall clock is stepped", validator->settings().id);
      return validator->clock().StepWall(world_->Between(-5000, 5000) * kMillisecond);
  }
}

void Town::RunUntil(int64_t time) {
  bool reached = false;
  world_->At(time, 0, [&reached] { reached = true; });
  while (!reached && !world_->broken() && world_->Step()) {
  }
}

void Town::Live() {
  auto disk = std::make_shared<Disk>();
  MemoryEngine::Options options;
  options.epoch = world_->rng().Hex(16);
  disk->engine = *MemoryEngine::Open(options);
  disk->history = oracle_.NewHistory(options.epoch);
  disk_ = disk;
  service_ = StartService(disk_);
  for (int i = 0; i < fate_.validators; ++i) {
    auto link = std::make_shared<Link>();
    link->delay = fate_.delay;
    AddValidator(absl::StrCat("edge-", i), fate_.fail_open && i == 0, link);
  }
  for (int i = 0; i < 8; ++i) Mint();
  if (fate_.stuck) {
    stuck_ = std::make_shared<StuckClient>(world_, &oracle_, [this] { return Reachable(); },
                                           Nanos(fate_.service.ping_interval));
    stuck_->Connect();
  }
  RunUntil(100 * kMillisecond);
  for (int i = 0; i < 6; ++i) Create(i);

  const int64_t end = world_->now() + fate_.length;
  std::function<void()> check, change, fault, receipt;
  const auto again = [this, end](int64_t mean, std::function<void()>* what) {
    if (world_->now() < end) world_->After(world_->Exponential(mean), 0, [what] { (*what)(); });
  };
  check = [&] {
    CheckSomething();
    again(fate_.check_every, &check);
  };
  change = [&] {
    if (!quiet_ && !healing_) ChangeSomething();
    again(fate_.change_every, &change);
  };
  receipt = [&] {
    AskForReceipt();
    again(fate_.change_every, &receipt);
  };
  fault = [&] {
    if (healing_) return;
    Misfortune();
    // A process that ended by itself is started again, as an operator's supervisor would.
    if (service_ != nullptr && !service_->alive()) {
      RestartLater(world_->Exponential(200 * kMillisecond));
    }
    again(fate_.fault_every, &fault);
  };
  check();
  change();
  receipt();
  fault();
  RunUntil(end);
  // What is still due of these lies past the end.
  if (!world_->broken()) Heal();
  if (!world_->broken()) JudgeLiveness();
}

void Town::Heal() {
  healing_ = true;
  // Whatever is stopped goes on by itself.
  RunUntil(world_->now() + 3 * Nanos(fate_.service.lease));
  for (const auto& validator : validators_) {
    validator->link() = Link();
  }
  for (const auto& validator : lingering_) validator->Crash(true);
  if (former_ != nullptr) former_->Crash();
  former_ = nullptr;
  world_->Note("all is mended");
  // A store that was rolled back takes a new epoch, noticed or not.
  if (quiet_ || (service_ != nullptr && service_->rolled_back())) Restore(false);
  if (service_ != nullptr) service_->Mend();
}

void Town::JudgeLiveness() {
  const int64_t hold = restores_ > 0 ? 620 * kSecond : 0;  // of R17
  const int64_t lease = 2 * Nanos(fate_.service.lease);
  // Longer than every hold, backoff and silence there is.
  const int64_t patience = hold + 4 * lease + Nanos(fate_.service.write_window) * 2 + 20 * kSecond +
                           Nanos(fate_.service.no_progress_limit);
  const int64_t until = world_->now() + patience;
  std::string late;
  while (!world_->broken()) {
    if (service_ == nullptr || !service_->alive()) RestartLater(kMillisecond);
    late.clear();
    if (service_ == nullptr || !service_->serving() || service_->draining()) {
      late = "the service";
    } else {
      const auto& events = disk_->history->events();
      const int64_t last = events.empty() ? 0 : events.rbegin()->first;
      for (const auto& validator : validators_) {
        if (!validator->InSync(last, disk_->history->epoch())) late = validator->settings().id;
      }
      if (static_cast<int>(validators_.size()) < fate_.validators) late = "a validator's restart";
      if (late.empty()) {
        const v1::Receipt now = service_->ReceiptFor(disk_->history->head());
        if (!oracle_.OnReceipt(disk_->history, now)) late = "the receipt";
      }
    }
    if (late.empty()) break;
    if (world_->now() > until) {
      return world_->Break("liveness", absl::StrCat("all is mended, and ", late,
                                                    " is not well again"));
    }
    RunUntil(world_->now() + 200 * kMillisecond);
  }
  if (world_->broken()) return;
  // A change from here on is enforced: in a lease and A, whoever is stuck (R6).
  const int token = Mint();
  Create(token, /*lasting=*/true);
  RunUntil(world_->now() + kSecond);
  if (world_->broken()) return;
  TokenTruth truth = disk_->history->Now(token);
  if (!truth.exists) return world_->Break("liveness", "a token cannot be created");
  for (const auto& validator : validators_) {
    validator->Check(token, tokens_[token].token_string, "", true);
  }
  RunUntil(world_->now() + kSecond);
  v1::RevokeTokenRequest request;
  request.set_name(FormatTokenName(tokens_[token].workspace, tokens_[token].public_id));
  recent_.insert(token);
  bool enforced = false;
  const std::shared_ptr<History> history = disk_->history;
  service_->Propose(
      *RevokeTokenCommand::Make(request, "sim"),
      [token, history](int64_t revision, uint32_t) {
        TokenTruth now = history->Now(token);
        now.end = TokenTruth::End::kRevoked;
        history->Set(token, revision, now);
      },
      [&, this](const absl::StatusOr<Committed>& result) {
        if (!result.ok()) return;
        ReceiptQuestion question;
        question.revision = result->revision;
        const absl::Duration limit = fate_.service.lease * 2.5 + fate_.service.ack_limit +
                                     absl::Seconds(2);
        service_->WaitEnforced(question, limit, [&, this](v1::Receipt receipt) {
          enforced = receipt.state() == v1::ENFORCEMENT_STATE_ENFORCED;
          OnReceipt(history, receipt);
        });
      });
  RunUntil(world_->now() + Nanos(fate_.service.lease * 3 + fate_.service.ack_limit) +
           3 * kSecond);
  if (!world_->broken() && !enforced) {
    world_->Break("liveness", "a revocation is not enforced within a lease and A");
  }
}

Outcome RunSeed(uint64_t seed, bool record) {
  World world(seed * 0x9e3779b97f4a7c15 + 0x1234567, record);
  {
    Town town(&world);
    town.Live();
  }
  Outcome outcome;
  outcome.seed = seed;
  outcome.broken = world.broken();
  outcome.invariant = world.invariant();
  outcome.how = world.how();
  outcome.hash = world.hash();
  outcome.steps = world.steps();
  outcome.faults = world.faults;
  outcome.receipts = world.receipts_judged;
  outcome.admits = world.admits_judged;
  outcome.denials = world.denials_judged;
  outcome.history = world.history();
  return outcome;
}

}  // namespace tollgate::simulation
