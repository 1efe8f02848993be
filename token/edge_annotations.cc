#include "token/edge_annotations.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "token/field_rules.h"

namespace tollgate::token {
namespace {

// Takes pairs as long as there is room.
class Room {
 public:
  bool Take(absl::string_view key, absl::string_view value) {
    const size_t size = key.size() + value.size();
    if (pairs_ == kMaxEdgeAnnotations || size > kMaxEdgeAnnotationBytes - bytes_) return false;
    ++pairs_;
    bytes_ += size;
    return true;
  }

 private:
  size_t pairs_ = 0;
  size_t bytes_ = 0;
};

std::string At(absl::string_view field, int i) { return absl::StrCat(field, "[", i, "]"); }

}  // namespace

bool IsAnnotationKey(absl::string_view key) {
  if (key.empty() || key.size() > kMaxAnnotationKeyLength || !absl::ascii_isalnum(key[0])) {
    return false;
  }
  return std::all_of(key.begin(), key.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '/' || c == '-';
  });
}

absl::Status CheckEdgeAnnotations(const google::protobuf::RepeatedPtrField<std::string>& keys,
                                  absl::string_view field) {
  if (static_cast<size_t>(keys.size()) > kMaxEdgeAnnotations) {
    return base::RefuseField("TOO_MANY_EDGE_ANNOTATIONS", field,
                             absl::StrCat("must be at most ", kMaxEdgeAnnotations, " keys"));
  }
  for (int i = 0; i < keys.size(); ++i) {
    if (!IsAnnotationKey(keys[i])) {
      return base::RefuseField("ANNOTATION_KEY_MALFORMED", At(field, i),
                               "must be 1 to 63 of A-Z a-z 0-9 . _ / - and begin with a letter or "
                               "digit");
    }
    if (std::find(keys.begin(), keys.begin() + i, keys[i]) != keys.begin() + i) {
      return base::RefuseField("ANNOTATION_KEY_REPEATED", At(field, i),
                               "is in the list already: name it once");
    }
  }
  return absl::OkStatus();
}

void TellByPolicy(const Annotations& annotations, const tollgate::store::v1::PolicyRecord& policy,
                  tollgate::v1::Grant* grant) {
  *grant->mutable_annotations() = EdgeAnnotations(annotations, policy.edge_annotations());
  grant->set_report_attempt_addresses(policy.report_attempt_addresses());
}

Annotations EdgeAnnotations(const Annotations& annotations,
                            const google::protobuf::RepeatedPtrField<std::string>& keys) {
  Annotations told;
  Room room;
  for (const std::string& key : keys) {
    const auto found = annotations.find(key);
    if (found != annotations.end() && room.Take(key, found->second)) told[key] = found->second;
  }
  return told;
}

std::vector<std::pair<absl::string_view, absl::string_view>> ToldAnnotations(
    const Annotations& annotations) {
  std::vector<std::pair<absl::string_view, absl::string_view>> told;
  for (const auto& [key, value] : annotations) told.emplace_back(key, value);
  std::sort(told.begin(), told.end());
  Room room;
  std::erase_if(told, [&room](const auto& pair) { return !room.Take(pair.first, pair.second); });
  return told;
}

}  // namespace tollgate::token
