// What stays open because a token was admitted: a WebSocket, a stream, a long download. Each is a
// hold. A holder (a process that lets callers in) keeps one stream to this edge, with many holds on
// it.
//
// An event ends nothing by itself, because it does not say what has changed: a new label would
// close a thousand sockets. The service is asked, once a token, and its answer is judged like any
// other (R12); then each hold's own requirement decides.
//
// A holder that hears nothing closes what it holds by itself: every word to it says for how long it
// is good, which is never beyond this edge's lease (or, where an operator chose that by name, a
// time after it, and receipts then say so: HoldsOptions::outlive_lease). So whoever is paused, dead
// or cut off holds nothing open, and no receipt has to trust a holder that is silent.
//
// The rules are those of the table (hold_table.h). This is the lock around it: it reads the clocks,
// and wakes the holders whose messages wait.
#ifndef TOLLGATE_VALIDATOR_CORE_HOLDS_H_
#define TOLLGATE_VALIDATOR_CORE_HOLDS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "token/cohort.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/decision.h"
#include "validator/core/edge_reader.h"
#include "validator/core/followed_holds.h"
#include "validator/core/hold_table.h"

namespace tollgate::validator {

// Thread-safe, with a lock of its own, which the hot path of decisions never takes. Events come
// under the validator's lock; nothing here calls the validator. Sends nothing and asks nothing by
// itself: the validator moves questions, and the holders' streams pull their messages.
class Holds final : public FollowedHolds {
 public:
  // One stream of a holder.
  class Holder {
   private:
    friend class Holds;
    explicit Holder(std::function<void()> wake) : wake_(std::move(wake)) {}

    const std::function<void()> wake_;
    HoldTable::Stream* stream_ = nullptr;  // guarded by Holds::mu_; null: it has left
  };
  using HolderRef = std::shared_ptr<Holder>;
  using Question = HoldQuestion;
  using Verdict = HoldVerdict;
  using Next = NextOfHolder;

  // `reader` and `clock` outlive it. Options as in Validator::Create. `on_news` is called with no
  // lock held, on any thread, when numbers have begun to wait for a ping outside of the validator's
  // lock.
  Holds(HoldsOptions options, const EdgeReader* reader, const base::Clock* clock,
        std::function<void()> on_news);
  ~Holds() override;

  // ---- For the streams of holders.
  // A stream begins. `wake` says that Next has something; it is called with no lock held, on any
  // thread, also after Leave. Errors: FAILED_PRECONDITION HOLDS_OFF; RESOURCE_EXHAUSTED
  // TOO_MANY_HOLDERS.
  absl::StatusOr<HolderRef> Join(std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mu_);
  // The holder says who it is, before anything else. Errors, INVALID_ARGUMENT: HELLO_NOT_FIRST;
  // HOLDER_MALFORMED, CONTAINS_TOKEN_STRING.
  absl::Status Hello(const HolderRef& holder, absl::string_view name) ABSL_LOCKS_EXCLUDED(mu_);
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
  // The next message to the holder. What Ended tells comes before every GoodFor that was reckoned
  // after it. kFinished: nothing will ever follow, because this edge is going, and everything that
  // was held here is closed.
  Next NextMessage(const HolderRef& holder, tollgate::v1::HoldResponse* out)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The stream is over, and its holds with it. What was not answered with Closed may be held on to
  // until the last word is over, and counts until then where it matters (LongestWord). The last
  // call for this holder: one that comes at the same time is CANCELLED, and has no next message.
  void Leave(const HolderRef& holder) ABSL_LOCKS_EXCLUDED(mu_);

  // ---- FollowedHolds.
  void OnTokenEvent(absl::string_view token_id, int64_t revision) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnCohort(const token::CohortWatermark& cohort) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnAny(int64_t revision) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnReset(const std::string& epoch, int64_t revision) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnHistoryEnded() override ABSL_LOCKS_EXCLUDED(mu_);
  void CollectHeld(std::vector<HeldUse>* held) override ABSL_LOCKS_EXCLUDED(mu_);
  bool has_news() const override ABSL_LOCKS_EXCLUDED(mu_);
  bool FillPing(tollgate::v1::Ping* ping) override ABSL_LOCKS_EXCLUDED(mu_);
  void StreamEnded() override ABSL_LOCKS_EXCLUDED(mu_);
  int64_t open() const override ABSL_LOCKS_EXCLUDED(mu_);

  // The lease was ended before its time: the holds end, whatever is granted afterwards, but for
  // those that outlive it.
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
  // Ends all holds, for good (R4), and each stream once all of its holds are answered with Closed.
  void CloseAll() ABSL_LOCKS_EXCLUDED(mu_);
  // After CloseAll: waits until every hold is answered with Closed, or its stream has left; for
  // `limit` at most, and no longer than `patience` while no answer comes.
  void AwaitAnswers(absl::Duration limit, absl::Duration patience) ABSL_LOCKS_EXCLUDED(mu_);
  // After CloseAll: for how long a holder that has not answered with Closed may hold on. Zero: none
  // does, and goodbye may be said.
  absl::Duration LongestWord() const ABSL_LOCKS_EXCLUDED(mu_);
  // The names of such holders, at most 16.
  std::vector<std::string> Unanswered() const ABSL_LOCKS_EXCLUDED(mu_);
  HoldTotals Totals() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Calls the holders that have something to read, and on_news; takes mu_ by itself.
  void CallOut() ABSL_LOCKS_EXCLUDED(mu_);

  const EdgeReader& reader_;
  const base::Clock& clock_;
  const std::function<void()> on_news_;

  mutable absl::Mutex mu_;
  HoldTable table_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<HoldTable::Stream*, HolderRef> holders_ ABSL_GUARDED_BY(mu_);
  base::BootTime told_ ABSL_GUARDED_BY(mu_) = base::BootTime::InfiniteFuture();
  bool news_called_ ABSL_GUARDED_BY(mu_) = false;  // on_news was, and no ping was filled since
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_HOLDS_H_
