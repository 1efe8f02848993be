#include "service/feed/follower_stream_state.h"

#include <algorithm>
#include <utility>

#include "base/mutation.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "service/feed/ledger/enforcement.h"

namespace tollgate::service {

using tollgate::v1::FollowRequest;
using tollgate::v1::FollowResponse;
using tollgate::v1::Hello;
using tollgate::v1::Ping;

namespace {

void SetMessage(const FollowResponse& message, FollowerStreamState::Output* output) {
  output->kind = FollowerStreamState::Output::Kind::kWrite;
  output->pieces = {std::make_shared<const std::string>(message.SerializeAsString())};
}

}  // namespace

FollowerStreamState::FollowerStreamState(Options options, const EventRing* ring, Lessor* lessor,
                                         base::BootTime now)
    : options_(std::move(options)), ring_(ring), lessor_(lessor), opened_at_(now) {}

FollowerStreamState::Received FollowerStreamState::Refuse(const absl::Status& status) {
  if (!finish_.has_value()) finish_ = status;
  return Received::kRefused;
}

FollowerStreamState::Received FollowerStreamState::Receive(const FollowRequest& request,
                                                           base::BootTime now) {
  if (greeted_ && request.has_goodbye()) {  // R4: also after a GoAway of ours
    if (!finish_.has_value()) finish_ = absl::OkStatus();
    return Received::kGoodbye;
  }
  // A goodbye says that all use was reported. So the last report is taken, too, whatever has ended
  // this stream meanwhile.
  if (greeted_ && request.has_usage() && !forbidden_) return Received::kUsage;
  if (finish_.has_value()) return Received::kNothing;
  switch (request.message_case()) {
    case FollowRequest::kHello:
      if (greeted_ || state_ == State::kProving) {
        return Refuse(
            base::RefuseField("HELLO_TWICE", "hello", "comes once, as the first message"));
      }
      return OnHello(request.hello());
    case FollowRequest::kPing:
    case FollowRequest::kUsage:
    case FollowRequest::kGoodbye:
      // While the store is read it may say more; its session is not known yet, and just lapses.
      if (state_ == State::kProving) {
        if (request.has_goodbye()) finish_ = absl::OkStatus();
        return Received::kNothing;
      }
      if (!greeted_) {
        return Refuse(base::RefuseField("HELLO_FIRST", "hello", "must be the first message"));
      }
      break;
    case FollowRequest::MESSAGE_NOT_SET:
      // Of a kind that a newer validator knows; nothing that grants or acknowledges.
      if (!greeted_ && state_ != State::kProving) {
        return Refuse(base::RefuseField("HELLO_FIRST", "hello", "must be the first message"));
      }
      return Received::kNothing;
  }
  if (!welcomed_) {
    // An acknowledgement before the Welcome cannot be of the Welcome's epoch (R10).
    return Refuse(base::RefuseField("PING_BEFORE_WELCOME", "ping", "must wait for Welcome"));
  }
  OnPing(request.ping(), now);
  return Received::kNothing;
}

FollowerStreamState::Received FollowerStreamState::OnHello(const Hello& hello) {
  absl::Status checked = CheckHello(hello);
  if (!checked.ok()) return Refuse(checked);
  hello_ = hello;
  hello_.DiscardUnknownFields();  // it is kept for the stream's life, and they have no bound
  session_ = lease::SessionId{hello.validator_id(), hello.incarnation()};
  KnownFingerprint known;
  if (hello.has_proof()) {
    if (const absl::optional<std::string> found = ring_->FingerprintOf(hello.proof().revision())) {
      known = {KnownFingerprint::State::kKept, *found};
    }
  }
  return Judge(known);
}

FollowerStreamState::Received FollowerStreamState::Proved(const KnownFingerprint& known) {
  if (state_ != State::kProving || finish_.has_value() || going_away_) return Received::kNothing;
  state_ = State::kAwaitHello;
  if (known.state == KnownFingerprint::State::kNotAtHand) {
    return Refuse(base::RefuseForNow(
        "STORE_READ_FAILED", "refused: the store cannot be read at the moment", kComeBackLater));
  }
  // Whoever drives it registers the Hello first, and nothing may be said before.
  held_ = true;
  return Judge(known);
}

FollowerStreamState::Received FollowerStreamState::Judge(const KnownFingerprint& known) {
  const HelloVerdict verdict =
      DecideHello(hello_, *options_.history, options_.proofs, ring_->head(), known);
  switch (verdict.kind) {
    case HelloVerdict::Kind::kReadFingerprint:
      state_ = State::kProving;
      prove_due_ = true;
      return Received::kNothing;
    case HelloVerdict::Kind::kMayResume:
      return Admit(/*may_resume=*/true);
    case HelloVerdict::Kind::kForked:
      return TurnAway(Received::kForked, verdict);
    case HelloVerdict::Kind::kStranger:
      return TurnAway(Received::kStranger, verdict);
    case HelloVerdict::Kind::kReset:
      break;
  }
  return Admit(/*may_resume=*/false);
}

FollowerStreamState::Received FollowerStreamState::TurnAway(Received as,
                                                            const HelloVerdict& verdict) {
  refusal_ = verdict.refusal;
  GoAway("other_history", verdict.retry_after);
  finish_ = verdict.refusal;
  return as;
}

FollowerStreamState::Received FollowerStreamState::Admit(bool may_resume) {
  if (!lessor_->BindCaller(session_, options_.caller) && !TOLLGATE_MUTATED("r4_any_caller")) {
    return Refuse(RefuseOtherCaller());
  }
  greeted_ = true;
  if (!may_resume) {
    PrepareWelcome(/*reset=*/true);  // R2, R11: always right
  } else {
    sent_ = hello_.applied_revision();  // R11: the resume starts at the one after, exactly
    if (TOLLGATE_MUTATED("r11_off_by_one")) ++sent_;
    if (sent_ >= ring_->floor()) {
      PrepareWelcome(/*reset=*/false);
    } else {
      state_ = State::kResuming;  // whether the store still has it decides
      read_due_ = true;
    }
  }
  return Received::kHello;
}

template <typename Field>
void FollowerStreamState::SetProof(int64_t revision, const Field& field) const {
  if (options_.proofs == nullptr) return;
  const absl::optional<std::string> fingerprint = ring_->FingerprintOf(revision);
  if (!fingerprint.has_value()) return;
  if (absl::optional<v1::Proof> proof = options_.proofs->ProofOf(revision, *fingerprint)) {
    *field() = *std::move(proof);
  }
}

void FollowerStreamState::PrepareWelcome(bool reset) {
  state_ = State::kStreaming;
  resumes_ = !reset;
  const int64_t head = ring_->head();  // durable (R7)
  if (reset) {
    caught_.clear();
    sent_ = head;
    reset_revision_ = head;
  }
  FollowResponse message;
  tollgate::v1::Welcome* welcome = message.mutable_welcome();
  welcome->set_epoch(options_.history->epoch);
  welcome->set_term(options_.history->term());
  SetProof(head, [welcome] { return welcome->mutable_proof(); });
  welcome->set_revision(head);
  welcome->set_reset(reset);
  *welcome->mutable_ping_interval() = base::ToProto(options_.ping_interval);
  *welcome->mutable_usage_interval() = base::ToProto(options_.usage_interval);
  welcome->set_brand(options_.brand);
  welcome_ = std::move(message);
}

void FollowerStreamState::OnPing(const Ping& ping, base::BootTime now) {
  if (ping.sequence() <= last_sequence_) return;
  last_sequence_ = ping.sequence();
  // R10: an acknowledgement counts only up to the revision that was sent or resumed at; after a
  // reset no acknowledgement from before it counts.
  const int64_t applied =
      TOLLGATE_MUTATED("r10_sent_is_applied") ? sent_ : std::min(ping.applied_revision(), sent_);
  lessor_->Acknowledge(session_, applied >= reset_revision_ ? applied : 0, ping);
  if (!pong_due_) {
    pong_due_ = true;
    pong_since_ = now;
    pong_after_ = ring_->head();
  }
  // Of several pings only the latest is answered: a grant for a later ping is worth more, and
  // answers do not pile up for a client that does not read (I5). The Pong keeps its place in the
  // queue.
}

void FollowerStreamState::ReadsDone() {
  reads_done_ = true;
  if (!finish_.has_value()) finish_ = absl::OkStatus();
}

void FollowerStreamState::GoAway(absl::string_view reason, absl::Duration retry_after) {
  if (going_away_ || finish_.has_value()) return;
  going_away_ = true;
  go_away_.mutable_go_away()->set_reason(std::string(reason));
  *go_away_.mutable_go_away()->mutable_retry_after() = base::ToProto(retry_after);
}

void FollowerStreamState::Forbid(const absl::Status& status) {
  forbidden_ = true;
  if (!finish_.has_value()) finish_ = status;
}

void FollowerStreamState::CaughtUp(CatchUp answer) {
  reading_ = false;
  if (finish_.has_value() || going_away_) return;
  switch (answer.state) {
    case CatchUp::State::kOk:
      if (state_ == State::kResuming) PrepareWelcome(/*reset=*/false);
      caught_.assign(answer.revisions.begin(), answer.revisions.end());
      caught_to_ = answer.complete_to;
      return;
    case CatchUp::State::kCompacted:
    case CatchUp::State::kFailed:
      // A reset is always a correct answer; in the middle of a stream the follower must say Hello
      // anew for one.
      if (state_ == State::kResuming) {
        PrepareWelcome(/*reset=*/true);
      } else {
        GoAway("too_slow", options_.come_back_after);
      }
      return;
  }
}

// Takes the next part of a revision that is too large for one message. The revision counts as sent,
// and can be applied, only after its last part (R8).
bool FollowerStreamState::TakePart(Output* output) {
  if (split_ == nullptr) return false;
  output->kind = Output::Kind::kWrite;
  output->pieces = {split_->parts[next_part_++]};
  if (next_part_ == split_->parts.size()) {
    sent_ = split_->revision;
    split_ = nullptr;
  }
  return true;
}

bool FollowerStreamState::TakeEvents(Output* output) {
  if (TakePart(output)) return true;
  if (caught_.empty() && caught_to_ > sent_) sent_ = caught_to_;
  RingRead read;
  const bool from_store = !caught_.empty();
  if (!from_store) {
    if (reading_ || read_due_) return false;
    read = ring_->After(sent_, options_.max_batch, options_.max_message_bytes);
    if (read.fell_off) {
      read_due_ = true;
      return false;
    }
    if (read.revisions.empty()) {
      sent_ = std::max(sent_, read.complete_to);  // R8: over commits without events
      return false;
    }
  }
  size_t bytes = 0;
  size_t count = 0;
  const auto take = [&](const SharedRevision& revision) {
    if (revision->parts.size() > 1) {
      if (count > 0) return false;  // it begins a message of its own
      split_ = revision;
      next_part_ = 0;
      ++count;
      return false;
    }
    if (count > 0 &&
        (bytes + revision->bytes > options_.max_message_bytes || count >= options_.max_batch)) {
      return false;
    }
    output->pieces.push_back(revision->parts.front());
    bytes += revision->bytes;
    ++count;
    sent_ = revision->revision;
    return true;
  };
  if (from_store) {
    while (!caught_.empty()) {
      const bool more = take(caught_.front());
      if (!more && split_ == nullptr) break;  // the next one does not fit
      caught_.pop_front();
      if (!more) break;
    }
  } else {
    bool all = true;
    for (const SharedRevision& revision : read.revisions) {
      if (!take(revision)) {
        all = false;
        break;
      }
    }
    if (all) sent_ = std::max(sent_, read.complete_to);
  }
  if (split_ != nullptr) return TakePart(output);
  output->kind = Output::Kind::kWrite;
  return true;
}

bool FollowerStreamState::TakePong(base::BootTime now, absl::Time wall_now, Output* output) {
  pong_waits_ = false;
  if (!pong_due_ || split_ != nullptr) return false;
  const bool patient = now - pong_since_ < options_.pong_patience;
  if (sent_ < pong_after_ && patient) {
    pong_waits_ = true;
    return false;
  }
  const LeaseAnswer answer = lessor_->GrantLease(session_, sent_);
  if (patient && (answer.outcome == LeaseOutcome::kNotRostered ||
                  answer.outcome == LeaseOutcome::kBelowEnforced ||
                  answer.outcome == LeaseOutcome::kStoreSilent)) {
    // The lessor may grant a lease a moment later: once the roster is written, the enforced events
    // are sent, or (after this machine was paused) a keep-alive is written.
    pong_waits_ = true;
    return false;
  }
  if (answer.outcome == LeaseOutcome::kNoProgress) {
    if (!no_progress_since_.has_value()) no_progress_since_ = now;
    if (now - *no_progress_since_ > options_.no_progress_limit) {
      made_no_progress_ = !going_away_;
      GoAway("no_progress", kComeBackLater);
    }
  } else {
    no_progress_since_.reset();
  }
  pong_due_ = false;
  FollowResponse message;
  tollgate::v1::Pong* pong = message.mutable_pong();
  pong->set_sequence(last_sequence_);
  pong->set_revision(TOLLGATE_MUTATED("r8_pong_says_head") ? ring_->head() : sent_);
  if (answer.lease > absl::ZeroDuration()) *pong->mutable_lease() = base::ToProto(answer.lease);
  *pong->mutable_service_time() = base::ToProto(wall_now);
  SetProof(sent_, [pong] { return pong->mutable_proof(); });
  SetMessage(message, output);
  return true;
}

void FollowerStreamState::ProveFailed() {
  if (state_ != State::kProving) return;
  state_ = State::kAwaitHello;
  Refuse(base::RefuseForNow("OVERLOADED", "refused: too much is read from the store at the moment",
                            kComeBackLater));
}

FollowerStreamState::Output FollowerStreamState::Next(base::BootTime now, absl::Time wall_now) {
  Output output;
  if (state_ == State::kFinished || (held_ && greeted_ && !finish_.has_value())) return output;
  if (!finish_.has_value() && !going_away_) {
    if (state_ == State::kAwaitHello && now - opened_at_ >= options_.hello_limit) {
      Refuse(base::Refuse(absl::StatusCode::kDeadlineExceeded, "HELLO_LATE",
                          "refused: no Hello came in time. Send it first, at once."));
    } else if (now - opened_at_ >= options_.max_age) {
      GoAway("max_age", options_.come_back_after);
    }
  }
  // A GoAway goes out as the next message, even inside a split revision: the rest of that revision
  // is useless to a follower that has to come again.
  if (going_away_ && go_away_.has_go_away()) {
    SetMessage(go_away_, &output);
    go_away_.Clear();
    if (!finish_.has_value()) finish_ = absl::OkStatus();
    return output;
  }
  if (finish_.has_value()) {
    state_ = State::kFinished;
    output.kind = Output::Kind::kFinish;
    output.status = *finish_;
    return output;
  }
  if (welcome_.has_value()) {
    SetMessage(*welcome_, &output);
    welcome_.reset();
    welcomed_ = true;
    return output;
  }
  if (state_ == State::kStreaming) {
    // The Pong comes first, once the events that it queues behind are sent, so that a steady flow
    // of events cannot hold it up. It is tried again after the events: reading the ring moves
    // `sent_` over commits without events (R8), and a revision may have become enforced meanwhile
    // (R9).
    for (int round = 0; round < 3; ++round) {
      if (TakePong(now, wall_now, &output)) return output;
      if (TakeEvents(&output)) return output;
      if (!pong_waits_) break;
    }
    if (going_away_) return Next(now, wall_now);
  }
  if (prove_due_) {
    prove_due_ = false;
    output.kind = Output::Kind::kProve;
    output.after = hello_.proof().revision();
    return output;
  }
  if (read_due_ && !reading_) {
    read_due_ = false;
    reading_ = true;
    output.kind = Output::Kind::kCatchUp;
    output.after = sent_;
  }
  return output;
}

base::BootTime FollowerStreamState::NextTick() const {
  if (state_ == State::kFinished) return base::BootTime::InfiniteFuture();
  base::BootTime next = opened_at_ + options_.max_age;
  if (state_ == State::kAwaitHello) next = std::min(next, opened_at_ + options_.hello_limit);
  if (pong_waits_) next = std::min(next, pong_since_ + options_.pong_patience);
  return next;
}

}  // namespace tollgate::service
