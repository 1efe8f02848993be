#include "tests/instruments/audit_chain.h"

#include <vector>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "storage/overlay_view.h"
#include "storage/sequencer.h"
#include "test_commands.h"
#include "token/audit_hash.h"

namespace tollgate::storage {
namespace {

using store::v1::AuditChainRecord;
using store::v1::AuditRecord;

class AuditChainTest : public ::testing::Test {
 protected:
  AuditChainTest() {
    for (int i = 0; i < 5; ++i) {
      const auto first = PutLabel("a", "1"), second = PutLabel("b", "1");
      const CommitRequest request = RunBatch(*engine_->NewSnapshot().value(),
                                             absl::FromUnixSeconds(i), {first.get(), second.get()})
                                        ->request;
      EXPECT_TRUE(engine_->Commit(request)->committed);
    }
    snapshot_ = engine_->NewSnapshot().value();
  }
  // The chain's verdict on the store with one change made behind its back.
  absl::Status After(Mutation mutation) {
    OverlayView view(snapshot_.get());
    view.Apply(std::move(mutation));
    return instruments::VerifyAuditChain(view).status();
  }
  AuditChainRecord Link(int64_t revision, uint32_t index) {
    return *GetRecord<AuditChainRecord>(*snapshot_, Table::kAudit, AuditKey(revision, index))
                .value();
  }

  std::unique_ptr<MemoryEngine> engine_ = MemoryEngine::Open().value();
  std::unique_ptr<Snapshot> snapshot_;
};

TEST_F(AuditChainTest, AWholeChainPasses) {
  int seen = 0;
  const auto report =
      instruments::VerifyAuditChain(*snapshot_, [&](const AuditRecord&) { ++seen; });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->entries, 10);
  EXPECT_EQ(seen, 10);
  EXPECT_EQ(report->newest_hash, Link(5, 1).hash());
  EXPECT_EQ(
      instruments::VerifyAuditChain(*MemoryEngine::Open().value()->NewSnapshot().value())->entries,
      0);
}

TEST_F(AuditChainTest, EveryRemovalShows) {
  for (int64_t revision = 1; revision <= 5; ++revision) {
    for (uint32_t index = 0; index < 2; ++index) {
      const absl::Status status =
          After(Mutation{Table::kAudit, AuditKey(revision, index), absl::nullopt});
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << revision << "/" << index;
      EXPECT_EQ(base::ReasonOf(status), "AUDIT_CHAIN_BROKEN");
    }
  }
}

TEST_F(AuditChainTest, AlterationsShow) {
  AuditChainRecord link = Link(3, 0);
  AuditRecord content;
  ASSERT_TRUE(content.ParseFromString(link.content()));
  content.set_resource("somebody else");
  link.set_content(SerializeRecord(content));
  EXPECT_FALSE(After(Mutation{Table::kAudit, AuditKey(3, 0), SerializeRecord(link)}).ok());
  // Also with the hash made to fit: the next one does not.
  link.set_hash(token::AuditHash(Link(2, 1).hash(), link.content()));
  EXPECT_FALSE(After(Mutation{Table::kAudit, AuditKey(3, 0), SerializeRecord(link)}).ok());
  // An entry put between, at another's place, or unreadable.
  EXPECT_FALSE(After(Mutation{Table::kAudit, AuditKey(3, 2), SerializeRecord(Link(3, 1))}).ok());
  EXPECT_FALSE(After(Mutation{Table::kAudit, AuditKey(3, 0), "\xff"}).ok());
  EXPECT_TRUE(After(Mutation{Table::kAudit, AuditKey(3, 0), SerializeRecord(Link(3, 0))}).ok());
}

// Golden: other languages must be able to verify an exported log.
TEST(AuditHashTest, IsPlainBlake2b256OfBoth) {
  EXPECT_EQ(token::AuditHash("", "abc"), token::AuditHash("a", "bc"));
  const std::string hash = token::AuditHash("", "abc");
  std::string hex;
  for (const unsigned char c : hash) {
    char buffer[3];
    std::snprintf(buffer, sizeof(buffer), "%02x", c);
    hex += buffer;
  }
  EXPECT_EQ(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

}  // namespace
}  // namespace tollgate::storage
