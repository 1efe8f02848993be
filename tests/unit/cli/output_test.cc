#include "cli/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/status.h"
#include "google/protobuf/timestamp.pb.h"
#include "nlohmann/json.hpp"
#include "tollgate/v1/workspace_service.pb.h"

namespace tollgate::cli {
namespace {

TEST(SafeForTerminal, LetsNoEscapeSequenceThrough) {
  EXPECT_EQ(SafeForTerminal("a\x1b[31mred\x07"), "a?[31mred?");
  EXPECT_EQ(SafeForTerminal("x\xE2\x80\xAEy"), "x?y");  // right-to-left override
  EXPECT_EQ(SafeForTerminal("größe 日本 \U0001F680"), "größe 日本 \U0001F680");
}

TEST(SafeForTerminal, KeepsWhatJoinsLettersAndHidesNothing) {
  EXPECT_EQ(SafeForTerminal("\u0dc1\u0dca\u200d\u0dbb"), "\u0dc1\u0dca\u200d\u0dbb");
  EXPECT_EQ(SafeForTerminal("\u0645\u06cc\u200c\u062e"), "\u0645\u06cc\u200c\u062e");
  EXPECT_EQ(SafeForTerminal("a\u200db\u200c"), "a?b?");
  EXPECT_EQ(SafeForTerminal("x\U000E0041"), "x?");
}

TEST(SafeForTerminal, ByteByByteWhereItIsNoUtf8) {
  EXPECT_EQ(SafeForTerminal("\xE2\x1B[2J"), "??[2J") << "an escape where a continuation belongs";
  EXPECT_EQ(SafeForTerminal("\xC3\x1B[2J"), "??[2J");
  EXPECT_EQ(SafeForTerminal("\xF0\x9F\x1B\x9B"), "????");
  EXPECT_EQ(SafeForTerminal("\xC0\x9B"), "??") << "longer than it must be: an escape to some";
  EXPECT_EQ(SafeForTerminal("\xE0\x80\x9B"), "???");
  EXPECT_EQ(SafeForTerminal("\xED\xA0\x80"), "???") << "a surrogate";
  EXPECT_EQ(SafeForTerminal("a\x9B"
                            "31m\xFF"),
            "a?31m?")
      << "bytes that begin nothing";
  EXPECT_EQ(SafeForTerminal("\xC2\x9B"), "?") << "C1";
  EXPECT_EQ(SafeForTerminal("x\xE2\x82"), "x??") << "cut short";
}

TEST(PrintJson, RefusesWhatHasNoJson) {
  google::protobuf::Timestamp year_10000;
  year_10000.set_seconds(253402300800);
  std::ostringstream out;
  const absl::Status status = PrintJson(year_10000, out);
  EXPECT_EQ(base::ReasonOf(status), "ANSWER_NOT_JSON");
  EXPECT_EQ(ExitCodeFor(status), kFailed);
  EXPECT_EQ(base::ReasonOf(PrintJsonLine(year_10000, out)), "ANSWER_NOT_JSON");
  EXPECT_EQ(out.str(), "");
  year_10000.set_seconds(0);
  EXPECT_TRUE(PrintJson(year_10000, out).ok());
  EXPECT_EQ(out.str(), "\"1970-01-01T00:00:00Z\"\n");
}

TEST(PrintJson, AnEmptyListIsAList) {
  const auto printed = [](const google::protobuf::Message& message, auto print) {
    std::ostringstream out;
    EXPECT_TRUE(print(message, out).ok());
    EXPECT_TRUE(nlohmann::json::accept(out.str())) << out.str();
    return out.str();
  };
  const auto document = [](const google::protobuf::Message& message, std::ostream& out) {
    return PrintJson(message, out);
  };
  tollgate::v1::ListWorkspacesResponse workspaces;
  EXPECT_EQ(printed(workspaces, document), "{\n  \"workspaces\": []\n}\n");
  EXPECT_EQ(printed(workspaces, PrintJsonLine), "{\"workspaces\":[]}\n");
  workspaces.set_next_page_token("more");
  EXPECT_EQ(printed(workspaces, PrintJsonLine),
            "{\"workspaces\":[],\"next_page_token\":\"more\"}\n");
}

TEST(PrintErrorJson, IsAsciiAlsoWhereTheMessageIsNot) {
  std::ostringstream err;
  PrintErrorJson(absl::InternalError("gr\xC3\xB6\xC3\x9F"
                                     "e \xC2\x9B"
                                     "31m \xE2\x1B[2J"),
                 err);
  EXPECT_THAT(err.str(), testing::HasSubstr("gr\\u00f6\\u00dfe \\u009b31m"));
  EXPECT_THAT(err.str(), testing::Each(testing::AnyOf(
                             '\n', testing::AllOf(testing::Ge(' '), testing::Le('~')))));
}

TEST(PrintError, SaysWhatWhyAndWhatToDo) {
  std::ostringstream err;
  PrintError(
      base::RefuseField("LABEL_REQUIRED", "token.label", "is required: say what the token is for"),
      err);
  EXPECT_THAT(err.str(), testing::HasSubstr("refused: "));
  EXPECT_THAT(err.str(), testing::HasSubstr("token.label"));
  EXPECT_THAT(err.str(), testing::HasSubstr("LABEL_REQUIRED"));
}

TEST(PrintError, SaysNothingTwice) {
  const auto said = [](const absl::Status& status) {
    std::ostringstream err;
    PrintError(status, err);
    return err.str();
  };
  EXPECT_EQ(said(base::Refuse(absl::StatusCode::kOutOfRange, "NOT_YET", "refused: there is none")),
            "refused: there is none\n  (reason NOT_YET)\n");
  EXPECT_EQ(
      said(base::Refuse(absl::StatusCode::kUnavailable, "DRAINING", "refused: about to stop")),
      "unavailable: about to stop\n  (reason DRAINING)\n");
  base::ErrorDetails details;
  details.reason = "LABEL_TAKEN";
  details.fields.push_back({"token.label", "labels are unique, and a live token has it"});
  EXPECT_EQ(said(base::Refuse(absl::StatusCode::kAlreadyExists,
                              "token.label: labels are unique, and workspaces/a/tokens/b has it",
                              details)),
            "refused: token.label: labels are unique, and workspaces/a/tokens/b has it\n"
            "  (reason LABEL_TAKEN)\n");
}

TEST(WithAdvice, KeepsEverythingElse) {
  const absl::Status status =
      WithAdvice(base::RefuseForNow("DRAINING", "about to stop", absl::Seconds(1)), "Look again");
  EXPECT_EQ(status.message(), "about to stop\n  Look again");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(base::DetailsOf(status).reason, "DRAINING");
  EXPECT_EQ(base::DetailsOf(status).retry_after, absl::Seconds(1));
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
}  // namespace tollgate::cli
