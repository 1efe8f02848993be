#include "tests/simulation/validator_node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "token/token_string.h"

namespace tollgate::simulation {

using tollgate::v1::FollowResponse;
using tollgate::v1::ResolveRequest;
using tollgate::v1::ResolveResponse;

namespace {

constexpr int64_t kResolveDeadline = 8 * kSecond;

// The annotations that the edge tells of with an admission.
std::map<std::string, std::string> ToldWith(const validator::Decision& decision) {
  std::map<std::string, std::string> told;
  token::GrantView grant;
  if (!decision.admitted() || !decision.ReadIdentity(&grant)) return told;
  for (size_t i = 0; i < grant.annotation_count(); ++i) {
    told[std::string(grant.annotation_key(i))] = std::string(grant.annotation_value(i));
  }
  return told;
}

}  // namespace

ValidatorNode::ValidatorNode(World* world, Oracle* oracle, ValidatorSettings settings,
                             Router router, std::shared_ptr<Link> link)
    : world_(world),
      oracle_(oracle),
      settings_(std::move(settings)),
      folder_(settings_.folder != nullptr ? settings_.folder : std::make_shared<StateFolder>()),
      router_(std::move(router)),
      link_(std::move(link)),
      node_(world->AddNode()),
      clock_(world, settings_.clock_rate, world->Between(0, 1000) * kSecond,
             world->Between(-100, 100) * kSecond),
      random_(world->rng().Uniform(UINT64_MAX)) {
  validator::ValidatorOptions options;
  options.format = *token::TokenFormat::ForBrand(settings_.brand);
  options.follower.validator_id = settings_.id;
  options.follower.version = "sim";
  options.follower.drift_bound = settings_.drift;
  options.follower.welcome_timeout = settings_.welcome_timeout;
  options.follower.backoff_first = absl::Milliseconds(20);
  options.follower.backoff_longest = absl::Milliseconds(500);
  options.follower.stable_after = absl::Seconds(2);
  options.follower.keeper = folder_.get();
  options.follower.proof = folder_->proof;
  if (settings_.fail_open_for > absl::ZeroDuration()) {
    options.follower.stale_policy = tollgate::v1::STALE_POLICY_FAIL_OPEN;
    options.follower.fail_open_for = settings_.fail_open_for;
  }
  options.cache.entries = 64;
  options.cache.large_entries = 8;
  options.cache.unknown_entries = 64;
  options.holds.most = 64;
  options.holds.answer_within = settings_.answer_within;
  auto validator = validator::Validator::Create(
      std::move(options), clock_, random_,
      [this](const ResolveRequest& request,
             std::function<void(absl::StatusOr<ResolveResponse>)> answer) {
        Ask(request, std::move(answer));
      });
  if (!validator.ok()) world_->Break("set-up", std::string(validator.status().message()));
  validator_ = *std::move(validator);
  validator_->SetHurry([this] { TickAt(clock_.Now()); });
}

ValidatorNode::~ValidatorNode() { Crash(true); }

void ValidatorNode::Start() {
  world_->Note("validator starts", settings_.id);
  Do(validator_->Start());
}

void ValidatorNode::Crash(bool connection_noticed) {
  if (!alive_) return;
  alive_ = false;
  world_->Note("validator is gone", settings_.id);
  if (connection_ != nullptr) {
    connection_->ClientClose(connection_noticed ? world_->Exponential(3 * kMillisecond)
                                                : world_->Between(0, 20 * kSecond));
    connection_ = nullptr;
  }
  auto asked = std::move(asked_);
  asked_.clear();
  for (auto& [number, answer] : asked) answer(absl::CancelledError("the process ended"));
  const validator::FollowerStatus last = validator_->Status().follower;
  if (!last.epoch.empty()) applied_at_end_ = last.applied_revision;
  validator_.reset();
}

int64_t ValidatorNode::AppliedOf(const History& history) const {
  if (following_.get() != &history) return 0;
  if (!alive_) return applied_at_end_;
  const validator::FollowerStatus status = validator_->Status().follower;
  return status.epoch.empty() ? 0 : status.applied_revision;
}

void ValidatorNode::SayGoodbye() {
  if (!alive_ || said_goodbye_) return;
  // An embedding program may call Goodbye alone; the daemon stops admitting first.
  if (world_->Chance(0.5)) validator_->StopAdmitting();
  world_->Note("says goodbye", settings_.id);
  said_goodbye_ = true;
  Do(validator_->Goodbye());
}

void ValidatorNode::Do(validator::FollowerActions actions) {
  if (connection_ != nullptr) {
    for (const auto& message : actions.send) {
      if (message.has_hello()) hello_ = message.hello();
      if (message.has_ping()) {
        world_->Note("ping", settings_.id, static_cast<int64_t>(message.ping().sequence()),
                     message.ping().applied_revision());
      }
      connection_->Send(message.SerializeAsString());
    }
    if (actions.finish) connection_->FinishSending();
  }
  if (actions.disconnect && connection_ != nullptr) {
    world_->Note(actions.why, settings_.id);
    // Most servers notice at once; a server behind a dead connection notices much later.
    connection_->ClientClose(world_->Chance(0.8) ? world_->Exponential(3 * kMillisecond)
                                                 : world_->Between(0, 15 * kSecond));
    connection_ = nullptr;
    world_->After(1000, node_, [self = shared_from_this(), stream = actions.stream] {
      if (self->alive_) self->Do(self->validator_->StreamClosed(stream));
    });
  }
  if (actions.connect) {
    parts_.clear();
    const std::shared_ptr<ServiceNode> server = router_();
    if (server == nullptr) {
      world_->After(world_->Exponential(5 * kMillisecond), node_,
                    [self = shared_from_this(), stream = actions.stream] {
                      if (self->alive_) self->Do(self->validator_->StreamClosed(stream));
                    });
    } else {
      connection_ = std::make_shared<Connection>(world_, oracle_, link_.get(), node_,
                                                 std::weak_ptr<ClientEnd>(weak_from_this()),
                                                 actions.stream, server, caller());
      connection_->Open();
    }
  }
  if (actions.wake_at != base::BootTime::InfiniteFuture()) TickAt(actions.wake_at);
  validator_->Settle();
}

v1::Hello ValidatorNode::HelloNow() const {
  v1::Hello hello = hello_;
  const validator::FollowerStatus status = validator_->Status().follower;
  hello.set_epoch(status.epoch);
  hello.set_applied_revision(status.applied_revision);
  if (folder_->proof.has_value()) *hello.mutable_proof() = *folder_->proof;
  return hello;
}

int64_t ValidatorNode::TimeLag() const {
  return longest_lag_ + 100 * kMillisecond +
         static_cast<int64_t>(2 * settings_.drift * static_cast<double>(settings_.longest_lease));
}

void ValidatorNode::Admitted(const Judged& judged) {
  ++admits;
  oracle_->OnAdmitted(judged, TimeLag());
}

void ValidatorNode::TickAt(base::BootTime boot) {
  const int64_t at = clock_.TrueTimeOf(boot);
  if (at >= next_tick_ && next_tick_ >= world_->now()) return;
  next_tick_ = at;
  const uint64_t number = ++tick_number_;
  world_->At(at, node_, [self = shared_from_this(), number] {
    if (!self->alive_ || number != self->tick_number_) return;
    self->next_tick_ = INT64_MAX;
    self->Do(self->validator_->Tick());
  });
}

void ValidatorNode::OnOpen(uint64_t stream, bool ok) {
  if (!alive_) return;
  if (ok) {
    Do(validator_->StreamConnected(stream));
  } else {
    if (connection_ != nullptr && connection_->stream() == stream) connection_ = nullptr;
    Do(validator_->StreamClosed(stream));
  }
}

void ValidatorNode::OnEnd(uint64_t stream) {
  if (!alive_) return;
  if (connection_ != nullptr && connection_->stream() == stream) connection_ = nullptr;
  Do(validator_->StreamClosed(stream));
}

void ValidatorNode::OnDown(uint64_t stream, const FollowResponse& message) {
  if (!alive_) return;
  const bool present = connection_ != nullptr && connection_->stream() == stream;
  int64_t resets = 0;
  StateFolder before;
  if (message.has_welcome()) {
    resets = validator_->Status().follower.resets;
    before = *folder_;
  }
  validator::FollowerActions actions = validator_->StreamMessage(stream, message);
  if (present) {
    if (message.has_welcome()) CheckNotForked(before, *connection_->server()->disk()->history);
    if (std::exchange(folder_->kept_now, false)) {
      folder_->history = connection_->server()->disk()->history;
    }
    Watch(message, resets);
  }
  Do(std::move(actions));
}

void ValidatorNode::CheckNotForked(const StateFolder& before, const History& told) {
  if (!before.proof.has_value() || before.history == nullptr ||
      before.proof->epoch() != told.epoch()) {
    return;
  }
  int64_t shared = INT64_MAX;  // up to here both are one
  for (const History* h = &told; h != nullptr; h = h->parent().get()) {
    if (h == before.history.get()) {
      if (before.proof->revision() <= shared) return;
      break;
    }
    shared = std::min(shared, h->forked_at());
  }
  world_->Break("R19", absl::StrCat(settings_.id, " can prove revision ", before.proof->revision(),
                                    " of a history that this service's store lost at ", shared,
                                    ", and was let in"));
}

void ValidatorNode::Watch(const FollowResponse& message, int64_t resets) {
  const validator::FollowerStatus after = validator_->Status().follower;
  const std::shared_ptr<History>& told = connection_->server()->disk()->history;
  if (message.has_welcome()) {
    world_->Note(message.welcome().reset() ? "reset" : "resumed", settings_.id,
                 after.applied_revision, message.welcome().revision());
    if (after.phase != validator::FollowerStatus::Phase::kFollowing) return;
    welcomed_by_ = connection_->server()->name();
    if (after.resets > resets) {
      delivered_.clear();
      vouched_ = after.applied_revision;
    }
    following_ = told;
  } else if (message.has_events()) {
    for (const auto& part : message.events().revisions()) {
      int& came = parts_[part.revision()];
      came += part.events_size();
      auto all = told->events().find(part.revision());
      if (all != told->events().end() && came >= all->second) delivered_.insert(part.revision());
      world_->Note(part.partial() ? "part of a revision" : "revision", settings_.id,
                   part.revision(), part.events_size());
    }
  } else if (message.has_pong()) {
    const int64_t told =
        google::protobuf::util::TimeUtil::TimestampToNanoseconds(message.pong().service_time());
    longest_lag_ =
        std::max(longest_lag_, absl::ToUnixNanos(NodeClock::WallAt(world_->now())) - told);
    world_->Note(
        "pong", settings_.id, static_cast<int64_t>(message.pong().sequence()),
        message.pong().revision(),
        message.pong().lease().seconds() * 1000 + message.pong().lease().nanos() / 1'000'000);
  }
  if (following_ == nullptr || after.epoch != following_->epoch()) return;
  // I3: applied means every event up to there came, and none was skipped.
  const auto& events = following_->events();
  for (auto it = events.upper_bound(vouched_);
       it != events.end() && it->first <= after.applied_revision; ++it) {
    if (delivered_.count(it->first) == 0) {
      return world_->Break("I3", absl::StrCat(settings_.id, " has applied ", after.applied_revision,
                                              " and never got revision ", it->first));
    }
  }
  vouched_ = std::max(vouched_, after.applied_revision);
}

void ValidatorNode::Ask(const ResolveRequest& request,
                        std::function<void(absl::StatusOr<ResolveResponse>)> answer) {
  oracle_->CheckBytes(request.SerializeAsString(), "a question");
  const uint64_t number = next_question_++;
  asked_.emplace(number, std::move(answer));
  const auto settle = [weak = weak_from_this(), number](absl::StatusOr<ResolveResponse> result) {
    auto self = weak.lock();
    if (self == nullptr || !self->alive_) return;
    auto found = self->asked_.find(number);
    if (found == self->asked_.end()) return;
    auto settled = std::move(found->second);
    self->asked_.erase(found);
    settled(std::move(result));
  };
  world_->After(kResolveDeadline, node_,
                [settle] { settle(absl::DeadlineExceededError("no answer in time")); });
  const std::shared_ptr<ServiceNode> server = router_();
  if (server == nullptr) {
    world_->After(world_->Exponential(3 * kMillisecond), node_,
                  [settle] { settle(absl::UnavailableError("nobody there")); });
    return;
  }
  // Resolve has another connection than the stream, so there is no order between the two.
  const auto late = [this] {
    int64_t delay = world_->Exponential(settings_.resolve_delay) + 10'000;
    if (world_->Chance(settings_.resolve_straggles)) {
      delay += world_->Exponential(settings_.straggle);
    }
    return delay;
  };
  const int64_t back = late();
  world_->After(late(), server->node(),
                [world = world_, oracle = oracle_, node = node_, server, request, settle, back] {
                  absl::StatusOr<ResolveResponse> result = server->Resolve(request);
                  if (result.ok()) oracle->CheckBytes(result->SerializeAsString(), "an answer");
                  world->After(back, node,
                               [settle, result = std::move(result)] { settle(result); });
                });
}

Judged ValidatorNode::Context(int token, const std::string& scope) const {
  Judged judged;
  judged.who = settings_.id;
  judged.token = token;
  judged.scope = scope;
  judged.said_goodbye = said_goodbye_;
  const validator::FollowerStatus status = validator_->Status().follower;
  judged.applied = status.applied_revision;
  if (!status.epoch.empty()) judged.following = following_;
  return judged;
}

void ValidatorNode::Check(int token, const std::string& token_string, const std::string& scope,
                          bool ask) {
  if (!alive_ || world_->broken()) return;
  token::Requirement requirement;
  if (!scope.empty()) requirement.all_scopes.push_back(scope);
  validator::Decision decision;
  Judged judged = Context(token, scope);
  if (validator_->Check(token_string, requirement, &decision)) {
    judged.verdict = decision.verdict;
    judged.reason = decision.reason;
    judged.fail_open = decision.fail_open;
    judged.told = ToldWith(decision);
    if (decision.admitted()) Admitted(judged);
    if (decision.verdict != tollgate::v1::VERDICT_UNAVAILABLE) {
      world_->Note(decision.admitted() ? "admits" : "denies", settings_.id, token, judged.reason);
    }
    return oracle_->Judge(judged);
  }
  if (!ask) return;
  validator_->CheckAsync(
      token_string, requirement, [this, token, scope](const validator::Decision& answered) {
        if (!alive_ || world_->broken()) return;
        Judged fresh = Context(token, scope);
        fresh.verdict = answered.verdict;
        fresh.reason = answered.reason;
        fresh.fail_open = answered.fail_open;
        fresh.told = ToldWith(answered);
        if (answered.admitted()) Admitted(fresh);
        world_->Note(answered.admitted() ? "admits, having asked" : "refuses, having asked",
                     settings_.id, token, answered.reason);
        oracle_->Judge(fresh);
      });
}

void ValidatorNode::OpenHold(const validator::Holds::HolderRef& holder, uint64_t id, int token,
                             const std::string& token_string, const std::string& scope) {
  token::Requirement requirement;
  if (!scope.empty()) requirement.all_scopes.push_back(scope);
  (void)validator_->OpenHold(holder, id, token_string,
                             std::make_shared<const token::Requirement>(requirement),
                             [this, token, scope](const validator::Decision& decision,
                                                  tollgate::v1::ValidateResponse* words) {
                               words->set_verdict(decision.verdict);
                               words->set_reason(decision.reason);
                               if (!alive_ || world_->broken()) return;
                               Judged judged = Context(token, scope);
                               judged.verdict = decision.verdict;
                               judged.reason = decision.reason;
                               judged.told = ToldWith(decision);
                               if (decision.admitted()) Admitted(judged);
                               oracle_->Judge(judged);
                             });
}

bool ValidatorNode::InSync(int64_t last_event_revision, const std::string& epoch) const {
  const validator::ValidatorStatus status = validator_->Status();
  return status.follower.epoch == epoch &&
         status.follower.applied_revision >= last_event_revision &&
         status.lease == validator::LeaseState::kLive;
}

}  // namespace tollgate::simulation
