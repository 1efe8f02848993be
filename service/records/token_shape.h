// Shape checks that several requests share. Pure; INVALID_ARGUMENT with the field's name.
#ifndef TOLLGATE_SERVICE_RECORDS_TOKEN_SHAPE_H_
#define TOLLGATE_SERVICE_RECORDS_TOKEN_SHAPE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "service/records/field_time.h"
#include "token/field_rules.h"
#include "token/resource_name.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/token.pb.h"

namespace tollgate::service {

// OUTPUT_ONLY_FIELD: the request for a new token sets a field that only the service sets.
absl::Status CheckNoOutputFields(const tollgate::v1::Token& token);

// What an operator token may be, besides what every token may: BAD_OPERATOR_NAME (its owner names
// whom it speaks for); OPERATOR_TOKEN_WITH_SCOPES (roles say what it may do, and no edge admits it,
// so it has neither scopes nor audiences). OK for tokens of every other workspace.
absl::Status CheckOperatorToken(absl::string_view workspace, const tollgate::v1::Token& token);

// FAILED_PRECONDITION, OPERATOR_USE_UNKNOWN, for `what` goes by the use of tokens, where these are
// operator tokens, whose use is not recorded. OK for tokens of every other workspace.
absl::Status RefuseByUse(absl::string_view workspace, absl::string_view what);

// `expire_time` in micros, as the record has it; 0 where it is unset. TIME_MALFORMED;
// EXPIRE_TIME_PAST where it is not after `now`.
absl::StatusOr<int64_t> ExpireTimeMicros(const tollgate::v1::Token& token, absl::Time now);

// `lifetime`, above nothing. DURATION_MALFORMED, LIFETIME_NOT_POSITIVE, LIFETIME_OUT_OF_BOUNDS.
absl::StatusOr<absl::Duration> LifetimeFromField(const google::protobuf::Duration& lifetime);

// Sets when a token expires (InfiniteFuture: never), and for how long it is given to live by that.
void SetExpiry(absl::Time expire, absl::Time now, tollgate::store::v1::TokenRecord* record);

// The shortest quiet period, and the shortest duration that a policy may name.
inline constexpr absl::Duration kShortest = absl::Seconds(1);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_TOKEN_SHAPE_H_
