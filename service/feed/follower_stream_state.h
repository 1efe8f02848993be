// The protocol of one follower stream (the stream of one Follow call), as a pure state machine.
//
//     Receive(Hello) ─ judged (R19), an old proof after a read of the store ─┐
//        ┌───────────────────────────────────────────────────────────────────┘
//        ├─ proven, resume in the ring ─────────► Welcome ────────┐
//        ├─ proven, resume below it ─ CatchUp ──► Welcome ────────┤
//        ├─ fresh, elsewhere, unproven, compacted ► Welcome(reset) ┤
//        ├─ another history, unknown epoch ─────► GoAway, Finish   │
//        └─ malformed ──► Finish(INVALID_ARGUMENT)                 │
//                                                                  ▼
//     one write in flight:   Events* , Pong , Events* , Pong , …   GoAway ─► Finish
#ifndef TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_STATE_H_
#define TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_STATE_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "service/feed/event_ring.h"
#include "service/feed/hello_rules.h"
#include "service/feed/ledger/lessor.h"
#include "service/history/history.h"
#include "service/history/proof_maker.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::service {

// What one bounded read of the store found after a cursor.
struct CatchUp {
  enum class State { kOk, kCompacted, kFailed };
  State state = State::kFailed;
  std::vector<SharedRevision> revisions;
  // Every revision with events up to here is in `revisions`.
  int64_t complete_to = 0;
};

// Pull model. The driver hands in what happens and, while the wire is free, asks Next() until
// Next() has no output; one write at a time is under way. Not thread-safe. Holds at most one
// catch-up read and no queue of messages: events stay in the ring, and of several pings only the
// latest is answered (I5).
class FollowerStreamState {
 public:
  struct Options {
    const History* history = nullptr;    // outlives the stream
    const ProofMaker* proofs = nullptr;  // outlives the stream
    std::string brand;                   // of the token strings; told in Welcome
    // Who is at the other end, as the transport knows it: may speak for its own sessions only.
    std::string caller = "local";
    absl::Duration ping_interval = absl::Seconds(5);
    absl::Duration usage_interval = absl::Seconds(10);
    // After this long the stream is told to come again; the caller jitters it.
    absl::Duration max_age = absl::Minutes(10);
    // A client that was sent away comes back no sooner, so that clients do not return all at once;
    // the caller jitters it.
    absl::Duration come_back_after = absl::Milliseconds(100);
    // Hello must come within this time.
    absl::Duration hello_limit = absl::Seconds(10);
    // How long a Pong waits at most for its turn (for the roster, a keep-alive, a catch-up) before
    // it goes out without a lease.
    absl::Duration pong_patience = absl::Seconds(1);
    // A follower without progress (R6) for this long is told to go away.
    absl::Duration no_progress_limit = absl::Seconds(30);
    size_t max_message_bytes = 256u << 10;
    size_t max_batch = 1024;  // revisions in one message
  };
  // `ring` and `lessor` outlive this.
  FollowerStreamState(Options options, const EventRing* ring, Lessor* lessor, base::BootTime now);

  // What the driver must do about a message that it handed in.
  enum class Received {
    kNothing,   // a ping, or what was ignored
    kHello,     // register hello(), and write the roster (R15); another stream of session() is
                // replaced
    kForked,    // R19: the follower proves that this epoch had another history: the store was put
                // back, or is a copy
    kStranger,  // R19: its past is not ours, and it cannot prove that it should be; it will Finish
                // with refusal()
    kUsage,     // pass it on
    kGoodbye,   // release session() (R4)
    kRefused,   // it will Finish with an error
  };
  // `now` was read after the message.
  Received Receive(const tollgate::v1::FollowRequest& request, base::BootTime now);
  // The client has sent its last message.
  void ReadsDone();
  // The answer to kCatchUp.
  void CaughtUp(CatchUp answer);
  // The answer to kProve: what Receive would have returned of the Hello. A store that could not be
  // read (kNotAtHand) ends the stream with UNAVAILABLE.
  Received Proved(const KnownFingerprint& known);
  // kProve could not even be begun.
  void ProveFailed();
  // What Proved returned has been done: the stream may speak.
  void Registered() { held_ = false; }
  // Ends the stream with a reason of GoAway's; the first one counts.
  void GoAway(absl::string_view reason, absl::Duration retry_after);

  // Ends the stream with this status; nothing but a GoAway that is due goes out before it, and
  // nothing but a goodbye is taken any more.
  void Forbid(const absl::Status& status);

  struct Output {
    enum class Kind {
      kNothing,  // until something happens, or NextTick()
      kWrite,    // write `pieces`, laid end to end, as one message
      kCatchUp,  // read the store after `after`; then CaughtUp. Next() goes on meanwhile
      kProve,    // read the fingerprint of revision `after`; then Proved
      kFinish,   // end the call with `status`; the last output ever
    };
    Kind kind = Kind::kNothing;
    std::vector<SharedBytes> pieces;
    int64_t after = 0;
    absl::Status status;
  };
  // What to do next; asked only while no write is under way. What kWrite gives counts as sent at
  // once (R8), because nothing overtakes it on an ordered stream. `wall_now` is the time that a
  // Pong tells (R18).
  Output Next(base::BootTime now, absl::Time wall_now);
  // When to ask Next() again if nothing else happens.
  base::BootTime NextTick() const;

  // True once Received::kHello was returned.
  bool greeted() const { return greeted_; }
  const lease::SessionId& session() const { return session_; }
  const tollgate::v1::Hello& hello() const { return hello_; }
  // What the Welcome says: true, the stream resumes where the follower was; false, a reset. Unset
  // until that is decided, which may take a read of the store.
  absl::optional<bool> resumes() const { return resumes_; }
  // The revision up to which the stream was sent events (R8).
  int64_t sent() const { return sent_; }
  // Why it was refused, with kForked and kStranger.
  const absl::Status& refusal() const { return refusal_; }
  // It was told to go away for want of progress (R6).
  bool made_no_progress() const { return made_no_progress_; }

 private:
  enum class State { kAwaitHello, kProving, kResuming, kStreaming, kFinished };
  Received OnHello(const tollgate::v1::Hello& hello);
  Received Judge(const KnownFingerprint& known);
  Received Admit(bool may_resume);
  Received TurnAway(Received as, const HelloVerdict& verdict);
  void OnPing(const tollgate::v1::Ping& ping, base::BootTime now);
  Received Refuse(const absl::Status& status);
  void PrepareWelcome(bool reset);
  // Fills `field()` with the proof of `revision`, where that is at hand.
  template <typename Field>
  void SetProof(int64_t revision, const Field& field) const;
  bool TakeEvents(Output* output);
  bool TakePart(Output* output);
  bool TakePong(base::BootTime now, absl::Time wall_now, Output* output);

  const Options options_;
  const EventRing* const ring_;
  Lessor* const lessor_;
  const base::BootTime opened_at_;
  State state_ = State::kAwaitHello;
  lease::SessionId session_;
  tollgate::v1::Hello hello_;
  bool greeted_ = false;
  absl::optional<bool> resumes_;

  absl::optional<tollgate::v1::FollowResponse> welcome_;  // to be sent first
  bool welcomed_ = false;                                 // the Welcome was handed out
  int64_t sent_ = 0;
  int64_t reset_revision_ = 0;         // acknowledgements below it are from before the reset
  bool held_ = false;                  // until Registered()
  bool prove_due_ = false;             // the proof's fingerprint is to be asked for
  bool read_due_ = false;              // a read of the store is to be asked for
  bool reading_ = false;               // a read is under way
  std::deque<SharedRevision> caught_;  // read from the store, not yet sent
  int64_t caught_to_ = 0;
  SharedRevision split_;  // a revision of several parts, of which `next_part_` comes next
  size_t next_part_ = 0;

  uint64_t last_sequence_ = 0;
  bool pong_due_ = false;
  int64_t pong_after_ = 0;  // the head when the ping came; the Pong is sent after the events up to
                            // it
  base::BootTime pong_since_;
  bool pong_waits_ = false;  // for the roster or a read, not for the wire
  absl::optional<base::BootTime> no_progress_since_;

  bool made_no_progress_ = false;
  bool going_away_ = false;
  tollgate::v1::FollowResponse go_away_;
  bool reads_done_ = false;
  bool forbidden_ = false;
  // Set: Finish with this status as soon as the last messages are out.
  absl::optional<absl::Status> finish_;
  absl::Status refusal_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_FOLLOWER_STREAM_STATE_H_
