// What the fields of a token may hold. Each check is pure and answers INVALID_ARGUMENT with the
// field's name, a stable reason, and what to do. Every check bounds its input before anything else
// looks at it. Each field that is long enough to hold a token string and can be read back is
// searched for one (CONTAINS_TOKEN_STRING): labels (text/label.h), scopes, audiences, owners,
// annotations, reasons and validator ids.
#ifndef TOLLGATE_TOKEN_FIELD_RULES_H_
#define TOLLGATE_TOKEN_FIELD_RULES_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/map.h"
#include "google/protobuf/repeated_field.h"

namespace tollgate::token {

inline constexpr size_t kMaxScopes = 64;
inline constexpr size_t kMaxScopeLength = 128;
inline constexpr size_t kMaxAudiences = 16;
inline constexpr size_t kMaxAudienceLength = 128;
inline constexpr size_t kMaxOwnerLength = 256;
inline constexpr size_t kMaxAnnotations = 16;
inline constexpr size_t kMaxAnnotationKeyLength = 63;
inline constexpr size_t kMaxAnnotationValueLength = 256;
inline constexpr size_t kMaxReasonLength = 512;
inline constexpr size_t kMaxRequestIdLength = 64;
inline constexpr size_t kMaxOperatorNameLength = 64;

// CONTAINS_TOKEN_STRING: `text` holds a whole token string, of any brand. Such a secret, pasted
// where everybody may read it, is refused before it is stored, and never echoed. For fields that
// have no check of their own here (I6).
absl::Status CheckHoldsNoTokenString(absl::string_view text, absl::string_view field);

// TOO_MANY_SCOPES, SCOPE_MALFORMED (1 to 128 of A-Z a-z 0-9 . _ : / * -), SCOPE_REPEATED.
absl::Status CheckScopes(const google::protobuf::RepeatedPtrField<std::string>& scopes,
                         absl::string_view field);
// SCOPE_STAR_MISPLACED (StarIsPlaced). A scope among `held` was granted before that rule, and is
// not judged.
absl::Status CheckScopeStars(const google::protobuf::RepeatedPtrField<std::string>& scopes,
                             const google::protobuf::RepeatedPtrField<std::string>& held,
                             absl::string_view field);
// TOO_MANY_AUDIENCES, AUDIENCE_MALFORMED (1 to 128 visible ASCII characters), AUDIENCE_REPEATED.
absl::Status CheckAudiences(const google::protobuf::RepeatedPtrField<std::string>& audiences,
                            absl::string_view field);
// OWNER_TOO_LONG, OWNER_MALFORMED (visible ASCII without white space; may be empty).
absl::Status CheckOwner(absl::string_view owner, absl::string_view field);
// TOO_MANY_ANNOTATIONS, ANNOTATION_KEY_MALFORMED, ANNOTATION_VALUE_TOO_LONG, ANNOTATION_NOT_TEXT.
absl::Status CheckAnnotations(const google::protobuf::Map<std::string, std::string>& annotations,
                              absl::string_view field);
// REASON_TOO_LONG, REASON_NOT_TEXT. May be empty.
absl::Status CheckReason(absl::string_view reason, absl::string_view field);
// REQUEST_ID_MALFORMED: at most 64 visible ASCII characters; may be empty.
absl::Status CheckRequestId(absl::string_view request_id, absl::string_view field);
// BAD_OPERATOR_NAME: 1 to 64 of A-Z a-z 0-9 . _ @ + - beginning with a letter or digit: whom an
// operator token, whose owner this is, speaks for.
absl::Status CheckOperatorName(absl::string_view name, absl::string_view field);
// VALIDATOR_ID_MALFORMED: 1 to 128 of A-Z a-z 0-9 . _ / -
absl::Status CheckValidatorId(absl::string_view validator_id, absl::string_view field);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_FIELD_RULES_H_
