#include "policy/policy.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "base/invariant.h"
#include "base/status.h"
#include "policy/canonical_path.h"
#include "policy/credential.h"
#include "policy/host.h"
#include "policy/pattern.h"
#include "policy/policy_file.h"
#include "policy/refusal.h"
#include "policy/route_index.h"
#include "token/fingerprint.h"

namespace tollgate::policy {
namespace {

// Of the fingerprint: enough to tell versions apart, short enough for a log line.
constexpr size_t kFingerprintBytes = 6;

// Headers by which some frameworks take another path than the target's. The path that is judged
// must be the path that is served.
constexpr absl::string_view kPathOverrides[] = {"x-original-url", "x-rewrite-url"};
// Headers by which some frameworks take another method.
constexpr absl::string_view kMethodOverrides[] = {"x-http-method-override", "x-http-method",
                                                  "x-method-override"};

// Whether a header that was sent reads as one of `names`.
template <class Names>
bool ReadsAsOneOf(absl::string_view sent, const Names& names) {
  return std::any_of(std::begin(names), std::end(names),
                     [sent](absl::string_view name) { return ReadsAsHeader(sent, name); });
}

Refused CheckMethod(const Request& request) {
  if (!IsMethod(request.method)) {
    if (IsMethod(absl::AsciiStrToUpper(request.method))) {
      return Refusal{400, "METHOD_AMBIGUOUS", "the method has a letter in lower case"};
    }
    return Refusal{400, "METHOD_MALFORMED", "the method is none of HTTP"};
  }
  // One program opens a tunnel for it, and the next one takes it for a request like any other: what
  // comes through the tunnel is judged by nobody.
  if (request.method == "CONNECT") {
    return Refusal{400, "METHOD_AMBIGUOUS", "CONNECT asks for a tunnel"};
  }
  for (const auto& [name, value] : request.headers) {
    if (ReadsAsOneOf(name, kMethodOverrides) && value != request.method) {
      return Refusal{400, "METHOD_AMBIGUOUS", "a header asks for another method than the request"};
    }
  }
  return absl::nullopt;
}

int PortOf(const Host& host, absl::string_view scheme) {
  if (host.port != 0) return host.port;
  return absl::EqualsIgnoreCase(scheme, "https") ? 443 : 80;
}

// The host of the request; empty: it names none. Where the target names one as well, they agree.
Refused FindHost(const Request& request, const Target& target, std::string* name) {
  Host host;
  if (!request.host.empty()) {
    if (Refused refused = ReadHost(request.host, &host)) return refused;
  }
  if (!target.authority.empty()) {
    Host named;
    if (Refused refused = ReadHost(target.authority, &named)) return refused;
    if (named.name != host.name || PortOf(named, target.scheme) != PortOf(host, target.scheme)) {
      return Refusal{400, "HOST_AMBIGUOUS", "the target names another host than the request"};
    }
  }
  *name = std::move(host.name);
  return absl::nullopt;
}

class PolicyInForce final : public Policy {
 public:
  PolicyInForce(PolicyFile file, std::string fingerprint)
      : file_(std::move(file)),
        fingerprint_(std::move(fingerprint)),
        index_(PatternsOf(file_), file_.guard_case) {
    for (const Rule& rule : file_.rules) {
      routes_.push_back(rule.route);
      names_hosts_ = names_hosts_ || rule.pattern.host.kind != HostPattern::Kind::kAny;
    }
    for (const Rule& rule : file_.requirements) {
      requirements_[absl::StripPrefix(rule.route.name, kRequirementPrefix)] = &rule;
    }
    const Upstream& upstream = file_.upstream;
    for (const std::string& header :
         {upstream.workspace_header, upstream.token_header, upstream.owner_header,
          upstream.scopes_header, upstream.expires_header}) {
      if (!header.empty()) identity_headers_.push_back(header);
    }
    for (const auto& [key, header] : upstream.annotation_headers) {
      identity_headers_.push_back(header);
    }
  }

  Judgement Judge(const Request& request) const override {
    Judgement judgement;
    if (const Refused refused = Consider(request, &judgement)) {
      judgement.kind = Judgement::Kind::kRefused;
      judgement.status = refused->status;
      judgement.reason = refused->reason;
      judgement.description = refused->description;
      judgement.credential = base::SecretBytes();
    } else {
      DropForeign(request, &judgement);
    }
    return judgement;
  }

  const Upstream& upstream() const override { return file_.upstream; }
  const Words& words() const override { return file_.words; }
  const std::vector<Route>& routes() const override { return routes_; }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  static std::vector<Pattern> PatternsOf(const PolicyFile& file) {
    std::vector<Pattern> patterns;
    patterns.reserve(file.rules.size());
    for (const Rule& rule : file.rules) patterns.push_back(rule.pattern);
    return patterns;
  }

  // The proxy appends what it has seen, so the last entry of the last line is its own; what stands
  // before it the client may have sent.
  base::IpAddress ClientOf(const Request& request) const {
    if (file_.client_header.empty()) return request.client;
    for (auto header = request.headers.rbegin(); header != request.headers.rend(); ++header) {
      if (!absl::EqualsIgnoreCase(header->first, file_.client_header)) continue;
      const absl::string_view list = header->second;
      const size_t comma = list.rfind(',');
      const absl::string_view last =
          comma == absl::string_view::npos ? list : list.substr(comma + 1);
      return base::IpAddress::FromText(absl::StripAsciiWhitespace(last));
    }
    return request.client;
  }

  Refused Consider(const Request& request, Judgement* judgement) const {
    if (Refused refused = CheckMethod(request)) return refused;
    Target target;
    if (Refused refused = ReadTarget(request.target, request.method, &target)) return refused;
    std::string host;
    if (Refused refused = FindHost(request, target, &host)) return refused;
    const Rule* rule = nullptr;
    if (Refused refused = FindRule(request, host, target.path, &rule)) return refused;
    judgement->route = &rule->route;
    if (!rule->needs.token) {
      judgement->kind = Judgement::Kind::kOpen;
      if (!file_.upstream.keep_credential) {
        FindStrayTokens(file_.places, request.headers, target.query, &judgement->drop_headers,
                        &judgement->drop_query);
      }
      return absl::nullopt;
    }
    Credential credential;
    if (Refused refused =
            FindCredential(file_.places, request.headers, target.query, &credential)) {
      return refused;
    }
    judgement->kind = Judgement::Kind::kGuarded;
    judgement->optional = rule->needs.optional;
    judgement->client = ClientOf(request);
    judgement->credential = std::move(credential.token);
    if (!credential.header.empty() && !file_.upstream.keep_credential) {
      judgement->drop_headers.push_back(std::move(credential.header));
    }
    // One that stands where it is not read goes no further than here either.
    if (!file_.upstream.keep_credential) {
      FindStrayTokens(file_.places, request.headers, target.query, &judgement->drop_headers,
                      &judgement->drop_query);
    }
    // A URL is written to logs, so a token never goes on in one.
    std::vector<std::string>& drop_query = judgement->drop_query;
    if (!credential.query.empty() &&
        std::find(drop_query.begin(), drop_query.end(), credential.query) == drop_query.end()) {
      drop_query.push_back(std::move(credential.query));
    }
    judgement->requirement = rule->needs.requirement;
    if (const std::string& variable = rule->needs.workspace_variable; !variable.empty()) {
      const absl::optional<size_t> segment = rule->pattern.path.IndexOf(variable);
      TOLLGATE_INVARIANT(segment.has_value(), "a workspace's variable is one of its path");
      judgement->requirement.workspace = std::string(SegmentOf(target.path, *segment));
      TOLLGATE_INVARIANT(!judgement->requirement.workspace.empty(),
                         "an empty workspace would ask for none");
    }
    return absl::nullopt;
  }

  // What the request needs. `path` is canonical, and empty for `*`.
  Refused FindRule(const Request& request, absl::string_view host, absl::string_view path,
                   const Rule** rule) const {
    if (!request.requirement.empty()) {
      const auto named = requirements_.find(request.requirement);
      if (named == requirements_.end()) {
        return Refusal{403, "REQUIREMENT_UNKNOWN", "the proxy asks by a name that is unknown here"};
      }
      *rule = named->second;
      return absl::nullopt;
    }
    if (names_hosts_ && host.empty()) {
      return Refusal{400, "HOST_MISSING", "the request names no host"};
    }
    const RouteIndex::Found found = index_.Find({host, request.method, path});
    if (found.route != RouteIndex::kNone) {
      if (found.other_case) {
        return Refusal{400, "PATH_AMBIGUOUS",
                       "the path is another one for programs that tell no case"};
      }
      *rule = &file_.rules[found.route];
      return absl::nullopt;
    }
    if (file_.otherwise.has_value()) {
      *rule = &*file_.otherwise;
      return absl::nullopt;
    }
    if (file_.otherwise_status == 404) return Refusal{404, "NO_ROUTE", "there is nothing here"};
    return Refusal{403, "NO_ROUTE", "nothing lets this request pass"};
  }

  // Takes away what the client must not say: identity headers in every spelling, whether or not the
  // front saw them, and headers that would have the path read anew.
  void DropForeign(const Request& request, Judgement* judgement) const {
    std::vector<std::string>& drop = judgement->drop_headers;
    const auto add = [&drop](std::string name) {
      if (std::find(drop.begin(), drop.end(), name) == drop.end()) drop.push_back(std::move(name));
    };
    for (const std::string& header : identity_headers_) add(header);
    for (const auto& [sent, value] : request.headers) {
      if (ReadsAsHeader(absl::string_view(sent).substr(0, kOwnPrefix.size()), kOwnPrefix) ||
          ReadsAsOneOf(sent, kPathOverrides) || ReadsAsOneOf(sent, identity_headers_)) {
        add(absl::AsciiStrToLower(sent));
      }
    }
  }

  const PolicyFile file_;
  const std::string fingerprint_;
  const RouteIndex index_;
  bool names_hosts_ = false;
  std::vector<Route> routes_;
  // Views of the names, and pointers to the rules, of `file_`.
  absl::flat_hash_map<absl::string_view, const Rule*> requirements_;
  std::vector<std::string> identity_headers_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Policy>> Policy::Parse(absl::string_view text,
                                                            absl::string_view name) {
  ASSIGN_OR_RETURN(PolicyFile file, ReadPolicyFile(text, name));
  const std::string hash = token::Fingerprint("tollgate policy", {text});
  return std::make_shared<const PolicyInForce>(
      std::move(file),
      absl::BytesToHexString(absl::string_view(hash).substr(0, kFingerprintBytes)));
}

}  // namespace tollgate::policy
