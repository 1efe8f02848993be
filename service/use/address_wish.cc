#include "service/use/address_wish.h"

#include <algorithm>

#include "absl/types/optional.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::service {

using ::tollgate::store::v1::RefusedRecord;
using ::tollgate::store::v1::WorkspaceRecord;

absl::StatusOr<bool> AddressWish::Apply(absl::string_view workspace,
                                        tollgate::store::v1::UseRecord* use) {
  const bool any =
      std::any_of(use->refused().begin(), use->refused().end(),
                  [](const RefusedRecord& refused) { return refused.addresses_size() > 0; });
  if (!any) return false;
  if (workspace_ != workspace) {
    ASSIGN_OR_RETURN(
        const absl::optional<WorkspaceRecord> record,
        storage::GetRecord<WorkspaceRecord>(view_, storage::Table::kWorkspaces, workspace));
    workspace_ = std::string(workspace);
    asks_ = record.has_value() && record->policy().report_attempt_addresses();
  }
  if (asks_) return false;
  for (RefusedRecord& refused : *use->mutable_refused()) refused.clear_addresses();
  return true;
}

}  // namespace tollgate::service
