#include "token/field_rules.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "token/characters.h"
#include "token/edge_annotations.h"
#include "token/scope.h"
#include "token/token_string.h"

namespace tollgate::token {
namespace {

bool VisibleAscii(absl::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// At most `most` characters of text on one line. Decodes the bytes only when they are few enough.
absl::Status CheckText(absl::string_view text, size_t most, absl::string_view too_long_reason,
                       absl::string_view not_text_reason, absl::string_view field) {
  const std::string too_long = absl::StrCat("must be at most ", most, " characters");
  if (text.size() > 4 * most) return base::RefuseField(too_long_reason, field, too_long);
  const auto code_points = DecodeUtf8(text);
  if (!code_points.has_value()) return base::RefuseField(not_text_reason, field, "must be UTF-8");
  if (code_points->size() > most) return base::RefuseField(too_long_reason, field, too_long);
  for (size_t i = 0; i < code_points->size(); ++i) {
    if (IsControl((*code_points)[i])) {
      return base::RefuseField(
          not_text_reason, field,
          absl::StrCat("must be text on one line, without control characters (",
                       NameCodePoint((*code_points)[i], i), ")"));
    }
  }
  return CheckHoldsNoTokenString(text, field);
}

std::string At(absl::string_view field, int i) { return absl::StrCat(field, "[", i, "]"); }

// The index of the first element that equals an earlier one; -1: none. A list is short, so
// comparing each with each is cheaper than hashing.
int FirstRepeated(const google::protobuf::RepeatedPtrField<std::string>& list) {
  for (int i = 1; i < list.size(); ++i) {
    for (int k = 0; k < i; ++k) {
      if (list[i] == list[k]) return i;
    }
  }
  return -1;
}

}  // namespace

absl::Status CheckHoldsNoTokenString(absl::string_view text, absl::string_view field) {
  if (!HoldsTokenString(text)) return absl::OkStatus();
  return base::RefuseField(
      "CONTAINS_TOKEN_STRING", field,
      "must not hold a token string: it is a secret, and exposed now. Revoke that "
      "token; name tokens by their id");
}

absl::Status CheckScopes(const google::protobuf::RepeatedPtrField<std::string>& scopes,
                         absl::string_view field) {
  if (static_cast<size_t>(scopes.size()) > kMaxScopes) {
    return base::RefuseField("TOO_MANY_SCOPES", field,
                             absl::StrCat("must be at most ", kMaxScopes));
  }
  for (int i = 0; i < scopes.size(); ++i) {
    if (!IsScope(scopes[i])) {
      return base::RefuseField("SCOPE_MALFORMED", At(field, i),
                               "must be 1 to 128 of A-Z a-z 0-9 . _ : / * -, as in deploy:write");
    }
    RETURN_IF_ERROR(CheckHoldsNoTokenString(scopes[i], At(field, i)));
  }
  if (const int i = FirstRepeated(scopes); i >= 0) {
    return base::RefuseField("SCOPE_REPEATED", At(field, i),
                             "is in the list already: name it once");
  }
  return absl::OkStatus();
}

absl::Status CheckScopeStars(const google::protobuf::RepeatedPtrField<std::string>& scopes,
                             const google::protobuf::RepeatedPtrField<std::string>& held,
                             absl::string_view field) {
  for (int i = 0; i < scopes.size(); ++i) {
    if (StarIsPlaced(scopes[i])) continue;
    if (std::find(held.begin(), held.end(), scopes[i]) != held.end()) continue;
    return base::RefuseField("SCOPE_STAR_MISPLACED", At(field, i),
                             absl::StrCat("'", scopes[i], "': ", kStarRule));
  }
  return absl::OkStatus();
}

absl::Status CheckAudiences(const google::protobuf::RepeatedPtrField<std::string>& audiences,
                            absl::string_view field) {
  if (static_cast<size_t>(audiences.size()) > kMaxAudiences) {
    return base::RefuseField("TOO_MANY_AUDIENCES", field,
                             absl::StrCat("must be at most ", kMaxAudiences));
  }
  for (int i = 0; i < audiences.size(); ++i) {
    const std::string& audience = audiences[i];
    if (audience.empty() || audience.size() > kMaxAudienceLength || !VisibleAscii(audience)) {
      return base::RefuseField("AUDIENCE_MALFORMED", At(field, i),
                               "must be 1 to 128 visible ASCII characters, as in payments");
    }
    RETURN_IF_ERROR(CheckHoldsNoTokenString(audience, At(field, i)));
  }
  if (const int i = FirstRepeated(audiences); i >= 0) {
    return base::RefuseField("AUDIENCE_REPEATED", At(field, i),
                             "is in the list already: name it once");
  }
  return absl::OkStatus();
}

absl::Status CheckOwner(absl::string_view owner, absl::string_view field) {
  if (owner.size() > kMaxOwnerLength) {
    return base::RefuseField("OWNER_TOO_LONG", field,
                             absl::StrCat("must be at most ", kMaxOwnerLength, " characters"));
  }
  if (!VisibleAscii(owner)) {
    return base::RefuseField(
        "OWNER_MALFORMED", field,
        "must be visible ASCII characters without white space, as in team:payments");
  }
  return CheckHoldsNoTokenString(owner, field);
}

absl::Status CheckAnnotations(const google::protobuf::Map<std::string, std::string>& annotations,
                              absl::string_view field) {
  if (annotations.size() > kMaxAnnotations) {
    return base::RefuseField("TOO_MANY_ANNOTATIONS", field,
                             absl::StrCat("must be at most ", kMaxAnnotations, " pairs"));
  }
  // Sorted, because a map has no order of its own and the same request must get the same answer.
  std::vector<absl::string_view> keys;
  for (const auto& pair : annotations) keys.push_back(pair.first);
  std::sort(keys.begin(), keys.end());
  for (const absl::string_view key : keys) {
    if (!IsAnnotationKey(key)) {
      return base::RefuseField(
          "ANNOTATION_KEY_MALFORMED", field,
          "a key must be 1 to 63 of A-Z a-z 0-9 . _ / - and begin with a letter or "
          "digit");
    }
    RETURN_IF_ERROR(CheckText(annotations.at(std::string(key)), kMaxAnnotationValueLength,
                              "ANNOTATION_VALUE_TOO_LONG", "ANNOTATION_NOT_TEXT",
                              absl::StrCat(field, "[", key, "]")));
  }
  return absl::OkStatus();
}

absl::Status CheckReason(absl::string_view reason, absl::string_view field) {
  return CheckText(reason, kMaxReasonLength, "REASON_TOO_LONG", "REASON_NOT_TEXT", field);
}

absl::Status CheckRequestId(absl::string_view request_id, absl::string_view field) {
  if (request_id.size() > kMaxRequestIdLength || !VisibleAscii(request_id)) {
    return base::RefuseField("REQUEST_ID_MALFORMED", field,
                             "must be at most 64 visible ASCII characters, as in a UUID");
  }
  return absl::OkStatus();
}

absl::Status CheckOperatorName(absl::string_view name, absl::string_view field) {
  const bool good =
      !name.empty() && name.size() <= kMaxOperatorNameLength && absl::ascii_isalnum(name.front()) &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '@' || c == '+' || c == '-';
      });
  if (!good) {
    return base::RefuseField("BAD_OPERATOR_NAME", field,
                             "must name whom the operator token speaks for: 1 to 64 of A-Z a-z 0-9 "
                             ". _ @ + - beginning with a letter or digit, as in ada or ci-deploy");
  }
  return CheckHoldsNoTokenString(name, field);
}

absl::Status CheckValidatorId(absl::string_view validator_id, absl::string_view field) {
  const bool good = !validator_id.empty() && validator_id.size() <= 128 &&
                    std::all_of(validator_id.begin(), validator_id.end(), [](char c) {
                      return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '/' || c == '-';
                    });
  if (!good) {
    return base::RefuseField("VALIDATOR_ID_MALFORMED", field,
                             "must be 1 to 128 of A-Z a-z 0-9 . _ / -, as in payments/edge-3");
  }
  return CheckHoldsNoTokenString(validator_id, field);
}

}  // namespace tollgate::token
