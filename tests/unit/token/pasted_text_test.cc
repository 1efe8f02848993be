#include "token/pasted_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/secret.h"
#include "token/token_string.h"

namespace tollgate::token {
namespace {

using testing::HasSubstr;
using testing::Not;

class PastedText : public testing::Test {
 protected:
  PastedText() {
    base::InitSecrets();
    base::SeededRandom random(7);
    const TokenFormat::Minted minted = TokenFormat().Mint(TokenKind::kWorkspace, random);
    token_ = std::string(minted.token_string.RevealSecret());
  }
  std::string token_;
};

TEST_F(PastedText, ATokenStringOfAnyBrandHasNoFault) {
  EXPECT_EQ(FaultOfPastedText(token_), "");
  base::SeededRandom random(8);
  const auto minted = TokenFormat::ForBrand("acme")->Mint(TokenKind::kOperator, random);
  EXPECT_EQ(FaultOfPastedText(minted.token_string.RevealSecret()), "");
}

TEST_F(PastedText, NamesWhatStandsAroundIt) {
  const struct {
    const char* before;
    const char* after;
    const char* fault;
  } cases[] = {
      {"Bearer ", "", "begins with \"Bearer\", which belongs to the header"},
      {"bearer  ", "", "begins with \"Bearer\", which belongs to the header"},
      {"Authorization: Bearer ", "",
       "begins with \"Authorization:\", the header's name, then \"Bearer\", which belongs to the "
       "header"},
      {"\xef\xbb\xbf", "", "begins with a byte order mark (U+FEFF)"},
      {"\xc2\xa0", "\xc2\xa0",
       "begins with a no-break space (U+00A0), and ends with a no-break space (U+00A0)"},
      {"\"", "\"", "begins with a quotation mark, and ends with a quotation mark"},
      {"\xe2\x80\x9c", "\xe2\x80\x9d",
       "begins with a quotation mark, and ends with a quotation mark"},
      {"", "\xe2\x80\x8b", "ends with a zero-width space (U+200B)"},
      {"TOKEN=", "", "begins with a name and \"=\""},
      {"use this: ", ",", "begins with other text, and ends with a punctuation mark"},
      {"<", ">", "begins with an angle bracket, and ends with an angle bracket"},
      {"\xef\xbb\xbf\"Bearer ", "\"",
       "begins with a byte order mark (U+FEFF), then a quotation mark, then \"Bearer\", which "
       "belongs to the header, and ends with a quotation mark"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(FaultOfPastedText(absl::StrCat(c.before, token_, c.after)),
              absl::StrCat(c.fault, "; without that it is a token string"))
        << c.before;
  }
}

TEST_F(PastedText, NamesWhatIsInsideIt) {
  for (const auto& [inside, name] :
       {std::pair<std::string, std::string>{"\xe2\x80\x8b", "a zero-width space (U+200B)"},
        {"\n  ", "white space"},
        {"\xc2\xad", "a soft hyphen (U+00AD)"}}) {
    EXPECT_EQ(FaultOfPastedText(token_.substr(0, 30) + inside + token_.substr(30)),
              absl::StrCat("has ", name, " inside; without that it holds a token string"));
  }
}

TEST_F(PastedText, SaysWhatIsMissingOrWrong) {
  EXPECT_THAT(
      FaultOfPastedText(token_.substr(0, 60)),
      HasSubstr("has 56 characters behind the \"_\", where a token string has 65: a part is "
                "missing"));
  EXPECT_THAT(FaultOfPastedText(token_ + "a"), HasSubstr("ends with other text"));
  std::string changed = token_;
  changed[20] = changed[20] == 'x' ? 'y' : 'x';
  EXPECT_THAT(FaultOfPastedText(changed), HasSubstr("a checksum that does not hold"));
  changed[20] = '-';
  EXPECT_THAT(FaultOfPastedText(changed), HasSubstr("first at character 21"));
  EXPECT_THAT(FaultOfPastedText("hunter2"), HasSubstr("is no token string"));
  EXPECT_EQ(FaultOfPastedText(""), "is empty");
  EXPECT_THAT(FaultOfPastedText("\xff\xfe"), HasSubstr("is no token string"));
}

TEST_F(PastedText, SaysNothingOfTheSecret) {
  for (const std::string& text :
       {"x" + token_ + "x", token_.substr(1), token_.substr(0, 68), "Bearer " + token_}) {
    EXPECT_THAT(FaultOfPastedText(text), Not(HasSubstr(token_.substr(10, 12))));
  }
}

}  // namespace
}  // namespace tollgate::token
