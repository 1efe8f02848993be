// What the ledger tells: receipts, and the fleet as people see it. Nothing here changes it.
#include <algorithm>
#include <utility>

#include "base/mutation.h"
#include "base/proto_time.h"
#include "service/feed/enforcement.h"
#include "service/feed/ledger_session.h"

namespace tollgate {

using v1::Receipt;

namespace {

// Of what has passed already: never below zero.
google::protobuf::Duration Left(absl::Duration d) {
  return ToProto(std::max(d, absl::ZeroDuration()));
}

}  // namespace

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
    } else if (tail_gap_) {
      receipt.set_hold("the store's tail has a gap: the service must be started again");
    } else if (restore_hold_) {
      receipt.set_hold("the store was restored from a backup: who holds a lease is not known");
      *receipt.mutable_hold_left() = Left(restore_hold_until_ - now_);
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
      // revision not below (R9). One that fails open needs no lease, and until its new one reaches
      // it goes on from what it held: only its acknowledgement covers it (R14).
      const bool open = session->fail_open_for > absl::ZeroDuration() &&
                        !TOLLGATE_MUTATED("r14_fail_open_granted_again");
      if (acked || (enforced && !open)) {
        ++acknowledged;
        continue;
      }
      if (enforced) {
        receipt.add_not_covered(key.validator_id);
        unheard.push_back(key.validator_id);
        continue;
      }
      ++pending;
      unheard.push_back(key.validator_id);
      if (receipt.pending_size() < kMaxNamedInReceipt) {
        v1::PendingValidator* named = receipt.add_pending();
        named->set_validator(key.validator_id);
        named->set_revisions_behind(std::max<int64_t>(0, head_ - session->acked));
        if (session->heard.has_value()) {
          *named->mutable_last_heard() = Left(now_ - *session->heard);
        }
        *named->mutable_lease_left() = Left(session->end - now_);
      }
    } else if (session->uncovered_until.has_value()) {
      if (acked) {
        ++acknowledged;
        continue;
      }
      receipt.add_not_covered(key.validator_id);
      unheard.push_back(key.validator_id);
    } else if (session->ended_head >=
               revision) {  // else it ended before there was anything to hear
      if (acked) {
        ++acknowledged;
      } else if (session->released) {
        ++released;
      } else {
        ++lapsed;
        unheard.push_back(key.validator_id);
        if (receipt.lapsed_validators_size() < kMaxNamedInReceipt) {
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
    *receipt.mutable_elapsed() = Left(now_ - mark->at);
  }
  return receipt;
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
    if (session.acked > 0) view.revisions_behind = EventsAfter(session.acked);
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
  AddSessions(absl::nullopt, sessions_.size(), &views);
  return views;
}

bool EnforcementLedger::AddSessions(const absl::optional<SessionId>& after, size_t most,
                                    std::vector<SessionView>* views) const {
  auto it = after.has_value() ? sessions_.upper_bound(*after) : sessions_.begin();
  for (; it != sessions_.end() && most > 0; ++it, --most) views->push_back(ViewOf(*it->second));
  return it != sessions_.end();
}

}  // namespace tollgate
