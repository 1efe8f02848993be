// The one credential of a request: where it is, and when there are too many.
#include "policy/credential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "token/token_string.h"

namespace tollgate::policy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string Mint() {
  return std::string(token::TokenFormat()
                         .Mint(token::TokenKind::kWorkspace, base::SystemRandom())
                         .token_string.RevealSecret());
}

class CredentialTest : public testing::Test {
 protected:
  CredentialTest() {
    places_.bearer = true;
    places_.basic = true;
    places_.headers = {"x-api-key"};
    places_.query = {"access_token"};
  }

  // The reason of the refusal; else "header NAME: TOKEN", "query NAME: TOKEN", or "none".
  std::string Find(const std::vector<Header>& headers, absl::string_view query = "") {
    Credential found;
    if (const Refused refused = FindCredential(places_, headers, query, &found)) {
      EXPECT_EQ(refused->status, 400);
      return std::string(refused->reason);
    }
    if (found.token.empty()) {
      EXPECT_EQ(found.header + found.query, "");
      return "none";
    }
    return absl::StrCat(found.header.empty() ? "query " : "header ", found.header, found.query,
                        ": ", found.token.RevealSecret());
  }

  static std::string Basic(absl::string_view pair) {
    return absl::StrCat("Basic ", absl::Base64Escape(pair));
  }

  CredentialPlaces places_;
};

TEST_F(CredentialTest, IsFoundInEachPlace) {
  EXPECT_EQ(Find({}), "none");
  EXPECT_EQ(Find({{"Accept", "x"}}, "a=b"), "none");
  EXPECT_EQ(Find({{"Authorization", "Bearer abc"}}), "header authorization: abc");
  EXPECT_EQ(Find({{"AUTHORIZATION", " bEARER   abc\t"}}), "header authorization: abc");
  EXPECT_EQ(Find({{"authorization", Basic("git:abc")}}), "header authorization: abc");
  EXPECT_EQ(Find({{"authorization", Basic(":abc")}}), "header authorization: abc");
  EXPECT_EQ(Find({{"X-API-Key", "abc"}}), "header x-api-key: abc");
  EXPECT_EQ(Find({}, "a=b&access_token=abc&c"), "query access_token: abc");
}

TEST_F(CredentialTest, OnlyNamedPlacesCount) {
  places_ = CredentialPlaces();
  places_.bearer = true;
  EXPECT_EQ(Find({{"X-API-Key", "abc"}, {"X_API_Key", "d"}}, "access_token=e;access_token=f"),
            "none");
  EXPECT_EQ(Find({{"Authorization", Basic("a:b")}}), "none") << "the service's own";
  EXPECT_EQ(Find({{"Authorization", "Digest a=\"b\", c=d"}}), "none");
  places_.bearer = false;
  places_.basic = true;
  EXPECT_EQ(Find({{"Authorization", "Bearer a"}}), "none");
}

TEST_F(CredentialTest, TwoAreRefusedEvenIfTheyAreEqual) {
  const Header bearer{"Authorization", "Bearer abc"};
  const Header key{"x-api-key", "abc"};
  EXPECT_EQ(Find({bearer, bearer}), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({bearer, key}), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({key, key}), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({key}, "access_token=abc"), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({}, "access_token=abc&access_token=abc"), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({bearer, {"authorization", "Digest x"}}), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({{"Authorization", "Digest x"}, {"authorization", "Digest x"}}),
            "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({{"Authorization", "Bearer a, Bearer b"}}), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({{"Authorization", "Bearer a,Basic b"}}), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({{"Authorization", "Digest a=b,\tbearer c"}}), "SEVERAL_CREDENTIALS");
  EXPECT_EQ(Find({{"x-api-key", "a, b"}}), "SEVERAL_CREDENTIALS");
}

TEST_F(CredentialTest, WhatNoTokenCanBeIsMalformed) {
  for (const std::string value : {"Bearer", "Bearer ", "Bearer a b", "Bearer \"a\"", "Bearer a\tb",
                                  "Bearer\ta", "Bearer a\xc3\xa9", "Basic",
                                  "Basic ====", "Basic YTpi=", "Basic YTp\niYw==", "Basic YTp"}) {
    EXPECT_EQ(Find({{"Authorization", value}}), "CREDENTIAL_MALFORMED") << value;
  }
  EXPECT_EQ(Find({{"Authorization", Basic("nopassword")}}), "CREDENTIAL_MALFORMED");
  EXPECT_EQ(Find({{"Authorization", Basic("user:")}}), "CREDENTIAL_MALFORMED");
  EXPECT_EQ(Find({{"Authorization", Basic("user:a b")}}), "CREDENTIAL_MALFORMED");
  EXPECT_EQ(Find({{"Authorization", Basic("u:" + std::string(2000, 'a'))}}),
            "CREDENTIAL_MALFORMED");
  EXPECT_EQ(Find({{"x-api-key", ""}}), "CREDENTIAL_MALFORMED");
  EXPECT_EQ(Find({}, "access_token"), "CREDENTIAL_MALFORMED");
  EXPECT_EQ(Find({}, "access_token="), "CREDENTIAL_MALFORMED");
  EXPECT_EQ(Find({}, "access_token=a%62"), "CREDENTIAL_MALFORMED");
}

TEST_F(CredentialTest, APlaceThatOnlySomeProgramsReadIsAmbiguous) {
  EXPECT_EQ(Find({{"X_API_Key", "abc"}}), "CREDENTIAL_AMBIGUOUS");
  EXPECT_EQ(Find({{"x-api_key", "abc"}}), "CREDENTIAL_AMBIGUOUS");
  // No other character reads as a hyphen.
  EXPECT_EQ(Find({{"x.api.key", "abc"}}), "none");
  EXPECT_EQ(Find({{"x-api_kex", "abc"}}), "none");
  EXPECT_EQ(Find({{"x-apiZkey", "abc"}}), "none");
  EXPECT_EQ(Find({}, "access%5ftoken=abc"), "CREDENTIAL_AMBIGUOUS");
  EXPECT_EQ(Find({}, "a=1;access_token=abc"), "CREDENTIAL_AMBIGUOUS");
  EXPECT_EQ(Find({}, "access_token=abc;a=1"), "CREDENTIAL_AMBIGUOUS");
  EXPECT_EQ(Find({}, "a=1;b=2"), "none");
}

TEST_F(CredentialTest, OfALongOneOnlyTheBeginningIsKept) {
  const std::string longest(kLongestCredential, 'a');
  EXPECT_EQ(Find({{"x-api-key", longest}}), "header x-api-key: " + longest);
  EXPECT_EQ(Find({{"x-api-key", longest + "bc"}}), "header x-api-key: " + longest + "b");
}

class StrayTest : public CredentialTest {
 protected:
  void Find(const std::vector<Header>& headers, absl::string_view query = "") {
    drop_headers_.clear();
    drop_query_.clear();
    FindStrayTokens(places_, headers, query, &drop_headers_, &drop_query_);
  }
  std::vector<std::string> drop_headers_;
  std::vector<std::string> drop_query_;
};

TEST_F(StrayTest, TokensAreTakenAwayAndOtherCredentialsStay) {
  const std::string token = Mint();
  Find({{"Authorization", "Bearer " + token}, {"X-Api-Key", token}, {"X-Other", token}});
  EXPECT_THAT(drop_headers_, ElementsAre("authorization", "x-api-key"));
  Find({{"Authorization", Basic("git:" + token)}});
  EXPECT_THAT(drop_headers_, ElementsAre("authorization"));
  Find({{"Authorization", "Bearer eyJhbGciOi"}, {"X-Api-Key", "abc"}});
  EXPECT_THAT(drop_headers_, IsEmpty());
  Find({{"X_Api_Key", token}}, "a=b&access_token=x");
  EXPECT_THAT(drop_headers_, ElementsAre("x_api_key"));
  EXPECT_THAT(drop_query_, ElementsAre("access_token"));
}

}  // namespace
}  // namespace tollgate::policy
