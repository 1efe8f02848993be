#include "storage/start_command.h"

namespace tollgate::storage {

absl::Status ServiceStarted::Run(const View& view, const Slot& slot, Effects& effects) {
  store::v1::AuditRecord entry;
  entry.set_actor("service");
  entry.set_action("service.start");
  (*entry.mutable_details())["version"] = version_;
  (*entry.mutable_details())["instance"] = instance_;
  effects.Audit(std::move(entry));
  return absl::OkStatus();
}

}  // namespace tollgate::storage
