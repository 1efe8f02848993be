// The one place where absl::Status becomes grpc::Status, and the reverse.
#ifndef TOLLGATE_NET_ERROR_H_
#define TOLLGATE_NET_ERROR_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace tollgate::net {

// The domain of every ErrorInfo that Tollgate sends.
inline constexpr char kErrorDomain[] = "tollgate";

// Follows AIP-193: the same canonical code, the message, and in the details a google.rpc.Status.
// Its first detail is an ErrorInfo (reason, domain "tollgate", metadata); a BadRequest and a
// RetryInfo follow where DetailsOf(status) has them. OK stays OK. Trailers are bounded, because
// gRPC drops a call whose headers exceed 8 KiB: a long message is cut, and field violations beyond
// about 4 KiB are left out.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The reverse: DetailsOf() of the result gives the details that were sent. A status without
// details, or with unreadable ones, keeps its code and message. Details of another domain keep
// their reason.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_ERROR_H_
