#include "net/reactor.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpc/support/time.h"

namespace tollgate::net {

absl::Time DeadlineOf(const grpc::ServerContextBase& context) {
  // How long that is from now, by a clock that nobody sets: gRPC's reading of the wall clock and
  // absl's, which lags, lie apart after a step, and a step back would make every deadline one that
  // has passed.
  const gpr_timespec deadline = gpr_convert_clock_type(context.raw_deadline(), GPR_CLOCK_MONOTONIC);
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(GPR_CLOCK_MONOTONIC));
  const absl::Duration from_now = absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
  // "No deadline" arrives as the far end of the clock, give or take a conversion.
  if (from_now > absl::Hours(24 * 365 * 100)) return absl::InfiniteFuture();
  return absl::Now() + from_now;
}

absl::Status CheckMetadata(const grpc::ServerContextBase& context) {
  constexpr size_t kOverhead = 32;  // of an entry: RFC 9113, section 6.5.2
  size_t bytes = 0;
  for (const auto& [name, value] : context.client_metadata()) {
    bytes += name.size() + value.size() + kOverhead;
  }
  if (bytes <= kMostMetadataBytes) return absl::OkStatus();
  return base::Refuse(absl::StatusCode::kResourceExhausted, "METADATA_TOO_LARGE",
                      absl::StrCat("refused: the call's metadata (its HTTP headers) has ", bytes,
                                   " bytes; at most ", kMostMetadataBytes, " are taken"));
}

namespace {
std::atomic<int64_t> unary_calls{0};
}  // namespace

int64_t UnaryCallsUnderWay() { return unary_calls.load(std::memory_order_acquire); }

namespace internal {

std::shared_ptr<UnaryReactor> UnaryReactor::Create() {
  std::shared_ptr<UnaryReactor> reactor(new UnaryReactor);
  unary_calls.fetch_add(1, std::memory_order_relaxed);
  reactor->self_ = reactor;
  return reactor;
}

bool UnaryReactor::FinishOnce(const grpc::Status& status) {
  if (finished_.exchange(true, std::memory_order_acq_rel)) return false;
  Finish(status);
  return true;
}

void UnaryReactor::SetOnCancel(std::function<void()> on_cancel) {
  {
    absl::MutexLock lock(&mu_);
    if (done_) return;
    if (!cancelled()) {
      on_cancel_ = std::move(on_cancel);
      return;
    }
  }
  on_cancel();
}

void UnaryReactor::OnCancel() {
  std::function<void()> on_cancel;
  {
    absl::MutexLock lock(&mu_);
    cancelled_.store(true, std::memory_order_release);
    on_cancel.swap(on_cancel_);
  }
  if (on_cancel) on_cancel();
}

void UnaryReactor::OnDone() {
  std::function<void()> on_cancel;  // what it holds is released outside the lock
  {
    absl::MutexLock lock(&mu_);
    done_ = true;
    on_cancel.swap(on_cancel_);
  }
  unary_calls.fetch_sub(1, std::memory_order_release);
  std::shared_ptr<UnaryReactor> self = std::move(self_);
}

absl::Status StreamContext::CheckMetadata() const {
  absl::MutexLock lock(&mu_);
  return context_ == nullptr ? absl::OkStatus() : net::CheckMetadata(*context_);
}

void StreamContext::TryCancel() {
  absl::MutexLock lock(&mu_);
  if (context_ != nullptr) context_->TryCancel();
}

void StreamContext::NoteCancelled() { absl::MutexLock lock(&mu_); }

void StreamContext::Release() {
  absl::MutexLock lock(&mu_);
  context_ = nullptr;
}

void ClientCallContext::TryCancel() {
  absl::MutexLock lock(&mu_);
  if (context_.has_value()) context_->TryCancel();
}

void ClientCallContext::Release() {
  absl::MutexLock lock(&mu_);
  context_.reset();
}

}  // namespace internal
}  // namespace tollgate::net
