// What a requirement holds: the core's form of it, made once and only read by checks.
#ifndef TOLLGATE_VALIDATOR_EMBEDDED_REQUIREMENT_H_
#define TOLLGATE_VALIDATOR_EMBEDDED_REQUIREMENT_H_

#include <memory>

#include "token/grant.h"
#include "tollgate/edge.h"

namespace tollgate::edge {

struct Requirement::Held {
  token::Requirement requirement;
};

// What the core is asked for. It lives as long as `requirement` does, unchanged. Thread-safe.
const token::Requirement& CoreRequirementOf(const Requirement& requirement);

// The same, for as long as whoever has it. Never null. Thread-safe.
std::shared_ptr<const token::Requirement> SharedCoreRequirementOf(const Requirement& requirement);

}  // namespace tollgate::edge

#endif  // TOLLGATE_VALIDATOR_EMBEDDED_REQUIREMENT_H_
