#include "service/feed/ledger/fleet.h"

#include <utility>

namespace tollgate::service {

using v1::ValidatorState;

ValidatorState StateOf(const SessionView& session) {
  if (session.released) return v1::VALIDATOR_STATE_RELEASED;
  if (session.live) {
    if (session.behind) return v1::VALIDATOR_STATE_PENDING;
    return session.streams > 0 ? v1::VALIDATOR_STATE_IN_SYNC : v1::VALIDATOR_STATE_AWAY;
  }
  if (session.uncovered) return v1::VALIDATOR_STATE_NOT_COVERED;
  // A session that connected again without a new lease (R6) has lapsed all the same: it admits
  // nothing.
  if (session.ended_for.has_value()) return v1::VALIDATOR_STATE_LAPSED;
  return v1::VALIDATOR_STATE_JOINING;
}

bool IsProblem(const SessionView& session) {
  switch (StateOf(session)) {
    case v1::VALIDATOR_STATE_PENDING:
      return !session.lag.has_value() || *session.lag >= kSlowAfter;
    case v1::VALIDATOR_STATE_JOINING:
      return !session.connected_for.has_value() || *session.connected_for >= kSlowAfter;
    case v1::VALIDATOR_STATE_AWAY:
      return !session.away_for.has_value() || *session.away_for >= kAwayAfter;
    case v1::VALIDATOR_STATE_LAPSED:
    case v1::VALIDATOR_STATE_NOT_COVERED:
      return true;
    default:
      return false;
  }
}

namespace {

bool HasEnded(const SessionView& session) {
  const ValidatorState state = StateOf(session);
  return state == v1::VALIDATOR_STATE_RELEASED || state == v1::VALIDATOR_STATE_LAPSED;
}

}  // namespace

std::vector<SessionView> FleetOf(std::vector<SessionView> sessions, bool include_released) {
  std::vector<SessionView> fleet;
  fleet.reserve(sessions.size());
  for (size_t begin = 0; begin < sessions.size();) {
    size_t end = begin;
    bool still_there = false;  // a session of this validator has not ended
    for (; end < sessions.size() &&
           sessions[end].key.validator_id == sessions[begin].key.validator_id;
         ++end) {
      const SessionView& session = sessions[end];
      if (HasEnded(session)) continue;
      // A session whose connection was closed before any grant does not count.
      still_there |= session.streams > 0 || session.live || session.uncovered;
    }
    for (size_t i = begin; i < end; ++i) {
      SessionView& session = sessions[i];
      const ValidatorState state = StateOf(session);
      bool shown = true;
      if (state == v1::VALIDATOR_STATE_JOINING) {
        shown = session.streams > 0;
      } else if (state == v1::VALIDATOR_STATE_RELEASED) {
        shown = include_released;
      } else if (state == v1::VALIDATOR_STATE_LAPSED) {
        shown = session.streams > 0 || (session.missing && !still_there);
      }
      if (shown) fleet.push_back(std::move(session));
    }
    begin = end;
  }
  return fleet;
}

absl::string_view ValidatorStateName(ValidatorState state) {
  switch (state) {
    case v1::VALIDATOR_STATE_IN_SYNC:
      return "in_sync";
    case v1::VALIDATOR_STATE_PENDING:
      return "pending";
    case v1::VALIDATOR_STATE_AWAY:
      return "away";
    case v1::VALIDATOR_STATE_LAPSED:
      return "lapsed";
    case v1::VALIDATOR_STATE_NOT_COVERED:
      return "not_covered";
    case v1::VALIDATOR_STATE_JOINING:
      return "joining";
    case v1::VALIDATOR_STATE_RELEASED:
      return "released";
    default:
      return "unknown";
  }
}

std::map<ValidatorState, int> CountStates(const std::vector<SessionView>& fleet) {
  std::map<ValidatorState, int> counts;
  for (int state = v1::VALIDATOR_STATE_IN_SYNC; state <= v1::VALIDATOR_STATE_RELEASED; ++state) {
    counts[static_cast<ValidatorState>(state)] = 0;
  }
  for (const SessionView& session : fleet) ++counts[StateOf(session)];
  return counts;
}

}  // namespace tollgate::service
