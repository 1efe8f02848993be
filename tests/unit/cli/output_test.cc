#include "cli/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/status.h"

namespace tollgate {
namespace {

TEST(Table, PadsByWhatTheEyeSees) {
  Table table({"TOKEN", "LABEL", "STATE"});
  table.AddRow({"a", "größe", "active"});
  table.AddRow({"bbbbbb", "日本", "retiring"});
  std::ostringstream out;
  table.Print(out);
  EXPECT_EQ(out.str(),
            "TOKEN   LABEL  STATE\n"
            "a       größe  active\n"
            "bbbbbb  日本   retiring\n");
}

TEST(Table, PrintsNothingWhenThereIsNothing) {
  std::ostringstream out;
  Table({"TOKEN"}).Print(out);
  EXPECT_EQ(out.str(), "");
}

TEST(SafeForTerminal, LetsNoEscapeSequenceThrough) {
  EXPECT_EQ(SafeForTerminal("a\x1b[31mred\x07"), "a?[31mred?");
  EXPECT_EQ(SafeForTerminal("x\xE2\x80\xAEy"), "x?y");  // right-to-left override
  EXPECT_EQ(SafeForTerminal("größe"), "größe");
}

TEST(PrintError, SaysWhatWhyAndWhatToDo) {
  std::ostringstream err;
  PrintError(RefuseField("LABEL_REQUIRED", "token.label", "is required: say what the token is for"),
             err);
  EXPECT_THAT(err.str(), testing::HasSubstr("refused: "));
  EXPECT_THAT(err.str(), testing::HasSubstr("token.label"));
  EXPECT_THAT(err.str(), testing::HasSubstr("LABEL_REQUIRED"));
}

TEST(ExitCodeFor, IsStable) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeFor(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeFor(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeFor(absl::NotFoundError("")), 3);
  EXPECT_EQ(ExitCodeFor(absl::FailedPreconditionError("")), 4);
  EXPECT_EQ(ExitCodeFor(absl::UnavailableError("")), 5);
  EXPECT_EQ(ExitCodeFor(absl::DeadlineExceededError("")), 5);
}

}  // namespace
}  // namespace tollgate
