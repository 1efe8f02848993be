#include "service/feed/ledger/roster.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const lease::SessionId kA{"a", std::string(16, 'a')};
const lease::SessionId kB{"b", std::string(16, 'b')};

RosterWrite WriteOf(const RosterEntry& entry, absl::Duration fail_open_for = {}) {
  RosterWrite write;
  write.record.set_fail_open_for_us(absl::ToInt64Microseconds(fail_open_for));
  write.entry_number = entry.number;
  return write;
}

TEST(RosterTest, R15ANewSessionNeedsItAndOneOfTheStoreDoesNot) {
  Roster roster;
  EXPECT_TRUE(Roster::Needs(roster.NewEntry(), {}, {}));
  const RosterEntry written = roster.WrittenEntry(absl::Minutes(5), absl::Minutes(1));
  EXPECT_FALSE(Roster::Needs(written, {}, {}));
  EXPECT_FALSE(Roster::Needs(written, absl::Minutes(5), absl::Minutes(1)));
  EXPECT_TRUE(Roster::Needs(written, absl::Minutes(6), absl::Minutes(1)))
      << "a longer time must be durable too";
  EXPECT_TRUE(Roster::Needs(written, absl::Minutes(5), absl::Minutes(2)));
}

TEST(RosterTest, R15TheLongestFailOpenTimeWrittenCounts) {
  Roster roster;
  RosterEntry entry = roster.NewEntry();
  EXPECT_TRUE(roster.OnWritten(WriteOf(entry, absl::Minutes(5)), &entry));
  EXPECT_TRUE(roster.OnWritten(WriteOf(entry), &entry));  // an older one, answered late
  EXPECT_FALSE(Roster::Needs(entry, absl::Minutes(5), {}));
}

TEST(RosterTest, R15TheLongestTimeThatHoldsOutliveALeaseWrittenCounts) {
  Roster roster;
  RosterEntry entry = roster.NewEntry();
  RosterWrite write = WriteOf(entry);
  write.record.set_holds_outlive_lease_us(absl::ToInt64Microseconds(absl::Minutes(5)));
  EXPECT_TRUE(roster.OnWritten(write, &entry));
  EXPECT_TRUE(roster.OnWritten(WriteOf(entry), &entry));
  EXPECT_FALSE(Roster::Needs(entry, {}, absl::Minutes(5)));
  EXPECT_TRUE(Roster::Needs(entry, {}, absl::Minutes(6)));
}

std::vector<lease::SessionId> Keys(const std::vector<RosterRemoval>& removals) {
  std::vector<lease::SessionId> keys;
  for (const RosterRemoval& removal : removals) keys.push_back(removal.key);
  return keys;
}

TEST(RosterTest, WhatLapsedIsRememberedUntilItIsForgotten) {
  Roster roster;
  RosterEntry entry = roster.WrittenEntry({}, {});
  roster.ForgetLapsed(kA, &entry);  // it is in the roster: nothing to forget
  EXPECT_TRUE(entry.written);
  roster.Remove(kA, &entry, /*lapsed=*/true);
  EXPECT_TRUE(Roster::Needs(entry, {}, {})) << "what is remembered grants nothing";
  std::vector<RosterRemoval> removals = roster.TakeRemovals();
  ASSERT_EQ(removals.size(), 1u);
  EXPECT_TRUE(removals[0].lapsed);
  roster.ForgetLapsed(kA, &entry);
  roster.ForgetLapsed(kA, &entry);
  removals = roster.TakeRemovals();
  ASSERT_EQ(removals.size(), 1u);
  EXPECT_FALSE(removals[0].lapsed);
  // Taken up again from the store, and back: it is of the roster.
  entry = roster.LapsedEntry();
  EXPECT_TRUE(Roster::Needs(entry, {}, {}));
  EXPECT_TRUE(roster.OnWritten(WriteOf(entry), &entry));
  roster.ForgetLapsed(kA, &entry);
  EXPECT_THAT(roster.TakeRemovals(), IsEmpty());
  EXPECT_TRUE(entry.written);
}

// Without this a session would be granted on a record that the store no longer has.
TEST(RosterTest, R15AnAdditionThatBeganBeforeItWasForgottenCountsForNothing) {
  Roster roster;
  RosterEntry entry = roster.LapsedEntry();
  const RosterWrite by_operator = WriteOf(entry);
  roster.BeginForget(&entry);
  EXPECT_FALSE(roster.OnWritten(by_operator, &entry));
  const RosterWrite by_bound = WriteOf(entry);
  roster.ForgetLapsed(kA, &entry);
  EXPECT_FALSE(roster.OnWritten(by_bound, &entry));
  EXPECT_TRUE(Roster::Needs(entry, {}, {}));
}

TEST(RosterTest, RemovalsAreToldOnceAndOnlyOfWhatIsWritten) {
  Roster roster;
  RosterEntry a = roster.NewEntry();
  roster.Remove(kA, &a);
  EXPECT_THAT(roster.TakeRemovals(), IsEmpty());
  RosterEntry b = roster.WrittenEntry({}, {});
  roster.OnWritten(WriteOf(a), &a);
  roster.Remove(kB, &b);
  roster.Remove(kA, &a);
  roster.Remove(kA, &a);
  EXPECT_TRUE(Roster::Needs(a, {}, {}));
  EXPECT_THAT(Keys(roster.TakeRemovals()), ElementsAre(kA, kB));
  EXPECT_THAT(roster.TakeRemovals(), IsEmpty());
  roster.RemoveUnknown(kA);
  EXPECT_THAT(Keys(roster.TakeRemovals()), ElementsAre(kA));
}

TEST(RosterTest, R15ARemovalNobodyHasTakenIsDroppedOnceAnAdditionBegins) {
  Roster roster;
  RosterEntry entry = roster.WrittenEntry({}, {});
  roster.Remove(kA, &entry);
  roster.BeginWrite(kA);
  EXPECT_TRUE(roster.OnWritten(WriteOf(entry), &entry));
  EXPECT_THAT(roster.TakeRemovals(), IsEmpty());
}

TEST(RosterTest, R15AnAdditionBegunBeforeARemovalCountsForNothing) {
  Roster roster;
  RosterEntry entry = roster.NewEntry();
  const RosterWrite first = WriteOf(entry);
  const RosterWrite second = WriteOf(entry);  // from two streams at once
  EXPECT_TRUE(roster.OnWritten(first, &entry));
  roster.Remove(kA, &entry);
  EXPECT_FALSE(roster.OnWritten(second, &entry));
  EXPECT_TRUE(Roster::Needs(entry, {}, {}));
  EXPECT_TRUE(roster.OnWritten(WriteOf(entry), &entry));
  EXPECT_FALSE(Roster::Needs(entry, {}, {}));
}

}  // namespace
}  // namespace tollgate::service
