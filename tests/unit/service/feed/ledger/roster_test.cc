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
  EXPECT_THAT(roster.TakeRemovals(), ElementsAre(kA, kB));
  EXPECT_THAT(roster.TakeRemovals(), IsEmpty());
  roster.RemoveUnknown(kA);
  EXPECT_THAT(roster.TakeRemovals(), ElementsAre(kA));
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
