#include "validator/decision_counts.h"

namespace tollgate {

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
  Shard& shard = Mine();
  shard.admitted.fetch_add(1, std::memory_order_relaxed);
  if (fail_open) shard.admitted_fail_open.fetch_add(1, std::memory_order_relaxed);
  if (from_memory) shard.from_memory.fetch_add(1, std::memory_order_relaxed);
}

void DecisionCounts::CountRefusal(tollgate::v1::VerdictReason reason, bool from_memory) {
  Shard& shard = Mine();
  const size_t i = static_cast<size_t>(reason);
  shard.refused[i < shard.refused.size() ? i : 0].fetch_add(1, std::memory_order_relaxed);
  if (from_memory) shard.from_memory.fetch_add(1, std::memory_order_relaxed);
}

void DecisionCounts::CountMiss() { Mine().misses.fetch_add(1, std::memory_order_relaxed); }

DecisionTotals DecisionCounts::Totals() const {
  DecisionTotals totals;
  for (const Shard& shard : shards_) {
    totals.admitted += shard.admitted.load(std::memory_order_relaxed);
    totals.admitted_fail_open += shard.admitted_fail_open.load(std::memory_order_relaxed);
    totals.from_memory += shard.from_memory.load(std::memory_order_relaxed);
    totals.misses += shard.misses.load(std::memory_order_relaxed);
    for (size_t i = 0; i < totals.refused.size(); ++i) {
      totals.refused[i] += shard.refused[i].load(std::memory_order_relaxed);
    }
  }
  return totals;
}

}  // namespace tollgate
