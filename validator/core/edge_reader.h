// The hot path: from a token string to a decision, using only what this edge holds.
//
// The reader needs a table, a lease and a clock, and nothing else: no lock, no stream, no service.
// So it can run wherever these three can be read, also in another process.
#ifndef TOLLGATE_VALIDATOR_CORE_EDGE_READER_H_
#define TOLLGATE_VALIDATOR_CORE_EDGE_READER_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "token/grant.h"
#include "token/token_string.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/decision.h"
#include "validator/core/decision_cache.h"
#include "validator/core/edge_clock.h"

namespace tollgate::validator {

// Thread-safe. Takes no lock, allocates nothing, makes no system call.
class EdgeReader {
 public:
  // `table`, `lease` and `clock` outlive the reader. The reader also writes to the table: an
  // admission stamps its entry. `retry_after` goes with every UNAVAILABLE.
  EdgeReader(token::TokenFormat format, absl::Duration retry_after, DecisionCache* table,
             const EdgeClock* lease, const base::Clock* clock)
      : format_(std::move(format)),
        retry_after_(retry_after),
        table_(*table),
        lease_(*lease),
        clock_(*clock) {}

  // Clocks and lease, read in the order of R13. A decision reads its entry after them.
  struct Moment {
    base::BootTime boot;
    absl::Time wall;
    EdgeClock::Reading lease;
    LeaseState state = LeaseState::kNone;
    absl::Time service;  // the service's time, as far as this edge can prove it (R18)
    // The same, in the unit of the table's stamps; at least 1.
    int64_t service_ms() const;
  };
  Moment ReadMoment() const;

  // What is decided on. A check may be admitted without a lease, where fail-open is on; the opening
  // of what is to stay open may not: it would end at once.
  enum class Of { kCheck, kOpening };

  // Decides from the table. False: the string is well formed and the table holds nothing about it;
  // `*key` is then the string's key, and asking about it needs no further look-up. `*decision` is
  // set only when true.
  bool Decide(absl::string_view token_string, const token::Requirement& requirement, Of of,
              TokenKey* key, Decision* decision) const;

  // Decides once more on an opening that Decide, or an answer, has decided on; an admission is
  // recorded in the table as Decide's is. False: the table holds nothing about it.
  bool DecideOpeningAgain(const TokenKey& key, const token::Requirement& requirement,
                          Decision* decision) const;

  // Decide on a grant, or on a string for which the store holds no token, at `moment`. For Decide,
  // and for holders of a fresh answer of the service (R13: read the moment after the answer has
  // come).
  void DecideOnGrant(const token::GrantView& grant, const Moment& moment,
                     const token::Requirement& requirement, Of of, Decision* decision) const;
  void DecideOnUnknown(const Moment& moment, Decision* decision) const;
  // Sets UNAVAILABLE for `reason`, which accuses nobody (I7).
  void SetUnavailable(tollgate::v1::VerdictReason reason, Decision* decision) const;
  // Puts a packed grant into the decision, which then has its identity. False: the bytes are too
  // long, or no packed grant.
  static bool HoldGrant(absl::string_view packed, Decision* decision, token::GrantView* grant);

 private:
  // kMoving: the entry was dropped, or use collected, each time that it was looked at.
  enum class Looked { kDecided, kMiss, kMoving };
  // Decides by what the table holds. `*moment` is that of the last look.
  Looked DecideFromTable(const TokenKey& key, const token::Requirement& requirement, Of of,
                         Moment* moment, Decision* decision) const;
  // Decides on a string that is not a token string. True: decided.
  bool RefuseMalformed(absl::string_view token_string, Decision* decision) const;

  const token::TokenFormat format_;
  const absl::Duration retry_after_;
  DecisionCache& table_;
  const EdgeClock& lease_;
  const base::Clock& clock_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_EDGE_READER_H_
