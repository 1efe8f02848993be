// Old use is folded into one row a token, and nothing that is decided by use changes with it.
#include "service/use/use_fold.h"

#include <limits>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/executor.h"
#include "service/reads/read_tokens.h"
#include "service/records/held_token.h"
#include "service/use/attempts.h"
#include "service/use/use_ledger.h"
#include "tests/instruments/fault_engine.h"
#include "tests/unit/service/command_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using ::testing::SizeIs;

// The tests merge themselves.
class NoExecutor : public base::Executor {
 public:
  bool Submit(std::function<void()>) override { return false; }
};

class UseFoldTest : public CommandTest {
 protected:
  UseFoldTest() : clock_(&now_) {
    UseLedger::Options options;
    options.engine = engine_.get();
    options.executor = &executor_;
    options.clock = &clock_;
    ledger_ = UseLedger::Create(std::move(options)).value();
    ledger_->RosterLoaded();
  }
  // Edges that came and went, `age` ago and a second more each.
  void ManyEdges(const tollgate::v1::Token& token, int edges, absl::Duration age) {
    for (int i = 0; i < edges; ++i) {
      Use(token, absl::StrCat("pod-", i), now_ - age - absl::Seconds(i));
    }
  }
  // All rounds that it takes; the steps.
  int FoldAll(const UseFoldLimits& limits) {
    int steps = 0;
    for (int round = 0; round < 3; ++round) {
      std::string from;
      do {
        from = ledger_->Fold(from, limits).value();
        ++steps;
      } while (!from.empty());
    }
    return steps;
  }
  std::vector<EdgeUseRow> Uses(const tollgate::v1::Token& token) {
    return ReadUses(*View(), "acme", token.token_id(), now_).value();
  }
  static int64_t Sum(const std::vector<EdgeUseRow>& rows) {
    int64_t sum = 0;
    for (const EdgeUseRow& row : rows) sum += row.count;
    return sum;
  }

  StandingClock clock_;
  NoExecutor executor_;
  std::unique_ptr<UseLedger> ledger_;
};

TEST_F(UseFoldTest, WhatIsOldBecomesOneRowAndNothingIsLost) {
  const auto token = Made("a");
  const auto other = Made("b");
  ManyEdges(token, 700, absl::Hours(24 * 31));
  ManyEdges(other, 60, absl::Hours(24 * 31));  // few: they keep their names
  Use(token, "edge", now_ - absl::Hours(1), 5);
  const int64_t head = Head();
  const absl::Time latest = Uses(token).front().last_used;
  UseFoldLimits limits;
  limits.max_rows = 250;  // a token's rows take several steps
  FoldAll(limits);
  const auto rows = Uses(token);
  EXPECT_LE(rows.size(), limits.named + 1);
  EXPECT_EQ(Sum(rows), 705);
  EXPECT_EQ(rows.front().edge, "edge");
  EXPECT_EQ(rows.front().last_used, latest);
  EXPECT_EQ(rows.back().edge, kEarlierEdges);
  EXPECT_LT(rows.back().last_used, now_ - limits.retention);
  EXPECT_THAT(Uses(other), SizeIs(60));
  EXPECT_EQ(Head(), head) << "use takes no revision";
  // It stays so, and one that comes back has a name again.
  FoldAll(limits);
  EXPECT_EQ(Sum(Uses(token)), 705);
  Use(token, "pod-699", now_);
  EXPECT_EQ(Uses(token).front().edge, "pod-699");
  EXPECT_EQ(Sum(Uses(token)), 706);
}

// A report may be written as the token is purged.
TEST_F(UseFoldTest, RowsOfATokenThatIsGoneGo) {
  const auto gone = Made("gone");
  const auto stays = Made("stays");
  Use(gone, "edge-1", now_);
  Use(gone, "edge-2", now_);
  Use(stays, "edge-1", now_);
  Harm([&](storage::Effects& effects) {
    effects.Delete(storage::Table::kTokens, storage::TokenKey("acme", gone.token_id()));
  });
  FoldAll(UseFoldLimits());
  EXPECT_THAT(Uses(gone), SizeIs(0));
  EXPECT_THAT(Uses(stays), SizeIs(1));
}

TEST_F(UseFoldTest, WhatIsWithinTheRetentionOrTheQuietPeriodKeepsItsName) {
  const auto fresh = Made("fresh");
  ManyEdges(fresh, 150, absl::Hours(24 * 29));
  const auto rotating = Made("rotating");
  ManyEdges(rotating, 150, absl::Hours(24 * 40));
  auto record = LoadToken(*View(), "acme", rotating.token_id())->record;
  record.mutable_retirement()->set_quiet_period_us(absl::ToInt64Microseconds(absl::Hours(24 * 60)));
  UseFoldLimits limits;
  {
    class Overlay : public storage::View {  // the record with a retirement
     public:
      Overlay(const storage::View* under, std::string key, std::string value)
          : under_(under), key_(std::move(key)), value_(std::move(value)) {}
      absl::StatusOr<absl::optional<std::string>> Get(storage::Table table,
                                                      absl::string_view key) const override {
        if (table == storage::Table::kTokens && key == key_)
          return absl::optional<std::string>(value_);
        return under_->Get(table, key);
      }
      absl::StatusOr<std::vector<storage::Entry>> Scan(storage::Table table,
                                                       absl::string_view begin,
                                                       absl::string_view end,
                                                       size_t limit) const override {
        return under_->Scan(table, begin, end, limit);
      }

     private:
      const storage::View* under_;
      std::string key_, value_;
    };
    const auto snapshot = CommandTest::View();
    const Overlay view(snapshot.get(), storage::TokenKey("acme", rotating.token_id()),
                       record.SerializeAsString());
    EXPECT_THAT(PlanUseFold(view, "", limits, now_)->removed, SizeIs(0));
  }
  EXPECT_THAT(PlanUseFold(*CommandTest::View(), "", limits, now_)->removed, SizeIs(50))
      << "without a quiet period that long it is old";
}

TEST_F(UseFoldTest, SilenceIsJudgedTheSame) {
  const auto old = Made("old");
  const auto replacement = Made("replacement");
  ManyEdges(old, 300, absl::Hours(24 * 31));
  ManyEdges(replacement, 300, absl::Hours(24 * 31));
  const auto verdict = [&](absl::Duration quiet) {
    return JudgeSilence(Uses(old), Uses(replacement), AllHeard(now_), absl::InfinitePast(), quiet,
                        now_);
  };
  const auto before_short = verdict(absl::Hours(1));
  const auto before_long = verdict(absl::Hours(24 * 90));
  ASSERT_EQ(before_short.kind, SilenceVerdict::Kind::kSilent);
  ASSERT_EQ(before_long.kind, SilenceVerdict::Kind::kInUse);
  UseFoldLimits limits;
  limits.named = 0;
  FoldAll(limits);
  ASSERT_THAT(Uses(old), SizeIs(1));
  EXPECT_EQ(verdict(absl::Hours(1)).kind, before_short.kind);
  EXPECT_EQ(verdict(absl::Hours(24 * 90)).kind, before_long.kind);
  EXPECT_EQ(verdict(absl::Hours(24 * 90)).last_used, before_long.last_used);
}

TEST_F(UseFoldTest, AnAnswerNamesTheLatestEdgesAndSumsUpTheOthers) {
  const auto token = Made("a");
  ManyEdges(token, 4000, absl::Hours(1));
  tollgate::v1::GetTokenRequest request;
  request.set_name(token.name());
  const auto read = ReadToken(*View(), request, now_).value();
  ASSERT_THAT(read.edge_uses(), SizeIs(kMaxNamedEdges + 1));
  EXPECT_EQ(read.edge_uses(0).edge(), "pod-0");
  const auto& last = read.edge_uses(kMaxNamedEdges);
  EXPECT_EQ(last.edge(), kEarlierEdges);
  EXPECT_EQ(last.use_count(), 3900);
  EXPECT_EQ(last.last_used_time().seconds(), absl::ToUnixSeconds(now_) - 3700);
  EXPECT_LT(read.ByteSizeLong(), 20'000u);
}

TEST_F(UseFoldTest, AttemptsAreFoldedWithUseAndKeepTheirSums) {
  const auto token = Made("a");
  constexpr auto kRevoked = tollgate::v1::VERDICT_REASON_REVOKED;
  for (int i = 0; i < 300; ++i) {
    Refused(token, absl::StrCat("pod-", i), kRevoked, now_ - absl::Hours(24 * 31), 2);
  }
  // Its use is old, and somebody has tried it today: it keeps its name.
  Use(token, "edge", now_ - absl::Hours(24 * 40));
  Refused(token, "edge", kRevoked, now_);
  UseFoldLimits limits;
  limits.named = 1;
  FoldAll(limits);
  const auto rows = AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value());
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].edge, "edge");
  EXPECT_EQ(rows[1].edge, kEarlierEdges);
  EXPECT_EQ(rows[1].count, 600);
  EXPECT_THAT(Uses(token), SizeIs(1)) << "what was only refused is no use";
}

TEST_F(UseFoldTest, AddressesGoWhereTheWorkspaceAsksForNoneAndStayWhereItDoes) {
  const auto token = Made("a");
  constexpr auto kRevoked = tollgate::v1::VERDICT_REASON_REVOKED;
  const auto tried = [&](const std::string& edge, const std::string& from, absl::Time at) {
    tollgate::store::v1::UseRecord use;
    auto* refused = use.add_refused();
    refused->set_reason(kRevoked);
    refused->set_count(1);
    refused->set_first_us(absl::ToUnixMicros(at));
    refused->set_last_us(absl::ToUnixMicros(at));
    auto* address = refused->add_addresses();
    address->set_address(from);
    address->set_count(1);
    address->set_last_us(absl::ToUnixMicros(at));
    ASSERT_TRUE(engine_->MergeUse({{storage::UseKey("acme", token.token_id(), edge), use}}).ok());
  };
  const auto addresses = [&] {
    std::map<std::string, int> by_edge;
    for (const AttemptsRow& row :
         AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value())) {
      by_edge[row.edge] += row.addresses.size();
    }
    return by_edge;
  };
  tollgate::v1::WorkspacePolicy policy;
  policy.set_report_attempt_addresses(true);
  ASSERT_TRUE(SetPolicy(policy).ok());
  UseFoldLimits limits;
  limits.named = 1;
  tried("edge", "192.0.2.1", now_);
  for (int i = 0; i < 12; ++i) {
    tried(absl::StrCat("pod-", i), absl::StrCat("192.0.2.", 10 + i),
          now_ - absl::Hours(24 * 40 + i));
  }
  FoldAll(limits);
  EXPECT_EQ(addresses(), (std::map<std::string, int>{{"edge", 1}, {kEarlierEdges, 8}}));
  tried("pod-new", "192.0.2.99", now_ - absl::Hours(24 * 41));
  policy.set_report_attempt_addresses(false);
  ASSERT_TRUE(SetPolicy(policy).ok());
  FoldAll(limits);
  EXPECT_EQ(addresses(), (std::map<std::string, int>{{"edge", 0}, {kEarlierEdges, 0}}));
  int64_t sum = 0;
  for (const AttemptsRow& row :
       AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value())) {
    sum += row.count;
  }
  EXPECT_EQ(sum, 14) << "no attempt is lost with its address";
}

TEST_F(UseFoldTest, AnAnswerNamesTheEdgesTriedLatestAndSumsUpTheOthersByReason) {
  const auto token = Made("a");
  for (int i = 0; i < 150; ++i) {
    Refused(token, absl::StrCat("pod-", i), tollgate::v1::VERDICT_REASON_REVOKED,
            now_ - absl::Seconds(i), 1);
    Refused(token, absl::StrCat("pod-", i), tollgate::v1::VERDICT_REASON_SUSPENDED,
            now_ - absl::Hours(1) - absl::Seconds(i), 2);
  }
  const auto rows =
      NameLatestAttempts(AttemptsIn(ReadEdgeReports(*View(), "acme", token.token_id()).value()));
  ASSERT_THAT(rows, SizeIs(2 * kMaxNamedEdges + 2));
  EXPECT_EQ(rows[0].edge, "pod-0");
  const auto& revoked = rows[2 * kMaxNamedEdges];
  EXPECT_EQ(revoked.edge, kEarlierEdges);
  EXPECT_EQ(revoked.reason, tollgate::v1::VERDICT_REASON_REVOKED);
  EXPECT_EQ(revoked.count, 50);
  EXPECT_EQ(revoked.first, now_ - absl::Seconds(149));
  EXPECT_EQ(revoked.last, now_ - absl::Seconds(100));
  EXPECT_EQ(rows.back().count, 100);
}

TEST_F(UseFoldTest, AWriteThatFailsIsTold) {
  ManyEdges(Made("a"), 150, absl::Hours(24 * 31));
  instruments::FaultEngine faulty(storage::MemoryEngine::CopyOf(*View()).value());
  UseLedger::Options options;
  options.engine = &faulty;
  options.executor = &executor_;
  options.clock = &clock_;
  absl::Status told;
  options.on_write_failed = [&](const absl::Status& status) { told = status; };
  const auto ledger = UseLedger::Create(std::move(options)).value();
  faulty.FailNextMergeUse(absl::UnavailableError("no disk"));
  EXPECT_FALSE(ledger->Fold("", {}).ok());
  EXPECT_FALSE(told.ok());
}

TEST_F(UseFoldTest, CountsNeverOverflow) {
  const auto token = Made("a");
  const int64_t most = std::numeric_limits<int64_t>::max();
  Use(token, "edge", now_, most - 1);
  Use(token, "edge", now_, 1000);
  Use(token, "edge2", now_, most);
  EXPECT_EQ(Uses(token)[0].count, most);
  EXPECT_EQ(Uses(token)[0].count_today, most);
  EXPECT_EQ(NameLatestEdges(Uses(token), 0)[0].count, most);

  // One report counts for no more than a validator could have admitted, whatever its rows say.
  const auto reported = Made("b");
  tollgate::v1::Usage usage;
  for (int i = 0; i < 900; ++i) {
    auto* use = usage.add_uses();
    use->set_workspace("acme");
    use->set_token_id(reported.token_id());
    use->set_count(int64_t{1} << 40);
    use->mutable_last_used_time()->set_seconds(absl::ToUnixSeconds(now_));
  }
  ledger_->Report("edge", "i1", usage);
  ledger_->Flush();
  ASSERT_THAT(Uses(reported), SizeIs(1));
  EXPECT_EQ(Uses(reported)[0].count, int64_t{1} << 40);
}

}  // namespace
}  // namespace tollgate::service
