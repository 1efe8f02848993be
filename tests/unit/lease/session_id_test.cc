#include "lease/session_id.h"

#include <string>

#include "absl/hash/hash_testing.h"
#include "gtest/gtest.h"

namespace tollgate::lease {
namespace {

TEST(SessionIdTest, TwoIncarnationsOfOneValidatorAreTwoSessions) {
  const SessionId a{"edge-1", std::string(16, 'a')};
  const SessionId b{"edge-1", std::string(16, 'b')};
  EXPECT_NE(a, b);
  EXPECT_LT(a, b);
  EXPECT_EQ(a, (SessionId{"edge-1", std::string(16, 'a')}));
}

TEST(SessionIdTest, HashAgreesWithEquality) {
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly(
      {SessionId{}, SessionId{"a", "b"}, SessionId{"ab", ""}, SessionId{"", "ab"}}));
}

}  // namespace
}  // namespace tollgate::lease
