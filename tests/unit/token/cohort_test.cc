#include "token/cohort.h"

#include "gtest/gtest.h"

namespace tollgate::token {
namespace {

TEST(CoversTest, ByRevisionThenIndex) {
  EXPECT_TRUE(Covers(5, 0, 4, 9));
  EXPECT_TRUE(Covers(5, 2, 5, 1));
  EXPECT_FALSE(Covers(5, 2, 5, 2));
  EXPECT_FALSE(Covers(5, 2, 5, 3));
  EXPECT_FALSE(Covers(5, 9, 6, 0));
}

TEST(CohortWatermarkTest, ByWorkspaceOwnerAndPlace) {
  const CohortWatermark all{"acme", "", 5, 2};
  EXPECT_TRUE(all.Covers("acme", "a", 5, 1));
  EXPECT_TRUE(all.Covers("acme", "", 4, 9));
  EXPECT_FALSE(all.Covers("acme", "a", 5, 2));
  EXPECT_FALSE(all.Covers("other", "a", 5, 1));
  const CohortWatermark of_a{"acme", "a", 5, 2};
  EXPECT_TRUE(of_a.Covers("acme", "a", 5, 1));
  EXPECT_FALSE(of_a.Covers("acme", "b", 5, 1));
  EXPECT_FALSE(of_a.Covers("acme", "", 5, 1));
  EXPECT_FALSE(of_a.Covers("acme", "a", 6, 0));
}

}  // namespace
}  // namespace tollgate::token
