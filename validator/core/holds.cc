#include "validator/core/holds.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/invariant.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "lease/span.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::ValidateResponse;
using tollgate::v1::VerdictReason;

// What a holder may leave unread: messages beside two for each of its holds, and bytes of verdicts.
constexpr size_t kMostUnreadRefusals = 1024;
constexpr size_t kMostUnreadBytes = 1 << 20;
constexpr size_t kMostUnreadBytesOfAHold = 512;

// Streams at once. Each is a process that lets callers in.
constexpr size_t kMostHolders = 256;

// When the grant ends by time, in microseconds of service time; 0: never.
int64_t EndOf(const token::GrantView& grant) {
  const int64_t expire = grant.expire_time_us();
  const int64_t retire = grant.retire_time_us();
  if (expire == 0 || retire == 0) return std::max(expire, retire);
  return std::min(expire, retire);
}

// A tick that is late by so little is not hastened.
constexpr absl::Duration kDueSlack = absl::Milliseconds(1);

base::BootTime LeaseEnd(const EdgeReader::Moment& now) {
  return base::BootTime::FromNanos(now.lease.ping_boot_ns + now.lease.lease_ns -
                                   now.lease.drift_ns);
}

}  // namespace

// Holds end a little before A, so that a word to a holder is never too short to be renewed in time,
// and yet what it says of a hold in doubt ends within A of the event.
Holds::Holds(HoldsOptions options, const EdgeReader* reader, const base::Clock* clock)
    : options_(options),
      shortest_word_(options.answer_within / 4),
      reader_(*reader),
      clock_(*clock) {}

Holds::~Holds() = default;

Holds::Holder::Holder(std::function<void()> wake) : wake_(std::move(wake)) {}

Holds::Holder::~Holder() = default;

// ---- The streams of holders.

absl::StatusOr<Holds::HolderRef> Holds::Join(std::function<void()> wake) {
  if (options_.most == 0) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "HOLDS_OFF",
                        "This validator keeps no holds. Start it with --max-holds N.");
  }
  HolderRef holder(new Holder(std::move(wake)));
  absl::MutexLock lock(&mu_);
  if (holders_.size() >= kMostHolders) {
    return base::Refuse(absl::StatusCode::kResourceExhausted, "TOO_MANY_HOLDERS",
                        absl::StrCat("At most ", kMostHolders,
                                     " streams of holders at once. One stream has room for many "
                                     "holds: keep one a process."));
  }
  holders_[holder.get()] = holder;
  return holder;
}

absl::StatusOr<bool> Holds::Begin(const HolderRef& holder, uint64_t hold_id) {
  absl::MutexLock lock(&mu_);
  if (hold_id <= holder->last_id_) {
    return base::RefuseField("HOLD_ID_NOT_GROWING", "open.hold_id",
                             absl::StrCat("must be above ", holder->last_id_,
                                          ", the id of the last Open on this stream"));
  }
  holder->last_id_ = hold_id;
  if (holder->messages_.size() > 2 * holder->holds_.size() + kMostUnreadRefusals ||
      holder->unread_bytes_ > kMostUnreadBytes + kMostUnreadBytesOfAHold * holder->holds_.size()) {
    return base::Refuse(absl::StatusCode::kUnavailable, "TOO_SLOW",
                        "The holder does not read what it is told.");
  }
  if (places_ >= options_.most || holder->holds_.size() >= std::max<size_t>(options_.most / 2, 1)) {
    return false;
  }
  auto hold = std::make_unique<Hold>();
  hold->id = hold_id;
  hold->holder = holder.get();
  holder->holds_[hold_id] = std::move(hold);
  ++places_;
  return true;
}

uint64_t Holds::events() const {
  absl::MutexLock lock(&mu_);
  return events_;
}

void Holds::Decided(const HolderRef& holder, Verdict verdict, const Decision& decision) {
  {
    absl::MutexLock lock(&mu_);
    const auto found = holder->holds_.find(verdict.hold_id);
    if (found == holder->holds_.end()) return;  // closed meanwhile, or the stream is gone
    Hold* const hold = found->second.get();
    Token* token = nullptr;
    if (decision.admitted() && !closed_) token = Keep(verdict, decision);
    if (token != nullptr) {
      hold->requirement = std::move(verdict.requirement);
      Link(hold, token);
      ++totals_.opened;
      // Whatever was applied since may be about this token, and did not find its hold.
      if (verdict.as_of != events_) Doubts(token);
    } else {
      if (decision.admitted()) {
        verdict.words->Clear();
        verdict.words->set_verdict(tollgate::v1::VERDICT_UNAVAILABLE);
        verdict.words->set_reason(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
        verdict.words->set_description(std::string(token::Describe(verdict.words->reason())));
        *verdict.words->mutable_retry_after() = base::ToProto(absl::Seconds(1));
      }
      holder->holds_.erase(found);
      --places_;
    }
    Say(holder.get(), {verdict.hold_id, {}, std::move(verdict.words)});
  }
  WakeHolders();
}

void Holds::Refuse(const HolderRef& holder, uint64_t hold_id,
                   std::unique_ptr<ValidateResponse> words) {
  {
    absl::MutexLock lock(&mu_);
    Say(holder.get(), {hold_id, {}, std::move(words)});
  }
  WakeHolders();
}

absl::Status Holds::Renew(const HolderRef& holder, uint64_t sequence) {
  {
    absl::MutexLock lock(&mu_);
    if (sequence != holder->renewed_ + 1) {
      return base::RefuseField("RENEW_OUT_OF_SEQUENCE", "renew.sequence",
                               absl::StrCat("must be ", holder->renewed_ + 1));
    }
    holder->renewed_ = sequence;
    // A Renew that was not answered before the next one came is answered by that one's GoodFor,
    // which runs from later.
    holder->unanswered_ = true;
    NeedsWake(holder.get());
  }
  WakeHolders();
  return absl::OkStatus();
}

absl::Status Holds::Close(const HolderRef& holder, uint64_t hold_id) {
  absl::MutexLock lock(&mu_);
  if (hold_id == 0 || hold_id > holder->last_id_) {
    return base::RefuseField("HOLD_ID_UNKNOWN", "closed.hold_id",
                             "no Open with this id was sent on this stream");
  }
  const auto found = holder->holds_.find(hold_id);
  if (found == holder->holds_.end()) return absl::OkStatus();  // crossed a refusal
  Token* const token = found->second->token;
  if (token != nullptr) {
    ++totals_.closed;
    Unlink(found->second.get());
    ForgetIfUnheld(token);
  }
  holder->holds_.erase(found);
  --places_;
  return absl::OkStatus();
}

Holds::Next Holds::NextMessage(const HolderRef& holder, tollgate::v1::HoldResponse* out) {
  absl::MutexLock lock(&mu_);
  // Read after the request that is answered, as for a Pong (R1): an earlier reading would make the
  // word longer than the lease. And clocks before lease (R13).
  const EdgeReader::Moment now = reader_.ReadMoment();
  if (!holder->messages_.empty()) {
    Holder::Message message = std::move(holder->messages_.front());
    holder->messages_.pop_front();
    if (message.verdict != nullptr) {
      holder->unread_bytes_ -= message.verdict->ByteSizeLong();
      auto* opened = out->mutable_opened();
      opened->set_hold_id(message.hold_id);
      if (message.verdict->verdict() == tollgate::v1::VERDICT_ADMIT) {
        *opened->mutable_good_for() = base::ToProto(GoodFor(*holder, now));
      }
      opened->mutable_verdict()->Swap(message.verdict.get());
      return Next::kMessage;
    }
    auto* ended = out->mutable_ended();
    ended->set_hold_id(message.hold_id);
    ended->set_reason(message.reason);
    ended->set_description(std::string(token::Describe(message.reason)));
    return Next::kMessage;
  }
  if (holder->unanswered_) {
    holder->unanswered_ = false;
    auto* good_for = out->mutable_good_for();
    good_for->set_sequence(holder->renewed_);
    *good_for->mutable_length() = base::ToProto(GoodFor(*holder, now));
    return Next::kMessage;
  }
  return closed_ ? Next::kFinished : Next::kNothing;
}

// R1, once more: the holder counts from when it sent its request, which was before `now`. So its
// word runs out before this edge's lease does, and the service's view outlasts both.
absl::Duration Holds::GoodFor(const Holder& holder, const EdgeReader::Moment& now) {
  if (closed_ || lease_ended_ || now.state != LeaseState::kLive) return absl::ZeroDuration();
  absl::Duration left = LeaseEnd(now) - now.boot;
  if (holder.in_doubt_ > 0) {
    DropSettledDoubts();
    const base::BootTime ends = doubts_.empty() ? now.boot : doubts_.front().ends;
    // Also where Tick is late: a word never reaches beyond A.
    left = std::min(left, shortest_word_ + (ends - now.boot));
  }
  left -= lease::DriftOver(left, options_.drift_bound);
  return std::max(left, absl::ZeroDuration());
}

void Holds::Leave(const HolderRef& holder) {
  absl::MutexLock lock(&mu_);
  if (std::exchange(holder->gone_, true)) return;
  for (auto& [id, hold] : holder->holds_) {
    Token* const token = hold->token;
    if (token == nullptr) continue;
    ++totals_.closed;
    Unlink(hold.get());
    ForgetIfUnheld(token);
  }
  places_ -= holder->holds_.size();
  holder->holds_.clear();
  holder->messages_.clear();
  holders_.erase(holder.get());
}

// ---- Tokens, and the holds of each.

Holds::TokenId Holds::IdOf(const TokenKey& key) {
  TokenId id;
  std::memcpy(id.bytes, key.public_id, sizeof(id.bytes));
  return id;
}

Holds::Token* Holds::Find(absl::string_view token_id) const {
  const auto found = tokens_.find(token_id);
  return found == tokens_.end() ? nullptr : found->second.get();
}

Holds::Token* Holds::Keep(const Verdict& verdict, const Decision& decision) {
  Token* token = Find(verdict.key.id());
  if (token == nullptr) {
    auto made = std::make_unique<Token>();
    token = made.get();
    token->key = verdict.key;
    token->digest = verdict.digest;
    tokens_[token->key.id()] = std::move(made);
  } else if (!(token->digest == verdict.digest)) {
    return nullptr;
  }
  // What is known of a token in doubt waits for the answer, and a decision that is older than an
  // event may be older than what is known.
  if (token->grant.empty() || (token->doubt == 0 && verdict.as_of == events_)) {
    SetGrant(token, decision.packed_grant());
  }
  return token;
}

void Holds::SetGrant(Token* token, absl::string_view packed) {
  token::GrantView grant;
  TOLLGATE_INVARIANT(token::GrantView::Over(packed, &grant), "an admitted decision has a grant");
  token->grant.assign(packed.data(), packed.size());
  token->grant.shrink_to_fit();
  if (token->ends_us != 0) ends_.erase({token->ends_us, token});
  token->ends_us = EndOf(grant);
  if (token->ends_us != 0) ends_.insert({token->ends_us, token});
}

void Holds::Link(Hold* hold, Token* token) {
  hold->token = token;
  hold->next = token->first;
  if (token->first != nullptr) token->first->previous = hold;
  token->first = hold;
  ++totals_.open;
  if (token->doubt == 0) return;
  ++hold->holder->in_doubt_;
  ++totals_.in_doubt;
}

void Holds::Unlink(Hold* hold) {
  Token* const token = std::exchange(hold->token, nullptr);
  if (token->doubt != 0) {
    --hold->holder->in_doubt_;
    --totals_.in_doubt;
  }
  --totals_.open;
  (hold->previous != nullptr ? hold->previous->next : token->first) = hold->next;
  if (hold->next != nullptr) hold->next->previous = hold->previous;
  hold->previous = hold->next = nullptr;
}

void Holds::ForgetIfUnheld(Token* token) {
  if (token->first != nullptr) return;
  if (token->ends_us != 0) ends_.erase({token->ends_us, token});
  tokens_.erase(token->key.id());
}

void Holds::Doubts(Token* token) {
  if (token->doubt == 0) {
    token->since = last_doubt_ + 1;
    const base::BootTime ends = clock_.Now() + (options_.answer_within - shortest_word_);
    doubts_.push_back({ends, IdOf(token->key), token->since});
    for (Hold* hold = token->first; hold != nullptr; hold = hold->next) {
      ++hold->holder->in_doubt_;
      ++totals_.in_doubt;
    }
  }
  token->doubt = ++last_doubt_;
  if (token->queued) return;
  token->queued = true;
  to_ask_.push_back(IdOf(token->key));
}

void Holds::Trust(Token* token) {
  token->doubt = 0;
  for (Hold* hold = token->first; hold != nullptr; hold = hold->next) {
    --hold->holder->in_doubt_;
    --totals_.in_doubt;
  }
}

void Holds::End(Hold* hold, VerdictReason reason) {
  Unlink(hold);
  hold->requirement.reset();
  ++totals_.ended[static_cast<size_t>(reason)];
  Say(hold->holder, {hold->id, reason, nullptr});
}

void Holds::EndToken(Token* token, VerdictReason reason) {
  while (token->first != nullptr) End(token->first, reason);
  ForgetIfUnheld(token);
}

void Holds::DecideToken(Token* token, absl::Time service_now) {
  token::GrantView grant;
  TOLLGATE_INVARIANT(token::GrantView::Over(token->grant, &grant), "a held token has a grant");
  // Many holds of a token need the same: they share one requirement, which is decided once, because
  // events wait for this.
  absl::flat_hash_map<const token::Requirement*, VerdictReason> decided;
  for (Hold* hold = token->first; hold != nullptr;) {
    Hold* const next = hold->next;
    const auto [found, is_new] = decided.try_emplace(hold->requirement.get());
    if (is_new) found->second = token::Decide(grant, *found->first, service_now);
    if (found->second != tollgate::v1::VERDICT_REASON_UNSPECIFIED) End(hold, found->second);
    hold = next;
  }
  ForgetIfUnheld(token);
}

void Holds::EndAll(VerdictReason reason) {
  Tokens tokens;
  tokens.swap(tokens_);
  for (auto& [id, token] : tokens) {
    while (token->first != nullptr) End(token->first, reason);
  }
  ends_.clear();
  doubts_.clear();
  to_ask_.clear();
  ask_again_.clear();
}

void Holds::Say(Holder* holder, Holder::Message message) {
  if (holder->gone_) return;
  if (message.verdict != nullptr) holder->unread_bytes_ += message.verdict->ByteSizeLong();
  holder->messages_.push_back(std::move(message));
  NeedsWake(holder);
}

void Holds::NeedsWake(Holder* holder) {
  if (holder->waking_ || holder->gone_) return;
  holder->waking_ = true;
  to_wake_.push_back(holders_.find(holder)->second);
}

void Holds::WakeHolders() {
  std::vector<HolderRef> holders;
  {
    absl::MutexLock lock(&mu_);
    holders.swap(to_wake_);
    for (const HolderRef& holder : holders) holder->waking_ = false;
  }
  for (const HolderRef& holder : holders) holder->wake_();
}

// ---- Events.

void Holds::OnTokenEvent(absl::string_view token_id) {
  absl::MutexLock lock(&mu_);
  ++events_;
  Token* const token = Find(token_id);
  if (token != nullptr) Doubts(token);
}

void Holds::OnCohort(const token::CohortWatermark& cohort) {
  absl::MutexLock lock(&mu_);
  ++events_;
  for (auto& [id, token] : tokens_) {
    token::GrantView grant;
    TOLLGATE_INVARIANT(token::GrantView::Over(token->grant, &grant), "a held token has a grant");
    // What is known of a token in doubt may be old: it may have another owner by now.
    if ((token->doubt != 0 && grant.workspace() == cohort.workspace) ||
        cohort.Covers(grant.workspace(), grant.owner(), grant.create_revision(),
                      grant.create_index())) {
      Doubts(token.get());
    }
  }
}

void Holds::OnAny() {
  absl::MutexLock lock(&mu_);
  ++events_;
  for (auto& [id, token] : tokens_) Doubts(token.get());
}

void Holds::OnLeaseEnded() {
  absl::MutexLock lock(&mu_);
  ++events_;
  if (totals_.open > 0) lease_ended_ = true;
}

// ---- The validator.

bool Holds::BeginAsking() {
  absl::MutexLock lock(&mu_);
  return !std::exchange(asking_, true);
}

absl::optional<Holds::Question> Holds::NextQuestion() {
  absl::MutexLock lock(&mu_);
  while (!closed_ && questions_ < options_.most_questions && !to_ask_.empty()) {
    const TokenId id = to_ask_.front();
    to_ask_.pop_front();
    Token* const token = Find(id.view());
    if (token == nullptr || !token->queued) continue;  // nobody holds it any more
    token->queued = false;
    if (token->doubt == 0) continue;
    ++questions_;
    return Question{token->key, token->digest, token->doubt};
  }
  asking_ = false;
  return absl::nullopt;
}

void Holds::Answered(const Question& question, const Decision& decision) {
  // Clocks and lease are read after the answer has come (R13).
  const EdgeReader::Moment now = reader_.ReadMoment();
  {
    absl::MutexLock lock(&mu_);
    --questions_;
    Token* const token = Find(question.key.id());
    // An event has come since the question: another one is on its way, or waits for its turn.
    if (closed_ || token == nullptr || token->doubt != question.doubt) return;
    // Without a lease nothing is known by now, whatever was when the answer was judged (I7).
    if (decision.verdict == tollgate::v1::VERDICT_UNAVAILABLE || now.state != LeaseState::kLive) {
      token->queued = true;
      ask_again_.emplace_back(now.boot + options_.ask_again_after, IdOf(token->key));
      return;
    }
    token::GrantView grant;
    if (decision.ReadIdentity(&grant)) {
      Trust(token);
      SetGrant(token, decision.packed_grant());
      DecideToken(token, now.service);
    } else {
      EndToken(token, decision.reason);
    }
  }
  WakeHolders();
}

void Holds::DropSettledDoubts() {
  while (!doubts_.empty()) {
    Token* const token = Find(doubts_.front().token.view());
    if (token != nullptr && token->doubt != 0 && token->since == doubts_.front().since) return;
    doubts_.pop_front();
  }
}

void Holds::Tick() {
  const EdgeReader::Moment now = reader_.ReadMoment();
  {
    absl::MutexLock lock(&mu_);
    if (lease_ended_ || (totals_.open > 0 && now.state != LeaseState::kLive)) {
      EndAll(tollgate::v1::VERDICT_REASON_NO_LEASE);
      lease_ended_ = false;
    }
    for (DropSettledDoubts(); !doubts_.empty() && doubts_.front().ends <= now.boot;
         DropSettledDoubts()) {
      EndToken(Find(doubts_.front().token.view()),
               tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
    }
    const int64_t service_us = absl::ToUnixMicros(now.service);
    while (!ends_.empty() && ends_.begin()->first <= service_us) {
      Token* const token = ends_.begin()->second;
      ends_.erase(ends_.begin());
      token->ends_us = 0;
      // An event may have given a token in doubt more time: the answer tells (I7). Of another one
      // no hold is left.
      if (token->doubt == 0) DecideToken(token, now.service);
    }
    while (!ask_again_.empty() && ask_again_.front().first <= now.boot) {
      to_ask_.push_back(ask_again_.front().second);
      ask_again_.pop_front();
    }
  }
  WakeHolders();
}

base::BootTime Holds::DueAt(const EdgeReader::Moment& now) {
  base::BootTime due = base::BootTime::InfiniteFuture();
  if (closed_ || totals_.open == 0) return due;
  if (lease_ended_ || now.state != LeaseState::kLive) return now.boot;
  due = LeaseEnd(now);
  DropSettledDoubts();
  if (!doubts_.empty()) due = std::min(due, doubts_.front().ends);
  if (!ask_again_.empty()) due = std::min(due, ask_again_.front().first);
  if (!ends_.empty() && now.service != absl::InfinitePast()) {
    const absl::Duration left = absl::FromUnixMicros(ends_.begin()->first) - now.service;
    // The service's time runs slower here than the boot clock, by the drift bound (R18). Beyond the
    // lease's end nothing is looked for.
    if (left < absl::Hours(1)) {
      due = std::min(
          due, now.boot + std::max(absl::ZeroDuration(), left) * (1 + 2 * options_.drift_bound) +
                   absl::Milliseconds(1));
    }
  }
  return due;
}

base::BootTime Holds::TickAt() {
  const EdgeReader::Moment now = reader_.ReadMoment();
  absl::MutexLock lock(&mu_);
  return told_ = DueAt(now);
}

bool Holds::DueSooner() {
  const EdgeReader::Moment now = reader_.ReadMoment();
  absl::MutexLock lock(&mu_);
  // By enough: a moment later the end of a token is reckoned to come some nanoseconds sooner.
  return DueAt(now) + kDueSlack < told_;
}

void Holds::CloseAll() {
  {
    absl::MutexLock lock(&mu_);
    if (std::exchange(closed_, true)) return;
    EndAll(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
    for (auto& [raw, holder] : holders_) NeedsWake(raw);
  }
  WakeHolders();
}

HoldTotals Holds::Totals() const {
  absl::MutexLock lock(&mu_);
  HoldTotals totals = totals_;
  totals.holders = static_cast<int64_t>(holders_.size());
  return totals;
}

}  // namespace tollgate::validator
