#include "service/use/coverage.h"

#include <algorithm>
#include <vector>

#include "base/mutation.h"

namespace tollgate::service {
namespace {

// The name of the edges whose gaps are no longer kept by name.
constexpr char kUnnamedEdges[] = "(edges that ended earlier)";

}  // namespace

Coverage::Coverage(Options options) : options_(options) {}

void Coverage::Opened(absl::string_view edge, absl::string_view incarnation,
                      absl::Time told_until) {
  const Session session{std::string(edge), std::string(incarnation)};
  if (live_.count(session) != 0) return;
  // A session that comes back goes on from what it had reported; its gap stays until it reports.
  const auto gap = gaps_.find(session);
  live_[session].until = gap == gaps_.end() ? told_until : gap->second.told_until;
}

void Coverage::Reported(absl::string_view edge, absl::string_view incarnation,
                        absl::Time complete_until, absl::Time now) {
  const Session session{std::string(edge), std::string(incarnation)};
  const absl::Time told = std::min(complete_until, now);
  const auto live = live_.find(session);
  if (live != live_.end()) live->second = Told{std::max(live->second.until, told), true};
  const auto gap = gaps_.find(session);
  if (gap == gaps_.end()) return;
  gap->second.told_until = std::max(gap->second.told_until, told);
  if (gap->second.told_until >= gap->second.until) gaps_.erase(gap);
}

void Coverage::Lost(absl::string_view edge, absl::string_view incarnation, absl::Time now) {
  // Kept under no incarnation, because a later report does not repeat what this one told.
  AddGap(Session(std::string(edge), ""), absl::InfinitePast(), now);
}

void Coverage::Incomplete(absl::string_view edge, absl::string_view incarnation) {
  const auto live = live_.find(Session(std::string(edge), std::string(incarnation)));
  if (live != live_.end()) live->second.all = false;
}

void Coverage::Ended(absl::string_view edge, absl::string_view incarnation, absl::Time end,
                     bool goodbye) {
  const Session session{std::string(edge), std::string(incarnation)};
  const auto live = live_.find(session);
  if (live == live_.end()) return;
  const Told told = live->second;
  live_.erase(live);
  if (goodbye && told.all) {
    gaps_.erase(session);
  } else if (told.until < end && !TOLLGATE_MUTATED("last_admit_gap_forgotten")) {
    AddGap(session, told.until, end);
  }
}

void Coverage::AddGap(const Session& session, absl::Time told_until, absl::Time until) {
  const auto inserted = gaps_.emplace(session, Gap{told_until, until});
  if (!inserted.second) {
    Gap& gap = inserted.first->second;
    gap.told_until = std::max(gap.told_until, told_until);
    gap.until = std::max(gap.until, until);
  }
  if (gaps_.size() <= options_.max_gaps) return;
  // The older half loses its names, so that this is done seldom.
  std::vector<absl::Time> untils;
  untils.reserve(gaps_.size());
  for (const auto& entry : gaps_) untils.push_back(entry.second.until);
  std::nth_element(untils.begin(), untils.begin() + static_cast<long>(untils.size() / 2),
                   untils.end());
  const absl::Time middle = untils[untils.size() / 2];
  for (auto it = gaps_.begin(); it != gaps_.end();) {
    if (it->second.until <= middle) {
      unnamed_gap_ = std::max(unnamed_gap_, it->second.until);
      it = gaps_.erase(it);
    } else {
      ++it;
    }
  }
}

SilenceEvidence Coverage::Evidence(absl::Time now) const {
  SilenceEvidence evidence;
  if (!roster_loaded_) return evidence;  // nothing is known yet
  evidence.heard_until = now;
  evidence.gaps_since = gaps_since_;
  for (const auto& entry : live_) {
    const absl::Time told = entry.second.until;
    if (told + options_.max_report_lag < now) {
      evidence.unheard.push_back({entry.first.first, told});
    } else {
      evidence.heard_until = std::min(evidence.heard_until, told);
    }
  }
  for (const auto& entry : gaps_) {
    evidence.gaps.push_back({entry.first.first, entry.second.until});
  }
  if (unnamed_gap_ > absl::InfinitePast()) {
    evidence.gaps.push_back({kUnnamedEdges, unnamed_gap_});
  }
  return evidence;
}

}  // namespace tollgate::service
