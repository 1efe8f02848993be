// The operator tokens, as a judgement needs them: in memory, because gRPC's threads may not wait
// for a read.
#ifndef TOLLGATE_SERVICE_ACCESS_OPERATOR_TOKENS_H_
#define TOLLGATE_SERVICE_ACCESS_OPERATOR_TOKENS_H_

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "storage/engine.h"
#include "token/digest.h"
#include "token/life_cycle.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// Whether a token in that state lets its owner in.
bool LetsIn(tollgate::v1::TokenState state);

// An operator token, and what decides its state.
struct OperatorToken {
  tollgate::store::v1::TokenRecord record;
  token::Cohorts cohorts;
};

// Those of the store, ended ones too, which are told from unknown ones. Errors: the view's;
// DATA_LOSS: one cannot be parsed.
absl::StatusOr<std::vector<OperatorToken>> StoredOperatorTokens(const storage::View& view);

// The names of those operators who have a token that is in force at `now`. Errors as above.
absl::StatusOr<std::set<std::string>> LiveOperators(const storage::View& view, absl::Time now);

// Thread-safe; never blocks.
class OperatorTokens {
 public:
  // What a caller needs of a token.
  struct Found {
    std::string id;     // public
    std::string owner;  // whom it speaks for
    tollgate::v1::TokenState state = tollgate::v1::TOKEN_STATE_UNSPECIFIED;
  };

  // From now on these are all that there are, in place of the former ones.
  void Take(std::vector<OperatorToken> tokens) ABSL_LOCKS_EXCLUDED(mu_);

  // By its digests, one a pepper; nullopt: there is none.
  absl::optional<Found> FindByDigest(
      const std::vector<std::pair<uint32_t, token::StoredDigest>>& candidates, absl::Time now) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // By its public id; nullopt: there is none.
  absl::optional<Found> FindById(absl::string_view id, absl::Time now) const
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Immutable once it is in force.
  struct Set {
    std::vector<OperatorToken> tokens;
    absl::flat_hash_map<std::string, const OperatorToken*> by_digest, by_id;
  };
  std::shared_ptr<const Set> InForce() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return in_force_;
  }

  mutable absl::Mutex mu_;  // held over the exchange of the pointer alone
  std::shared_ptr<const Set> in_force_ ABSL_GUARDED_BY(mu_) = std::make_shared<const Set>();
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_OPERATOR_TOKENS_H_
