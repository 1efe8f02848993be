// One validator's end of the feed, as a pure state machine: no thread, no clock, no I/O. A shell
// moves the bytes; the simulation drives the machine directly.
//
//   kWaiting --connect_at--> kConnecting --OnConnected/Hello--> kGreeting --Welcome--> kFollowing
//      ^                          |                                |                      |
//      +--------- backoff --------+------------ OnDisconnected ----+----------------------+
//   kClosing: this side gave the stream up (actions.disconnect); what still comes of it is ignored.
//   kGone: after Goodbye; final (R4).
#ifndef TOLLGATE_VALIDATOR_CORE_FOLLOWER_H_
#define TOLLGATE_VALIDATOR_CORE_FOLLOWER_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/mutation.h"
#include "base/random.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/event.pb.h"
#include "validator/core/edge_clock.h"
#include "validator/core/outbox.h"
#include "validator/core/resolver.h"

namespace tollgate::validator {

// The state that the follower drives: what this edge holds, and its lease. Called from inside the
// follower's methods, on the caller's thread, under the caller's lock; must not call back. The
// admissions of a token that Drop drops go to the follower's outbox.
class FollowedState {
 public:
  virtual ~FollowedState() = default;
  // Drops everything. What is held from now on is as of (epoch, revision). (R2, R11)
  virtual void Reset(const std::string& epoch, int64_t revision) = 0;
  // One event of `revision`, whose subject is known and complete. Drops, never sets (R10).
  virtual void Drop(int64_t revision, const tollgate::v1::Event& event) = 0;
  // An event of a kind that this build does not know. Drops everything.
  virtual void DropAll(int64_t revision) = 0;
  // A Pong granted a lease (only a Pong does: R2). `now`, `wall_now`: when the Pong was received.
  virtual void LeaseGranted(const lease::HeldLease& lease, base::BootTime now,
                            absl::Time wall_now) = 0;
  // A Pong carried the service's time. `round_trip`: since its ping was handed out to be written;
  // infinite where that is not known.
  virtual void SetServiceTime(absl::Time service_time, absl::Duration round_trip,
                              base::BootTime now) = 0;
  // The lease may no longer be used (see EdgeClock::EndLease).
  virtual void EndLease() = 0;
  // Forgets the lease for good: this process never admits again (R4).
  virtual void Close() = 0;
  // A Welcome told the brand of the service's token strings. `agreed`: it is the brand configured
  // here.
  virtual void BrandAgreed(bool agreed) = 0;
  // Fills cached_tokens, decisions and open_holds.
  virtual void FillCounts(tollgate::v1::Ping* ping) = 0;
  // Numbers of holds have changed since a ping told of them.
  virtual bool HoldsHaveNews() const = 0;
  // Adds what became of holds, and lowers the acknowledgement where a revision's own part in that
  // is left for another ping. True: there is more, for another ping at once.
  virtual bool FillHolds(tollgate::v1::Ping* ping) = 0;
  // No ping of the stream may have arrived.
  virtual void StreamEnded() = 0;
  // Moves the use since the last collection to the outbox. Returns the service's time up to which
  // the outbox then holds all use; InfinitePast: that is not known.
  virtual absl::Time CollectUse(base::BootTime now) = 0;
};

// Keeps the newest proof for the next process (R19): a validator's state folder. Called as
// FollowedState is; must be quick, and must not block.
class ProofKeeper {
 public:
  virtual ~ProofKeeper() = default;
  // `proof` is of what is applied now, and is kept before that is acknowledged: it survives the
  // death of this process from the moment that this returns.
  virtual void Keep(const tollgate::v1::Proof& proof) = 0;
};

struct FollowerOptions {
  std::string validator_id;
  std::string incarnation;  // 16 random bytes, new for each process (R3)
  std::string version;
  std::string brand;  // a service of another brand is not followed (I7)
  tollgate::v1::StalePolicy stale_policy = tollgate::v1::STALE_POLICY_FAIL_CLOSED;
  absl::Duration fail_open_for;                        // with STALE_POLICY_FAIL_OPEN
  absl::Duration holds_outlive_lease;                  // filled in by Validator::Create
  double drift_bound = 0.001;                          // R1
  absl::Duration welcome_timeout = absl::Seconds(10);  // from connecting to Welcome
  ProofKeeper* keeper = nullptr;                       // outlives the follower; null: none
  absl::optional<tollgate::v1::Proof> proof;           // what an earlier process has kept
  int silent_intervals = 3;  // without a Pong for so many ping intervals the stream is half-open
  absl::Duration backoff_first = absl::Milliseconds(100);
  absl::Duration backoff_longest = absl::Seconds(5);  // well below a lease
  absl::Duration stable_after =
      absl::Seconds(20);  // a stream that lasted this long resets the backoff
};

// What the shell does next, in this order: send, disconnect, connect.
struct FollowerActions {
  // Write these messages to the stream, in this order, after all messages handed out before.
  std::vector<tollgate::v1::FollowRequest> send;
  // Half-close after the writes (Goodbye): the stream is over when the server ends it.
  bool finish = false;
  // Cancel the stream; then call OnDisconnected with its number.
  bool disconnect = false;
  std::string why;             // of `disconnect`, or of a GoAway; for a log
  bool misconfigured = false;  // an operator must mend what `why` says
  std::string reason;          // of `misconfigured`: docs/errors.md
  // Open a stream, numbered `stream`; then call OnConnected or OnDisconnected with that number.
  bool connect = false;
  uint64_t stream = 0;
  // Call OnTick at this time, or earlier. InfiniteFuture: no call is needed.
  base::BootTime wake_at = base::BootTime::InfiniteFuture();
};

// What an operator sees.
struct FollowerStatus {
  enum class Phase { kWaiting, kConnecting, kGreeting, kFollowing, kClosing, kGone };
  Phase phase = Phase::kWaiting;
  std::string epoch;  // empty: no Welcome yet
  int64_t applied_revision = 0;
  absl::Duration ping_interval;
  int64_t streams = 0;  // opened
  int64_t resets = 0;
  int64_t unknown_events = 0;
  base::BootTime heard_at;  // the last message of the service's; before the first: the start
};

// Not thread-safe. `now` and `wall_now` are fresh readings; `now` never falls.
class Follower {
 public:
  // `state`, `outbox` and `random` outlive the follower.
  Follower(FollowerOptions options, FollowedState* state, Outbox* outbox, base::Random* random);

  // Begins: asks to connect at once.
  FollowerActions Start(base::BootTime now);
  // Stream `stream` can be written to. Sends Hello. Here and below, the number of an older stream
  // is ignored.
  FollowerActions OnConnected(uint64_t stream, base::BootTime now);
  // The stream ended, for whatever reason, or could not be opened.
  FollowerActions OnDisconnected(uint64_t stream, base::BootTime now);
  // A message arrived on the stream. `now` and `wall_now` were read after the message. An answer to
  // it is written later than these times, which only shortens a lease (R1).
  FollowerActions OnMessage(uint64_t stream, const tollgate::v1::FollowResponse& message,
                            base::BootTime now, absl::Time wall_now);
  // Time passes.
  FollowerActions OnTick(base::BootTime now, absl::Time wall_now);
  // An answer came from the service in `term` (R19), while this follower has no stream: the service
  // is there. Where it would wait, it connects within some tens of milliseconds (edges hear of a
  // restart together), but never sooner than a GoAway asked for; once a term, and a few times in
  // all before a stream is stable again, so that a stranger's answers do not make it hammer. OnTick
  // is then due, and tells when it connects.
  void HeardOfTerm(const std::string& term, base::BootTime now);
  // An answer that the service read at `revision` is held from now on. It was judged by point().
  void OnAnswerHeld(int64_t revision);
  // Says goodbye where there is a stream, and closes the state; nothing that arrives later has any
  // effect (R4). The caller makes sure that the last decision has been answered before. `wall_now`
  // is for the last report of use. `held`: something let in may still be held open, so all is as
  // with a goodbye, but none is said.
  FollowerActions Goodbye(base::BootTime now, absl::Time wall_now, bool held = false);

  // The epoch and the revision as of which everything held is right.
  const std::string& epoch() const { return epoch_; }
  int64_t applied_revision() const { return applied_; }
  // The revision that a question carries, below which its answer may not lie (R12): the applied
  // revision, or a revision of which a part has been dropped already. The events of that part do
  // not raise the need of questions that are asked after them; without this, an answer from before
  // the revision would be kept beyond its last part.
  int64_t question_revision() const {
    return open_revision_ != 0 && !TOLLGATE_MUTATED("r12_open_revision") ? open_revision_
                                                                         : applied_;
  }
  // Both, and the term: what questions and answers are judged by.
  FollowedPoint point() const {
    return {epoch_, term_, question_revision(), phase_ == Phase::kFollowing};
  }
  FollowerStatus status() const;

 private:
  using Phase = FollowerStatus::Phase;
  struct SentPing {
    uint64_t sequence;
    base::BootTime boot;
    absl::Time wall;
  };

  void OnWelcome(const tollgate::v1::Welcome& welcome, base::BootTime now, absl::Time wall_now,
                 FollowerActions* actions);
  void OnEvents(const tollgate::v1::Events& events, base::BootTime now, absl::Time wall_now,
                FollowerActions* actions);
  void OnPong(const tollgate::v1::Pong& pong, base::BootTime now, absl::Time wall_now,
              FollowerActions* actions);
  void OnGoAway(const tollgate::v1::GoAway& go_away, base::BootTime now, FollowerActions* actions);
  void DropOne(int64_t revision, const tollgate::v1::Event& event);
  // Sends one ping, or several where one cannot carry all the evidence.
  void SendPing(base::BootTime now, absl::Time wall_now, FollowerActions* actions);
  void SendUsage(base::BootTime now, FollowerActions* actions);
  // Takes the lease that the Pong to `ping` granted.
  void HoldLease(const SentPing& ping, absl::Duration length, base::BootTime now,
                 absl::Time wall_now);
  void GiveUp(absl::string_view why, FollowerActions* actions);
  // Forgets what belonged to the ended stream, above all its pings: their Pongs come on no other
  // stream.
  void ForgetStream();
  // The proof of what is applied now. One of another history, or of another revision, is passed
  // over.
  void TakeProof(const tollgate::v1::Proof& proof);
  // Begins anew: nothing held is good, and the next Hello asks for a reset.
  void ForgetEpoch();
  absl::Duration Backoff();
  FollowerActions& WithWake(FollowerActions& actions) const;

  const FollowerOptions options_;
  FollowedState* const state_;
  Outbox* const outbox_;
  base::Random* const random_;

  // Outlives a stream.
  std::string epoch_;
  std::string term_;  // of the last Welcome
  int64_t applied_ = 0;
  absl::optional<tollgate::v1::Proof> proof_;  // the newest, of a revision that was applied (R19)
  // Of the answers that are held, the newest: its revision, which may lie above applied_, and its
  // term. 0: none since the last reset.
  int64_t answered_ = 0;
  std::string answered_term_;
  std::string forgotten_epoch_;  // what ForgetEpoch left, and from where on evidence went with it
  int64_t forgotten_from_ = 0;
  int64_t streams_ = 0;
  int64_t resets_ = 0;
  int64_t unknown_events_ = 0;
  int failures_ = 0;                      // since a stable stream
  std::vector<std::string> hastened_by_;  // terms, since a stable stream; bounded
  base::BootTime last_heard_;             // on any stream
  base::BootTime connect_at_;

  // Of the present stream.
  Phase phase_ = Phase::kWaiting;
  uint64_t stream_ = 0;  // its number
  base::BootTime connected_at_;
  int64_t hello_answered_ = 0;  // answered_, as its Hello had it
  base::BootTime heard_at_;     // the last Pong, or the Welcome
  uint64_t sequence_ = 0;       // of the last ping
  std::deque<SentPing> pings_;  // unanswered; bounded
  int64_t open_revision_ = 0;   // a part of this revision has come, its last part has not; 0: none
  absl::Duration ping_interval_ = absl::Seconds(5);
  absl::Duration usage_interval_ = absl::Seconds(10);
  base::BootTime next_ping_;
  base::BootTime news_ping_;  // news of holds wait until then
  base::BootTime next_usage_;
  base::BootTime retry_after_;  // a GoAway's
  // In kClosing: by when the status of a refusal must have come. InfiniteFuture: none is waited
  // for.
  base::BootTime refused_by_ = base::BootTime::InfiniteFuture();
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_FOLLOWER_H_
