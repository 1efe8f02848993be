#include "base/invariant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/log.h"

namespace tollgate::base {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ExitedWithCode;
using ::testing::HasSubstr;

class InvariantDeathTest : public ::testing::Test {
 protected:
  // Other tests of this program have started threads.
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST(InvariantTest, OneThatHoldsIsSilentAndReadOnce) {
  int read = 0;
  testing::internal::CaptureStderr();
  TOLLGATE_INVARIANT(++read > 0, "it was read");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(read, 1);
}

TEST(InvariantTest, IsOneStatement) {
  bool other = false;
  if (other)
    TOLLGATE_INVARIANT(false, "never reached");
  else
    other = true;
  EXPECT_TRUE(other);
}

TEST_F(InvariantDeathTest, ABrokenOneEndsTheProcessWithALineThatSaysWhich) {
  const int revision = 8;
  EXPECT_EXIT(
      TOLLGATE_INVARIANT(revision == 7, "a commit's revision is the head's plus one"),
      ExitedWithCode(70),
      AllOf(
          HasSubstr(R"("level":"error")"),
          HasSubstr(R"("message":"invariant broken: a commit's revision is the head's plus one")"),
          HasSubstr(R"("condition":"revision == 7")"),
          HasSubstr(R"("file":"tests/unit/base/invariant_test.cc")"),
          ContainsRegex("\"line\":[0-9]+\\}\n$")));
}

TEST_F(InvariantDeathTest, NothingRunsAfterIt) {
  // With another code, were it to return, throw, or run what exit() runs.
  EXPECT_EXIT(
      {
        std::atexit([] { _exit(3); });
        TOLLGATE_INVARIANT(false, "false is true");
        _exit(4);
      },
      ExitedWithCode(kExitInvariantBroken), "false is true");
}

TEST_F(InvariantDeathTest, IsToldAtTheHighestLogLevelToo) {
  SetLogLevel(LogLevel::kError);
  EXPECT_EXIT(TOLLGATE_INVARIANT(false, "false is true"), ExitedWithCode(kExitInvariantBroken),
              "invariant broken: false is true");
  SetLogLevel(LogLevel::kInfo);
}

}  // namespace
}  // namespace tollgate::base
