#include "base/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace tollgate::base {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }
  static std::string Captured(LogLevel level, absl::string_view message, LogFields fields = {}) {
    testing::internal::CaptureStderr();
    Log(level, message, fields);
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, OneObjectALine) {
  const std::string line = Captured(LogLevel::kInfo, "session opened",
                                    {{"validator", "edge-1"},
                                     {"revision", 7},
                                     {"lease", absl::Milliseconds(1500)},
                                     {"reset", true},
                                     {"status", absl::NotFoundError("gone")}});
  ASSERT_FALSE(line.empty());
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["message"], "session opened");
  EXPECT_EQ(json["validator"], "edge-1");
  EXPECT_EQ(json["revision"], 7);
  EXPECT_EQ(json["lease"], 1.5);
  EXPECT_EQ(json["reset"], true);
  EXPECT_EQ(json["status"], "NOT_FOUND: gone");
  EXPECT_EQ(line.find("{\"time\":\""), 0u);
}

TEST_F(LogTest, NothingBreaksTheLine) {
  const std::string hostile = "a\nb\"}\xff{} %s \x1b[2J";
  const std::string line = Captured(LogLevel::kError, hostile, {{hostile, hostile}});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["message"], "a\nb\"}\xEF\xBF\xBD{} %s \x1b[2J");
}

TEST_F(LogTest, AFieldDoesNotHideTheLinesOwn) {
  const auto json = nlohmann::json::parse(
      Captured(LogLevel::kInfo, "m", {{"level", "fatal"}, {"message", "other"}}));
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["message"], "m");
  EXPECT_EQ(json["level_"], "fatal");
}

TEST_F(LogTest, ASinkTakesLinesOrLeavesThemToStderr) {
  static std::string* const last = new std::string;
  static bool take = true;
  SetLogSink([](LogLevel level, absl::string_view line) {
    *last = std::string(line);
    return take && level == LogLevel::kWarning;
  });
  EXPECT_EQ(Captured(LogLevel::kWarning, "taken"), "");
  EXPECT_EQ(nlohmann::json::parse(*last)["message"], "taken");
  take = false;
  const std::string left = Captured(LogLevel::kWarning, "left");
  EXPECT_EQ(left, *last + "\n");
  SetLogSink(nullptr);
  EXPECT_NE(Captured(LogLevel::kWarning, "without"), "");
  EXPECT_EQ(left, *last + "\n");
}

TEST_F(LogTest, LevelsBelowTheLeastAreNotWritten) {
  EXPECT_EQ(Captured(LogLevel::kDebug, "m"), "");
  SetLogLevel(LogLevel::kWarning);
  EXPECT_EQ(Captured(LogLevel::kInfo, "m"), "");
  EXPECT_NE(Captured(LogLevel::kWarning, "m"), "");
  SetLogLevel(LogLevel::kDebug);
  EXPECT_NE(Captured(LogLevel::kDebug, "m"), "");
}

TEST_F(LogTest, LikeLinesAreSummedUpAndTheLastWordsAreTheLast) {
  FlushLog();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 1000; ++i) {
    LogSummed(LogLevel::kError, "it failed", "BROKEN", {{"number", i}});
  }
  LogSummed(LogLevel::kError, "it failed", "OTHERWISE");
  LogLastWords("the end");
  std::istringstream text(testing::internal::GetCapturedStderr());
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0]["number"], 0);
  EXPECT_EQ(lines[1]["message"], "it failed");
  EXPECT_EQ(lines[2]["message"], "it failed");
  EXPECT_EQ(lines[2]["level"], "error");
  EXPECT_EQ(lines[2]["reason"], "BROKEN");
  EXPECT_EQ(lines[2]["more_times"], 999);
  EXPECT_EQ(lines[3]["message"], "the end");
}

TEST_F(LogTest, LevelsByName) {
  LogLevel level = LogLevel::kInfo;
  EXPECT_TRUE(ParseLogLevel("error", &level));
  EXPECT_EQ(level, LogLevel::kError);
  EXPECT_FALSE(ParseLogLevel("Error", &level));
  EXPECT_FALSE(ParseLogLevel("", &level));
  EXPECT_EQ(level, LogLevel::kError);
}

}  // namespace
}  // namespace tollgate::base
