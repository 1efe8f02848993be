#include "service/feed/follower_stream.h"

#include <utility>

#include "base/status.h"
#include "service/feed/feed.h"

namespace tollgate::service {

FollowerStream::FollowerStream(uint64_t number, FollowerStreamState::Options options, Feed* feed,
                               std::shared_ptr<FollowWire> wire)
    : number_(number),
      feed_(feed),
      member_(wire->CallerName()),
      operator_token_id_(wire->OperatorTokenId()),
      wire_(std::move(wire)),
      state_(std::move(options), feed->ring_.get(), feed->desk_.get(),
             feed->options_.clock->Now()) {}

std::shared_ptr<FollowWire> FollowerStream::Wire() const {
  absl::MutexLock lock(&mu_);
  return wire_;
}

void FollowerStream::Wake() {
  if (const std::shared_ptr<FollowWire> wire = Wire()) wire->WakeCall();
}

void FollowerStream::Abort(const absl::Status& status) {
  if (const std::shared_ptr<FollowWire> wire = Wire()) wire->AbortCall(status);
}

lease::SessionId FollowerStream::session() const {
  absl::MutexLock lock(&mu_);
  return state_.session();
}

bool FollowerStream::MadeNoProgress() const {
  absl::MutexLock lock(&mu_);
  return state_.made_no_progress() && !cut_;
}

void FollowerStream::OnRequest(const tollgate::v1::FollowRequest& request) {
  FollowerStreamState::Received received;
  {
    absl::MutexLock lock(&mu_);
    received = state_.Receive(request, feed_->options_.clock->Now());
  }
  Act(received, &request);
}

void FollowerStream::Act(FollowerStreamState::Received received,
                         const tollgate::v1::FollowRequest* request) {
  using Received = FollowerStreamState::Received;
  EnforcementDesk& desk = *feed_->desk_;
  lease::SessionId session;
  tollgate::v1::Hello hello;
  absl::Status refusal;
  bool greeted = false;
  {
    absl::MutexLock lock(&mu_);
    session = state_.session();
    greeted = state_.greeted();
    if (received == Received::kHello) hello = state_.hello();
    refusal = state_.refusal();
  }
  const std::shared_ptr<FollowWire> wire = Wire();
  const std::string address = wire != nullptr ? wire->Address() : "";
  switch (received) {
    case Received::kHello:
      desk.OnHello(session, hello, address);
      feed_->OnGreeted(shared_from_this());
      feed_->OnBrand(session.validator_id, address, hello.brand());
      if (!Register()) {
        // It closed while its proof was looked up: nobody else will take it back.
        desk.OnStreamClosed(session);
        feed_->ForgetGreeted(this);
        break;
      }
      TellWelcome();
      WriteRoster();
      break;
    case Received::kForked:
      feed_->OnForked(session.validator_id, refusal);
      break;
    case Received::kStranger:
      feed_->OnStranger(session.validator_id, address, refusal);
      break;
    case Received::kUsage:
      if (UseSink* use = feed_->options_.use) {
        use->Report(session.validator_id, session.incarnation, request->usage());
      }
      break;
    case Received::kGoodbye:
      desk.Release(session);
      feed_->scheduler_->TickSoon();  // the roster's record is to go soon
      break;
    case Received::kNothing:
      if (greeted && request != nullptr && request->has_ping())
        WriteRoster();  // again, where it failed
      break;
    case Received::kRefused:
      break;
  }
  desk.Settle();
  Wake();
}

bool FollowerStream::Register() {
  absl::MutexLock lock(&mu_);
  registered_ = !closed_;
  return registered_;
}

void FollowerStream::TellWelcome() {
  bool resumes = false;
  {
    absl::MutexLock lock(&mu_);
    if (welcome_told_ || wire_ == nullptr || !state_.resumes().has_value()) return;
    welcome_told_ = true;
    resumes = *state_.resumes();
  }
  feed_->OnWelcomed(resumes);
}

void FollowerStream::WriteRoster() {
  {
    absl::MutexLock lock(&mu_);
    if (roster_under_way_) return;
    roster_under_way_ = true;
  }
  const bool writing = feed_->desk_->WriteRoster(session(), [self = shared_from_this()] {
    {
      absl::MutexLock lock(&self->mu_);
      self->roster_under_way_ = false;
    }
    self->feed_->scheduler_->WakeStreamSoon(self);  // this is the committing thread
  });
  if (writing) return;
  absl::MutexLock lock(&mu_);
  roster_under_way_ = false;
}

void FollowerStream::OnGarbage() {
  if (const std::shared_ptr<FollowWire> wire = Wire()) {
    wire->CloseCall(base::Refuse(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
                                 "refused: the message is no FollowRequest"));
  }
}

void FollowerStream::OnReadsDone() {
  {
    absl::MutexLock lock(&mu_);
    state_.ReadsDone();
  }
  Wake();
}

bool FollowerStream::NextToWrite(std::vector<SharedBytes>* pieces) {
  using Output = FollowerStreamState::Output;
  const base::Clock& clock = *feed_->options_.clock;
  while (true) {
    Output output;
    {
      absl::MutexLock lock(&mu_);
      // Fresh readings, taken after every message that was handed in (R1).
      output = state_.Next(clock.Now(), clock.ServiceNow());
    }
    switch (output.kind) {
      case Output::Kind::kNothing:
        return false;
      case Output::Kind::kWrite:
        *pieces = std::move(output.pieces);
        return true;
      case Output::Kind::kCatchUp: {
        const auto done = [self = shared_from_this()](CatchUp answer) {
          {
            absl::MutexLock lock(&self->mu_);
            self->state_.CaughtUp(std::move(answer));
          }
          self->TellWelcome();
          self->Wake();
        };
        if (!feed_->ReadStore(output.after, done)) {
          {
            absl::MutexLock lock(&mu_);
            state_.CaughtUp(CatchUp());
          }
          TellWelcome();
        }
        break;
      }
      case Output::Kind::kProve: {
        const auto done = [self = shared_from_this()](const KnownFingerprint& known) {
          FollowerStreamState::Received received;
          {
            absl::MutexLock lock(&self->mu_);
            received = self->state_.Proved(known);
          }
          self->Act(received, nullptr);
          {
            absl::MutexLock lock(&self->mu_);
            self->state_.Registered();
          }
          self->Wake();
        };
        if (!feed_->ReadFingerprint(output.after, done)) {
          absl::MutexLock lock(&mu_);
          state_.ProveFailed();
        }
        break;
      }
      case Output::Kind::kFinish:
        if (const std::shared_ptr<FollowWire> wire = Wire()) wire->CloseCall(output.status);
        return false;
    }
  }
}

void FollowerStream::Forbid(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    state_.Forbid(status);
  }
  feed_->scheduler_->WakeStreamSoon(shared_from_this());  // this may be the committing thread
}

void FollowerStream::GoAway(absl::string_view reason, absl::Duration retry_after) {
  {
    absl::MutexLock lock(&mu_);
    state_.GoAway(reason, retry_after);
  }
  Wake();
}

bool FollowerStream::Tick(base::BootTime now, absl::Duration stall_limit) {
  std::shared_ptr<FollowWire> wire;
  bool due = false;
  {
    absl::MutexLock lock(&mu_);
    wire = wire_;
    due = state_.NextTick() <= now;
    if (cut_) return false;
  }
  if (wire == nullptr) return false;
  const absl::optional<base::BootTime> stalled = wire->StalledSince();
  if (stalled.has_value() && now - *stalled > stall_limit) {
    {
      absl::MutexLock lock(&mu_);
      cut_ = true;
    }
    wire->AbortCall(base::RefuseForNow("TOO_SLOW", "refused: the client does not read its stream",
                                       absl::Seconds(1)));
    return true;
  }
  if (due) wire->WakeCall();
  return false;
}

void FollowerStream::OnClosed() {
  std::shared_ptr<FollowWire> wire;
  lease::SessionId session;
  bool registered = false;
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    wire.swap(wire_);  // may be the last reference: released below, without the lock
    session = state_.session();
    registered = registered_;
  }
  if (registered) feed_->desk_->OnStreamClosed(session);
  feed_->OnStreamClosed(this);
}

}  // namespace tollgate::service
