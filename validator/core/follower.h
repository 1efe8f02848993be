// One validator's end of the feed, as a pure state machine: no thread, no clock, no I/O. A shell
// moves the bytes; the simulation drives it directly.
//
//   kWaiting --connect_at--> kConnecting --OnConnected/Hello--> kGreeting --Welcome--> kFollowing
//      ^                          |                                |                      |
//      +--------- backoff --------+------------ OnDisconnected ----+----------------------+
//   kClosing: this side gave the stream up (actions.disconnect) and ignores what still comes of it.
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

// What the follower drives: what is held here, and the lease. Called from inside the follower's
// methods, on the caller's thread, under the caller's lock; must not call back. What was admitted
// of a token that Drop drops goes to the follower's outbox.
class FollowedState {
 public:
  virtual ~FollowedState() = default;
  // Everything held is dropped; what is held from now on is as of (epoch, revision). (R2, R11)
  virtual void Reset(const std::string& epoch, int64_t revision) = 0;
  // One event of `revision`; its subject is known and complete. Drops, never sets (R10).
  virtual void Drop(int64_t revision, const tollgate::v1::Event& event) = 0;
  // An event of a kind that this build does not know: drops everything.
  virtual void DropAll(int64_t revision) = 0;
  // A Pong granted (R2: the only thing that does). `now`, `wall_now`: at its receipt.
  virtual void LeaseGranted(const lease::HeldLease& lease, base::BootTime now,
                            absl::Time wall_now) = 0;
  // A Pong carried the service's clock. `round_trip`: from when its ping was handed out to be
  // written; infinite where that is not known.
  virtual void SetServiceTime(absl::Time service_time, absl::Duration round_trip,
                              base::BootTime now) = 0;
  // The lease may no longer be used (see EdgeClock::EndLease).
  virtual void EndLease() = 0;
  // R4: never admits again.
  virtual void Close() = 0;
  // A Welcome told the brand of the service's token strings: the one configured here, or another.
  virtual void BrandAgreed(bool agreed) = 0;
  // Fills cached_tokens and decisions.
  virtual void FillCounts(tollgate::v1::Ping* ping) = 0;
  // Moves the use since the last collection to the outbox. Returns the service's time up to which
  // the outbox then has all use; InfinitePast: not known.
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

// What the shell does next, in this order: send, then disconnect, then connect.
struct FollowerActions {
  // Write these to the stream, in this order, after all that was handed out before.
  std::vector<tollgate::v1::FollowRequest> send;
  // Half-close after the writes (Goodbye): the stream is over when the server ends it.
  bool finish = false;
  // Cancel the stream; then call OnDisconnected with its number.
  bool disconnect = false;
  std::string why;             // for a log: of `disconnect`, or of a GoAway
  bool misconfigured = false;  // `why` is an operator's to mend
  // Open a stream, numbered `stream`; then call OnConnected or OnDisconnected with that number.
  bool connect = false;
  uint64_t stream = 0;
  // Call OnTick at this time, or earlier. InfiniteFuture: not needed.
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
};

// Not thread-safe. `now` and `wall_now` are fresh readings, never going back for `now`.
class Follower {
 public:
  // `state`, `outbox` and `random` outlive the follower.
  Follower(FollowerOptions options, FollowedState* state, Outbox* outbox, base::Random* random);

  // Begins: asks to connect at once.
  FollowerActions Start(base::BootTime now);
  // Stream `stream` can be written to. Sends Hello. Numbers of older streams are ignored, here and
  // below.
  FollowerActions OnConnected(uint64_t stream, base::BootTime now);
  // It ended, for whatever reason, or could not be opened.
  FollowerActions OnDisconnected(uint64_t stream, base::BootTime now);
  // A message arrived on it. `now` and `wall_now` are taken after it was read: what is sent in
  // answer is written later than they say, which only shortens a lease (R1).
  FollowerActions OnMessage(uint64_t stream, const tollgate::v1::FollowResponse& message,
                            base::BootTime now, absl::Time wall_now);
  // Time has passed.
  FollowerActions OnTick(base::BootTime now, absl::Time wall_now);
  // The last decision has been answered (the caller sees to that). Says goodbye where there is a
  // stream, closes the state; nothing that arrives later has any effect (R4). `wall_now` is for the
  // last report of use.
  FollowerActions Goodbye(base::BootTime now, absl::Time wall_now);

  // The epoch and the revision that everything held is good for.
  const std::string& epoch() const { return epoch_; }
  int64_t applied_revision() const { return applied_; }
  // What a question must carry, and its answer not lie below (R12): the applied revision, or that
  // of which a part has been dropped already. The events of that part raise the need of no question
  // asked after them, yet an answer from before the revision would be kept past its last part.
  int64_t question_revision() const {
    return open_revision_ != 0 && !TOLLGATE_MUTATED("r12_open_revision") ? open_revision_
                                                                         : applied_;
  }
  // Both, and the term: what questions and answers are judged by.
  FollowedPoint point() const { return {epoch_, term_, question_revision()}; }
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
  // One ping, or several where there is more evidence than one may carry.
  void SendPing(base::BootTime now, absl::Time wall_now, FollowerActions* actions);
  void SendUsage(base::BootTime now, FollowerActions* actions);
  // Holds the lease that the Pong to `ping` granted.
  void HoldLease(const SentPing& ping, absl::Duration length, base::BootTime now,
                 absl::Time wall_now);
  void GiveUp(absl::string_view why, FollowerActions* actions);
  // Forgets what belonged to the stream that ended: its pings above all (their Pongs are of no
  // other stream).
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

  // What outlives a stream.
  std::string epoch_;
  std::string term_;  // of the last Welcome
  int64_t applied_ = 0;
  absl::optional<tollgate::v1::Proof> proof_;  // the newest, of a revision that was applied (R19)
  std::string forgotten_epoch_;  // what ForgetEpoch left, and from where on evidence went with it
  int64_t forgotten_from_ = 0;
  int64_t streams_ = 0;
  int64_t resets_ = 0;
  int64_t unknown_events_ = 0;
  int failures_ = 0;  // since a stable stream
  base::BootTime connect_at_;

  // Of the present stream.
  Phase phase_ = Phase::kWaiting;
  uint64_t stream_ = 0;  // its number
  base::BootTime connected_at_;
  base::BootTime heard_at_;     // the last Pong, or the Welcome
  uint64_t sequence_ = 0;       // of the last ping
  std::deque<SentPing> pings_;  // unanswered; bounded
  int64_t open_revision_ = 0;   // a part of it has come, the last part has not; 0: none
  absl::Duration ping_interval_ = absl::Seconds(5);
  absl::Duration usage_interval_ = absl::Seconds(10);
  base::BootTime next_ping_;
  base::BootTime next_usage_;
  base::BootTime retry_after_;  // a GoAway's
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_FOLLOWER_H_
