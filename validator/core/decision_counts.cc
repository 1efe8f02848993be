#include "validator/core/decision_counts.h"

namespace tollgate::validator {

int64_t DecisionTotals::decisions() const {
  int64_t sum = admitted;
  for (int64_t n : refused) sum += n;
  return sum;
}

DecisionCounts::Shard& DecisionCounts::Mine() {
  static std::atomic<uint32_t> next{0};
  thread_local const uint32_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return shards_[mine % kShards];
}

void DecisionCounts::CountAdmit(bool fail_open, bool from_memory) {
  Cells& cells = Mine().cells[from_memory];
  (fail_open ? cells.admitted_fail_open : cells.admitted).fetch_add(1, std::memory_order_relaxed);
}

void DecisionCounts::CountRefusal(tollgate::v1::VerdictReason reason, bool from_memory) {
  Cells& cells = Mine().cells[from_memory];
  const size_t i = static_cast<size_t>(reason);
  cells.refused[i < cells.refused.size() ? i : 0].fetch_add(1, std::memory_order_relaxed);
}

void DecisionCounts::CountMiss() { Mine().misses.fetch_add(1, std::memory_order_relaxed); }

DecisionTotals DecisionCounts::Totals() const {
  DecisionTotals totals;
  for (const Shard& shard : shards_) {
    totals.misses += shard.misses.load(std::memory_order_relaxed);
    for (const bool from_memory : {false, true}) {
      const Cells& cells = shard.cells[from_memory];
      const int64_t fail_open = cells.admitted_fail_open.load(std::memory_order_relaxed);
      int64_t decisions = cells.admitted.load(std::memory_order_relaxed) + fail_open;
      totals.admitted += decisions;
      totals.admitted_fail_open += fail_open;
      for (size_t i = 0; i < totals.refused.size(); ++i) {
        const int64_t refused = cells.refused[i].load(std::memory_order_relaxed);
        totals.refused[i] += refused;
        decisions += refused;
      }
      if (from_memory) totals.from_memory += decisions;
    }
  }
  return totals;
}

}  // namespace tollgate::validator
