#include "token/fingerprint.h"

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"

namespace tollgate::token {
namespace {

// Of a stored format: b2sum -l 256 over each part behind its length (8 bytes, little endian).
TEST(FingerprintTest, IsWhatAnyBlake2bSays) {
  EXPECT_EQ(absl::BytesToHexString(Fingerprint("tag", {"ab", "c"})),
            "8328d3c3fc6b54851aa7cfbf8ae23d2d07743f29b7cb875c3fb5817706a6a883");
}

TEST(FingerprintTest, WhereAPartEndsCounts) {
  EXPECT_NE(Fingerprint("tag", {"ab", "c"}), Fingerprint("tag", {"a", "bc"}));
  EXPECT_NE(Fingerprint("tag", {"ab", "c"}), Fingerprint("tag", {"abc"}));
  EXPECT_NE(Fingerprint("tag", {"ab"}), Fingerprint("tag", {"ab", ""}));
  EXPECT_NE(Fingerprint("tag", {"ab"}), Fingerprint("gat", {"ab"}));
}

}  // namespace
}  // namespace tollgate::token
