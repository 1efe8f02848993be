// The engines of this build.
#ifndef TOLLGATE_STORAGE_ENGINES_H_
#define TOLLGATE_STORAGE_ENGINES_H_

#include "storage/engine_registry.h"

namespace tollgate::storage {

// All of them; made at the first call, and never ends. Thread-safe.
const EngineRegistry& Engines();

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ENGINES_H_
