#include "service/feed/fleet_news.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

SessionView InSync(const std::string& id, char incarnation = 'a') {
  SessionView view;
  view.key = {id, std::string(16, incarnation)};
  view.live = true;
  view.streams = 1;
  view.connected_for = absl::Seconds(1);
  view.last_heard = absl::Seconds(1);
  view.lease_left = absl::Seconds(29);
  view.acknowledged = 7;
  return view;
}
SessionView Away(SessionView view, absl::Duration away_for) {
  view.streams = 0;
  view.connected_for = absl::nullopt;
  view.away_for = away_for;
  return view;
}
SessionView Pending(SessionView view, absl::Duration lag) {
  view.behind = true;
  view.lag = lag;
  return view;
}
SessionView Lapsed(SessionView view) {
  view.live = false;
  view.streams = 0;
  view.ended_for = absl::Seconds(1);
  return view;
}

// Words of a line: "warning a validator is away: … payments/edge-3".
std::string Words(const base::LogRecord& line) {
  static const char* const kLevels[] = {"debug", "info", "warning", "error"};
  std::string words = absl::StrCat(kLevels[static_cast<int>(line.level)], " ", line.message);
  for (const auto& [name, value] : line.fields) {
    if (name == "validator" || name == "validators") {
      absl::StrAppend(&words, " ", absl::get<std::string>(value.value()));
    }
  }
  return words;
}

class FleetNewsTest : public ::testing::Test {
 protected:
  FleetNewsTest() { Review({}); }  // a fresh store: nobody is known

  std::vector<std::string> Review(const std::vector<SessionView>& sessions,
                                  absl::Duration later = absl::Seconds(1)) {
    now_ = now_ + later;
    std::vector<std::string> words;
    for (const base::LogRecord& line : news_.Review(sessions, now_)) words.push_back(Words(line));
    return words;
  }

  base::BootTime now_;
  FleetNews news_{now_};
};

TEST_F(FleetNewsTest, TellsEachChangeOfOneValidatorOnce) {
  const SessionView edge = InSync("edge-3");
  EXPECT_THAT(Review({edge}), ElementsAre("info a validator joined edge-3"));
  EXPECT_THAT(Review({edge}), IsEmpty());

  EXPECT_THAT(Review({Pending(edge, absl::Seconds(1))}), IsEmpty()) << "acknowledged in a moment";
  EXPECT_THAT(Review({Pending(edge, absl::Seconds(6))}),
              ElementsAre(StartsWith("warning a validator does not acknowledge")));
  EXPECT_THAT(Review({Pending(edge, absl::Seconds(7))}), IsEmpty());
  EXPECT_THAT(Review({edge}), ElementsAre("info a validator acknowledges again edge-3"));

  EXPECT_THAT(Review({Away(edge, absl::Seconds(2))}), IsEmpty()) << "it changes its stream";
  EXPECT_THAT(Review({Away(edge, absl::Seconds(6))}),
              ElementsAre(StartsWith("warning a validator is away")));
  EXPECT_THAT(Review({Lapsed(edge)}),
              ElementsAre(StartsWith("warning a validator's lease ran out")));
  EXPECT_THAT(Review({edge}), ElementsAre("info a validator is back edge-3"));

  SessionView left = Lapsed(edge);
  left.released = true;
  EXPECT_THAT(Review({left}), ElementsAre("info a validator left edge-3"));
  EXPECT_THAT(Review({}), IsEmpty()) << "forgotten";
  EXPECT_THAT(Review({edge}), ElementsAre("info a validator joined edge-3"));
}

TEST_F(FleetNewsTest, SaysThatAFailOpenValidatorIsNotReached) {
  SessionView edge = InSync("edge-3");
  Review({edge});
  edge.fail_open_for = absl::Minutes(5);
  edge = Lapsed(edge);
  edge.uncovered = true;
  EXPECT_THAT(Review({edge}), ElementsAre(HasSubstr("revocations do not reach it edge-3")));
}

TEST_F(FleetNewsTest, SaysThatAValidatorGetsNoLease) {
  SessionView joining = InSync("edge-3");
  joining.live = false;
  EXPECT_THAT(Review({joining}), IsEmpty());
  joining.connected_for = FleetNews::kLeaselessTold;
  EXPECT_THAT(Review({joining}),
              ElementsAre(StartsWith("warning a validator is connected, and gets no lease")));
}

TEST_F(FleetNewsTest, AProcessThatWasReplacedIsNoTrouble) {
  const SessionView before = InSync("edge-3", 'a');
  const SessionView now = InSync("edge-3", 'b');
  Review({before});
  EXPECT_THAT(Review({Away(before, absl::Seconds(6)), now}),
              ElementsAre("info a validator joined edge-3"));
  EXPECT_THAT(Review({Lapsed(before), now}),
              ElementsAre("info the lease of a validator's process before ran out edge-3"));
}

TEST_F(FleetNewsTest, TellsOfTwoLiveProcessesUnderOneIdAndOfNoHalfOpenStream) {
  SessionView one = InSync("edge-3", 'a');
  SessionView other = InSync("edge-3", 'b');
  Review({one, other});
  EXPECT_THAT(Review({one, other}), IsEmpty()) << "one may just be leaving";
  one.connected_for = other.connected_for = FleetNews::kTwinsTold;
  one.last_heard = absl::Seconds(16);
  EXPECT_THAT(Review({one, other}), IsEmpty()) << "nobody is at the other end of the first";
  one.last_heard = absl::Seconds(2);
  EXPECT_THAT(Review({one, other}),
              ElementsAre(StartsWith("warning two live processes speak under one validator id")));
  EXPECT_THAT(Review({one, other}), IsEmpty());
}

TEST_F(FleetNewsTest, TheFleetThatTheStoreRemembersIsNoNews) {
  FleetNews news(now_);
  SessionView recalled = Away(InSync("edge-3"), absl::ZeroDuration());
  EXPECT_THAT(news.Review({recalled}, now_), IsEmpty());
  EXPECT_THAT(news.Review({InSync("edge-3")}, now_ + absl::Seconds(1)), IsEmpty());
  // One that does not come back is.
  FleetNews other(now_);
  other.Review({recalled}, now_);
  EXPECT_THAT(other.Review({Lapsed(recalled)}, now_ + absl::Seconds(31)), SizeIs(1));
}

TEST_F(FleetNewsTest, AFloodIsToldOfInSums) {
  std::vector<SessionView> fleet;
  for (int i = 0; i < 1000; ++i) fleet.push_back(InSync(absl::StrCat("edge-", 1000 + i)));
  EXPECT_THAT(Review(fleet), SizeIs(FleetNews::kBurst));
  EXPECT_THAT(Review(fleet), IsEmpty()) << "the next line has to wait";
  EXPECT_THAT(Review(fleet, FleetNews::kRefill),
              ElementsAre("info validators joined edge-1010, edge-1011, edge-1012, edge-1013, "
                          "edge-1014, …"));
  // However often it flaps for an hour.
  size_t lines = 0;
  for (int second = 0; second < 3600; ++second) {
    std::vector<SessionView> shown;
    for (const SessionView& edge : fleet) {
      shown.push_back(second % 2 == 0 ? Away(edge, absl::Minutes(1)) : edge);
    }
    lines += Review(shown).size();
  }
  const double of_a_kind =
      FleetNews::kBurst + absl::FDivDuration(absl::Hours(1), FleetNews::kRefill);
  EXPECT_LE(lines, 2 * of_a_kind + 2);
  EXPECT_GE(lines, of_a_kind);
}

TEST_F(FleetNewsTest, TellsOfCutsAndOfOtherBrandsWithTheNextReview) {
  news_.OnCut("edge-3", "it does not read its stream");
  news_.OnOtherBrand("edge-4", "10.0.0.9:4711", "acme");
  const std::vector<base::LogRecord> lines = news_.Review({}, now_);
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(Words(lines[0]), "warning a follower was cut edge-3");
  EXPECT_EQ(lines[0].fields[1].first, "why");
  EXPECT_THAT(Words(lines[1]), StartsWith("error a validator looks for token strings of another"));
}

TEST(FleetNews, IsReviewedLessOftenWhereTheFleetIsLarge) {
  EXPECT_EQ(FleetNews::ReviewInterval(0), absl::Seconds(1));
  EXPECT_EQ(FleetNews::ReviewInterval(200), absl::Seconds(1));
  EXPECT_EQ(FleetNews::ReviewInterval(20'000), absl::Seconds(20));
}

}  // namespace
}  // namespace tollgate::service
