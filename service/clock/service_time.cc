#include "service/clock/service_time.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/status.h"

namespace tollgate::service {

using tollgate::v1::ClockDoubt;

namespace {

// More than a fleet has: beyond it nobody new is heard until others have fallen silent.
constexpr size_t kMostEdges = 50'000;
constexpr size_t kFewestEdges = 2;

std::string ForPeople(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace

absl::string_view ClockTrustName(ClockTrust trust) {
  switch (trust) {
    case ClockTrust::kAgreesAgain:
      return "agrees again";
    case ClockTrust::kKernel:
      return "kernel synchronised";
    case ClockTrust::kEdges:
      return "edges agree";
    case ClockTrust::kOperator:
      return "operator";
  }
  return "unknown";
}

ServiceTime::ServiceTime(const Options& options, const absl::optional<Stored>& stored,
                         absl::string_view boot_id, const ClockReading& now)
    : options_(options),
      since_(now.boot),
      last_(now.wall),
      last_boot_(now.boot),
      ahead_(Ahead(now)) {
  if (!stored.has_value()) return;
  last_ = stored->time;
  // On the same boot the boot clock tells how long the service was off. It starts anew with a boot.
  if (!boot_id.empty() && boot_id == stored->boot_id && stored->boot <= now.boot) {
    const absl::Duration off = now.boot - stored->boot;
    const absl::Duration strayed = now.wall - (stored->time + off);
    if (absl::AbsDuration(strayed) > options_.step_bound + Drift(off)) {
      ahead_ = Ahead({now.boot, stored->time + off});
      Begin(tollgate::v1::CLOCK_DOUBT_STEPPED, stored->time, stored->boot, now);
    }
  } else {
    const absl::Duration gap = now.wall - stored->time;
    if (gap < -options_.step_bound) {
      Begin(tollgate::v1::CLOCK_DOUBT_BEHIND_STORE, stored->time, now.boot, now);
    } else if (gap > options_.longest_off) {
      Begin(tollgate::v1::CLOCK_DOUBT_AHEAD_OF_STORE, stored->time, now.boot, now);
    } else if (stored->in_doubt && gap > options_.step_bound) {
      Begin(tollgate::v1::CLOCK_DOUBT_SINCE_BEFORE_START, stored->time, now.boot, now);
    }
    if (in_doubt()) ahead_ = Ahead({now.boot, stored->time});
  }
  last_ = std::max(last_, in_doubt() ? Line(now.boot) : now.wall);
}

absl::Duration ServiceTime::Ahead(const ClockReading& now) {
  return now.wall - absl::UnixEpoch() - absl::Nanoseconds(now.boot.nanos());
}

absl::Duration ServiceTime::Drift(absl::Duration elapsed) const {
  return std::max(elapsed, absl::ZeroDuration()) * options_.drift_bound;
}

absl::Duration ServiceTime::AtLeast(absl::Duration elapsed) const {
  return std::max(elapsed, absl::ZeroDuration()) - Drift(elapsed);
}

absl::Time ServiceTime::Line(base::BootTime boot) const {
  return line_ + AtLeast(boot - line_boot_);
}

void ServiceTime::Begin(ClockDoubt doubt, absl::Time line, base::BootTime line_boot,
                        const ClockReading& now) {
  if (TOLLGATE_MUTATED("r20_wall_clock_believed")) return;
  doubt_ = doubt;
  since_ = now.boot;
  line_ = line;
  line_boot_ = line_boot;
  kernel_lapsed_ = false;
  ClockChange change;
  change.in_doubt = true;
  change.doubt = doubt;
  change.wall = now.wall;
  change.from = change.to = std::max(last_, Line(now.boot));
  changes_.push_back(change);
}

void ServiceTime::End(ClockTrust trust, const ClockReading& now) {
  ClockChange change;
  change.doubt = std::exchange(doubt_, tollgate::v1::CLOCK_DOUBT_UNSPECIFIED);
  change.trust = trust;
  if (!changes_.empty() && changes_.back().in_doubt && since_ == now.boot) {
    change.at_once = true;
    changes_.pop_back();
  }
  change.wall = now.wall;
  change.from = last_;
  since_ = now.boot;
  last_boot_ = now.boot;
  // Small steps add up across a doubt that ended only because the last of them was taken back.
  const bool stepped_back =
      trust == ClockTrust::kAgreesAgain && change.doubt == tollgate::v1::CLOCK_DOUBT_STEPPED;
  const absl::Duration drift = Drift(now.boot - line_boot_);
  const absl::Duration strayed = Ahead(now) - ahead_;
  ahead_ += stepped_back ? std::clamp(strayed, -drift, drift) : strayed;
  // Who trusts the wall clock trusts that the time before it was wrong, if it was later by much. By
  // little, time stands until the wall clock has caught up.
  const bool back = now.wall < last_ - options_.step_bound;
  if (now.wall > last_ + options_.step_bound) jumped_to_ = now.wall;
  last_ = back ? now.wall : std::max(last_, now.wall);
  change.to = last_;
  changes_.push_back(change);
}

absl::Time ServiceTime::Read(const ClockReading& now) {
  const absl::Duration elapsed = std::max(now.boot - last_boot_, absl::ZeroDuration());
  if (!in_doubt()) {
    // Two clocks of one machine may drift apart a little; what is more is a step.
    const absl::Duration drift = Drift(elapsed);
    const absl::Duration strayed = Ahead(now) - ahead_;
    ahead_ += std::clamp(strayed, -drift, drift);
    if (absl::AbsDuration(Ahead(now) - ahead_) <= options_.step_bound ||
        TOLLGATE_MUTATED("r20_wall_clock_believed")) {
      last_ = std::max(last_, now.wall);
      last_boot_ = std::max(last_boot_, now.boot);
      return last_;
    }
    Begin(tollgate::v1::CLOCK_DOUBT_STEPPED, last_, last_boot_, now);
  }
  last_boot_ = std::max(last_boot_, now.boot);
  last_ = std::max(last_, Line(now.boot));
  if (doubt_ == tollgate::v1::CLOCK_DOUBT_EDGES_DISAGREE) return last_;
  // It is where it may be expected again. After a start on another boot that is where a start would
  // have trusted it, but for one that was in doubt before.
  const absl::Duration strayed = Ahead(now) - ahead_;
  const absl::Duration near = options_.step_bound + Drift(now.boot - line_boot_);
  const bool off_unknown = doubt_ == tollgate::v1::CLOCK_DOUBT_BEHIND_STORE ||
                           doubt_ == tollgate::v1::CLOCK_DOUBT_AHEAD_OF_STORE;
  if (strayed >= -near && strayed <= (off_unknown ? options_.longest_off : near)) {
    End(ClockTrust::kAgreesAgain, now);
  }
  return last_;
}

void ServiceTime::OnKernel(const ClockReading& now,
                           const absl::optional<absl::Time>& synchronised) {
  if (!in_doubt()) return;
  if (!synchronised.has_value() ||
      absl::AbsDuration(*synchronised - now.wall) > options_.kernel_bound) {
    kernel_lapsed_ = true;
    return;
  }
  // What most edges contradict may be a word from before a machine was put back to a snapshot: then
  // only a new one counts.
  if (doubt_ == tollgate::v1::CLOCK_DOUBT_EDGES_DISAGREE && !kernel_lapsed_) return;
  End(ClockTrust::kKernel, now);
}

void ServiceTime::OnEdge(absl::string_view validator_id, absl::Time edge_wall,
                         base::BootTime boot) {
  auto found = edges_.find(validator_id);
  if (found == edges_.end()) {
    if (edges_.size() >= kMostEdges) {
      for (auto it = edges_.begin(); it != edges_.end();) {
        it = boot - it->second.told > options_.edge_life ? edges_.erase(it) : std::next(it);
      }
      if (edges_.size() >= kMostEdges) return;
    }
    found = edges_.emplace(std::string(validator_id), Edge()).first;
  }
  found->second = {Ahead({boot, edge_wall}), boot};
}

ServiceTime::Edges ServiceTime::WeighEdges(const ClockReading& now, bool since_change) const {
  Edges edges;
  const absl::Duration ahead = Ahead(now);
  for (const auto& [id, edge] : edges_) {
    if (now.boot - edge.told > options_.edge_life) continue;
    ++edges.told;
    if (since_change && edge.told < since_) continue;
    const absl::Duration difference = absl::AbsDuration(edge.ahead - ahead);
    if (difference <= options_.step_bound) ++edges.agree;
    if (difference > options_.edge_bound) ++edges.contradict;
    if (difference >= edges.largest_difference.value_or(absl::ZeroDuration())) {
      edges.largest_difference = difference;
    }
  }
  return edges;
}

void ServiceTime::JudgeEdges(const ClockReading& now) {
  const Edges edges = WeighEdges(now, /*since_change=*/true);
  if (in_doubt()) {
    if (edges.agree >= kFewestEdges && edges.agree * 2 > edges.told) End(ClockTrust::kEdges, now);
    return;
  }
  const bool contradicted = edges.contradict >= kFewestEdges && edges.contradict * 2 > edges.told;
  if (!contradicted) {
    // Only what they say ends it: right after the operator's word few have been heard.
    if (edges.agree >= kFewestEdges && edges.agree * 2 > edges.told) edges_overruled_ = false;
  } else if (!edges_overruled_) {
    const absl::Time time = Read(now);  // which may have found another reason
    if (!in_doubt()) Begin(tollgate::v1::CLOCK_DOUBT_EDGES_DISAGREE, time, now.boot, now);
  }
}

absl::Status ServiceTime::Accept(const ClockReading& now, absl::Time wall, bool apply) {
  if (!in_doubt()) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "CLOCK_NOT_IN_DOUBT",
                        "refused: the clock is not in doubt, so there is nothing to accept.");
  }
  if (absl::AbsDuration(now.wall - wall) > options_.accept_bound) {
    base::ErrorDetails details;
    details.reason = "CLOCK_TIME_DIFFERS";
    details.fields = {{"wall_time", "is not what the service's wall clock says"}};
    details.metadata = {{"wall_time", ForPeople(now.wall)}};
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("refused: the service's wall clock says ", ForPeople(now.wall), ", not ",
                     ForPeople(wall),
                     ". Set its machine's clock right first, or accept the time that it says."),
        details);
  }
  if (!apply) return absl::OkStatus();
  End(ClockTrust::kOperator, now);
  edges_overruled_ = true;
  return absl::OkStatus();
}

std::vector<ClockChange> ServiceTime::TakeChanges() { return std::exchange(changes_, {}); }

}  // namespace tollgate::service
