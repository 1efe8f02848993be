// The rules of what stays open (holds.h says what that is), as a pure state machine: no lock, no
// clock, no stream. It takes what holders say, events, answers and the time, and leaves behind
// messages for holders, questions for the service, and who is to be woken.
//
//   asked --admitted--> open --an event may be about the token--> in doubt --answer--> open
//     |                  |                                         |    |
//     |refused           |lease lost, expired, drained             |    |unanswered for too long
//     v                  v                                         v    v
//   (none)             ended --Closed--> (none)  <---- no longer good: ended
#ifndef TOLLGATE_VALIDATOR_CORE_HOLD_TABLE_H_
#define TOLLGATE_VALIDATOR_CORE_HOLD_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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
#include "validator/core/held_tokens.h"
#include "validator/core/hold_questions.h"
#include "validator/core/hold_receipts.h"
#include "validator/core/holder.h"
#include "validator/core/usage_ledger.h"

namespace tollgate::validator {

struct HoldsOptions {
  // Holds, open or not answered with Closed. One stream has at most half of them. 0: none, and no
  // stream.
  size_t most = 200'000;
  // A: within this after an event, holds of its token have ended or are known to be good.
  absl::Duration answer_within = absl::Seconds(10);
  size_t most_questions = 256;  // of holds, at once; checks have the rest of the resolver's
  absl::Duration ask_again_after = absl::Milliseconds(200);
  // For how long past the lease's end holds are kept, and words reach: what no receipt covers, and
  // so a choice by name. At most lease::kLongestFailOpen.
  absl::Duration outlive_lease;
  double drift_bound = 0.001;  // filled in by Validator::Create
};

// What an operator sees.
struct HoldTotals {
  int64_t holders = 0;    // streams
  int64_t open = 0;       // good, as far as is known
  int64_t in_doubt = 0;   // of those
  int64_t uncovered = 0;  // of those, while there is no live lease (HoldsOptions::outlive_lease)
  int64_t opened = 0;     // since the start
  int64_t closed = 0;     // by their holders, while they were open
  int64_t decided = 0;    // requirements, anew: once a token, for all of its holds that share one
  std::array<int64_t, tollgate::v1::VerdictReason_ARRAYSIZE> ended{};  // by reason
};

// A question about all holds of one token.
struct HoldQuestion {
  TokenKey key;
  token::EdgeDigest digest;
  uint64_t doubt = 0;  // an answer that is older than the last event is not used
};

// A verdict on an Open.
struct HoldVerdict {
  uint64_t hold_id = 0;
  uint64_t as_of = 0;  // HoldTable::events(), read before the decision was made
  TokenKey key;
  token::EdgeDigest digest;
  std::shared_ptr<const token::Requirement> requirement;
  std::unique_ptr<tollgate::v1::ValidateResponse> words;
};

enum class NextOfHolder { kMessage, kNothing, kFinished };

// Not thread-safe. `now` is a fresh reading, made after what it judges had come (R1, R13).
class HoldTable {
 public:
  using Moment = EdgeReader::Moment;
  struct Stream;  // of a holder, until Leave

  explicit HoldTable(HoldsOptions options);
  ~HoldTable();

  // ---- Holders (holds.h has each of these under the same name).
  absl::StatusOr<Stream*> Join();
  absl::Status Hello(Stream* stream, absl::string_view name);
  absl::StatusOr<bool> Begin(Stream* stream, uint64_t hold_id);
  void Decided(Stream* stream, HoldVerdict verdict, const Decision& decision, base::BootTime now);
  void Refuse(Stream* stream, uint64_t hold_id,
              std::unique_ptr<tollgate::v1::ValidateResponse> words);
  absl::Status Renew(Stream* stream, uint64_t sequence);
  absl::Status Close(Stream* stream, uint64_t hold_id);
  NextOfHolder NextMessage(Stream* stream, const Moment& now, tollgate::v1::HoldResponse* out);
  // The stream is the table's from here on: while a word to it may still run, events count its
  // holds.
  void Leave(Stream* stream, base::BootTime now);
  // The streams that have something to read since they were taken last; each once.
  std::vector<Stream*> TakeWoken();
  bool has_woken() const { return !woken_.empty(); }

  // ---- Events.
  uint64_t events() const { return events_; }
  void OnTokenEvent(absl::string_view token_id, int64_t revision, base::BootTime now);
  void OnCohort(const token::CohortWatermark& cohort, base::BootTime now);
  void OnAny(int64_t revision, base::BootTime now);
  // What became of the holds that they put in doubt.
  HoldReceipts& receipts() { return receipts_; }
  const HoldReceipts& receipts() const { return receipts_; }
  void OnHistoryEnded();
  void OnLeaseEnded();

  // ---- Questions and time.
  bool BeginAsking() { return asking_.BeginTaking(); }
  absl::optional<HoldQuestion> NextQuestion();
  void Answered(const HoldQuestion& question, const Decision& decision, const Moment& now);
  void Tick(const Moment& now);
  // When Tick is due.
  base::BootTime DueAt(const Moment& now);
  // FollowedHolds::CollectHeld, at `now`.
  void CollectHeld(const Moment& now, std::vector<HeldUse>* held) const;
  void CloseAll();
  // Holds that have ended and are not answered with Closed, on streams that are there.
  size_t unanswered() const { return unanswered_; }
  // For how long after `now` a holder may hold on that was told of its end, or has left without
  // Closed. Zero: none does. After CloseAll.
  absl::Duration LongestWord(base::BootTime now) const;
  // Their names, at most `most`.
  std::vector<std::string> Unanswered(base::BootTime now, size_t most) const;
  HoldTotals Totals(const Moment& now) const;

 private:
  using Token = HeldToken;
  using Stand = HoldReceipts::Stand;

  // The token of an admitted decision, with its present grant. Null: a hold of another string of
  // the same id is open, which no store can bring about.
  Token* Keep(const HoldVerdict& verdict, const Decision& decision);
  void Link(Hold* hold, Token* token);
  // `to`: how it stands from here on for the revisions by which it is in doubt.
  void Unlink(Hold* hold, Stand to);
  // Forgets a token without holds.
  void ForgetIfUnheld(Token* token);
  // An event may be about the token. `revision` 0: of no history that is followed.
  void Doubts(Token* token, int64_t revision, base::BootTime now);
  void NoteDoubt(Token* token, int64_t revision);
  void Trust(Token* token);
  void End(Hold* hold, tollgate::v1::VerdictReason reason);
  // Each of these may forget the token.
  void EndToken(Token* token, tollgate::v1::VerdictReason reason);
  // Whether anything is held by it still.
  bool DecideToken(Token* token, absl::Time service_now);
  void EndAll(tollgate::v1::VerdictReason reason);
  void Say(Stream* stream, Holder::Message message);
  void NeedsWake(Stream* stream);
  // Until when holds are kept, and words reach.
  base::BootTime HeldUntil(const Moment& now) const;
  // A word to this holder: for how long from `now` on its holds are good.
  absl::Duration GoodFor(Stream* stream, const Moment& now);
  // Counts holds as open, and as in doubt, but for those whose stream has left.
  void CountOpen(const Hold& hold, int64_t holds);
  void CountInDoubt(const Hold& hold, int64_t holds);
  // Forgets a stream that has left.
  void Forget(Stream* stream);
  void ForgetLeft(base::BootTime now);
  // An ended hold is answered, or its word is over.
  void Settle(Hold* hold, Stand to);

  const HoldsOptions options_;
  const absl::Duration shortest_word_;  // to a holder with a hold in doubt

  absl::flat_hash_map<Stream*, std::unique_ptr<Stream>> streams_;
  // Those that have left, by when the last word to them is over.
  std::set<std::pair<base::BootTime, Stream*>> left_;
  size_t left_holds_ = 0;
  base::BootTime given_up_;  // until when some of them hold on that were forgotten for want of room
  // Ended in doubt, and neither answered nor over, by when the word is over.
  std::set<std::pair<base::BootTime, Hold*>> told_;
  std::vector<Stream*> woken_;
  HeldTokens tokens_;
  HoldQuestions asking_;
  HoldReceipts receipts_;
  int64_t last_revision_ = 0;  // of the last event
  uint64_t events_ = 0;
  uint64_t last_doubt_ = 0;
  size_t places_ = 0;  // taken
  size_t unanswered_ = 0;
  bool lease_ended_ = false;
  bool closed_ = false;
  HoldTotals totals_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_HOLD_TABLE_H_
