#include "service/feed/fleet_news.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "service/feed/ledger/fleet.h"

namespace tollgate::service {
namespace {

// How many validators a sum names.
constexpr size_t kNamed = 5;

}  // namespace

absl::Duration FleetNews::ReviewInterval(size_t sessions) {
  // Half a millisecond of each second at most.
  return std::max(absl::Seconds(1), absl::Milliseconds(static_cast<int64_t>(sessions)));
}

std::vector<base::LogRecord> FleetNews::Review(const std::vector<SessionView>& sessions,
                                               base::BootTime now) {
  const double refill = absl::FDivDuration(now - now_, kRefill);
  now_ = now;
  for (auto& [kind, budget] : budgets_) {
    budget.lines = std::min<double>(kBurst, budget.lines + refill);
  }
  ++reviews_;
  for (size_t begin = 0; begin < sessions.size();) {
    const std::string& validator_id = sessions[begin].key.validator_id;
    size_t end = begin;
    int connected = 0;
    for (; end < sessions.size() && sessions[end].key.validator_id == validator_id; ++end) {
      if (sessions[end].streams > 0) ++connected;
    }
    for (size_t i = begin; i < end; ++i) {
      const SessionView& session = sessions[i];
      Entry& entry = entries_[session.key];
      entry.seen = reviews_;
      ReviewOne(session, connected > (session.streams > 0 ? 1 : 0), &entry);
    }
    ReviewTwins(absl::MakeConstSpan(sessions).subspan(begin, end - begin));
    begin = end;
  }
  for (auto it = entries_.begin(); it != entries_.end();) {
    it = it->second.seen == reviews_ ? std::next(it) : entries_.erase(it);
  }
  TellSums();
  return std::exchange(lines_, {});
}

FleetNews::Told FleetNews::Judge(const SessionView& session, bool replaced, Told before) {
  switch (StateOf(session)) {
    case v1::VALIDATOR_STATE_RELEASED:
      return Told::kLeft;
    case v1::VALIDATOR_STATE_LAPSED:
      return Told::kLapsed;
    case v1::VALIDATOR_STATE_NOT_COVERED:
      return Told::kUncovered;
    case v1::VALIDATOR_STATE_JOINING:
      return session.connected_for >= kLeaselessTold ? Told::kLeaseless : before;
    case v1::VALIDATOR_STATE_PENDING:
      if (session.streams > 0) return session.lag >= kPendingTold ? Told::kPending : before;
      [[fallthrough]];
    case v1::VALIDATOR_STATE_AWAY:
      // Where a newer process speaks for the validator, the older one has nothing to come back for.
      return session.away_for >= kAwayTold && !replaced ? Told::kAway : before;
    case v1::VALIDATOR_STATE_IN_SYNC:
      return Told::kWell;
    default:
      return before;
  }
}

void FleetNews::ReviewOne(const SessionView& session, bool replaced, Entry* entry) {
  const Told before = entry->told;
  const Told now = Judge(session, replaced, before);
  entry->told = now;
  if (reviews_ == 1) {
    if (now == Told::kNothing) entry->told = Told::kWell;
    return;
  }
  if (now == before) return;
  const std::string& id = session.key.validator_id;
  switch (now) {
    case Told::kNothing:
      return;
    case Told::kWell:
      if (before == Told::kNothing) {
        Tell(Kind::kJoined, id, {{"address", session.address}, {"version", session.version}});
      } else {
        Tell(before == Told::kPending ? Kind::kAcknowledges : Kind::kBack, id);
      }
      return;
    case Told::kLeft:
      return Tell(Kind::kLeft, id);
    case Told::kAway:
      return Tell(Kind::kAway, id,
                  {{"address", session.address},
                   {"away_for", session.away_for.value_or(absl::ZeroDuration())},
                   {"lease_left", session.lease_left}});
    case Told::kPending:
      return Tell(Kind::kPending, id,
                  {{"address", session.address},
                   {"pending_for", session.lag.value_or(absl::ZeroDuration())},
                   {"acknowledged", session.acknowledged},
                   {"lease_left", session.lease_left}});
    case Told::kLeaseless:
      return Tell(Kind::kLeaseless, id,
                  {{"address", session.address},
                   {"connected_for", session.connected_for.value_or(absl::ZeroDuration())}});
    case Told::kLapsed:
      return Tell(replaced ? Kind::kPredecessorLapsed : Kind::kLapsed, id,
                  {{"address", session.address}});
    case Told::kUncovered:
      return Tell(Kind::kUncovered, id,
                  {{"address", session.address}, {"fail_open_for", session.fail_open_for}});
  }
}

void FleetNews::ReviewTwins(absl::Span<const SessionView> sessions) {
  std::vector<std::string> addresses;
  for (const SessionView& session : sessions) {
    if (session.connected_for >= kTwinsTold && session.last_heard.has_value() &&
        *session.last_heard <= kTwinSilent) {
      addresses.push_back(session.address);
    }
  }
  const std::string& id = sessions.front().key.validator_id;
  if (addresses.size() < 2) {
    twins_.erase(id);
  } else if (twins_.insert(id).second) {
    Tell(Kind::kTwins, id,
         {{"processes", static_cast<int64_t>(addresses.size())},
          {"addresses", absl::StrJoin(addresses, ", ")}});
  }
}

void FleetNews::OnCut(absl::string_view validator_id, absl::string_view why) {
  Tell(Kind::kCut, std::string(validator_id), {{"why", why}});
}

void FleetNews::OnOtherBrand(absl::string_view validator_id, absl::string_view address,
                             absl::string_view brand) {
  Tell(Kind::kOtherBrand, std::string(validator_id), {{"address", address}, {"brand", brand}});
}

FleetNews::Words FleetNews::WordsOf(Kind kind) {
  using base::LogLevel;
  switch (kind) {
    case Kind::kJoined:
      return {LogLevel::kInfo, "a validator joined", "validators joined"};
    case Kind::kBack:
      return {LogLevel::kInfo, "a validator is back", "validators are back"};
    case Kind::kLeft:
      return {LogLevel::kInfo, "a validator left", "validators left"};
    case Kind::kAway:
      return {LogLevel::kWarning,
              "a validator is away: it holds a lease, without a connection to this service",
              "validators are away: they hold leases, without a connection to this service"};
    case Kind::kPending:
      return {
          LogLevel::kWarning,
          "a validator does not acknowledge: revocations are not enforced until it does, or its "
          "lease has run out",
          "validators do not acknowledge: revocations are not enforced until they do, or their "
          "leases have run out"};
    case Kind::kAcknowledges:
      return {LogLevel::kInfo, "a validator acknowledges again", "validators acknowledge again"};
    case Kind::kLeaseless:
      return {LogLevel::kWarning, "a validator is connected, and gets no lease: it admits nothing",
              "validators are connected, and get no lease: they admit nothing"};
    case Kind::kLapsed:
      return {LogLevel::kWarning, "a validator's lease ran out: it admits nothing until it is back",
              "validators' leases ran out: they admit nothing until they are back"};
    case Kind::kPredecessorLapsed:
      return {LogLevel::kInfo, "the lease of a validator's process before ran out",
              "leases of validators' processes before ran out"};
    case Kind::kUncovered:
      return {LogLevel::kWarning,
              "a validator's lease ran out, and it may go on by itself (fail-open): revocations do "
              "not reach it",
              "validators' leases ran out, and they may go on by themselves (fail-open): "
              "revocations do not reach them"};
    case Kind::kTwins:
      return {LogLevel::kWarning,
              "two live processes speak under one validator id: give each an id of its own",
              "validator ids under each of which two live processes speak: give each process an id "
              "of its own"};
    case Kind::kCut:
      return {LogLevel::kWarning, "a follower was cut", "followers were cut"};
    case Kind::kOtherBrand:
      return {LogLevel::kError,
              "a validator looks for token strings of another brand, and admits nothing: start it "
              "with this service's --brand",
              "validators look for token strings of another brand, and admit nothing: start them "
              "with this service's --brand"};
  }
  return {LogLevel::kWarning, "", ""};
}

void FleetNews::Tell(Kind kind, const std::string& validator_id,
                     std::vector<std::pair<std::string, base::LogValue>> fields) {
  Budget& budget = budgets_[kind];
  // What waits to be told in a sum goes before: no line overtakes it.
  if (budget.untold == 0 && budget.lines >= 1) {
    budget.lines -= 1;
    const Words words = WordsOf(kind);
    fields.insert(fields.begin(), {"validator", validator_id});
    lines_.push_back({words.level, std::string(words.one), std::move(fields)});
    return;
  }
  ++budget.untold;
  if (budget.names.size() < kNamed) budget.names.push_back(validator_id);
}

void FleetNews::TellSums() {
  for (auto& [kind, budget] : budgets_) {
    if (budget.untold == 0 || budget.lines < 1) continue;
    budget.lines -= 1;
    const Words words = WordsOf(kind);
    const bool more = budget.untold > static_cast<int64_t>(budget.names.size());
    lines_.push_back(
        {words.level,
         std::string(words.many),
         {{"count", budget.untold},
          {"validators", absl::StrCat(absl::StrJoin(budget.names, ", "), more ? ", …" : "")}}});
    budget.untold = 0;
    budget.names.clear();
  }
}

}  // namespace tollgate::service
