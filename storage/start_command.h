// The write that every start of the service makes before it speaks (R7).
#ifndef TOLLGATE_STORAGE_START_COMMAND_H_
#define TOLLGATE_STORAGE_START_COMMAND_H_

#include <string>
#include <utility>

#include "base/clock.h"
#include "storage/command.h"

namespace tollgate::storage {

// Begins a term (R19): writes its TermRecord and one audit entry, "service.start". It is a
// process's first commit, under a revision of its own, so no revision of this process is of another
// term. What a crashed predecessor wrote without knowing whether it was synced lies below that
// revision and is durable with it; nothing it may have said is contradicted.
class ServiceStarted : public Command {
 public:
  // `version` is the program's; `term` is 16 random bytes as 32 hex digits, drawn by this process;
  // `boot_id` is the kernel's of this machine, empty where it has none; `boot_time` is the start by
  // the machine's boot clock, the epoch of that where it is not known.
  ServiceStarted(std::string version, std::string term, std::string boot_id,
                 base::BootTime boot_time = base::BootTime::FromNanos(0))
      : version_(std::move(version)),
        term_(std::move(term)),
        boot_id_(std::move(boot_id)),
        boot_time_(boot_time) {}

  absl::string_view name() const override { return "service_started"; }
  absl::Status Run(const View& view, const Slot& slot, Effects& effects) override;

 private:
  const std::string version_;
  const std::string term_;
  const std::string boot_id_;
  const base::BootTime boot_time_;
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_START_COMMAND_H_
