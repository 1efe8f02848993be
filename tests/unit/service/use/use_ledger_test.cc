// Use reports on their way into the store.
#include "service/use/use_ledger.h"

#include <functional>
#include <thread>

#include "base/proto_time.h"
#include "service/reads/read_tokens.h"
#include "service/use/attempts.h"
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
    options.on_dropped = [this](size_t uses, size_t attempts) {
      dropped_ += uses;
      dropped_attempts_ += attempts;
    };
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
  // The first of them a second before.
  void AddAttempts(const tollgate::v1::Token& token, tollgate::v1::VerdictReason reason,
                   absl::Time last, int64_t count, tollgate::v1::Usage* usage) {
    auto* attempts = usage->add_attempts();
    attempts->set_workspace("acme");
    attempts->set_token_id(token.token_id());
    attempts->set_reason(reason);
    attempts->set_count(count);
    *attempts->mutable_first_attempt_time() = base::ToProto(last - absl::Seconds(1));
    *attempts->mutable_last_attempt_time() = base::ToProto(last);
  }
  tollgate::v1::Token Read(const tollgate::v1::Token& token) {
    tollgate::v1::GetTokenRequest request;
    request.set_name(token.name());
    return ReadToken(*View(), request, now_).value();
  }

  StandingClock clock_;
  HeldExecutor executor_;
  size_t dropped_ = 0;
  size_t dropped_attempts_ = 0;
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

TEST_F(UseLedgerTest, AttemptsAreMergedByTokenEdgeAndReasonAndAreNoUse) {
  const auto token = Made("a");
  const int64_t head = Head();
  tollgate::v1::Usage usage;
  AddAttempts(token, tollgate::v1::VERDICT_REASON_REVOKED, now_ - absl::Seconds(9), 2, &usage);
  AddAttempts(token, tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE, now_, 1, &usage);
  ledger_->Report("payments/edge-3", "i1", usage);
  ledger_->Report("payments/edge-3", "i1", usage);
  ledger_->Report("payments/edge-4", "i1", usage);
  executor_.RunAll();
  const auto rows = AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value());
  ASSERT_THAT(rows, SizeIs(4));
  EXPECT_EQ(rows[0].reason, tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE);
  EXPECT_EQ(rows[2].edge, "payments/edge-3");
  EXPECT_EQ(rows[2].reason, tollgate::v1::VERDICT_REASON_REVOKED);
  EXPECT_EQ(rows[2].count, 4);
  EXPECT_EQ(rows[2].first, now_ - absl::Seconds(10));
  EXPECT_EQ(rows[2].last, now_ - absl::Seconds(9));
  EXPECT_EQ(Count(storage::Table::kUse), 2u);
  // An edge that refuses a token has not used it: nothing that use decides is changed.
  EXPECT_THAT(ReadUses(*View(), "acme", token.token_id(), now_).value(), IsEmpty());
  EXPECT_FALSE(Read(token).has_last_used_time());
  EXPECT_EQ(Head(), head);
}

TEST_F(UseLedgerTest, AddressesAreKeptWhereTheWorkspaceAsksAndShownAsLongAsItDoes) {
  const auto token = Made("a");
  const auto asks = [this](bool yes) {
    tollgate::v1::WorkspacePolicy policy;
    policy.set_report_attempt_addresses(yes);
    ASSERT_TRUE(SetPolicy(policy).ok());
  };
  const auto report = [&](std::vector<std::string> from) {
    tollgate::v1::Usage usage;
    AddAttempts(token, tollgate::v1::VERDICT_REASON_REVOKED, now_, 2, &usage);
    for (const std::string& address : from) {
      auto* one = usage.mutable_attempts(0)->add_addresses();
      one->set_address(address);
      one->set_count(2);
      *one->mutable_last_time() = base::ToProto(now_ - absl::Seconds(1));
    }
    ledger_->Report("edge", "i1", usage);
    executor_.RunAll();
  };
  const auto kept = [&] {
    std::vector<std::string> addresses;
    const auto rows = AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value());
    for (const auto& one : rows.at(0).addresses) addresses.push_back(one.address());
    return addresses;
  };
  const auto shown = [&] {
    tollgate::v1::ListTokenAttemptsRequest request;
    request.set_name(token.name());
    return ReadTokenAttempts(*View(), request, now_)->attempts(0).addresses_size();
  };
  report({"192.0.2.1"});
  EXPECT_THAT(kept(), IsEmpty()) << "no policy asks";
  asks(true);
  report({"::ffff:192.0.2.7", "nonsense", "", std::string(100, '1'), "2001:DB8::1", "192.0.2.3"});
  EXPECT_THAT(kept(), ::testing::UnorderedElementsAre("192.0.2.7", "2001:db8::1", "192.0.2.3"));
  EXPECT_EQ(shown(), 3);
  report({"192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14", "192.0.2.15"});
  EXPECT_THAT(kept(), SizeIs(7)) << "no report tells more than four of one entry";
  asks(false);
  EXPECT_EQ(shown(), 0);
  report({"192.0.2.20"});
  EXPECT_THAT(kept(), SizeIs(7)) << "and none of an edge that has not heard yet is kept";
  ASSERT_TRUE(ledger_->Fold("", UseFoldLimits()).ok());
  EXPECT_THAT(kept(), IsEmpty());
  const auto rows = AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value());
  EXPECT_EQ(rows.at(0).count, 8) << "the attempts themselves stay";
}

TEST_F(UseLedgerTest, WhatIsWrongInAReportOfAttemptsWritesNothing) {
  const auto token = Made("a");
  tollgate::v1::Usage usage;
  AddAttempts(token, tollgate::v1::VERDICT_REASON_REVOKED, now_ + absl::Hours(5), 1, &usage);
  const auto good = usage.attempts(0);
  usage.add_attempts()->CopyFrom(good);
  usage.mutable_attempts(1)->set_token_id("0000000000000000");  // no such token
  usage.add_attempts()->CopyFrom(good);
  usage.mutable_attempts(2)->set_workspace(std::string("a\0b", 3));
  usage.add_attempts()->CopyFrom(good);
  usage.mutable_attempts(3)->set_count(-4);
  usage.add_attempts()->CopyFrom(good);
  usage.mutable_attempts(4)->clear_last_attempt_time();
  // Reasons that are no refusal of a known token, and numbers that would fill the store.
  for (const int reason : {0, 1, 3, 9, 13, 1'000'000, -5}) {
    usage.add_attempts()->CopyFrom(good);
    usage.mutable_attempts(usage.attempts_size() - 1)
        ->set_reason(static_cast<tollgate::v1::VerdictReason>(reason));
  }
  ledger_->Report("edge", "i1", usage);
  ledger_->Flush();
  EXPECT_EQ(Count(storage::Table::kUse), 1u);
  EXPECT_EQ(Count(storage::Table::kTokens), 1u);
  const auto rows = AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value());
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].count, 1);
  EXPECT_EQ(rows[0].last, now_);  // not the future
}

TEST_F(UseLedgerTest, TooManyAttemptsAreDroppedAndUseStaysKnown) {
  UseLedger::Options options;
  options.max_uses_per_report = 1;
  Open(options);
  const auto token = Made("a");
  ledger_->SessionLive("edge", "i1");
  tollgate::v1::Usage usage = UsageOf(token, now_, 1);
  AddAttempts(token, tollgate::v1::VERDICT_REASON_REVOKED, now_, 1, &usage);
  AddAttempts(token, tollgate::v1::VERDICT_REASON_EXPIRED, now_, 1, &usage);
  ledger_->Report("edge", "i1", usage);
  executor_.RunAll();
  EXPECT_EQ(dropped_, 0u);
  EXPECT_EQ(dropped_attempts_, 1u);
  EXPECT_THAT(ledger_->Evidence().gaps, IsEmpty());
  EXPECT_THAT(AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value()), SizeIs(1));
}

// Whoever holds dead tokens decides how many attempts there are.
TEST_F(UseLedgerTest, AttemptsTakeNoRoomFromUseAndUseNoneFromThem) {
  UseLedger::Options options;
  options.max_queued_uses = 2;
  options.max_queued_attempts = 3;
  Open(options);
  const auto token = Made("a");
  ledger_->SessionLive("edge", "i1");
  now_ += absl::Minutes(2);
  tollgate::v1::Usage usage = UsageOf(token, now_, 1);
  AddAttempts(token, tollgate::v1::VERDICT_REASON_REVOKED, now_, 1, &usage);
  AddAttempts(token, tollgate::v1::VERDICT_REASON_EXPIRED, now_, 1, &usage);
  const auto report_both = [&] {
    ledger_->Report("edge", "i1", usage);
    ledger_->Report("edge", "i1", usage);
    executor_.RunAll();
  };
  report_both();
  EXPECT_EQ(dropped_, 0u);
  EXPECT_EQ(dropped_attempts_, 1u);
  EXPECT_EQ(Read(token).edge_uses(0).use_count(), 2);
  const SilenceEvidence evidence = ledger_->Evidence();
  EXPECT_THAT(evidence.gaps, IsEmpty());
  EXPECT_THAT(evidence.unheard, IsEmpty());
  EXPECT_EQ(evidence.heard_until, now_);
  const auto tried = [&] {
    int64_t count = 0;
    for (const auto& row : AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value())) {
      count += row.count;
    }
    return count;
  };
  EXPECT_EQ(tried(), 3);
  report_both();  // what was merged has made room
  EXPECT_EQ(dropped_, 0u);
  EXPECT_EQ(dropped_attempts_, 2u);
  EXPECT_EQ(Read(token).edge_uses(0).use_count(), 4);
  EXPECT_EQ(tried(), 6);
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
