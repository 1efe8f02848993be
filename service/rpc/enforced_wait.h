// Waits for enforcement on behalf of a call, without holding a thread.
#ifndef TOLLGATE_SERVICE_RPC_ENFORCED_WAIT_H_
#define TOLLGATE_SERVICE_RPC_ENFORCED_WAIT_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "service/feed/hub.h"
#include "service/rpc/rpc_call.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// The length of a wait that a request asks for. INVALID_ARGUMENT: WAIT_TOO_LONG, WAIT_NEGATIVE,
// WAIT_MALFORMED.
absl::StatusOr<absl::Duration> CheckWait(const google::protobuf::Duration& wait,
                                         absl::string_view field);

// Takes out of a receipt what its caller may not see: who holds what at an edge is told to whoever
// runs the service, because the revision may be of any workspace.
void HideHolders(const RpcCall& call, tollgate::v1::Receipt* receipt);

// Waits until the revision of `question` is enforced, and with `question.holds` until no hold that
// it put in doubt is open, for at most `wait`, and a little less than
// the client's own deadline, so that the client gets the receipt as it stands rather than an error.
// Then completes the receipt's last admissions (WithLastAdmits), hides what the caller may not see,
// lets `answer` fill the response, and finishes the call. When the client goes away meanwhile, the
// call, everything it holds and its place with the hub are freed at once.
void WaitThenFinish(std::shared_ptr<RpcCall> call, const ReceiptQuestion& question,
                    absl::Duration wait, std::function<void(tollgate::v1::Receipt)> answer);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_ENFORCED_WAIT_H_
