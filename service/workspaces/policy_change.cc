#include "service/workspaces/policy_change.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "google/protobuf/descriptor.h"
#include "service/records/field_time.h"
#include "service/records/retention.h"
#include "service/records/token_shape.h"
#include "service/workspaces/policy_rules.h"
#include "token/edge_annotations.h"
#include "token/field_rules.h"

namespace tollgate::service {
namespace {

// Beyond any store; a JSON number tells it exactly.
constexpr int64_t kMostLiveTokens = 1'000'000'000;

using ::google::protobuf::FieldMask;
using ::tollgate::store::v1::PolicyRecord;
using ::tollgate::v1::WorkspacePolicy;

// In micros; 0 where unset.
absl::StatusOr<int64_t> PolicyMicros(bool has, const google::protobuf::Duration& duration,
                                     absl::string_view field) {
  if (!has) return 0;
  ASSIGN_OR_RETURN(const absl::Duration value,
                   DurationFromField(duration, field, kShortest, "POLICY_DURATION_OUT_OF_BOUNDS"));
  return absl::ToInt64Microseconds(value);
}

// As the record has it.
absl::StatusOr<int64_t> RetentionMicros(const WorkspacePolicy& policy) {
  if (!policy.has_ended_retention()) return 0;
  const bool zero =
      policy.ended_retention().seconds() == 0 && policy.ended_retention().nanos() == 0;
  if (zero) return kKeepEnded;
  return PolicyMicros(true, policy.ended_retention(), "policy.ended_retention");
}

// A shorter limit counts from now: what was granted under a longer one has as long again.
void LimitUnused(int64_t limit_us, absl::Time now, PolicyRecord* record) {
  const int64_t before_us = record->max_unused_us();
  record->set_max_unused_us(limit_us);
  if (limit_us == 0) {
    record->clear_max_unused_since_us();
  } else if (before_us == 0 || limit_us < before_us || record->max_unused_since_us() == 0) {
    record->set_max_unused_since_us(ToRecordMicros(now));
  }
}

}  // namespace

absl::Status CheckPolicyChange(const WorkspacePolicy& policy, const FieldMask& mask) {
  // An empty policy with an empty mask would silently lift every limit.
  if (mask.paths().empty()) {
    return base::RefuseField(
        "MASK_REQUIRED", "update_mask",
        "is empty; name the fields to change, as in max_lifetime, or * for all");
  }
  for (const std::string& path : mask.paths()) {
    if (path != "*" && WorkspacePolicy::descriptor()->FindFieldByName(path) == nullptr) {
      return base::RefuseField(
          "UNKNOWN_FIELD", "update_mask",
          "names what is no field of the policy; use names as in max_lifetime");
    }
  }
  RETURN_IF_ERROR(CheckLabelPattern(policy.label_pattern(), "policy.label_pattern"));
  RETURN_IF_ERROR(token::CheckHoldsNoTokenString(policy.label_pattern(), "policy.label_pattern"));
  RETURN_IF_ERROR(
      PolicyMicros(policy.has_max_lifetime(), policy.max_lifetime(), "policy.max_lifetime")
          .status());
  RETURN_IF_ERROR(
      PolicyMicros(policy.has_rotation_period(), policy.rotation_period(), "policy.rotation_period")
          .status());
  RETURN_IF_ERROR(
      PolicyMicros(policy.has_max_unused(), policy.max_unused(), "policy.max_unused").status());
  RETURN_IF_ERROR(RetentionMicros(policy).status());
  if (policy.max_live_tokens() < 0 || policy.max_live_tokens() > kMostLiveTokens) {
    return base::RefuseField("LIMIT_OUT_OF_BOUNDS", "policy.max_live_tokens",
                             "must be 1 to 1000000000 tokens, or 0 for any number");
  }
  RETURN_IF_ERROR(token::CheckScopes(policy.grantable_scopes(), "policy.grantable_scopes"));
  RETURN_IF_ERROR(
      token::CheckScopeStars(policy.grantable_scopes(), /*held=*/{}, "policy.grantable_scopes"));
  RETURN_IF_ERROR(
      token::CheckEdgeAnnotations(policy.edge_annotations(), "policy.edge_annotations"));
  return absl::OkStatus();
}

absl::Status ChangePolicy(const WorkspacePolicy& policy, const FieldMask& mask, absl::Time now,
                          PolicyRecord* record) {
  const auto sets = [&](absl::string_view path) {
    return std::any_of(mask.paths().begin(), mask.paths().end(),
                       [&](const std::string& named) { return named == path || named == "*"; });
  };
  if (sets("label_pattern")) record->set_label_pattern(policy.label_pattern());
  if (sets("unique_labels")) record->set_unique_labels(policy.unique_labels());
  if (sets("max_lifetime")) {
    ASSIGN_OR_RETURN(const int64_t us, PolicyMicros(policy.has_max_lifetime(),
                                                    policy.max_lifetime(), "policy.max_lifetime"));
    record->set_max_lifetime_us(us);
  }
  if (sets("rotation_period")) {
    ASSIGN_OR_RETURN(const int64_t us,
                     PolicyMicros(policy.has_rotation_period(), policy.rotation_period(),
                                  "policy.rotation_period"));
    record->set_rotation_period_us(us);
  }
  if (sets("max_unused")) {
    ASSIGN_OR_RETURN(const int64_t us, PolicyMicros(policy.has_max_unused(), policy.max_unused(),
                                                    "policy.max_unused"));
    LimitUnused(us, now, record);
  }
  if (sets("ended_retention")) {
    ASSIGN_OR_RETURN(const int64_t us, RetentionMicros(policy));
    record->set_ended_retention_us(us);
  }
  if (sets("max_live_tokens")) record->set_max_live_tokens(policy.max_live_tokens());
  if (sets("grantable_scopes")) *record->mutable_grantable_scopes() = policy.grantable_scopes();
  if (sets("edge_annotations")) *record->mutable_edge_annotations() = policy.edge_annotations();
  if (sets("report_attempt_addresses")) {
    record->set_report_attempt_addresses(policy.report_attempt_addresses());
  }
  return absl::OkStatus();
}

}  // namespace tollgate::service
