#include "base/version.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/bad_flag.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::base {
namespace {

namespace fs = std::filesystem;

std::string Text(const fs::path& path) {
  std::ifstream in(path);
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

// The program's version is read off the project's, which a release changes and nothing else.
TEST(Version, IsTheProjects) {
  const std::string text = Text(fs::path(TOLLGATE_SOURCE_DIR) / "CMakeLists.txt");
  std::smatch found;
  ASSERT_TRUE(std::regex_search(text, found, std::regex(R"(project\([^)]*VERSION ([0-9.]+))")));
  EXPECT_EQ(found[1].str(), kVersion);
}

TEST(Version, NoSourceHasACopyOfIt) {
  const std::string copy = absl::StrCat("\"", kVersion, "\"");
  int files = 0;
  for (const char* room : {"base", "net", "token", "storage", "service", "validator", "cli"}) {
    for (const auto& file :
         fs::recursive_directory_iterator(fs::path(TOLLGATE_SOURCE_DIR) / room)) {
      const std::string name = file.path().extension().string();
      if (name != ".cc" && name != ".h") continue;
      ++files;
      std::string text = Text(file.path());
      text = std::regex_replace(text, std::regex("//[^\n]*"), "");
      EXPECT_FALSE(absl::StrContains(text, copy)) << file.path();
    }
  }
  EXPECT_GT(files, 100) << "does it look in the right place?";
}

TEST(BadFlag, NamesTheFlagInTheMessageAndAsTheField) {
  const absl::Status refused = BadFlag("lease", "must be above 0");
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "--lease: must be above 0");
  const ErrorDetails details = DetailsOf(refused);
  EXPECT_EQ(details.reason, "BAD_FLAG");
  ASSERT_EQ(details.fields.size(), 1u);
  EXPECT_EQ(details.fields[0].field, "lease");
  EXPECT_EQ(details.fields[0].description, "must be above 0");
}

}  // namespace
}  // namespace tollgate::base
