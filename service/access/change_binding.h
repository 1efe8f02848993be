// Gives a role to a member, and takes it away.
#ifndef TOLLGATE_SERVICE_ACCESS_CHANGE_BINDING_H_
#define TOLLGATE_SERVICE_ACCESS_CHANGE_BINDING_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "service/access/binding_set.h"
#include "service/records/change.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/access_service.pb.h"

namespace tollgate::service {

// All of them are held in memory, and looked through where a caller has none of his own.
inline constexpr int kMostBindings = 10'000;
// Records of withdrawn ones beyond this make room for new ones.
inline constexpr int kMostWithdrawn = 10'000;
// The workspaces that all of them name together.
inline constexpr int kMostPlaces = 100'000;
inline constexpr int kMostWorkspacesOfBinding = 1000;

// As the API has it.
tollgate::v1::Binding ToBinding(const tollgate::store::v1::BindingRecord& record);
tollgate::v1::Binding ToBinding(const Binding& binding);
// Those of the store, as a judgement needs them. Errors: the view's; DATA_LOSS: one cannot be
// parsed, or is of a role that there is not.
absl::StatusOr<std::vector<Binding>> StoredBindings(const storage::View& view);

// Which binding, and where: what both requests name.
struct BindingChoice {
  Role role = Role::kReader;
  std::string member;
  std::vector<std::string> workspaces;  // ids, in order, each once
};

// RESOURCE_EXHAUSTED: TOO_MANY_BINDINGS, TOO_MANY_WORKSPACES.
class GrantRoleCommand : public ChangeTo<tollgate::v1::GrantRoleResponse> {
 public:
  // INVALID_ARGUMENT, with the field: UNKNOWN_ROLE, BAD_MEMBER, BAD_RESOURCE_NAME,
  // TOO_MANY_WORKSPACES, ROLE_IS_EVERYWHERE (a role that means nothing in one workspace),
  // OUTPUT_ONLY_FIELD, those of reasons.
  static absl::StatusOr<std::shared_ptr<GrantRoleCommand>> Make(
      const tollgate::v1::GrantRoleRequest& request, absl::string_view actor);

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  GrantRoleCommand(Context context, BindingChoice choice, std::string reason)
      : ChangeTo(std::move(context)), choice_(std::move(choice)), reason_(std::move(reason)) {}

  const BindingChoice choice_;
  const std::string reason_;
};

// What is not granted is no error. FAILED_PRECONDITION: LAST_ADMIN; BINDING_IS_EVERYWHERE, where
// some workspaces are to be taken from a binding for all of them.
class WithdrawRoleCommand : public ChangeTo<tollgate::v1::WithdrawRoleResponse> {
 public:
  // `admin_elsewhere`: the service was started with an admin, so that one is left in any case.
  // INVALID_ARGUMENT as GrantRoleCommand's.
  static absl::StatusOr<std::shared_ptr<WithdrawRoleCommand>> Make(
      const tollgate::v1::WithdrawRoleRequest& request, absl::string_view actor,
      bool admin_elsewhere);

  bool ends_batch() const override { return true; }

 protected:
  absl::Status Apply(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override;

 private:
  WithdrawRoleCommand(Context context, BindingChoice choice, std::string reason,
                      bool admin_elsewhere)
      : ChangeTo(std::move(context)),
        choice_(std::move(choice)),
        reason_(std::move(reason)),
        admin_elsewhere_(admin_elsewhere) {}

  const BindingChoice choice_;
  const std::string reason_;
  const bool admin_elsewhere_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_CHANGE_BINDING_H_
