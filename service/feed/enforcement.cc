#include "service/feed/enforcement.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "token/resource_name.h"

namespace tollgate {

using store::v1::SessionRecord;
using v1::Receipt;

namespace {

constexpr size_t kMaxNamed = 100;
constexpr int kMaxDroppedInPing = 1000;
// Events closer together than this are one, for R6.
constexpr absl::Duration kEventGrain = absl::Milliseconds(10);
// Pings come at once after events: a rate is taken over no less than this.
constexpr absl::Duration kRateWindow = absl::Seconds(1);
// Enforced events kept apart, for receipts of the past.
constexpr size_t kKeptEvents = 4096;

google::protobuf::Duration ToProto(absl::Duration d) {
  return google::protobuf::util::TimeUtil::MicrosecondsToDuration(
      absl::ToInt64Microseconds(std::max(d, absl::ZeroDuration())));
}

google::protobuf::Timestamp ToProto(absl::Time t) {
  return google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(absl::ToUnixMicros(t));
}

}  // namespace

absl::string_view NoGrantName(NoGrant reason) {
  switch (reason) {
    case NoGrant::kGranted: return "granted";
    case NoGrant::kUnknownSession: return "unknown_session";
    case NoGrant::kReleased: return "released";
    case NoGrant::kNotRostered: return "not_rostered";
    case NoGrant::kNoProgress: return "no_progress";
    case NoGrant::kBelowEnforced: return "below_enforced";
    case NoGrant::kLeaseNotDurable: return "lease_not_durable";
    case NoGrant::kStoreSilent: return "store_silent";
    case NoGrant::kRolledBack: return "rolled_back";
  }
  return "unknown";
}

struct EnforcementLedger::Session {
  SessionId key;
  int64_t number = 0;
  std::string version;
  std::string address;
  int streams = 0;
  BootTime turned;  // when its streams became some, or none
  int64_t acked = 0;
  absl::optional<BootTime> heard;
  int64_t cached_tokens = 0;
  int64_t decisions = 0;
  absl::optional<std::pair<BootTime, int64_t>> rate_base;  // when so many decisions were told
  double decisions_per_second = 0;

  // How long it may go on past its lease; the longest it ever said (R3, R14).
  absl::Duration fail_open_for = absl::ZeroDuration();
  bool rostered = false;
  absl::Duration rostered_fail_open_for = absl::ZeroDuration();

  // In by_end_ and live_acks_ while live.
  bool live = false;
  BootTime end = BootTime::InfinitePast();
  // In uncovered_ while set.
  absl::optional<BootTime> uncovered_until;
  bool released = false;
  absl::optional<BootTime> ended_at;  // its last lease, while not live
  // The head when its lease ended: what was revoked up to there, it may have been waited for.
  int64_t ended_head = -1;
  bool remembered = false;  // in ended_

  bool told_live = false;
};

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
  if (start.longest_lease_before > options_.lease) {
    // R5: lowered only once nothing longer can be held: ours are shorter, and a predecessor's last
    // was granted at most T after its last write (R16), which was before our first.
    lower_longest_at_ = start.now + options_.write_window + start.longest_lease_before;
  }
  if (start.restored) {
    restore_hold_ = true;
    restore_hold_until_ = start.now + kHardLeaseLimit;  // R17
  }
  for (const SessionRecord& record : start.roster) {
    Session* session = Add({record.validator_id(), record.incarnation()});
    session->version = record.version();
    session->rostered = true;
    if (record.fail_open()) {
      session->fail_open_for = absl::Microseconds(record.fail_open_for_us());
    }
    session->rostered_fail_open_for = session->fail_open_for;
    TellLive(session);
    // R15, R16: a predecessor may have granted until T after its last write.
    Grow(session, start.now + options_.write_window + start.longest_lease_before);
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
  }
  return slot.get();
}

// R3: a life only grows.
void EnforcementLedger::Grow(Session* session, BootTime end) {
  if (session->live) {
    if (end <= session->end) return;
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
  if (!released && session->fail_open_for > absl::ZeroDuration()) {
    // R14: from here it goes on by itself, and no receipt covers it.
    session->uncovered_until =
        session->end + session->fail_open_for * (1 + options_.drift_bound);
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
  removals_.push_back(session->key);
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

void EnforcementLedger::OnStoreWrite(BootTime started) {
  last_write_ = std::max(last_write_, started);
}

bool EnforcementLedger::OnHello(const SessionId& key, const tollgate::v1::Hello& hello,
                                BootTime now, absl::string_view address) {
  Advance(now);
  Session* session = Find(key);
  if (session == nullptr) session = Add(key);
  if (session->streams == 0) session->turned = now_;
  session->address = std::string(address);
  ++session->streams;
  ++streams_;
  session->heard = now_;
  session->version = hello.version();
  // Nothing else of the session changes: a Hello may be an old one, delayed on a half-open
  // connection, and what was granted since stands (R3).
  if (hello.stale_policy() == tollgate::v1::STALE_POLICY_FAIL_OPEN) {
    session->fail_open_for = std::max(
        session->fail_open_for, absl::Seconds(hello.fail_open_for().seconds()) +
                                    absl::Nanoseconds(hello.fail_open_for().nanos()));
  }
  return NeedsRoster(key);
}

bool EnforcementLedger::NeedsRoster(const SessionId& key) const {
  const Session* session = Find(key);
  if (session == nullptr || session->released) return false;
  return !session->rostered || session->rostered_fail_open_for < session->fail_open_for;
}

SessionRecord EnforcementLedger::RosterRecord(const SessionId& key, absl::Time wall_now) const {
  SessionRecord record;
  record.set_validator_id(key.validator_id);
  record.set_incarnation(key.incarnation);
  record.set_first_seen_us(absl::ToUnixMicros(wall_now));
  if (const Session* session = Find(key)) {
    record.set_version(session->version);
    record.set_fail_open(session->fail_open_for > absl::ZeroDuration());
    record.set_fail_open_for_us(absl::ToInt64Microseconds(session->fail_open_for));
  }
  return record;
}

void EnforcementLedger::OnRostered(const SessionRecord& record) {
  const SessionId key{record.validator_id(), record.incarnation()};
  Session* session = Find(key);
  if (session == nullptr) {  // forgotten meanwhile
    removals_.push_back(key);
    return;
  }
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
  session->cached_tokens = ping.cached_tokens();
  session->decisions = ping.decisions();
  if (!session->rate_base.has_value()) {
    session->rate_base = {now_, ping.decisions()};
  } else if (const absl::Duration window = now_ - session->rate_base->first; window >= kRateWindow) {
    session->decisions_per_second =
        static_cast<double>(std::max<int64_t>(0, ping.decisions() - session->rate_base->second)) /
        absl::ToDoubleSeconds(window);
    session->rate_base = {now_, ping.decisions()};
  }
  Remember(ping, *session);
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

void EnforcementLedger::Remember(const tollgate::v1::Ping& ping, const Session& session) {
  int left = kMaxDroppedInPing;
  for (const tollgate::v1::DroppedAdmit& dropped : ping.dropped()) {
    if (left-- == 0) break;
    Evidence evidence{session.key.validator_id,
                      FormatTokenName(dropped.workspace(), dropped.token_id()),
                      dropped.revision(), absl::nullopt};
    if (dropped.has_last_admit_time()) {
      evidence.last_admit = absl::FromUnixSeconds(dropped.last_admit_time().seconds()) +
                            absl::Nanoseconds(dropped.last_admit_time().nanos());
    }
    evidence_.push_back(std::move(evidence));
    if (evidence_.size() > options_.max_evidence) evidence_.pop_front();
  }
}

Grant EnforcementLedger::GrantLease(const SessionId& key, int64_t revision, BootTime now) {
  Advance(now);
  Session* session = Find(key);
  if (session == nullptr) return {absl::ZeroDuration(), NoGrant::kUnknownSession};
  if (session->released) return {absl::ZeroDuration(), NoGrant::kReleased};  // R4
  if (rolled_back_) return {absl::ZeroDuration(), NoGrant::kRolledBack};     // R11
  if (NeedsRoster(key)) return {absl::ZeroDuration(), NoGrant::kNotRostered};  // R15
  if (options_.lease > longest_lease_ || options_.lease > kHardLeaseLimit) {   // R5
    return {absl::ZeroDuration(), NoGrant::kLeaseNotDurable};
  }
  if (now_ - last_write_ >= options_.write_window * (1 - options_.drift_bound)) {  // R16
    return {absl::ZeroDuration(), NoGrant::kStoreSilent};
  }
  if (session->acked < stale_event_) {  // R6
    return {absl::ZeroDuration(), NoGrant::kNoProgress};
  }
  if (revision < grant_floor()) return {absl::ZeroDuration(), NoGrant::kBelowEnforced};  // R9
  TellLive(session);
  Grow(session, now_ + options_.lease);  // R1: from the pong's time, the full lease
  Recompute();
  return {options_.lease, NoGrant::kGranted};
}

int64_t EnforcementLedger::grant_floor() const { return std::max(start_head_, enforced_); }

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

// R14, and with GrantLease the serial order of R9.
void EnforcementLedger::Recompute() {
  if (restore_hold_ || rolled_back_) return;
  int64_t enforced = head_;
  if (!live_acks_.empty()) {
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

Receipt EnforcementLedger::ReceiptFor(const ReceiptQuestion& question) const {
  const int64_t revision = question.revision;
  const int64_t needed = LastEventUpTo(revision);
  const bool enforced = revision <= enforced_;
  Receipt receipt;
  receipt.set_epoch(options_.epoch);
  receipt.set_revision(revision);
  receipt.set_state(enforced ? v1::ENFORCEMENT_STATE_ENFORCED : v1::ENFORCEMENT_STATE_PENDING);
  if (!enforced) {
    if (rolled_back_) {
      receipt.set_hold("the store was rolled back: a new epoch must be taken");
    } else if (restore_hold_) {
      receipt.set_hold("the store was restored from a backup: who holds a lease is not known");
      *receipt.mutable_hold_left() = ToProto(restore_hold_until_ - now_);
    } else if (revision > head_) {
      receipt.set_hold("the revision is not committed yet");
    }
  }

  std::vector<std::string> unheard;  // have not said when they last admitted
  int acknowledged = 0, lapsed = 0, released = 0, pending = 0;
  for (const auto& [key, session] : sessions_) {
    const bool acked = session->acked >= needed;
    if (session->live) {
      // An enforced revision waits for nobody: who was granted a lease since was granted it at a
      // revision not below (R9).
      if (acked || enforced) {
        ++acknowledged;
        continue;
      }
      ++pending;
      unheard.push_back(key.validator_id);
      if (receipt.pending_size() < static_cast<int>(kMaxNamed)) {
        v1::PendingValidator* named = receipt.add_pending();
        named->set_validator(key.validator_id);
        named->set_revisions_behind(std::max<int64_t>(0, head_ - session->acked));
        if (session->heard.has_value()) {
          *named->mutable_last_heard() = ToProto(now_ - *session->heard);
        }
        *named->mutable_lease_left() = ToProto(session->end - now_);
      }
    } else if (session->uncovered_until.has_value()) {
      if (acked) {
        ++acknowledged;
        continue;
      }
      receipt.add_not_covered(key.validator_id);
      unheard.push_back(key.validator_id);
    } else if (session->ended_head >= revision) {  // else it ended before there was anything to hear
      if (acked) {
        ++acknowledged;
      } else if (session->released) {
        ++released;
      } else {
        ++lapsed;
        unheard.push_back(key.validator_id);
        if (receipt.lapsed_validators_size() < static_cast<int>(kMaxNamed)) {
          receipt.add_lapsed_validators(key.validator_id);
        }
      }
    }
  }
  receipt.set_acknowledged(acknowledged);
  receipt.set_lapsed(lapsed);
  receipt.set_released(released);
  receipt.set_pending_count(pending);

  if (!question.token_id.empty()) AddLastAdmits(question, unheard, &receipt);

  auto mark = std::lower_bound(events_.begin(), events_.end(), revision,
                               [](const EventMark& e, int64_t r) { return e.revision < r; });
  // That of the start was committed at some time before.
  if (mark != events_.end() && mark->revision == revision && revision > start_head_) {
    *receipt.mutable_elapsed() = ToProto(now_ - mark->at);
  }
  return receipt;
}

void EnforcementLedger::AddLastAdmits(const ReceiptQuestion& question,
                                      const std::vector<std::string>& unheard,
                                      Receipt* receipt) const {
  const std::string token = FormatTokenName(question.workspace, question.token_id);
  // One row an edge, whatever its processes said: the latest, and unknown where one has not said.
  std::map<std::string, v1::LastAdmit> edges;
  for (const std::string& edge : unheard) edges[edge].set_unknown(true);  // no guess is made
  for (const Evidence& evidence : evidence_) {
    if (evidence.revision != question.revision || evidence.token != token) continue;
    v1::LastAdmit& admit = edges[evidence.validator_id];
    if (admit.unknown() || !evidence.last_admit.has_value()) continue;
    const google::protobuf::Timestamp last = ToProto(*evidence.last_admit);
    if (!admit.has_last_admit_time() ||
        std::make_pair(admit.last_admit_time().seconds(), admit.last_admit_time().nanos()) <
            std::make_pair(last.seconds(), last.nanos())) {
      *admit.mutable_last_admit_time() = last;
    }
  }
  for (auto& [edge, admit] : edges) {
    if (receipt->last_admits_size() >= static_cast<int>(kMaxNamed)) break;
    admit.set_token(token);
    admit.set_edge(edge);
    receipt->add_last_admits()->Swap(&admit);
  }
}

SessionView EnforcementLedger::ViewOf(const Session& session) const {
  SessionView view;
  view.key = session.key;
  view.version = session.version;
  view.address = session.address;
  view.live = session.live;
  view.uncovered = session.uncovered_until.has_value();
  view.released = session.released;
  view.streams = session.streams;
  (session.streams > 0 ? view.connected_for : view.away_for) = now_ - session.turned;
  if (session.ended_at.has_value()) view.ended_for = now_ - *session.ended_at;
  view.acknowledged = session.acked;
  if (const absl::optional<int64_t> missing = FirstEventAfter(session.acked)) {
    view.behind = true;
    if (session.acked > 0) view.revisions_behind = std::max<int64_t>(0, head_ - session.acked);
    // Below what is told apart: since the oldest that is, at the least.
    auto mark = std::lower_bound(events_.begin(), events_.end(), *missing,
                                 [](const EventMark& e, int64_t r) { return e.revision < r; });
    if (mark != events_.end()) view.lag = now_ - mark->at;
  }
  if (session.live) view.lease_left = session.end - now_;
  if (session.heard.has_value()) view.last_heard = now_ - *session.heard;
  view.fail_open_for = session.fail_open_for;
  view.cached_tokens = session.cached_tokens;
  view.decisions = session.decisions;
  if (session.streams > 0) view.decisions_per_second = session.decisions_per_second;
  return view;
}

std::vector<SessionView> EnforcementLedger::Sessions() const {
  std::vector<SessionView> views;
  views.reserve(sessions_.size());
  for (const auto& [key, session] : sessions_) views.push_back(ViewOf(*session));
  return views;
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
  BootTime next = lower_longest_at_;
  if (!by_end_.empty()) next = std::min(next, by_end_.begin()->first.first);
  if (!uncovered_.empty()) next = std::min(next, uncovered_.begin()->first.first);
  if (restore_hold_) next = std::min(next, restore_hold_until_);
  return next;
}

std::vector<SessionId> EnforcementLedger::TakeRosterRemovals() {
  return std::exchange(removals_, {});
}

absl::optional<absl::Duration> EnforcementLedger::TakeLowerLongestLease() {
  if (now_ < lower_longest_at_) return absl::nullopt;
  lower_longest_at_ = BootTime::InfiniteFuture();
  return options_.lease;
}

bool EnforcementLedger::TakeRestoreHoldEnd() { return std::exchange(restore_hold_ended_, false); }

bool EnforcementLedger::KeepAliveDue(BootTime now) const {
  return streams_ > 0 && !rolled_back_ && now - last_write_ > options_.write_window / 3;
}

std::vector<EnforcementLedger::LifeChange> EnforcementLedger::TakeLifeChanges() {
  return std::exchange(life_changes_, {});
}

}  // namespace tollgate
