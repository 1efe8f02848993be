// Who calls: by certificate, by operator token, by where the call comes from.
#include "service/access/authenticator.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/tokens/fresh_token.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class StandingClock : public base::Clock {
 public:
  base::BootTime Now() const override { return base::BootTime::FromNanos(1); }
  absl::Time WallNow() const override { return now; }
  absl::Time now = absl::FromUnixSeconds(1'000'000);
};

class AuthenticatorTest : public testing::Test {
 protected:
  static token::Keyring MakeKeyring() {
    base::InitSecrets();
    return token::Keyring::Generate(base::SystemRandom());
  }

  // A token string of a new operator token.
  std::string Make(const std::string& owner, absl::Time expire = absl::InfiniteFuture()) {
    const FreshToken fresh =
        MintFor(token::kOperatorWorkspace, format_, keyring_, base::SystemRandom());
    OperatorToken token;
    token.record.set_workspace(token::kOperatorWorkspace);
    token.record.set_token_id(fresh.minted.public_id);
    token.record.set_owner(owner);
    token.record.set_stored_digest(std::string(fresh.minted.stored_digest.bytes()));
    token.record.set_create_revision(1);
    if (expire != absl::InfiniteFuture()) {
      token.record.set_expire_time_us(absl::ToUnixMicros(expire));
    }
    stored_.push_back(token);
    tokens_.Take(stored_);
    return std::string(fresh.token_string->RevealSecret());
  }

  static net::Caller Local() {
    net::Caller caller;
    caller.kind = net::Caller::Kind::kLocal;
    caller.id = "local";
    caller.origin = "127.0.0.1";
    caller.is_private = true;
    return caller;
  }
  // The reason of the refusal; no refusal tells what was presented.
  std::string Refusal(const net::Caller& caller, const std::vector<absl::string_view>& values) {
    const absl::StatusOr<Identity> identity = who_.Identify(caller, values);
    if (identity.ok()) return absl::StrCat("known as ", identity->actor);
    EXPECT_TRUE(absl::IsUnauthenticated(identity.status())) << identity.status();
    for (const absl::string_view value : values) {
      if (value.size() > 20) {
        EXPECT_THAT(identity.status().ToString(), Not(HasSubstr(std::string(value.substr(7)))));
      }
    }
    return base::ReasonOf(identity.status());
  }

  const token::Keyring keyring_ = MakeKeyring();
  const token::TokenFormat format_;
  StandingClock clock_;
  std::vector<OperatorToken> stored_;
  OperatorTokens tokens_;
  const Authenticator who_{&format_, &keyring_, &tokens_, &clock_};
};

TEST_F(AuthenticatorTest, WhoBringsATokenIsItsOwnerFromWhereverHeCalls) {
  const std::string token = Make("ada");
  const std::string bearer = absl::StrCat("Bearer ", token);
  net::Caller user = Local();
  user.kind = net::Caller::Kind::kUnixUser;
  user.id = "unix:root";
  net::Caller over_tls;
  over_tls.origin = "10.1.2.3";
  over_tls.is_private = true;
  for (const net::Caller& caller : {Local(), user, over_tls}) {
    const absl::StatusOr<Identity> identity = who_.Identify(caller, {bearer});
    ASSERT_TRUE(identity.ok()) << identity.status();
    EXPECT_EQ(identity->actor, "operator:ada");
    EXPECT_EQ(identity->origin, caller.origin);
    EXPECT_EQ(identity->token_id, stored_[0].record.token_id());
    EXPECT_TRUE(who_.StillStands(identity->actor, identity->token_id).ok());
  }
  // As RFC 9110 has it, the scheme's letters may be of either case.
  EXPECT_TRUE(who_.Identify(Local(), {absl::StrCat("bearer  ", token)}).ok());
}

TEST_F(AuthenticatorTest, WithoutOneTheTransportSaysWhoCalls) {
  EXPECT_EQ(who_.Identify(Local(), {})->actor, "local");
  EXPECT_EQ(who_.Identify(Local(), {})->token_id, "");
  EXPECT_EQ(who_.Identify(net::Caller(), {})->actor, "anonymous");
  EXPECT_TRUE(who_.StillStands("local", "").ok());
}

// Never as somebody else: who presents what is not good is nobody, also on the loopback.
TEST_F(AuthenticatorTest, WhatIsNotGoodIsRefused) {
  const std::string token = Make("ada");
  const std::string bearer = absl::StrCat("Bearer ", token);
  EXPECT_EQ(Refusal(Local(), {bearer, bearer}), "CREDENTIALS_AMBIGUOUS");
  net::Caller with_certificate = Local();
  with_certificate.kind = net::Caller::Kind::kSpiffe;
  with_certificate.id = "spiffe://corp.example/ci";
  EXPECT_EQ(Refusal(with_certificate, {bearer}), "CREDENTIALS_AMBIGUOUS");
  // What a mesh adds for somebody else says nothing.
  for (const char* others : {"Basic YWRhOmFkYQ==", "Bearer eyJhbGciOiJFZERTQSJ9.e30.c2ln", ""}) {
    EXPECT_EQ(Refusal(with_certificate, {others}), "known as spiffe://corp.example/ci");
  }
  for (const std::string& malformed :
       {std::string(), std::string("Bearer"), std::string("Bearer "), token,
        absl::StrCat("Bearer", token), absl::StrCat("Basic ", token), absl::StrCat(bearer, " "),
        absl::StrCat(bearer, ",", bearer), absl::StrCat("Bearer \t", token),
        absl::StrCat("Bearer ", token.substr(0, token.size() - 1), token.back() == 'x' ? "y" : "x"),
        std::string("Bearer ") + std::string(1 << 20, 'a'), std::string(1 << 20, '\0')}) {
    EXPECT_EQ(Refusal(Local(), {malformed}), "CREDENTIALS_MALFORMED") << malformed.substr(0, 99);
  }
  const FreshToken of_a_workspace = MintFor("acme", format_, keyring_, base::SystemRandom());
  EXPECT_EQ(
      Refusal(Local(), {absl::StrCat("Bearer ", of_a_workspace.token_string->RevealSecret())}),
      "NOT_AN_OPERATOR_TOKEN");
  const FreshToken unknown =
      MintFor(token::kOperatorWorkspace, format_, keyring_, base::SystemRandom());
  EXPECT_EQ(Refusal(Local(), {absl::StrCat("Bearer ", unknown.token_string->RevealSecret())}),
            "OPERATOR_TOKEN_UNKNOWN");
}

// Whether it is good is not even looked at: whoever listens would learn that, too.
TEST_F(AuthenticatorTest, InTheClearFromAnotherHostNoTokenIsTaken) {
  const std::string good = absl::StrCat("Bearer ", Make("ada"));
  net::Caller elsewhere;
  elsewhere.origin = "10.1.2.3";
  EXPECT_EQ(Refusal(elsewhere, {good}), "OPERATOR_TOKEN_IN_PLAINTEXT");
  EXPECT_EQ(Refusal(elsewhere, {"Bearer nonsense"}), "OPERATOR_TOKEN_IN_PLAINTEXT");
}

TEST_F(AuthenticatorTest, AnEndedTokenIsNobodysAnyMore) {
  const std::string token = Make("ada", clock_.now + absl::Seconds(1));
  const std::string bearer = absl::StrCat("Bearer ", token);
  const std::string id = stored_[0].record.token_id();
  EXPECT_TRUE(who_.Identify(Local(), {bearer}).ok());
  clock_.now += absl::Seconds(1);
  EXPECT_EQ(Refusal(Local(), {bearer}), "OPERATOR_TOKEN_NOT_ACTIVE");
  EXPECT_EQ(base::ReasonOf(who_.StillStands("operator:ada", id)), "OPERATOR_TOKEN_NOT_ACTIVE");
  EXPECT_THAT(who_.StillStands("operator:ada", id).message(), HasSubstr("expired"));
  stored_[0].record.clear_expire_time_us();
  stored_[0].record.set_suspended(true);
  tokens_.Take(stored_);
  EXPECT_THAT(who_.StillStands("operator:ada", id).message(), HasSubstr("suspended"));
  stored_[0].record.set_suspended(false);
  // A cohort's watermark, of his tokens or of all operators'.
  stored_[0].cohorts.owner.emplace().set_revision(2);
  tokens_.Take(stored_);
  EXPECT_EQ(Refusal(Local(), {bearer}), "OPERATOR_TOKEN_NOT_ACTIVE");
  EXPECT_THAT(who_.StillStands("operator:ada", id).message(), HasSubstr("revoked"));
  stored_[0].cohorts.owner.reset();
  tokens_.Take(stored_);
  EXPECT_TRUE(who_.StillStands("operator:ada", id).ok());
  EXPECT_EQ(base::ReasonOf(who_.StillStands("operator:eve", id)), "OPERATOR_TOKEN_UNKNOWN")
      << "the token of another";
  tokens_.Take({});
  EXPECT_EQ(base::ReasonOf(who_.StillStands("operator:ada", id)), "OPERATOR_TOKEN_UNKNOWN");
}

}  // namespace
}  // namespace tollgate::service
