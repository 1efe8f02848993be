#include "validator/fronts/forward_auth.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "base/log.h"
#include "base/status.h"
#include "policy/policy_file.h"

namespace tollgate::validator {
namespace {

constexpr char kBelow[] = "/auth/";
constexpr absl::string_view kHost = "Host";

struct ControlHeaders {
  absl::string_view method;
  absl::string_view target;
  absl::string_view host;
};
constexpr ControlHeaders kOfNginx = {"X-Original-Method", "X-Original-URI", "X-Original-Host"};
constexpr ControlHeaders kOfForwarded = {"X-Forwarded-Method", "X-Forwarded-Uri",
                                         "X-Forwarded-Host"};

// What the path of a question chooses.
struct Choice {
  Convention convention = Convention::kNginx;
  absl::string_view requirement;  // empty: none
  absl::string_view target;       // kItself: of the request itself
};

// Nothing where the path is no question.
absl::optional<Choice> ChoiceOf(absl::string_view target) {
  if (!absl::ConsumePrefix(&target, kBelow)) return absl::nullopt;
  Choice choice;
  if (absl::ConsumePrefix(&target, "require/")) {
    choice.requirement = target.substr(0, target.find('/'));
    if (choice.requirement.empty() || choice.requirement.size() == target.size()) {
      return absl::nullopt;
    }
    target.remove_prefix(choice.requirement.size() + 1);
  }
  const absl::string_view path = target.substr(0, target.find('?'));
  if (path == "nginx") {
    choice.convention = Convention::kNginx;
  } else if (path == "forwarded") {
    choice.convention = Convention::kForwarded;
  } else if (absl::StartsWith(path, "request/") || path == "request*") {
    // OPTIONS asks about "*", which a proxy puts behind its prefix as it is.
    choice.convention = Convention::kItself;
    choice.target = absl::StripPrefix(target, "request");
  } else {
    return absl::nullopt;
  }
  return choice;
}

absl::Status Misled(absl::string_view header, absl::string_view what) {
  return base::Refuse(absl::StatusCode::kInvalidArgument, "PROXY_MISCONFIGURED",
                      absl::StrCat("the proxy's question ", what, " ", header,
                                   ": it is to set that header, once, over what the client sent"));
}

// The one value of a header.
absl::StatusOr<absl::string_view> OnlyValue(const net::HttpRequest& question,
                                            absl::string_view header) {
  const int count = question.CountHeader(header);
  if (count > 1) return Misled(header, "has more than one");
  const absl::string_view value = question.Header(header);
  if (value.empty()) return Misled(header, count == 0 ? "has no" : "has an empty");
  return value;
}

// The client's host. One that sent none, as HTTP/1.0 allows, is at fault, and not the proxy, where
// it is known to tell hosts: by the request itself, or by a header that is there and empty. A
// header that is not there leaves both possible.
absl::StatusOr<absl::string_view> HostOf(const net::HttpRequest& question,
                                         absl::string_view header) {
  const int count = question.CountHeader(header);
  if (count > 1) return Misled(header, "has more than one");
  const absl::string_view host = question.Header(header);
  if (!host.empty()) return host;
  if (count == 0 && header != kHost) {
    return base::Refuse(
        absl::StatusCode::kInvalidArgument, "PROXY_MISCONFIGURED",
        absl::StrCat("the proxy's question has no ", header,
                     ": it is to set it, once, and to refuse a client that names no host"));
  }
  return base::Refuse(absl::StatusCode::kInvalidArgument, "HOST_MISSING",
                      "the request names no host");
}

net::HttpResponse ResponseOf(const GateAnswer& answer, Convention convention) {
  net::HttpResponse response;
  response.status = answer.status;
  response.content_type = answer.passes ? "" : "application/problem+json";
  response.body = answer.body;
  if (answer.passes) {
    response.headers = answer.upstream_headers;
    for (const std::string& name : answer.drop_headers) response.headers.emplace_back(name, "");
  }
  response.headers.insert(response.headers.end(), answer.client_headers.begin(),
                          answer.client_headers.end());
  if (convention == Convention::kNginx && !answer.passes) {
    response.headers.emplace_back("Tollgate-Status", absl::StrCat(answer.status));
    response.headers.emplace_back("Tollgate-Reason", answer.reason);
    if (answer.status == 400 || answer.status == 404) response.status = 403;
  }
  return response;
}

}  // namespace

absl::StatusOr<policy::Request> ReadQuestion(const net::HttpRequest& question,
                                             Convention convention, absl::string_view target,
                                             std::vector<policy::Header>* headers) {
  policy::Request request;
  if (convention == Convention::kItself) {
    request.method = question.method;
    request.target = target;
    ASSIGN_OR_RETURN(request.host, HostOf(question, kHost));
    headers->assign(question.headers.begin(), question.headers.end());
  } else {
    const ControlHeaders& names = convention == Convention::kNginx ? kOfNginx : kOfForwarded;
    ASSIGN_OR_RETURN(request.method, OnlyValue(question, names.method));
    ASSIGN_OR_RETURN(request.target, OnlyValue(question, names.target));
    ASSIGN_OR_RETURN(request.host, HostOf(question, names.host));
    const auto is_the_clients = [&names](const policy::Header& header) {
      for (const absl::string_view name : {names.method, names.target, names.host, kHost}) {
        if (absl::EqualsIgnoreCase(header.first, name)) return false;
      }
      return true;
    };
    headers->clear();
    std::copy_if(question.headers.begin(), question.headers.end(), std::back_inserter(*headers),
                 is_the_clients);
  }
  request.headers = *headers;
  return request;
}

void ForwardAuthFront::RegisterOn(FrontHost* host) {
  host->AddHttpHandler(kBelow, [this](net::HttpExchange exchange) { Answer(std::move(exchange)); });
}

void ForwardAuthFront::Answer(net::HttpExchange exchange) {
  // A function that can be copied cannot hold what cannot.
  const auto held = std::make_shared<net::HttpExchange>(std::move(exchange));
  const net::HttpRequest& question = held->request();
  const absl::optional<Choice> choice = ChoiceOf(question.target);
  const Convention convention = choice.has_value() ? choice->convention : Convention::kItself;
  const auto answer = [this, held, convention](const GateAnswer& given) {
    CountAnswer(given, &counts_);
    held->Answer(ResponseOf(given, convention));
  };
  const auto misled = [this, &answer](absl::string_view words) {
    base::LogSummed(base::LogLevel::kWarning,
                    "a proxy is set up wrongly: its questions are refused, and so is everything "
                    "behind it",
                    words.substr(0, words.find(':')), {{"what", words}});
    answer(gate_->Reject(500, "PROXY_MISCONFIGURED", words));
  };
  if (!choice.has_value()) {
    return misled(
        "no question has this path: proxies ask at /auth/nginx, /auth/forwarded or "
        "/auth/request/, the latter with the client's path behind it");
  }
  std::vector<policy::Header> headers;
  absl::StatusOr<policy::Request> request =
      ReadQuestion(question, convention, choice->target, &headers);
  if (!request.ok()) {
    const std::string reason = base::ReasonOf(request.status());
    if (reason == "PROXY_MISCONFIGURED") return misled(request.status().message());
    return answer(gate_->Reject(400, reason, request.status().message()));
  }
  request->requirement = choice->requirement;
  gate_->Ask(*request, [this, answer](const GateAnswer& given) {
    if (given.passes && !given.drop_query.empty()) {
      return answer(
          gate_->Reject(400, "CREDENTIAL_IN_QUERY",
                        "a token in the query cannot be taken away here; send it in a header"));
    }
    // A proxy is set up to take names away, and knows neither another spelling of them nor a name
    // that the policy has not.
    if (given.passes && std::any_of(given.drop_headers.begin(), given.drop_headers.end(),
                                    [](const std::string& name) {
                                      return absl::StrContains(name, '_') ||
                                             absl::StartsWithIgnoreCase(name, policy::kOwnPrefix);
                                    })) {
      return answer(gate_->Reject(400, "HEADER_AMBIGUOUS",
                                  "a header states who speaks, or where the request goes, by a "
                                  "name or spelling that no proxy is set up to take away"));
    }
    answer(given);
  });
}

}  // namespace tollgate::validator
