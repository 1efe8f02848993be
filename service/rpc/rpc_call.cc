#include "service/rpc/rpc_call.h"

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"

namespace tollgate {

absl::Status RpcCall::Admit(Permission permission, absl::string_view resource) {
  ASSIGN_OR_RETURN(const Caller caller, CallerOf(wire_->context()));
  actor_ = ActorOf(caller);
  return deps_->access->Authorize(caller, permission, resource);
}

bool RpcCall::FinishWith(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (finished_) return false;
    finished_ = true;
  }
  metrics_->Count(status.code(), deps_->clock->Now() - begin_);
  if (!status.ok()) {
    wire_->Fail(status);
    return true;
  }
  grpc::ByteBuffer bytes;
  WriteResponse(response_message(), &bytes);
  wire_->Reply(std::move(bytes));
  return true;
}

void RpcCall::WhenGone(std::function<void()> let_go) {
  wire_->OnCancelled([weak = weak_from_this(), let_go = std::move(let_go)] {
    const std::shared_ptr<RpcCall> call = weak.lock();
    if (call == nullptr) return;
    {
      absl::MutexLock lock(&call->mu_);
      if (call->finished_) return;
    }
    let_go();
    call->FinishWith(absl::CancelledError("the caller has gone"));
  });
}

absl::Status Overloaded(absl::string_view what) {
  ErrorDetails details;
  details.reason = "OVERLOADED";
  details.retry_after = absl::Seconds(1);
  return Refuse(absl::StatusCode::kResourceExhausted,
                absl::StrCat("refused: ", what, ". Try again in a second."), details);
}

void ReadThenFinish(std::shared_ptr<RpcCall> call,
                    std::function<absl::Status(const Snapshot& snapshot)> read) {
  const RpcDeps& deps = call->deps();
  const bool taken = deps.reads->Submit([call, read = std::move(read)] {
    if (call->TimeLeft() <= absl::ZeroDuration()) {
      call->FinishWith(absl::DeadlineExceededError("the caller's deadline passed in the queue"));
      return;
    }
    absl::StatusOr<std::unique_ptr<Snapshot>> snapshot = call->deps().engine->NewSnapshot();
    const absl::Status status = snapshot.ok() ? read(**snapshot) : snapshot.status();
    if (!snapshot.ok() || absl::IsDataLoss(status)) {
      call->deps().metrics->OnStoreError();
      Log(LogLevel::kError, "a read of the store failed", {{"status", status}});
    }
    call->FinishWith(status);
  });
  if (!taken) call->FinishWith(Overloaded("too many reads are waiting"));
}

}  // namespace tollgate
