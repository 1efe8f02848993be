// Envoy's external authorization as values: a CheckRequest as the policy reads a request, and the
// gate's answer as a CheckResponse. Pure.
#ifndef TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_MESSAGE_H_
#define TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_MESSAGE_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "policy/request.h"
#include "validator/fronts/gate.h"

namespace tollgate::validator {

// More headers than any proxy lets through. Envoy: 100.
inline constexpr size_t kMostCheckHeaders = 1024;

// The context extension, of a route in the proxy's configuration, that names a requirement of the
// policy.
inline constexpr absl::string_view kRequirementExtension = "tollgate_requirement";

// A request, in views into the message that it was read from.
struct CheckedRequest {
  std::vector<policy::Header> headers;  // what `request.headers` shows; pseudo headers left out
  policy::Request request;
  // The client speaks gRPC, as Envoy sees it: its answer is a status in trailers.
  bool grpc = false;
};

// Reads a request, without copying anything of it. INVALID_ARGUMENT, MALFORMED_REQUEST: no request
// of HTTP is in it; or it tells two things of one request, of which the proxy and we might read
// different ones: headers in both forms, a header with both values, a query beside the path; or it
// has too many headers; or a context extension of ours that is unknown, empty, or there twice.
absl::StatusOr<CheckedRequest> ReadCheck(const envoy::service::auth::v3::CheckRequest& message);

// The answer for Envoy. It passes, or is a denial in so many words, 503 included, which no
// `failure_mode_allow` turns into an admission. `grpc`: of the request that is answered.
//
// A header that goes upstream replaces all that the client sent under its name. One that is to be
// dropped, or has nothing to say, is removed. To whoever passes only what tells of the token goes
// back: how the answer may be cached is the service's to say. What Envoy could not read in an
// answer (a header's value that is no text) is answered with 503 instead, for an answer that is not
// read is a failed call.
// The result is a CheckResponse as it goes over the wire.
std::string WriteCheckResponse(const GateAnswer& answer, bool grpc);

// Overwrites whatever the client sent: credentials lie in headers, in queries and in bodies.
void WipeCheck(envoy::service::auth::v3::CheckRequest* message);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_MESSAGE_H_
