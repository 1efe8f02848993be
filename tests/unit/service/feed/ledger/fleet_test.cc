#include "service/feed/ledger/fleet.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SessionView View(const std::string& id, char incarnation = 'a') {
  SessionView view;
  view.key = {id, std::string(16, incarnation)};
  return view;
}
SessionView InSync(const std::string& id, char incarnation = 'a') {
  SessionView view = View(id, incarnation);
  view.live = true;
  view.streams = 1;
  view.connected_for = absl::Minutes(1);
  return view;
}
SessionView Lapsed(const std::string& id, char incarnation = 'a',
                   absl::Duration ended_for = absl::Seconds(5)) {
  SessionView view = View(id, incarnation);
  view.ended_for = ended_for;
  view.missing = true;
  return view;
}
SessionView Released(const std::string& id, char incarnation = 'a',
                     absl::Duration ended_for = absl::Seconds(5)) {
  SessionView view = Lapsed(id, incarnation, ended_for);
  view.released = true;
  view.missing = false;
  return view;
}

std::vector<std::string> Names(const std::vector<SessionView>& fleet) {
  std::vector<std::string> names;
  for (const SessionView& view : fleet) {
    names.push_back(view.key.validator_id + ":" + view.key.incarnation.substr(0, 1));
  }
  return names;
}

TEST(StateOf, TellsEveryStateApart) {
  SessionView view = InSync("a");
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_IN_SYNC);
  view.streams = 0;
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_AWAY);
  view.behind = true;  // what receipts wait for is said first
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_PENDING);
  view.streams = 1;
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_PENDING);
  EXPECT_EQ(StateOf(Lapsed("a")), v1::VALIDATOR_STATE_LAPSED);
  view = Lapsed("a");
  view.streams = 1;
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_LAPSED) << "connected, and without a lease";
  view.uncovered = true;
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_NOT_COVERED);
  view = View("a");
  view.streams = 1;
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_JOINING);
  EXPECT_EQ(StateOf(Released("a")), v1::VALIDATOR_STATE_RELEASED);
}

TEST(IsProblem, GivesTheHealthyTheirMoment) {
  EXPECT_FALSE(IsProblem(InSync("a")));
  SessionView pending = InSync("a");
  pending.behind = true;
  pending.lag = absl::Milliseconds(5);
  EXPECT_FALSE(IsProblem(pending));
  pending.lag = kSlowAfter;
  EXPECT_TRUE(IsProblem(pending));
  pending.lag.reset();
  EXPECT_TRUE(IsProblem(pending)) << "nobody knows for how long";

  SessionView away = InSync("a");
  away.streams = 0;
  away.away_for = absl::Milliseconds(900);
  EXPECT_FALSE(IsProblem(away)) << "on its way round";
  away.away_for = kAwayAfter;
  EXPECT_TRUE(IsProblem(away));

  SessionView joining = View("a");
  joining.streams = 1;
  joining.connected_for = absl::Milliseconds(5);
  EXPECT_FALSE(IsProblem(joining));
  joining.connected_for = absl::Seconds(2);
  EXPECT_TRUE(IsProblem(joining));

  EXPECT_TRUE(IsProblem(Lapsed("a")));
  EXPECT_FALSE(IsProblem(Released("a")));
}

TEST(FleetOf, ShowsACrashedAndRestartedValidatorOnce) {
  EXPECT_THAT(Names(FleetOf({Lapsed("a", '1'), InSync("a", '2'), Lapsed("b", '1')}, false)),
              ElementsAre("a:2", "b:1"));
  // As long as both may admit, both are shown: receipts wait for either.
  SessionView crashed = InSync("a", '1');
  crashed.streams = 0;
  EXPECT_THAT(Names(FleetOf({crashed, InSync("a", '2')}, false)), ElementsAre("a:1", "a:2"));
}

TEST(FleetOf, ForgetsWhoSaidGoodbye) {
  EXPECT_THAT(FleetOf({Released("a")}, false), IsEmpty());
  EXPECT_THAT(Names(FleetOf({Released("a")}, true)), ElementsAre("a:a"));
  // Crashed, came back, and left in good order: nothing to look at. The book knows.
  SessionView crashed = Lapsed("a", '1');
  crashed.missing = false;
  EXPECT_THAT(FleetOf({crashed, Released("a", '2')}, false), IsEmpty());
}

TEST(FleetOf, ShowsTheMissingHoweverLongAgoTheyLapsed) {
  EXPECT_THAT(Names(FleetOf({Lapsed("a", '1', absl::Hours(24 * 400))}, false)), ElementsAre("a:1"));
  SessionView joining = View("a", '2');
  joining.streams = 1;
  EXPECT_THAT(Names(FleetOf({Lapsed("a", '1'), joining}, false)), ElementsAre("a:2"))
      << "it is about to be back";
  SessionView forgotten = Lapsed("a");
  forgotten.missing = false;
  EXPECT_THAT(FleetOf({forgotten}, false), IsEmpty());
  forgotten.streams = 1;  // and connected, without a lease
  EXPECT_THAT(Names(FleetOf({forgotten}, false)), ElementsAre("a:a"));
}

TEST(FleetOf, LeavesOutWhatNeverHeldAnything) {
  SessionView joining = View("a");
  joining.streams = 1;
  EXPECT_THAT(Names(FleetOf({joining, View("b")}, false)), ElementsAre("a:a"));
  // And such a one does not hide what lapsed.
  EXPECT_THAT(Names(FleetOf({Lapsed("b", '1'), View("b", '2')}, false)), ElementsAre("b:1"));
}

TEST(CountStates, HasEveryState) {
  const auto counts = CountStates({InSync("a"), InSync("b"), Lapsed("c")});
  EXPECT_EQ(counts.size(), 7u);
  EXPECT_EQ(counts.at(v1::VALIDATOR_STATE_IN_SYNC), 2);
  EXPECT_EQ(counts.at(v1::VALIDATOR_STATE_LAPSED), 1);
  EXPECT_EQ(counts.at(v1::VALIDATOR_STATE_PENDING), 0);
  for (const auto& [state, count] : counts) EXPECT_NE(ValidatorStateName(state), "unknown");
}

}  // namespace
}  // namespace tollgate::service
