// The hot path: from a token string to a decision, from what is held.
//
// It stands on a table, a lease and a clock, and on nothing else: no lock, no stream, no service.
// So it can run wherever the three can be read, in another process as well.
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
  // `table`, `lease` and `clock` outlive the reader. The table is written too: an admission stamps
  // its entry. `retry_after` is told with UNAVAILABLE.
  EdgeReader(token::TokenFormat format, absl::Duration retry_after, DecisionCache* table,
             const EdgeClock* lease, const base::Clock* clock)
      : format_(std::move(format)),
        retry_after_(retry_after),
        table_(*table),
        lease_(*lease),
        clock_(*clock) {}

  // Clocks and lease, read in the order of R13: a decision reads its entry after them.
  struct Moment {
    base::BootTime boot;
    absl::Time wall;
    EdgeClock::Reading lease;
    LeaseState state = LeaseState::kNone;
    absl::Time service;  // the service's time, as far as this edge can prove it (R18)
    // The same as the table's stamps have it; at least 1.
    int64_t service_ms() const;
  };
  Moment ReadMoment() const;

  // Decides from what is held. False: nothing is held about the string, which is well formed; then
  // `*key` is what the table knows it by, and no look-up is needed to ask about it. `*decision` is
  // set only when true.
  bool Decide(absl::string_view token_string, const token::Requirement& requirement, TokenKey* key,
              Decision* decision) const;

  // Decides on a grant, or on a string that the store holds no token for, at `moment`. For Decide,
  // and for whoever holds a fresh answer of the service's (R13: the moment is read after the answer
  // has come).
  void DecideOnGrant(const token::GrantView& grant, const Moment& moment,
                     const token::Requirement& requirement, Decision* decision) const;
  void DecideOnUnknown(const Moment& moment, Decision* decision) const;
  // I7: what prevents an answer accuses nobody.
  void SetUnavailable(tollgate::v1::VerdictReason reason, Decision* decision) const;
  // Puts a packed grant into the decision, which then tells an identity from it. False: too long,
  // or no packed grant.
  static bool HoldGrant(absl::string_view packed, Decision* decision, token::GrantView* grant);

 private:
  // Decides on what is no token string; true: decided.
  bool RefuseMalformed(absl::string_view token_string, Decision* decision) const;

  const token::TokenFormat format_;
  const absl::Duration retry_after_;
  DecisionCache& table_;
  const EdgeClock& lease_;
  const base::Clock& clock_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_EDGE_READER_H_
