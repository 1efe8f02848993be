// The rules of a workspace's policy for tokens that are granted from now on. Pure.
#ifndef TOLLGATE_SERVICE_WORKSPACES_POLICY_RULES_H_
#define TOLLGATE_SERVICE_WORKSPACES_POLICY_RULES_H_

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/repeated_field.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

inline constexpr size_t kMaxLabelPatternLength = 256;  // bytes

// INVALID_ARGUMENT, LABEL_PATTERN_INVALID: not an RE2 pattern, or one of unbounded cost. "": no
// pattern.
absl::Status CheckLabelPattern(const std::string& pattern, absl::string_view field);

// FAILED_PRECONDITION, LABEL_PATTERN_MISMATCH, with the field.
absl::Status CheckLabelUnderPolicy(const tollgate::store::v1::PolicyRecord& policy,
                                   const std::string& label, absl::string_view field);

// FAILED_PRECONDITION, SCOPE_NOT_GRANTABLE, with the field as in `token.scopes[2]`. A scope among
// `held` was granted before, and is not judged.
absl::Status CheckScopesUnderPolicy(const tollgate::store::v1::PolicyRecord& policy,
                                    const google::protobuf::RepeatedPtrField<std::string>& scopes,
                                    const google::protobuf::RepeatedPtrField<std::string>& held,
                                    absl::string_view field);

// Those of `scopes` that the policy lets be granted, in their order.
google::protobuf::RepeatedPtrField<std::string> GrantableScopes(
    const tollgate::store::v1::PolicyRecord& policy,
    const google::protobuf::RepeatedPtrField<std::string>& scopes);

// LABEL_PATTERN_MISMATCH, with what to do: a replacement would carry on a label that the policy
// lets no new token have.
absl::Status CheckReplacementLabel(const tollgate::store::v1::PolicyRecord& policy,
                                   const std::string& label);

// The same refusal, with what to do at its end.
absl::Status WithRemedy(const absl::Status& refusal, absl::string_view remedy);

// FAILED_PRECONDITION, LIFETIME_TOO_LONG: a token created at `created` would expire later than the
// policy allows. An `expire` of InfiniteFuture: never.
absl::Status CheckLifetimeUnderPolicy(const tollgate::store::v1::PolicyRecord& policy,
                                      absl::Time created, absl::Time expire,
                                      absl::string_view field);

// FAILED_PRECONDITION, TOO_MANY_TOKENS: the workspace has as many live tokens
// (storage/live_count.h) as the policy lets it have; 0 lets it have any number. Errors: the view's;
// DATA_LOSS.
absl::Status CheckRoom(const storage::View& view, const tollgate::store::v1::PolicyRecord& policy,
                       absl::string_view workspace);

// ALREADY_EXISTS, LABEL_TAKEN (names the holder): the policy wants unique labels, and a live token
// outside `exempt` has this label, or one that reads the same (text::ComparedLabel).
absl::Status CheckLabelFree(const storage::View& view,
                            const tollgate::store::v1::PolicyRecord& policy,
                            absl::string_view workspace, const std::string& label,
                            const std::set<std::string>& exempt, absl::Time now,
                            absl::string_view field);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_WORKSPACES_POLICY_RULES_H_
