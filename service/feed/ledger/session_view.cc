#include "service/feed/ledger/session_view.h"

#include "absl/strings/escaping.h"
#include "token/digest.h"

namespace tollgate::service {

std::string InstanceOf(const lease::SessionId& key) {
  return absl::BytesToHexString(token::EdgeDigest::Of(key.incarnation).bytes().substr(0, 16));
}

SessionView ViewOf(const BookedSession& session, const EventMarks& events, base::BootTime now) {
  SessionView view;
  view.key = session.key;
  view.version = session.version;
  view.address = session.address;
  view.live = session.live;
  view.uncovered = session.uncovered_until.has_value();
  view.released = session.released;
  view.missing = session.missing();
  view.streams = session.streams;
  (session.streams > 0 ? view.connected_for : view.away_for) = now - session.streams_changed_at;
  if (session.ended_at.has_value()) view.ended_for = now - *session.ended_at;
  view.acknowledged = session.acknowledged;
  if (const absl::optional<int64_t> missing = events.FirstAfter(session.acknowledged)) {
    view.behind = true;
    if (session.acknowledged > 0) view.revisions_behind = events.CountAfter(session.acknowledged);
    // The revision is below the marks: the lag is at least that of the oldest mark.
    if (const auto since = events.CommittedFrom(*missing)) view.lag = now - *since;
  }
  if (session.live) view.lease_left = session.lease_end - now;
  const EdgeFigures& figures = session.figures;
  if (figures.heard().has_value()) view.last_heard = now - *figures.heard();
  view.fail_open_for = session.fail_open_for;
  view.holds_outlive_lease = session.holds_outlive_lease;
  view.open_holds = figures.open_holds();
  view.cached_tokens = figures.cached_tokens();
  view.decisions = figures.decisions();
  if (session.streams > 0) view.decisions_per_second = figures.decisions_per_second();
  return view;
}

}  // namespace tollgate::service
