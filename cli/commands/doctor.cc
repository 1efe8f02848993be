#include "cli/commands/doctor.h"

#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/duration.h"
#include "base/status.h"
#include "net/url_head.h"
#include "nlohmann/json.hpp"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

// A million tokens take seconds.
constexpr absl::Duration kReadsEveryToken = absl::Minutes(10);

struct EdgeOptions {
  std::string url;
  std::string ca;
  bool token = false;
  int times = 8;
};

// What came back, of all questions together.
struct Findings {
  std::map<int, int> statuses;
  std::set<std::string> ids;
  int without_id = 0;
  int replayed = 0;
};

absl::StatusOr<Findings> Look(Context& context, const EdgeOptions& options) {
  net::UrlQuestion question;
  question.url = options.url;
  question.ca = options.ca;
  question.allow_plaintext = context.settings().allow_plaintext;
  if (options.token) {
    question.bearer = context.ReadSecret();
    if (question.bearer.empty()) {
      return absl::InvalidArgumentError("no token string on standard input");
    }
  }
  Findings found;
  for (int i = 0; i < options.times; ++i) {
    ASSIGN_OR_RETURN(const net::UrlHead head, net::AskUrl(question));
    ++found.statuses[head.status];
    std::string id;
    for (const auto& [name, value] : head.headers) {
      if (name == "tollgate-decision") id = value;
    }
    if (id.empty()) {
      ++found.without_id;
    } else if (!found.ids.insert(id).second) {
      ++found.replayed;
    }
  }
  return found;
}

absl::Status Edge(Context& context, const EdgeOptions& options) {
  ASSIGN_OR_RETURN(const Findings found, Look(context, options));
  if (found.replayed > 0) context.exit_code = kDenied;
  if (found.ids.empty()) {
    return base::Refuse(
        absl::StatusCode::kNotFound, "NO_DECISION_SEEN",
        absl::StrCat("none of ", options.times, " answers has the header Tollgate-Decision (",
                     absl::StrJoin(found.statuses, ", ", absl::PairFormatter(" x ")),
                     "): this path is not behind Tollgate, or the proxy does not pass the header "
                     "on, as the recipes do"));
  }
  if (context.settings().json()) {
    nlohmann::json statuses = nlohmann::json::object();
    for (const auto& [status, count] : found.statuses) statuses[absl::StrCat(status)] = count;
    const nlohmann::json answer = {{"asked", options.times},
                                   {"statuses", statuses},
                                   {"ids", found.ids.size()},
                                   {"without_id", found.without_id},
                                   {"replayed", found.replayed}};
    context.raw_out() << answer.dump(2) << '\n';
    return absl::OkStatus();
  }
  if (context.settings().quiet) return absl::OkStatus();
  if (found.replayed > 0) {
    context.out()
        << "replayed     " << found.replayed + static_cast<int>(found.ids.size())
        << " answers carry " << found.ids.size() << (found.ids.size() == 1 ? " id" : " ids")
        << ": something between here and the edge keeps its answers.\n"
        << "  It admits what was revoked, for as long as it keeps them. Turn the cache of "
           "the check off (docs/fronts.md, \"No cache in front\").\n";
    return absl::OkStatus();
  }
  context.out() << "fresh        " << found.ids.size() << " answers, each with an id of its own";
  if (found.without_id > 0) context.out() << "; " << found.without_id << " without one";
  context.out() << '\n';
  return absl::OkStatus();
}

absl::Status Store(Context& context) {
  tollgate::v1::CheckStoreResponse found;
  RETURN_IF_ERROR(context.Ask(&tollgate::v1::OperationsService::Stub::CheckStore,
                              tollgate::v1::CheckStoreRequest(), &found, kReadsEveryToken));
  if (found.fault_count() > 0) context.exit_code = kDenied;
  if (context.settings().json()) return context.ShowJson(found);
  if (context.settings().quiet) return absl::OkStatus();
  const std::string what =
      absl::StrCat(found.tokens(), found.tokens() == 1 ? " token of " : " tokens of ",
                   found.workspaces(), found.workspaces() == 1 ? " workspace, " : " workspaces, ",
                   found.live_tokens(), " of them live, ",
                   found.purged_tokens() > 0 ? absl::StrCat(found.purged_tokens(), " more purged, ")
                                             : std::string(),
                   "at revision ", found.revision());
  if (found.fault_count() == 0) {
    context.out() << "sound        " << what << '\n';
    return absl::OkStatus();
  }
  context.out() << "faulty       " << found.fault_count()
                << (found.fault_count() == 1 ? " fault" : " faults") << " in " << what << '\n';
  for (const std::string& fault : found.faults()) {
    context.out() << "  " << SafeForTerminal(fault) << '\n';
  }
  if (found.fault_count() > found.faults_size()) {
    context.out() << "  and " << found.fault_count() - found.faults_size() << " more\n";
  }
  context.out()
      << "  No command writes such a store: keep a copy of its folder, and restore the last "
         "backup with the journal (docs/operations.md).\n";
  return absl::OkStatus();
}

}  // namespace

void AddDoctorCommands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("doctor", "Find what is wrong around Tollgate");
  noun->require_subcommand(1);
  auto options = std::make_shared<EdgeOptions>();
  CLI::App* edge = noun->add_subcommand(
      "edge", "Ask a URL behind an edge several times: does anything in front replay its answers?");
  edge->add_option("url", options->url, "As in https://api.example/v1/items")->required();
  edge->add_flag("--token", options->token, "With a token string, read from standard input");
  edge->add_option("--ca-file", options->ca, "Who signs the server's certificate, PEM");
  edge->add_option("--times", options->times, "Ask so often")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  edge->callback([&context, options] { context.Fail(Edge(context, *options)); });
  CLI::App* store = noun->add_subcommand(
      "store", "Read every token: do the counts and the index say what the tokens do?");
  store->callback([&context] { context.Fail(Store(context)); });
}

}  // namespace tollgate::cli
