#include "cli/commands/policy.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/duration.h"
#include "base/status.h"
#include "nlohmann/json.hpp"
#include "policy/lint.h"
#include "policy/policy.h"
#include "policy/policy_file.h"
#include "policy/yaml_tree.h"
#include "token/grant.h"

namespace tollgate::cli {
namespace {

using nlohmann::json;
using policy::Judgement;
using policy::PolicyFile;

struct TestOptions {
  std::string file;
  std::string method = "GET";
  std::string path;
  std::string host;
  std::string requirement;
  std::vector<std::string> headers;
  bool token = false;
  std::vector<std::string> scopes, audiences;
  std::string workspace;

  bool has_token() const {
    return token || !scopes.empty() || !audiences.empty() || !workspace.empty();
  }
};

// What is read: one byte more than a policy may have tells that it is too long.
absl::StatusOr<std::string> ReadPolicy(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(policy::kLongestYaml + 1, '\0');
  if (file) {
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
  }
  if (!file.is_open() || file.bad() || errno == EISDIR) {
    const int error = errno;
    return base::Refuse(
        error == ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kFailedPrecondition,
        "POLICY_UNREADABLE",
        absl::StrCat("the policy ", path, " cannot be read",
                     error != 0 ? absl::StrCat(": ", std::strerror(error)) : ""));
  }
  return text;
}

std::string Printed(const json& answer) {
  return answer.dump(2, ' ', true, json::error_handler_t::replace) + "\n";
}

// --- test ---

// What would become of the request.
struct Verdict {
  bool allow = false;
  int status = 200;
  std::string reason;
  std::string why;
};

Verdict Deny(int status, absl::string_view reason, std::string why) {
  return Verdict{false, status, std::string(reason), std::move(why)};
}

std::string Listed(const std::vector<std::string>& words) {
  return words.empty() ? "none" : absl::StrJoin(words, ", ");
}

// The verdict on a good token of this kind.
Verdict DecideOn(const TestOptions& options, const token::Requirement& requirement) {
  tollgate::v1::Grant grant;
  grant.set_state(tollgate::v1::TOKEN_STATE_ACTIVE);
  grant.set_workspace(options.workspace);
  for (const std::string& scope : options.scopes) grant.add_scopes(scope);
  for (const std::string& audience : options.audiences) grant.add_audiences(audience);
  const std::string packed = token::PackGrant(grant);
  token::GrantView view;
  if (!token::GrantView::Over(packed, &view)) return Deny(503, "SERVICE_UNAVAILABLE", "");
  switch (token::Decide(view, requirement, absl::InfinitePast())) {
    case tollgate::v1::VERDICT_REASON_UNSPECIFIED:
      return Verdict{.allow = true};
    case tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE:
      return Deny(403, "WRONG_AUDIENCE",
                  absl::StrCat("the request is for the audience ",
                               requirement.audience.empty() ? "of nobody" : requirement.audience,
                               "; the token is for: ", Listed(options.audiences)));
    case tollgate::v1::VERDICT_REASON_WRONG_WORKSPACE:
      return Deny(
          403, "WRONG_WORKSPACE",
          absl::StrCat(
              "the request is about the workspace ", requirement.workspace, "; the token is of: ",
              options.workspace.empty() ? "none (--token-workspace says)" : options.workspace));
    default:
      return Deny(
          403, "INSUFFICIENT_SCOPE",
          absl::StrCat("a needed scope is missing; the token has: ", Listed(options.scopes)));
  }
}

Verdict VerdictOn(const TestOptions& options, const Judgement& judgement) {
  if (judgement.kind == Judgement::Kind::kRefused) {
    return Deny(judgement.status, judgement.reason, std::string(judgement.description));
  }
  if (judgement.kind == Judgement::Kind::kOpen) return Verdict{.allow = true};
  if (judgement.credential.empty() && !options.has_token()) {
    if (judgement.optional) return Verdict{.allow = true};
    return Deny(401, "NO_TOKEN", "no token was presented; --token or a --token-… option gives one");
  }
  return DecideOn(options, judgement.requirement);
}

// "rule 2 (edge.yaml:14)".
std::string Called(const policy::Route& route, const std::string& file) {
  const std::string usual = absl::StrCat("route ", route.number);
  const std::string name = route.number == 0 ? route.name
                           : route.name == usual
                               ? absl::StrCat("rule ", route.number)
                               : absl::StrCat("rule ", route.number, " \"", route.name, "\"");
  return absl::StrCat(name, " (", file, ":", route.line, ")");
}

absl::Status Test(Context& context, const TestOptions& options) {
  std::vector<policy::Header> headers;
  for (const std::string& header : options.headers) {
    const size_t colon = header.find(':');
    if (colon == std::string::npos || colon == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--header: '", header, "' is none; write it as in 'x-api-key: abc'"));
    }
    headers.emplace_back(absl::string_view(header).substr(0, colon),
                         absl::StripAsciiWhitespace(absl::string_view(header).substr(colon + 1)));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadPolicy(options.file));
  ASSIGN_OR_RETURN(const std::shared_ptr<const policy::Policy> policy,
                   policy::Policy::Parse(text, options.file));
  policy::Request request;
  request.method = options.method;
  request.host = options.host;
  request.target = options.path;
  request.headers = headers;
  request.requirement = options.requirement;
  const Judgement judgement = policy->Judge(request);
  Verdict verdict = VerdictOn(options, judgement);
  if (verdict.reason == "HOST_MISSING") verdict.why += "; --host names one";
  context.exit_code = verdict.allow ? kDone : kDenied;
  if (context.settings().json()) {
    json answer = {{"verdict", verdict.allow ? "allow" : "deny"},
                   {"status", verdict.status},
                   {"reason", verdict.reason},
                   {"description", verdict.why},
                   {"rule", nullptr},
                   {"drop_headers", judgement.drop_headers},
                   {"drop_query", judgement.drop_query}};
    if (judgement.route != nullptr) {
      answer["rule"] = {{"number", judgement.route->number},
                        {"name", judgement.route->name},
                        {"file", options.file},
                        {"line", judgement.route->line},
                        {"takes", judgement.route->takes},
                        {"needs", judgement.route->needs}};
    }
    context.raw_out() << Printed(answer);
    return absl::OkStatus();
  }
  if (context.settings().quiet) return absl::OkStatus();
  context.out() << (verdict.allow ? "allow   " : "deny    ");
  if (judgement.route != nullptr) {
    context.out() << Called(*judgement.route, options.file) << "  " << judgement.route->takes
                  << "  needs " << judgement.route->needs << '\n';
  } else {
    context.out() << "no rule of " << options.file << '\n';
  }
  if (!verdict.allow) {
    context.out() << "  " << verdict.status << ' ' << verdict.reason << ": " << verdict.why << '\n';
  }
  return absl::OkStatus();
}

// --- lint ---

absl::Status LintFile(Context& context, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadPolicy(path));
  ASSIGN_OR_RETURN(const PolicyFile file, policy::ReadPolicyFile(text, path));
  const std::vector<policy::Finding> findings = policy::Lint(file);
  context.exit_code = findings.empty() ? kDone : kDenied;
  if (context.settings().json()) {
    json list = json::array();
    for (const policy::Finding& finding : findings) {
      list.push_back({{"check", std::string(finding.check)},
                      {"file", path},
                      {"line", finding.line},
                      {"text", finding.text}});
    }
    context.raw_out() << Printed({{"findings", std::move(list)}});
    return absl::OkStatus();
  }
  if (context.settings().quiet) return absl::OkStatus();
  for (const policy::Finding& finding : findings) {
    context.out() << path;
    if (finding.line > 0) context.out() << ':' << finding.line;
    context.out() << ": " << finding.text << "  [" << finding.check << "]\n";
  }
  if (findings.empty()) {
    context.out() << path << ": nothing found in " << file.rules.size()
                  << (file.rules.size() == 1 ? " rule\n" : " rules\n");
  }
  return absl::OkStatus();
}

// --- explain ---

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

std::string Places(const PolicyFile& file) {
  std::vector<std::string> places;
  if (file.places.bearer) places.push_back("Authorization: Bearer");
  if (file.places.basic) places.push_back("Authorization: Basic (the password)");
  for (const std::string& header : file.places.headers) {
    places.push_back(absl::StrCat("header ", header));
  }
  for (const std::string& name : file.places.query) {
    places.push_back(absl::StrCat("query ", name));
  }
  return absl::StrJoin(places, ", ");
}

std::string IdentityText(const policy::Upstream& upstream) {
  std::vector<std::string> headers;
  for (const std::string& header :
       {upstream.workspace_header, upstream.token_header, upstream.owner_header,
        upstream.scopes_header, upstream.expires_header}) {
    if (!header.empty()) headers.push_back(header);
  }
  for (const auto& [key, header] : upstream.annotation_headers) headers.push_back(header);
  return Listed(headers);
}

// What takes a request that no rule takes.
std::string Otherwise(const PolicyFile& file) {
  if (file.otherwise.has_value()) return absl::StrCat("needs ", file.otherwise->route.needs);
  return absl::StrCat("refused: ", file.otherwise_status);
}

std::string Methods(const policy::Rule& rule) {
  return rule.pattern.methods.empty() ? "any" : absl::StrJoin(rule.pattern.methods, " ");
}

json RuleJson(const policy::Rule& rule) {
  return {{"number", rule.route.number},     {"name", rule.route.name},
          {"line", rule.route.line},         {"host", rule.pattern.host.text()},
          {"methods", rule.pattern.methods}, {"path", rule.pattern.path.text()},
          {"needs", rule.route.needs}};
}

absl::Status Explain(Context& context, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadPolicy(path));
  ASSIGN_OR_RETURN(const PolicyFile file, policy::ReadPolicyFile(text, path));
  ASSIGN_OR_RETURN(const std::shared_ptr<const policy::Policy> policy,
                   policy::Policy::Parse(text, path));
  if (context.settings().json()) {
    json rules = json::array();
    for (const policy::Rule& rule : file.rules) {
      json entry = RuleJson(rule);
      entry["shadowed_by"] = policy::ShadowedBy(file, rule.route.number);
      rules.push_back(std::move(entry));
    }
    json requirements = json::array();
    for (const policy::Rule& rule : file.requirements) {
      requirements.push_back(
          {{"name", std::string(absl::StripPrefix(rule.route.name, policy::kRequirementPrefix))},
           {"line", rule.route.line},
           {"needs", rule.route.needs}});
    }
    context.raw_out() << Printed({{"file", path},
                                  {"fingerprint", policy->fingerprint()},
                                  {"credentials", Places(file)},
                                  {"identity", IdentityText(file.upstream)},
                                  {"keep_credential", file.upstream.keep_credential},
                                  {"path_case", file.guard_case ? "guarded" : "sensitive"},
                                  {"rules", std::move(rules)},
                                  {"requirements", std::move(requirements)},
                                  {"otherwise", Otherwise(file)}});
    return absl::OkStatus();
  }
  if (context.settings().quiet) return absl::OkStatus();
  context.out() << "policy       " << path << "   fingerprint " << policy->fingerprint() << '\n'
                << "token        " << Places(file)
                << (file.upstream.keep_credential ? "; kept upstream\n" : "; removed upstream\n")
                << "identity     " << IdentityText(file.upstream) << '\n'
                << "path case    "
                << (file.guard_case ? "guarded: a path that differs from a rule's in case only is "
                                      "refused\n"
                                    : "sensitive\n");
  if (file.upstream.tell_before_expiry > absl::ZeroDuration()) {
    context.out() << "expiry       told "
                  << base::TextFromDuration(file.upstream.tell_before_expiry) << " before\n";
  }
  context.out() << '\n';
  Table table({{"RULE"},
               {"LINE"},
               {"NAME", 10},
               {"HOST", 12},
               {"METHODS", 10},
               Column::Below("PATH"),
               Column::Below("NEEDS")});
  for (const policy::Rule& rule : file.rules) {
    const bool named = rule.route.name != absl::StrCat("route ", rule.route.number);
    const bool shadowed = !policy::ShadowedBy(file, rule.route.number).empty();
    table.AddRow(
        {absl::StrCat(rule.route.number), absl::StrCat(rule.route.line),
         named ? rule.route.name : "-", OrDash(rule.pattern.host.text()), Methods(rule),
         rule.pattern.path.text(),
         absl::StrCat(rule.route.needs, shadowed ? "   (never matches: policy lint)" : "")});
  }
  for (const policy::Rule& rule : file.requirements) {
    table.AddRow({"by name", absl::StrCat(rule.route.line),
                  std::string(absl::StripPrefix(rule.route.name, policy::kRequirementPrefix)), "-",
                  "-", "-", rule.route.needs});
  }
  table.AddRow({"else", file.otherwise.has_value() ? absl::StrCat(file.otherwise->route.line) : "-",
                "-", "-", "any", "-", Otherwise(file)});
  context.ShowTable(table);
  return absl::OkStatus();
}

}  // namespace

void AddPolicyCommands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("policy", "What a policy file for proxies says");
  noun->require_subcommand(1);
  auto options = std::make_shared<TestOptions>();
  CLI::App* test = noun->add_subcommand(
      "test", "What becomes of a request: which rule takes it, and why it passes or not");
  test->add_option("file", options->file, "The policy")->required();
  test->add_option("--method", options->method, "The request's method")->capture_default_str();
  test->add_option("--path", options->path, "Its path and query, as a client sends them")
      ->required();
  test->add_option("--host", options->host, "Its host, with or without a port");
  test->add_option("--header", options->headers, "A header, as in 'Name: value'; repeatable")
      ->allow_extra_args(false);
  test->add_option("--requirement", options->requirement,
                   "Asked by this name of a requirement in place of the routes");
  test->add_flag("--token", options->token, "It carries a good token");
  test->add_option("--token-scopes", options->scopes, "It carries a good token with these scopes")
      ->delimiter(',')
      ->allow_extra_args(false);
  test->add_option("--token-audiences", options->audiences, "… meant for these audiences")
      ->delimiter(',')
      ->allow_extra_args(false);
  test->add_option("--token-workspace", options->workspace, "… of this workspace");
  test->callback([&context, options] { context.Fail(Test(context, *options)); });

  auto lint = std::make_shared<std::string>();
  CLI::App* lint_verb =
      noun->add_subcommand("lint", "Rules that can never match, and what is probably not meant");
  lint_verb->add_option("file", *lint, "The policy")->required();
  lint_verb->callback([&context, lint] { context.Fail(LintFile(context, *lint)); });

  auto explain = std::make_shared<std::string>();
  CLI::App* explain_verb =
      noun->add_subcommand("explain", "The policy as a table, as requests are matched with it");
  explain_verb->add_option("file", *explain, "The policy")->required();
  explain_verb->callback([&context, explain] { context.Fail(Explain(context, *explain)); });
}

}  // namespace tollgate::cli
