#include "service/feed/ledger/roster_command.h"

#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"

namespace tollgate::service {
namespace {

using store::v1::MetaRecord;
using store::v1::SessionRecord;

class RosterCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    engine_ = *storage::MemoryEngine::Open();
    storage::Sequencer::Options options;
    options.engine = engine_.get();
    options.clock = &base::SystemClock();
    sequencer_ = *storage::Sequencer::Start(options);
  }
  template <typename C, typename... Args>
  storage::Committed Run(Args&&... args) {
    absl::StatusOr<storage::Committed> result =
        sequencer_->Run(std::make_shared<C>(std::forward<Args>(args)...));
    EXPECT_TRUE(result.ok()) << result.status();
    return *result;
  }
  std::vector<SessionRecord> Roster() { return *ReadRoster(**engine_->NewSnapshot()); }
  MetaRecord Meta() {
    return **storage::GetRecord<MetaRecord>(**engine_->NewSnapshot(), storage::Table::kMeta,
                                            storage::kMetaKey);
  }
  static SessionRecord Record(const std::string& id, int64_t open_us = 0) {
    SessionRecord record;
    record.set_validator_id(id);
    record.set_incarnation(std::string(16, '\0'));
    record.set_fail_open(open_us > 0);
    record.set_fail_open_for_us(open_us);
    return record;
  }
  std::unique_ptr<storage::MemoryEngine> engine_;
  std::unique_ptr<storage::Sequencer> sequencer_;
};

TEST_F(RosterCommandTest, AddsKeepsTheLongerAndRemoves) {
  Run<AddSession>(Record("a", 5));
  Run<AddSession>(Record("b"));
  Run<AddSession>(Record("a"));  // shorter: it may still act on the longer (R3)
  std::vector<SessionRecord> roster = Roster();
  ASSERT_EQ(roster.size(), 2u);
  EXPECT_TRUE(roster[0].fail_open());
  EXPECT_EQ(roster[0].fail_open_for_us(), 5);
  SessionRecord keeps = Record("a");
  keeps.set_holds_outlive_lease_us(7);
  Run<AddSession>(keeps);
  Run<AddSession>(Record("a"));
  EXPECT_EQ(Roster()[0].holds_outlive_lease_us(), 7);
  SessionRecord named = Record("b");
  named.set_caller("local");
  Run<AddSession>(named);
  EXPECT_EQ(Roster()[1].caller(), "local");
  named.set_caller("spiffe://example.org/other");
  Run<AddSession>(named);
  EXPECT_EQ(Roster()[1].caller(), "local");  // the first
  Run<RemoveSession>("a", std::string(16, '\0'));
  Run<RemoveSession>("absent", std::string(16, '\0'));
  ASSERT_EQ(Roster().size(), 1u);
  EXPECT_EQ(Roster()[0].validator_id(), "b");
}

TEST_F(RosterCommandTest, WhatLapsedStaysAsWhatIsRemembered) {
  Run<AddSession>(Record("a", 5));
  Run<RemoveSession>("absent", std::string(16, '\0'), RemoveSession::Lapsed{"ipv4:10.0.0.7:1"});
  Run<RemoveSession>("a", std::string(16, '\0'), RemoveSession::Lapsed{"ipv4:10.0.0.7:1"});
  ASSERT_EQ(Roster().size(), 1u);
  const SessionRecord lapsed = Roster()[0];
  EXPECT_GT(lapsed.lapsed_time_us(), 0);
  EXPECT_EQ(lapsed.last_address(), "ipv4:10.0.0.7:1");
  EXPECT_EQ(lapsed.fail_open_for_us(), 5);
  // Told again, it keeps its time.
  Run<RemoveSession>("a", std::string(16, '\0'), RemoveSession::Lapsed{""});
  EXPECT_EQ(Roster()[0].lapsed_time_us(), lapsed.lapsed_time_us());
  // Back: it counts again, for the longest that it ever asked for (R14).
  Run<AddSession>(Record("a"));
  EXPECT_EQ(Roster()[0].lapsed_time_us(), 0);
  EXPECT_EQ(Roster()[0].fail_open_for_us(), 5);
}

TEST_F(RosterCommandTest, WhoHadAValidatorForgottenIsInTheAuditLog) {
  Run<AddSession>(Record("search/edge-9"));
  Run<RemoveSession>("search/edge-9", std::string(16, '\0'), RemoveSession::Lapsed{"ipv4:1:2"});
  const int64_t revision =
      Run<ForgetSession>(lease::SessionId{"search/edge-9", std::string(16, '\0')}, "3fa91c02",
                         "spiffe://ops", "10.0.0.7")
          .revision;
  EXPECT_TRUE(Roster().empty());
  const auto snapshot = *engine_->NewSnapshot();
  const auto link = *storage::GetRecord<store::v1::AuditChainRecord>(
      *snapshot, storage::Table::kAudit, storage::AuditKey(revision, 0));
  ASSERT_TRUE(link.has_value());
  store::v1::AuditRecord entry;
  ASSERT_TRUE(entry.ParseFromString(link->content()));
  EXPECT_EQ(entry.action(), "validator.forget");
  EXPECT_EQ(entry.resource(), "validators/search/edge-9");
  EXPECT_EQ(entry.actor(), "spiffe://ops");
  EXPECT_EQ(entry.origin(), "10.0.0.7");
  EXPECT_EQ(entry.details().at("instance"), "3fa91c02");
  EXPECT_EQ(entry.details().at("address"), "ipv4:1:2");
  EXPECT_EQ(entry.details().count("lapse_time"), 1u);
}

TEST_F(RosterCommandTest, LongestLeaseAndKeepAliveAlwaysWrite) {
  const int64_t before =
      Run<SetLongestLease>(absl::Seconds(30), SetLongestLease::Mode::kRaise).revision;
  EXPECT_EQ(Meta().longest_lease_us(), 30'000'000);
  EXPECT_EQ(Run<SetLongestLease>(absl::Seconds(10), SetLongestLease::Mode::kRaise).revision,
            before + 1);
  EXPECT_EQ(Meta().longest_lease_us(), 30'000'000);
  Run<SetLongestLease>(absl::Seconds(10), SetLongestLease::Mode::kSet);
  EXPECT_EQ(Meta().longest_lease_us(), 10'000'000);
  const std::string epoch = Meta().epoch();
  EXPECT_EQ(Run<KeepAlive>().revision, before + 3);
  EXPECT_EQ(Meta().epoch(), epoch);
}

TEST_F(RosterCommandTest, NoneOfThemIsAnEvent) {
  Run<AddSession>(Record("a"));
  Run<KeepAlive>();
  Run<EndRestoreHold>();
  EXPECT_TRUE((*engine_->NewSnapshot())->Scan(storage::Table::kEvents, "", "", 10)->empty());
  EXPECT_FALSE(Meta().restored());
}

TEST_F(RosterCommandTest, ReadsARosterOfManyPages) {
  for (int i = 0; i < 2500; ++i) {
    sequencer_->Submit(std::make_shared<AddSession>(Record("edge-" + std::to_string(i))),
                       [](absl::StatusOr<storage::Committed>) {});
  }
  Run<KeepAlive>();
  EXPECT_EQ(Roster().size(), 2500u);
}

}  // namespace
}  // namespace tollgate::service
