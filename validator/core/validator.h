// The edge, put together: the reader decides from what is held, the state changes what is held, the
// follower drives the state, the resolver asks about what is not held, and the outbox reports what
// was admitted. This object adds the counts, and the lock around all but the reader.
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
#include "base/ip_address.h"
#include "base/random.h"
#include "token/grant.h"
#include "token/token_string.h"
#include "validator/core/attempt_table.h"
#include "validator/core/decision.h"
#include "validator/core/decision_cache.h"
#include "validator/core/decision_counts.h"
#include "validator/core/edge_clock.h"
#include "validator/core/edge_reader.h"
#include "validator/core/edge_state.h"
#include "validator/core/follower.h"
#include "validator/core/holds.h"
#include "validator/core/outbox.h"
#include "validator/core/question_pause.h"
#include "validator/core/resolver.h"
#include "validator/core/shared_requirements.h"

namespace tollgate::validator {

struct ValidatorOptions {
  FollowerOptions follower;  // `incarnation` may be empty: then Create draws it
  DecisionCacheOptions cache;
  ResolverOptions resolver;
  token::TokenFormat format;
  absl::Duration retry_after = absl::Seconds(1);  // told with UNAVAILABLE
  OutboxOptions outbox;
  size_t attempt_slots = 2048;  // as AttemptTable's
  HoldsOptions holds;
};

// What an operator sees of one validator.
struct ValidatorStatus {
  FollowerStatus follower;
  LeaseState lease = LeaseState::kNone;
  absl::Duration lease_left;  // zero without a live lease
  absl::Duration silence;     // since the service was heard last, or since the start
  int64_t cached_tokens = 0;
  int64_t cached_unknown = 0;
  int64_t questions_in_flight = 0;
  int64_t evictions = 0;
  int64_t overtaken_answers = 0;  // R12
  int64_t unreported_lost = 0;    // uses dropped because the ledger was full
  // Refused attempts on tokens that the service knows: that it was told of, and that were left out
  // because too many waited for a report.
  int64_t attempts_reported = 0;
  int64_t attempts_left_out = 0;
};

// Thread-safe. Check is the hot path: it takes no lock, allocates nothing, makes no system call.
class Validator {
 public:
  using Callback = std::function<void(const Decision&)>;
  // Sends one Resolve; must answer exactly once, later or at once, on any thread. The shell's
  // deadline bounds the call. It is called with no lock of the validator held.
  using Ask =
      std::function<void(const tollgate::v1::ResolveRequest& request,
                         std::function<void(absl::StatusOr<tollgate::v1::ResolveResponse>)>)>;

  // `clock` and `random` outlive it; `random` must be thread-safe. INVALID_ARGUMENT on options out
  // of range (VALIDATOR_ID_MALFORMED, field "id"; OUT_OF_RANGE, CACHE_TOO_LARGE);
  // FAILED_PRECONDITION where memory cannot be wiped on fork; RESOURCE_EXHAUSTED.
  // All callbacks of `ask` must have come before it is destroyed.
  static absl::StatusOr<std::unique_ptr<Validator>> Create(ValidatorOptions options,
                                                           const base::Clock& clock,
                                                           base::Random& random, Ask ask);
  // What Check leaves behind when memory cannot decide: enough to ask without another look-up.
  struct Miss {
    TokenKey key;
  };

  // Decides from memory. False: nothing is held about the token; call AskAbout with the miss, or
  // CheckAsync. `*decision` is set only when true, `*miss` (which may be null) only when false.
  // `client` is from where the token was presented, where that is known: it decides nothing, and is
  // kept only of refusals, where the token's workspace asks for it.
  bool Check(absl::string_view token_string, const token::Requirement& requirement,
             Decision* decision, Miss* miss = nullptr,
             const base::IpAddress& client = base::IpAddress());
  // Decides what Check left undecided, by asking the service; looks nothing up again. `callback`
  // runs exactly once, with no lock held: here, before this returns, or on the thread that brings
  // the answer. The token string is not kept (I6).
  void AskAbout(const Miss& miss, absl::string_view token_string,
                const token::Requirement& requirement, Callback callback,
                const base::IpAddress& client = base::IpAddress());
  // Check, and AskAbout where needed; `callback` as there.
  void CheckAsync(absl::string_view token_string, const token::Requirement& requirement,
                  Callback callback);

  // Asks for a verdict on what is to stay open: the answer to an Open of `holder`. It comes as the
  // holder's next message or later; nothing waits for it. `words` puts a verdict into words,
  // exactly once, with no lock held; it is not called where an error is returned (Holds::Begin's).
  // The token string is not kept (I6).
  using HoldWords = std::function<void(const Decision&, tollgate::v1::ValidateResponse*)>;
  absl::Status OpenHold(const Holds::HolderRef& holder, uint64_t hold_id,
                        absl::string_view token_string,
                        const SharedRequirements::Shared& requirement, HoldWords words,
                        const base::IpAddress& client = base::IpAddress());
  SharedRequirements& requirements() { return requirements_; }
  // What is open (holds.h).
  Holds& holds() { return holds_; }
  const Holds& holds() const { return holds_; }

  // `hurry` asks the link to call Tick as soon as it can, on a thread of its own. It must not
  // block, nor call back. Set before Start; it may be called until the last callback of `ask` has
  // come.
  void SetHurry(std::function<void()> hurry) { hurry_ = std::move(hurry); }

  // The stream, for the link. The link must call these one at a time, and queue what one hands out
  // before it calls the next (a lock of its own around both); otherwise pings would overtake each
  // other.
  FollowerActions Start();
  FollowerActions StreamConnected(uint64_t stream);
  FollowerActions StreamMessage(uint64_t stream, const tollgate::v1::FollowResponse& message);
  FollowerActions StreamClosed(uint64_t stream);
  FollowerActions Tick();
  // Brings the questions on that wait for a stream: asks them anew where there is one, and answers
  // those whose time is over. Ends holds, and asks about those in doubt. The link calls it with no
  // lock held, after each of the calls above.
  void Settle();

  // First step of a shutdown: from now on every check is UNAVAILABLE, and every hold has ended.
  void StopAdmitting();
  // Second step, once the last decision has been answered (the fronts are down). Says goodbye (R4),
  // unless a holder may hold on (Holds::LongestWord): the service then waits for the lease to run
  // out, which that word does not outlive; by HoldsOptions::outlive_lease it does, and no receipt
  // covers that. Final.
  FollowerActions Goodbye();

  // Whether there is a live lease now, read as a decision reads it (R13).
  bool Live() const { return reader_.ReadMoment().state == LeaseState::kLive; }
  // How long ago the lease that was granted last was asked for; nullopt: none was granted.
  absl::optional<absl::Duration> LastLeaseAge() const {
    const EdgeReader::Moment now = reader_.ReadMoment();
    return EdgeClock::LastLeaseAge(now.lease, now.boot);
  }
  ValidatorStatus Status() const;
  // The service's time now, as decisions see it (R18); InfinitePast before it was heard.
  absl::Time ServiceNow() const;
  // Decisions since the start. Each count is exact; together they are not as of one moment.
  DecisionTotals Totals() const { return counts_.Totals(); }
  const std::string& incarnation() const { return incarnation_; }

 private:
  Validator(ValidatorOptions options, const base::Clock& clock, base::Random& random, Ask ask,
            std::unique_ptr<EdgeClock> lease, std::unique_ptr<DecisionCache> table);

  void AskAbout(const Miss& miss, const token::EdgeDigest& digest, Resolver::Waiter waiter);
  void Count(const Decision& decision, bool from_memory,
             const base::IpAddress& client = base::IpAddress());
  // Counts a refusal for the report, where the service knows the token.
  void CountAttempt(const Decision& decision, const base::IpAddress& client);
  void SendQuestion(const Resolver::Question& question);
  struct Opening;
  // Tells what was decided of a hold that is to be opened.
  void TellVerdict(const std::shared_ptr<Opening>& opening, const Decision& made);
  // Asks about the holds in doubt, as many at once as may be.
  void AskForHolds();
  // Asks for the sake of holds: nothing is counted. `callback` as AskAbout's.
  void AskForHold(const TokenKey& key, const token::EdgeDigest& digest, Resolver::Waiter waiter);
  void OnAnswer(uint64_t question, absl::StatusOr<tollgate::v1::ResolveResponse> answer);
  // Answers these checks UNAVAILABLE.
  void Disappoint(std::vector<Resolver::Waiter> waiters);
  // Also wakes the link when a question has waited for long enough, or a hold is to end.
  FollowerActions WithWaits(FollowerActions actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string incarnation_;
  const base::Clock& clock_;
  const Ask ask_;
  const absl::Duration longest_wait_;
  std::function<void()> hurry_;  // may be empty

  // Read without a lock, written under mu_.
  const std::unique_ptr<EdgeClock> lease_;
  const std::unique_ptr<DecisionCache> table_;
  const EdgeReader reader_;
  DecisionCounts counts_;
  AttemptTable attempts_;
  SharedRequirements requirements_;  // of holds
  Holds holds_;  // has a lock of its own, which is acquired after mu_, never before

  // One lock for events, answers and leases: no event comes between the judgement, the keeping and
  // the use of an answer (R12, R13).
  mutable absl::Mutex mu_;
  Resolver resolver_ ABSL_GUARDED_BY(mu_);
  QuestionPause pause_ ABSL_GUARDED_BY(mu_);
  Outbox outbox_ ABSL_GUARDED_BY(mu_);
  EdgeState state_ ABSL_GUARDED_BY(mu_);
  Follower follower_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;  // nothing waits any more
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_VALIDATOR_H_
