#include "validator/fronts/gate.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/secret.h"
#include "net/http_message.h"
#include "nlohmann/json.hpp"
#include "validator/core/validator.h"
#include "validator/fronts/identity.h"
#include "validator/fronts/presented.h"

namespace tollgate::validator {
namespace {

// A proxy may cut a longer body, or refuse it (Envoy's limits).
constexpr size_t kMostDetail = 128;  // of which each byte may come to six

// A header's value, whatever bytes stand in `text`: visible ASCII as it is, everything else as in a
// URL. What a list of headers is split at or quoted with is "everything else" too, and so is the
// percent sign, so that there is one way back.
std::string HeaderValue(absl::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string value;
  value.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        byte > 0x20 && byte < 0x7f && c != '%' && c != ',' && c != ';' && c != '"' && c != '\\';
    if (plain) {
      value.push_back(c);
    } else {
      value.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return value;
}

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string HttpDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", time, absl::UTCTimeZone());
}

// Each name that the policy gives, with an empty value where `grant` is null or says nothing.
GateAnswer::Headers IdentityHeaders(const policy::Upstream& names, const token::GrantView* grant) {
  GateAnswer::Headers headers;
  const auto set = [&headers](const std::string& name, std::string value) {
    if (!name.empty()) headers.emplace_back(name, std::move(value));
  };
  std::string scopes;
  for (size_t i = 0; grant != nullptr && i < grant->scope_count(); ++i) {
    absl::StrAppend(&scopes, i == 0 ? "" : " ", HeaderValue(grant->scope(i)));
  }
  const int64_t expires = grant == nullptr ? 0 : grant->expire_time_us();
  set(names.workspace_header, grant == nullptr ? "" : HeaderValue(grant->workspace()));
  set(names.token_header, grant == nullptr ? "" : HeaderValue(grant->token_id()));
  set(names.owner_header, grant == nullptr ? "" : HeaderValue(grant->owner()));
  set(names.scopes_header, std::move(scopes));
  set(names.expires_header, expires == 0 ? "" : Rfc3339(absl::FromUnixMicros(expires)));
  for (const auto& [key, header] : names.annotation_headers) {
    set(header, grant == nullptr ? "" : HeaderValue(grant->annotation(key)));
  }
  return headers;
}

// Tells the caller that its token is near its end, or retiring.
void TellEnd(const token::GrantView& grant, absl::Duration before, absl::Time now,
             GateAnswer::Headers* headers) {
  if (before <= absl::ZeroDuration()) return;
  const bool retiring = grant.state() == tollgate::v1::TOKEN_STATE_RETIRING;
  absl::Time end = absl::InfiniteFuture();
  if (grant.expire_time_us() != 0) end = absl::FromUnixMicros(grant.expire_time_us());
  if (retiring && grant.retire_time_us() != 0) {
    end = std::min(end, absl::FromUnixMicros(grant.retire_time_us()));
  }
  if (!retiring && end - now > before) return;
  if (end == absl::InfiniteFuture()) {  // it retires when it falls silent, or by hand
    headers->emplace_back("Tollgate-Token-Expires", "retiring");
    return;
  }
  headers->emplace_back("Tollgate-Token-Expires", Rfc3339(end));
  headers->emplace_back("Sunset", HttpDate(end));
}

std::string DecidedBy(const policy::Judgement& judgement) {
  if (judgement.route == nullptr) return "no route";
  return absl::StrCat(judgement.route->name, " (line ", judgement.route->line, ")");
}

std::string Problem(const Answer& answer, absl::string_view id) {
  nlohmann::ordered_json problem = {
      {"type", "about:blank"},
      {"title", std::string(net::HttpReason(answer.status))},
      {"status", answer.status},
      {"detail", std::string(answer.description.substr(0, kMostDetail))},
      {"reason", std::string(answer.reason)},
      {"decision", std::string(id)},
  };
  return problem.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

void CountAnswer(const GateAnswer& answer, FrontCounts* counts) {
  if (answer.verdict == tollgate::v1::VERDICT_UNSPECIFIED) return counts->CountRefused();
  counts->CountAnswer(answer.verdict);
}

Gate::Gate(Validator* validator, const PolicySource* policies, base::Random& random)
    : validator_(validator), policies_(policies), ids_(random) {}

void Gate::Ask(const policy::Request& request, Callback callback) {
  struct Asked {
    std::shared_ptr<const policy::Policy> policy;
    policy::Judgement judgement;
    Callback callback;
  };
  Asked asked;
  asked.policy = policies_->Current();
  asked.judgement = asked.policy->Judge(request);
  asked.callback = std::move(callback);
  const policy::Policy& policy = *asked.policy;
  const policy::Judgement& judgement = asked.judgement;

  if (judgement.kind == policy::Judgement::Kind::kRefused) {
    GateAnswer answer = Refuse(AnswerToRefused(judgement, policy.words()));
    answer.decided_by = DecidedBy(judgement);
    return asked.callback(answer);
  }
  const bool asks_nothing = judgement.kind == policy::Judgement::Kind::kOpen ||
                            (judgement.credential.empty() && judgement.optional);
  if (asks_nothing) return asked.callback(Pass(policy, judgement, nullptr));

  // Wiped when this returns; what waits for an answer does not have it.
  const base::SecretBytes credential = std::move(asked.judgement.credential);
  // One character too many makes it malformed, whatever follows.
  const absl::string_view token_string =
      credential.RevealSecret().substr(0, kLongestTokenString + 1);
  Validator::Miss miss;
  {
    Decision decision;
    if (validator_->Check(token_string, judgement.requirement, &decision, &miss,
                          judgement.client)) {
      return asked.callback(Decided(policy, judgement, decision));
    }
  }
  const auto waiting = std::make_shared<Asked>(std::move(asked));
  validator_->AskAbout(
      miss, token_string, waiting->judgement.requirement,
      [this, waiting](const Decision& decision) {
        waiting->callback(Decided(*waiting->policy, waiting->judgement, decision));
      },
      waiting->judgement.client);
}

GateAnswer Gate::Reject(int status, absl::string_view reason, absl::string_view words) const {
  Answer answer;
  answer.status = std::max(status, 400);
  answer.reason = reason;
  answer.description = words;
  answer.retry_after = absl::Seconds(1);
  return Refuse(answer);
}

GateAnswer Gate::Decided(const policy::Policy& policy, const policy::Judgement& judgement,
                         const Decision& decision) const {
  token::GrantView grant;
  const bool named = decision.ReadIdentity(&grant);
  GateAnswer answer;
  if (decision.admitted() && named) {
    answer = Pass(policy, judgement, &grant);
    TellEnd(grant, policy.upstream().tell_before_expiry, validator_->ServiceNow(),
            &answer.client_headers);
  } else {
    // Whoever is admitted has a name; an admission without one is none.
    const Answer words = decision.admitted()
                             ? AnswerTo(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE,
                                        absl::Seconds(1), judgement.requirement, policy.words())
                             : AnswerTo(decision, judgement.requirement, policy.words());
    answer = Refuse(words);
    answer.verdict =
        words.status == 503 ? tollgate::v1::VERDICT_UNAVAILABLE : tollgate::v1::VERDICT_DENY;
    answer.decided_by = DecidedBy(judgement);
  }
  if (named) FillIdentity(grant, &answer.identity);
  return answer;
}

GateAnswer Gate::Pass(const policy::Policy& policy, const policy::Judgement& judgement,
                      const token::GrantView* grant) const {
  GateAnswer answer;
  answer.passes = true;
  answer.status = 200;
  answer.verdict = tollgate::v1::VERDICT_ADMIT;
  answer.decided_by = DecidedBy(judgement);
  answer.upstream_headers = IdentityHeaders(policy.upstream(), grant);
  answer.drop_query = judgement.drop_query;
  // A proxy may drop after it has set.
  for (const std::string& name : judgement.drop_headers) {
    const bool is_set = std::any_of(answer.upstream_headers.begin(), answer.upstream_headers.end(),
                                    [&name](const auto& header) { return header.first == name; });
    if (!is_set) answer.drop_headers.push_back(name);
  }
  Sign(&answer);
  return answer;
}

GateAnswer Gate::Refuse(const Answer& words) const {
  GateAnswer answer;
  answer.status = words.status;
  answer.reason = std::string(words.reason);
  const std::string id = Sign(&answer);
  if (!words.challenge.empty()) {
    answer.client_headers.emplace_back("WWW-Authenticate", words.challenge);
  }
  if (words.status == 503) {
    const absl::Duration wait = absl::Ceil(words.retry_after, absl::Seconds(1));
    answer.client_headers.emplace_back(
        "Retry-After", absl::StrCat(std::max<int64_t>(absl::ToInt64Seconds(wait), 1)));
  }
  answer.body = Problem(words, id);
  return answer;
}

std::string Gate::Sign(GateAnswer* answer) const {
  std::string id = ids_.Next();
  answer->client_headers.emplace_back("Cache-Control", "no-store");
  answer->client_headers.emplace_back("Tollgate-Decision", id);
  return id;
}

}  // namespace tollgate::validator
