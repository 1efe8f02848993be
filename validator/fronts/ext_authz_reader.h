// Envoy's question, read off the wire where it lies: a CheckRequest as the policy reads a request.
// Pure.
#ifndef TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_READER_H_
#define TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_READER_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/request.h"

namespace tollgate::validator {

// More headers than any proxy lets through. Envoy: 100.
inline constexpr size_t kMostCheckHeaders = 1024;

// The context extension, of a route in the proxy's configuration, that names a requirement of the
// policy.
inline constexpr absl::string_view kRequirementExtension = "tollgate_requirement";

// A request, in views into the bytes that it was read from.
struct CheckedRequest {
  std::vector<policy::Header> headers;  // what `request.headers` shows; pseudo headers left out
  policy::Request request;
  // The client speaks gRPC, as Envoy sees it: its answer is a status in trailers.
  bool grpc = false;
};

// Reads a CheckRequest as it came over the wire, without copying anything of it. INVALID_ARGUMENT,
// MALFORMED_REQUEST:
//  * the bytes are no such message, or a header's name is not UTF-8;
//  * no request of HTTP is in it;
//  * it tells two things of one request, of which the proxy and we might read different ones:
//    headers in both forms, a header with both values, a query beside the path;
//  * it has too many headers;
//  * a context extension of ours is unknown, empty, or there twice.
//
// Stricter than protobuf, which would merge or guess: of what is looked at, a field that a message
// has once must not come twice, nor with another wire type than the contract's; and nowhere may
// there be a group, or a tag of more than 32 bits. No writer of protobuf's sends those.
absl::StatusOr<CheckedRequest> ReadCheck(absl::string_view bytes);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_READER_H_
