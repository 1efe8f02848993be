// `memory:`: how the registry of engines reaches the store in memory.
#ifndef TOLLGATE_STORAGE_MEMORY_MEMORY_DRIVER_H_
#define TOLLGATE_STORAGE_MEMORY_MEMORY_DRIVER_H_

#include <memory>

#include "storage/engine_registry.h"

namespace tollgate::storage {

// In no folder, and not durable: for tests and trials. Each engine that it opens is a new, empty
// store. STORE_NOT_FOUND where none may be made; INVALID_ARGUMENT where a location is given.
std::unique_ptr<const EngineDriver> MemoryDriver();

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_MEMORY_MEMORY_DRIVER_H_
