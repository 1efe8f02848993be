#include "service/rpc/rpc_call.h"

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "service/rpc/identify_caller.h"

namespace tollgate::service {

absl::Status RpcCall::Admit(Permission permission, absl::string_view resource) {
  ASSIGN_OR_RETURN(identity_, IdentifyCaller(*deps_, wire_->context()));
  permission_ = permission;
  resource_ = std::string(resource);
  return StillMay();
}

absl::Status RpcCall::StillMay() const { return MayAlso(permission_, resource_); }

absl::Status RpcCall::MayAlso(Permission permission, absl::string_view resource) const {
  return MayCaller(*deps_, identity_, permission, resource);
}

namespace {

// The same refusal, without the names of workspaces that the caller may not see.
absl::Status WithoutNames(const absl::Status& status) {
  base::ErrorDetails details = base::DetailsOf(status);
  std::string workspace;
  for (const auto& [key, value] : details.metadata) {
    if (key == "workspace") workspace = value;
  }
  details.metadata = {{"workspace", workspace}};
  return base::Refuse(status.code(), absl::StrCat("there is no workspace ", workspace), details);
}

}  // namespace

absl::Status RpcCall::Told(const absl::Status& status) const {
  // Whatever the code: a command may have made another refusal of it.
  if (status.ok() || base::ReasonOf(status) != "WORKSPACE_NOT_FOUND" ||
      MayAlso(Permission::kReadWorkspaces, "").ok()) {
    return status;
  }
  return WithoutNames(status);
}

bool RpcCall::FinishWith(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (finished_) return false;
    finished_ = true;
  }
  metrics_->Count(status.code(), deps_->clock->Now() - begin_);
  if (!status.ok()) {
    wire_->Fail(Told(status));
    return true;
  }
  grpc::ByteBuffer bytes;
  if (secret_) {
    WriteSecretResponse(response_message(), &bytes);
  } else {
    WriteResponse(response_message(), &bytes);
  }
  wire_->Reply(bytes);  // shares the slices
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
  base::ErrorDetails details;
  details.reason = "OVERLOADED";
  details.retry_after = absl::Seconds(1);
  return base::Refuse(absl::StatusCode::kResourceExhausted,
                      absl::StrCat("refused: ", what, ". Try again in a second."), details);
}

absl::Status RpcCall::Wanted() const {
  if (wire_->cancelled()) return absl::CancelledError("the caller has gone");
  if (TimeLeft() <= absl::ZeroDuration()) {
    return absl::DeadlineExceededError("the caller's deadline has passed");
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::optional<std::string>> WantedSnapshot::Get(storage::Table table,
                                                                absl::string_view key) const {
  RETURN_IF_ERROR(wanted_());
  return inner_->Get(table, key);
}

absl::StatusOr<std::vector<storage::Entry>> WantedSnapshot::Scan(storage::Table table,
                                                                 absl::string_view begin,
                                                                 absl::string_view end,
                                                                 size_t limit) const {
  RETURN_IF_ERROR(wanted_());
  return inner_->Scan(table, begin, end, limit);
}

absl::StatusOr<std::vector<storage::Entry>> WantedSnapshot::ScanBack(storage::Table table,
                                                                     absl::string_view begin,
                                                                     absl::string_view end,
                                                                     size_t limit) const {
  RETURN_IF_ERROR(wanted_());
  return inner_->ScanBack(table, begin, end, limit);
}

namespace {

// False: there is no room, and nothing runs.
bool ReadOn(base::Executor& executor, std::shared_ptr<RpcCall> call,
            std::function<absl::Status(const storage::Snapshot& snapshot)> read) {
  return executor.Submit([call = std::move(call), read = std::move(read)] {
    absl::Status begin = call->Wanted();
    if (begin.ok()) begin = call->StillMay();
    if (!begin.ok()) {
      call->FinishWith(begin);
      return;
    }
    absl::StatusOr<std::unique_ptr<storage::Snapshot>> snapshot =
        call->deps().engine->NewSnapshot();
    const absl::Status status =
        snapshot.ok()
            ? read(WantedSnapshot(snapshot->get(), [raw = call.get()] { return raw->Wanted(); }))
            : snapshot.status();
    if (!snapshot.ok() || absl::IsDataLoss(status)) {
      call->deps().metrics->OnStoreError();
      base::LogSummed(base::LogLevel::kError, "a read of the store failed", base::ReasonOf(status),
                      {{"status", status}});
    }
    call->FinishWith(status);
  });
}

}  // namespace

void ReadThenFinish(std::shared_ptr<RpcCall> call,
                    std::function<absl::Status(const storage::Snapshot& snapshot)> read) {
  if (!ReadOn(*call->deps().reads, call, std::move(read))) {
    call->FinishWith(Overloaded("too many reads are waiting"));
  }
}

void ScanThenFinish(std::shared_ptr<RpcCall> call,
                    std::function<absl::Status(const storage::Snapshot& snapshot)> read) {
  if (!ReadOn(*call->deps().scans, call, std::move(read))) {
    call->FinishWith(Overloaded("too many counts and backups are waiting"));
  }
}

}  // namespace tollgate::service
