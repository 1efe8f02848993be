// The edge: what is held, the lease, and the one decision made from both. Also the embedding API.
//
// Embedding:
//   auto validator = Validator::Create(options, SystemClock(), SystemRandom(), ask);
//   Decision d;
//   if (!(*validator)->Check(token, requirement, &d)) {
//     (*validator)->CheckAsync(token, requirement, [](const Decision& d) { … });
//   }
#ifndef TOLLGATE_VALIDATOR_CORE_VALIDATOR_H_
#define TOLLGATE_VALIDATOR_CORE_VALIDATOR_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "token/grant.h"
#include "token/token_string.h"
#include "validator/core/decision.h"
#include "validator/core/decision_cache.h"
#include "validator/core/decision_counts.h"
#include "validator/core/edge_clock.h"
#include "validator/core/follower.h"
#include "validator/core/resolver.h"
#include "validator/core/usage_ledger.h"

namespace tollgate {

struct ValidatorOptions {
  FollowerOptions follower;  // `incarnation` may be empty: then Create draws it
  DecisionCacheOptions cache;
  ResolverOptions resolver;
  TokenFormat format;
  absl::Duration retry_after = absl::Seconds(1);  // told with UNAVAILABLE
  size_t longest_usage_report = 2000;             // uses in one Usage message
  size_t most_unreported = 100000;                // dropped tokens whose use waits for a report
};

// What an operator sees of one validator.
struct ValidatorStatus {
  FollowerStatus follower;
  LeaseState lease = LeaseState::kNone;
  absl::Duration lease_left;  // zero without a live lease
  int64_t cached_tokens = 0;
  int64_t cached_unknown = 0;
  int64_t questions_in_flight = 0;
  int64_t evictions = 0;
  int64_t overtaken_answers = 0;  // R12
  int64_t unreported_lost = 0;    // uses dropped because the ledger was full
};

// Thread-safe. Check is the hot path: it takes no lock, allocates nothing, makes no system call.
class Validator : private FollowedState {
 public:
  using Callback = std::function<void(const Decision&)>;
  // Sends one Resolve; answers exactly once, later or at once, on any thread. The shell's deadline
  // bounds it. It may be called with no lock of the validator held.
  using Ask =
      std::function<void(const tollgate::v1::ResolveRequest& request,
                         std::function<void(absl::StatusOr<tollgate::v1::ResolveResponse>)>)>;

  // `clock` and `random` outlive it; `random` must be thread-safe. INVALID_ARGUMENT on options out
  // of range; FAILED_PRECONDITION where memory cannot be wiped on fork; RESOURCE_EXHAUSTED.
  // All callbacks of `ask` must have come before it is destroyed.
  static absl::StatusOr<std::unique_ptr<Validator>> Create(ValidatorOptions options,
                                                           const Clock& clock, Random& random,
                                                           Ask ask);
  ~Validator() override;

  // Decides from memory. False: it cannot (nothing is held about the token): call CheckAsync.
  // `*decision` is set only when true.
  bool Check(absl::string_view token_string, const Requirement& requirement, Decision* decision);
  // Decides, asking the service where needed. `callback` runs exactly once: here, before this
  // returns, or on the thread that brings the answer; never with a lock held. The token string is
  // not kept (I6).
  void CheckAsync(absl::string_view token_string, const Requirement& requirement,
                  Callback callback);

  // The stream, for the link. The link calls these one at a time and queues what they hand out
  // before it calls the next one (a lock of its own around both), else pings pass each other.
  FollowerActions Start();
  FollowerActions StreamConnected(uint64_t stream);
  FollowerActions StreamMessage(uint64_t stream, const tollgate::v1::FollowResponse& message);
  FollowerActions StreamClosed(uint64_t stream);
  FollowerActions Tick();

  // First step of a shutdown: from now on every check is UNAVAILABLE.
  void StopAdmitting();
  // Second step, once the last decision has been answered (the fronts are down): R4. Final.
  FollowerActions Goodbye();

  ValidatorStatus Status() const;
  // Decisions since the start; exact, but not one moment's.
  DecisionTotals Totals() const { return counts_.Totals(); }
  const std::string& incarnation() const { return incarnation_; }

 private:
  struct ReadClocks {
    BootTime boot;
    absl::Time wall;
    EdgeClock::Reading lease;
    LeaseState state;
    absl::Time service;
  };

  Validator(ValidatorOptions options, const Clock& clock, Random& random, Ask ask,
            std::unique_ptr<EdgeClock> edge_clock, std::unique_ptr<DecisionCache> cache);

  ReadClocks Clocks() const;
  // Decides on what is no token string; true: decided.
  bool RefuseMalformed(absl::string_view token_string, Decision* decision) const;
  // Decides from memory; false: it cannot. Then `*key` is the string's, which is well formed.
  bool CheckMemory(absl::string_view token_string, const Requirement& requirement, TokenKey* key,
                   Decision* decision);
  void DecideOn(const GrantView& grant, const ReadClocks& clocks, const Requirement& requirement,
                Decision* decision) const;
  void DecideOnUnknown(const ReadClocks& clocks, Decision* decision) const;
  void SetUnavailable(tollgate::v1::VerdictReason reason, Decision* decision) const;
  void Count(const Decision& decision, bool from_memory);
  void SendQuestion(const Resolver::Question& question);
  void OnAnswer(uint64_t question, absl::StatusOr<tollgate::v1::ResolveResponse> answer);

  // FollowedState: called by follower_ under mu_.
  void Reset(const std::string& epoch, int64_t revision) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Drop(int64_t revision, const tollgate::v1::Event& event) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropAll(int64_t revision) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropToken(absl::string_view workspace, absl::string_view token_id, int64_t revision)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Grant(const LeaseGrant& grant, BootTime now, absl::Time wall_now) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetServiceTime(absl::Time service_time, absl::Duration round_trip, BootTime now) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndLease() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Close() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void BrandAgreed(bool agreed) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FillPing(tollgate::v1::Ping* ping) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::vector<tollgate::v1::Usage> TakeUsage(BootTime now) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UsageConfirmed() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void UsageLost() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const ValidatorOptions options_;
  const std::string incarnation_;
  const Clock& clock_;
  const Ask ask_;

  // Read without a lock, written under mu_.
  const std::unique_ptr<EdgeClock> edge_clock_;
  const std::unique_ptr<DecisionCache> cache_;
  DecisionCounts counts_;
  // Whether a string of another form than ours is proven to be no token of the service's (I7).
  std::atomic<bool> brand_agreed_{false};

  // One lock for events, answers and grants: an answer is judged, kept and used with no event in
  // between (R12, R13).
  mutable absl::Mutex mu_;
  Follower follower_ ABSL_GUARDED_BY(mu_);
  Resolver resolver_ ABSL_GUARDED_BY(mu_);
  UsageLedger usage_ ABSL_GUARDED_BY(mu_);
  std::vector<tollgate::v1::DroppedAdmit> evidence_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate

#endif  // TOLLGATE_VALIDATOR_CORE_VALIDATOR_H_
