// Use at this edge, and attempts that it refused, that the service has not heard yet.
#ifndef TOLLGATE_VALIDATOR_CORE_USAGE_LEDGER_H_
#define TOLLGATE_VALIDATOR_CORE_USAGE_LEDGER_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/attempt_table.h"
#include "validator/core/decision_cache.h"

namespace tollgate::validator {

// A token that something is held open by.
struct HeldUse {
  std::string workspace;
  std::string token_id;
};

// Bounded. Reports are delivered at least once: a report whose stream broke before a later ping was
// answered is sent again, merged with the use since. The times are maxima, so a repeat changes
// nothing; counts may be counted twice. Not thread-safe.
class UsageLedger {
 public:
  // Fewer than a stream queues before it is taken for stuck.
  static constexpr size_t kMostMessages = 256;

  // At most `most` tokens' use is kept, and `most_attempts` times the attempts on one token that
  // were refused for one reason.
  explicit UsageLedger(size_t most, size_t most_attempts = 10000)
      : most_(most), most_attempts_(most_attempts) {}

  // Merges use. Above the bound, new tokens are dropped and counted.
  void Add(const std::vector<EntryUse>& uses);
  // These are in use at `at_ms` of the service's time, by what is held open: no admission, so no
  // count grows, and what is told of last admissions stays as it was.
  void AddHeld(const std::vector<HeldUse>& held, int64_t at_ms);
  // Merges refused attempts. Above the bound, those of a new (token, reason) are left out and
  // counted. They say nothing of use, so a report stays as complete as it was.
  void AddAttempts(const std::vector<TokenAttempts>& attempts);
  // Forgets from where attempts of this workspace came; of all, where it is empty. What was
  // reported is not reported again.
  void ForgetAddresses(absl::string_view workspace);
  // The use and the attempts that no report holds yet, in messages of at most `longest` of both
  // together; at least one message, and at most `most_messages`: what is left is for the next.
  // It is kept until Confirm. The last message carries `complete_until`, unless use is left, or was
  // ever lost.
  // A ledger that lost use claims nothing until a restart: a later claim would cover the lost use
  // as well, and only the service knows for how long silence has to be proven.
  std::vector<tollgate::v1::Usage> Take(size_t longest, absl::Time complete_until,
                                        size_t most_messages = kMostMessages);
  // The service has what Take gave.
  void Confirm();
  // The service may not have what Take gave.
  void Lost();
  // When a token was last admitted, by use that is not confirmed yet; 0: no use of it waits.
  int64_t LastMs(absl::string_view workspace, absl::string_view token_id) const;

  size_t size() const { return unreported_.size() + sent_.size(); }
  int64_t lost() const { return lost_; }
  // Attempts that the service has, and attempts that were left out.
  int64_t attempts_reported() const { return attempts_reported_; }
  int64_t attempts_left_out() const { return attempts_left_out_; }

 private:
  using Key = std::pair<std::string, std::string>;  // workspace, token id
  struct Use {
    int64_t last_ms = 0;  // admitted
    int64_t count = 0;    // times
    int64_t held_ms = 0;  // held open
    void Add(const Use& more);
  };
  using AttemptsKey = std::tuple<std::string, std::string, int>;  // workspace, token id, reason
  struct Attempts {
    int64_t first_ms = 0;
    int64_t last_ms = 0;
    int64_t count = 0;
    std::vector<AttemptsFrom> from;
    void Add(const Attempts& more);
  };
  void Merge(const Key& key, const Use& use);
  void MergeAttempts(const AttemptsKey& key, const Attempts& attempts);

  const size_t most_;
  const size_t most_attempts_;
  absl::flat_hash_map<Key, Use> unreported_;
  absl::flat_hash_map<Key, Use> sent_;
  int64_t lost_ = 0;
  bool incomplete_ = false;  // use was lost; never unset
  absl::flat_hash_map<AttemptsKey, Attempts> unreported_attempts_;
  absl::flat_hash_map<AttemptsKey, Attempts> sent_attempts_;
  int64_t attempts_reported_ = 0;
  int64_t attempts_left_out_ = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_USAGE_LEDGER_H_
