#include "service/first_operator.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/status.h"
#include "lease/caller_name.h"
#include "service/access/change_binding.h"
#include "service/records/change.h"
#include "service/tokens/create_token.h"
#include "service/tokens/fresh_token.h"
#include "storage/schema.h"
#include "token/resource_name.h"
#include "token/secret_file.h"

namespace tollgate::service {
namespace {

// Whether somebody can come in already, or could once.
absl::StatusOr<bool> HasWayIn(const storage::View& view,
                              const std::function<bool(absl::string_view member)>& can_come) {
  ASSIGN_OR_RETURN(const auto operators,
                   view.Get(storage::Table::kWorkspaces, token::kOperatorWorkspace));
  if (operators.has_value()) return true;
  ASSIGN_OR_RETURN(const std::vector<Binding> bindings, StoredBindings(view));
  // One of an operator is left from a first start that did not come to its end: there is no token.
  return std::any_of(bindings.begin(), bindings.end(), [&can_come](const Binding& binding) {
    return binding.role == Role::kAdmin && binding.workspaces.empty() &&
           !absl::StartsWith(binding.member, lease::kOperatorPrefix) && can_come(binding.member);
  });
}

}  // namespace

absl::Status MakeFirstOperator(const FirstOperator& parts) {
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                     parts.engine->NewSnapshot());
    ASSIGN_OR_RETURN(const bool has_way_in, HasWayIn(*snapshot, parts.can_come));
    if (has_way_in) return absl::OkStatus();
  }
  const FreshToken fresh =
      MintFor(token::kOperatorWorkspace, *parts.format, *parts.keyring, *parts.random);
  std::string text = absl::StrCat(fresh.token_string->RevealSecret(), "\n");
  const absl::Status written =
      token::SecretFile(parts.file, "the operator token's file", "OPERATOR_FILE").Replace(text);
  base::WipeString(&text);
  if (!written.ok()) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, base::ReasonOf(written),
        absl::StrCat(written.message(),
                     "\n  The first start of a store makes an operator token and leaves it there. "
                     "To make none: --admin MEMBER"));
  }
  const std::string member = absl::StrCat(lease::kOperatorPrefix, kFirstOperator);
  tollgate::v1::GrantRoleRequest grant;
  grant.mutable_binding()->set_role(std::string(RoleName(Role::kAdmin)));
  grant.mutable_binding()->set_member(member);
  grant.set_reason("the first start");
  tollgate::v1::CreateTokenRequest create;
  create.set_parent(token::WorkspaceName(token::kOperatorWorkspace));
  create.mutable_token()->set_label("Made at the first start");
  create.mutable_token()->set_owner(kFirstOperator);
  // The token last: it says that all of this is done.
  ASSIGN_OR_RETURN(auto granting, GrantRoleCommand::Make(grant, kServiceActor));
  RETURN_IF_ERROR(parts.sequencer->Run(std::move(granting)).status());
  ASSIGN_OR_RETURN(auto creating, CreateTokenCommand::Make(create, kServiceActor, fresh.minted));
  RETURN_IF_ERROR(parts.sequencer->Run(std::move(creating)).status());
  base::Log(base::LogLevel::kInfo,
            "made the first operator token, with the role admin: tollgate --token-file FILE",
            {{"file", parts.file}, {"member", member}});
  return absl::OkStatus();
}

}  // namespace tollgate::service
