#include "service/feed/enforcement.h"

#include <algorithm>

#include "base/mutation.h"
#include "base/proto_time.h"
#include "lease/span.h"
#include "service/feed/ledger_session.h"

namespace tollgate {

using store::v1::SessionRecord;

namespace {

// Events closer together than this are one, for R6.
constexpr absl::Duration kEventGrain = absl::Milliseconds(10);
// Pings come at once after events: a rate is taken over no less than this.
constexpr absl::Duration kRateWindow = absl::Seconds(1);
// Enforced events kept apart, for receipts of the past.
constexpr size_t kKeptEvents = 4096;

}  // namespace

absl::string_view NoGrantName(NoGrant reason) {
  switch (reason) {
    case NoGrant::kGranted:
      return "granted";
    case NoGrant::kUnknownSession:
      return "unknown_session";
    case NoGrant::kReleased:
      return "released";
    case NoGrant::kNotRostered:
      return "not_rostered";
    case NoGrant::kNoProgress:
      return "no_progress";
    case NoGrant::kBelowEnforced:
      return "below_enforced";
    case NoGrant::kLeaseNotDurable:
      return "lease_not_durable";
    case NoGrant::kStoreSilent:
      return "store_silent";
    case NoGrant::kRolledBack:
      return "rolled_back";
    case NoGrant::kTailGap:
      return "tail_gap";
  }
  return "unknown";
}

EnforcementLedger::EnforcementLedger(Options options, const Start& start)
    : options_(std::move(options)),
      started_at_(start.now),
      start_head_(start.head),
      now_(start.now),
      longest_lease_(start.longest_lease),
      head_(start.head) {
  if (start.last_event_revision > 0) {
    events_.push_back({start.last_event_revision, start.now});
    recent_events_.push_back({start.last_event_revision, start.now});
    events_known_above_ = start.last_event_revision - 1;
  }
  // R16: the T of a predecessor is not stored; it was no longer than this.
  const absl::Duration window_before =
      std::max({options_.write_window, start.longest_lease_before, kShortestWriteWindowLimit});
  if (start.longest_lease_before > options_.lease) {
    // R5: lowered only once nothing longer can be held: ours are shorter, and a predecessor's last
    // was granted at most T after its last write (R16), which was before our first.
    lower_longest_at_ = start.now + window_before + start.longest_lease_before;
    if (TOLLGATE_MUTATED("r5_lowered_at_once")) lower_longest_at_ = start.now;
  }
  if (start.restored && !TOLLGATE_MUTATED("r17_no_hold")) {
    restore_hold_ = true;
    // R17; and one cut from the store that was lost may have granted until T after its last write.
    restore_hold_until_ = start.now + window_before + kLongestLease;
  }
  for (const SessionRecord& record : start.roster) {
    Session* session = Add({record.validator_id(), record.incarnation()});
    session->caller = record.caller();
    session->version = record.version();
    session->rostered = true;
    if (record.fail_open()) {
      session->fail_open_for = absl::Microseconds(record.fail_open_for_us());
    }
    session->rostered_fail_open_for = session->fail_open_for;
    TellLive(session);
    // R15, R16: a predecessor may have granted until T after its last write.
    const bool no_window = TOLLGATE_MUTATED("r16_successor_does_not_wait");
    const bool own_lease = TOLLGATE_MUTATED("r5_hold_of_own_lease");
    if (TOLLGATE_MUTATED("r15_roster_forgotten")) continue;
    Grow(session, start.now + (no_window ? absl::ZeroDuration() : window_before) +
                      (own_lease ? options_.lease : start.longest_lease_before));
  }
  Recompute();
}

EnforcementLedger::~EnforcementLedger() = default;

EnforcementLedger::Session* EnforcementLedger::Find(const SessionId& key) const {
  auto it = sessions_.find(key);
  return it == sessions_.end() ? nullptr : it->second.get();
}

EnforcementLedger::Session* EnforcementLedger::Add(SessionId key) {
  std::unique_ptr<Session>& slot = sessions_[key];
  if (slot == nullptr) {
    slot = std::make_unique<Session>();
    slot->key = std::move(key);
    slot->number = next_number_++;
    slot->turned = now_;
    slot->stay = ++stays_;
  }
  return slot.get();
}

// R3: a life only grows.
void EnforcementLedger::Grow(Session* session, BootTime end) {
  if (session->live) {
    if (end <= session->end && !TOLLGATE_MUTATED("r3_not_the_longest")) return;
    by_end_.erase({session->end, session->number});
  } else {
    session->live = true;
    session->ended_at.reset();
    ++live_acks_[session->acked];
    if (session->uncovered_until.has_value()) {
      uncovered_.erase({*session->uncovered_until, session->number});
      session->uncovered_until.reset();
    }
  }
  session->end = end;
  by_end_.emplace(std::make_pair(end, session->number), session);
}

void EnforcementLedger::EndLease(Session* session, bool released) {
  if (session->live) {
    session->live = false;
    by_end_.erase({session->end, session->number});
    auto acks = live_acks_.find(session->acked);
    if (--acks->second == 0) live_acks_.erase(acks);
    session->ended_head = head_;
    if (!released) ++lapses_;
    session->ended_at = session->end;
  }
  if (released) session->ended_at = now_;
  if (!released && session->fail_open_for > absl::ZeroDuration() &&
      !TOLLGATE_MUTATED("r14_fail_open_covered")) {
    // R14: from here it goes on by itself, and no receipt covers it.
    session->uncovered_until =
        session->end + UncoveredFor(session->fail_open_for, options_.drift_bound);
    uncovered_.emplace(std::make_pair(*session->uncovered_until, session->number), session);
    return;
  }
  EndForGood(session);
}

void EnforcementLedger::EndForGood(Session* session) {
  if (session->uncovered_until.has_value()) {
    uncovered_.erase({*session->uncovered_until, session->number});
    session->uncovered_until.reset();
  }
  if (session->told_live) {
    session->told_live = false;
    life_changes_.push_back({session->key, false, session->released});
  }
  if (!session->remembered) {
    session->remembered = true;
    ended_.push_back(session->key);
  }
  RemoveFromRosterIfDead(session);
}

void EnforcementLedger::TellLive(Session* session) {
  if (session->told_live) return;
  session->told_live = true;
  life_changes_.push_back({session->key, true, false});
}

// R15: a record goes only when nothing can be held on it; with a stream open a grant may follow.
void EnforcementLedger::RemoveFromRosterIfDead(Session* session) {
  if (!session->rostered || session->live || session->uncovered_until.has_value()) return;
  if (session->streams > 0 && !session->released) return;
  session->rostered = false;
  session->stay = ++stays_;
  removals_.insert(session->key);
}

void EnforcementLedger::OnRevision(int64_t revision, bool has_events, BootTime now) {
  Advance(now);
  if (revision <= head_) return;
  head_ = revision;
  if (has_events) {
    events_.push_back({revision, now_});
    if (events_.size() > options_.max_events) {
      // Too many to tell apart: every revision up to there counts as one with events, which asks
      // for more than is needed, never for less.
      events_known_above_ = events_.front().revision;
      events_.pop_front();
    }
    if (!recent_events_.empty() && now_ - recent_events_.back().at < kEventGrain) {
      recent_events_.back().revision = revision;
    } else {
      recent_events_.push_back({revision, now_});
    }
  }
  Recompute();
}

void EnforcementLedger::OnStoreWrite(BootTime started, absl::optional<absl::Time> wall) {
  if (started <= last_write_) return;
  last_write_ = started;
  wall_ahead_at_write_.reset();
  if (wall.has_value()) wall_ahead_at_write_ = Ahead(started, *wall);
}

bool EnforcementLedger::StoreSilent(BootTime now) const {
  const absl::Duration window = OwnWriteWindow(options_.write_window, options_.drift_bound);
  const absl::Duration since = now - last_write_;
  if (since >= window) return true;
  if (!wall_ahead_.has_value() || !wall_ahead_at_write_.has_value()) return false;
  if (TOLLGATE_MUTATED("r16_wall_clock_ignored")) return false;
  // A wall clock may only shorten (R1). Where it was set meanwhile, the next write settles it.
  const absl::Duration gained = *wall_ahead_ - *wall_ahead_at_write_;
  return since + gained >= window ||
         !GainIsDrift(gained, options_.write_window, options_.drift_bound);
}

bool EnforcementLedger::BindCaller(const SessionId& key, absl::string_view caller) {
  Session* session = Find(key);
  if (session == nullptr) session = Add(key);
  if (session->caller.empty()) session->caller = std::string(caller);
  return session->caller == caller;
}

bool EnforcementLedger::OnHello(const SessionId& key, const tollgate::v1::Hello& hello,
                                BootTime now, absl::string_view address) {
  Advance(now);
  Session* session = Find(key);
  if (session == nullptr) session = Add(key);
  if (session->streams == 0) session->turned = now_;
  session->address = std::string(address);
  ++session->streams;
  for (const auto& [other, twin] : sessions_) {
    if (!TOLLGATE_MUTATED("r3_hello_ends_twin")) break;
    if (other.validator_id == key.validator_id && twin.get() != session) EndLease(twin.get(), true);
  }
  ++streams_;
  session->heard = now_;
  session->version = hello.version();
  // Nothing else of the session changes: a Hello may be an old one, delayed on a half-open
  // connection, and what was granted since stands (R3).
  if (hello.stale_policy() == tollgate::v1::STALE_POLICY_FAIL_OPEN) {
    session->fail_open_for = std::max(session->fail_open_for, FromProto(hello.fail_open_for()));
  } else if (hello.stale_policy() != tollgate::v1::STALE_POLICY_FAIL_CLOSED &&
             hello.stale_policy() != tollgate::v1::STALE_POLICY_UNSPECIFIED) {
    session->fail_open_for =
        kLongestFailOpen;  // a newer validator's: nothing may be promised of it
  }
  return NeedsRoster(key);
}

bool EnforcementLedger::NeedsRoster(const SessionId& key) const {
  const Session* session = Find(key);
  if (session == nullptr || session->released) return false;
  return !session->rostered || session->rostered_fail_open_for < session->fail_open_for;
}

EnforcementLedger::RosterWrite EnforcementLedger::BeginRosterWrite(const SessionId& key,
                                                                   absl::Time wall_now) {
  if (!TOLLGATE_MUTATED("r15_late_removal")) removals_.erase(key);
  RosterWrite write;
  SessionRecord& record = write.record;
  record.set_validator_id(key.validator_id);
  record.set_incarnation(key.incarnation);
  record.set_first_seen_us(absl::ToUnixMicros(wall_now));
  if (const Session* session = Find(key)) {
    write.stay = session->stay;
    record.set_caller(session->caller);
    record.set_version(session->version);
    record.set_fail_open(session->fail_open_for > absl::ZeroDuration());
    record.set_fail_open_for_us(absl::ToInt64Microseconds(session->fail_open_for));
  }
  return write;
}

void EnforcementLedger::OnRostered(const RosterWrite& write) {
  const SessionRecord& record = write.record;
  const SessionId key{record.validator_id(), record.incarnation()};
  Session* session = Find(key);
  if (session == nullptr) {  // forgotten meanwhile
    removals_.insert(key);
    return;
  }
  if (write.stay != session->stay) return;
  session->rostered = true;
  session->rostered_fail_open_for =
      std::max(session->rostered_fail_open_for, absl::Microseconds(record.fail_open_for_us()));
  RemoveFromRosterIfDead(session);  // it may have left while the record was being written
}

void EnforcementLedger::Release(const SessionId& key, BootTime now) {
  Advance(now);
  Session* session = Find(key);
  if (session == nullptr || session->released) return;
  session->released = true;
  EndLease(session, /*released=*/true);
  ForgetEnded();
  Recompute();
}

void EnforcementLedger::OnStreamClosed(const SessionId& key, BootTime now) {
  Advance(now);
  Session* session = Find(key);
  if (session == nullptr || session->streams == 0) return;
  --session->streams;
  if (TOLLGATE_MUTATED("r3_closed_stream_ends")) EndLease(session, /*released=*/true);
  --streams_;
  if (session->streams == 0) session->turned = now_;
  if (session->live || session->uncovered_until.has_value()) return;
  if (session->streams == 0) EndForGood(session);
  ForgetEnded();
}

void EnforcementLedger::Acknowledge(const SessionId& key, int64_t revision,
                                    const tollgate::v1::Ping& ping, BootTime now) {
  Advance(now);
  Session* session = Find(key);
  if (session == nullptr) return;
  session->heard = now_;
  session->cached_tokens = std::max<int64_t>(0, ping.cached_tokens());
  session->decisions = std::max<int64_t>(0, ping.decisions());
  if (!session->rate_base.has_value()) {
    session->rate_base = {now_, session->decisions};
  } else if (const absl::Duration window = now_ - session->rate_base->first;
             window >= kRateWindow) {
    session->decisions_per_second =
        static_cast<double>(std::max<int64_t>(0, session->decisions - session->rate_base->second)) /
        absl::ToDoubleSeconds(window);
    session->rate_base = {now_, session->decisions};
  }
  Remember(ping, session);
  // It may be above head_: the ring hears of a revision before the ledger does. It was sent, so it
  // is durable (R7).
  if (revision <= session->acked) return;
  if (session->live) {
    auto acks = live_acks_.find(session->acked);
    if (--acks->second == 0) live_acks_.erase(acks);
    ++live_acks_[revision];
  }
  session->acked = revision;
  Recompute();
}

Grant EnforcementLedger::GrantLease(const SessionId& key, int64_t revision, BootTime now) {
  Advance(now);
  Session* session = Find(key);
  if (session == nullptr) return {absl::ZeroDuration(), NoGrant::kUnknownSession};
  if (session->released) return {absl::ZeroDuration(), NoGrant::kReleased};  // R4
  if (rolled_back_) return {absl::ZeroDuration(), NoGrant::kRolledBack};     // R11
  if (tail_gap_) return {absl::ZeroDuration(), NoGrant::kTailGap};
  if (NeedsRoster(key) && !TOLLGATE_MUTATED("r15_granted_unrostered")) {  // R15
    return {absl::ZeroDuration(), NoGrant::kNotRostered};
  }
  if (options_.lease > longest_lease_ || options_.lease > kLongestLease) {  // R5
    return {absl::ZeroDuration(), NoGrant::kLeaseNotDurable};
  }
  if (StoreSilent(now_) && !TOLLGATE_MUTATED("r16_grants_cut_off")) {  // R16
    return {absl::ZeroDuration(), NoGrant::kStoreSilent};
  }
  if (session->acked < stale_event_ && !TOLLGATE_MUTATED("r6_stuck_is_granted")) {  // R6
    return {absl::ZeroDuration(), NoGrant::kNoProgress};
  }
  if (revision < grant_floor() && !TOLLGATE_MUTATED("r9_no_floor")) {  // R9
    return {absl::ZeroDuration(), NoGrant::kBelowEnforced};
  }
  TellLive(session);
  Grow(session, CountedUntil(now_, options_.lease));  // R1: from the pong's time, the full lease
  Recompute();
  return {options_.lease, NoGrant::kGranted};
}

int64_t EnforcementLedger::grant_floor() const {
  return TOLLGATE_MUTATED("r9_no_floor_at_start") ? enforced_ : std::max(start_head_, enforced_);
}

void EnforcementLedger::AgeEvents() {
  while (!recent_events_.empty() && now_ - recent_events_.front().at > options_.ack_limit) {
    stale_event_ = recent_events_.front().revision;
    recent_events_.pop_front();
  }
}

void EnforcementLedger::Advance(BootTime now) {
  now_ = std::max(now_, now);
  bool changed = false;
  while (!by_end_.empty() && by_end_.begin()->first.first <= now_) {
    EndLease(by_end_.begin()->second, /*released=*/false);
    changed = true;
  }
  while (!uncovered_.empty() && uncovered_.begin()->first.first <= now_) {
    EndForGood(uncovered_.begin()->second);
    changed = true;
  }
  if (restore_hold_ && restore_hold_until_ <= now_) {
    restore_hold_ = false;
    restore_hold_ended_ = true;
    changed = true;
  }
  AgeEvents();
  if (changed) {
    ForgetEnded();
    Recompute();
  }
}

int64_t EnforcementLedger::LastEventUpTo(int64_t revision) const {
  if (revision <= events_known_above_) return revision;
  auto above = std::upper_bound(events_.begin(), events_.end(), revision,
                                [](int64_t r, const EventMark& e) { return r < e.revision; });
  return above == events_.begin() ? events_known_above_ : std::prev(above)->revision;
}

absl::optional<int64_t> EnforcementLedger::FirstEventAfter(int64_t revision) const {
  if (revision < events_known_above_) return revision + 1;
  auto above = std::upper_bound(events_.begin(), events_.end(), revision,
                                [](int64_t r, const EventMark& e) { return r < e.revision; });
  if (above == events_.end()) return absl::nullopt;
  return above->revision;
}

int64_t EnforcementLedger::EventsAfter(int64_t revision) const {
  const auto above = std::upper_bound(events_.begin(), events_.end(), revision,
                                      [](int64_t r, const EventMark& e) { return r < e.revision; });
  return std::max<int64_t>(0, events_known_above_ - revision) + (events_.end() - above);
}

// R14, and with GrantLease the serial order of R9.
void EnforcementLedger::Recompute() {
  if (restore_hold_ || stopped()) return;
  int64_t enforced = head_;
  if (!live_acks_.empty() && !TOLLGATE_MUTATED("r14_waits_for_nobody")) {
    const absl::optional<int64_t> missing = FirstEventAfter(live_acks_.begin()->first);
    if (missing.has_value()) enforced = std::min(enforced, *missing - 1);
  }
  enforced_ = std::max(enforced_, enforced);
  while (events_.size() > kKeptEvents && events_.front().revision <= enforced_) {
    events_known_above_ = events_.front().revision;
    events_.pop_front();
  }
}

void EnforcementLedger::ForgetEnded() {
  while (ended_.size() > options_.max_ended) {
    auto it = sessions_.find(ended_.front());
    ended_.pop_front();
    if (it == sessions_.end()) continue;
    Session& session = *it->second;
    session.remembered = false;
    if (session.live || session.streams > 0 || session.uncovered_until.has_value()) continue;
    sessions_.erase(it);
  }
}

size_t EnforcementLedger::pending_count() const {
  const int64_t needed = LastEventUpTo(head_);
  size_t count = 0;
  for (auto it = live_acks_.begin(); it != live_acks_.end() && it->first < needed; ++it) {
    count += it->second;
  }
  return count;
}

BootTime EnforcementLedger::NextChange() const {
  // Nobody takes it of one that writes nothing more (R11).
  BootTime next = stopped() ? BootTime::InfiniteFuture() : lower_longest_at_;
  if (!by_end_.empty()) next = std::min(next, by_end_.begin()->first.first);
  if (!uncovered_.empty()) next = std::min(next, uncovered_.begin()->first.first);
  if (restore_hold_) next = std::min(next, restore_hold_until_);
  return next;
}

std::vector<SessionId> EnforcementLedger::TakeRosterRemovals() {
  const std::set<SessionId> removals = std::exchange(removals_, {});
  return {removals.begin(), removals.end()};
}

absl::optional<absl::Duration> EnforcementLedger::TakeLowerLongestLease() {
  if (now_ < lower_longest_at_) return absl::nullopt;
  lower_longest_at_ = BootTime::InfiniteFuture();
  return options_.lease;
}

bool EnforcementLedger::TakeRestoreHoldEnd() { return std::exchange(restore_hold_ended_, false); }

bool EnforcementLedger::KeepAliveDue(BootTime now) const {
  return streams_ > 0 && !stopped() &&
         (now - last_write_ > options_.write_window / 3 || StoreSilent(now));
}

std::vector<EnforcementLedger::LifeChange> EnforcementLedger::TakeLifeChanges() {
  return std::exchange(life_changes_, {});
}

}  // namespace tollgate
