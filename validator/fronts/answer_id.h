// Ids of answers, none of which is ever given twice.
#ifndef TOLLGATE_VALIDATOR_FRONTS_ANSWER_ID_H_
#define TOLLGATE_VALIDATOR_FRONTS_ANSWER_ID_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "base/random.h"

namespace tollgate::validator {

// Whoever sees an id again has been given a copy of an old answer: something in front of the edge
// replays its answers, and so admits what was revoked. An id is the count of answers under a key of
// this process (SipHash-2-4-128), so that it tells nobody how many there were, and no two processes
// give the same. Thread-safe.
class AnswerIds {
 public:
  explicit AnswerIds(base::Random& random);

  // 32 characters of 0-9a-f.
  std::string Next();

 private:
  std::array<uint8_t, 16> key_;
  std::atomic<uint64_t> count_{0};
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_ANSWER_ID_H_
