// The record of a role's binding, and the few ways in which a change may write it. Pure.
#ifndef TOLLGATE_SERVICE_RECORDS_BINDING_RECORD_H_
#define TOLLGATE_SERVICE_RECORDS_BINDING_RECORD_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/command.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// All bindings of the store that grant something, in the order of member and role. Errors: the
// view's; DATA_LOSS.
absl::StatusOr<std::vector<tollgate::store::v1::BindingRecord>> ReadBindings(
    const storage::View& view);

// Deletes the binding that was withdrawn first, where `most` withdrawn ones are kept.
absl::Status ForgetWithdrawn(const storage::View& view, size_t most, storage::Effects& effects);

// The binding holds nowhere any more.
void WithdrawAll(tollgate::store::v1::BindingRecord* record);

// Takes from a binding of some workspaces each that is not among `kept`, which are in order.
void KeepWorkspaces(const std::vector<absl::string_view>& kept,
                    tollgate::store::v1::BindingRecord* record);

// Writes the binding as changed by this slot, with its audit entry: `before` is the record that it
// was, empty where there was none. Once a command that has put bindings is done with them, it must
// TellAccessChanged.
void PutBinding(const tollgate::store::v1::BindingRecord& before,
                tollgate::store::v1::BindingRecord record, const storage::Slot& slot,
                tollgate::store::v1::AuditRecord entry, storage::Effects& effects);
// Tells the service's own register of bindings, by the store's tail, and whoever waits for it to be
// enforced.
void TellAccessChanged(storage::Effects& effects);

// The audit entry of a change of this binding.
tollgate::store::v1::AuditRecord AuditOfBinding(absl::string_view actor, absl::string_view action,
                                                const tollgate::store::v1::BindingRecord& record);

// Takes the workspace out of every binding that names it, so that whoever makes one of the same
// name later gives nobody anything. Returns how many there were.
absl::StatusOr<int> ForgetWorkspaceInBindings(const storage::View& view,
                                              absl::string_view workspace, absl::string_view actor,
                                              const storage::Slot& slot, storage::Effects& effects);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_BINDING_RECORD_H_
