#include "service/records/binding_record.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "service/records/audit_changes.h"
#include "service/records/field_time.h"
#include "storage/schema.h"
#include "storage/whole_table.h"

namespace tollgate::service {

using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::BindingRecord;

absl::StatusOr<std::vector<BindingRecord>> ReadBindings(const storage::View& view) {
  std::vector<BindingRecord> records;
  const auto add = [&records](BindingRecord& record) {
    if (!record.withdrawn()) records.push_back(std::move(record));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(storage::ForEachRecord<BindingRecord>(view, storage::Table::kBindings, add));
  return records;
}

absl::Status ForgetWithdrawn(const storage::View& view, size_t most, storage::Effects& effects) {
  size_t withdrawn = 0;
  BindingRecord first;
  const auto find_first = [&](BindingRecord& record) {
    if (record.withdrawn() &&
        (withdrawn++ == 0 || record.update_revision() < first.update_revision())) {
      first = std::move(record);
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(
      storage::ForEachRecord<BindingRecord>(view, storage::Table::kBindings, find_first));
  if (withdrawn >= most) {
    effects.Delete(storage::Table::kBindings, storage::BindingKey(first.member(), first.role()));
  }
  return absl::OkStatus();
}

void WithdrawAll(BindingRecord* record) {
  record->set_withdrawn(true);
  record->clear_workspaces();
}

void KeepWorkspaces(const std::vector<absl::string_view>& kept, BindingRecord* record) {
  auto& workspaces = *record->mutable_workspaces();
  const auto end =
      std::remove_if(workspaces.begin(), workspaces.end(), [&kept](const std::string& workspace) {
        return !std::binary_search(kept.begin(), kept.end(), absl::string_view(workspace));
      });
  workspaces.erase(end, workspaces.end());
  // None left is nothing, not everything.
  if (workspaces.empty()) WithdrawAll(record);
}

void PutBinding(const BindingRecord& before, BindingRecord record, const storage::Slot& slot,
                AuditRecord entry, storage::Effects& effects) {
  record.set_update_time_us(ToRecordMicros(slot.now));
  record.set_update_revision(slot.revision);
  effects.Put(storage::Table::kBindings, storage::BindingKey(record.member(), record.role()),
              record);
  NoteChanges(before, record, &entry);
  effects.Audit(std::move(entry));
}

void TellAccessChanged(storage::Effects& effects) {
  tollgate::v1::Event event;
  event.mutable_access_changed();
  effects.Tell(std::move(event));
}

AuditRecord AuditOfBinding(absl::string_view actor, absl::string_view action,
                           const BindingRecord& record) {
  AuditRecord entry;
  entry.set_actor(std::string(actor));
  entry.set_action(std::string(action));
  entry.set_resource(absl::StrCat("bindings/", record.role(), "/", record.member()));
  (*entry.mutable_details())["role"] = record.role();
  (*entry.mutable_details())["member"] = record.member();
  return entry;
}

absl::StatusOr<int> ForgetWorkspaceInBindings(const storage::View& view,
                                              absl::string_view workspace, absl::string_view actor,
                                              const storage::Slot& slot,
                                              storage::Effects& effects) {
  ASSIGN_OR_RETURN(const std::vector<BindingRecord> records, ReadBindings(view));
  int found = 0;
  for (const BindingRecord& before : records) {
    std::vector<absl::string_view> kept;
    for (const std::string& one : before.workspaces()) {
      if (one != workspace) kept.push_back(one);
    }
    if (static_cast<int>(kept.size()) == before.workspaces_size()) continue;
    BindingRecord record = before;
    KeepWorkspaces(kept, &record);
    PutBinding(before, std::move(record), slot, AuditOfBinding(actor, "access.withdraw", before),
               effects);
    ++found;
  }
  if (found > 0) TellAccessChanged(effects);
  return found;
}

}  // namespace tollgate::service
