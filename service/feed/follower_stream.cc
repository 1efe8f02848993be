#include "service/feed/follower_stream.h"

#include <utility>

#include "base/status.h"

namespace tollgate {

FollowerStream::FollowerStream(uint64_t number, Session::Options options, const EventRing* ring,
                               EnforcementDesk* desk, StreamHost* host, UseSink* use,
                               const Clock* clock, std::shared_ptr<FollowCall> call)
    : number_(number),
      desk_(desk),
      host_(host),
      use_(use),
      clock_(clock),
      call_(std::move(call)),
      session_(std::move(options), ring, desk, clock->Now()) {}

std::shared_ptr<FollowCall> FollowerStream::Call() const {
  absl::MutexLock lock(&mu_);
  return call_;
}

void FollowerStream::Wake() {
  if (const std::shared_ptr<FollowCall> call = Call()) call->WakeCall();
}

void FollowerStream::Abort(const absl::Status& status) {
  if (const std::shared_ptr<FollowCall> call = Call()) call->AbortCall(status);
}

SessionId FollowerStream::key() const {
  absl::MutexLock lock(&mu_);
  return session_.key();
}

bool FollowerStream::MadeNoProgress() const {
  absl::MutexLock lock(&mu_);
  return session_.made_no_progress() && !cut_;
}

void FollowerStream::OnRequest(const tollgate::v1::FollowRequest& request) {
  Session::Received received;
  SessionId key;
  bool resumes = false;
  bool greeted = false;
  {
    absl::MutexLock lock(&mu_);
    received = session_.Receive(request, clock_->Now());
    key = session_.key();
    greeted = session_.greeted();
    resumes = !session_.was_reset();
  }
  switch (received) {
    case Session::Received::kHello: {
      const std::shared_ptr<FollowCall> call = Call();
      desk_->OnHello(key, request.hello(), call != nullptr ? call->Address() : "");
      host_->OnGreeted(shared_from_this(), resumes);
      WriteRoster();
      break;
    }
    case Session::Received::kFuture:
      host_->OnFuture(key.validator_id, request.hello().applied_revision());
      break;
    case Session::Received::kUsage:
      if (use_ != nullptr) use_->Report(key.validator_id, key.incarnation, request.usage());
      break;
    case Session::Received::kGoodbye:
      desk_->Release(key);
      host_->WakeLater(nullptr);  // the roster's record is to go soon
      break;
    case Session::Received::kNothing:
      if (greeted && request.has_ping()) WriteRoster();  // again, where it failed
      break;
    case Session::Received::kRefused:
      break;
  }
  desk_->Settle();
  Wake();
}

void FollowerStream::WriteRoster() {
  {
    absl::MutexLock lock(&mu_);
    if (roster_under_way_) return;
    roster_under_way_ = true;
  }
  const bool writing = desk_->WriteRoster(key(), [self = shared_from_this()] {
    {
      absl::MutexLock lock(&self->mu_);
      self->roster_under_way_ = false;
    }
    self->host_->WakeLater(self);  // this is the committing thread
  });
  if (writing) return;
  absl::MutexLock lock(&mu_);
  roster_under_way_ = false;
}

void FollowerStream::OnGarbage() {
  if (const std::shared_ptr<FollowCall> call = Call()) {
    call->CloseCall(Refuse(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
                           "refused: the message is no FollowRequest"));
  }
}

void FollowerStream::OnReadsDone() {
  {
    absl::MutexLock lock(&mu_);
    session_.ReadsDone();
  }
  Wake();
}

bool FollowerStream::NextToWrite(std::vector<SharedBytes>* pieces) {
  while (true) {
    Session::Output output;
    {
      absl::MutexLock lock(&mu_);
      // Fresh readings, after every message that was handed in (R1).
      output = session_.Next(clock_->Now(), clock_->WallNow());
    }
    switch (output.kind) {
      case Session::Output::Kind::kNothing:
        return false;
      case Session::Output::Kind::kWrite:
        *pieces = std::move(output.pieces);
        return true;
      case Session::Output::Kind::kCatchUp: {
        const auto done = [self = shared_from_this()](CatchUp answer) {
          {
            absl::MutexLock lock(&self->mu_);
            self->session_.CaughtUp(std::move(answer), self->clock_->Now());
          }
          self->Wake();
        };
        if (!host_->ReadStore(output.after, done)) {
          absl::MutexLock lock(&mu_);
          session_.CaughtUp(CatchUp(), clock_->Now());
        }
        break;
      }
      case Session::Output::Kind::kFinish:
        if (const std::shared_ptr<FollowCall> call = Call()) call->CloseCall(output.status);
        return false;
    }
  }
}

void FollowerStream::GoAway(absl::string_view reason, absl::Duration retry_after) {
  {
    absl::MutexLock lock(&mu_);
    session_.GoAway(reason, retry_after);
  }
  Wake();
}

bool FollowerStream::Tick(BootTime now, absl::Duration stall_limit) {
  std::shared_ptr<FollowCall> call;
  bool due = false;
  {
    absl::MutexLock lock(&mu_);
    call = call_;
    due = session_.NextTick() <= now;
    if (cut_) return false;
  }
  if (call == nullptr) return false;
  const absl::optional<BootTime> stalled = call->StalledSince();
  if (stalled.has_value() && now - *stalled > stall_limit) {
    {
      absl::MutexLock lock(&mu_);
      cut_ = true;
    }
    call->AbortCall(
        RefuseForNow("TOO_SLOW", "refused: the client does not read its stream", absl::Seconds(1)));
    return true;
  }
  if (due) call->WakeCall();
  return false;
}

void FollowerStream::OnClosed() {
  std::shared_ptr<FollowCall> call;
  SessionId key;
  bool greeted = false;
  {
    absl::MutexLock lock(&mu_);
    call.swap(call_);  // may be the last reference: released below, without the lock
    key = session_.key();
    greeted = session_.greeted();
  }
  if (greeted) desk_->OnStreamClosed(key);
  host_->OnClosed(this);
}

}  // namespace tollgate
