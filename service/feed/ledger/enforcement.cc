#include "service/feed/ledger/enforcement.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/status.h"
#include "lease/span.h"

namespace tollgate::service {

EnforcementLedger::EnforcementLedger(Options options, const Start& start)
    : options_(std::move(options)),
      now_(start.now),
      book_(options_.drift_bound, options_.max_ended, options_.max_missing),
      frontier_(start.head, start.last_event_revision, start.now, options_.max_events),
      ack_limit_(options_.ack_limit),
      writes_(options_.write_window, options_.drift_bound),
      longest_lease_(options_.lease, start.longest_lease),
      admissions_(options_.max_evidence),
      holds_(options_.max_hold_reports) {
  if (start.last_event_revision > 0) ack_limit_.OnEvent(start.last_event_revision, start.now);
  // The predecessor granted its last lease at most its T after its last write (R16), and that write
  // was before this process's first.
  const absl::Duration window_before =
      start.predecessors_dead
          ? absl::ZeroDuration()
          : WriteWindow::LongestBefore(options_.write_window, start.longest_lease_before);
  if (start.longest_lease_before > options_.lease) {
    // R5: this process's leases are shorter.
    const base::BootTime until = start.now + window_before + start.longest_lease_before;
    longest_lease_.LowerFrom(TOLLGATE_MUTATED("r5_lowered_at_once") ? start.now : until);
  }
  if (start.restored && !TOLLGATE_MUTATED("r17_no_hold")) {
    // R17: leases of any length may be held, also from a service that was cut off from the lost
    // store, wherever that runs.
    frontier_.HoldUntil(
        start.now + WriteWindow::LongestBefore(options_.write_window, start.longest_lease_before) +
        lease::kLongestLease);
  }
  // R15, R16.
  const base::BootTime held_until =
      start.now +
      (TOLLGATE_MUTATED("r16_successor_does_not_wait") ? absl::ZeroDuration() : window_before) +
      (TOLLGATE_MUTATED("r5_hold_of_own_lease") ? options_.lease : start.longest_lease_before);
  std::vector<store::v1::SessionRecord> missing;
  for (const store::v1::SessionRecord& record : start.roster) {
    if (record.lapsed_time_us() != 0) {
      missing.push_back(record);
      continue;
    }
    book_.Recall(record, start.now);
    if (TOLLGATE_MUTATED("r15_roster_forgotten")) continue;
    book_.Extend({record.validator_id(), record.incarnation()}, held_until);
  }
  book_.RecallMissing(std::move(missing), start.now, start.service_now);
  Declare();
}

void EnforcementLedger::Advance(base::BootTime now) {
  now_ = std::max(now_, now);
  const bool ended = book_.Advance(Moment());
  const bool hold_ended = frontier_.Advance(now_);
  ack_limit_.Advance(now_);
  if (!ended && !hold_ended) return;
  EndWords();
  ForgetEnded();
  Declare();
}

void EnforcementLedger::ForgetEnded() {
  for (const lease::SessionId& key : book_.ForgetEnded()) {
    admissions_.Forget(key);
    holds_.Forget(key);
  }
}

void EnforcementLedger::EndWords() {
  for (const lease::SessionId& key : book_.TakeWordsEnded()) holds_.EndWords(key);
}

void EnforcementLedger::OnRevision(int64_t revision, bool has_events, base::BootTime now) {
  Advance(now);
  if (!frontier_.OnRevision(revision, has_events, now_)) return;
  if (has_events) ack_limit_.OnEvent(revision, now_);
  Declare();
}

bool EnforcementLedger::BindCaller(const lease::SessionId& key, absl::string_view caller) {
  return book_.Bind(key, caller, now_);
}

void EnforcementLedger::OnHello(const lease::SessionId& key, const tollgate::v1::Hello& hello,
                                base::BootTime now, absl::string_view address) {
  Advance(now);
  book_.OpenStream(key, hello, address, now_);
}

void EnforcementLedger::Release(const lease::SessionId& key, base::BootTime now) {
  Advance(now);
  book_.Release(key, Moment());
  EndWords();
  ForgetEnded();
  Declare();
}

absl::StatusOr<lease::SessionId> EnforcementLedger::BeginForget(const std::string& validator_id,
                                                                absl::string_view instance,
                                                                base::BootTime now) {
  Advance(now);
  const BookedSession* missing = nullptr;
  const auto& sessions = book_.sessions();
  for (auto it = sessions.lower_bound({validator_id, ""});
       it != sessions.end() && it->first.validator_id == validator_id; ++it) {
    const BookedSession& session = it->second;
    if (!absl::StartsWith(InstanceOf(session.key), instance)) continue;
    const bool may_admit =
        session.live || session.uncovered_until.has_value() || session.streams > 0;
    if (may_admit || (session.words_good() && session.missing())) {
      return base::Refuse(
          absl::StatusCode::kFailedPrecondition, "VALIDATOR_MAY_ADMIT",
          absl::StrCat(
              "refused: ", validator_id, " is not forgotten: ",
              session.streams > 0                   ? "it is connected"
              : session.live                        ? "it may hold a lease, and admit by it"
              : session.uncovered_until.has_value() ? "it fails open, and may admit without a lease"
                                                    : "what it let in may be open past its lease",
              ". Stop it, and forget it once 'tollgate validators list' calls it lapsed."));
    }
    if (session.missing()) missing = &session;
  }
  if (missing == nullptr) {
    return base::Refuse(
        absl::StatusCode::kNotFound, "VALIDATOR_UNKNOWN",
        absl::StrCat("refused: no lapsed validator is remembered by the id ", validator_id,
                     instance.empty() ? "" : absl::StrCat(" and the instance ", instance),
                     ". 'tollgate validators list --problems' shows those that are."));
  }
  book_.BeginForget(missing->key);
  return missing->key;
}

void EnforcementLedger::OnStreamClosed(const lease::SessionId& key, base::BootTime now) {
  Advance(now);
  book_.CloseStream(key, Moment());
  EndWords();
  ForgetEnded();
}

void EnforcementLedger::Acknowledge(const lease::SessionId& key, int64_t revision,
                                    const tollgate::v1::Ping& ping, base::BootTime now) {
  Advance(now);
  const BookedSession* session = book_.Find(key);
  if (session == nullptr) return;
  admissions_.Remember(key, ping, now_);
  // Before the acknowledgement: a revision that becomes enforced by it has the holds that it put in
  // doubt with it.
  holds_.Remember(key, ping);
  if (!session->words_good()) holds_.EndWords(key);
  // `revision` may be above the ledger's head, because the ring hears of a revision before the
  // ledger does. The revision was sent, so it is durable (R7).
  book_.Acknowledge(key, revision, ping, now_);
  Declare();
}

LeaseAnswer EnforcementLedger::GrantLease(const lease::SessionId& key, int64_t revision,
                                          base::BootTime now) {
  Advance(now);
  const auto none = [](LeaseOutcome why) { return LeaseAnswer{absl::ZeroDuration(), why}; };
  const BookedSession* session = book_.Find(key);
  if (session == nullptr) return none(LeaseOutcome::kUnknownSession);
  if (session->released) return none(LeaseOutcome::kReleased);  // R4
  if (rolled_back()) return none(LeaseOutcome::kRolledBack);    // R11
  if (tail_gap()) return none(LeaseOutcome::kTailGap);
  if (NeedsRoster(key) && !TOLLGATE_MUTATED("r15_granted_unrostered")) {  // R15
    return none(LeaseOutcome::kNotRostered);
  }
  if (!longest_lease_.AllowsOwn()) return none(LeaseOutcome::kLeaseNotDurable);  // R5
  if (writes_.Closed(now_) && !TOLLGATE_MUTATED("r16_grants_cut_off")) {         // R16
    return none(LeaseOutcome::kStoreSilent);
  }
  if (session->acknowledged < ack_limit_.overdue() &&
      !TOLLGATE_MUTATED("r6_stuck_is_granted")) {  // R6
    return none(LeaseOutcome::kNoProgress);
  }
  if (revision < frontier_.grant_floor() && !TOLLGATE_MUTATED("r9_no_floor")) {  // R9
    return none(LeaseOutcome::kBelowEnforced);
  }
  book_.Extend(
      key, lease::CountedUntil(now_, options_.lease));  // R1: from the pong's time, the full lease
  Declare();
  return {options_.lease, LeaseOutcome::kGranted};
}

size_t EnforcementLedger::pending_count() const {
  return book_.CountBelow(frontier_.events().LastUpTo(frontier_.head()));
}

base::BootTime EnforcementLedger::NextChange() const {
  base::BootTime next = book_.NextEnd();
  // A ledger that has stopped asks for no write, so nobody takes it (R11).
  if (!stopped()) next = std::min(next, longest_lease_.lower_from());
  if (const absl::optional<base::BootTime> until = frontier_.held_until())
    next = std::min(next, *until);
  return next;
}

bool EnforcementLedger::AddSessions(const absl::optional<lease::SessionId>& after, size_t most,
                                    std::vector<SessionView>* views) const {
  const auto& sessions = book_.sessions();
  auto it = after.has_value() ? sessions.upper_bound(*after) : sessions.begin();
  for (; it != sessions.end() && most > 0; ++it, --most) {
    views->push_back(ViewOf(it->second, frontier_.events(), now_));
  }
  return it != sessions.end();
}

}  // namespace tollgate::service
