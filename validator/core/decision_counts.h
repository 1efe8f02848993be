// Decisions, counted without contention.
#ifndef TOLLGATE_VALIDATOR_CORE_DECISION_COUNTS_H_
#define TOLLGATE_VALIDATOR_CORE_DECISION_COUNTS_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::validator {

// Sums since the start.
struct DecisionTotals {
  int64_t admitted = 0;
  int64_t admitted_fail_open = 0;  // of those, without a lease
  int64_t from_memory = 0;         // decisions that asked the service nothing
  int64_t misses = 0;              // checks that had to ask the service (CheckAsync only)
  // Refusals (denied or unavailable) by VerdictReason's number.
  std::array<int64_t, tollgate::v1::VerdictReason_ARRAYSIZE> refused{};
  int64_t decisions() const;
};

// Thread-safe; each decision is one relaxed addition, to a cache line that few threads share.
class DecisionCounts {
 public:
  void CountAdmit(bool fail_open, bool from_memory);
  void CountRefusal(tollgate::v1::VerdictReason reason, bool from_memory);
  void CountMiss();
  DecisionTotals Totals() const;

 private:
  static constexpr size_t kShards = 16;
  // Each decision is counted in one place only, so that no sum is lower at a later reading.
  struct Cells {
    std::atomic<int64_t> admitted{0};            // with a lease
    std::atomic<int64_t> admitted_fail_open{0};  // without
    std::array<std::atomic<int64_t>, tollgate::v1::VerdictReason_ARRAYSIZE> refused{};
  };
  struct alignas(128) Shard {
    Cells cells[2];  // [1]: from memory
    std::atomic<int64_t> misses{0};
  };
  Shard& Mine();
  std::array<Shard, kShards> shards_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_DECISION_COUNTS_H_
