#include "cli/interruptible_call.h"

#include <utility>

namespace tollgate::cli {

grpc::Status AwaitCall(Interrupt& interrupt, grpc::ClientContext* call, bool* interrupted,
                       absl::FunctionRef<void(std::function<void(grpc::Status)> at_end)> start) {
  grpc::Status status;
  start([&](grpc::Status ended) {
    status = std::move(ended);
    interrupt.Notify();
  });
  if (interrupt.Wait(absl::InfiniteDuration()) == Interrupt::Woken::kInterrupted) {
    *interrupted = true;
    call->TryCancel();
    interrupt.WaitNotified();
  }
  return status;
}

}  // namespace tollgate::cli
