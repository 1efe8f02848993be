#include "service/access/authenticator.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "lease/caller_name.h"
#include "service/access/access.h"
#include "token/digest.h"

namespace tollgate::service {
namespace {

constexpr absl::string_view kScheme = "bearer";

absl::Status Unauthenticated(absl::string_view reason, absl::string_view message) {
  return base::Refuse(absl::StatusCode::kUnauthenticated, std::string(reason), message);
}

// What follows the scheme (RFC 6750, section 2.1); empty: it is another scheme, or nothing.
absl::string_view BearerOf(absl::string_view value) {
  if (!absl::StartsWithIgnoreCase(value, kScheme)) return "";
  value.remove_prefix(kScheme.size());
  if (!absl::StartsWith(value, " ")) return "";
  while (absl::ConsumePrefix(&value, " ")) {
  }
  return value;
}

absl::string_view StateWord(tollgate::v1::TokenState state) {
  switch (state) {
    case tollgate::v1::TOKEN_STATE_REVOKED:
      return "revoked";
    case tollgate::v1::TOKEN_STATE_EXPIRED:
      return "expired";
    case tollgate::v1::TOKEN_STATE_SUSPENDED:
      return "suspended";
    default:
      return "not in force";
  }
}

absl::Status RefuseState(tollgate::v1::TokenState state) {
  return Unauthenticated("OPERATOR_TOKEN_NOT_ACTIVE",
                         absl::StrCat("refused: the operator token is ", StateWord(state),
                                      ". An admin can make another: tollgate token create -w "
                                      "@operators --label TEXT --owner NAME. Is no admin left? "
                                      "Start the service with --admin MEMBER"));
}

}  // namespace

absl::StatusOr<Identity> Authenticator::Identify(
    const net::Caller& caller, const std::vector<absl::string_view>& authorization) const {
  Identity identity;
  identity.origin = caller.origin;
  if (authorization.empty()) {
    identity.actor = ActorOf(caller);
    return identity;
  }
  if (authorization.size() > 1) {
    return Unauthenticated("CREDENTIALS_AMBIGUOUS",
                           "refused: the call has more than one authorization in its metadata; "
                           "send one");
  }
  const absl::string_view presented = BearerOf(authorization.front());
  token::TokenFormat::Parsed parsed;
  const token::TokenDefect defect = format_->Parse(presented, &parsed);
  if (caller.kind == net::Caller::Kind::kSpiffe) {
    // What a mesh or a library adds for others says nothing here, where a certificate does.
    if (defect != token::TokenDefect::kNone || parsed.kind != token::TokenKind::kOperator) {
      identity.actor = ActorOf(caller);
      return identity;
    }
    return Unauthenticated("CREDENTIALS_AMBIGUOUS",
                           "refused: the call brings a client certificate and an operator token. "
                           "Send one of them: each says who calls");
  }
  // Before the token is looked up: what is said of it must not depend on whether it is good.
  if (!caller.is_private) {
    return Unauthenticated("OPERATOR_TOKEN_IN_PLAINTEXT",
                           "refused: the call came in the clear from another host, so whatever "
                           "token it brings has leaked. Revoke it, and call over TLS");
  }
  if (defect != token::TokenDefect::kNone) {
    return Unauthenticated(
        "CREDENTIALS_MALFORMED",
        absl::StrCat("refused: the call's authorization is not 'Bearer ' and an operator token of "
                     "this installation (",
                     token::TokenDefectName(defect), ")"));
  }
  if (parsed.kind != token::TokenKind::kOperator) {
    return Unauthenticated("NOT_AN_OPERATOR_TOKEN",
                           "refused: the token is none for the service itself. An operator token "
                           "begins with the brand and 'o_'");
  }
  const absl::optional<OperatorTokens::Found> found = tokens_->FindByDigest(
      keyring_->Candidates(token::EdgeDigest::Of(presented)), clock_->ServiceNow());
  if (!found.has_value()) {
    return Unauthenticated("OPERATOR_TOKEN_UNKNOWN",
                           "refused: this service knows no such operator token");
  }
  if (!LetsIn(found->state)) return RefuseState(found->state);
  identity.actor = absl::StrCat(lease::kOperatorPrefix, found->owner);
  identity.token_id = found->id;
  return identity;
}

absl::Status Authenticator::StillStands(absl::string_view actor, absl::string_view token_id) const {
  if (token_id.empty()) return absl::OkStatus();
  const absl::optional<OperatorTokens::Found> found =
      tokens_->FindById(token_id, clock_->ServiceNow());
  if (!found.has_value() || absl::StrCat(lease::kOperatorPrefix, found->owner) != actor) {
    return Unauthenticated("OPERATOR_TOKEN_UNKNOWN",
                           "refused: this service knows the operator token no more");
  }
  return LetsIn(found->state) ? absl::OkStatus() : RefuseState(found->state);
}

}  // namespace tollgate::service
