// The core's decision in the host's words.
#ifndef TOLLGATE_VALIDATOR_EMBEDDED_DECISION_WORDS_H_
#define TOLLGATE_VALIDATOR_EMBEDDED_DECISION_WORDS_H_

#include "tollgate/edge.h"
#include "validator/core/decision.h"

namespace tollgate::edge {

// Fills decisions. An object that is filled again allocates nothing once it is warm. Thread-safe.
class DecisionWords {
 public:
  // Nobody can say: for a reason of the edge's own.
  static void SetUnavailable(Reason reason, Decision* out);
  // What the core says; where nobody can say, the edge's stop is why, if it `stops`.
  static void Set(const validator::Decision& inner, bool stops, Decision* out);
};

}  // namespace tollgate::edge

#endif  // TOLLGATE_VALIDATOR_EMBEDDED_DECISION_WORDS_H_
