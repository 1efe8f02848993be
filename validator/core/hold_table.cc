#include "validator/core/hold_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "lease/span.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::ValidateResponse;
using tollgate::v1::VerdictReason;

// The revisions that one token's question may answer for: beyond them the last gives way.
constexpr size_t kMostDoubts = 16;

// Streams at once. Each is a process that lets callers in.
constexpr size_t kMostHolders = 256;

}  // namespace

struct Hold {
  uint64_t id = 0;
  HoldTable::Stream* stream = nullptr;
  HeldToken* token = nullptr;  // null: not decided yet, or ended
  bool ended = false;
  base::BootTime until;  // ended: when the last word to its holder that was about it is over
  std::shared_ptr<const HoldReceipts::Doubts> doubts;  // ended in doubt: by what
  bool silent = false;                                 // it counts as kSilent for these
  std::shared_ptr<const token::Requirement> requirement;
  Hold* previous = nullptr;  // of the same token
  Hold* next = nullptr;
};

struct HoldTable::Stream {
  Holder said;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Hold>> holds;
  size_t in_doubt = 0;        // of its holds
  size_t unanswered = 0;      // of them: ended, and not Closed
  base::BootTime word_until;  // no word to it reaches further, by this edge's clock
  bool waking = false;
  bool left = false;
};

// Holds end a little before A, so that a word to a holder is never too short to be renewed in time,
// and yet what it says of a hold in doubt ends within A of the event.
HoldTable::HoldTable(HoldsOptions options)
    : options_(options),
      shortest_word_(options.answer_within / 4),
      asking_(options.most_questions, &tokens_) {}

HoldTable::~HoldTable() = default;

// ---- The streams of holders.

absl::StatusOr<HoldTable::Stream*> HoldTable::Join() {
  if (options_.most == 0) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "HOLDS_OFF",
                        "This validator keeps no holds. Start it with --max-holds N.");
  }
  if (streams_.size() - left_.size() >= kMostHolders) {
    return base::Refuse(absl::StatusCode::kResourceExhausted, "TOO_MANY_HOLDERS",
                        absl::StrCat("At most ", kMostHolders,
                                     " streams of holders at once. One stream has room for many "
                                     "holds: keep one a process."));
  }
  auto made = std::make_unique<Stream>();
  Stream* const stream = made.get();
  streams_[stream] = std::move(made);
  return stream;
}

absl::Status HoldTable::Hello(Stream* stream, absl::string_view name) {
  return stream->said.TakeHello(name);
}

absl::StatusOr<bool> HoldTable::Begin(Stream* stream, uint64_t hold_id) {
  RETURN_IF_ERROR(stream->said.TakeOpen(hold_id, stream->holds.size()));
  if (places_ >= options_.most || stream->holds.size() >= std::max<size_t>(options_.most / 2, 1)) {
    return false;
  }
  auto hold = std::make_unique<Hold>();
  hold->id = hold_id;
  hold->stream = stream;
  stream->holds[hold_id] = std::move(hold);
  ++places_;
  return true;
}

void HoldTable::Decided(Stream* stream, HoldVerdict verdict, const Decision& decision,
                        base::BootTime now) {
  const auto found = stream->holds.find(verdict.hold_id);
  if (found == stream->holds.end()) return;  // closed meanwhile
  Hold* const hold = found->second.get();
  Token* token = nullptr;
  if (decision.admitted() && !closed_) token = Keep(verdict, decision);
  if (token != nullptr) {
    hold->requirement = std::move(verdict.requirement);
    Link(hold, token);
    ++totals_.opened;
    // Whatever was applied since may be about this token, and did not find its hold.
    if (verdict.as_of != events_) Doubts(token, last_revision_, now);
  } else {
    if (decision.admitted()) {
      verdict.words->Clear();
      verdict.words->set_verdict(tollgate::v1::VERDICT_UNAVAILABLE);
      verdict.words->set_reason(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
      verdict.words->set_description(std::string(token::Describe(verdict.words->reason())));
      *verdict.words->mutable_retry_after() = base::ToProto(absl::Seconds(1));
    }
    stream->holds.erase(found);
    --places_;
  }
  Say(stream, {verdict.hold_id, {}, std::move(verdict.words)});
}

void HoldTable::Refuse(Stream* stream, uint64_t hold_id, std::unique_ptr<ValidateResponse> words) {
  Say(stream, {hold_id, {}, std::move(words)});
}

absl::Status HoldTable::Renew(Stream* stream, uint64_t sequence) {
  RETURN_IF_ERROR(stream->said.TakeRenew(sequence));
  NeedsWake(stream);
  return absl::OkStatus();
}

absl::Status HoldTable::Close(Stream* stream, uint64_t hold_id) {
  RETURN_IF_ERROR(stream->said.TakeClosed(hold_id));
  const auto found = stream->holds.find(hold_id);
  if (found == stream->holds.end()) return absl::OkStatus();  // crossed a refusal
  Token* const token = found->second->token;
  if (token != nullptr) {
    ++totals_.closed;
    Unlink(found->second.get(), Stand::kClosed);
    ForgetIfUnheld(token);
  } else if (found->second->ended) {
    Settle(found->second.get(), Stand::kClosed);
    --stream->unanswered;
    --unanswered_;
    if (closed_ && stream->unanswered == 0) NeedsWake(stream);  // it is finished
  }
  stream->holds.erase(found);
  --places_;
  return absl::OkStatus();
}

NextOfHolder HoldTable::NextMessage(Stream* stream, const Moment& now,
                                    tollgate::v1::HoldResponse* out) {
  if (absl::optional<Holder::Message> message = stream->said.NextMessage()) {
    if (message->verdict != nullptr) {
      auto* opened = out->mutable_opened();
      opened->set_hold_id(message->hold_id);
      if (message->verdict->verdict() == tollgate::v1::VERDICT_ADMIT) {
        // Ended comes next where it has ended meanwhile: nothing is said that reaches further.
        const auto hold = stream->holds.find(message->hold_id);
        const bool open = hold != stream->holds.end() && hold->second->token != nullptr;
        *opened->mutable_good_for() =
            base::ToProto(open ? GoodFor(stream, now) : absl::ZeroDuration());
      }
      opened->mutable_verdict()->Swap(message->verdict.get());
      return NextOfHolder::kMessage;
    }
    auto* ended = out->mutable_ended();
    ended->set_hold_id(message->hold_id);
    ended->set_reason(message->reason);
    ended->set_description(std::string(token::Describe(message->reason)));
    return NextOfHolder::kMessage;
  }
  if (const absl::optional<uint64_t> renewed = stream->said.NextRenewed()) {
    auto* good_for = out->mutable_good_for();
    good_for->set_sequence(*renewed);
    *good_for->mutable_length() = base::ToProto(GoodFor(stream, now));
    return NextOfHolder::kMessage;
  }
  return closed_ && stream->unanswered == 0 ? NextOfHolder::kFinished : NextOfHolder::kNothing;
}

base::BootTime HoldTable::HeldUntil(const Moment& now) const {
  const bool live = now.state == LeaseState::kLive;
  if (closed_ || lease_ended_ || now.lease.lease_ns <= 0) return now.boot;
  if (!live && options_.outlive_lease <= absl::ZeroDuration()) return now.boot;
  const absl::Duration length = absl::Nanoseconds(now.lease.lease_ns - now.lease.drift_ns);
  absl::Duration elapsed = absl::Nanoseconds(now.boot.nanos() - now.lease.ping_boot_ns);
  if (elapsed < absl::ZeroDuration()) return now.boot;
  // Without a lease the clock counts that says that more time has passed, as with fail-open
  // (edge_clock.cc).
  if (!live) elapsed = std::max(elapsed, now.wall - absl::FromUnixNanos(now.lease.ping_wall_ns));
  absl::Duration left = length + options_.outlive_lease - elapsed;
  if (TOLLGATE_MUTATED("hold_word_past_lease") && live) left += length;
  return now.boot + std::max(left, absl::ZeroDuration());
}

// R1, once more: the holder counts from when it sent its request, which was before `now`. So its
// word runs out before this edge's lease does, and the service's view outlasts both.
absl::Duration HoldTable::GoodFor(Stream* stream, const Moment& now) {
  absl::Duration left = HeldUntil(now) - now.boot;
  if (stream->in_doubt > 0) {
    const base::BootTime ends = asking_.First() == nullptr ? now.boot : asking_.first_ends();
    // Also where Tick is late: a word never reaches beyond A.
    left = std::min(left, shortest_word_ + (ends - now.boot));
  }
  if (left <= absl::ZeroDuration()) return absl::ZeroDuration();
  // An earlier word may be the longer one, and the holder may not have read this one yet.
  stream->word_until = std::max(stream->word_until, now.boot + left);
  return left - lease::DriftOver(left, options_.drift_bound);
}

// The holder may be there, cut off, and hold on until its word is over; nobody can tell it
// anything.
void HoldTable::Leave(Stream* stream, base::BootTime now) {
  std::erase(woken_, stream);
  stream->said.Forget();
  places_ -= stream->holds.size();
  unanswered_ -= stream->unanswered;
  for (auto it = stream->holds.begin(); it != stream->holds.end();) {
    Hold* const hold = it->second.get();
    if (hold->token != nullptr) {
      ++totals_.closed;
      CountOpen(*hold, -1);
      if (hold->token->doubt != 0) CountInDoubt(*hold, -1);
    }
    const bool runs = stream->word_until > now && (hold->token != nullptr || hold->until > now);
    if (runs) {
      ++it;
      continue;
    }
    if (hold->token != nullptr) {
      Token* const token = hold->token;
      stream->left = true;  // it is counted no more
      Unlink(hold, Stand::kSilent);
      stream->left = false;
      ForgetIfUnheld(token);
    }
    Settle(hold, Stand::kSilent);
    stream->holds.erase(it++);
  }
  stream->left = true;
  left_holds_ += stream->holds.size();
  left_.insert({stream->word_until, stream});
  ForgetLeft(now);
}

void HoldTable::ForgetLeft(base::BootTime now) {
  while (!left_.empty() && (left_.begin()->first <= now || left_holds_ > options_.most ||
                            left_.size() > kMostHolders)) {
    given_up_ = std::max(given_up_, left_.begin()->first);
    Forget(left_.begin()->second);
  }
}

void HoldTable::Forget(Stream* stream) {
  left_.erase({stream->word_until, stream});
  left_holds_ -= stream->holds.size();
  for (auto& [id, hold] : stream->holds) {
    Settle(hold.get(), Stand::kSilent);
    Token* const token = hold->token;
    if (token == nullptr) continue;
    Unlink(hold.get(), Stand::kSilent);
    ForgetIfUnheld(token);
  }
  streams_.erase(stream);
}

void HoldTable::Say(Stream* stream, Holder::Message message) {
  stream->said.Say(std::move(message));
  NeedsWake(stream);
}

void HoldTable::NeedsWake(Stream* stream) {
  if (std::exchange(stream->waking, true)) return;
  woken_.push_back(stream);
}

std::vector<HoldTable::Stream*> HoldTable::TakeWoken() {
  for (Stream* stream : woken_) stream->waking = false;
  return std::exchange(woken_, {});
}

// ---- Tokens, and the holds of each.

HoldTable::Token* HoldTable::Keep(const HoldVerdict& verdict, const Decision& decision) {
  Token* token = tokens_.Find(verdict.key.id());
  if (token == nullptr) {
    token = tokens_.Add(verdict.key, verdict.digest);
  } else if (!(token->digest == verdict.digest)) {
    return nullptr;
  }
  // What is known of a token in doubt waits for the answer, and a decision that is older than an
  // event may be older than what is known.
  if (token->grant.empty() || (token->doubt == 0 && verdict.as_of == events_)) {
    tokens_.SetGrant(token, decision.packed_grant());
  }
  return token;
}

void HoldTable::Link(Hold* hold, Token* token) {
  hold->token = token;
  hold->next = token->first;
  if (token->first != nullptr) token->first->previous = hold;
  token->first = hold;
  ++token->holds;
  CountOpen(*hold, 1);
  if (token->doubt == 0) return;
  CountInDoubt(*hold, 1);
  receipts_.Move(token->doubts, Stand::kNone, Stand::kInDoubt, {});
}

void HoldTable::CountOpen(const Hold& hold, int64_t holds) {
  if (!hold.stream->left) totals_.open += holds;
}

void HoldTable::CountInDoubt(const Hold& hold, int64_t holds) {
  if (hold.stream->left) return;
  totals_.in_doubt += holds;
  hold.stream->in_doubt += static_cast<size_t>(holds);
}

void HoldTable::Unlink(Hold* hold, Stand to) {
  Token* const token = std::exchange(hold->token, nullptr);
  --token->holds;
  if (token->doubt != 0) {
    CountInDoubt(*hold, -1);
    receipts_.Move(token->doubts, Stand::kInDoubt, to, hold->stream->said.name());
  }
  CountOpen(*hold, -1);
  (hold->previous != nullptr ? hold->previous->next : token->first) = hold->next;
  if (hold->next != nullptr) hold->next->previous = hold->previous;
  hold->previous = hold->next = nullptr;
}

void HoldTable::ForgetIfUnheld(Token* token) {
  if (token->first == nullptr) tokens_.Remove(token);
}

void HoldTable::NoteDoubt(Token* token, int64_t revision) {
  const std::shared_ptr<HoldReceipts::Entry> entry = receipts_.Of(revision);
  HoldReceipts::Doubts& doubts = token->doubts;
  if (entry == nullptr || std::find(doubts.begin(), doubts.end(), entry) != doubts.end()) return;
  const auto holds = static_cast<int64_t>(token->holds);
  if (doubts.size() >= kMostDoubts) {
    receipts_.Move({doubts.back()}, Stand::kInDoubt, Stand::kNone, {}, holds);
    doubts.pop_back();
  }
  doubts.push_back(entry);
  receipts_.Move({entry}, Stand::kNone, Stand::kInDoubt, {}, holds);
  token->told = nullptr;
}

void HoldTable::Doubts(Token* token, int64_t revision, base::BootTime now) {
  if (revision > 0) NoteDoubt(token, revision);
  if (token->doubt == 0) {
    token->since = last_doubt_ + 1;
    asking_.Begin(*token, now + (options_.answer_within - shortest_word_));
    for (Hold* hold = token->first; hold != nullptr; hold = hold->next) CountInDoubt(*hold, 1);
  }
  token->doubt = ++last_doubt_;
  asking_.Ask(token);
}

void HoldTable::Trust(Token* token) {
  token->doubt = 0;
  receipts_.Move(token->doubts, Stand::kInDoubt, Stand::kNone, {},
                 static_cast<int64_t>(token->holds));
  token->doubts.clear();
  token->told = nullptr;
  for (Hold* hold = token->first; hold != nullptr; hold = hold->next) CountInDoubt(*hold, -1);
}

void HoldTable::End(Hold* hold, VerdictReason reason) {
  Token* const token = hold->token;
  hold->ended = true;
  hold->until = hold->stream->word_until;
  if (token->doubt != 0 && !token->doubts.empty()) {
    if (token->told == nullptr) {
      token->told = std::make_shared<const HoldReceipts::Doubts>(token->doubts);
    }
    hold->doubts = token->told;
    told_.insert({hold->until, hold});
  }
  Unlink(hold, Stand::kTold);
  hold->requirement.reset();
  if (hold->stream->left) return;  // nobody can be told
  ++hold->stream->unanswered;
  ++unanswered_;
  ++totals_.ended[static_cast<size_t>(reason)];
  Say(hold->stream, {hold->id, reason, nullptr});
}

void HoldTable::Settle(Hold* hold, Stand to) {
  if (hold->doubts == nullptr) return;
  const Stand from = hold->silent ? Stand::kSilent : Stand::kTold;
  if (from == to) return;
  told_.erase({hold->until, hold});
  hold->silent = to == Stand::kSilent;
  receipts_.Move(*hold->doubts, from, to, hold->stream->said.name());
}

void HoldTable::EndToken(Token* token, VerdictReason reason) {
  while (token->first != nullptr) End(token->first, reason);
  ForgetIfUnheld(token);
}

bool HoldTable::DecideToken(Token* token, absl::Time service_now) {
  const token::GrantView grant = token->view();
  // Many holds of a token need the same: they share one requirement, which is decided once, because
  // events wait for this.
  absl::flat_hash_map<const token::Requirement*, VerdictReason> decided;
  for (Hold* hold = token->first; hold != nullptr;) {
    Hold* const next = hold->next;
    const auto [found, is_new] = decided.try_emplace(hold->requirement.get());
    if (is_new) {
      ++totals_.decided;
      found->second = token::Decide(grant, *found->first, service_now);
    }
    if (found->second != tollgate::v1::VERDICT_REASON_UNSPECIFIED) End(hold, found->second);
    hold = next;
  }
  const bool held = token->first != nullptr;
  ForgetIfUnheld(token);
  return held;
}

void HoldTable::EndAll(VerdictReason reason) {
  while (!tokens_.empty()) EndToken(tokens_.Any(), reason);
  asking_.Clear();
}

// ---- Events.

void HoldTable::OnTokenEvent(absl::string_view token_id, int64_t revision, base::BootTime now) {
  ++events_;
  last_revision_ = revision;
  Token* const token = tokens_.Find(token_id);
  if (TOLLGATE_MUTATED("hold_event_unheard")) return;
  if (token != nullptr) Doubts(token, revision, now);
}

void HoldTable::OnCohort(const token::CohortWatermark& cohort, base::BootTime now) {
  ++events_;
  last_revision_ = cohort.revision;
  tokens_.ForEachIn(cohort.workspace, [&](Token* token) {
    const token::GrantView grant = token->view();
    // What is known of a token in doubt may be old: it may have another owner by now.
    if (token->doubt != 0 || cohort.Covers(cohort.workspace, grant.owner(), grant.create_revision(),
                                           grant.create_index())) {
      Doubts(token, cohort.revision, now);
    }
  });
}

void HoldTable::OnAny(int64_t revision, base::BootTime now) {
  ++events_;
  last_revision_ = revision;
  // What ends with its history is of no revision of the next.
  const int64_t by = lease_ended_ ? 0 : revision;
  tokens_.ForEach([&](Token* token) { Doubts(token, by, now); });
}

void HoldTable::OnHistoryEnded() {
  ++events_;
  if (!tokens_.empty()) lease_ended_ = true;
}

void HoldTable::OnLeaseEnded() {
  ++events_;
  if (!tokens_.empty() && options_.outlive_lease <= absl::ZeroDuration()) lease_ended_ = true;
}

// ---- Questions and time.

absl::optional<HoldQuestion> HoldTable::NextQuestion() {
  const Token* const token = asking_.Next();
  if (token == nullptr) return absl::nullopt;
  return HoldQuestion{token->key, token->digest, token->doubt};
}

void HoldTable::Answered(const HoldQuestion& question, const Decision& decision,
                         const Moment& now) {
  asking_.Answered();
  Token* const token = tokens_.Find(question.key.id());
  // An event has come since the question: another one is on its way, or waits for its turn.
  if (closed_ || token == nullptr || token->doubt != question.doubt) return;
  // Without a lease nothing is known by now, whatever was when the answer was judged (I7).
  if (decision.verdict == tollgate::v1::VERDICT_UNAVAILABLE || now.state != LeaseState::kLive) {
    return asking_.AskAgain(token, now.boot + options_.ask_again_after);
  }
  token::GrantView grant;
  if (decision.ReadIdentity(&grant)) {
    tokens_.SetGrant(token, decision.packed_grant());
    // What ends, ends in doubt, and so by the revisions that the answer is about.
    if (DecideToken(token, now.service)) Trust(token);
  } else {
    EndToken(token, decision.reason);
  }
}

void HoldTable::Tick(const Moment& now) {
  while (!told_.empty() && told_.begin()->first <= now.boot) {
    Settle(told_.begin()->second, Stand::kSilent);
  }
  ForgetLeft(now.boot);
  if (lease_ended_ || (!tokens_.empty() && HeldUntil(now) <= now.boot)) {
    EndAll(tollgate::v1::VERDICT_REASON_NO_LEASE);
    lease_ended_ = false;
  }
  for (Token* token = asking_.First(); token != nullptr && asking_.first_ends() <= now.boot;
       token = asking_.First()) {
    EndToken(token, tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
  }
  const int64_t service_us = absl::ToUnixMicros(now.service);
  while (Token* const token = tokens_.TakeEnded(service_us)) {
    // An event may have given a token in doubt more time: the answer tells (I7). Of another one
    // no hold is left.
    if (token->doubt != 0) continue;
    if (now.state == LeaseState::kLive) {
      DecideToken(token, now.service);
    } else {
      // Nor is it called expired without a lease: an event that was not heard may have.
      EndToken(token, tollgate::v1::VERDICT_REASON_NO_LEASE);
    }
  }
  asking_.Tick(now.boot);
}

base::BootTime HoldTable::DueAt(const Moment& now) {
  base::BootTime due = base::BootTime::InfiniteFuture();
  if (!left_.empty()) due = left_.begin()->first;
  if (!told_.empty()) due = std::min(due, told_.begin()->first);
  if (closed_ || tokens_.empty()) return due;
  due = std::min(due, HeldUntil(now));
  if (asking_.First() != nullptr) due = std::min(due, asking_.first_ends());
  due = std::min(due, asking_.ask_again_at());
  const absl::optional<int64_t> end_us = tokens_.next_end_us();
  if (end_us.has_value() && now.service != absl::InfinitePast()) {
    const absl::Duration left = absl::FromUnixMicros(*end_us) - now.service;
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

void HoldTable::CollectHeld(const Moment& now, std::vector<HeldUse>* held) const {
  if (lease_ended_ || now.state != LeaseState::kLive) return;
  tokens_.ForEach([held](const Token* token) {
    const Hold* hold = token->first;
    while (hold != nullptr && hold->stream->left) hold = hold->next;
    if (token->doubt != 0 || hold == nullptr) return;
    held->push_back({std::string(token->workspace()), std::string(token->key.id())});
  });
}

void HoldTable::CloseAll() {
  if (std::exchange(closed_, true)) return;
  EndAll(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE);
  for (auto& [raw, stream] : streams_) {
    if (!stream->left) NeedsWake(raw);
  }
}

absl::Duration HoldTable::LongestWord(base::BootTime now) const {
  absl::Duration longest = std::max(absl::ZeroDuration(), given_up_ - now);
  for (const auto& [raw, stream] : streams_) {
    for (const auto& [id, hold] : stream->holds) {
      if (hold->ended) longest = std::max(longest, hold->until - now);
    }
  }
  return longest;
}

std::vector<std::string> HoldTable::Unanswered(base::BootTime now, size_t most) const {
  std::set<std::string> names;
  for (const auto& [raw, stream] : streams_) {
    if (names.size() >= most) break;
    const bool any = std::any_of(
        stream->holds.begin(), stream->holds.end(),
        [now](const auto& entry) { return entry.second->ended && entry.second->until > now; });
    if (any) names.insert(stream->said.name());
  }
  return {names.begin(), names.end()};
}

HoldTotals HoldTable::Totals(const Moment& now) const {
  HoldTotals totals = totals_;
  if (now.state != LeaseState::kLive) totals.uncovered = totals.open;
  totals.holders = static_cast<int64_t>(streams_.size() - left_.size());
  return totals;
}

}  // namespace tollgate::validator
