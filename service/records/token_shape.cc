#include "service/records/token_shape.h"

#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace tollgate::service {

absl::Status CheckNoOutputFields(const tollgate::v1::Token& token) {
  static const auto* const kSettable = new std::set<std::string>{
      "label", "scopes", "audiences", "owner", "annotations", "expire_time"};
  std::vector<const google::protobuf::FieldDescriptor*> set_fields;
  token.GetReflection()->ListFields(token, &set_fields);
  for (const auto* field : set_fields) {
    if (kSettable->count(field->name()) == 0) {
      return base::RefuseField("OUTPUT_ONLY_FIELD", absl::StrCat("token.", field->name()),
                               "is set by the service alone; leave it out");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOperatorToken(absl::string_view workspace, const tollgate::v1::Token& token) {
  if (workspace != token::kOperatorWorkspace) return absl::OkStatus();
  RETURN_IF_ERROR(token::CheckOperatorName(token.owner(), "token.owner"));
  const bool scopes = token.scopes_size() > 0;
  if (scopes || token.audiences_size() > 0) {
    return base::RefuseField("OPERATOR_TOKEN_WITH_SCOPES",
                             scopes ? "token.scopes" : "token.audiences",
                             "must be empty: no edge admits an operator token. Roles say what it "
                             "may do here: tollgate access grant ROLE operator:NAME");
  }
  return absl::OkStatus();
}

absl::Status RefuseByUse(absl::string_view workspace, absl::string_view what) {
  if (workspace != token::kOperatorWorkspace) return absl::OkStatus();
  return base::Refuse(absl::StatusCode::kFailedPrecondition, "OPERATOR_USE_UNKNOWN",
                      absl::StrCat("refused: ", what,
                                   " goes by when tokens were used, and that is not recorded of "
                                   "operator tokens"));
}

absl::StatusOr<absl::Duration> LifetimeFromField(const google::protobuf::Duration& lifetime) {
  return DurationFromField(lifetime, "lifetime", absl::Microseconds(1), "LIFETIME_NOT_POSITIVE",
                           "LIFETIME_OUT_OF_BOUNDS");
}

absl::StatusOr<int64_t> ExpireTimeMicros(const tollgate::v1::Token& token, absl::Time now) {
  if (!token.has_expire_time()) return 0;
  ASSIGN_OR_RETURN(const absl::Time expire,
                   TimeFromField(token.expire_time(), "token.expire_time"));
  if (expire <= now) {
    return base::RefuseField("EXPIRE_TIME_PAST", "token.expire_time",
                             "has passed already; to end a token now, revoke it");
  }
  return ToRecordMicros(expire);
}

void SetExpiry(absl::Time expire, absl::Time now, tollgate::store::v1::TokenRecord* record) {
  if (expire == absl::InfiniteFuture()) {
    record->clear_expire_time_us();
    record->clear_lifetime_us();
    return;
  }
  record->set_expire_time_us(ToRecordMicros(expire));
  record->set_lifetime_us(absl::ToInt64Microseconds(expire - now));
}

}  // namespace tollgate::service
