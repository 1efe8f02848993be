#include "service/access/change_binding.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "lease/caller_name.h"
#include "service/access/member.h"
#include "service/access/operator_tokens.h"
#include "service/records/binding_record.h"
#include "service/records/field_time.h"
#include "storage/schema.h"
#include "token/field_rules.h"
#include "token/resource_name.h"

namespace tollgate::service {

using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::BindingRecord;

namespace {

template <typename Workspaces>
absl::StatusOr<BindingChoice> ParseChoice(const std::string& role, const std::string& member,
                                          const Workspaces& workspaces, absl::string_view prefix) {
  BindingChoice choice;
  const absl::optional<Role> known = ParseRole(role);
  if (!known.has_value()) {
    return base::RefuseField("UNKNOWN_ROLE", absl::StrCat(prefix, "role"),
                             absl::StrCat("must be one of ", RoleNames()));
  }
  choice.role = *known;
  RETURN_IF_ERROR(CheckMember(member, absl::StrCat(prefix, "member")));
  choice.member = member;
  const std::string field = absl::StrCat(prefix, "workspaces");
  if (workspaces.size() > kMostWorkspacesOfBinding) {
    return base::RefuseField(
        "TOO_MANY_WORKSPACES", field,
        absl::StrCat("names more than ", kMostWorkspacesOfBinding, "; leave it empty for all"));
  }
  std::set<std::string> ids;
  for (const std::string& name : workspaces) {
    ASSIGN_OR_RETURN(std::string id, token::ParseWorkspaceName(name, field));
    if (id == token::kOperatorWorkspace) {
      return base::RefuseField("BAD_RESOURCE_NAME", field,
                               "is the workspace of the operator tokens, where no role is given: "
                               "an admin changes them, an auditor sees them");
    }
    ids.insert(std::move(id));
  }
  if (!ids.empty() && !TakesWorkspaces(choice.role)) {
    return base::RefuseField(
        "ROLE_IS_EVERYWHERE", field,
        absl::StrCat("must be empty: ", role, " is a role of the whole service"));
  }
  choice.workspaces.assign(ids.begin(), ids.end());
  return choice;
}

absl::StatusOr<absl::optional<BindingRecord>> Load(const storage::View& view,
                                                   const BindingChoice& choice) {
  return storage::GetRecord<BindingRecord>(
      view, storage::Table::kBindings, storage::BindingKey(choice.member, RoleName(choice.role)));
}

// What the request names, as the record has it: the same text for the same question.
std::string ScopeText(const BindingChoice& choice) {
  return absl::StrCat(RoleName(choice.role), " ", choice.member);
}

// Whether it makes somebody admin of the service.
bool IsAdmin(const BindingRecord& record) {
  return record.role() == RoleName(Role::kAdmin) && record.workspaces().empty() &&
         !record.withdrawn();
}

}  // namespace

tollgate::v1::Binding ToBinding(const BindingRecord& record) {
  tollgate::v1::Binding binding;
  binding.set_role(record.role());
  binding.set_member(record.member());
  for (const std::string& workspace : record.workspaces()) {
    binding.add_workspaces(token::WorkspaceName(workspace));
  }
  *binding.mutable_create_time() = base::TimestampFromMicros(record.create_time_us());
  *binding.mutable_update_time() = base::TimestampFromMicros(record.update_time_us());
  binding.set_creator(record.creator());
  return binding;
}

tollgate::v1::Binding ToBinding(const Binding& binding) {
  tollgate::v1::Binding shown;
  shown.set_role(std::string(RoleName(binding.role)));
  shown.set_member(binding.member);
  for (const std::string& workspace : binding.workspaces) {
    shown.add_workspaces(token::WorkspaceName(workspace));
  }
  shown.set_built_in(binding.built_in);
  return shown;
}

absl::StatusOr<std::vector<Binding>> StoredBindings(const storage::View& view) {
  ASSIGN_OR_RETURN(const std::vector<BindingRecord> records, ReadBindings(view));
  std::vector<Binding> bindings;
  bindings.reserve(records.size());
  for (const BindingRecord& record : records) {
    const absl::optional<Role> role = ParseRole(record.role());
    if (!role.has_value()) {
      return absl::DataLossError(
          absl::StrCat("a binding is of a role that there is not: ", record.role().substr(0, 64)));
    }
    Binding binding;
    binding.role = *role;
    binding.member = record.member();
    binding.workspaces.assign(record.workspaces().begin(), record.workspaces().end());
    bindings.push_back(std::move(binding));
  }
  return bindings;
}

absl::StatusOr<std::shared_ptr<GrantRoleCommand>> GrantRoleCommand::Make(
    const tollgate::v1::GrantRoleRequest& request, absl::string_view actor) {
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  RETURN_IF_ERROR(token::CheckReason(request.reason(), "reason"));
  const tollgate::v1::Binding& asked = request.binding();
  ASSIGN_OR_RETURN(BindingChoice choice,
                   ParseChoice(asked.role(), asked.member(), asked.workspaces(), "binding."));
  tollgate::v1::Binding rest = asked;
  rest.clear_role();
  rest.clear_member();
  rest.clear_workspaces();
  if (rest.ByteSizeLong() > 0) {
    return base::RefuseField("OUTPUT_ONLY_FIELD", "binding",
                             "takes role, member and workspaces; the service sets the rest");
  }
  Context context{"grant_role", "", std::string(actor), request.request_id(),
                  RequestFingerprint(request)};
  return std::shared_ptr<GrantRoleCommand>(
      new GrantRoleCommand(std::move(context), std::move(choice), request.reason()));
}

absl::Status GrantRoleCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                     storage::Effects& effects) {
  ASSIGN_OR_RETURN(const auto found, Load(view, choice_));
  const BindingRecord before = found.value_or(BindingRecord());
  const bool there = found.has_value() && !before.withdrawn();
  BindingRecord record = before;
  ASSIGN_OR_RETURN(const std::vector<BindingRecord> all, ReadBindings(view));
  size_t places = choice_.workspaces.size();
  for (const BindingRecord& one : all) places += static_cast<size_t>(one.workspaces_size());
  if (places > kMostPlaces) {
    return base::Refuse(absl::StatusCode::kResourceExhausted, "TOO_MANY_WORKSPACES",
                        absl::StrCat("refused: all bindings together name at most ", kMostPlaces,
                                     " workspaces. Give roles everywhere, or to patterns"));
  }
  if (!there) {
    if (static_cast<int>(all.size()) >= kMostBindings) {
      return base::Refuse(absl::StatusCode::kResourceExhausted, "TOO_MANY_BINDINGS",
                          absl::StrCat("refused: there are ", all.size(),
                                       " bindings, and no more fit. Withdraw some, or give a role "
                                       "to a pattern of SPIFFE ids"));
    }
    if (!found.has_value()) RETURN_IF_ERROR(ForgetWithdrawn(view, kMostWithdrawn, effects));
    record = BindingRecord();
    record.set_member(choice_.member);
    record.set_role(std::string(RoleName(choice_.role)));
    record.set_create_time_us(ToRecordMicros(slot.now));
    record.set_creator(actor());
  }
  if (!there || choice_.workspaces.empty()) {
    record.mutable_workspaces()->Assign(choice_.workspaces.begin(), choice_.workspaces.end());
  } else if (!record.workspaces().empty()) {  // else it is everywhere already
    std::set<std::string> both(record.workspaces().begin(), record.workspaces().end());
    both.insert(choice_.workspaces.begin(), choice_.workspaces.end());
    if (both.size() > kMostWorkspacesOfBinding) {
      return base::Refuse(
          absl::StatusCode::kResourceExhausted, "TOO_MANY_WORKSPACES",
          absl::StrCat("refused: a binding names at most ", kMostWorkspacesOfBinding,
                       " workspaces, and this one would name ", both.size()));
    }
    record.mutable_workspaces()->Assign(both.begin(), both.end());
  }
  response_.set_unchanged(there && record.workspaces_size() == before.workspaces_size());
  // Where nothing changes there is no commit, and the revision is of when it was granted.
  response_.set_revision(response_.unchanged() ? before.update_revision() : slot.revision);
  if (!response_.unchanged()) {
    record.set_update_time_us(ToRecordMicros(slot.now));
    AuditRecord entry = AuditOfBinding(actor(), "access.grant", record);
    entry.set_reason(reason_);
    PutBinding(before, record, slot, std::move(entry), effects);
    TellAccessChanged(effects);
  }
  *response_.mutable_binding() = ToBinding(record);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<WithdrawRoleCommand>> WithdrawRoleCommand::Make(
    const tollgate::v1::WithdrawRoleRequest& request, absl::string_view actor,
    bool admin_elsewhere) {
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  RETURN_IF_ERROR(token::CheckReason(request.reason(), "reason"));
  ASSIGN_OR_RETURN(BindingChoice choice,
                   ParseChoice(request.role(), request.member(), request.workspaces(), ""));
  Context context{"withdraw_role", "", std::string(actor), request.request_id(),
                  RequestFingerprint(request)};
  return std::shared_ptr<WithdrawRoleCommand>(new WithdrawRoleCommand(
      std::move(context), std::move(choice), request.reason(), admin_elsewhere));
}

absl::Status WithdrawRoleCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                        storage::Effects& effects) {
  ASSIGN_OR_RETURN(const auto found, Load(view, choice_));
  if (!found.has_value() || found->withdrawn()) {
    response_.set_unchanged(true);
    // Of when it was withdrawn; or of what was so before this commit.
    response_.set_revision(found.has_value() ? found->update_revision() : slot.revision - 1);
    return absl::OkStatus();
  }
  BindingRecord record = *found;
  if (choice_.workspaces.empty()) {
    WithdrawAll(&record);
  } else if (record.workspaces().empty()) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "BINDING_IS_EVERYWHERE",
        absl::StrCat("refused: ", ScopeText(choice_),
                     " holds in all workspaces, so some cannot be taken from it. Grant it in those "
                     "that are to stay to another member, or withdraw it whole and grant it anew"));
  } else {
    std::vector<absl::string_view> kept;
    for (const std::string& workspace : found->workspaces()) {
      if (!std::binary_search(choice_.workspaces.begin(), choice_.workspaces.end(), workspace)) {
        kept.push_back(workspace);
      }
    }
    KeepWorkspaces(kept, &record);
  }
  response_.set_unchanged(!record.withdrawn() &&
                          record.workspaces_size() == found->workspaces_size());
  response_.set_revision(response_.unchanged() ? found->update_revision() : slot.revision);
  if (!response_.unchanged()) {
    if (IsAdmin(*found) && !admin_elsewhere_) {
      ASSIGN_OR_RETURN(const std::vector<BindingRecord> all, ReadBindings(view));
      // An operator without a token cannot come in.
      ASSIGN_OR_RETURN(const std::set<std::string> operators, LiveOperators(view, slot.now));
      const auto comes_in = [&operators](const BindingRecord& record) {
        absl::string_view name = record.member();
        return IsAdmin(record) && (!absl::ConsumePrefix(&name, lease::kOperatorPrefix) ||
                                   operators.count(std::string(name)) > 0);
      };
      const auto admins = std::count_if(all.begin(), all.end(), comes_in);
      if (admins <= 1 && comes_in(*found)) {
        return base::Refuse(absl::StatusCode::kFailedPrecondition, "LAST_ADMIN",
                            absl::StrCat("refused: ", choice_.member,
                                         " is the last admin. Make another one first: tollgate "
                                         "access grant admin MEMBER"));
      }
    }
    AuditRecord entry = AuditOfBinding(actor(), "access.withdraw", record);
    entry.set_reason(reason_);
    PutBinding(*found, record, slot, std::move(entry), effects);
    TellAccessChanged(effects);
  }
  if (!record.withdrawn()) *response_.mutable_binding() = ToBinding(record);
  return absl::OkStatus();
}

}  // namespace tollgate::service
