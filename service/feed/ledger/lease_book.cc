#include "service/feed/ledger/lease_book.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "base/invariant.h"
#include "base/mutation.h"
#include "base/proto_time.h"
#include "lease/caller_name.h"
#include "lease/span.h"

namespace tollgate::service {

using store::v1::SessionRecord;

namespace {

// How long the validator may fail open, by its Hello.
absl::Duration FailOpenFor(const tollgate::v1::Hello& hello) {
  switch (hello.stale_policy()) {
    case tollgate::v1::STALE_POLICY_UNSPECIFIED:
    case tollgate::v1::STALE_POLICY_FAIL_CLOSED:
      return absl::ZeroDuration();
    case tollgate::v1::STALE_POLICY_FAIL_OPEN:
      // Rounded up to micros, as the roster keeps it; otherwise its record would be renewed with
      // every ping.
      return absl::Ceil(base::FromProto(hello.fail_open_for()), absl::Microseconds(1));
    default:
      return lease::kLongestFailOpen;  // a newer validator's policy: nothing may be promised of it
  }
}

// For how long the validator keeps holds past its lease, by its Hello; as the roster keeps it.
absl::Duration HoldsOutliveLease(const tollgate::v1::Hello& hello) {
  return absl::Ceil(base::FromProto(hello.holds_outlive_lease()), absl::Microseconds(1));
}

}  // namespace

const BookedSession* LeaseBook::Find(const lease::SessionId& key) const {
  const auto it = sessions_.find(key);
  return it == sessions_.end() ? nullptr : &it->second;
}

BookedSession* LeaseBook::FindMutable(const lease::SessionId& key) {
  const auto it = sessions_.find(key);
  return it == sessions_.end() ? nullptr : &it->second;
}

BookedSession* LeaseBook::FindOrAdd(const lease::SessionId& key, base::BootTime now) {
  const auto [it, added] = sessions_.try_emplace(key);
  BookedSession& session = it->second;
  if (added) {
    session.key = key;
    session.number = next_number_++;
    session.streams_changed_at = now;
    session.roster = roster_.NewEntry();
  }
  return &session;
}

void LeaseBook::Recall(const SessionRecord& record, base::BootTime now) {
  BookedSession* session = FindOrAdd({record.validator_id(), record.incarnation()}, now);
  session->caller = record.caller();
  session->version = record.version();
  if (record.fail_open()) session->fail_open_for = absl::Microseconds(record.fail_open_for_us());
  session->holds_outlive_lease = absl::Microseconds(record.holds_outlive_lease_us());
  session->roster = roster_.WrittenEntry(session->fail_open_for, session->holds_outlive_lease);
  session->told_live = true;
  life_changes_.push_back({session->key, true, false});
}

void LeaseBook::RecallMissing(std::vector<SessionRecord> records, base::BootTime now,
                              absl::Time service_now) {
  std::stable_sort(records.begin(), records.end(),
                   [](const SessionRecord& a, const SessionRecord& b) {
                     return a.lapsed_time_us() < b.lapsed_time_us();
                   });
  for (const SessionRecord& record : records) {
    BookedSession* session = FindOrAdd({record.validator_id(), record.incarnation()}, now);
    session->caller = record.caller();
    session->version = record.version();
    session->address = record.last_address();
    if (record.fail_open()) session->fail_open_for = absl::Microseconds(record.fail_open_for_us());
    session->holds_outlive_lease = absl::Microseconds(record.holds_outlive_lease_us());
    session->roster = roster_.LapsedEntry();
    // A clock that an operator has set back makes nothing end in the future.
    const absl::Duration ago = service_now - absl::FromUnixMicros(record.lapsed_time_us());
    session->ended_at = now - std::clamp(ago, absl::ZeroDuration(), absl::Hours(24 * 3650));
    if (IsNowMissing(*session)) {
      AddMissing(session);
    } else {
      roster_.ForgetLapsed(session->key, &session->roster);
      RememberEnded(session);
    }
  }
}

bool LeaseBook::Bind(const lease::SessionId& key, absl::string_view caller, base::BootTime now) {
  BookedSession* session = FindOrAdd(key, now);
  // A user of this host was called so before users were told apart.
  const bool named_since =
      session->caller == lease::kLocalCaller && absl::StartsWith(caller, lease::kUnixUserPrefix);
  if (session->caller.empty() || named_since) session->caller = std::string(caller);
  return session->caller == caller;
}

void LeaseBook::OpenStream(const lease::SessionId& key, const tollgate::v1::Hello& hello,
                           absl::string_view address, base::BootTime now) {
  BookedSession* session = FindOrAdd(key, now);
  if (session->streams == 0) session->streams_changed_at = now;
  ++session->streams;
  ++open_streams_;
  session->address = std::string(address);
  session->version = hello.version();
  session->figures.OnHello(now);
  // Nothing else of the session changes: a Hello may be an old one, delayed on a half-open
  // connection, and the grants since then stand (R3).
  session->fail_open_for = std::max(session->fail_open_for, FailOpenFor(hello));
  session->holds_outlive_lease = std::max(session->holds_outlive_lease, HoldsOutliveLease(hello));
}

void LeaseBook::CloseStream(const lease::SessionId& key, Moment at) {
  BookedSession* session = FindMutable(key);
  if (session == nullptr || session->streams == 0) return;
  --session->streams;
  --open_streams_;
  if (TOLLGATE_MUTATED("r3_closed_stream_ends")) EndLease(session, /*released=*/true, at);
  if (session->streams > 0) return;
  session->streams_changed_at = at.now;
  if (!session->live && !session->uncovered_until.has_value()) EndForGood(session);
}

void LeaseBook::CountOut(int64_t acknowledged) {
  const auto acks = live_acks_.find(acknowledged);
  TOLLGATE_INVARIANT(acks != live_acks_.end() && acks->second > 0,
                     "what a live session has acknowledged is counted");
  if (--acks->second == 0) live_acks_.erase(acks);
}

void LeaseBook::Acknowledge(const lease::SessionId& key, int64_t revision,
                            const tollgate::v1::Ping& ping, base::BootTime now) {
  BookedSession* session = FindMutable(key);
  if (session == nullptr) return;
  session->figures.OnPing(ping, now);
  if (revision <= session->acknowledged) return;
  if (session->live) {
    CountOut(session->acknowledged);
    CountIn(revision);
  }
  session->acknowledged = revision;
}

void LeaseBook::Extend(const lease::SessionId& key, base::BootTime end) {
  BookedSession* session = FindMutable(key);
  TOLLGATE_INVARIANT(session != nullptr && !session->released,
                     "a lease is granted to a session that is known and has not said goodbye");
  if (!session->told_live) {
    session->told_live = true;
    life_changes_.push_back({session->key, true, false});
  }
  if (session->live) {
    // R3: a life only grows.
    if (end <= session->lease_end && !TOLLGATE_MUTATED("r3_not_the_longest")) return;
    const size_t erased = by_end_.erase({session->lease_end, session->number});
    TOLLGATE_INVARIANT(erased == 1, "a live session stands in the timeline of ends");
  } else {
    session->live = true;
    session->ended_at.reset();
    ClearMissing(key.validator_id);
    CountIn(session->acknowledged);
    if (session->uncovered_until.has_value()) {
      uncovered_.erase({*session->uncovered_until, session->number});
      session->uncovered_until.reset();
    }
    ClearWordsEnd(session);
  }
  session->lease_end = end;
  by_end_.emplace(std::make_pair(end, session->number), session);
  TOLLGATE_INVARIANT(live_acks_.size() <= by_end_.size(),
                     "no more acknowledgements are counted than sessions are live");
}

void LeaseBook::Release(const lease::SessionId& key, Moment at) {
  BookedSession* session = FindMutable(key);
  if (session == nullptr || session->released) return;
  session->released = true;
  ClearMissing(key.validator_id);  // its last word is a goodbye: nobody is missing (R4)
  EndLease(session, /*released=*/true, at);
}

void LeaseBook::EndLease(BookedSession* session, bool released, Moment at) {
  if (session->live) {
    session->live = false;
    const size_t erased = by_end_.erase({session->lease_end, session->number});
    TOLLGATE_INVARIANT(erased == 1, "a live session stands in the timeline of ends");
    CountOut(session->acknowledged);
    session->head_at_end = at.head;
    if (!released) ++lapses_;
    session->ended_at = session->lease_end;
  }
  SetWordsEnd(session, at);
  if (released) session->ended_at = at.now;
  if (!released && session->fail_open_for > absl::ZeroDuration() &&
      !TOLLGATE_MUTATED("r14_fail_open_covered")) {
    // R14: from here the validator goes on by itself, and no receipt covers it.
    session->uncovered_until =
        session->lease_end + lease::UncoveredFor(session->fail_open_for, drift_bound_);
    uncovered_.emplace(std::make_pair(*session->uncovered_until, session->number), session);
    return;
  }
  EndForGood(session);
}

// Every word to a holder ends with the lease, or for so long after it as the validator keeps holds
// past it, by its own clock. Goodbye ends no word: a holder that it could not tell has one still.
void LeaseBook::SetWordsEnd(BookedSession* session, Moment at) {
  ClearWordsEnd(session);
  const base::BootTime end =
      session->lease_end + lease::UncoveredFor(session->holds_outlive_lease, drift_bound_);
  if (end <= at.now) {
    words_ended_.push_back(session->key);
    return;
  }
  session->words_until = end;
  words_.emplace(std::make_pair(end, session->number), session);
}

void LeaseBook::ClearWordsEnd(BookedSession* session) {
  if (!session->words_until.has_value()) return;
  words_.erase({*session->words_until, session->number});
  session->words_until.reset();
}

void LeaseBook::EndWords(BookedSession* session) {
  ClearWordsEnd(session);
  words_ended_.push_back(session->key);
  if (session->uncovered_until.has_value()) return;
  RememberEnded(session);
  RemoveFromRosterIfDead(session);
}

void LeaseBook::EndForGood(BookedSession* session) {
  if (session->uncovered_until.has_value()) {
    uncovered_.erase({*session->uncovered_until, session->number});
    session->uncovered_until.reset();
  }
  if (session->told_live) {
    session->told_live = false;
    life_changes_.push_back({session->key, false, session->released});
  }
  RememberEnded(session);
  if (IsNowMissing(*session)) AddMissing(session);
  RemoveFromRosterIfDead(session);
}

void LeaseBook::RememberEnded(BookedSession* session) {
  if (std::exchange(session->remembered, true)) return;
  ended_.push_back(session->key);
}

bool LeaseBook::IsNowMissing(const BookedSession& session) const {
  // A session that was never granted anything leaves nobody without a decision.
  if (session.released || session.live || session.streams > 0 || !session.ended_at.has_value()) {
    return false;
  }
  const base::BootTime heard = session.figures.heard().value_or(base::BootTime::InfinitePast());
  for (auto it = sessions_.lower_bound({session.key.validator_id, ""});
       it != sessions_.end() && it->first.validator_id == session.key.validator_id; ++it) {
    const BookedSession& other = it->second;
    if (&other == &session) continue;
    if (other.live || other.uncovered_until.has_value()) return false;
    // The validator's last word was a goodbye: this is the process before, which crashed.
    if (other.released && other.ended_at.has_value() && *other.ended_at >= heard) return false;
  }
  return true;
}

void LeaseBook::AddMissing(BookedSession* session) {
  if (session->missing()) return;
  ClearMissing(session->key.validator_id);
  session->missing_place = ++missing_places_;
  missing_.emplace(session->missing_place, session);
  missing_by_id_.emplace(session->key.validator_id, session);
  while (missing_.size() > max_missing_) {
    RemoveMissing(missing_by_id_.at(missing_.begin()->second->key.validator_id));
  }
}

void LeaseBook::RemoveMissing(BookedSession* session) {
  missing_.erase(session->missing_place);
  missing_by_id_.erase(session->key.validator_id);
  session->missing_place = 0;
  roster_.ForgetLapsed(session->key, &session->roster);
  RememberEnded(session);
}

void LeaseBook::ClearMissing(const std::string& validator_id) {
  const auto it = missing_by_id_.find(validator_id);
  if (it != missing_by_id_.end()) RemoveMissing(it->second);
}

void LeaseBook::BeginForget(const lease::SessionId& key) {
  BookedSession* session = FindMutable(key);
  TOLLGATE_INVARIANT(session != nullptr && session->missing() && !session->roster.written,
                     "a session that is forgotten is missing, and not in the roster");
  roster_.BeginForget(&session->roster);
}

void LeaseBook::OnForgotten(const lease::SessionId& key) {
  BookedSession* session = FindMutable(key);
  if (session == nullptr || !session->missing() || session->streams > 0) return;
  session->roster.lapsed = false;  // nothing is left to be taken out
  RemoveMissing(session);
}

// R15: a record is removed only when nothing can be held on it. While a stream is open, a lease may
// follow. A session that keeps holds past its lease stays as long as those may be open, so that
// receipts name it after a restart of the service, too.
void LeaseBook::RemoveFromRosterIfDead(BookedSession* session) {
  if (session->live || session->uncovered_until.has_value()) return;
  if ((session->streams > 0 || session->words_until.has_value()) && !session->released) return;
  roster_.Remove(session->key, &session->roster, session->missing());
}

bool LeaseBook::Advance(Moment at) {
  bool ended = false;
  while (!by_end_.empty() && by_end_.begin()->first.first <= at.now) {
    EndLease(by_end_.begin()->second, /*released=*/false, at);
    ended = true;
  }
  while (!uncovered_.empty() && uncovered_.begin()->first.first <= at.now) {
    EndForGood(uncovered_.begin()->second);
    ended = true;
  }
  while (!words_.empty() && words_.begin()->first.first <= at.now) {
    EndWords(words_.begin()->second);
    ended = true;
  }
  return ended;
}

std::vector<lease::SessionId> LeaseBook::ForgetEnded() {
  std::vector<lease::SessionId> forgotten;
  while (ended_.size() > max_ended_) {
    const auto it = sessions_.find(ended_.front());
    ended_.pop_front();
    if (it == sessions_.end()) continue;
    BookedSession& session = it->second;
    session.remembered = false;
    if (session.live || session.streams > 0 || session.uncovered_until.has_value()) continue;
    if (session.missing()) continue;  // it is put back when it is missing no more
    // It is put back among the ended when its words end.
    if (session.words_until.has_value() && !session.released) continue;
    ClearWordsEnd(&session);
    forgotten.push_back(it->first);
    sessions_.erase(it);
  }
  return forgotten;
}

bool LeaseBook::NeedsRoster(const lease::SessionId& key) const {
  const BookedSession* session = Find(key);
  if (session == nullptr || session->released) return false;
  return Roster::Needs(session->roster, session->fail_open_for, session->holds_outlive_lease);
}

RosterWrite LeaseBook::BeginRosterWrite(const lease::SessionId& key, absl::Time wall_now) {
  roster_.BeginWrite(key);
  RosterWrite write;
  SessionRecord& record = write.record;
  record.set_validator_id(key.validator_id);
  record.set_incarnation(key.incarnation);
  record.set_first_seen_us(absl::ToUnixMicros(wall_now));
  if (const BookedSession* session = Find(key)) {
    write.entry_number = session->roster.number;
    record.set_caller(session->caller);
    record.set_version(session->version);
    record.set_fail_open(session->fail_open_for > absl::ZeroDuration());
    record.set_fail_open_for_us(absl::ToInt64Microseconds(session->fail_open_for));
    record.set_holds_outlive_lease_us(absl::ToInt64Microseconds(session->holds_outlive_lease));
  }
  return write;
}

void LeaseBook::OnRostered(const RosterWrite& write) {
  const lease::SessionId key{write.record.validator_id(), write.record.incarnation()};
  BookedSession* session = FindMutable(key);
  if (session == nullptr) {  // forgotten meanwhile
    roster_.RemoveUnknown(key);
    return;
  }
  if (!roster_.OnWritten(write, &session->roster)) return;
  RemoveFromRosterIfDead(session);  // it may have left while the record was being written
}

std::vector<RosterRemoval> LeaseBook::TakeRosterRemovals() {
  std::vector<RosterRemoval> removals = roster_.TakeRemovals();
  for (RosterRemoval& removal : removals) {
    const BookedSession* session = removal.lapsed ? Find(removal.key) : nullptr;
    if (session != nullptr) removal.address = session->address;
  }
  return removals;
}

absl::optional<int64_t> LeaseBook::least_acknowledged() const {
  if (live_acks_.empty()) return absl::nullopt;
  return live_acks_.begin()->first;
}

size_t LeaseBook::CountBelow(int64_t revision) const {
  size_t count = 0;
  for (auto it = live_acks_.begin(); it != live_acks_.end() && it->first < revision; ++it) {
    count += it->second;
  }
  return count;
}

base::BootTime LeaseBook::NextEnd() const {
  base::BootTime next = base::BootTime::InfiniteFuture();
  if (!by_end_.empty()) next = std::min(next, by_end_.begin()->first.first);
  if (!uncovered_.empty()) next = std::min(next, uncovered_.begin()->first.first);
  if (!words_.empty()) next = std::min(next, words_.begin()->first.first);
  return next;
}

std::vector<LifeChange> LeaseBook::TakeLifeChanges() { return std::exchange(life_changes_, {}); }

std::vector<lease::SessionId> LeaseBook::TakeWordsEnded() {
  return std::exchange(words_ended_, {});
}

}  // namespace tollgate::service
