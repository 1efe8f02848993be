// Counts of whole workspaces and backups: apart from the reads that validators wait for, one backup
// at a time, given up with the caller, and told to the audit log.

#include "service/rpc/backup.h"
#include "service/rpc/rpc_call.h"
#include "storage/memory/memory_engine.h"
#include "tests/unit/service/service_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using namespace tollgate::v1;  // NOLINT: the whole API
using testing::ElementsAre;

class LongWorkTest : public ServiceTest {
 protected:
  void SetUp() override {}  // each test says how much room there is
  ServerOptions Options() override {
    ServerOptions options = ServiceTest::Options();
    options.backup_dir = dir_ / "backups";
    options.max_queued_reads = max_queued_reads_;
    options.max_queued_scans = max_queued_scans_;
    return options;
  }
  absl::Status Count() {
    RevokeTokensRequest request;
    request.set_parent("workspaces/acme");
    request.set_validate_only(true);
    request.set_allow_empty(true);
    RevokeTokensResponse response;
    return Call(tokens_, &Tokens::RevokeTokens, request, &response);
  }
  absl::Status Read(const std::string& name) {
    GetTokenRequest request;
    request.set_name(name);
    Token token;
    return Call(tokens_, &Tokens::GetToken, request, &token);
  }
  absl::Status BackUp(const std::string& name, CreateBackupResponse* response) {
    CreateBackupRequest request;
    request.set_directory_name(name);
    return Call(operations_, &Operations::CreateBackup, request, response);
  }

  int max_queued_reads_ = 1000;
  int max_queued_scans_ = 100;
};

TEST_F(LongWorkTest, NoRoomForCountsAndBackupsLeavesRoomForReads) {
  max_queued_scans_ = 0;
  StartServer();
  const std::string name = Create("x").token().name();
  CreateBackupResponse response;
  EXPECT_EQ(base::ReasonOf(Count()), "OVERLOADED");
  EXPECT_EQ(base::ReasonOf(BackUp("one", &response)), "OVERLOADED");
  EXPECT_TRUE(Read(name).ok());
}

TEST_F(LongWorkTest, NoRoomForReadsLeavesRoomForCountsAndBackups) {
  max_queued_reads_ = 0;
  StartServer();
  const std::string name = Create("x").token().name();
  CreateBackupResponse response;
  EXPECT_EQ(base::ReasonOf(Read(name)), "OVERLOADED");
  EXPECT_TRUE(Count().ok());
  EXPECT_TRUE(BackUp("one", &response).ok());
}

TEST_F(LongWorkTest, ABackupIsInTheAuditLogAndInItself) {
  StartServer();
  Create("x");
  CreateBackupResponse response;
  ASSERT_TRUE(BackUp("one", &response).ok());
  EXPECT_EQ(response.revision(), server_->head());
  const int64_t head = server_->head();
  EXPECT_EQ(base::ReasonOf(BackUp("one", &response)), "BACKUP_EXISTS");
  EXPECT_EQ(base::ReasonOf(BackUp("../one", &response)), "BACKUP_NAME_MALFORMED");
  EXPECT_EQ(server_->head(), head) << "what is refused is no backup";
  ListAuditEntriesRequest request;
  ListAuditEntriesResponse page;
  ASSERT_TRUE(Call(operations_, &Operations::ListAuditEntries, request, &page).ok());
  int found = 0;
  for (const AuditEntry& entry : page.entries()) {
    if (entry.action() != "backup.create") continue;
    ++found;
    EXPECT_EQ(entry.actor(), "local");
    EXPECT_EQ(entry.revision(), head);
    EXPECT_EQ(entry.details().at("path"), dir_ / "backups/one");
  }
  EXPECT_EQ(found, 1);
}

TEST(BackupLineTest, RunsOneAtATimeInOrder) {
  HeldExecutor executor;
  BackupLine line(&executor, /*max_waiting=*/2);
  std::vector<int> done;
  executor.full = true;
  EXPECT_FALSE(line.Submit([] {}));
  executor.full = false;
  // While the first is under way two more come, and no third.
  ASSERT_TRUE(line.Submit([&] {
    EXPECT_TRUE(line.Submit([&] { done.push_back(2); }));
    EXPECT_TRUE(line.Submit([&] { done.push_back(3); }));
    EXPECT_FALSE(line.Submit([] {}));
    EXPECT_TRUE(executor.held.empty()) << "no other thread begins one";
    done.push_back(1);
  }));
  executor.RunOne();
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
  ASSERT_TRUE(line.Submit([&] { done.push_back(4); }));
  executor.RunOne();
  EXPECT_THAT(done, ElementsAre(1, 2, 3, 4));
}

TEST(WantedSnapshotTest, EndsAtTheNextStepOnceNobodyWantsIt) {
  const auto engine = storage::MemoryEngine::Open().value();
  const auto inner = engine->NewSnapshot().value();
  absl::Status wanted;
  const WantedSnapshot snapshot(inner.get(), [&] { return wanted; });
  EXPECT_EQ(snapshot.revision(), 0);
  EXPECT_TRUE(snapshot.Get(storage::Table::kMeta, "head")->has_value());
  EXPECT_EQ(snapshot.Scan(storage::Table::kMeta, "", "", 10)->size(), 2u);
  wanted = absl::CancelledError("gone");
  EXPECT_EQ(snapshot.Get(storage::Table::kMeta, "head").status(), wanted);
  EXPECT_EQ(snapshot.Scan(storage::Table::kMeta, "", "", 10).status(), wanted);
}

TEST(CreateBackupTest, IsNotBegunForACallerWhoHasGone) {
  TempDir dir;
  const auto engine = storage::MemoryEngine::Open().value();
  BackupPlace place;
  place.engine = engine.get();
  place.backup_dir = dir.path();
  place.wanted = [] { return absl::CancelledError("gone"); };
  CreateBackupRequest request;
  request.set_directory_name("one");
  EXPECT_EQ(CreateBackup(place, request).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace tollgate::service
