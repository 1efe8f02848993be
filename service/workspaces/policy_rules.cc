#include "service/workspaces/policy_rules.h"

#include <re2/re2.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/duration.h"
#include "base/status.h"
#include "service/records/held_token.h"
#include "storage/live_count.h"
#include "storage/schema.h"
#include "token/resource_name.h"
#include "token/scope.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::PolicyRecord;

constexpr size_t kLabelsAtATime = 256;

RE2::Options PatternOptions() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);  // a pattern is a tenant's input: its cost is bounded
  return options;
}

absl::Status RefuseByPolicy(absl::string_view reason, absl::string_view field,
                            absl::string_view description) {
  base::ErrorDetails details;
  details.reason = std::string(reason);
  details.fields.push_back({std::string(field), std::string(description)});
  return base::Refuse(absl::StatusCode::kFailedPrecondition, absl::StrCat(field, ": ", description),
                      details);
}

bool IsGrantable(const PolicyRecord& policy, const std::string& scope) {
  return policy.grantable_scopes().empty() ||
         std::any_of(
             policy.grantable_scopes().begin(), policy.grantable_scopes().end(),
             [&](const std::string& granted) { return token::ScopeGrants(granted, scope); });
}

}  // namespace

absl::Status CheckLabelPattern(const std::string& pattern, absl::string_view field) {
  if (pattern.size() > kMaxLabelPatternLength) {
    return base::RefuseField("LABEL_PATTERN_INVALID", field,
                             absl::StrCat("is longer than ", kMaxLabelPatternLength, " bytes"));
  }
  if (pattern.find('\0') != std::string::npos) {
    return base::RefuseField("LABEL_PATTERN_INVALID", field, "holds a 0 byte");
  }
  const RE2 re(pattern, PatternOptions());
  if (!re.ok()) {
    return base::RefuseField("LABEL_PATTERN_INVALID", field,
                             absl::StrCat("is no RE2 pattern: ", re.error()));
  }
  return absl::OkStatus();
}

absl::Status CheckLabelUnderPolicy(const PolicyRecord& policy, const std::string& label,
                                   absl::string_view field) {
  if (policy.label_pattern().empty()) return absl::OkStatus();
  const RE2 re(policy.label_pattern(), PatternOptions());
  if (re.ok() && RE2::FullMatch(label, re)) return absl::OkStatus();
  return RefuseByPolicy(
      "LABEL_PATTERN_MISMATCH", field,
      absl::StrCat("must match this workspace's pattern ", policy.label_pattern()));
}

absl::Status WithRemedy(const absl::Status& refusal, absl::string_view remedy) {
  return base::Refuse(refusal.code(), absl::StrCat(refusal.message(), "; ", remedy),
                      base::DetailsOf(refusal));
}

absl::Status CheckReplacementLabel(const PolicyRecord& policy, const std::string& label) {
  const absl::Status label_is_fine = CheckLabelUnderPolicy(policy, label, "token.label");
  if (label_is_fine.ok()) return absl::OkStatus();
  return WithRemedy(label_is_fine,
                    "a replacement is a new token: give the old one such a label first");
}

absl::Status CheckScopesUnderPolicy(const PolicyRecord& policy,
                                    const google::protobuf::RepeatedPtrField<std::string>& scopes,
                                    const google::protobuf::RepeatedPtrField<std::string>& held,
                                    absl::string_view field) {
  for (int i = 0; i < scopes.size(); ++i) {
    const std::string& scope = scopes[i];
    if (std::find(held.begin(), held.end(), scope) != held.end()) continue;
    if (!IsGrantable(policy, scope)) {
      return RefuseByPolicy("SCOPE_NOT_GRANTABLE", absl::StrCat(field, "[", i, "]"),
                            absl::StrCat("this workspace's policy does not let '", scope,
                                         "' be granted; see its grantable_scopes"));
    }
  }
  return absl::OkStatus();
}

google::protobuf::RepeatedPtrField<std::string> GrantableScopes(
    const PolicyRecord& policy, const google::protobuf::RepeatedPtrField<std::string>& scopes) {
  google::protobuf::RepeatedPtrField<std::string> grantable;
  for (const std::string& scope : scopes) {
    if (IsGrantable(policy, scope)) *grantable.Add() = scope;
  }
  return grantable;
}

absl::Status CheckLifetimeUnderPolicy(const PolicyRecord& policy, absl::Time created,
                                      absl::Time expire, absl::string_view field) {
  if (policy.max_lifetime_us() == 0) return absl::OkStatus();
  const absl::Duration longest = absl::Microseconds(policy.max_lifetime_us());
  if (expire <= created + longest) return absl::OkStatus();
  return RefuseByPolicy(
      "LIFETIME_TOO_LONG", field,
      absl::StrCat("this workspace's tokens live for at most ", base::TextFromDuration(longest)));
}

absl::Status CheckRoom(const storage::View& view, const PolicyRecord& policy,
                       absl::string_view workspace) {
  if (policy.max_live_tokens() == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int64_t live, storage::LiveTokens(view, workspace));
  if (live < policy.max_live_tokens()) return absl::OkStatus();
  base::ErrorDetails details;
  details.reason = "TOO_MANY_TOKENS";
  details.metadata = {{"live_token_count", absl::StrCat(live)},
                      {"max_live_tokens", absl::StrCat(policy.max_live_tokens())}};
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(workspace, " has ", live, " live tokens, and its policy lets it have ",
                   policy.max_live_tokens(),
                   ". Revoke those that nobody uses, or raise max_live_tokens"),
      details);
}

absl::Status CheckLabelFree(const storage::View& view, const PolicyRecord& policy,
                            absl::string_view workspace, const std::string& label,
                            const std::set<std::string>& exempt, absl::Time now,
                            absl::string_view field) {
  if (!policy.unique_labels()) return absl::OkStatus();
  const storage::KeyRange range = storage::TokensWithLabel(workspace, label);
  std::string from = range.begin;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kLabels, from, range.end, kLabelsAtATime));
    for (const storage::Entry& entry : entries) {
      const std::string token_id = entry.key.substr(range.begin.size());
      if (exempt.count(token_id) != 0) continue;
      ASSIGN_OR_RETURN(const auto holder, FindToken(view, workspace, token_id));
      // The index still holds tokens that a cohort or time has ended.
      if (!holder.has_value() || token::IsFinal(holder->StateAt(now))) continue;
      const bool alike = holder->record.label() != label;
      base::ErrorDetails details;
      details.reason = "LABEL_TAKEN";
      details.metadata = {{"token", holder->name()}};
      details.fields.push_back(
          {std::string(field), "labels are unique in this workspace, and a live token has it"});
      return base::Refuse(
          absl::StatusCode::kAlreadyExists,
          absl::StrCat(field, ": labels are unique in this workspace, and ", holder->name(),
                       alike ? " has one that reads the same (its characters are written "
                               "otherwise); choose another, or rotate it"
                             : " has this one; choose another, or rotate it"),
          details);
    }
    if (entries.size() < kLabelsAtATime) return absl::OkStatus();
    from = storage::KeyAfter(entries.back().key);
  }
}

}  // namespace tollgate::service
