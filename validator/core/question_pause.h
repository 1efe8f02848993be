// Questions that are not worth asking again yet.
#ifndef TOLLGATE_VALIDATOR_CORE_QUESTION_PAUSE_H_
#define TOLLGATE_VALIDATOR_CORE_QUESTION_PAUSE_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "validator/core/decision_cache.h"

namespace tollgate::validator {

// Where the service's store is damaged at a token's place, it is so a moment later too: a client in
// a loop would have the service read the damage as fast as it can. So such a token pauses: it is
// answered UNAVAILABLE without a question, for as long as each damaged answer in a row doubles. No
// pause is a denial (I7). Pure; not thread-safe.
class QuestionPause {
 public:
  struct Options {
    absl::Duration first = absl::Seconds(1);
    // A store that was put right is asked again within this.
    absl::Duration longest = absl::Seconds(15);
    size_t most = 1024;  // tokens; above it no further one pauses until one of them is free
  };

  QuestionPause() = default;
  explicit QuestionPause(Options options) : options_(options) {}

  // Whether nothing is to be asked about this token at `now`.
  bool Pauses(const TokenKey& key, base::BootTime now) const;
  // The service has said that its store is damaged there.
  void OnDamaged(const TokenKey& key, base::BootTime now);
  // It has answered.
  void OnAnswered(const TokenKey& key);

 private:
  struct Hash128 {
    uint64_t lo, hi;
    friend bool operator==(const Hash128&, const Hash128&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Hash128& v) {
      return H::combine(std::move(h), v.lo, v.hi);
    }
  };
  struct Pause {
    absl::Duration length;
    base::BootTime end;
  };
  static Hash128 HashOf(const TokenKey& key) { return {key.hash[0], key.hash[1]}; }

  const Options options_;
  absl::flat_hash_map<Hash128, Pause> pauses_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_QUESTION_PAUSE_H_
