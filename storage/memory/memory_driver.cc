#include "storage/memory/memory_driver.h"

#include <utility>

#include "absl/time/time.h"
#include "base/status.h"
#include "storage/memory/memory_engine.h"

namespace tollgate::storage {
namespace {

class Driver final : public EngineDriver {
 public:
  absl::string_view scheme() const override { return "memory"; }
  EngineTraits traits() const override { return EngineTraits(); }
  absl::StatusOr<std::unique_ptr<Engine>> Open(const EngineOpenOptions& options) const override {
    if (!options.location.empty()) {
      return absl::InvalidArgumentError("a store in memory has no location");
    }
    if (options.random == nullptr || options.clock == nullptr) {
      return absl::InvalidArgumentError("a store needs a source of randomness and a clock");
    }
    if (!options.create_if_missing) {
      return base::Refuse(absl::StatusCode::kNotFound, "STORE_NOT_FOUND",
                          "a store in memory is there only while its process is");
    }
    MemoryEngine::Options engine;
    engine.epoch = options.random->Hex(16);
    engine.create_time_us = absl::ToUnixMicros(options.clock->WallNow());
    engine.store_id = options.random->Hex(16);
    ASSIGN_OR_RETURN(std::unique_ptr<MemoryEngine> opened, MemoryEngine::Open(std::move(engine)));
    return std::unique_ptr<Engine>(std::move(opened));
  }
};

}  // namespace

std::unique_ptr<const EngineDriver> MemoryDriver() { return std::make_unique<Driver>(); }

}  // namespace tollgate::storage
