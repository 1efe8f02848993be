// What stays open because a token was admitted: a WebSocket, a stream, a long download. Each is a
// hold. A holder (a process that lets callers in) keeps one stream to this edge, with many holds on
// it.
//
//   asked --admitted--> open --an event may be about the token--> in doubt --answer--> open
//     |                  |                                         |    |
//     |refused           |lease lost, expired, drained             |    |unanswered for too long
//     v                  v                                         v    v
//   (none)             ended --Closed--> (none)  <---- no longer good: ended
//
// An event ends nothing by itself, because it does not say what has changed: a new label would
// close a thousand sockets. The service is asked, once a token, and its answer is judged like any
// other (R12); then each hold's own requirement decides.
//
// A holder that hears nothing closes what it holds by itself: every word to it says for how long it
// is good, which is never beyond this edge's lease. So whoever is paused, dead or cut off holds
// nothing open, and no receipt has to trust a holder that is silent.
#ifndef TOLLGATE_VALIDATOR_CORE_HOLDS_H_
#define TOLLGATE_VALIDATOR_CORE_HOLDS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "token/cohort.h"
#include "token/digest.h"
#include "token/grant.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/decision.h"
#include "validator/core/decision_cache.h"
#include "validator/core/edge_reader.h"

namespace tollgate::validator {

struct HoldsOptions {
  // Holds, open or not answered with Closed. One stream has at most half of them. 0: none, and no
  // stream.
  size_t most = 200'000;
  // A: within this after an event, holds of its token have ended or are known to be good.
  absl::Duration answer_within = absl::Seconds(10);
  size_t most_questions = 256;  // of holds, at once; checks have the rest of the resolver's
  absl::Duration ask_again_after = absl::Milliseconds(200);
  double drift_bound = 0.001;  // filled in by Validator::Create
};

// What an operator sees.
struct HoldTotals {
  int64_t holders = 0;   // streams
  int64_t open = 0;      // good, as far as is known
  int64_t in_doubt = 0;  // of those
  int64_t opened = 0;    // since the start
  int64_t closed = 0;    // by their holders, while they were open
  std::array<int64_t, tollgate::v1::VerdictReason_ARRAYSIZE> ended{};  // by reason
};

// Thread-safe, with a lock of its own, which the hot path of decisions never takes. Events come
// under the validator's lock; nothing here calls the validator. Sends nothing and asks nothing by
// itself: the validator moves questions, and the holders' streams pull their messages.
class Holds {
 private:
  struct Token;
  struct Hold;

 public:
  // One stream of a holder.
  class Holder {
   public:
    ~Holder();

   private:
    friend class Holds;
    // Opened, where `verdict` is set; else Ended.
    struct Message {
      uint64_t hold_id = 0;
      tollgate::v1::VerdictReason reason = tollgate::v1::VERDICT_REASON_UNSPECIFIED;
      std::unique_ptr<tollgate::v1::ValidateResponse> verdict;
    };
    explicit Holder(std::function<void()> wake);

    const std::function<void()> wake_;
    // All that follows is guarded by Holds::mu_.
    absl::flat_hash_map<uint64_t, std::unique_ptr<Hold>> holds_;
    std::deque<Message> messages_;  // not written yet; bounded
    size_t unread_bytes_ = 0;       // of the verdicts among them
    uint64_t last_id_ = 0;
    uint64_t renewed_ = 0;     // the sequence of the last Renew
    bool unanswered_ = false;  // that Renew
    size_t in_doubt_ = 0;      // of its holds
    bool waking_ = false;
    bool gone_ = false;
  };
  using HolderRef = std::shared_ptr<Holder>;

  // A question about all holds of one token.
  struct Question {
    TokenKey key;
    token::EdgeDigest digest;
    uint64_t doubt = 0;  // an answer that is older than the last event is not used
  };
  // A verdict on an Open.
  struct Verdict {
    uint64_t hold_id = 0;
    uint64_t as_of = 0;  // events(), read before the decision was made
    TokenKey key;
    token::EdgeDigest digest;
    std::shared_ptr<const token::Requirement> requirement;
    std::unique_ptr<tollgate::v1::ValidateResponse> words;
  };

  // `reader` and `clock` outlive it. Options as in Validator::Create.
  Holds(HoldsOptions options, const EdgeReader* reader, const base::Clock* clock);
  ~Holds();

  // ---- For the streams of holders.
  // A stream begins. `wake` says that Next has something; it is called with no lock held, on any
  // thread, also after Leave. Errors: FAILED_PRECONDITION HOLDS_OFF; RESOURCE_EXHAUSTED
  // TOO_MANY_HOLDERS.
  absl::StatusOr<HolderRef> Join(std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mu_);
  // An Open has come: takes a place for it. False: there is no room, and a verdict says so
  // (Refuse). Errors: INVALID_ARGUMENT HOLD_ID_NOT_GROWING; UNAVAILABLE TOO_SLOW: the holder does
  // not read what it is told.
  absl::StatusOr<bool> Begin(const HolderRef& holder, uint64_t hold_id) ABSL_LOCKS_EXCLUDED(mu_);
  // Grows with every event. A decision that was made after it was read here is right but for later
  // events.
  uint64_t events() const ABSL_LOCKS_EXCLUDED(mu_);
  // The verdict on an Open for which there was a place. Where `decision` admits, the hold is open;
  // it was made with a live lease.
  void Decided(const HolderRef& holder, Verdict verdict, const Decision& decision)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The verdict on an Open for which there was no place.
  void Refuse(const HolderRef& holder, uint64_t hold_id,
              std::unique_ptr<tollgate::v1::ValidateResponse> words) ABSL_LOCKS_EXCLUDED(mu_);
  // Errors, INVALID_ARGUMENT: RENEW_OUT_OF_SEQUENCE; HOLD_ID_UNKNOWN.
  absl::Status Renew(const HolderRef& holder, uint64_t sequence) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Close(const HolderRef& holder, uint64_t hold_id) ABSL_LOCKS_EXCLUDED(mu_);
  enum class Next { kMessage, kNothing, kFinished };
  // The next message to the holder. What Ended tells comes before every GoodFor that was reckoned
  // after it. kFinished: nothing will ever follow, because this edge is going.
  Next NextMessage(const HolderRef& holder, tollgate::v1::HoldResponse* out)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The stream is over, and its holds with it. The last call for this holder.
  void Leave(const HolderRef& holder) ABSL_LOCKS_EXCLUDED(mu_);

  // ---- Events, as they are applied, each after the table has dropped what it is about.
  void OnTokenEvent(absl::string_view token_id) ABSL_LOCKS_EXCLUDED(mu_);
  void OnCohort(const token::CohortWatermark& cohort) ABSL_LOCKS_EXCLUDED(mu_);
  // A reset, or an event that may be about anything.
  void OnAny() ABSL_LOCKS_EXCLUDED(mu_);
  // The lease was ended before its time: every hold ends, whatever is granted afterwards.
  void OnLeaseEnded() ABSL_LOCKS_EXCLUDED(mu_);

  // ---- For the validator.
  // Whether the caller is to take the questions now; false: another thread is at it.
  bool BeginAsking() ABSL_LOCKS_EXCLUDED(mu_);
  // The next question; none: the asking is over until BeginAsking.
  absl::optional<Question> NextQuestion() ABSL_LOCKS_EXCLUDED(mu_);
  // The answer, decided for a requirement of nothing. Exactly once a question.
  void Answered(const Question& question, const Decision& decision) ABSL_LOCKS_EXCLUDED(mu_);
  // Time passes. Ends what its time has come for, and tells the holders whose messages wait.
  void Tick() ABSL_LOCKS_EXCLUDED(mu_);
  // When Tick is due. The caller ticks by then.
  base::BootTime TickAt() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether Tick is due before the time that TickAt told last.
  bool DueSooner() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends all holds and all streams, for good (R4).
  void CloseAll() ABSL_LOCKS_EXCLUDED(mu_);
  HoldTotals Totals() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Token {
    TokenKey key;
    token::EdgeDigest digest;
    std::string grant;    // packed: as of the last answer
    int64_t ends_us = 0;  // its place in ends_; 0: none
    Hold* first = nullptr;
    bool queued = false;  // in to_ask_ or ask_again_
    uint64_t doubt = 0;   // the last event that may be about it; 0: not in doubt
    uint64_t since = 0;   // the first of them
  };
  struct Hold {
    uint64_t id = 0;
    Holder* holder = nullptr;
    Token* token = nullptr;  // null: not decided yet, or ended
    std::shared_ptr<const token::Requirement> requirement;
    Hold* previous = nullptr;  // of the same token
    Hold* next = nullptr;
  };
  struct TokenId {
    char bytes[token::kPublicIdLength];
    absl::string_view view() const { return absl::string_view(bytes, sizeof(bytes)); }
  };
  struct Doubt {
    base::BootTime ends;
    TokenId token;
    uint64_t since = 0;
  };
  using Tokens = absl::flat_hash_map<absl::string_view, std::unique_ptr<Token>>;

  static TokenId IdOf(const TokenKey& key);
  Token* Find(absl::string_view token_id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The token of an admitted decision, with its present grant. Null: a hold of another string of
  // the same id is open, which no store can bring about.
  Token* Keep(const Verdict& verdict, const Decision& decision) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SetGrant(Token* token, absl::string_view packed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Link(Hold* hold, Token* token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Unlink(Hold* hold) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Forgets a token without holds.
  void ForgetIfUnheld(Token* token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // An event may be about the token.
  void Doubts(Token* token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Trust(Token* token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void End(Hold* hold, tollgate::v1::VerdictReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Each of these may forget the token.
  void EndToken(Token* token, tollgate::v1::VerdictReason reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DecideToken(Token* token, absl::Time service_now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndAll(tollgate::v1::VerdictReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Say(Holder* holder, Holder::Message message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NeedsWake(Holder* holder) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Calls the holders that have something to read; takes mu_ by itself.
  void WakeHolders() ABSL_LOCKS_EXCLUDED(mu_);
  void DropSettledDoubts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // For how long from `now` on a word to this holder is good.
  absl::Duration GoodFor(const Holder& holder, const EdgeReader::Moment& now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  base::BootTime DueAt(const EdgeReader::Moment& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const HoldsOptions options_;
  const absl::Duration shortest_word_;  // to a holder with a hold in doubt
  const EdgeReader& reader_;
  const base::Clock& clock_;

  mutable absl::Mutex mu_;
  absl::flat_hash_map<Holder*, HolderRef> holders_ ABSL_GUARDED_BY(mu_);
  // By the public id, which lies in the token's key.
  Tokens tokens_ ABSL_GUARDED_BY(mu_);
  std::set<std::pair<int64_t, Token*>> ends_ ABSL_GUARDED_BY(mu_);  // service time, microseconds
  std::deque<Doubt> doubts_ ABSL_GUARDED_BY(mu_);                   // in the order of their ends
  std::deque<TokenId> to_ask_ ABSL_GUARDED_BY(mu_);
  std::deque<std::pair<base::BootTime, TokenId>> ask_again_ ABSL_GUARDED_BY(mu_);
  std::vector<HolderRef> to_wake_ ABSL_GUARDED_BY(mu_);
  uint64_t events_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t last_doubt_ ABSL_GUARDED_BY(mu_) = 0;
  size_t places_ ABSL_GUARDED_BY(mu_) = 0;  // taken
  size_t questions_ ABSL_GUARDED_BY(mu_) = 0;
  base::BootTime told_ ABSL_GUARDED_BY(mu_) = base::BootTime::InfiniteFuture();
  bool asking_ ABSL_GUARDED_BY(mu_) = false;
  bool lease_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  HoldTotals totals_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_HOLDS_H_
