#include "validator/fronts/front.h"

namespace tollgate::validator {

void FrontCounts::CountAnswer(tollgate::v1::Verdict verdict) {
  switch (verdict) {
    case tollgate::v1::VERDICT_ADMIT:
      admitted_.fetch_add(1, std::memory_order_relaxed);
      return;
    case tollgate::v1::VERDICT_DENY:
      denied_.fetch_add(1, std::memory_order_relaxed);
      return;
    default:
      unavailable_.fetch_add(1, std::memory_order_relaxed);
  }
}

FrontTotals FrontCounts::Totals() const {
  FrontTotals totals;
  totals.admitted = admitted_.load(std::memory_order_relaxed);
  totals.denied = denied_.load(std::memory_order_relaxed);
  totals.unavailable = unavailable_.load(std::memory_order_relaxed);
  totals.refused = refused_.load(std::memory_order_relaxed);
  return totals;
}

}  // namespace tollgate::validator
