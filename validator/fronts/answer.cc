#include "validator/fronts/answer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::VerdictReason;

constexpr absl::string_view kInvalidRequest = "invalid_request";
constexpr absl::string_view kInvalidToken = "invalid_token";
constexpr absl::string_view kInsufficientScope = "insufficient_scope";

struct Meaning {
  int status;
  absl::string_view error;
};

Meaning MeaningOf(VerdictReason reason) {
  switch (reason) {
    case tollgate::v1::VERDICT_REASON_UNSPECIFIED:
      return {200, ""};
    case tollgate::v1::VERDICT_REASON_NO_TOKEN:
      return {401, ""};  // RFC 6750, 3.1: no error code where no credentials came
    case tollgate::v1::VERDICT_REASON_MALFORMED:
    case tollgate::v1::VERDICT_REASON_UNKNOWN:
    case tollgate::v1::VERDICT_REASON_REVOKED:
    case tollgate::v1::VERDICT_REASON_EXPIRED:
    case tollgate::v1::VERDICT_REASON_SUSPENDED:
      return {401, kInvalidToken};
    case tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE:
      return {403, kInsufficientScope};
    case tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE:
    case tollgate::v1::VERDICT_REASON_WRONG_WORKSPACE:
      return {403, ""};  // good elsewhere: RFC 6750 has no code for it that accuses nobody
    case tollgate::v1::VERDICT_REASON_NO_LEASE:
    case tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE:
    case tollgate::v1::VERDICT_REASON_OVERLOADED:
    default:  // a reason newer than this build: neither admitted nor accused (I7)
      return {503, ""};
  }
}

// A quoted string of RFC 7230; characters that cannot be quoted are left out.
std::string Quoted(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) continue;
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

// The scopes that would have sufficed, as RFC 6750 names them: all required ones, and the first of
// any alternatives.
std::string ScopeOf(const token::Requirement& requirement) {
  std::vector<absl::string_view> scopes(requirement.all_scopes.begin(),
                                        requirement.all_scopes.end());
  const auto add = [&scopes](absl::string_view scope) {
    if (std::find(scopes.begin(), scopes.end(), scope) == scopes.end()) scopes.push_back(scope);
  };
  if (!requirement.any_scopes.empty()) add(requirement.any_scopes.front());
  for (const absl::string_view scope : requirement.scope_expression.Sufficient()) add(scope);
  return absl::StrJoin(scopes, " ");
}

std::string Challenge(const Answer& answer, const policy::Words& words, absl::string_view scope) {
  std::vector<std::string> parts;
  const auto add = [&parts](absl::string_view name, absl::string_view value) {
    if (!value.empty()) parts.push_back(absl::StrCat(name, "=", Quoted(value)));
  };
  add("realm", words.realm);
  add("error", answer.error);
  if (!answer.error.empty()) add("error_description", answer.description);
  add("scope", scope);
  add("resource_metadata", words.resource_metadata);
  std::string challenge = "Bearer";
  if (!parts.empty()) absl::StrAppend(&challenge, " ", absl::StrJoin(parts, ", "));
  // In the same line, since nginx passes on one.
  if (words.offer_basic && answer.status == 401) {
    absl::StrAppend(&challenge, ", Basic realm=", Quoted(words.realm));
  }
  return challenge;
}

// A reason without its enumeration's prefix; the names live as long as the program.
absl::string_view ReasonName(VerdictReason reason) {
  const std::string& name = tollgate::v1::VerdictReason_Name(reason);
  if (name.empty()) return "SERVICE_UNAVAILABLE";
  return absl::StripPrefix(name, "VERDICT_REASON_");
}

}  // namespace

tollgate::v1::Verdict VerdictOf(VerdictReason reason) {
  switch (MeaningOf(reason).status) {
    case 200:
      return tollgate::v1::VERDICT_ADMIT;
    case 503:
      return tollgate::v1::VERDICT_UNAVAILABLE;
    default:
      return tollgate::v1::VERDICT_DENY;
  }
}

Answer AnswerTo(VerdictReason reason, absl::Duration retry_after,
                const token::Requirement& requirement, const policy::Words& words) {
  const Meaning meaning = MeaningOf(reason);
  Answer answer;
  answer.status = meaning.status;
  answer.error = meaning.error;
  if (answer.status == 200) return answer;
  answer.reason = ReasonName(reason);
  answer.description = token::Describe(reason);
  if (answer.status == 503) {
    answer.retry_after = retry_after;
    return answer;
  }
  const bool scope = reason == tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE;
  answer.challenge = Challenge(answer, words, scope ? ScopeOf(requirement) : std::string());
  return answer;
}

Answer AnswerTo(const Decision& decision, const token::Requirement& requirement,
                const policy::Words& words) {
  // A decision that was never made is not an admission.
  const bool undecided =
      !decision.admitted() && decision.reason == tollgate::v1::VERDICT_REASON_UNSPECIFIED;
  return AnswerTo(undecided ? tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE : decision.reason,
                  decision.retry_after, requirement, words);
}

Answer AnswerToRefused(const policy::Judgement& judgement, const policy::Words& words) {
  Answer answer;
  answer.reason = judgement.reason;
  answer.description = judgement.description;
  if (judgement.status == 403 || judgement.status == 404) {
    answer.status = judgement.status;
    return answer;
  }
  answer.status = 400;
  answer.error = kInvalidRequest;
  answer.challenge = Challenge(answer, words, "");
  return answer;
}

}  // namespace tollgate::validator
