// What a run is made of, and what goes wrong in it.
// clang-format off
#include "tests/simulation/town.h"  // before storage/schema.h: see town.h
// clang-format on

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "service/restore/replay_command.h"
#include "service/restore/replay_plan.h"
#include "service/tokens/revoke_token.h"
#include "storage/journal/journal.h"
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
  kServiceResumed,
  kStranger,
  kComeBackLate,
  kLowerTheLease,
  kFaultKinds,
};

// Faults that are too rare, or too severe, to be in most runs.
bool InThisRun(World* world, int fault) {
  switch (fault) {
    case kSteal:
    case kRollBack:
      return world->Chance(0.12);
    case kRestore:
      return world->Chance(0.1);
    case kComeBackLate:
    case kLowerTheLease:
      return world->Chance(0.15);
    default:
      return world->Chance(0.45);
  }
}

int64_t LateBetween(World* world, int64_t low_ms, int64_t high_ms) {
  return (low_ms + static_cast<int64_t>(
                       world->late_rng().Uniform(static_cast<uint64_t>(high_ms - low_ms)))) *
         kMillisecond;
}

}  // namespace

Fate DrawFate(World* world) {
  Fate fate;
  const int64_t lease_ms = world->Pick<int64_t>({800, 1500, 3000});
  fate.brand = world->Pick<const char*>({"tg", "tg", "acme"});
  fate.service.feed.brand = fate.brand;
  fate.validator.brand = fate.brand;
  fate.drift = world->Pick({0.001, 0.02, 0.08});
  fate.service.feed.lease = absl::Milliseconds(lease_ms);
  fate.service.feed.ping_interval = absl::Milliseconds(lease_ms / world->Pick<int64_t>({3, 5, 8}));
  fate.service.feed.ack_limit = absl::Milliseconds(lease_ms * world->Pick<int64_t>({1, 2}) / 2);
  fate.service.feed.write_window = absl::Milliseconds(world->Pick<int64_t>({250, 600, 1500, 3000}));
  fate.service.feed.drift_bound = fate.drift;
  fate.service.feed.ring.max_revisions = world->Pick<size_t>({3, 12, 200});
  fate.service.feed.ring.max_bytes = world->Pick<size_t>({1500, 1 << 20});
  fate.service.feed.ring.max_part_bytes = world->Pick<size_t>({50, 90, 400, 1 << 18});
  fate.service.feed.preload_revisions = world->Pick<int64_t>({0, 10, 1000});
  fate.service.feed.pong_patience = absl::Milliseconds(world->Pick<int64_t>({30, 300, 1000}));
  fate.service.feed.min_stream_age = absl::Milliseconds(world->Pick<int64_t>({1500, 6000, 60'000}));
  fate.service.feed.max_stream_age = fate.service.feed.min_stream_age * 2;
  fate.service.feed.come_back_within = absl::Milliseconds(150);
  fate.service.feed.usage_interval = fate.service.feed.ping_interval * 4;
  fate.service.feed.catch_up_revisions = 8;
  fate.service.feed.stall_limit = absl::Milliseconds(world->Pick<int64_t>({2000, 10'000}));
  fate.service.feed.no_progress_limit = absl::Milliseconds(world->Pick<int64_t>({2000, 10'000}));
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
  fate.journal = world->Chance(0.5);
  fate.misbranded = world->Chance(0.1);
  fate.validator.drift = fate.drift;
  fate.validator.resolve_delay = fate.delay;
  fate.validator.resolve_straggles = world->Pick({0.0, 0.05, 0.3});
  fate.validator.straggle = world->Pick<int64_t>({100, 600, 3000}) * kMillisecond;
  for (int fault = 0; fault < kFaultKinds; ++fault) {
    // R1 takes a wall clock that is right after a resume as its witness. A wall clock that is set
    // at will in the same run could be a false witness, which no rule claims to detect.
    if (fault == kWallStep && !fate.faults.empty() && fate.faults.back() == kResumedMachine)
      continue;
    if (InThisRun(world, fault)) fate.faults.push_back(fault);
  }
  const bool lowered =
      std::find(fate.faults.begin(), fate.faults.end(), kLowerTheLease) != fate.faults.end();
  const bool late =
      std::find(fate.faults.begin(), fate.faults.end(), kComeBackLate) != fate.faults.end();
  if (late && world->late_rng().UniformReal() < 0.5) {
    // R9: whoever comes back after a start is sent what it lacks from the store, in many pieces.
    fate.service.feed.preload_revisions = 0;
    fate.service.feed.catch_up_revisions = 1;
  }
  fate.open_returns = fate.fail_open && world->late_rng().UniformReal() < 0.5;
  // R14: what such a one lacks is not yet older than A when it comes back (R6).
  if (fate.open_returns) fate.service.feed.ack_limit = fate.service.feed.lease * 3;
  fate.clock_wrong = world->clock_rng().UniformReal() < 0.3;
  fate.loses_tail = world->tail_rng().UniformReal() < 0.15;
  fate.annotates = world->policy_rng().UniformReal() < 0.15;
  fate.sleeps = world->hold_rng().UniformReal() < 0.5;
  fate.holders = world->holder_rng().UniformReal() < 0.25;
  fate.longest_lease = Nanos(fate.service.feed.lease) * (lowered ? 4 : 2);
  fate.validator.longest_lease = fate.longest_lease;
  fate.validator.answer_within = fate.service.feed.lease;
  return fate;
}

Town::Town(World* world)
    : world_(world),
      fate_(DrawFate(world)),
      oracle_(world, absl::Nanoseconds(fate_.longest_lease), fate_.drift, fate_.brand),
      keyring_(token::Keyring::Generate(world->rng())),
      format_(*token::TokenFormat::ForBrand(fate_.brand)) {}

// Another client that may follow the feed, and has learned everything about a session.
class Town::Stranger : public ClientEnd, public std::enable_shared_from_this<Stranger> {
 public:
  Stranger(World* world, Oracle* oracle, v1::Hello hello)
      : world_(world), oracle_(oracle), hello_(std::move(hello)), node_(world->AddNode()) {}
  void Connect(const std::shared_ptr<ServiceNode>& server) {
    connection_ = std::make_shared<Connection>(world_, oracle_, &link_, node_,
                                               std::weak_ptr<ClientEnd>(weak_from_this()), 1,
                                               server, "spiffe://sim/stranger");
    connection_->Open();
  }
  void OnOpen(uint64_t, bool ok) override {
    if (!ok) return;
    v1::FollowRequest request;
    *request.mutable_hello() = hello_;
    connection_->Send(request.SerializeAsString());
    request.mutable_ping()->set_sequence(1);
    request.mutable_ping()->set_applied_revision(int64_t{1} << 40);
    connection_->Send(request.SerializeAsString());
    request.mutable_goodbye();
    if (world_->Chance(0.7)) connection_->Send(request.SerializeAsString());
    connection_->FinishSending();
  }
  void OnDown(uint64_t, const v1::FollowResponse& message) override {
    if (message.has_go_away()) return;
    world_->Break("R4", "a stranger is let in as a session of " + hello_.validator_id());
  }
  void OnEnd(uint64_t) override {}

 private:
  World* const world_;
  Oracle* const oracle_;
  const v1::Hello hello_;
  const int node_;
  Link link_;
  std::shared_ptr<Connection> connection_;
};

std::shared_ptr<ServiceNode> Town::Reachable() {
  if (former_ != nullptr && former_->serving() && !healing_ && world_->Chance(0.4)) {
    return former_;
  }
  return service_ != nullptr && service_->serving() ? service_ : nullptr;
}

std::shared_ptr<ServiceNode> Town::StartService(std::shared_ptr<Disk> disk,
                                                std::function<void()> on_serving) {
  ServiceOptions options = fate_.service;
  if (!coming_leases_.empty()) {
    options.feed.lease = coming_leases_.front();
    options.feed.ping_interval = std::min(options.feed.ping_interval, options.feed.lease / 3);
    coming_leases_.pop_front();
  } else if (fate_.lowers_lease && services_ > 0) {
    const int64_t divide = world_->Pick<int64_t>({1, 1, 2, 4});
    service::Feed::Options& feed = options.feed;
    feed.lease = feed.lease * (divide == 1 ? 2 : 1) / divide;
    feed.ping_interval = std::min(feed.ping_interval, feed.lease / 3);
  }
  // A restart in place knows that its predecessors are dead (R16).
  options.feed.predecessors_dead =
      (service_ == nullptr || !service_->alive()) && (former_ == nullptr || !former_->alive());
  const double rate = 1 + (world_->rng().UniformReal() - 0.5) * fate_.drift * 0.95;
  auto service =
      std::make_shared<ServiceNode>(world_, &oracle_, &keyring_, options, std::move(disk), rate,
                                    absl::StrCat("service-", ++services_));
  if (healing_) service->Mend();
  if (clock_error_ != 0) service->SetClockWrong(clock_error_);
  AuditStore(*service);
  service->Start(std::move(on_serving));
  return service;
}

bool Town::IsPurged(const storage::View& view, int token) const {
  const auto digest = *storage::GetRecord<store::v1::DigestRecord>(
      view, storage::Table::kDigests, tokens_[token].minted.stored_digest.bytes());
  return digest.has_value() && digest->has_tombstone();
}

void Town::AuditStore(ServiceNode& service) {
  // I4: the store holds what the oracle knows at the store's head.
  auto snapshot = *service.disk()->engine->NewSnapshot();
  const History& history = *service.disk()->history;
  if (snapshot->revision() != history.head()) {
    return world_->Break("I4", absl::StrCat("the store is at ", snapshot->revision(),
                                            ", what was committed is at ", history.head()));
  }
  for (const auto& [token, versions] : history.tokens()) {
    const TokenTruth& truth = history.Now(token);
    if (IsPurged(*snapshot, token)) {
      if (truth.exists && truth.end != TokenTruth::End::kNone) continue;
      return world_->Break("I4", absl::StrCat("token ", token, " was purged, and had not ended"));
    }
    const auto record = *storage::GetRecord<store::v1::TokenRecord>(
        *snapshot, storage::Table::kTokens,
        storage::TokenKey(tokens_[token].workspace, tokens_[token].public_id));
    const bool same =
        record.has_value() == truth.exists &&
        (!truth.exists || (record->suspended() == truth.suspended &&
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
    StartAgain();
  });
}

void Town::StartAgain() {
  if (disk_->stopped) return Restore(false);
  service_ = StartService(disk_);
}

void Town::StealVolume() {
  if (service_ == nullptr || !service_->serving() || former_ != nullptr || quiet_) return;
  use_is_whole_ = false;
  auto snapshot = *disk_->engine->NewSnapshot();
  auto disk = std::make_shared<Disk>();
  disk->engine = *storage::MemoryEngine::CopyOf(*snapshot);
  disk->history = disk_->history;
  disk->stopped = disk_->stopped;
  if (!disk_->journal.empty()) {
    disk->journal = absl::StrCat(folder_, "/journal-", ++journals_);
    std::filesystem::copy_file(disk_->journal, disk->journal);
  }
  disk->mark = NewMark();
  if (!disk->mark.empty()) std::filesystem::copy_file(disk_->mark, disk->mark);
  disk_->detached = true;
  former_ = service_;
  disk_ = disk;
  world_->Note("its volume is taken from", former_->name());
  service_ = nullptr;
  // A service that is suspended at once may be resumed long after its successor has declared
  // revisions that it has not heard of, together with a validator that reaches no other service.
  const bool suspended = world_->Chance(0.4);
  if (suspended) {
    if (!validators_.empty()) {
      loyal_ = validators_[world_->rng().Uniform(validators_.size())]->settings().id;
    }
    Suspend(former_, world_->Between(5000, 11'000) * kMillisecond);
  }
  world_->After(world_->Between(0, 500) * kMillisecond, 0, [this] {
    if (service_ == nullptr) StartAgain();
  });
  const int64_t until = world_->Between(2, 12) * kSecond + (suspended ? 6 * kSecond : 0);
  world_->After(until, 0, [this, former = former_] {
    former->Crash();
    if (former_ == former) former_ = nullptr;
  });
}

void Town::Suspend(const std::shared_ptr<ServiceNode>& service, int64_t gone) {
  if (world_->Paused(service->node())) return;  // as kResumedMachine has it
  world_->Note("its machine is suspended", service->name(), gone / kMillisecond);
  world_->Pause(service->node(), world_->now() + gone);
  world_->At(
      world_->now() + gone, service->node(), [service, gone] { service->StandStill(gone); },
      /*first=*/true);
}

namespace {

std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

}  // namespace

void Town::TakeBackup() {
  auto snapshot = *disk_->engine->NewSnapshot();
  backup_ = *storage::MemoryEngine::CopyOf(*snapshot);
  backup_history_ = disk_->history;
  backup_revision_ = snapshot->revision();
  backup_journal_ = disk_->journal.empty() ? "" : ReadBytes(disk_->journal);
  world_->Note("a backup is taken", "", backup_revision_);
}

void Town::Restore(bool journal) {
  if (service_ != nullptr) service_->Crash();
  if (former_ != nullptr) former_->Crash();
  former_ = nullptr;
  use_is_whole_ = false;
  ++restores_;
  const bool from_backup = backup_ != nullptr && backup_history_ == disk_->history;
  const std::shared_ptr<History> before = disk_->history;
  auto snapshot = from_backup ? *backup_->NewSnapshot() : *disk_->engine->NewSnapshot();
  auto disk = std::make_shared<Disk>();
  disk->engine = *storage::MemoryEngine::CopyOf(*snapshot);
  const std::string epoch = world_->rng().Hex(16);
  disk->history = History::Fork(before, snapshot->revision(), epoch);
  world_->Note(journal && !disk_->journal.empty() ? "restored, with the journal"
                                                  : "restored, without a journal",
               "", snapshot->revision());
  snapshot.reset();
  oracle_.Add(disk->history);
  const auto commit = [&](const std::vector<storage::Command*>& commands) {
    auto at = *disk->engine->NewSnapshot();
    storage::BatchOutcome outcome =
        *storage::RunBatch(*at, NodeClock::WallAt(world_->now()), commands);
    at.reset();
    if (!outcome.has_effects) return;
    if (!disk->engine->Commit(outcome.request).ok()) return;
    disk->history->OnCommit(outcome.request.expected_head + 1,
                            outcome.request.events.events().events_size());
  };
  // As service/restore does it.
  service::ReplayPlan plan(before->epoch(), disk->history->head());
  journal = journal && !disk_->journal.empty();
  disk->journal = disk_->journal;
  disk->mark = NewMark();
  if (journal) {
    const absl::StatusOr<storage::JournalScan> scan =
        storage::ScanJournal(disk->journal, [&](const store::v1::JournalRecord& record, int64_t) {
          plan.Add(record);
          return absl::OkStatus();
        });
    if (!scan.ok()) return world_->Break("journal", std::string(scan.status().message()));
    plan.Finish();
  }
  service::ReplayCommand replay(journal ? &plan : nullptr, epoch, "restore", "journal");
  commit({&replay});
  if (journal) {
    // What was put back without a restore is not what was lost.
    const bool put_back = put_back_ && before->parent() != nullptr;
    AuditReplay(put_back ? *before->parent() : *before, *disk);
  }
  backup_ = nullptr;
  disk_ = disk;
  quiet_ = false;
  put_back_ = false;
  service_ = StartService(disk_);
}

void Town::AuditReplay(const History& before, Disk& disk) {
  auto snapshot = *disk.engine->NewSnapshot();
  History& history = *disk.history;
  std::vector<std::pair<int, TokenTruth>> became;
  for (const auto& [token, versions] : history.tokens()) {
    TokenTruth truth = history.Now(token);
    if (!truth.exists) continue;
    const TokenTruth& lost = before.Now(token);
    if (IsPurged(*snapshot, token)) continue;  // before the backup: it knew that it had ended
    const auto record = *storage::GetRecord<store::v1::TokenRecord>(
        *snapshot, storage::Table::kTokens,
        storage::TokenKey(truth.workspace, tokens_[token].public_id));
    bool ended = record->has_ending();
    for (const std::string& owner : {std::string(), truth.owner}) {
      const auto cohort = *storage::GetRecord<store::v1::CohortRecord>(
          *snapshot, storage::Table::kCohorts, storage::CohortKey(truth.workspace, owner));
      ended = ended || (cohort.has_value() &&
                        std::make_pair(record->create_revision(), record->create_index()) <
                            std::make_pair(cohort->revision(), cohort->index()));
    }
    const std::set<std::string> scopes(record->scopes().begin(), record->scopes().end());
    const auto wrong = [&](absl::string_view how) {
      world_->Break("R17", absl::StrCat("after the replay token ", token, how));
    };
    if (!ended) {
      if (lost.end != TokenTruth::End::kNone) return wrong(" is good again");
      if (lost.suspended && !record->suspended()) return wrong(" is not suspended any more");
      for (const std::string& scope : scopes) {
        if (lost.scopes.count(scope) == 0) return wrong(" may do what it might not");
      }
    } else if (lost.end == TokenTruth::End::kNone && truth.end == TokenTruth::End::kNone) {
      return wrong(" has ended, and never had");
    }
    if (ended && truth.end == TokenTruth::End::kNone) truth.end = lost.end;
    truth.suspended = record->suspended();
    truth.scopes = scopes;
    truth.expire_us = record->expire_time_us();
    truth.retire_us = record->retirement().at_time_us();
    became.emplace_back(token, truth);
  }
  for (const auto& [token, truth] : became) history.Set(token, history.head(), truth);
}

void Town::RollBack() {
  // Back by however little, and whether or not it grows past its followers again before they call:
  // whoever was told of what is lost proves it (R19).
  if (backup_ == nullptr || backup_history_ != disk_->history || service_ == nullptr ||
      !service_->serving() || former_ != nullptr || quiet_) {
    return;
  }
  for (const auto& validator : validators_) {
    if (!validator->alive()) return;
    if (validator->Status().follower.applied_revision <= backup_revision_) return;
    if (validator->Status().follower.epoch != disk_->history->epoch()) return;
  }
  use_is_whole_ = false;
  service_->Crash();
  auto snapshot = *backup_->NewSnapshot();
  auto disk = std::make_shared<Disk>();
  disk->engine = *storage::MemoryEngine::CopyOf(*snapshot);
  const std::shared_ptr<History> before = disk_->history;
  disk->history = History::Fork(before, backup_revision_, before->epoch());
  world_->Note("the store is rolled back to", "", backup_revision_);
  const std::string former_journal = disk_->journal;
  snapshot.reset();
  backup_ = nullptr;
  oracle_.Add(disk->history);
  disk_ = disk;
  put_back_ = true;
  quiet_ = world_->Chance(0.3);
  disk->journal = former_journal;
  disk->mark = NewMark();  // R19 is to be tried: this one goes back with the store
  // A snapshot of the whole machine takes the journal back too.
  std::function<void()> on_serving;
  if (!backup_journal_.empty() && !former_journal.empty() && world_->Chance(0.7)) {
    disk->journal = absl::StrCat(folder_, "/journal-", ++journals_);
    std::ofstream(disk->journal, std::ios::binary) << backup_journal_;
  } else if (!former_journal.empty()) {
    on_serving = [this, before, disk] { AuditReplay(*before, *disk); };
  }
  service_ = StartService(disk_, std::move(on_serving));
  const std::shared_ptr<ServiceNode> rolled = service_;
  if (rolled->refused()) return Restore(true);  // the journal is the first to know
  // Once a validator has come back, the roll-back must be known and nothing granted any more.
  world_->After(4 * kSecond, 0, [this, rolled] {
    if (service_ != rolled || !rolled->serving() || healing_ || !put_back_) return;
    Restore(false);
  });
}

void Town::LoseTailNowAndThen() {
  const auto between = [this](int64_t low, int64_t high) {
    return (low +
            static_cast<int64_t>(world_->tail_rng().Uniform(static_cast<uint64_t>(high - low)))) *
           kMillisecond;
  };
  world_->After(between(800, 4000), 0, [this, between] {
    const auto can = [this] {
      return service_ != nullptr && service_->serving() && former_ == nullptr && !quiet_ &&
             !put_back_ && !healing_ && restores_ == 0 && !service_->rolled_back();
    };
    if (healing_) return;
    if (can()) {
      auto snapshot = *disk_->engine->NewSnapshot();
      const std::shared_ptr<storage::MemoryEngine> kept = *storage::MemoryEngine::CopyOf(*snapshot);
      world_->After(between(5, 400), 0,
                    [this, can, kept, node = service_, revision = snapshot->revision()] {
                      if (can() && service_ == node) LoseTail(kept, revision);
                    });
    }
    LoseTailNowAndThen();
  });
}

void Town::LoseTail(std::shared_ptr<storage::MemoryEngine> kept, int64_t revision) {
  service_->Crash();
  const std::shared_ptr<History> before = disk_->history;
  // A machine that lost its power has no whole mark, or none that is as new.
  const bool no_mark = world_->tail_rng().UniformReal() < 0.5;
  if (no_mark) std::filesystem::remove(disk_->mark);
  if (before->head() == revision) return RestartLater(kMillisecond);
  ++world_->faults;
  use_is_whole_ = false;
  auto disk = std::make_shared<Disk>();
  disk->engine = std::move(kept);
  disk->history = History::Fork(before, revision, before->epoch());
  disk->journal = disk_->journal;
  disk->mark = disk_->mark;
  world_->Note(
      no_mark ? "the store loses its tail, and its mark, after" : "the store loses its tail, after",
      "", revision);
  oracle_.Add(disk->history);
  disk_ = disk;
  put_back_ = true;
  service_ = StartService(disk_, [this, before, disk] {
    // What the journal's last entry took away is taken away; one more is too many for a start.
    if (!disk->journal.empty()) AuditReplay(*before, *disk);
  });
  if (service_->refused()) return Restore(true);
  if (!no_mark) {
    return world_->Break("I4", "a store that has lost commits starts, though its mark tells");
  }
  const std::shared_ptr<ServiceNode> started = service_;
  world_->After(4 * kSecond, 0, [this, started] {
    if (service_ != started || !started->serving() || healing_ || !put_back_) return;
    Restore(false);
  });
}

std::string Town::NewMark() {
  return fate_.loses_tail ? absl::StrCat(folder_, "/mark-", ++marks_) : std::string();
}

void Town::AddValidator(const std::string& id, bool fail_open, std::shared_ptr<Link> link,
                        std::shared_ptr<StateFolder> folder) {
  ValidatorSettings settings = fate_.validator;
  settings.id = id;
  settings.folder = std::move(folder);
  settings.clock_rate = 1 + (world_->rng().UniformReal() - 0.5) * fate_.drift * 0.95;
  if (fail_open) settings.fail_open_for = absl::Milliseconds(world_->Between(500, 5000));
  validators_.push_back(MakeValidator(std::move(settings), std::move(link)));
}

std::shared_ptr<ValidatorNode> Town::MakeValidator(ValidatorSettings settings,
                                                   std::shared_ptr<Link> link) {
  auto validator = std::make_shared<ValidatorNode>(
      world_, &oracle_, settings,
      [this, id = settings.id] {
        const bool loyal = id == loyal_ && former_ != nullptr && former_->serving() && !healing_;
        return loyal ? former_ : Reachable();
      },
      std::move(link));
  world_->After(world_->Between(0, 50) * kMillisecond, validator->node(), [validator] {
    if (validator->alive()) validator->Start();
  });
  return validator;
}

std::vector<int> Town::Learn(const std::shared_ptr<ValidatorNode>& validator) {
  std::vector<int> known(recent_.begin(), recent_.end());
  for (int token : known) validator->Check(token, tokens_[token].token_string, "", /*ask=*/true);
  return known;
}

void Town::ComeBackLate(const std::shared_ptr<ValidatorNode>& late,
                        const std::shared_ptr<ValidatorNode>& other) {
  const int64_t lease = Nanos(fate_.service.feed.lease);
  const int64_t away = lease * 3 / 2 + world_->Between(0, lease);
  world_->Note("is stopped until after a restart", late->settings().id, away / kMillisecond);
  const std::vector<int> known = Learn(late);
  world_->After(50 * kMillisecond, 0, [this, late, other, known, away] {
    const int64_t back = world_->now() + away;
    // Nothing of what it misses waits in its socket.
    if (late->connection() != nullptr) late->connection()->Cut(kMillisecond, kMillisecond);
    world_->Pause(late->node(), back);
    for (int token : known) {
      world_->After(world_->Between(away / 10, away * 9 / 10), 0, [this, token] {
        if (!quiet_ && !healing_) Revoke(token);
      });
    }
    world_->At(back - 60 * kMillisecond, 0, [this, other, back] {
      if (service_ == nullptr || !service_->serving() || quiet_) return;
      world_->Pause(other->node(), back + 2 * kSecond);
      service_->Crash();
      RestartLater(kMillisecond);
    });
    for (int i = 1; i <= 150; ++i) {
      world_->At(back + i * 20 * kMillisecond, late->node(), [this, late] { Probe(*late); });
    }
  });
}

void Town::OpenComesBackNowAndThen() {
  const int64_t lease = Nanos(fate_.service.feed.lease);
  world_->After(LateBetween(world_, 500, 4000), 0, [this, lease] {
    if (healing_) return;
    const auto found =
        std::find_if(validators_.begin(), validators_.end(), [](const auto& validator) {
          return validator->settings().fail_open_for > absl::ZeroDuration();
        });
    const bool up = service_ != nullptr && service_->serving() && !quiet_;
    if (!up || found == validators_.end()) return OpenComesBackNowAndThen();
    const std::shared_ptr<ValidatorNode> open = *found;
    ++world_->faults;
    world_->Note("is cut off for longer than its lease", open->settings().id);
    const int64_t off = world_->now() + 100 * kMillisecond;
    const int64_t back = off + lease * 5 / 4 + 300 * kMillisecond;
    world_->At(off, 0, [open, back] {
      open->link().up_blocked_until = back;
      open->link().down_blocked_until = back;
    });
    for (int token : Learn(open)) {
      world_->At(back - LateBetween(world_, 50, 300), 0, [this, token] {
        if (!quiet_ && !healing_) Revoke(token);
      });
    }
    world_->At(back, 0, [this, open] {
      if (healing_) return;
      open->link().slow_until = world_->now() + 3 * kSecond;
      open->link().slow_read = LateBetween(world_, 100, 600);
    });
    for (int i = 1; i <= 40; ++i) {
      world_->At(back + i * 25 * kMillisecond, 0, [this] {
        if (service_ == nullptr || !service_->serving() || healing_) return;
        const std::shared_ptr<History>& history = service_->disk()->history;
        if (history->enforced == 0 || world_->Paused(service_->node())) return;
        OnReceipt(history, service_->ReceiptFor(history->enforced));
      });
    }
    world_->At(back + kSecond, 0, [this] { OpenComesBackNowAndThen(); });
  });
}

void Town::LowerTheLease(const std::shared_ptr<ValidatorNode>& cut_off) {
  const absl::Duration lease = fate_.service.feed.lease;
  world_->Note("the lease is made long");
  coming_leases_ = {lease * 4, lease / 4, lease / 4};
  service_->Crash();
  RestartLater(20 * kMillisecond);
  const auto crash = [this] {
    if (service_ == nullptr || !service_->serving() || quiet_) return false;
    service_->Crash();
    RestartLater(20 * kMillisecond);
    return true;
  };
  world_->After(Nanos(lease), 0, [this, cut_off, lease, crash] {
    world_->Note("is cut off, and the lease made short", cut_off->settings().id);
    const int64_t until = world_->now() + Nanos(lease * 4);
    cut_off->link().up_blocked_until = until;
    cut_off->link().down_blocked_until = until;
    if (!crash()) return coming_leases_.clear();
    world_->After(400 * kMillisecond, 0, [this, crash] {
      crash();
      coming_leases_.clear();
    });
  });
}

void Town::SetClockWrong() {
  base::SeededRandom& rng = world_->clock_rng();
  const auto between = [&rng](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(rng.Uniform(static_cast<uint64_t>(high - low)));
  };
  if (!healing_ && clock_error_ == 0 && service_ != nullptr && service_->alive()) {
    const int64_t hours = between(2, rng.UniformReal() < 0.5 ? 30 : 24 * 400);
    clock_error_ = (rng.UniformReal() < 0.6 ? hours : -hours) * 3600 * kSecond;
    world_->Note("its wall clock is set wrong", service_->name(), clock_error_ / kSecond);
    ++world_->faults;
    service_->SetClockWrong(clock_error_);
    world_->After(between(200, 5000) * kMillisecond, 0, [this] { SetClockRight(); });
  }
  world_->After(between(500, 5000) * kMillisecond, 0, [this] { SetClockWrong(); });
}

void Town::SetClockRight() {
  clock_error_ = 0;
  for (const auto& service : {service_, former_}) {
    if (service == nullptr) continue;
    // Where a start has trusted nothing yet it takes the time daemon's word, a little later.
    service->SetClockWrong(0);
    const int64_t later = static_cast<int64_t>(world_->clock_rng().Uniform(800)) * kMillisecond;
    world_->After(later, 0, [this, service] {
      if (clock_error_ == 0) service->SynchroniseClock();
    });
  }
}

void Town::Impersonate(const std::shared_ptr<ValidatorNode>& validator) {
  // The service knows the session's caller, because it has welcomed the validator.
  const std::shared_ptr<Connection> connection = validator->connection();
  if (connection == nullptr || !connection->server()->serving() ||
      validator->welcomed_by() != connection->server()->name() || strangers_.size() > 20) {
    return;
  }
  world_->Note("somebody else says that they are", validator->settings().id);
  strangers_.push_back(std::make_shared<Stranger>(world_, &oracle_, validator->HelloNow()));
  strangers_.back()->Connect(connection->server());
}

void Town::RestartValidator(size_t index, int64_t delay) {
  const std::shared_ptr<ValidatorNode> gone = validators_[index];
  validators_.erase(validators_.begin() + static_cast<int64_t>(index));
  const std::string id = gone->settings().id;
  const bool fail_open = gone->settings().fail_open_for > absl::ZeroDuration();
  const std::shared_ptr<Link> link = gone->shared_link();
  const std::shared_ptr<StateFolder> folder = gone->folder();
  world_->After(delay, 0,
                [this, id, fail_open, link, folder] { AddValidator(id, fail_open, link, folder); });
}

void Town::Misfortune() {
  if (fate_.faults.empty() || validators_.empty()) return;
  const int fault = fate_.faults[world_->rng().Uniform(fate_.faults.size())];
  const size_t index = world_->rng().Uniform(validators_.size());
  const std::shared_ptr<ValidatorNode> validator = validators_[index];
  const int64_t lease = Nanos(fate_.service.feed.lease);
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
      world_->At(
          until, validator->node(), [this, validator] { Probe(*validator); },
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
      world_->After(world_->Between(lease, 5 * lease), 0,
                    [this, twin] { twin->Crash(world_->Chance(0.5)); });
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
      if (quiet_ || put_back_ || restores_ > 0) return;
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
      // A virtual machine that is stopped, and resumed as if no time had passed but for its wall
      // clock. A machine that stands still already is not stopped again: its boot clock would lose
      // the same time twice, and go back.
      if (world_->Paused(validator->node())) return;
      const int64_t gone = world_->Between(lease / 4, 3 * lease);
      world_->Note("its machine is suspended", validator->settings().id, gone / kMillisecond);
      world_->Pause(validator->node(), world_->now() + gone);
      world_->At(
          world_->now() + gone, validator->node(),
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
    case kServiceResumed: {
      // As kResumedMachine. The worst case is a service whose volume was taken from it meanwhile
      // (R16).
      const std::shared_ptr<ServiceNode> service =
          former_ != nullptr && former_->serving() ? former_ : service_;
      if (service == nullptr || !service->serving()) return;
      return Suspend(service, service == former_ ? world_->Between(1000, 9000) * kMillisecond
                                                 : world_->Between(lease / 4, 3 * lease));
    }
    case kStranger:
      return Impersonate(validator);
    case kComeBackLate:
      if (!up || quiet_ || validators_.size() < 2) return;
      return ComeBackLate(validator, validators_[(index + 1) % validators_.size()]);
    case kLowerTheLease:
      if (!up || quiet_ || !coming_leases_.empty()) return;
      return LowerTheLease(validator);
  }
}

}  // namespace tollgate::simulation
