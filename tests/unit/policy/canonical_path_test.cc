// The canonical path: what is normalised, and what is refused.
#include "policy/canonical_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>

namespace tollgate::policy {
namespace {

struct PathCase {
  std::string target;
  std::string path;    // where it is taken
  std::string reason;  // where it is refused
};
std::ostream& operator<<(std::ostream& out, const PathCase& c) { return out << c.target; }

class Paths : public testing::TestWithParam<PathCase> {};

TEST_P(Paths, AreReadOnce) {
  Target target;
  const Refused refused = ReadTarget(GetParam().target, "GET", &target);
  EXPECT_EQ(refused.has_value() ? std::string(refused->reason) : "", GetParam().reason)
      << target.path;
  if (refused.has_value()) {
    EXPECT_EQ(refused->status, 400);
    EXPECT_FALSE(refused->description.empty());
    return;
  }
  EXPECT_EQ(target.path, GetParam().path);
  EXPECT_FALSE(CheckPath(target.path).has_value()) << "a canonical path is its own canonical path";
}

INSTANTIATE_TEST_SUITE_P(
    Normalised, Paths,
    testing::Values(PathCase{"/", "/"}, PathCase{"/a", "/a"}, PathCase{"/a/", "/a"},
                    PathCase{"/a/b?c=/d/../e", "/a/b"}, PathCase{"/?", "/"},
                    PathCase{"/%61%62%2Dc", "/ab-c"}, PathCase{"/a%2eb", "/a.b"},
                    PathCase{"/.well-known/x", "/.well-known/x"}, PathCase{"/a..b", "/a..b"},
                    PathCase{"/a%20b", "/a b"}, PathCase{"/100%25", "/100%"},
                    PathCase{"/caf%c3%a9", "/caf\xc3\xa9"},
                    PathCase{"/v1/items:batchGet", "/v1/items:batchGet"},
                    PathCase{"/a+b@c,d=e&f!$'()*", "/a+b@c,d=e&f!$'()*"},
                    PathCase{"http://h/a", "/a"}, PathCase{"HTTPS://h", "/"},
                    PathCase{"http://h?x", "/"}, PathCase{"http://h/?x", "/"}));

INSTANTIATE_TEST_SUITE_P(
    Refused, Paths,
    testing::Values(
        PathCase{"/a/../b", "", "PATH_AMBIGUOUS"}, PathCase{"/a/%2E%2e/b", "", "PATH_AMBIGUOUS"},
        PathCase{"/..", "", "PATH_AMBIGUOUS"}, PathCase{"/a/./b", "", "PATH_AMBIGUOUS"},
        PathCase{"/...", "", "PATH_AMBIGUOUS"}, PathCase{"//", "", "PATH_AMBIGUOUS"},
        PathCase{"/a//b", "", "PATH_AMBIGUOUS"}, PathCase{"/a%2fb", "", "PATH_AMBIGUOUS"},
        PathCase{"/a%2Fb", "", "PATH_AMBIGUOUS"}, PathCase{"/a%5Cb", "", "PATH_AMBIGUOUS"},
        PathCase{"/a\\b", "", "PATH_AMBIGUOUS"}, PathCase{"/a;b", "", "PATH_AMBIGUOUS"},
        PathCase{"/a%3Bb", "", "PATH_AMBIGUOUS"}, PathCase{"/a%3Fb", "", "PATH_AMBIGUOUS"},
        PathCase{"/a%23b", "", "PATH_AMBIGUOUS"}, PathCase{"/%2561", "", "PATH_AMBIGUOUS"},
        PathCase{"/%25%36%31", "", "PATH_AMBIGUOUS"}, PathCase{"/%25u0061", "", "PATH_AMBIGUOUS"},
        PathCase{"/a./b", "", "PATH_AMBIGUOUS"}, PathCase{"/a%20/b", "", "PATH_AMBIGUOUS"},
        PathCase{"/%ef%bc%8f", "", "PATH_AMBIGUOUS"}, PathCase{"/%e2%80%a4a", "", "PATH_AMBIGUOUS"},
        PathCase{"/%00", "", "PATH_MALFORMED"}, PathCase{"/%7F", "", "PATH_MALFORMED"},
        PathCase{"/%c2%80", "", "PATH_MALFORMED"}, PathCase{"/%c0%af", "", "PATH_MALFORMED"},
        PathCase{"/%e0%80%af", "", "PATH_MALFORMED"}, PathCase{"/%ed%a0%80", "", "PATH_MALFORMED"},
        PathCase{"/%f4%90%80%80", "", "PATH_MALFORMED"}, PathCase{"/%c3", "", "PATH_MALFORMED"},
        PathCase{"/%", "", "PATH_MALFORMED"}, PathCase{"/%4", "", "PATH_MALFORMED"},
        PathCase{"/%4g", "", "PATH_MALFORMED"}, PathCase{"/%u0061", "", "PATH_MALFORMED"},
        PathCase{"", "", "TARGET_MALFORMED"}, PathCase{"a", "", "TARGET_MALFORMED"},
        PathCase{"*", "", "TARGET_MALFORMED"}, PathCase{"/a b", "", "TARGET_MALFORMED"},
        PathCase{"/a#b", "", "TARGET_MALFORMED"}, PathCase{"/a?b#c", "", "TARGET_MALFORMED"},
        PathCase{"/a?\xc3\xa9", "", "TARGET_MALFORMED"},
        PathCase{std::string("/a\0b", 4), "", "TARGET_MALFORMED"},
        PathCase{"ftp://h/a", "", "TARGET_MALFORMED"},
        PathCase{"http:///a", "", "TARGET_MALFORMED"}, PathCase{"http://", "", "TARGET_MALFORMED"},
        PathCase{"h:443", "", "TARGET_MALFORMED"}));

TEST(Target, ItsPartsAreViewsOfIt) {
  const std::string sent = "https://user@H:8443/a%62?q=%20;r";
  Target target;
  ASSERT_FALSE(ReadTarget(sent, "GET", &target).has_value());
  EXPECT_EQ(target.scheme, "https");
  EXPECT_EQ(target.authority, "user@H:8443") << "whether it is a host is policy/host's to say";
  EXPECT_EQ(target.path, "/ab");
  EXPECT_EQ(target.query, "q=%20;r");
}

TEST(Target, ARefusalSaysWhatItIsAbout) {
  Target target;
  EXPECT_EQ(ReadTarget("/a/../b", "GET", &target)->description, "the path has a dot segment");
}

TEST(Target, AnAsteriskIsForOptions) {
  Target target;
  ASSERT_FALSE(ReadTarget("*", "OPTIONS", &target).has_value());
  EXPECT_TRUE(target.asterisk);
  EXPECT_EQ(target.path, "");
  EXPECT_EQ(ReadTarget("*?a", "OPTIONS", &target)->reason, "TARGET_MALFORMED");
}

TEST(Target, HasALongestLength) {
  Target longest;
  EXPECT_FALSE(ReadTarget("/" + std::string(kLongestTarget - 1, 'a'), "GET", &longest).has_value());
  Target longer;
  EXPECT_EQ(ReadTarget("/" + std::string(kLongestTarget, 'a'), "GET", &longer)->reason,
            "TARGET_TOO_LONG");
}

// No byte of a path, raw or encoded, can bring in a separator or a control character.
TEST(Target, NoByteBecomesASeparator) {
  for (int byte = 0; byte < 256; ++byte) {
    const char hex[] = "0123456789abcdef";
    const std::string encoded = {'%', hex[byte / 16], hex[byte % 16]};
    for (const std::string& sent : {encoded, std::string(1, static_cast<char>(byte))}) {
      Target target;
      if (ReadTarget("/a" + sent + "b", "GET", &target).has_value()) continue;
      if (sent == "?") continue;
      const size_t slashes = sent == "/" ? 2 : 1;
      EXPECT_EQ(std::count(target.path.begin(), target.path.end(), '/'), slashes) << byte;
      EXPECT_EQ(target.path.find_first_of("\\;?#"), std::string::npos) << byte;
      for (const char c : target.path) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << byte;
    }
  }
}

}  // namespace
}  // namespace tollgate::policy
