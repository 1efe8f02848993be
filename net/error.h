// The one place where absl::Status becomes grpc::Status, and the reverse.
#ifndef TOLLGATE_NET_ERROR_H_
#define TOLLGATE_NET_ERROR_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace tollgate::net {

// The domain of every ErrorInfo of ours.
inline constexpr char kErrorDomain[] = "tollgate";

// As AIP-193 wants it: the same canonical code, the message, and in the details a google.rpc.Status
// with an ErrorInfo (reason, domain "tollgate", metadata) first, then a BadRequest and a RetryInfo
// where DetailsOf(status) has them. OK stays OK. Trailers are bounded (gRPC drops a call whose
// headers exceed 8 KiB): a long message is cut, and field violations beyond about 4 KiB are left
// out.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The reverse; DetailsOf() of the result gives what was sent. A status without details, or with
// unreadable ones, keeps its code and message. Details of another domain keep their reason.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_ERROR_H_
