// `rocksdb:PATH`: how the registry of engines reaches the embedded store.
#ifndef TOLLGATE_STORAGE_ROCKSDB_ROCKSDB_DRIVER_H_
#define TOLLGATE_STORAGE_ROCKSDB_ROCKSDB_DRIVER_H_

#include <memory>

#include "storage/engine_registry.h"

namespace tollgate::storage {

// In a folder, and durable. Opens RocksDbEngines with their default sizes.
std::unique_ptr<const EngineDriver> RocksDbDriver();

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ROCKSDB_ROCKSDB_DRIVER_H_
