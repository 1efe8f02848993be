#include "base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

namespace tollgate::base {
namespace {

// Gives out a fixed run of bytes.
class FixedRandom : public Random {
 public:
  explicit FixedRandom(std::string bytes) : bytes_(std::move(bytes)) {}
  void Fill(absl::Span<uint8_t> out) override {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(bytes_.at(at_++));
  }
  size_t taken() const { return at_; }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

TEST(RandomTest, SeededIsTheSameEverywhere) {
  SeededRandom random(0);
  // SplitMix64 from seed 0: e220a8397b1dcdaf, 6e789e6aa1b965f4 (its authors' reference code).
  EXPECT_EQ(random.Hex(16), "afcd1d7b39a820e2f465b9a16a9e786e");
  SeededRandom a(7), b(7), c(8);
  EXPECT_EQ(a.Hex(13), b.Hex(13));
  EXPECT_NE(a.Hex(13), c.Hex(13));
}

TEST(RandomTest, UniformStaysBelowItsBoundAndReachesAll) {
  SeededRandom random(1);
  for (const uint64_t bound :
       {uint64_t{1}, uint64_t{2}, uint64_t{62}, uint64_t{1} << 63, ~uint64_t{0}}) {
    for (int i = 0; i < 200; ++i) ASSERT_LT(random.Uniform(bound), bound);
  }
  std::array<int, 62> counts{};
  for (int i = 0; i < 62'000; ++i) ++counts[random.Uniform(62)];
  for (const int count : counts) {
    EXPECT_GT(count, 800);
    EXPECT_LT(count, 1200);
  }
}

TEST(RandomTest, UniformDrawsAgainWhatWouldBeUnfair) {
  // 2^64 mod 62 is 16: the words 0 to 15 are drawn again.
  std::string bytes(8, '\0');
  bytes += std::string("\x0f\0\0\0\0\0\0\0", 8);
  bytes += std::string("\x10\0\0\0\0\0\0\0", 8);
  FixedRandom random(bytes);
  EXPECT_EQ(random.Uniform(62), 16u);
  EXPECT_EQ(random.taken(), 24u);
}

TEST(RandomTest, UniformRealIsBelowOne) {
  FixedRandom most(std::string(8, '\xff'));
  EXPECT_LT(most.UniformReal(), 1.0);
  FixedRandom least(std::string(8, '\0'));
  EXPECT_EQ(least.UniformReal(), 0.0);
}

TEST(RandomTest, HexSpreadsEveryByte) {
  FixedRandom random(std::string("\x00\x01\xab\xff\x10", 5));
  EXPECT_EQ(random.Hex(5), "0001abff10");
  EXPECT_EQ(random.Hex(0), "");
}

TEST(RandomTest, TheSystemsDoesNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(SystemRandom().Hex(16)).second);
}

}  // namespace
}  // namespace tollgate::base
