#include "storage/rocksdb/rocksdb_driver.h"

#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "base/status.h"
#include "storage/rocksdb/rocksdb_engine.h"

namespace tollgate::storage {
namespace {

class Driver final : public EngineDriver {
 public:
  absl::string_view scheme() const override { return "rocksdb"; }
  EngineTraits traits() const override {
    EngineTraits traits;
    traits.in_folder = true;
    traits.durable = true;
    return traits;
  }
  absl::StatusOr<std::unique_ptr<Engine>> Open(const EngineOpenOptions& options) const override {
    RocksDbEngine::Options engine;
    engine.path = options.location;
    engine.create_if_missing = options.create_if_missing;
    engine.random = options.random;
    engine.clock = options.clock;
    engine.on_migrated = options.on_migrated;
    engine.on_background_error = options.on_background_error;
    ASSIGN_OR_RETURN(std::unique_ptr<RocksDbEngine> opened, RocksDbEngine::Open(engine));
    return std::unique_ptr<Engine>(std::move(opened));
  }
  bool HoldsStore(const std::string& folder) const override {
    std::error_code error;
    return std::filesystem::exists(folder + "/CURRENT", error);
  }
  // The lock, and the notes that RocksDB writes about itself.
  bool BelongsToCopy(absl::string_view file_name) const override {
    return file_name != "LOCK" && !absl::StartsWith(file_name, "LOG");
  }
};

}  // namespace

std::unique_ptr<const EngineDriver> RocksDbDriver() { return std::make_unique<Driver>(); }

}  // namespace tollgate::storage
