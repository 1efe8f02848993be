// "Not used" told from "not heard": the judgement as a table, and what the edges have said.
#include "service/use/silence.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/use/coverage.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = SilenceVerdict::Kind;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);
absl::Time Ago(int seconds) { return kNow - absl::Seconds(seconds); }
EdgeUseRow Row(const char* edge, int seconds_ago) { return {edge, Ago(seconds_ago), 9, 3}; }

struct Case {
  const char* what;
  std::vector<EdgeUseRow> old_uses;
  std::vector<EdgeUseRow> replacement;
  SilenceEvidence evidence;
  Kind kind;
  std::vector<std::string> edges;
};
void PrintTo(const Case& c, std::ostream* os) { *os << c.what; }
class JudgeTest : public ::testing::TestWithParam<Case> {};
TEST_P(JudgeTest, Judges) {
  const Case& c = GetParam();
  const auto verdict = JudgeSilence(c.old_uses, c.replacement, c.evidence, absl::InfinitePast(),
                                    absl::Seconds(60), kNow);
  EXPECT_EQ(verdict.kind, c.kind);
  EXPECT_EQ(verdict.edges, c.edges);
}
// Quiet ends where hearing ends, 5 s ago, so it began 65 s ago.
TEST(JudgeSilenceTest, AQuietPeriodBeginsAfterAResumption) {
  const SilenceEvidence heard = {Ago(5), {}, {}};
  const auto kind = [&](const std::vector<EdgeUseRow>& uses, absl::Time resumed) {
    return JudgeSilence(uses, {Row("prod", 1)}, heard, resumed, absl::Seconds(60), kNow).kind;
  };
  EXPECT_EQ(kind({}, Ago(65)), Kind::kSilent);
  EXPECT_EQ(kind({}, Ago(64)), Kind::kResumedLately);
  EXPECT_EQ(kind({Row("prod", 40)}, Ago(64)), Kind::kInUse) << "said first: it names an edge";
}
const SilenceEvidence kHeard = {Ago(5), {}, {}};
INSTANTIATE_TEST_SUITE_P(
    Table, JudgeTest,
    ::testing::Values(
        Case{"silent", {Row("prod", 66)}, {Row("prod", 1)}, kHeard, Kind::kSilent, {}},
        Case{"never_used_at_all", {}, {Row("prod", 1)}, kHeard, Kind::kSilent, {}},
        // The outage: the replacement reached only the development worker.
        Case{"prod_still_uses_it",
             {Row("prod", 40)},
             {Row("dev", 1)},
             kHeard,
             Kind::kInUse,
             {"prod"}},
        // Quiet for 61 s by the clock, but only for 56 s as far as is known.
        Case{"quiet_is_counted_to_what_was_heard",
             {Row("prod", 61)},
             {Row("dev", 1)},
             kHeard,
             Kind::kInUse,
             {"prod"}},
        Case{"replacement_never_seen",
             {Row("prod", 100)},
             {},
             kHeard,
             Kind::kReplacementNeverSeen,
             {}},
        Case{"in_use_goes_first", {Row("prod", 10)}, {}, kHeard, Kind::kInUse, {"prod"}},
        Case{"an_edge_is_not_heard",
             {Row("prod", 100)},
             {Row("dev", 1)},
             {Ago(5), {{"prod", Ago(300)}}, {}},
             Kind::kNotHeard,
             {"prod"}},
        Case{"in_use_is_told_though_not_all_are_heard",
             {Row("prod", 10), Row("dev", 20)},
             {Row("dev", 1)},
             {Ago(5), {{"x", Ago(300)}}, {}},
             Kind::kInUse,
             {"prod", "dev"}},
        Case{"a_gap_within_the_quiet_period",
             {Row("prod", 100)},
             {Row("dev", 1)},
             {Ago(5), {}, {{"prod", Ago(30)}}},
             Kind::kNotHeard,
             {"prod"}},
        Case{"a_gap_before_it",
             {Row("prod", 100)},
             {Row("dev", 1)},
             {Ago(5), {}, {{"prod", Ago(70)}}},
             Kind::kSilent,
             {}},
        Case{"nothing_heard_yet",
             {Row("prod", 100)},
             {Row("dev", 1)},
             SilenceEvidence(),
             Kind::kNotHeard,
             {}}),
    [](const auto& info) { return info.param.what; });

class CoverageTest : public ::testing::Test {
 protected:
  Coverage coverage_{{absl::Seconds(30)}};
};

TEST_F(CoverageTest, NothingIsHeardBeforeTheRosterHasReported) {
  EXPECT_EQ(coverage_.Evidence(kNow).heard_until, absl::InfinitePast());
  coverage_.Opened("prod", "a", absl::InfinitePast());
  coverage_.RosterLoaded(Ago(1000));
  EXPECT_THAT(coverage_.Evidence(kNow).unheard, SizeIs(1));
  coverage_.Reported("prod", "a", Ago(3), kNow);
  const auto evidence = coverage_.Evidence(kNow);
  EXPECT_THAT(evidence.unheard, IsEmpty());
  EXPECT_EQ(evidence.heard_until, Ago(3));
}

TEST_F(CoverageTest, WithoutEdgesAllIsHeard) {
  coverage_.RosterLoaded(Ago(1000));
  EXPECT_EQ(coverage_.Evidence(kNow).heard_until, kNow);
}

TEST_F(CoverageTest, ALiveSessionThatLagsIsNotHeardAndTheRestIsJudgedByTheSlowest) {
  coverage_.RosterLoaded(Ago(1000));
  coverage_.Opened("a", "1", Ago(100));
  coverage_.Opened("b", "1", Ago(100));
  coverage_.Opened("c", "1", Ago(10));
  coverage_.Reported("b", "1", Ago(29), kNow);
  const auto evidence = coverage_.Evidence(kNow);
  ASSERT_THAT(evidence.unheard, SizeIs(1));
  EXPECT_EQ(evidence.unheard[0].edge, "a");
  EXPECT_EQ(evidence.heard_until, Ago(29));
}

TEST_F(CoverageTest, ReportsFromTheFutureAreOfNow) {
  coverage_.RosterLoaded(Ago(1000));
  coverage_.Opened("a", "1", Ago(1));
  coverage_.Reported("a", "1", kNow + absl::Hours(9), kNow);
  EXPECT_THAT(coverage_.Evidence(kNow + absl::Minutes(1)).unheard, SizeIs(1));
}

TEST_F(CoverageTest, ALapsedSessionLeavesAGapThatItsReturnCloses) {
  coverage_.RosterLoaded(Ago(1000));
  coverage_.Opened("prod", "a", Ago(100));
  coverage_.Reported("prod", "a", Ago(90), Ago(90));
  coverage_.Ended("prod", "a", Ago(60), /*goodbye=*/false);
  auto evidence = coverage_.Evidence(kNow);
  ASSERT_THAT(evidence.gaps, SizeIs(1));
  EXPECT_EQ(evidence.gaps[0].until, Ago(60));
  // Its successor tells nothing of what it had admitted.
  coverage_.Opened("prod", "b", Ago(50));
  coverage_.Reported("prod", "b", kNow, kNow);
  EXPECT_THAT(coverage_.Evidence(kNow).gaps, SizeIs(1));
  coverage_.Opened("prod", "a", Ago(40));
  EXPECT_THAT(coverage_.Evidence(kNow).unheard, SizeIs(1));  // it has not told since 90 s ago
  coverage_.Reported("prod", "a", Ago(2), kNow);
  evidence = coverage_.Evidence(kNow);
  EXPECT_THAT(evidence.gaps, IsEmpty());
  EXPECT_THAT(evidence.unheard, IsEmpty());
}

TEST_F(CoverageTest, GoodbyeLeavesNoGap) {
  coverage_.RosterLoaded(Ago(1000));
  coverage_.Opened("prod", "a", Ago(100));
  coverage_.Incomplete("prod", "a");  // the first message of its last report
  coverage_.Reported("prod", "a", Ago(2), Ago(1));
  coverage_.Ended("prod", "a", Ago(1), /*goodbye=*/true);
  const auto evidence = coverage_.Evidence(kNow);
  EXPECT_THAT(evidence.gaps, IsEmpty());
  EXPECT_EQ(evidence.heard_until, kNow);
}

TEST_F(CoverageTest, AGoodbyeAfterAReportThatIsNotCompleteProvesNothing) {
  coverage_.RosterLoaded(Ago(1000));
  for (const char* session : {"a", "b"}) coverage_.Opened("prod", session, Ago(100));
  coverage_.Reported("prod", "a", Ago(90), Ago(90));
  coverage_.Incomplete("prod", "a");
  coverage_.Ended("prod", "a", Ago(2), /*goodbye=*/true);
  coverage_.Ended("prod", "b", Ago(1), /*goodbye=*/true);  // told nothing at all
  EXPECT_THAT(coverage_.Evidence(kNow).gaps, SizeIs(2));
}

TEST_F(CoverageTest, ALostReportIsNotMendedByTheNextOne) {
  coverage_.RosterLoaded(Ago(1000));
  coverage_.Opened("prod", "a", Ago(100));
  coverage_.Lost("prod", "a", Ago(50));
  coverage_.Reported("prod", "a", Ago(1), kNow);
  ASSERT_THAT(coverage_.Evidence(kNow).gaps, SizeIs(1));
  EXPECT_EQ(coverage_.Evidence(kNow).gaps[0].until, Ago(50));
}

TEST_F(CoverageTest, GapsAreBoundedAndNoneIsForgotten) {
  Coverage coverage({absl::Seconds(30), /*max_gaps=*/10});
  coverage.RosterLoaded(Ago(1000));
  for (int i = 0; i < 100; ++i) {
    const std::string incarnation = std::to_string(i);
    coverage.Opened("prod", incarnation, Ago(1000));
    coverage.Ended("prod", incarnation, Ago(500 - i), false);
  }
  EXPECT_LE(coverage.gaps(), 10u);
  absl::Time latest = absl::InfinitePast();
  for (const auto& gap : coverage.Evidence(kNow).gaps) latest = std::max(latest, gap.until);
  EXPECT_EQ(latest, Ago(401));
}

}  // namespace
}  // namespace tollgate::service
