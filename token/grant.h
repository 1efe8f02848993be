// A grant (what a token allows) packed flat, and the one decision made from it.
#ifndef TOLLGATE_TOKEN_GRANT_H_
#define TOLLGATE_TOKEN_GRANT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "token/scope.h"
#include "token/scope_expression.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::token {

// Packs a grant into one run of bytes without pointers, which can lie in a flat table, be copied
// with memcpy, and be read in place. The layout is private to one build; nothing stores it. Of the
// annotations it takes as many as an edge is told of (edge_annotations.h), whatever the service
// sends, so that they never make a grant too large to be kept.
std::string PackGrant(const tollgate::v1::Grant& grant);

// Reads a packed grant in place. Valid while the bytes are. Allocates nothing. Every read is
// bounded by the bytes' length whatever they hold, because the bytes may be torn (a lost race is a
// miss).
class GrantView {
 public:
  GrantView() = default;
  // Makes `view` read `bytes`. False: the bytes are no packed grant.
  static bool Over(absl::string_view bytes, GrantView* view);

  absl::string_view token() const;  // the resource's name
  absl::string_view workspace() const;
  absl::string_view token_id() const;
  absl::string_view owner() const;
  tollgate::v1::TokenState state() const;
  int64_t expire_time_us() const;  // 0: never
  int64_t retire_time_us() const;  // 0: no plan
  int64_t create_revision() const;
  uint32_t create_index() const;
  size_t scope_count() const;
  absl::string_view scope(size_t i) const;
  size_t audience_count() const;
  absl::string_view audience(size_t i) const;
  // The annotations that the edge is told of, in the order of their keys.
  size_t annotation_count() const;
  absl::string_view annotation_key(size_t i) const;
  absl::string_view annotation_value(size_t i) const;
  // Empty: it is told of none with this key.
  absl::string_view annotation(absl::string_view key) const;
  // Whether the workspace wants to know from where the token is tried in vain.
  bool report_attempt_addresses() const;

 private:
  // The i-th string of the table; empty where the bytes do not hold it.
  absl::string_view String(size_t i) const;
  // The number of the string at which the annotations begin: key, value, key, value.
  size_t annotations_at() const;
  absl::string_view bytes_;
};

// What a request needs of a token. ScopeGrants (token/scope.h) says which scope of a token meets a
// needed one.
struct Requirement {
  std::vector<std::string> any_scopes;
  std::vector<std::string> all_scopes;
  std::string audience;
  // The id of the only workspace whose tokens will do; empty: any.
  std::string workspace;
  // Beside `any_scopes` and `all_scopes`, if it is not empty.
  ScopeExpression scope_expression;
};

// Decides on a grant at `service_now`, the service time (R18). Judged in this order: final states,
// times, suspension, audience, workspace, scopes. An UNSPECIFIED reason means: admit. A token with
// audiences passes only where the requirement names one of them. A state that this build does not
// know, or torn bytes, gives SERVICE_UNAVAILABLE, which is neither an admission nor an accusation
// (I7). Pure; allocates nothing; makes no system call.
tollgate::v1::VerdictReason Decide(const GrantView& grant, const Requirement& requirement,
                                   absl::Time service_now);

// A reason in words, for logs and clients. It says no more than RFC 6750 does.
absl::string_view Describe(tollgate::v1::VerdictReason reason);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_GRANT_H_
