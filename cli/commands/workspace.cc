#include "cli/commands/workspace.h"

#include <algorithm>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "token/resource_name.h"
#include "tollgate/v1/workspace_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::Workspace;
using tollgate::v1::WorkspacePolicy;
using tollgate::v1::WorkspaceService;

// A workspace is named by its place, with -w, or by the environment.
struct Which {
  std::string positional, workspace;

  // Its full name. INVALID_ARGUMENT where none is given, or the command line gives two (`typed`:
  // one of them is that of -w).
  absl::StatusOr<std::string> Name(bool typed) const {
    if (positional.empty()) return ParentFrom(workspace);
    ASSIGN_OR_RETURN(std::string name, ParentFrom(positional));
    if (typed && ParentFrom(workspace).value_or("") != name) {
      return absl::InvalidArgumentError(
          absl::StrCat("which workspace: ", positional, ", or that of -w, ", workspace, "?"));
    }
    return name;
  }
};

void AddWhich(CLI::App& verb, Which* which) {
  verb.add_option("id", which->positional, "Its id, or its full name; or else -w");
  AddWorkspaceOption(verb, &which->workspace);
}

struct PolicyOptions {
  Which which;
  std::string label_pattern, max_lifetime, rotation_period, max_unused, ended, request_id;
  std::vector<std::string> scopes, edge_annotations;
  int64_t most_live = 0;
  bool unique = false, not_unique = false;
  bool addresses = false, no_addresses = false;
  std::vector<std::string> unset;
  bool dry_run = false;
  bool yes = false;
};

std::string PolicyText(const WorkspacePolicy& policy) {
  std::vector<std::string> parts;
  if (!policy.label_pattern().empty())
    parts.push_back(absl::StrCat("labels like ", policy.label_pattern()));
  if (policy.unique_labels()) parts.push_back("labels unique");
  const auto length = [&](const char* what, bool has, const google::protobuf::Duration& duration) {
    if (has) parts.push_back(absl::StrCat(what, " ", HumanDuration(base::FromProto(duration))));
  };
  length("at most", policy.has_max_lifetime(), policy.max_lifetime());
  length("rotate every", policy.has_rotation_period(), policy.rotation_period());
  length("expire unused after", policy.has_max_unused(), policy.max_unused());
  if (policy.has_ended_retention()) {
    const absl::Duration kept = base::FromProto(policy.ended_retention());
    parts.push_back(kept == absl::ZeroDuration()
                        ? std::string("ended tokens kept for ever")
                        : absl::StrCat("ended tokens kept for ", HumanDuration(kept)));
  }
  if (policy.max_live_tokens() > 0) {
    parts.push_back(absl::StrCat("at most ", policy.max_live_tokens(), " live tokens"));
  }
  if (policy.grantable_scopes_size() > 0) {
    parts.push_back(absl::StrCat("scopes ", absl::StrJoin(policy.grantable_scopes(), ",")));
  }
  if (policy.edge_annotations_size() > 0) {
    parts.push_back(absl::StrCat("edges told of ", absl::StrJoin(policy.edge_annotations(), ",")));
  }
  if (policy.report_attempt_addresses()) parts.push_back("addresses of attempts reported");
  return parts.empty() ? "-" : absl::StrJoin(parts, "; ");
}

void PrintWorkspace(Context& context, const Workspace& workspace) {
  context.out() << SafeForTerminal(workspace.name()) << "   created "
                << HumanTime(base::FromProto(workspace.create_time()), context.now());
  if (!workspace.display_name().empty()) {
    context.out() << "\nname         " << SafeForTerminal(workspace.display_name());
  }
  context.out() << "\ntokens       " << workspace.live_token_count() << " live\npolicy       "
                << SafeForTerminal(PolicyText(workspace.policy())) << '\n';
}

absl::Status Get(Context& context, const Which& which) {
  tollgate::v1::GetWorkspaceRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), which.Name(context.settings().workspace_typed));
  Workspace workspace;
  RETURN_IF_ERROR(context.Ask(&WorkspaceService::Stub::GetWorkspace, request, &workspace));
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(workspace));
  } else if (context.settings().quiet) {
    context.out() << SafeForTerminal(workspace.name()) << '\n';
  } else {
    PrintWorkspace(context, workspace);
  }
  return absl::OkStatus();
}

// Its id alone, out of its full name.
std::string IdOf(absl::string_view name) {
  return SafeForTerminal(name.substr(name.find('/') + 1));
}

// The answer to a change of one workspace.
template <class Response>
absl::Status ShowChanged(Context& context, const Response& response) {
  if (context.settings().json()) return context.ShowJson(response);
  if (context.settings().quiet) {
    context.out() << SafeForTerminal(response.workspace().name()) << '\n';
  } else {
    PrintWorkspace(context, response.workspace());
  }
  return absl::OkStatus();
}

struct NameOptions {
  Which which;
  std::string display_name, request_id;
  bool no_display_name = false;
};

// Makes or ends one: a name that is only the usual one is none that somebody gave.
absl::StatusOr<std::string> GivenName(Context& context, const Which& which) {
  const bool typed = context.settings().workspace_typed;
  if (which.positional.empty() && !typed) {
    return absl::InvalidArgumentError("which workspace? Give its id");
  }
  return which.Name(typed);
}

absl::Status Create(Context& context, const NameOptions& options) {
  ASSIGN_OR_RETURN(const std::string name, GivenName(context, options.which));
  tollgate::v1::CreateWorkspaceRequest request;
  request.set_workspace_id(name.substr(name.find('/') + 1));
  if (!options.display_name.empty()) {
    request.mutable_workspace()->set_display_name(options.display_name);
  }
  request.set_request_id(options.request_id);
  tollgate::v1::CreateWorkspaceResponse response;
  RETURN_IF_ERROR(context.Ask(&WorkspaceService::Stub::CreateWorkspace, request, &response));
  return ShowChanged(context, response);
}

absl::Status Rename(Context& context, const NameOptions& options) {
  if (options.display_name.empty() && !options.no_display_name) {
    return absl::InvalidArgumentError("what is it called? Give --to, or --no-display-name");
  }
  tollgate::v1::UpdateWorkspaceRequest request;
  ASSIGN_OR_RETURN(*request.mutable_workspace()->mutable_name(),
                   options.which.Name(context.settings().workspace_typed));
  request.mutable_workspace()->set_display_name(options.display_name);
  request.mutable_update_mask()->add_paths("display_name");
  request.set_request_id(options.request_id);
  tollgate::v1::UpdateWorkspaceResponse response;
  RETURN_IF_ERROR(context.Ask(&WorkspaceService::Stub::UpdateWorkspace, request, &response));
  RETURN_IF_ERROR(ShowChanged(context, response));
  if (response.unchanged() && !context.settings().json()) {
    context.err() << "It was called so already: nothing was changed.\n";
  }
  return absl::OkStatus();
}

struct DeleteOptions {
  Which which;
  std::string request_id;
  bool yes = false;
};

absl::Status DeleteAsked(Context& context, const tollgate::v1::DeleteWorkspaceRequest& request) {
  tollgate::v1::DeleteWorkspaceResponse response;
  RETURN_IF_ERROR(context.Ask(&WorkspaceService::Stub::DeleteWorkspace, request, &response));
  if (context.settings().json()) return context.ShowJson(response);
  if (context.settings().quiet) return absl::OkStatus();
  context.out() << "deleted      " << SafeForTerminal(request.name()) << "   revision "
                << response.revision() << '\n';
  return absl::OkStatus();
}

absl::Status Delete(Context& context, const DeleteOptions& options) {
  tollgate::v1::GetWorkspaceRequest get;
  ASSIGN_OR_RETURN(*get.mutable_name(), GivenName(context, options.which));
  tollgate::v1::DeleteWorkspaceRequest request;
  request.set_name(get.name());
  request.set_request_id(options.request_id);
  if (!options.yes) {
    // What is asked about is what is deleted.
    Workspace workspace;
    const absl::Status asked = context.Ask(&WorkspaceService::Stub::GetWorkspace, get, &workspace);
    if (absl::IsNotFound(asked) && !options.request_id.empty()) {
      // It may be gone by this very request, whose answer was lost: the service knows.
      return DeleteAsked(context, request);
    }
    RETURN_IF_ERROR(asked);
    request.set_etag(workspace.etag());
    std::string question = absl::StrCat("Delete the workspace ", IdOf(workspace.name()));
    if (!workspace.display_name().empty()) {
      absl::StrAppend(&question, " (", SafeForTerminal(workspace.display_name()), ")");
    }
    if (workspace.has_policy()) absl::StrAppend(&question, " and its policy");
    ASSIGN_OR_RETURN(const bool confirmed, context.Confirm(absl::StrCat(question, "?"), false));
    if (!confirmed) {
      context.exit_code = kAborted;
      context.err() << "Nothing was deleted.\n";
      return absl::OkStatus();
    }
  }
  return DeleteAsked(context, request);
}

absl::Status List(Context& context) {
  tollgate::v1::ListWorkspacesRequest request;
  request.set_page_size(1000);
  tollgate::v1::ListWorkspacesResponse all;
  do {
    tollgate::v1::ListWorkspacesResponse page;
    RETURN_IF_ERROR(context.Ask(&WorkspaceService::Stub::ListWorkspaces, request, &page));
    all.MergeFrom(page);
    all.clear_next_page_token();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(all));
    return absl::OkStatus();
  }
  if (context.settings().quiet) {
    for (const Workspace& workspace : all.workspaces()) {
      context.out() << SafeForTerminal(workspace.name()) << '\n';
    }
    return absl::OkStatus();
  }
  // The operators' own is no workspace to work in.
  const bool none =
      std::all_of(all.workspaces().begin(), all.workspaces().end(), [](const Workspace& workspace) {
        return workspace.name() == token::WorkspaceName(token::kOperatorWorkspace);
      });
  if (none) {
    context.out() << "No workspaces yet. The first comes with its first token:\n"
                     "  tollgate token create -w NAME --label \"…\"\n";
    return absl::OkStatus();
  }
  Table table(
      {{"WORKSPACE"}, {"NAME", 12, 1}, {"TOKENS"}, {"CREATED", 0, 2}, Column::Below("POLICY")});
  for (const Workspace& workspace : all.workspaces()) {
    table.AddRow({IdOf(workspace.name()),
                  workspace.display_name().empty() ? "-" : workspace.display_name(),
                  absl::StrCat(workspace.live_token_count()),
                  HumanTime(base::FromProto(workspace.create_time()), context.now()),
                  PolicyText(workspace.policy())});
  }
  context.ShowTable(table);
  return absl::OkStatus();
}

// What a policy would do to one token, in words.
std::string ImpactText(const tollgate::v1::PolicyImpact& impact, absl::Time now) {
  std::vector<std::string> parts;
  if (impact.has_unused_end_time()) {
    parts.push_back(absl::StrCat(
        "expires ", HumanTime(base::FromProto(impact.unused_end_time()), now), " unless used"));
  }
  if (impact.ungrantable_scopes_size() > 0) {
    parts.push_back(
        absl::StrCat("rotation refused: ", absl::StrJoin(impact.ungrantable_scopes(), ",")));
  }
  if (impact.label_mismatch()) parts.push_back("rotation refused: label");
  return absl::StrJoin(parts, "; ");
}

void PrintImpacts(Context& context, const tollgate::v1::PreviewWorkspacePolicyResponse& all) {
  int ends = 0;
  int refused = 0;
  Table table({{"TOKEN"}, {"LABEL", 12}, {"LAST USED"}, {"WHERE", 10}, Column::Below("WHAT")});
  for (const tollgate::v1::PolicyImpact& impact : all.impacts()) {
    if (impact.has_unused_end_time()) ++ends;
    if (impact.ungrantable_scopes_size() > 0 || impact.label_mismatch()) ++refused;
    const tollgate::v1::Token& token = impact.token();
    table.AddRow({token.token_id(), token.label(),
                  token.has_last_used_time()
                      ? HumanTime(base::FromProto(token.last_used_time()), context.now())
                      : "never",
                  impact.last_used_edge().empty() ? "-" : impact.last_used_edge(),
                  ImpactText(impact, context.now())});
  }
  context.ShowTable(table);
  context.out() << "Dry run, nothing is changed. Of " << all.examined_count() << " live token"
                << (all.examined_count() == 1 ? "" : "s") << ": " << ends
                << " would expire unless used, " << refused
                << " could not be rotated as they are.\n";
}

// What the change would do, of all tokens.
absl::StatusOr<tollgate::v1::PreviewWorkspacePolicyResponse> Preview(
    Context& context, const tollgate::v1::UpdateWorkspacePolicyRequest& change) {
  tollgate::v1::PreviewWorkspacePolicyRequest request;
  request.set_name(change.name());
  *request.mutable_policy() = change.policy();
  *request.mutable_update_mask() = change.update_mask();
  request.set_page_size(1000);
  tollgate::v1::PreviewWorkspacePolicyResponse all;
  do {
    tollgate::v1::PreviewWorkspacePolicyResponse page;
    RETURN_IF_ERROR(context.Ask(&WorkspaceService::Stub::PreviewWorkspacePolicy, request, &page));
    const int64_t examined = all.examined_count() + page.examined_count();
    const int64_t purged = all.purged_count() + page.purged_count();
    all.MergeFrom(page);
    all.set_examined_count(examined);
    all.set_purged_count(purged);
    all.clear_next_page_token();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

std::string EndedTokens(int64_t count) {
  return absl::StrCat(count, count == 1 ? " ended token" : " ended tokens");
}

// Whether a person has said yes to what cannot be taken back: records that go at once.
absl::StatusOr<bool> MayPurge(Context& context,
                              const tollgate::v1::UpdateWorkspacePolicyRequest& change) {
  ASSIGN_OR_RETURN(const tollgate::v1::PreviewWorkspacePolicyResponse would,
                   Preview(context, change));
  if (would.purged_count() == 0) return true;
  return context.Confirm(
      absl::StrCat("Purge the records of ", EndedTokens(would.purged_count()), " now, for good?"),
      false);
}

// Shows what the change would do; changes nothing.
absl::Status DryRun(Context& context, const tollgate::v1::UpdateWorkspacePolicyRequest& change) {
  ASSIGN_OR_RETURN(const tollgate::v1::PreviewWorkspacePolicyResponse all,
                   Preview(context, change));
  if (context.settings().json()) return context.ShowJson(all);
  if (context.settings().quiet) {
    for (const tollgate::v1::PolicyImpact& impact : all.impacts()) {
      context.out() << SafeForTerminal(impact.token().name()) << '\n';
    }
    return absl::OkStatus();
  }
  PrintImpacts(context, all);
  for (const std::string& path : change.update_mask().paths()) {
    if (path != "ended_retention") continue;
    context.out() << EndedTokens(all.purged_count()) << " would be purged at once, for good.\n";
  }
  return absl::OkStatus();
}

absl::Status SetPolicy(Context& context, const CLI::App& verb, const PolicyOptions& options) {
  tollgate::v1::UpdateWorkspacePolicyRequest request;
  ASSIGN_OR_RETURN(*request.mutable_name(), options.which.Name(context.settings().workspace_typed));
  WorkspacePolicy& policy = *request.mutable_policy();
  const auto mask = [&](const std::string& path) {
    request.mutable_update_mask()->add_paths(path);
  };
  if (verb.count("--label-pattern") > 0) {
    policy.set_label_pattern(options.label_pattern);
    mask("label_pattern");
  }
  if (options.unique || options.not_unique) {
    policy.set_unique_labels(options.unique);
    mask("unique_labels");
  }
  const auto length = [&](const std::string& text, const char* path,
                          google::protobuf::Duration* out) -> absl::Status {
    ASSIGN_OR_RETURN(const absl::Duration duration, ParseHumanDuration(text));
    *out = base::ToProto(duration);
    mask(path);
    return absl::OkStatus();
  };
  if (!options.max_lifetime.empty()) {
    RETURN_IF_ERROR(length(options.max_lifetime, "max_lifetime", policy.mutable_max_lifetime()));
  }
  if (!options.rotation_period.empty()) {
    RETURN_IF_ERROR(
        length(options.rotation_period, "rotation_period", policy.mutable_rotation_period()));
  }
  if (!options.max_unused.empty()) {
    RETURN_IF_ERROR(length(options.max_unused, "max_unused", policy.mutable_max_unused()));
  }
  if (options.ended == "never") {
    *policy.mutable_ended_retention() = base::ToProto(absl::ZeroDuration());
    mask("ended_retention");
  } else if (!options.ended.empty()) {
    const absl::Status read =
        length(options.ended, "ended_retention", policy.mutable_ended_retention());
    if (!read.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(read.message(), "; or never, to keep all"));
    }
  }
  if (verb.count("--max-live-tokens") > 0) {
    policy.set_max_live_tokens(options.most_live);
    mask("max_live_tokens");
  }
  if (!options.scopes.empty()) {
    for (const std::string& scope : options.scopes) policy.add_grantable_scopes(scope);
    mask("grantable_scopes");
  }
  if (!options.edge_annotations.empty()) {
    for (const std::string& key : options.edge_annotations) policy.add_edge_annotations(key);
    mask("edge_annotations");
  }
  if (options.addresses || options.no_addresses) {
    policy.set_report_attempt_addresses(options.addresses);
    mask("report_attempt_addresses");
  }
  for (const std::string& path : options.unset) mask(path);
  if (request.update_mask().paths_size() == 0) {
    return absl::InvalidArgumentError("nothing to set; see tollgate workspace set-policy --help");
  }
  if (options.dry_run) return DryRun(context, request);
  request.set_request_id(options.request_id);
  const bool retention = !options.ended.empty() ||
                         std::find(options.unset.begin(), options.unset.end(), "ended_retention") !=
                             options.unset.end();
  if (retention && !options.yes) {
    ASSIGN_OR_RETURN(const bool confirmed, MayPurge(context, request));
    if (!confirmed) {
      context.exit_code = kAborted;
      context.err() << "Nothing was changed.\n";
      return absl::OkStatus();
    }
  }
  tollgate::v1::UpdateWorkspacePolicyResponse response;
  const absl::Status asked =
      context.Ask(&WorkspaceService::Stub::UpdateWorkspacePolicy, request, &response);
  if (base::ReasonOf(asked) == "WORKSPACE_NOT_FOUND") {
    return WithAdvice(asked,
                      absl::StrCat("To make it: tollgate workspace create ", IdOf(request.name())));
  }
  RETURN_IF_ERROR(asked);
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(response));
  } else if (!context.settings().quiet) {
    PrintWorkspace(context, response.workspace());
  }
  return absl::OkStatus();
}

}  // namespace

void AddWorkspaceCommands(CLI::App& app, Context& context) {
  CLI::App* noun =
      app.add_subcommand("workspace", "Make workspaces, and set what their tokens must keep to");
  noun->require_subcommand(1);
  CLI::App* list =
      noun->add_subcommand("list", "All workspaces, with how many live tokens each has");
  context.AlsoPrints(list, {"wide"});
  list->callback([&context] { context.Fail(List(context)); });
  {
    auto options = std::make_shared<NameOptions>();
    CLI::App* verb = noun->add_subcommand("create", "Make a workspace");
    AddWhich(*verb, &options->which);
    verb->add_option("--display-name", options->display_name, "What people call it");
    verb->add_option("--request-id", options->request_id, "Makes a retry safe");
    verb->callback([&context, options] { context.Fail(Create(context, *options)); });
  }
  {
    auto options = std::make_shared<NameOptions>();
    CLI::App* verb = noun->add_subcommand(
        "rename", "Change what people call a workspace; its id, and its tokens, stay");
    AddWhich(*verb, &options->which);
    auto* to = verb->add_option("--to", options->display_name, "What people call it from now on");
    verb->add_flag("--no-display-name", options->no_display_name, "Nothing else than its id")
        ->excludes(to);
    verb->add_option("--request-id", options->request_id, "Makes a retry safe");
    verb->callback([&context, options] { context.Fail(Rename(context, *options)); });
  }
  {
    auto options = std::make_shared<DeleteOptions>();
    CLI::App* verb =
        noun->add_subcommand("delete", "Take a workspace away that has no token, alive or ended");
    AddWhich(*verb, &options->which);
    verb->add_flag("-y,--yes", options->yes, "Do not ask");
    verb->add_option("--request-id", options->request_id, "Makes a retry safe");
    verb->callback([&context, options] { context.Fail(Delete(context, *options)); });
  }
  {
    auto which = std::make_shared<Which>();
    CLI::App* verb = noun->add_subcommand("get", "One workspace and its policy");
    AddWhich(*verb, which.get());
    verb->callback([&context, which] { context.Fail(Get(context, *which)); });
  }
  auto options = std::make_shared<PolicyOptions>();
  CLI::App* verb = noun->add_subcommand(
      "set-policy",
      "Set parts of the policy, for tokens and replacements that are made from now on; of older "
      "ones only --max-unused ends any, and --ended-retention takes ended ones' records away");
  AddWhich(*verb, &options->which);
  verb->add_option("--label-pattern", options->label_pattern, "RE2 that a whole label must match");
  auto* unique =
      verb->add_flag("--unique-labels", options->unique, "No two live tokens share a label");
  verb->add_flag("--no-unique-labels", options->not_unique, "They may")->excludes(unique);
  verb->add_option("--max-lifetime", options->max_lifetime, "The longest lifetime, as in 90d");
  verb->add_option("--rotation-period", options->rotation_period,
                   "Due for rotation after, as in 60d");
  verb->add_option("--max-unused", options->max_unused,
                   "Expire when unused for, as in 180d, from now on; old tokens too");
  verb->add_option("--ended-retention", options->ended,
                   "Purge the record of a token so long after its end, as in 400d (the usual); "
                   "never: keep all");
  verb->add_option("--max-live-tokens", options->most_live,
                   "No token is created where so many are live; rotations still are")
      ->check(CLI::PositiveNumber);
  verb->add_option("--grantable-scope", options->scopes,
                   "A scope that may be granted, or items:* for all beneath; repeatable");
  verb->add_option("--edge-annotation", options->edge_annotations,
                   "The keys of annotations that edges are told, and tell services; repeatable");
  auto* addresses =
      verb->add_flag("--report-attempt-addresses", options->addresses,
                     "Edges report from which addresses of clients refused tokens were tried");
  verb->add_flag("--no-report-attempt-addresses", options->no_addresses, "They do not")
      ->excludes(addresses);
  verb->add_option("--unset", options->unset, "Take a part away; repeatable")
      ->check(CLI::IsMember({"label_pattern", "unique_labels", "max_lifetime", "rotation_period",
                             "max_unused", "ended_retention", "max_live_tokens", "grantable_scopes",
                             "edge_annotations", "report_attempt_addresses"}));
  verb->add_flag("--dry-run", options->dry_run,
                 "Show which tokens it would end or purge, and which could not be rotated; change "
                 "nothing");
  verb->add_flag("-y,--yes", options->yes, "Do not ask before records are purged");
  verb->add_option("--request-id", options->request_id, "Makes a retry safe");
  verb->callback([&context, verb, options] { context.Fail(SetPolicy(context, *verb, *options)); });
}

}  // namespace tollgate::cli
