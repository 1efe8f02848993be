#include "storage/engines.h"

#include <utility>
#include <vector>

#include "storage/memory/memory_driver.h"
#include "storage/rocksdb/rocksdb_driver.h"

namespace tollgate::storage {

const EngineRegistry& Engines() {
  static const EngineRegistry& registry = *[] {
    std::vector<std::unique_ptr<const EngineDriver>> drivers;
    // One line an engine, the default first.
    drivers.push_back(RocksDbDriver());
    drivers.push_back(MemoryDriver());
    return new EngineRegistry(std::move(drivers));
  }();
  return registry;
}

}  // namespace tollgate::storage
