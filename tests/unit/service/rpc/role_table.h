// Which role may call what: every RPC, with a request of it. Written out here once more, so that a
// change of the roles is a change of two places.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_RPC_ROLE_TABLE_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_RPC_ROLE_TABLE_H_

#include <vector>

namespace tollgate::service {

// Of what a method is asked.
enum class Subject {
  kWorkspace,  // one workspace
  kService,    // the service: a role that holds in some workspaces does not do
  kAnywhere,   // whoever has the role anywhere
};

struct Row {
  const char* method;
  Subject of;
  // Those who may, in the order of the roles; "*": everybody who is known.
  const char* roles;
  // A request that would fail for another reason, of the workspace $W.
  const char* request;
};

inline constexpr char kTokenName[] = R"(name: "workspaces/$W/tokens/0000000000000000")";

inline const std::vector<Row>& Table() {
  static const auto& table = *new std::vector<Row>{
      {"TokenService.CreateToken", Subject::kWorkspace, "admin issuer",
       R"(parent: "workspaces/$W")"},
      {"TokenService.GetToken", Subject::kWorkspace, "admin operator issuer reader auditor",
       kTokenName},
      {"TokenService.ListTokens", Subject::kWorkspace, "admin operator issuer reader auditor",
       R"(parent: "workspaces/$W")"},
      {"TokenService.ListTokenAttempts", Subject::kWorkspace,
       "admin operator issuer reader auditor", kTokenName},
      {"TokenService.UpdateToken", Subject::kWorkspace, "admin issuer",
       R"(token { name: "workspaces/$W/tokens/0000000000000000" })"},
      {"TokenService.RotateToken", Subject::kWorkspace, "admin issuer", kTokenName},
      {"TokenService.ReplanRotation", Subject::kWorkspace, "admin issuer", kTokenName},
      {"TokenService.CancelRotation", Subject::kWorkspace, "admin issuer", kTokenName},
      {"TokenService.RetireToken", Subject::kWorkspace, "admin issuer", kTokenName},
      {"TokenService.SuspendToken", Subject::kWorkspace, "admin operator issuer", kTokenName},
      {"TokenService.ResumeToken", Subject::kWorkspace, "admin operator issuer", kTokenName},
      {"TokenService.RevokeToken", Subject::kWorkspace, "admin operator issuer", kTokenName},
      {"TokenService.RevokeTokens", Subject::kWorkspace, "admin operator issuer",
       R"(parent: "workspaces/$W" validate_only: true)"},
      {"TokenService.RevokeLeakedToken", Subject::kService, "admin operator scanner", ""},
      {"WorkspaceService.CreateWorkspace", Subject::kWorkspace, "admin operator",
       R"(workspace_id: "$W" workspace { etag: "x" })"},
      {"WorkspaceService.GetWorkspace", Subject::kWorkspace, "admin operator issuer reader auditor",
       R"(name: "workspaces/$W")"},
      {"WorkspaceService.ListWorkspaces", Subject::kAnywhere,
       "admin operator issuer reader auditor", ""},
      {"WorkspaceService.UpdateWorkspace", Subject::kWorkspace, "admin operator",
       R"(workspace { name: "workspaces/$W" })"},
      {"WorkspaceService.DeleteWorkspace", Subject::kWorkspace, "admin operator",
       R"(name: "workspaces/$W" etag: "x")"},
      {"WorkspaceService.UpdateWorkspacePolicy", Subject::kWorkspace, "admin operator",
       R"(name: "workspaces/$W")"},
      {"WorkspaceService.PreviewWorkspacePolicy", Subject::kWorkspace,
       "admin operator issuer reader auditor", R"(name: "workspaces/$W")"},
      {"OperationsService.WatchEvents", Subject::kWorkspace, "admin operator reader auditor",
       R"(parent: "workspaces/$W" after_revision: -1)"},
      {"OperationsService.ListAuditEntries", Subject::kWorkspace, "admin operator auditor",
       R"(parent: "workspaces/$W")"},
      {"OperationsService.GetEnforcement", Subject::kAnywhere,
       "admin operator issuer reader auditor", ""},
      {"OperationsService.WaitEnforced", Subject::kAnywhere, "admin operator issuer reader auditor",
       ""},
      {"OperationsService.ListValidators", Subject::kService, "admin operator auditor", ""},
      {"OperationsService.CreateBackup", Subject::kService, "admin operator", ""},
      {"OperationsService.GetClock", Subject::kService, "admin operator auditor", ""},
      {"OperationsService.AcceptClock", Subject::kService, "admin operator", ""},
      {"OperationsService.CheckStore", Subject::kService, "admin operator auditor", ""},
      {"OperationsService.GetStatus", Subject::kService, "admin operator auditor", ""},
      {"OperationsService.ForgetValidator", Subject::kService, "admin operator",
       R"(validator_id: "$W")"},
      {"EdgeService.Follow", Subject::kService, "admin validator", ""},
      {"EdgeService.Resolve", Subject::kService, "admin validator", R"(validator_id: "$W")"},
      {"AccessService.GrantRole", Subject::kService, "admin", ""},
      {"AccessService.WithdrawRole", Subject::kService, "admin", ""},
      {"AccessService.ListBindings", Subject::kService, "admin operator auditor", ""},
      {"AccessService.ListRoles", Subject::kAnywhere, "*", ""},
      {"AccessService.TestPermissions", Subject::kAnywhere, "*", ""},
  };
  return table;
}

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_RPC_ROLE_TABLE_H_
