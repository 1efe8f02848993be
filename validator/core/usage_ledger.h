// Use at this edge that the service has not heard yet.
#ifndef TOLLGATE_VALIDATOR_CORE_USAGE_LEDGER_H_
#define TOLLGATE_VALIDATOR_CORE_USAGE_LEDGER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/decision_cache.h"

namespace tollgate::validator {

// Bounded. Reports are delivered at least once: a report whose stream broke before a later ping was
// answered is sent again, merged with the use since. The times are maxima, so a repeat changes
// nothing; counts may be counted twice. Not thread-safe.
class UsageLedger {
 public:
  explicit UsageLedger(size_t most) : most_(most) {}

  // Merges use. Above the bound, new tokens are dropped and counted.
  void Add(const std::vector<EntryUse>& uses);
  // The use that no report holds yet, in messages of at most `longest` uses; at least one message.
  // It is kept until Confirm. The last message carries `complete_until`, unless use was ever lost.
  // A ledger that lost use claims nothing until a restart: a later claim would cover the lost use
  // as well, and only the service knows for how long silence has to be proven.
  std::vector<tollgate::v1::Usage> Take(size_t longest, absl::Time complete_until);
  // The service has what Take gave.
  void Confirm();
  // The service may not have what Take gave.
  void Lost();
  // When a token was last admitted, by use that is not confirmed yet; 0: no use of it waits.
  int64_t LastMs(absl::string_view workspace, absl::string_view token_id) const;

  size_t size() const { return unreported_.size() + sent_.size(); }
  int64_t lost() const { return lost_; }

 private:
  using Key = std::pair<std::string, std::string>;  // workspace, token id
  struct Use {
    int64_t last_ms = 0;
    int64_t count = 0;
  };
  void Merge(const Key& key, const Use& use);

  const size_t most_;
  absl::flat_hash_map<Key, Use> unreported_;
  absl::flat_hash_map<Key, Use> sent_;
  int64_t lost_ = 0;
  bool incomplete_ = false;  // use was lost; never unset
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_USAGE_LEDGER_H_
