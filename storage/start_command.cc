#include "storage/start_command.h"

#include "storage/schema.h"

namespace tollgate::storage {

absl::Status ServiceStarted::Run(const View& view, const Slot& slot, Effects& effects) {
  store::v1::TermRecord term;
  term.set_term(term_);
  term.set_from_revision(slot.revision);
  term.set_start_time_us(absl::ToUnixMicros(slot.now));
  term.set_boot_id(boot_id_);
  term.set_version(version_);
  term.set_start_boot_us(absl::ToInt64Microseconds(boot_time_ - base::BootTime::FromNanos(0)));
  effects.Put(Table::kMeta, TermKey(slot.revision), term);

  store::v1::AuditRecord entry;
  entry.set_actor("service");
  entry.set_action("service.start");
  (*entry.mutable_details())["version"] = version_;
  (*entry.mutable_details())["term"] = term_;
  effects.Audit(std::move(entry));
  return absl::OkStatus();
}

}  // namespace tollgate::storage
