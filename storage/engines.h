// The engines of this build.
#ifndef TOLLGATE_STORAGE_ENGINES_H_
#define TOLLGATE_STORAGE_ENGINES_H_

#include "storage/engine_registry.h"

namespace tollgate::storage {

// All engines of this build. Made at the first call, never destroyed. Thread-safe.
const EngineRegistry& Engines();

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ENGINES_H_
