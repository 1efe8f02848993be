// Use reports on their way into the store.
#include "service/use/use_ledger.h"

#include <functional>
#include <thread>

#include "base/proto_time.h"
#include "service/reads/read_tokens.h"
#include "tests/unit/service/command_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class UseLedgerTest : public CommandTest {
 protected:
  UseLedgerTest() : clock_(&now_) { Open({}); }
  void Open(UseLedger::Options options) {
    options.engine = engine_.get();
    options.executor = &executor_;
    options.clock = &clock_;
    options.on_dropped = [this](size_t uses) { dropped_ += uses; };
    ledger_ = UseLedger::Create(std::move(options)).value();
    ledger_->RosterLoaded();
  }
  tollgate::v1::Usage UsageOf(const tollgate::v1::Token& token, absl::Time at, int64_t count) {
    tollgate::v1::Usage usage;
    auto* use = usage.add_uses();
    use->set_workspace("acme");
    use->set_token_id(token.token_id());
    use->set_count(count);
    *use->mutable_last_used_time() = base::ToProto(at);
    *usage.mutable_complete_until() = base::ToProto(now_);
    return usage;
  }
  tollgate::v1::Token Read(const tollgate::v1::Token& token) {
    tollgate::v1::GetTokenRequest request;
    request.set_name(token.name());
    return ReadToken(*View(), request, now_).value();
  }

  StandingClock clock_;
  HeldExecutor executor_;
  size_t dropped_ = 0;
  std::unique_ptr<UseLedger> ledger_;
};

TEST_F(UseLedgerTest, ReportsAreMergedByTokenAndEdgeAndTakeNoRevision) {
  const auto token = Made("a");
  const int64_t head = Head();
  ledger_->SessionLive("payments/edge-3", "i1");
  ledger_->Report("payments/edge-3", "i1", UsageOf(token, now_ - absl::Seconds(9), 2));
  ledger_->Report("payments/edge-3", "i1", UsageOf(token, now_ - absl::Seconds(4), 3));
  executor_.RunAll();
  const auto read = Read(token);
  ASSERT_THAT(read.edge_uses(), SizeIs(1));
  EXPECT_EQ(read.edge_uses(0).edge(), "payments/edge-3");
  EXPECT_EQ(read.edge_uses(0).use_count(), 5);
  EXPECT_EQ(read.edge_uses(0).use_count_today(), 5);
  EXPECT_EQ(read.last_used_time().seconds(), absl::ToUnixSeconds(now_) - 4);
  EXPECT_EQ(Head(), head);
}

TEST_F(UseLedgerTest, AReportIsHeardOnceItIsInTheStore) {
  const auto token = Made("a");
  ledger_->SessionLive("edge", "i1");
  now_ += absl::Minutes(2);
  EXPECT_THAT(ledger_->Evidence().unheard, SizeIs(1));
  ledger_->Report("edge", "i1", UsageOf(token, now_, 1));
  EXPECT_THAT(ledger_->Evidence().unheard, SizeIs(1));
  executor_.RunAll();
  EXPECT_THAT(ledger_->Evidence().unheard, IsEmpty());
  EXPECT_EQ(ledger_->Evidence().heard_until, now_);
}

TEST_F(UseLedgerTest, AnEndIsAppliedAfterTheReportsBeforeIt) {
  const auto token = Made("a");
  ledger_->SessionLive("edge", "i1");
  now_ += absl::Seconds(20);
  ledger_->Report("edge", "i1", UsageOf(token, now_, 1));
  ledger_->SessionEnded("edge", "i1", /*said_goodbye=*/false);
  executor_.RunAll();
  EXPECT_THAT(ledger_->Evidence().gaps, IsEmpty());
  ledger_->SessionLive("edge", "i2");
  now_ += absl::Seconds(20);
  ledger_->SessionEnded("edge", "i2", /*said_goodbye=*/false);
  EXPECT_THAT(ledger_->Evidence().gaps, SizeIs(1));
}

TEST_F(UseLedgerTest, WhatIsWrongInAReportWritesNothing) {
  const auto token = Made("a");
  auto usage = UsageOf(token, now_ + absl::Hours(5), 1);
  auto unknown = usage.uses(0);
  unknown.set_token_id("0000000000000000");
  *usage.add_uses() = unknown;
  auto malformed = usage.uses(0);
  malformed.set_workspace(std::string("a\0b", 3));
  *usage.add_uses() = malformed;
  malformed = usage.uses(0);
  malformed.set_count(-4);
  *usage.add_uses() = malformed;
  malformed = usage.uses(0);
  malformed.clear_last_used_time();
  *usage.add_uses() = malformed;
  ledger_->Report("edge", "i1", usage);
  ledger_->Flush();
  EXPECT_EQ(Count(storage::Table::kUse), 1u);
  EXPECT_EQ(Read(token).last_used_time().seconds(), absl::ToUnixSeconds(now_));  // not the future
}

TEST_F(UseLedgerTest, WhatIsDroppedLeavesAGapAndIsCounted) {
  UseLedger::Options options;
  options.max_queued_uses = 2;
  Open(options);
  const auto token = Made("a");
  ledger_->SessionLive("edge", "i1");
  for (int i = 0; i < 3; ++i) ledger_->Report("edge", "i1", UsageOf(token, now_, 1));
  EXPECT_EQ(dropped_, 1u);
  executor_.RunAll();
  EXPECT_THAT(ledger_->Evidence().gaps, SizeIs(1));
  EXPECT_EQ(Read(token).edge_uses(0).use_count(), 2);
}

TEST_F(UseLedgerTest, AFullExecutorLosesNothing) {
  const auto token = Made("a");
  executor_.full = true;
  ledger_->Report("edge", "i1", UsageOf(token, now_, 1));
  executor_.full = false;
  ledger_->Report("edge", "i1", UsageOf(token, now_, 1));
  executor_.RunAll();
  EXPECT_EQ(Read(token).edge_uses(0).use_count(), 2);
}

TEST_F(UseLedgerTest, WorkThatComesAfterTheLedgerIsGoneDoesNothing) {
  const auto token = Made("a");
  ledger_->Report("edge", "i1", UsageOf(token, now_, 1));
  ledger_.reset();
  executor_.RunAll();
  EXPECT_EQ(Count(storage::Table::kUse), 0u);
}

TEST_F(UseLedgerTest, BeforeTheRosterIsLoadedNothingIsHeard) {
  UseLedger::Options options;
  options.engine = engine_.get();
  options.executor = &executor_;
  options.clock = &clock_;
  auto ledger = UseLedger::Create(options).value();
  ledger->SessionLive("edge", "i1");
  EXPECT_EQ(ledger->Evidence().heard_until, absl::InfinitePast());
  ledger->RosterLoaded();
  EXPECT_THAT(ledger->Evidence().unheard, SizeIs(1));
  EXPECT_FALSE(UseLedger::Create({}).ok());
}

TEST_F(UseLedgerTest, ManyThreadsReportAtOnce) {
  const auto token = Made("a");
  base::ThreadPool pool(2, 10'000);
  UseLedger::Options options;
  options.engine = engine_.get();
  options.executor = &pool;
  options.clock = &clock_;
  auto ledger = UseLedger::Create(options).value();
  const auto usage = UsageOf(token, now_, 1);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) ledger->Report(absl::StrCat("edge-", t), "i1", usage);
    });
  }
  for (auto& thread : threads) thread.join();
  ledger->Flush();
  int64_t count = 0;
  const auto read = Read(token);
  for (const auto& use : read.edge_uses()) count += use.use_count();
  EXPECT_EQ(count, 800);
  pool.Stop();
}

}  // namespace
}  // namespace tollgate::service
