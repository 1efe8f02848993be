#include "cli/commands/access.h"

#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/enforcement_wait.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "tollgate/v1/access_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::AccessService;
using tollgate::v1::Binding;

// "everywhere", or the workspaces' ids.
std::string PlacesText(const Binding& binding) {
  if (binding.workspaces().empty()) return "everywhere";
  return absl::StrJoin(binding.workspaces(), ", ", [](std::string* out, const std::string& name) {
    absl::StrAppend(out, absl::StripPrefix(name, "workspaces/"));
  });
}

// Which role of whom, and where: words of both changes.
struct BindingOptions {
  std::string role, member, reason, request_id;
  std::vector<std::string> workspaces;

  void AddTo(CLI::App& verb) {
    verb.add_option("role", role, "As tollgate access roles shows them")->required();
    verb.add_option("member", member, "spiffe://DOMAIN/PATH, operator:NAME, unix:NAME, or local")
        ->required();
    verb.add_option("--reason", reason, "Why; kept in the audit log");
    verb.add_option("--request-id", request_id, "Makes a retry safe");
  }
  // Appends the workspaces' full names.
  template <class Names>
  absl::Status NameWorkspaces(Names* names) const {
    for (const std::string& workspace : workspaces) {
      ASSIGN_OR_RETURN(*names->Add(), ParentFrom(workspace));
    }
    return absl::OkStatus();
  }
};

void AddWorkspaces(CLI::App& verb, const char* what, std::vector<std::string>* workspaces) {
  // Never the usual one of the environment: a role that holds somewhere else than was meant is seen
  // too late.
  verb.add_option("-w,--workspace", *workspaces, what)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

struct GrantOptions : BindingOptions {
  bool everywhere = false;
};

// Whether the role may be left without workspaces: it has none anyway.
absl::StatusOr<bool> HasNoWorkspaces(Context& context, const std::string& role) {
  tollgate::v1::ListRolesResponse roles;
  RETURN_IF_ERROR(
      context.Ask(&AccessService::Stub::ListRoles, tollgate::v1::ListRolesRequest(), &roles));
  for (const tollgate::v1::Role& one : roles.roles()) {
    if (one.role() == role) return !one.takes_workspaces();
  }
  return true;  // the service says that there is no such role
}

absl::Status Grant(Context& context, const GrantOptions& options) {
  if (options.everywhere && !options.workspaces.empty()) {
    return absl::InvalidArgumentError("where: in some workspaces (-w), or --everywhere?");
  }
  tollgate::v1::GrantRoleRequest request;
  Binding& binding = *request.mutable_binding();
  binding.set_role(options.role);
  binding.set_member(options.member);
  RETURN_IF_ERROR(options.NameWorkspaces(binding.mutable_workspaces()));
  if (!options.everywhere && options.workspaces.empty()) {
    ASSIGN_OR_RETURN(const bool clear, HasNoWorkspaces(context, options.role));
    if (!clear) {
      return absl::InvalidArgumentError(
          "in which workspaces? Give -w WORKSPACE, once for each, or --everywhere");
    }
  }
  request.set_reason(options.reason);
  request.set_request_id(options.request_id);
  tollgate::v1::GrantRoleResponse response;
  RETURN_IF_ERROR(context.Ask(&AccessService::Stub::GrantRole, request, &response));
  if (context.settings().json()) return context.ShowJson(response);
  if (context.settings().quiet) return absl::OkStatus();
  const Binding& now = response.binding();
  context.out() << (response.unchanged() ? "granted      already: " : "granted      ")
                << SafeForTerminal(now.role()) << " to " << SafeForTerminal(now.member())
                << "   in: " << SafeForTerminal(PlacesText(now)) << "   revision "
                << response.revision() << '\n';
  return absl::OkStatus();
}

struct WithdrawOptions : BindingOptions {
  WaitOptions wait;
};

// Tells by which other bindings the member still has the role: a pattern that he is met by, or one
// that the service was started with. Where that cannot be asked nothing is said, since the
// withdrawal is what was asked for.
void TellStillHas(Context& context, const WithdrawOptions& options) {
  tollgate::v1::TestPermissionsRequest request;
  request.set_member(options.member);
  if (options.workspaces.size() == 1) {
    request.set_workspace(ParentFrom(options.workspaces[0]).value_or(""));
  }
  tollgate::v1::TestPermissionsResponse tested;
  if (!context.Ask(&AccessService::Stub::TestPermissions, request, &tested).ok()) return;
  std::set<std::string> others;
  for (const auto& one : tested.permissions()) {
    if (one.has_by() && one.by().role() == options.role) {
      others.insert(absl::StrCat(one.by().member(), ", ", PlacesText(one.by()),
                                 one.by().built_in() ? ", since the service was started so" : ""));
    }
  }
  if (others.empty()) return;
  context.exit_code = kDenied;
  for (const std::string& other : others) {
    context.err() << "Still " << SafeForTerminal(options.role)
                  << " by another binding: " << SafeForTerminal(other) << '\n';
  }
}

absl::Status Withdraw(Context& context, const WithdrawOptions& options) {
  ASSIGN_OR_RETURN(const absl::Duration wait, options.wait.Parse());
  tollgate::v1::WithdrawRoleRequest request;
  request.set_role(options.role);
  request.set_member(options.member);
  RETURN_IF_ERROR(options.NameWorkspaces(request.mutable_workspaces()));
  request.set_reason(options.reason);
  request.set_request_id(options.request_id);
  if (wait > absl::ZeroDuration()) request.mutable_wait_enforced();  // a receipt at once
  absl::optional<Interrupt> interrupt;
  if (wait > absl::ZeroDuration()) interrupt.emplace();
  const absl::Time started = context.now();
  tollgate::v1::WithdrawRoleResponse response;
  RETURN_IF_ERROR(context.Ask(&AccessService::Stub::WithdrawRole, request, &response));
  const bool talks = !context.settings().json() && !context.settings().quiet;
  if (talks) {
    const std::string what =
        absl::StrCat(SafeForTerminal(options.role), " from ", SafeForTerminal(options.member));
    context.out() << "withdrawn    "
                  << (response.unchanged() ? absl::StrCat("nothing: ", what, " was not granted")
                                           : what)
                  << "   revision " << response.revision() << '\n';
    if (response.has_binding() && !response.unchanged()) {
      context.out() << "still in     " << SafeForTerminal(PlacesText(response.binding())) << '\n';
    }
    context.out() << std::flush;
  }
  if (wait > absl::ZeroDuration()) {
    WaitGoal goal;
    goal.revision = response.revision();
    goal.epoch = response.receipt().epoch();
    goal.holds = options.wait.holds;
    goal.at_most = wait;
    goal.started = started;
    WaitAfterChange(context, *interrupt, goal, "withdrawn", response.mutable_receipt());
  }
  if (context.exit_code == kDone) TellStillHas(context, options);
  if (context.settings().json()) return context.ShowJson(response);
  return absl::OkStatus();
}

struct ListOptions {
  std::string member, role;
};

absl::Status List(Context& context, const ListOptions& options) {
  tollgate::v1::ListBindingsRequest request;
  request.set_page_size(1000);
  request.set_member(options.member);
  request.set_role(options.role);
  tollgate::v1::ListBindingsResponse all;
  do {
    tollgate::v1::ListBindingsResponse page;
    RETURN_IF_ERROR(context.Ask(&AccessService::Stub::ListBindings, request, &page));
    all.MergeFrom(page);
    all.clear_next_page_token();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (context.settings().json()) return context.ShowJson(all);
  if (context.settings().quiet) {
    for (const Binding& binding : all.bindings()) {
      context.out() << SafeForTerminal(binding.role()) << ' ' << SafeForTerminal(binding.member())
                    << '\n';
    }
    return absl::OkStatus();
  }
  if (all.bindings_size() == 0) {
    context.out() << "No role is given like that. To give one:\n"
                     "  tollgate access grant ROLE MEMBER -w WORKSPACE\n";
    return absl::OkStatus();
  }
  Table table({{"ROLE"}, {"MEMBER", 20}, {"GRANTED", 0, 1}, {"BY", 10, 2}, Column::Below("WHERE")});
  for (const Binding& binding : all.bindings()) {
    table.AddRow(
        {binding.role(), binding.member(),
         binding.built_in() ? std::string("at the start")
                            : HumanTime(base::FromProto(binding.create_time()), context.now()),
         binding.built_in() ? std::string("tollgated") : binding.creator(), PlacesText(binding)});
  }
  context.ShowTable(table);
  return absl::OkStatus();
}

absl::Status Roles(Context& context) {
  tollgate::v1::ListRolesResponse roles;
  RETURN_IF_ERROR(
      context.Ask(&AccessService::Stub::ListRoles, tollgate::v1::ListRolesRequest(), &roles));
  if (context.settings().json()) return context.ShowJson(roles);
  if (context.settings().quiet) {
    for (const tollgate::v1::Role& role : roles.roles()) {
      context.out() << SafeForTerminal(role.role()) << '\n';
    }
    return absl::OkStatus();
  }
  Table table({{"ROLE"}, Column::Below("WHO"), Column::Below("MAY")});
  for (const tollgate::v1::Role& role : roles.roles()) {
    table.AddRow({role.role(), role.description(), absl::StrJoin(role.permissions(), ", ")});
  }
  context.ShowTable(table);
  return absl::OkStatus();
}

struct ExplainOptions {
  std::string member, workspace;
  std::vector<std::string> permissions;
};

absl::Status Explain(Context& context, const ExplainOptions& options) {
  tollgate::v1::TestPermissionsRequest request;
  request.set_member(options.member);
  for (const std::string& permission : options.permissions) request.add_permissions(permission);
  if (!options.workspace.empty()) {
    ASSIGN_OR_RETURN(*request.mutable_workspace(), ParentFrom(options.workspace));
  }
  tollgate::v1::TestPermissionsResponse response;
  RETURN_IF_ERROR(context.Ask(&AccessService::Stub::TestPermissions, request, &response));
  bool all = true;
  for (const auto& tested : response.permissions()) all = all && tested.granted();
  // Asked about some, a script wants to know.
  if (!options.permissions.empty() && !all) context.exit_code = kDenied;
  if (context.settings().json()) return context.ShowJson(response);
  if (context.settings().quiet) {
    for (const auto& tested : response.permissions()) {
      if (tested.granted()) context.out() << SafeForTerminal(tested.permission()) << '\n';
    }
    return absl::OkStatus();
  }
  context.out() << SafeForTerminal(response.member())
                << (request.workspace().empty() ? ", of the service and everywhere"
                                                : absl::StrCat(", in ", request.workspace()))
                << ":\n";
  Table table({{"PERMISSION"}, {"GRANTED"}, Column::Below("BY")});
  for (const auto& tested : response.permissions()) {
    std::string by = "-";
    if (tested.has_by()) {
      by = absl::StrCat(tested.by().role(), " of ", tested.by().member(), ", ",
                        PlacesText(tested.by()),
                        tested.by().built_in() ? ", since the service was started so" : "");
    } else if (tested.granted()) {
      by = "everybody who is known";
    }
    table.AddRow({tested.permission(),
                  tested.granted() ? Cell("yes", Tone::kGood) : Cell("no", Tone::kFaint), by});
  }
  context.ShowTable(table);
  return absl::OkStatus();
}

}  // namespace

void AddAccessCommands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("access", "Who may do what: give roles, and take them away");
  noun->require_subcommand(1);
  {
    auto options = std::make_shared<ListOptions>();
    CLI::App* verb = noun->add_subcommand("list", "Who has which role, and where");
    context.AlsoPrints(verb, {"wide"});
    verb->add_option("--member", options->member, "Only of this member");
    verb->add_option("--role", options->role, "Only of this role");
    verb->callback([&context, options] { context.Fail(List(context, *options)); });
  }
  {
    CLI::App* verb = noun->add_subcommand("roles", "The roles, and what each of them may do");
    context.AlsoPrints(verb, {"wide"});
    verb->callback([&context] { context.Fail(Roles(context)); });
  }
  {
    auto options = std::make_shared<GrantOptions>();
    CLI::App* verb = noun->add_subcommand("grant", "Give a role to a member");
    options->AddTo(*verb);
    AddWorkspaces(*verb, "In this workspace; repeatable", &options->workspaces);
    verb->add_flag("--everywhere", options->everywhere,
                   "In all workspaces, also in later ones, and of the service itself");
    verb->callback([&context, options] { context.Fail(Grant(context, *options)); });
  }
  {
    auto options = std::make_shared<WithdrawOptions>();
    CLI::App* verb = noun->add_subcommand(
        "withdraw", "Take a role from a member. Exit code 10: another binding still gives it");
    options->AddTo(*verb);
    AddWorkspaces(*verb, "Only in this workspace; repeatable. Without: everywhere",
                  &options->workspaces);
    options->wait.AddTo(*verb);
    verb->callback([&context, options] { context.Fail(Withdraw(context, *options)); });
  }
  {
    auto options = std::make_shared<ExplainOptions>();
    CLI::App* verb = noun->add_subcommand("explain", "What a member may do, and by which role");
    context.AlsoPrints(verb, {"wide"});
    verb->add_option("--as", options->member,
                     "The caller's name, as the audit log has it; without: you");
    verb->add_option("--permission", options->permissions,
                     "Only this one; repeatable. Exit code 10 where one is missing")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    AddWorkspaceOption(*verb, &options->workspace);
    verb->callback([&context, options] { context.Fail(Explain(context, *options)); });
  }
}

}  // namespace tollgate::cli
