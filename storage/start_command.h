// The write that every start of the service makes before it speaks (R7).
#ifndef TOLLGATE_STORAGE_START_COMMAND_H_
#define TOLLGATE_STORAGE_START_COMMAND_H_

#include <string>
#include <utility>

#include "storage/command.h"

namespace tollgate::storage {

// Writes one audit entry, "service.start", under a revision of its own. A crashed predecessor may
// have written commits without knowing whether they were synced. They lie below this revision and
// are durable with it, so nothing that the predecessor may have said is contradicted.
class ServiceStarted : public Command {
 public:
  // `version` is the program's; `instance` names this process (random, hex).
  ServiceStarted(std::string version, std::string instance)
      : version_(std::move(version)), instance_(std::move(instance)) {}

  absl::string_view name() const override { return "service_started"; }
  absl::Status Run(const View& view, const Slot& slot, Effects& effects) override;

 private:
  const std::string version_;
  const std::string instance_;
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_START_COMMAND_H_
