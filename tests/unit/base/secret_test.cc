#include "base/secret.h"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tests/unit/base/watched_block.h"

namespace tollgate::base {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes> &&
              !std::is_copy_assignable_v<SecretBytes> &&
              std::is_nothrow_move_constructible_v<SecretBytes>);

class SecretTest : public ::testing::Test {
 protected:
  void SetUp() override {
    InitSecrets();
    watched = nullptr;
    given_back = given_back_dirty = 0;
    watching = true;
  }
  void TearDown() override { watching = false; }
  static SecretBytes Watched() {
    SecretBytes secret(kWatchedSize);
    for (uint8_t& byte : secret.MutableSecret()) byte = 's';
    return secret;
  }
};

TEST_F(SecretTest, TheWatcherSeesWhatIsNotWiped) {
  {
    std::vector<uint8_t> careless(kWatchedSize, 's');
  }
  EXPECT_EQ(given_back, 1);
  EXPECT_EQ(given_back_dirty, 1);
}

TEST_F(SecretTest, WipedWhenItGoes) {
  {
    SecretBytes secret = Watched();
  }
  EXPECT_EQ(given_back, 1);
  EXPECT_EQ(given_back_dirty, 0);
}

TEST_F(SecretTest, WipedWhenReplaced) {
  SecretBytes secret = Watched();
  secret = SecretBytes::CopyOf("other");
  EXPECT_EQ(given_back, 1);
  EXPECT_EQ(given_back_dirty, 0);
  EXPECT_EQ(secret.RevealSecret(), "other");
}

TEST_F(SecretTest, MovingLeavesNothingBehind) {
  SecretBytes a = SecretBytes::CopyOf("secret");
  SecretBytes b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that it is empty is the promise
  EXPECT_EQ(b.RevealSecret(), "secret");
}

TEST_F(SecretTest, ComparesContentsAndLengths) {
  const SecretBytes secret = SecretBytes::CopyOf("secret");
  EXPECT_TRUE(secret.EqualsConstantTime("secret"));
  EXPECT_FALSE(secret.EqualsConstantTime("secreT"));
  EXPECT_FALSE(secret.EqualsConstantTime("secre"));
  EXPECT_FALSE(secret.EqualsConstantTime(""));
  EXPECT_TRUE(SecretBytes().EqualsConstantTime(""));
}

TEST_F(SecretTest, WipeStringTakesTheWholeCapacity) {
  std::string s(kWatchedSize - 1, 's');  // and its NUL: a block of the watched size
  s.resize(3);
  WipeString(&s);
  EXPECT_TRUE(s.empty());
  s.shrink_to_fit();
  EXPECT_EQ(given_back, 1);
  EXPECT_EQ(given_back_dirty, 0);

  std::string small = "short";
  const char* const data = small.data();
  WipeString(&small);
  EXPECT_EQ(std::string(data, 5), std::string(5, '\0'));
}

}  // namespace
}  // namespace tollgate::base
