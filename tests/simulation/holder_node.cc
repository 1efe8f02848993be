#include "tests/simulation/holder_node.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"

namespace tollgate::simulation {
namespace {

constexpr size_t kMostHeld = 6;
constexpr char kScope[] = "a:read";

}  // namespace

HolderNode::HolderNode(World* world, Oracle* oracle, HolderSettings settings, Host host,
                       std::function<Token(uint64_t random)> any)
    : world_(world),
      oracle_(oracle),
      settings_(settings),
      host_(std::move(host)),
      any_(std::move(any)),
      node_(world->AddNode()),
      random_(world->holder_rng().Uniform(UINT64_MAX)),
      clock_(world, settings.clock_rate, 500 * kSecond, 0) {}

int64_t HolderNode::Exponential(int64_t mean) {
  return static_cast<int64_t>(-static_cast<double>(mean) * std::log(1 - random_.UniformReal()));
}

void HolderNode::Start() {
  world_->After(Exponential(100 * kMillisecond), node_,
                [self = shared_from_this()] { self->Act(); });
}

void HolderNode::Act() {
  if (world_->now() >= settings_.until) return;
  const std::shared_ptr<ValidatorNode> edge = host_();
  if (stream_ != nullptr && stream_->broken) {
    past_.push_back(std::move(stream_));
    stream_ = nullptr;
    if (past_.size() > 4) past_.erase(past_.begin());
  }
  if (stream_ == nullptr) {
    if (edge != nullptr && edge->alive()) Connect();
  } else if (Chance(0.03)) {
    Break();
  } else if (Chance(0.02)) {
    world_->Pause(node_, world_->now() + Exponential(settings_.longest_lease / 2));
  } else if (Chance(0.4)) {
    Open();
  } else if (!stream_->held.empty() && Chance(0.15)) {
    // Its client leaves.
    const auto it = stream_->held.begin();
    const uint64_t id = it->first;
    stream_->held.erase(it);
    Up(stream_, [stream = stream_, id] { (void)stream->edge->holds()->Close(stream->ref, id); });
  } else {
    Renew();
  }
  world_->After(settings_.longest_lease / 24 + Exponential(settings_.longest_lease / 12), node_,
                [self = shared_from_this()] { self->Act(); });
}

void HolderNode::Connect() {
  auto stream = std::make_shared<Stream>();
  stream->edge = host_();
  auto ref = stream->edge->holds()->Join(
      [weak_self = weak_from_this(), weak = std::weak_ptr<Stream>(stream)] {
        const auto self = weak_self.lock();
        const auto woken = weak.lock();
        if (self != nullptr && woken != nullptr) self->Pull(woken);
      });
  if (!ref.ok()) return;
  stream->ref = *std::move(ref);
  stream_ = std::move(stream);
  Up(stream_, [stream = stream_, name = absl::StrCat("holder-", node_)] {
    (void)stream->edge->holds()->Hello(stream->ref, name);
  });
}

// One end hears of it now, the other at some time.
void HolderNode::Break() {
  const std::shared_ptr<Stream> stream = stream_;
  const bool edge_first = Chance(0.5);
  const int64_t later =
      Chance(0.5) ? Exponential(3 * kMillisecond) : Exponential(settings_.longest_lease);
  world_->After(edge_first ? 0 : later, node_, [stream] {
    if (std::exchange(stream->left, true) || !stream->edge->alive()) return;
    stream->edge->holds()->Leave(stream->ref);
  });
  world_->After(edge_first ? later : 0, node_, [stream] { stream->broken = true; });
}

void HolderNode::Up(const std::shared_ptr<Stream>& stream, std::function<void()> what) {
  stream->up = std::max(stream->up, world_->now() + Exponential(2 * kMillisecond));
  world_->At(stream->up, stream->edge->node(), [stream, what = std::move(what)] {
    if (stream->left || !stream->edge->alive()) return;
    what();
  });
}

void HolderNode::Open() {
  if (stream_->held.size() + stream_->asked.size() >= kMostHeld) return;
  const Token token = any_(random_.Uniform(UINT64_MAX));
  const uint64_t id = ++stream_->last_id;
  Held held;
  held.token = token.number;
  if (Chance(0.3)) held.scope = kScope;
  stream_->opens[id] = clock_.Now();
  stream_->asked[id] = held;
  Up(stream_, [stream = stream_, id, token, scope = held.scope] {
    stream->edge->OpenHold(stream->ref, id, token.number, token.token_string, scope);
    // What the edge decided by: the history that it follows.
    const auto asked = stream->asked.find(id);
    if (asked == stream->asked.end()) return;
    asked->second.edge = stream->edge;
    asked->second.history = stream->edge->HoldContext(token.number, scope).following;
  });
}

void HolderNode::Renew() {
  const uint64_t sequence = ++stream_->renewed;
  stream_->renews[sequence] = clock_.Now();
  Up(stream_,
     [stream = stream_, sequence] { (void)stream->edge->holds()->Renew(stream->ref, sequence); });
}

void HolderNode::Pull(const std::shared_ptr<Stream>& stream) {
  if (stream->left || !stream->edge->alive()) return;
  tollgate::v1::HoldResponse message;
  while (stream->edge->holds()->NextMessage(stream->ref, &message) ==
         validator::Holds::Next::kMessage) {
    if (message.has_ended()) {
      // I7, as of now: a later message may find another truth.
      const uint64_t id = message.ended().hold_id();
      for (auto* all : {&stream->asked, &stream->held}) {
        const auto found = all->find(id);
        if (found == all->end()) continue;
        Judged judged = stream->edge->HoldContext(found->second.token, found->second.scope);
        judged.reason = message.ended().reason();
        const bool accuses = judged.reason != tollgate::v1::VERDICT_REASON_NO_LEASE &&
                             judged.reason != tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE;
        if (accuses) judged.verdict = tollgate::v1::VERDICT_DENY;
        world_->Note("ends a hold", judged.who, judged.token, judged.reason);
        oracle_->Judge(judged);
      }
    }
    stream->down = std::max(stream->down, world_->now() + Exponential(2 * kMillisecond));
    world_->At(stream->down, node_, [self = shared_from_this(), stream, message] {
      if (!stream->broken) self->OnMessage(stream.get(), stream, message);
    });
    message.Clear();
  }
}

void HolderNode::OnMessage(Stream* stream, const std::shared_ptr<Stream>& kept,
                           const tollgate::v1::HoldResponse& message) {
  if (message.has_opened()) {
    const uint64_t id = message.opened().hold_id();
    const auto asked = stream->asked.find(id);
    if (asked == stream->asked.end()) return;
    if (message.opened().verdict().verdict() == tollgate::v1::VERDICT_ADMIT) {
      Held& held = stream->held[id] = asked->second;
      held.until = stream->opens[id] + base::FromProto(message.opened().good_for());
      world_->Note("holds", held.edge->settings().id, held.token, static_cast<int64_t>(id));
      ++world_->holds_opened;
    }
    stream->asked.erase(asked);
    stream->opens.erase(id);
  } else if (message.has_good_for()) {
    const base::BootTime sent = stream->renews[message.good_for().sequence()];
    stream->renews.erase(stream->renews.begin(),
                         stream->renews.upper_bound(message.good_for().sequence()));
    for (auto& [id, held] : stream->held) {
      held.until = sent + base::FromProto(message.good_for().length());
    }
  } else if (message.has_ended()) {
    const uint64_t id = message.ended().hold_id();
    stream->held.erase(id);
    if (Chance(0.15)) return;  // it has closed, and does not say so
    Up(kept, [kept, id] { (void)kept->edge->holds()->Close(kept->ref, id); });
  }
}

void HolderNode::Judge(const History& history) {
  if (stream_ != nullptr) {
    for (auto& [id, held] : stream_->held) JudgeOne(history, &held);
  }
  for (const auto& stream : past_) {
    for (auto& [id, held] : stream->held) JudgeOne(history, &held);
  }
}

void HolderNode::JudgeOne(const History& history, Held* held) {
  if (world_->broken() || held->until <= clock_.Now() || held->history.get() != &history) return;
  const auto admits = [held](const TokenTruth& truth) {
    return truth.exists && !truth.Off() &&
           (held->scope.empty() || truth.scopes.count(held->scope) > 0);
  };
  if (history.enforced == 0 ||
      history.SomeRevision(held->token, history.enforced, history.head(), admits)) {
    held->told_at = 0;
    return;
  }
  ++world_->holds_judged;
  // Since when it is so, without a break.
  int64_t since = history.enforced;
  const auto versions = history.tokens().find(held->token);
  if (versions != history.tokens().end()) {
    for (auto it = versions->second.rbegin(); it != versions->second.rend(); ++it) {
      if (it->first > history.enforced) continue;
      if (admits(it->second)) break;
      since = it->first;
    }
  }
  const std::shared_ptr<ValidatorNode>& edge = held->edge;
  // An edge that was told may be gone before the last word that it had given is over; one that says
  // goodbye may not.
  const bool told =
      held->told_at != 0 || (!edge->said_goodbye() && edge->AppliedOf(history) >= since);
  const auto wrong = [&](const char* how) {
    world_->Break(
        "holds",
        absl::StrCat("a holder of ", edge->settings().id, " believes that its hold of token ",
                     held->token, " is good for ", absl::FormatDuration(held->until - clock_.Now()),
                     " more, ", how, "; off since ", since, ", enforced ", history.enforced));
  };
  if (!told) return wrong("though its edge was never told, and a receipt says ENFORCED");
  if (held->told_at == 0) held->told_at = world_->now();
  // What it was told before the event is good for a lease at most.
  if (world_->now() > held->told_at + settings_.longest_lease * 5 / 4) {
    wrong("more than a lease after its edge was told");
  }
}

}  // namespace tollgate::simulation
