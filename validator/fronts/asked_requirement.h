// What a request asks for, read from the wire.
#ifndef TOLLGATE_VALIDATOR_FRONTS_ASKED_REQUIREMENT_H_
#define TOLLGATE_VALIDATOR_FRONTS_ASKED_REQUIREMENT_H_

#include <string>

#include "absl/status/status.h"
#include "token/grant.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::validator {

// Reads what a request asks for into `*requirement`; every field is bounded before it is looked at.
// `path` leads to the message that holds the requirement ("requests[3]."). Errors
// (INVALID_ARGUMENT), with the field's path: REQUIREMENT_TOO_LARGE (more scopes, or longer ones,
// than a token can have); SCOPE_EXPRESSION_MALFORMED (CONTAINS_TOKEN_STRING where a secret stands
// in it); WORKSPACE_ID_MALFORMED (a resource's name).
absl::Status ReadRequirement(const tollgate::v1::Requirement& asked, const std::string& path,
                             token::Requirement* requirement);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_ASKED_REQUIREMENT_H_
