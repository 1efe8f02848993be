#include "leaks/partner_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "nlohmann/json.hpp"

namespace tollgate::leaks {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kBody[] =
    R"([{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/x"}])";

class Signer {
 public:
  explicit Signer(EVP_PKEY* key = EVP_EC_gen("P-256")) : key_(key, &EVP_PKEY_free) {}

  std::string Pem() const {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), &BIO_free_all);
    EXPECT_EQ(PEM_write_bio_PUBKEY(out.get(), key_.get()), 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(out.get(), &text);  // NOLINT
    return std::string(text, static_cast<size_t>(size));
  }
  // DER.
  std::string Sign(absl::string_view body) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          &EVP_MD_CTX_free);
    EXPECT_EQ(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()), 1);
    std::string der(512, '\0');
    size_t size = der.size();
    EXPECT_EQ(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(der.data()), &size,
                             reinterpret_cast<const unsigned char*>(body.data()), body.size()),
              1);
    der.resize(size);
    return der;
  }
  std::string Signature(absl::string_view body) const { return absl::Base64Escape(Sign(body)); }

 private:
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

class PartnerKeysTest : public testing::Test {
 protected:
  Signer old_;
  Signer signer_;
  PartnerKeys keys_ = *PartnerKeys::FromPem({{"old", old_.Pem()}, {"new", signer_.Pem()}});
};

TEST_F(PartnerKeysTest, TheKeyThatIsNamedMustHaveSigned) {
  EXPECT_TRUE(keys_.Verify("new", signer_.Signature(kBody), kBody).ok());
  EXPECT_TRUE(keys_.Verify("old", old_.Signature(kBody), kBody).ok());
  EXPECT_TRUE(keys_.Verify("new", signer_.Signature(""), "").ok());
  const absl::Status other = keys_.Verify("old", signer_.Signature(kBody), kBody);
  EXPECT_EQ(base::ReasonOf(other), "PARTNER_SIGNATURE_WRONG");
  EXPECT_TRUE(absl::IsPermissionDenied(other));
}

TEST_F(PartnerKeysTest, EachBitOfTheBodyIsSigned) {
  const std::string signature = signer_.Signature(kBody);
  for (size_t i = 0; i < sizeof(kBody) - 1; ++i) {
    std::string altered = kBody;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    EXPECT_EQ(base::ReasonOf(keys_.Verify("new", signature, altered)), "PARTNER_SIGNATURE_WRONG");
  }
  EXPECT_EQ(base::ReasonOf(keys_.Verify("new", signature, absl::StrCat(kBody, "\n"))),
            "PARTNER_SIGNATURE_WRONG");
}

TEST_F(PartnerKeysTest, AnUnknownKeyIsAskedFor) {
  for (const char* name : {"", "NEW", "new ", "newer"}) {
    const absl::Status status = keys_.Verify(name, signer_.Signature(kBody), kBody);
    EXPECT_EQ(base::ReasonOf(status), "PARTNER_KEY_UNKNOWN") << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("fetch the keys again"));
  }
}

// Whatever is changed of a signature, it is malformed or wrong, never good.
TEST_F(PartnerKeysTest, AMalformedSignatureIsToldAsOne) {
  const std::string der = signer_.Sign(kBody);
  for (const std::string& signature :
       {std::string(), std::string("?"), std::string(97, 'A'), std::string(1 << 20, 'A'),
        absl::Base64Escape("abc"), absl::Base64Escape(der.substr(0, der.size() - 1)),
        absl::Base64Escape(der + "x"), absl::Base64Escape(der.substr(1))}) {
    const absl::Status status = keys_.Verify("new", signature, kBody);
    EXPECT_EQ(base::ReasonOf(status), "PARTNER_SIGNATURE_MALFORMED") << signature.size();
    EXPECT_THAT(status.ToString(), HasSubstr(kPartnerSignatureHeader));
  }
  for (size_t i = 0; i < der.size(); ++i) {
    std::string altered = der;
    altered[i] = static_cast<char>(altered[i] ^ 4);
    EXPECT_FALSE(keys_.Verify("new", absl::Base64Escape(altered), kBody).ok()) << i;
  }
}

TEST_F(PartnerKeysTest, AHugeBodyIsRefusedUnread) {
  const std::string body(kMostReportBytes + 1, ' ');
  EXPECT_EQ(base::ReasonOf(keys_.Verify("new", signer_.Signature(body), body)), "REPORT_TOO_LARGE");
  EXPECT_EQ(base::ReasonOf(ParsePartnerReport(body).status()), "REPORT_TOO_LARGE");
}

TEST(PartnerKeys, OnlyP256IsTaken) {
  const std::string good = Signer().Pem();
  const auto reason = [](std::vector<std::pair<std::string, std::string>> keys) {
    return base::ReasonOf(PartnerKeys::FromPem(keys).status());
  };
  EXPECT_EQ(reason({{"a", good}}), "");
  EXPECT_EQ(reason({}), "PARTNER_KEYS_COUNT");
  EXPECT_EQ(reason(std::vector<std::pair<std::string, std::string>>(65, {"a", good})),
            "PARTNER_KEYS_COUNT");
  EXPECT_EQ(reason({{"a", Signer(EVP_EC_gen("P-384")).Pem()}}), "PARTNER_KEY_MALFORMED");
  EXPECT_EQ(reason({{"a", Signer(EVP_RSA_gen(2048)).Pem()}}), "PARTNER_KEY_MALFORMED");
  EXPECT_EQ(reason({{"a", "no key"}}), "PARTNER_KEY_MALFORMED");
  EXPECT_EQ(reason({{"a", good.substr(0, good.size() / 2)}}), "PARTNER_KEY_MALFORMED");
  EXPECT_EQ(reason({{"a", std::string(1 << 20, 'x')}}), "PARTNER_KEY_MALFORMED");
  EXPECT_EQ(reason({{"", good}}), "PARTNER_KEY_MALFORMED");
  EXPECT_EQ(reason({{std::string(129, 'a'), good}}), "PARTNER_KEY_MALFORMED");
  EXPECT_EQ(reason({{"a", good}, {"a", good}}), "PARTNER_KEY_MALFORMED");
}

TEST(ParsePartnerReport, ReadsWhatIsTold) {
  const auto tokens = ParsePartnerReport(
      R"( [{"token":"t\u0031","type":"tollgate","url":"","source":"gist_content","new":[1,{"x":2}]},
           {"type":"other","token":"t2"}] )");
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  ASSERT_EQ(tokens->size(), 2u);
  EXPECT_EQ((*tokens)[0].token.RevealSecret(), "t1");
  EXPECT_EQ((*tokens)[0].type, "tollgate");
  EXPECT_EQ((*tokens)[0].url, "");
  EXPECT_EQ((*tokens)[0].source, "gist_content");
  EXPECT_EQ((*tokens)[1].token.RevealSecret(), "t2");
  EXPECT_EQ((*tokens)[1].source, "");
  EXPECT_TRUE(ParsePartnerReport("[]")->empty());
}

TEST(ParsePartnerReport, NamesTheFieldAndNoValue) {
  const auto refused = [](const std::string& body) {
    const absl::Status status = ParsePartnerReport(body).status();
    EXPECT_EQ(base::ReasonOf(status), "REPORT_MALFORMED") << body;
    EXPECT_THAT(status.ToString(), Not(HasSubstr("s3cret")));
    const auto fields = base::DetailsOf(status).fields;
    return fields.empty() ? "" : fields[0].field;
  };
  for (const char* body :
       {"", "{}", "null", "\"s3cret\"", "[", "[{]", "[{}] x", "\xff", R"([{"token":"s3cret)"}) {
    EXPECT_EQ(refused(body), "body") << body;
  }
  EXPECT_EQ(refused("[1]"), "[0]");
  EXPECT_EQ(refused("[[]]"), "[0]");
  EXPECT_EQ(refused("[{}]"), "[0].token");
  EXPECT_EQ(refused(R"([{"token":"s3cret"}])"), "[0].type");
  EXPECT_EQ(refused(R"([{"token":"","type":"x"}])"), "[0].token");
  EXPECT_EQ(refused(R"([{"token":["s3cret"],"type":"x"}])"), "[0].token");
  EXPECT_EQ(refused(R"([{"token":"s3cret","type":"x"},{"token":"s3cret","type":"x","url":1}])"),
            "[1].url");
  EXPECT_EQ(refused(R"([{"token":"s3cret","type":"x","source":null}])"), "[0].source");
  EXPECT_EQ(refused(absl::StrCat(R"([{"token":")", std::string(1025, 'x'), R"(","type":"x"}])")),
            "[0].token");
  EXPECT_EQ(refused(absl::StrCat(R"([{"token":"a","type":")", std::string(129, 'x'), R"("}])")),
            "[0].type");
}

TEST(ParsePartnerReport, IsBounded) {
  std::string many = "[";
  for (size_t i = 0; i <= kMostReportedTokens; ++i) {
    absl::StrAppend(&many, i == 0 ? "" : ",", R"({"token":"a","type":"b"})");
  }
  EXPECT_EQ(base::ReasonOf(ParsePartnerReport(many + "]").status()), "REPORT_MALFORMED");
  // A parser that looked back at each end would take hours.
  std::string objects = "[{}";
  while (objects.size() < (1 << 20)) objects += ",{}";
  EXPECT_FALSE(ParsePartnerReport(objects + "]").ok());
  // Nothing depends on how deep it goes.
  const std::string deep(1 << 16, '[');
  EXPECT_FALSE(ParsePartnerReport(deep).ok());
  EXPECT_FALSE(ParsePartnerReport(deep + std::string(deep.size(), ']')).ok());
}

TEST(PartnerAnswer, LabelsEachToken) {
  const auto tokens = *ParsePartnerReport(
      R"([{"token":"abc","type":"tollgate"},{"token":"s3cret","type":"q\"uote"}])");
  const std::vector<JudgedToken> judged = {{&tokens[0], true}, {&tokens[1], false}};
  const std::string answer = PartnerAnswer(judged);
  EXPECT_THAT(answer, Not(HasSubstr("s3cret")));
  // sha256sum of "abc" (FIPS 180-2, B.1).
  EXPECT_EQ(nlohmann::json::parse(answer)[0],
            nlohmann::json(
                {{"token_hash", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"token_type", "tollgate"},
                 {"label", "true_positive"}}));
  EXPECT_EQ(nlohmann::json::parse(answer)[1]["label"], "false_positive");
  EXPECT_EQ(nlohmann::json::parse(PartnerAnswerWithTokens(judged))[1],
            nlohmann::json(
                {{"token_raw", "s3cret"}, {"token_type", "q\"uote"}, {"label", "false_positive"}}));
  EXPECT_EQ(PartnerAnswer({}), "[]");
}

}  // namespace
}  // namespace tollgate::leaks
