// The annotations of a token that edges are told of: few, and small, because each edge holds them
// for each token that it holds. Pure.
#ifndef TOLLGATE_TOKEN_EDGE_ANNOTATIONS_H_
#define TOLLGATE_TOKEN_EDGE_ANNOTATIONS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/map.h"
#include "google/protobuf/repeated_field.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::token {

// 1 to 63 of A-Z a-z 0-9 . _ / - beginning with a letter or digit.
bool IsAnnotationKey(absl::string_view key);

inline constexpr size_t kMaxEdgeAnnotations = 8;        // keys that a policy names
inline constexpr size_t kMaxEdgeAnnotationBytes = 256;  // keys and values of one token

using Annotations = google::protobuf::Map<std::string, std::string>;

// Of a policy the keys that it names: TOO_MANY_EDGE_ANNOTATIONS, ANNOTATION_KEY_MALFORMED,
// ANNOTATION_KEY_REPEATED (INVALID_ARGUMENT).
absl::Status CheckEdgeAnnotations(const google::protobuf::RepeatedPtrField<std::string>& keys,
                                  absl::string_view field);

// Of `annotations` those that edges are told of where a policy names `keys`: whole pairs, in the
// order of the keys, as far as kMaxEdgeAnnotationBytes hold them. A pair that does not fit is left
// out, and the pairs after it are still tried. Two equal results tell edges the same.
Annotations EdgeAnnotations(const Annotations& annotations,
                            const google::protobuf::RepeatedPtrField<std::string>& keys);

// Adds to a token's grant what the workspace's policy has edges told besides: those annotations,
// and whether to report from where the token is tried in vain.
void TellByPolicy(const Annotations& annotations, const tollgate::store::v1::PolicyRecord& policy,
                  tollgate::v1::Grant* grant);

// What an edge keeps of the annotations that it was told: within the same limits, in the order of
// their keys, because a map has none. Views of `annotations`.
std::vector<std::pair<absl::string_view, absl::string_view>> ToldAnnotations(
    const Annotations& annotations);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_EDGE_ANNOTATIONS_H_
