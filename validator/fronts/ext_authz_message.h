// The gate's answer as Envoy reads it: a CheckResponse as it goes over the wire. Pure.
#ifndef TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_MESSAGE_H_
#define TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_MESSAGE_H_

#include <string>

#include "validator/fronts/gate.h"

namespace tollgate::validator {

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

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_EXT_AUTHZ_MESSAGE_H_
