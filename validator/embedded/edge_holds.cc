#include "validator/embedded/edge_holds.h"

#include <utility>
#include <vector>

#include "base/invariant.h"
#include "base/status.h"
#include "validator/embedded/decision_words.h"
#include "validator/embedded/edge_run.h"
#include "validator/embedded/requirement.h"

namespace tollgate::edge {
namespace {

using tollgate::v1::HoldResponse;
using validator::Holds;

// Answers that the host has not taken, beside what it holds. With more it is given no further one.
constexpr size_t kMostUntold = 1024;

}  // namespace

// ---- The handle.

Hold::Hold() noexcept = default;
Hold::Hold(std::shared_ptr<Held> held) noexcept : held_(std::move(held)) {}
Hold::~Hold() { Close(); }
Hold::Hold(Hold&& from) noexcept = default;

Hold& Hold::operator=(Hold&& from) noexcept {
  if (this == &from) return *this;
  Close();
  held_ = std::move(from.held_);
  return *this;
}

bool Hold::Good() const {
  if (held_ == nullptr) return false;
  // Clocks and lease first, what is known after them (R13). In a forked child there is no lease.
  const bool live = held_->holds->validator_->Live();
  return live && held_->ended.load(std::memory_order_acquire) == 0;
}

Reason Hold::reason() const {
  if (held_ == nullptr) return Reason::kNone;
  if (held_->holds->mark_->InChild()) return Reason::kForked;
  const bool live = held_->holds->validator_->Live();
  const int32_t ended = held_->ended.load(std::memory_order_acquire);
  if (ended != 0) return static_cast<Reason>(ended);
  return live ? Reason::kNone : Reason::kNoLease;
}

void Hold::Close() {
  std::shared_ptr<Held> held = std::move(held_);
  if (held == nullptr) return;
  if (held->holds->mark_->InChild()) {
    // Locks are as the fork found them, so nothing is taken, nor freed.
    static_cast<void>(new std::shared_ptr<Held>(std::move(held)));
    return;
  }
  const std::shared_ptr<EdgeHolds> holds = held->holds;
  holds->Close(held.get());
}

// ---- The holder.

std::shared_ptr<EdgeHolds> EdgeHolds::Start(std::shared_ptr<validator::Validator> validator,
                                            std::shared_ptr<const ForkMark> mark, size_t most) {
  std::shared_ptr<EdgeHolds> holds(new EdgeHolds(std::move(validator), std::move(mark), most));
  absl::StatusOr<Holds::HolderRef> holder =
      holds->validator_->holds().Join([weak = std::weak_ptr<EdgeHolds>(holds)] {
        if (const std::shared_ptr<EdgeHolds> woken = weak.lock()) woken->Pump();
      });
  TOLLGATE_INVARIANT(holder.ok(), "an edge's own holder finds room");
  holds->holder_ = *std::move(holder);
  // How receipts call it: the edge has a name of its own.
  const absl::Status named = holds->validator_->holds().Hello(holds->holder_, "embedded");
  TOLLGATE_INVARIANT(named.ok(), "a name that a holder may have");
  holds->host_ = std::thread([raw = holds.get()] { raw->CallHost(); });
  holds->host_id_ = holds->host_.get_id();
  return holds;
}

EdgeHolds::EdgeHolds(std::shared_ptr<validator::Validator> validator,
                     std::shared_ptr<const ForkMark> mark, size_t most)
    : validator_(std::move(validator)), mark_(std::move(mark)), most_(most) {}

EdgeHolds::~EdgeHolds() { TOLLGATE_INVARIANT(!host_.joinable(), "Finish was called"); }

void EdgeHolds::HoldAsync(absl::string_view token_string, const Requirement& requirement,
                          Edge::HoldEnd on_end, Edge::HoldOpened opened) {
  auto held = std::make_shared<Hold::Held>();
  held->on_end = std::move(on_end);
  held->opened = std::move(opened);
  const Reason refused = Open(held, token_string, requirement);
  if (refused == Reason::kNone) return;
  Decision decision;
  DecisionWords::SetUnavailable(refused, &decision);
  held->opened(decision, Hold());
}

std::pair<Decision, Hold> EdgeHolds::HoldBlocking(absl::string_view token_string,
                                                  const Requirement& requirement,
                                                  Edge::HoldEnd on_end,
                                                  std::chrono::milliseconds limit) {
  auto held = std::make_shared<Hold::Held>();
  held->on_end = std::move(on_end);
  std::pair<Decision, Hold> out;
  const Reason refused = Open(held, token_string, requirement);
  if (refused != Reason::kNone) {
    DecisionWords::SetUnavailable(refused, &out.first);
    return out;
  }
  Hold hold(held);  // closes it where the limit passes
  std::unique_lock<std::mutex> lock(mu_);
  if (!answered_.wait_until(lock, AtMostUntil(limit), [&] { return held->answered; })) {
    DecisionWords::SetUnavailable(Reason::kTimedOut, &out.first);
    lock.unlock();
    return out;
  }
  lock.unlock();
  out.first = std::move(held->decision);
  if (out.first.admitted()) out.second = std::move(hold);
  return out;
}

Reason EdgeHolds::Open(const HeldRef& held, absl::string_view token_string,
                       const Requirement& requirement) {
  held->holds = shared_from_this();
  for (;;) {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (stopping_) return Reason::kStopped;
      if (held_.size() >= most_ + kMostUntold || calls_.size() >= 2 * (most_ + kMostUntold)) {
        return Reason::kOverloaded;
      }
      held->id = ++last_id_;
      held->answered = false;
      held_[held->id] = held;
      ++opening_;
    }
    const absl::Status asked = AskCore(held, token_string, requirement);
    if (asked.ok()) return Reason::kNone;
    HeldRef mine;
    {
      std::lock_guard<std::mutex> lock(mu_);
      mine = Forget(held->id);
    }
    // Another thread has overtaken this one between id and core, where ids must grow. No lock is
    // held around both, because the core may call whoever waits for a check: host code.
    if (base::ReasonOf(asked) != "HOLD_ID_NOT_GROWING") return Reason::kOverloaded;
  }
}

absl::Status EdgeHolds::AskCore(const HeldRef& held, absl::string_view token_string,
                                const Requirement& requirement) {
  return validator_->OpenHold(
      holder_, held->id, token_string, SharedCoreRequirementOf(requirement),
      [held](const validator::Decision& made, tollgate::v1::ValidateResponse* words) {
        words->set_verdict(made.verdict);
        words->set_reason(made.reason);
        DecisionWords::Set(made, /*stops=*/false, &held->decision);
      });
}

void EdgeHolds::Pump() {
  std::lock_guard<std::mutex> lock(mu_);
  for (;;) {
    HoldResponse message;
    if (validator_->holds().NextMessage(holder_, &message) != Holds::Next::kMessage) return;
    if (message.has_opened()) TakeOpened(message.opened());
    if (message.has_ended()) TakeEnded(message.ended());
  }
}

void EdgeHolds::TakeOpened(const HoldResponse::Opened& opened) {
  const auto found = held_.find(opened.hold_id());
  if (found == held_.end()) return;  // nobody waits for it any more
  const HeldRef& held = found->second;
  held->answered = true;
  --opening_;
  if (opened.verdict().verdict() == tollgate::v1::VERDICT_ADMIT) {
    held->ended.store(0, std::memory_order_release);
  } else if (held->decision.admitted() ||
             (stopping_ && held->decision.verdict() == Verdict::kUnavailable)) {
    // The edge has begun to stop meanwhile.
    DecisionWords::SetUnavailable(
        stopping_ ? Reason::kStopped : static_cast<Reason>(opened.verdict().reason()),
        &held->decision);
  }
  if (held->opened) {
    calls_.push_back({held, /*ended=*/false});
  } else {
    answered_.notify_all();
  }
  to_call_.notify_one();
}

void EdgeHolds::TakeEnded(const HoldResponse::Ended& ended) {
  const auto found = held_.find(ended.hold_id());
  if (found == held_.end()) return;  // closed meanwhile
  Reason reason = static_cast<Reason>(ended.reason());
  if (stopping_ && reason == Reason::kServiceUnavailable) reason = Reason::kStopped;
  found->second->ended.store(static_cast<int32_t>(reason), std::memory_order_release);
  calls_.push_back({found->second, /*ended=*/true});
  to_call_.notify_one();
}

EdgeHolds::HeldRef EdgeHolds::Forget(uint64_t id) {
  const auto found = held_.find(id);
  if (found == held_.end()) return nullptr;
  HeldRef held = std::move(found->second);
  held_.erase(found);
  if (!std::exchange(held->answered, true)) {
    --opening_;
    to_call_.notify_one();
  }
  return held;
}

// ---- The host's thread.

void EdgeHolds::CallHost() {
  for (;;) {
    Call call;
    {
      std::unique_lock<std::mutex> lock(mu_);
      to_call_.wait(lock, [this] { return !calls_.empty() || (finishing_ && opening_ == 0); });
      if (calls_.empty()) return;
      call = std::move(calls_.front());
      calls_.pop_front();
    }
    MakeCall(std::move(call));
  }
}

void EdgeHolds::MakeCall(Call call) {
  Hold::Held* const held = call.held.get();
  if (!call.ended) {
    Edge::HoldOpened opened;
    HeldRef refused;
    {
      std::lock_guard<std::mutex> lock(mu_);
      opened.swap(held->opened);
      if (!held->decision.admitted()) refused = Forget(held->id);
    }
    const Decision decision = std::move(held->decision);
    return opened(decision, decision.admitted() ? Hold(std::move(call.held)) : Hold());
  }
  Edge::HoldEnd on_end;
  {
    std::lock_guard<std::mutex> lock(mu_);
    on_end.swap(held->on_end);  // empty where it was closed
    ending_ = held;
  }
  if (on_end) on_end(static_cast<Reason>(held->ended.load(std::memory_order_relaxed)));
  on_end = nullptr;  // what it has captured goes before a Close that waits returns
  std::lock_guard<std::mutex> lock(mu_);
  ending_ = nullptr;
  called_.notify_all();
}

void EdgeHolds::Close(Hold::Held* held) {
  Edge::HoldEnd on_end;  // these go without the lock
  HeldRef mine;
  {
    std::unique_lock<std::mutex> lock(mu_);
    if (std::this_thread::get_id() != host_id_) {
      called_.wait(lock, [&] { return ending_ != held; });
    }
    if (std::exchange(held->closed, true)) return;
    on_end.swap(held->on_end);
    mine = Forget(held->id);
  }
  // An error means that the core was never asked, so that there is nothing to say.
  validator_->holds().Close(holder_, held->id).IgnoreError();
}

// ---- The end.

void EdgeHolds::BeginStop() {
  std::lock_guard<std::mutex> lock(mu_);
  stopping_ = true;
}

void EdgeHolds::Finish() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    finishing_ = true;
    to_call_.notify_one();
  }
  if (!host_.joinable()) return;
  host_.join();
  // Whoever was told has closed, or has given the order to, and asks no more of this edge: no word
  // to it runs on.
  std::vector<HeldRef> told;
  {
    std::lock_guard<std::mutex> lock(mu_);
    for (auto& [id, held] : held_) {
      held->closed = true;
      told.push_back(std::move(held));
    }
    held_.clear();
  }
  for (const HeldRef& held : told) validator_->holds().Close(holder_, held->id).IgnoreError();
}

}  // namespace tollgate::edge
