// One run: the town's life, then its recovery, and the checks of what must then be true.
// clang-format off
#include "tests/simulation/town.h"  // before storage/schema.h: see town.h
// clang-format on

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/proto_time.h"
#include "google/protobuf/util/time_util.h"
#include "service/tokens/revoke_token.h"
#include "storage/schema.h"
#include "tests/simulation/simulation.h"
#include "token/resource_name.h"

namespace tollgate::simulation {
namespace {

// In one seed of so many Abseil watches the order in which locks are taken, and ends the program
// where two orders could meet. That takes an eighth of a run's time, and the orders lie in the code
// rather than in the seed.
constexpr uint64_t kLocksWatched = 16;

}  // namespace

// A faulty validator: it pings, and applies nothing (R6).
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
                                               ++stream_, server, "spiffe://sim/stuck");
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
  void OnDown(uint64_t stream, const v1::FollowResponse& message) override {
    if (stream != stream_ || !message.has_welcome()) return;
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

Town::~Town() {
  if (stuck_ != nullptr) stuck_->Stop();
  for (auto* all : {&validators_, &lingering_}) {
    for (auto& validator : *all) validator->Crash(true);
  }
  if (former_ != nullptr) former_->Crash();
  if (service_ != nullptr) service_->Crash();
  world_->Clear();
  if (folder_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Town::RunUntil(int64_t time) {
  bool reached = false;
  world_->At(time, 0, [&reached] { reached = true; });
  while (!reached && !world_->broken() && world_->Step()) {
  }
}

void Town::Live() {
  auto disk = std::make_shared<Disk>();
  storage::MemoryEngine::Options options;
  options.epoch = world_->rng().Hex(16);
  disk->engine = *storage::MemoryEngine::Open(options);
  disk->history = oracle_.NewHistory(options.epoch);
  if (fate_.journal || fate_.loses_tail) {
    // In memory, where such a folder exists.
    folder_ = std::filesystem::is_directory("/dev/shm") ? "/dev/shm"
                                                        : std::filesystem::temp_directory_path();
    folder_ += "/tollgate-simulation-XXXXXX";
    if (mkdtemp(folder_.data()) == nullptr) return world_->Break("set-up", "no folder");
    if (fate_.journal) disk->journal = folder_ + "/journal";
  }
  disk->mark = NewMark();
  disk_ = disk;
  service_ = StartService(disk_);
  for (int i = 0; i < fate_.validators; ++i) {
    auto link = std::make_shared<Link>();
    link->delay = fate_.delay;
    AddValidator(absl::StrCat("edge-", i), fate_.fail_open && i == 0, link);
  }
  if (fate_.misbranded) {
    ValidatorSettings settings = fate_.validator;
    settings.id = "misbranded";
    settings.brand = "other";
    lingering_.push_back(MakeValidator(std::move(settings), std::make_shared<Link>()));
  }
  for (int i = 0; i < 8; ++i) Mint();
  if (fate_.stuck) {
    stuck_ = std::make_shared<StuckClient>(
        world_, &oracle_, [this] { return Reachable(); }, Nanos(fate_.service.feed.ping_interval));
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
  if (fate_.holders) AddHolders(end);
  if (fate_.clock_wrong) SetClockWrong();
  if (fate_.loses_tail) LoseTailNowAndThen();
  if (fate_.annotates) AnnotateNowAndThen();
  if (fate_.open_returns) OpenComesBackNowAndThen();
  check();
  change();
  receipt();
  fault();
  RunUntil(end);
  // Whatever is still due lies past the end.
  if (!world_->broken()) Heal();
  if (!world_->broken()) JudgeLiveness();
}

void Town::Heal() {
  healing_ = true;
  // Everything that is stopped goes on by itself.
  RunUntil(world_->now() + 3 * Nanos(fate_.service.feed.lease));
  for (const auto& validator : validators_) {
    validator->link() = Link();
  }
  for (const auto& validator : lingering_) validator->Crash(true);
  if (former_ != nullptr) former_->Crash();
  former_ = nullptr;
  SetClockRight();
  world_->Note("all is mended");
  // A store that was rolled back takes a new epoch, noticed or not.
  if (put_back_ || (service_ != nullptr && service_->rolled_back())) Restore(false);
  if (service_ != nullptr) service_->Mend();
}

void Town::SleepThroughHold(const v1::Receipt& receipt) {
  if (!fate_.sleeps || !receipt.has_hold_left()) return;
  // Long enough for everyone to be back, with a lease, when the hold ends.
  constexpr int64_t kAwakeAgain = 30 * kSecond;
  const NodeClock& clock = service_->clock();
  const int64_t until =
      clock.TrueTimeOf(clock.Now() + base::FromProto(receipt.hold_left())) - kAwakeAgain;
  if (until < world_->now() + kAwakeAgain) return;
  world_->Note("every machine is stopped for most of the hold", "",
               (until - world_->now()) / kMillisecond);
  world_->PauseAll(until);
  RunUntil(until);
}

void Town::JudgeLiveness() {
  const int64_t hold = restores_ > 0 ? 620 * kSecond : 0;  // of R17
  const int64_t lease = fate_.longest_lease;
  // Longer than every hold, backoff and silence there is.
  const int64_t patience = hold + 4 * lease + Nanos(fate_.service.feed.write_window) * 2 +
                           20 * kSecond + Nanos(fate_.service.feed.no_progress_limit) +
                           // Who was refused for its history, by a service on an older copy, stays
                           // away for up to twice half a minute.
                           60 * kSecond;
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
        if (!oracle_.OnReceipt(disk_->history, now)) {
          late = "the receipt";
          SleepThroughHold(now);
        }
      }
    }
    if (late.empty()) break;
    if (world_->now() > until) {
      return world_->Break("liveness",
                           absl::StrCat("all is mended, and ", late, " is not well again"));
    }
    RunUntil(world_->now() + 200 * kMillisecond);
  }
  if (world_->broken()) return;
  // From here on a change is enforced within a lease and A, whoever is stuck (R6).
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
  request.set_name(token::FormatTokenName(tokens_[token].workspace, tokens_[token].public_id));
  recent_.insert(token);
  bool enforced = false;
  const std::shared_ptr<History> history = disk_->history;
  service_->Propose(
      *service::RevokeTokenCommand::Make(request, "sim"),
      [token, history](int64_t revision, uint32_t) {
        TokenTruth now = history->Now(token);
        now.end = TokenTruth::End::kRevoked;
        history->Set(token, revision, now);
      },
      [&, this](const absl::StatusOr<storage::Committed>& result) {
        if (!result.ok()) return;
        service::ReceiptQuestion question;
        question.revision = result->revision;
        const absl::Duration limit = absl::Nanoseconds(fate_.longest_lease) * 1.25 +
                                     fate_.service.feed.ack_limit + absl::Seconds(2);
        service_->WaitEnforced(question, limit, [&, this](v1::Receipt receipt) {
          enforced = receipt.state() == v1::ENFORCEMENT_STATE_ENFORCED;
          OnReceipt(history, receipt);
        });
      });
  RunUntil(world_->now() + fate_.longest_lease * 3 / 2 + Nanos(fate_.service.feed.ack_limit) +
           3 * kSecond);
  if (!world_->broken() && !enforced) {
    world_->Break("liveness", "a revocation is not enforced within a lease and A");
  }
}

Outcome RunSeed(uint64_t seed, bool record) {
  absl::SetMutexDeadlockDetectionMode(seed % kLocksWatched == 0 ? absl::OnDeadlockCycle::kAbort
                                                                : absl::OnDeadlockCycle::kIgnore);
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
  outcome.holds = world.holds_opened;
  outcome.holds_judged = world.holds_judged;
  outcome.history = world.history();
  return outcome;
}

}  // namespace tollgate::simulation
