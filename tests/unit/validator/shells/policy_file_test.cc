#include "validator/shells/policy_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/fronts/played_edge.h"

namespace tollgate::validator {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kPatience = absl::Seconds(30);

// "good NAME" is a policy with that fingerprint; nothing else is one.
absl::StatusOr<std::shared_ptr<const policy::Policy>> Parse(absl::string_view text,
                                                            absl::string_view name) {
  if (!absl::ConsumePrefix(&text, "good ")) {
    return base::Refuse(absl::StatusCode::kInvalidArgument, "POLICY_INVALID",
                        absl::StrCat(name, ":1: not good"));
  }
  auto policy = std::make_shared<PlayedPolicy>();
  policy->fingerprint_ = std::string(text);
  return policy;
}

class PolicyFileTest : public ::testing::Test {
 protected:
  PolicyFileTest() {
    std::string folder = absl::StrCat(testing::TempDir(), "/policy-XXXXXX");
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder + "/edge.yaml";
  }
  ~PolicyFileTest() override {
    file_.reset();
    fs::remove_all(folder_);
  }
  void Write(const std::string& text) { std::ofstream(path_) << text; }
  void Replace(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    fs::rename(path_ + ".new", path_);
  }
  absl::Status Open() {
    PolicyFile::Options options;
    options.path = path_;
    options.parse = Parse;
    options.look_interval = absl::Milliseconds(20);
    auto file = PolicyFile::Open(std::move(options));
    if (file.ok()) file_ = *std::move(file);
    return file.status();
  }
  void OpenAndWatch() {
    ASSERT_TRUE(Open().ok());
    ASSERT_TRUE(file_
                    ->Watch([this](bool ok) {
                      absl::MutexLock lock(&mu_);
                      told_.push_back(ok);
                    })
                    .ok());
  }
  // What the next reading came to.
  bool Next() {
    absl::MutexLock lock(&mu_);
    const auto there = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !told_.empty(); };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&there), kPatience));
    if (told_.empty()) return false;
    const bool ok = told_.front();
    told_.pop_front();
    return ok;
  }
  std::string InForce() { return file_->Current()->fingerprint(); }

  std::string folder_;
  std::string path_;
  absl::Mutex mu_;
  std::deque<bool> told_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<PolicyFile> file_;
};

TEST_F(PolicyFileTest, WhatCannotBeReadIsRefusedAtTheStart) {
  absl::Status refused = Open();
  EXPECT_EQ(base::ReasonOf(refused), "POLICY_UNREADABLE");
  EXPECT_TRUE(absl::StrContains(refused.message(), path_)) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "No such file")) << refused;
  Write("bad");
  refused = Open();
  EXPECT_EQ(refused.message(), path_ + ":1: not good");
  Write(std::string(PolicyFile::kMostBytes + 1, 'x'));
  EXPECT_TRUE(absl::StrContains(Open().message(), "more than 1048576 bytes"));
  fs::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_TRUE(absl::StrContains(Open().message(), "no regular file"));
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_EQ(base::ReasonOf(Open()), "POLICY_UNREADABLE");
}

TEST_F(PolicyFileTest, AChangeTakesForceAllOrNothing) {
  Write("good one");
  OpenAndWatch();
  EXPECT_EQ(InForce(), "one");
  EXPECT_TRUE(file_->stats().ok);
  EXPECT_EQ(file_->stats().loads, 1);

  Replace("good two");
  EXPECT_TRUE(Next());
  EXPECT_EQ(InForce(), "two");

  const std::shared_ptr<const policy::Policy> held = file_->Current();
  Replace("bad");
  EXPECT_FALSE(Next());
  EXPECT_EQ(file_->Current(), held) << "a bad file changes nothing";
  PolicyFile::Stats stats = file_->stats();
  EXPECT_FALSE(stats.ok);
  EXPECT_EQ(stats.fingerprint, "two");
  EXPECT_EQ(stats.loads, 2);
  EXPECT_EQ(stats.failures, 1);

  Write("good three");  // in place
  EXPECT_TRUE(Next());
  EXPECT_EQ(InForce(), "three");
  EXPECT_TRUE(file_->stats().ok);
  EXPECT_EQ(held->fingerprint(), "two") << "whoever judges by it goes on";
}

TEST_F(PolicyFileTest, AFileThatIsGoneChangesNothing) {
  Write("good one");
  OpenAndWatch();
  fs::remove(path_);
  EXPECT_FALSE(Next());
  EXPECT_EQ(InForce(), "one");
  Write("good one again");
  EXPECT_TRUE(Next());
  EXPECT_EQ(InForce(), "one again");
}

TEST_F(PolicyFileTest, ABadFileIsToldOfOnce) {
  Write("good one");
  OpenAndWatch();
  Replace("bad");
  EXPECT_FALSE(Next());
  file_->Reload();  // somebody asks once more
  EXPECT_FALSE(Next());
  Replace("good two");
  EXPECT_TRUE(Next()) << "and nothing lies between";
  EXPECT_EQ(file_->stats().failures, 2);
}

TEST_F(PolicyFileTest, ItIsReadAnewWhenAskedFor) {
  Write("good one");
  OpenAndWatch();
  file_->Reload();
  EXPECT_TRUE(Next());
  EXPECT_EQ(file_->stats().loads, 2);
}

// As a kubelet changes a ConfigMap: edge.yaml -> ..data/edge.yaml, ..data -> a folder, and the last
// link is replaced by rename.
TEST_F(PolicyFileTest, ALinkThatIsSwappedIsAChange) {
  for (const char* version : {"one", "two"}) {
    fs::create_directory(absl::StrCat(folder_, "/", version));
    std::ofstream(absl::StrCat(folder_, "/", version, "/edge.yaml")) << "good " << version;
  }
  fs::create_symlink("one", folder_ + "/..data");
  fs::create_symlink("..data/edge.yaml", path_);
  OpenAndWatch();
  EXPECT_EQ(InForce(), "one");
  fs::create_symlink("two", folder_ + "/..data_tmp");
  fs::rename(folder_ + "/..data_tmp", folder_ + "/..data");
  EXPECT_TRUE(Next());
  EXPECT_EQ(InForce(), "two");
}

TEST_F(PolicyFileTest, WhoeverReadsIsNeverWithoutAPolicy) {
  Write("good one");
  OpenAndWatch();
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done) ASSERT_NE(file_->Current(), nullptr);
  });
  for (int i = 0; i < 50; ++i) {
    file_->Reload();
    EXPECT_TRUE(Next());
  }
  done = true;
  reader.join();
}

}  // namespace
}  // namespace tollgate::validator
