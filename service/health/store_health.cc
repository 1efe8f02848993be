#include "service/health/store_health.h"

#include <algorithm>
#include <utility>

namespace tollgate::service {

using storage::DiskJob;
using storage::DiskJobKind;
using storage::DiskWorkUnderWay;

std::vector<StoreHealth::Told> StoreHealth::Watch(base::BootTime now,
                                                  const std::vector<DiskWorkUnderWay>& under_way) {
  std::map<const DiskJob*, std::vector<DiskWorkUnderWay>> by_job;
  for (const auto& [job, trouble] : troubles_) by_job[job];
  for (const DiskWorkUnderWay& piece : under_way) by_job[piece.job].push_back(piece);
  std::vector<Told> told;
  for (const auto& [job, pieces] : by_job) WatchJob(now, job, pieces, &told);
  WatchReadiness(now, under_way, &told);
  WatchDamage(now, &told);
  return told;
}

void StoreHealth::WatchJob(base::BootTime now, const DiskJob* job,
                           const std::vector<DiskWorkUnderWay>& pieces, std::vector<Told>* told) {
  const auto oldest = std::min_element(
      pieces.begin(), pieces.end(), [](const auto& a, const auto& b) { return a.since < b.since; });
  const bool slow = oldest != pieces.end() && now - oldest->since >= options_.slow_after;
  const auto known = troubles_.find(job);
  if (known == troubles_.end() && !slow) return;
  Trouble& trouble = known == troubles_.end() ? troubles_[job] : known->second;
  if (trouble.told.has_value()) {
    const auto goes_on = [&](const DiskWorkUnderWay& piece) {
      return Piece{piece.slot, piece.since} == *trouble.told;
    };
    if (std::none_of(pieces.begin(), pieces.end(), goes_on)) {
      Told ended;
      ended.what = Told::What::kEnded;
      ended.job = job;
      ended.took = now - trouble.told->since;
      told->push_back(std::move(ended));
      trouble.told.reset();
    }
  }
  if (slow) {
    trouble.last_slow = now;
    if (now < trouble.next_line) return;
    Told line;
    line.what = Told::What::kSlow;
    line.job = job;
    line.took = now - oldest->since;
    line.count = static_cast<int64_t>(pieces.size());
    told->push_back(std::move(line));
    trouble.told = Piece{oldest->slot, oldest->since};
    trouble.pause =
        std::min(std::max(2 * trouble.pause, options_.slow_after), options_.longest_silence);
    trouble.next_line = now + trouble.pause;
  } else if (!trouble.told.has_value() && now - trouble.last_slow >= options_.longest_silence) {
    troubles_.erase(job);
  }
}

void StoreHealth::WatchReadiness(base::BootTime now, const std::vector<DiskWorkUnderWay>& under_way,
                                 std::vector<Told>* told) {
  const DiskWorkUnderWay* oldest = nullptr;
  for (const DiskWorkUnderWay& piece : under_way) {
    if (piece.job->kind == DiskJobKind::kLong) continue;
    if (oldest == nullptr || piece.since < oldest->since) oldest = &piece;
  }
  hung_ = oldest != nullptr && now - oldest->since >= options_.hung_after;
  Told line;
  if (hung_ && !told_hung_ && now >= next_hung_line_) {
    line.what = Told::What::kNotReady;
    line.job = oldest->job;
    line.took = now - oldest->since;
    told->push_back(std::move(line));
    told_hung_ = true;
    next_hung_line_ = now + options_.longest_silence;
  } else if (!hung_ && told_hung_) {
    line.what = Told::What::kReady;
    told->push_back(std::move(line));
    told_hung_ = false;
  }
}

void StoreHealth::OnDamage(const absl::Status& damage) {
  if (damage_.ok()) damage_ = damage;
  ++untold_damage_;
}

void StoreHealth::WatchDamage(base::BootTime now, std::vector<Told>* told) {
  if (untold_damage_ == 0 || now < next_damage_line_) return;
  Told line;
  line.what = told_damage_ ? Told::What::kStillDamaged : Told::What::kDamaged;
  line.damage = damage_;
  line.count = std::exchange(untold_damage_, 0);
  told->push_back(std::move(line));
  told_damage_ = true;
  next_damage_line_ = now + options_.longest_silence;
}

}  // namespace tollgate::service
