#include "service/feed/ledger/receipt.h"

#include <algorithm>
#include <vector>

#include "base/mutation.h"
#include "base/proto_time.h"

namespace tollgate::service {

using v1::Receipt;

namespace {

// A span that may have passed already, as a proto; never below zero.
google::protobuf::Duration Left(absl::Duration d) {
  return base::ToProto(std::max(d, absl::ZeroDuration()));
}

// How a session counts in the receipt of one revision.
enum class Standing {
  kNotCounted,  // its lease had ended before the revision was there to be heard of
  kAcknowledged,
  kPending,
  kNotCovered,
  kLapsed,
  kReleased,
};

// `needed`: the last revision with events up to `revision`. `enforced`: `revision` was declared
// enforced.
Standing StandingOf(const BookedSession& session, int64_t revision, int64_t needed, bool enforced) {
  const bool acknowledged = session.acknowledged >= needed;
  if (session.live) {
    if (acknowledged) return Standing::kAcknowledged;
    if (!enforced) return Standing::kPending;
    // An enforced revision waits for no session: a lease that was granted since was granted at that
    // revision or above (R9). A fail-open session needs no lease, and goes on from what it held
    // until its new lease reaches it, so only its acknowledgement covers it (R14).
    const bool open = session.fail_open_for > absl::ZeroDuration() &&
                      !TOLLGATE_MUTATED("r14_fail_open_granted_again");
    return open ? Standing::kNotCovered : Standing::kAcknowledged;
  }
  if (session.uncovered_until.has_value()) {
    return acknowledged ? Standing::kAcknowledged : Standing::kNotCovered;
  }
  if (session.head_at_end < revision) return Standing::kNotCounted;
  if (acknowledged) return Standing::kAcknowledged;
  return session.released ? Standing::kReleased : Standing::kLapsed;
}

// Whether the session may keep holds open of which it has said nothing for the revision: it keeps
// them past its lease, and has not acknowledged. As StandingOf has it of what fails open (R14).
bool KeepsHoldsUncovered(const BookedSession& session, int64_t needed, bool enforced) {
  if (session.holds_outlive_lease == absl::ZeroDuration() || session.acknowledged >= needed) {
    return false;
  }
  return session.live ? enforced : session.words_until.has_value();
}

v1::PendingValidator Pending(const BookedSession& session, int64_t head, base::BootTime now) {
  v1::PendingValidator pending;
  pending.set_validator(session.key.validator_id);
  pending.set_revisions_behind(std::max<int64_t>(0, head - session.acknowledged));
  if (const absl::optional<base::BootTime> heard = session.figures.heard()) {
    *pending.mutable_last_heard() = Left(now - *heard);
  }
  *pending.mutable_lease_left() = Left(session.lease_end - now);
  return pending;
}

// Says why nothing is declared, although no particular session may be pending.
void SetHold(const EnforcedFrontier& frontier, int64_t revision, base::BootTime now,
             Receipt* receipt) {
  if (frontier.rolled_back()) {
    receipt->set_hold("the store was rolled back: a new epoch must be taken");
  } else if (frontier.tail_gap()) {
    receipt->set_hold("the store's tail has a gap: the service must be started again");
  } else if (const absl::optional<base::BootTime> until = frontier.held_until()) {
    receipt->set_hold("the store was restored from a backup: who holds a lease is not known");
    *receipt->mutable_hold_left() = Left(*until - now);
  } else if (revision > frontier.head()) {
    receipt->set_hold("the revision is not committed yet");
  }
}

}  // namespace

Receipt MakeReceipt(const ReceiptSources& from, const ReceiptQuestion& question,
                    absl::string_view epoch, base::BootTime now) {
  const EnforcedFrontier& frontier = from.frontier;
  const int64_t revision = question.revision;
  const int64_t needed = frontier.events().LastUpTo(revision);
  const bool enforced = revision <= frontier.enforced();
  Receipt receipt;
  receipt.set_epoch(std::string(epoch));
  receipt.set_revision(revision);
  receipt.set_state(enforced ? v1::ENFORCEMENT_STATE_ENFORCED : v1::ENFORCEMENT_STATE_PENDING);
  if (!enforced) SetHold(frontier, revision, now, &receipt);

  std::vector<std::string> unheard;  // have not said when they last admitted
  int acknowledged = 0, lapsed = 0, released = 0, pending = 0;
  for (const auto& [key, session] : from.book.sessions()) {
    if (KeepsHoldsUncovered(session, needed, enforced)) {
      receipt.add_holds_not_covered(key.validator_id);
    }
    switch (StandingOf(session, revision, needed, enforced)) {
      case Standing::kNotCounted:
        break;
      case Standing::kAcknowledged:
        ++acknowledged;
        break;
      case Standing::kReleased:
        ++released;
        break;
      case Standing::kPending:
        ++pending;
        unheard.push_back(key.validator_id);
        if (receipt.pending_size() < kMaxNamedInReceipt) {
          *receipt.add_pending() = Pending(session, frontier.head(), now);
        }
        break;
      case Standing::kNotCovered:
        receipt.add_not_covered(key.validator_id);
        unheard.push_back(key.validator_id);
        break;
      case Standing::kLapsed:
        ++lapsed;
        unheard.push_back(key.validator_id);
        if (receipt.lapsed_validators_size() < kMaxNamedInReceipt) {
          receipt.add_lapsed_validators(key.validator_id);
        }
        break;
    }
  }
  receipt.set_acknowledged(acknowledged);
  receipt.set_lapsed(lapsed);
  receipt.set_released(released);
  receipt.set_pending_count(pending);
  // Those that the revision never was there for. They held nothing when it was committed, and get
  // nothing below what is enforced (R9).
  for (const auto& [place, session] : from.book.missing()) {
    if (StandingOf(*session, revision, needed, enforced) != Standing::kNotCounted) continue;
    receipt.set_missing_count(receipt.missing_count() + 1);
    if (receipt.missing_validators_size() < kMaxNamedInReceipt) {
      receipt.add_missing_validators(session->key.validator_id);
    }
  }

  if (!question.token_id.empty()) {
    for (v1::LastAdmit& row :
         from.admissions.RowsOf(revision, question.workspace, question.token_id, unheard)) {
      receipt.add_last_admits()->Swap(&row);
    }
  }
  from.holds.AddTo(revision, &receipt);
  if (frontier.CommitSeen(revision)) {
    if (const absl::optional<base::BootTime> at = frontier.events().CommittedAt(revision)) {
      *receipt.mutable_elapsed() = Left(now - *at);
    }
  }
  return receipt;
}

}  // namespace tollgate::service
