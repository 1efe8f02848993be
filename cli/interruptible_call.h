// A call that Ctrl-C cancels.
#ifndef TOLLGATE_CLI_INTERRUPTIBLE_CALL_H_
#define TOLLGATE_CLI_INTERRUPTIBLE_CALL_H_

#include <functional>

#include "absl/functional/function_ref.h"
#include "cli/interrupt.h"
#include "grpcpp/grpcpp.h"

namespace tollgate::cli {

// Waits for the end of an asynchronous unary call, which `start` begins and hands what to call at
// its end. A signal cancels the call, and sets `*interrupted`. Returns once the call has ended,
// whatever comes, so that what it refers to may lie on the caller's stack.
grpc::Status AwaitCall(Interrupt& interrupt, grpc::ClientContext* call, bool* interrupted,
                       absl::FunctionRef<void(std::function<void(grpc::Status)> at_end)> start);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_INTERRUPTIBLE_CALL_H_
