#include "net/ready_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/unit/net/edge_server.h"

namespace tollgate::net {
namespace {

std::string Read(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

int FilesBeside(const std::string& path) {
  int files = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(path).parent_path())) {
    ++files;
  }
  return files;
}

class ReadyFileTest : public ::testing::Test {
 protected:
  std::unique_ptr<ReadyFile> Written(const std::string& json) {
    auto written = ReadyFile::Write(path_, json);
    EXPECT_TRUE(written.ok()) << written.status();
    return written.ok() ? *std::move(written) : nullptr;
  }
  bool IsThere() const { return access(path_.c_str(), F_OK) == 0; }

  TempFolder folder_;
  const std::string path_ = folder_ / "ready.json";
};

TEST_F(ReadyFileTest, IsWholeOrAbsent) {
  std::ofstream(path_) << "what was there";
  const auto file = Written("{\"port\":22}\n");
  EXPECT_EQ(Read(path_), "{\"port\":22}\n");
  EXPECT_FALSE(ReadyFile::Write(folder_ / "no/such/folder", "{}").ok());
  EXPECT_EQ(FilesBeside(path_), 1) << "no temporary file is left";
}

TEST_F(ReadyFileTest, GoesWithItsOwner) {
  auto file = Written("{}");
  file.reset();
  EXPECT_FALSE(IsThere());
  file = Written("{}");
  unlink(path_.c_str());
  file.reset();  // whoever removed it was faster
}

TEST_F(ReadyFileTest, OfAnotherIsNotTouched) {
  auto first = Written("first");
  const auto second = Written("second");
  first.reset();
  EXPECT_EQ(Read(path_), "second");
}

TEST_F(ReadyFileTest, OfARunningProcessIsNotStale) {
  {
    const auto file = Written("{}");
    ReadyFile::RemoveStale(path_);
    EXPECT_TRUE(IsThere());
  }
  std::ofstream(path_) << "of a process that is dead";
  ReadyFile::RemoveStale(path_);
  EXPECT_FALSE(IsThere());
  ReadyFile::RemoveStale(path_);
}

TEST_F(ReadyFileTest, WhatIsNoFileIsLeftAlone) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  ReadyFile::RemoveStale(path_);
  EXPECT_TRUE(IsThere());
  const std::string elsewhere = folder_ / "elsewhere";
  std::ofstream(elsewhere) << "precious";
  unlink(path_.c_str());
  ASSERT_EQ(symlink(elsewhere.c_str(), path_.c_str()), 0);
  ReadyFile::RemoveStale(path_);
  EXPECT_TRUE(IsThere());
  const auto file = Written("{}");
  EXPECT_EQ(Read(path_), "{}");
  EXPECT_EQ(Read(elsewhere), "precious");
}

}  // namespace
}  // namespace tollgate::net
