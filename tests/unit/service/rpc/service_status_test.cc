// GetStatus: what folders and the store tell.
#include "service/rpc/service_status.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/proto_time.h"
#include "storage/live_count.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "tests/unit/service/service_fixture.h"

namespace tollgate::service {
namespace {

void Make(const std::string& folder, absl::Time made) {
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/CURRENT") << "x";
  const timespec time = absl::ToTimespec(made);
  const timespec times[2] = {time, time};
  ASSERT_EQ(utimensat(AT_FDCWD, folder.c_str(), times, 0), 0);
}

bool HoldsStore(const std::string& folder) { return std::filesystem::exists(folder + "/CURRENT"); }

TEST(NewestBackup, IsTheWholeOneThatWasMadeLast) {
  const TempDir home;
  const absl::Time at = absl::FromUnixSeconds(1'800'000'000);
  EXPECT_FALSE(NewestBackup(home / "none", HoldsStore).has_value());
  EXPECT_FALSE(NewestBackup(home / "", HoldsStore).has_value());
  Make(home / "b", at);
  Make(home / "a", at + absl::Hours(1));
  Make(home / "c", at - absl::Hours(1));
  // One that is being made, something else, a file, and a link to a folder elsewhere.
  Make(home / "d.tmp", at + absl::Hours(9));
  std::filesystem::create_directory(home / "other");
  std::ofstream(home / "file") << "x";
  std::filesystem::create_directory_symlink(home / "d.tmp", home / "link");
  const absl::optional<Backup> newest = NewestBackup(home / "", HoldsStore);
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(std::filesystem::path(newest->path).filename(), "a");
  EXPECT_EQ(newest->made, at + absl::Hours(1));
}

TEST(FolderBytes, CountsItsFilesAndThoseBelow) {
  const TempDir home;
  const TempDir other;
  EXPECT_EQ(FolderBytes(home / "none"), 0);
  std::filesystem::create_directory(home / "below");
  std::ofstream(home / "one") << std::string(100'000, 'x');
  std::ofstream(home / "below/two") << std::string(200'000, 'x');
  std::ofstream(other / "big") << std::string(4'000'000, 'x');
  std::filesystem::create_symlink(other / "big", home / "link");
  std::filesystem::create_directory_symlink(other / "", home / "link-to-folder");
  EXPECT_GE(FolderBytes(home / ""), 300'000);
  EXPECT_LE(FolderBytes(home / ""), 400'000);
}

TEST(Trouble, TheLongestWaitComesFirst) {
  StorePlace place;
  EXPECT_EQ(TroubleOf(place), "");
  place.ready = [] { return false; };
  EXPECT_EQ(TroubleOf(place), "the service is not ready: its log says why");
  place.longest_wait = [] { return std::string("a commit in /data for 12 s"); };
  EXPECT_EQ(TroubleOf(place), "the disk: a commit in /data for 12 s");
  place.ready = [] { return true; };
  EXPECT_EQ(TroubleOf(place), "the disk: a commit in /data for 12 s");
}

class StatusTest : public ServiceTest {
 protected:
  ServerOptions Options() override {
    ServerOptions options = ServiceTest::Options();
    options.backup_dir = dir_ / "backups";
    return options;
  }
  v1::ServiceStatus Status() {
    v1::ServiceStatus status;
    const absl::Status asked =
        Call(operations_, &Operations::GetStatus, v1::GetStatusRequest(), &status);
    EXPECT_TRUE(asked.ok()) << asked;
    return status;
  }
};

TEST_F(StatusTest, FollowsWhatIsDone) {
  const v1::ServiceStatus before = Status();
  EXPECT_TRUE(before.ready());
  EXPECT_EQ(before.epoch(), server_->epoch());
  EXPECT_EQ(before.store().name(), dir_ / "store");
  EXPECT_GT(before.store().size_bytes(), 0);
  EXPECT_EQ(before.store().live_tokens(), 0);
  EXPECT_TRUE(before.store().has_live_tokens());
  EXPECT_EQ(before.store().trouble(), "");
  EXPECT_TRUE(before.backup().configured());
  EXPECT_EQ(before.backup().newest_path(), "");
  EXPECT_EQ(before.fleet().total_count(), 0);

  Create("one");
  const v1::Token other = Create("two", "ada", "beta").token();
  v1::RevokeTokenRequest revoke;
  revoke.set_name(other.name());
  v1::RevokeTokenResponse revoked;
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeToken, revoke, &revoked).ok());
  v1::CreateBackupResponse backup;
  ASSERT_TRUE(
      Call(operations_, &Operations::CreateBackup, v1::CreateBackupRequest(), &backup).ok());

  const v1::ServiceStatus after = Status();
  EXPECT_EQ(after.store().live_tokens(), 1);
  EXPECT_EQ(after.store().workspaces(), 1);
  EXPECT_GE(after.head_revision(), backup.revision());
  EXPECT_EQ(after.backup().newest_path(), backup.path());
  EXPECT_LE(base::FromProto(after.start_time()), base::FromProto(after.clock().service_time()));
}

}  // namespace
}  // namespace tollgate::service
