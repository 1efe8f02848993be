#include "service/feed/ledger/lease_book.h"

#include "base/invariant.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kLease = absl::Seconds(30);

lease::SessionId Id(const std::string& validator, char incarnation = 'a') {
  return {validator, std::string(16, incarnation)};
}

std::vector<lease::SessionId> Keys(const std::vector<RosterRemoval>& removals) {
  std::vector<lease::SessionId> keys;
  for (const RosterRemoval& removal : removals) keys.push_back(removal.key);
  return keys;
}

class LeaseBookTest : public ::testing::Test {
 protected:
  LeaseBook::Moment Moment() const { return {now_, head_}; }
  bool Pass(absl::Duration d) {
    now_ = now_ + d;
    return book_.Advance(Moment());
  }
  void Hello(const lease::SessionId& id, absl::Duration fail_open_for = {}) {
    v1::Hello hello;
    if (fail_open_for > absl::ZeroDuration()) {
      hello.set_stale_policy(v1::STALE_POLICY_FAIL_OPEN);
      hello.mutable_fail_open_for()->set_seconds(absl::ToInt64Seconds(fail_open_for));
    }
    book_.OpenStream(id, hello, "", now_);
  }
  void Ack(const lease::SessionId& id, int64_t revision) {
    book_.Acknowledge(id, revision, v1::Ping(), now_);
  }
  // Hello, written into the roster, granted for kLease from now.
  void Join(const lease::SessionId& id, absl::Duration fail_open_for = {}) {
    Hello(id, fail_open_for);
    book_.OnRostered(book_.BeginRosterWrite(id, absl::UnixEpoch()));
    book_.Extend(id, now_ + kLease);
  }
  bool Live(const lease::SessionId& id) const { return book_.Find(id)->live; }

  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000'000);
  int64_t head_ = 100;
  LeaseBook book_{/*drift_bound=*/0.001, /*max_ended=*/100};
};

TEST_F(LeaseBookTest, R2AHelloAndAnAcknowledgementGrantNothing) {
  Hello(Id("a"));
  Ack(Id("a"), 100);
  EXPECT_EQ(book_.live_count(), 0u);
  EXPECT_EQ(book_.least_acknowledged(), absl::nullopt);
  EXPECT_EQ(book_.NextEnd(), base::BootTime::InfiniteFuture());
}

TEST_F(LeaseBookTest, R3ALifeOnlyGrows) {
  Join(Id("a"));
  const base::BootTime end = now_ + kLease;
  book_.Extend(Id("a"), end - absl::Seconds(10));  // an older grant, counted late
  Hello(Id("a"));
  book_.CloseStream(Id("a"), Moment());
  book_.CloseStream(Id("a"), Moment());
  Join(Id("a", 'z'));
  book_.Release(Id("a", 'z'), Moment());
  EXPECT_EQ(book_.NextEnd(), end);
  EXPECT_FALSE(Pass(kLease - absl::Nanoseconds(1)));
  EXPECT_TRUE(Live(Id("a")));
  EXPECT_TRUE(Pass(absl::Nanoseconds(1)));
  EXPECT_FALSE(Live(Id("a")));
  EXPECT_EQ(book_.lapses(), 1);
}

TEST_F(LeaseBookTest, R3TheLongestOfTwoGrantsCounts) {
  Join(Id("a"));
  book_.Extend(Id("a"), now_ + 2 * kLease);
  EXPECT_EQ(book_.live_count(), 1u);
  Pass(2 * kLease - absl::Nanoseconds(1));
  EXPECT_TRUE(Live(Id("a")));
  Pass(absl::Nanoseconds(1));
  EXPECT_FALSE(Live(Id("a")));
  EXPECT_EQ(book_.Find(Id("a"))->ended_at, now_);
}

TEST_F(LeaseBookTest, R4GoodbyeEndsALifeAtOnceAndForEver) {
  Join(Id("a"));
  book_.Release(Id("a"), Moment());
  EXPECT_EQ(book_.live_count(), 0u);
  EXPECT_EQ(book_.lapses(), 0);
  EXPECT_TRUE(book_.Find(Id("a"))->released);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("a")));
  Hello(Id("a"));  // late
  EXPECT_FALSE(book_.NeedsRoster(Id("a")));
}

TEST_F(LeaseBookTest, R4AGoodbyeThatOvertakesTheRosterStillEmptiesIt) {
  Hello(Id("a"));
  const RosterWrite write = book_.BeginRosterWrite(Id("a"), absl::UnixEpoch());
  book_.Release(Id("a"), Moment());
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), IsEmpty());
  book_.OnRostered(write);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("a")));
}

TEST_F(LeaseBookTest, R10TheLeastAcknowledgedIsOfLiveSessionsAndNeverFalls) {
  Join(Id("a", '1'));
  Join(Id("a", '2'));
  Join(Id("b"));
  Ack(Id("a", '1'), 90);
  Ack(Id("a", '2'), 80);
  Ack(Id("b"), 70);
  EXPECT_EQ(book_.least_acknowledged(), 70);
  EXPECT_EQ(book_.CountBelow(70), 0u);
  EXPECT_EQ(book_.CountBelow(81), 2u);
  Ack(Id("b"), 60);  // late, from a half-open stream
  EXPECT_EQ(book_.least_acknowledged(), 70);
  Ack(Id("b"), 100);
  EXPECT_EQ(book_.least_acknowledged(), 80);
  book_.Release(Id("a", '2'), Moment());
  EXPECT_EQ(book_.least_acknowledged(), 90);
  Ack(Id("a", '2'), 85);  // it is counted no more
  EXPECT_EQ(book_.least_acknowledged(), 90);
}

TEST_F(LeaseBookTest, R14FailOpenGoesOnPastItsLeaseForItsTimeAndDrift) {
  Join(Id("open"), absl::Minutes(5));
  book_.CloseStream(Id("open"), Moment());
  Pass(kLease);
  EXPECT_FALSE(Live(Id("open")));
  EXPECT_EQ(book_.Find(Id("open"))->uncovered_until, now_ + absl::Minutes(5) * 1.001);
  EXPECT_EQ(book_.NextEnd(), *book_.Find(Id("open"))->uncovered_until);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), IsEmpty());
  Pass(absl::Minutes(6));
  EXPECT_EQ(book_.Find(Id("open"))->uncovered_until, absl::nullopt);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("open")));
}

TEST_F(LeaseBookTest, R14FailOpenGrantedAnewIsLiveAndNotUncovered) {
  Join(Id("open"), absl::Minutes(5));
  Pass(kLease);
  book_.Extend(Id("open"), now_ + kLease);
  EXPECT_TRUE(Live(Id("open")));
  EXPECT_EQ(book_.Find(Id("open"))->uncovered_until, absl::nullopt);
  EXPECT_EQ(book_.NextEnd(), now_ + kLease);
}

TEST_F(LeaseBookTest, R14TheLongestFailOpenTimeEverSaidCounts) {
  Hello(Id("a"), absl::Minutes(5));
  Hello(Id("a"), absl::Minutes(1));
  Hello(Id("a"));
  EXPECT_EQ(book_.Find(Id("a"))->fail_open_for, absl::Minutes(5));
}

TEST_F(LeaseBookTest, WordsToHoldersEndWithTheLease) {
  Join(Id("a"));
  EXPECT_TRUE(book_.Find(Id("a"))->words_good());
  Pass(kLease - absl::Nanoseconds(1));
  EXPECT_THAT(book_.TakeWordsEnded(), IsEmpty());
  Pass(absl::Nanoseconds(1));
  EXPECT_THAT(book_.TakeWordsEnded(), ElementsAre(Id("a")));
  EXPECT_THAT(book_.TakeWordsEnded(), IsEmpty());
  EXPECT_FALSE(book_.Find(Id("a"))->words_good());
  book_.Extend(Id("a"), now_ + kLease);
  EXPECT_TRUE(book_.Find(Id("a"))->words_good());
}

TEST_F(LeaseBookTest, GoodbyeEndsNoWord) {
  Join(Id("a"));
  const base::BootTime end = now_ + kLease;
  Pass(absl::Seconds(10));
  book_.Release(Id("a"), Moment());
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("a")))
      << "it admits nothing any more";
  EXPECT_THAT(book_.TakeWordsEnded(), IsEmpty());
  EXPECT_EQ(book_.Find(Id("a"))->words_until, end);
  EXPECT_EQ(book_.NextEnd(), end);
  EXPECT_TRUE(Pass(absl::Seconds(20)));
  EXPECT_THAT(book_.TakeWordsEnded(), ElementsAre(Id("a")));
  EXPECT_EQ(book_.NextEnd(), base::BootTime::InfiniteFuture());
  // Who never had a lease gave no word.
  Hello(Id("b"));
  book_.Release(Id("b"), Moment());
  EXPECT_THAT(book_.TakeWordsEnded(), ElementsAre(Id("b")));
}

TEST_F(LeaseBookTest, R15HoldsThatOutliveTheLeaseKeepTheRecordForTheirTimeAndDrift) {
  v1::Hello hello;
  hello.mutable_holds_outlive_lease()->set_seconds(300);
  book_.OpenStream(Id("a"), hello, "", now_);
  EXPECT_TRUE(book_.NeedsRoster(Id("a")));
  const RosterWrite write = book_.BeginRosterWrite(Id("a"), absl::UnixEpoch());
  EXPECT_EQ(write.record.holds_outlive_lease_us(), absl::ToInt64Microseconds(absl::Minutes(5)));
  EXPECT_FALSE(write.record.fail_open());
  book_.OnRostered(write);
  EXPECT_FALSE(book_.NeedsRoster(Id("a")));
  book_.Extend(Id("a"), now_ + kLease);
  book_.CloseStream(Id("a"), Moment());
  book_.TakeLifeChanges();
  EXPECT_TRUE(Pass(kLease));
  ASSERT_THAT(book_.TakeLifeChanges(), SizeIs(1)) << "it admits nothing, whatever it keeps open";
  EXPECT_EQ(book_.Find(Id("a"))->uncovered_until, absl::nullopt);
  EXPECT_THAT(book_.TakeWordsEnded(), IsEmpty());
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), IsEmpty());
  EXPECT_EQ(book_.Find(Id("a"))->words_until, now_ + absl::Minutes(5) * 1.001);
  // However many end meanwhile, it is not forgotten.
  for (int i = 0; i < 200; ++i) {
    Join(Id("edge-" + std::to_string(i)));
    book_.Release(Id("edge-" + std::to_string(i)), Moment());
    book_.CloseStream(Id("edge-" + std::to_string(i)), Moment());
  }
  book_.ForgetEnded();
  book_.TakeRosterRemovals();
  ASSERT_NE(book_.Find(Id("a")), nullptr);
  EXPECT_TRUE(Pass(absl::Minutes(6)));
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("a")));
  EXPECT_THAT(book_.TakeLifeChanges(),
              ::testing::Not(::testing::Contains(::testing::Field(&LifeChange::key, Id("a")))));
  EXPECT_THAT(book_.TakeWordsEnded(), ::testing::Contains(Id("a")));
  for (int i = 200; i < 400; ++i) {
    Join(Id("edge-" + std::to_string(i)));
    book_.Release(Id("edge-" + std::to_string(i)), Moment());
    book_.CloseStream(Id("edge-" + std::to_string(i)), Moment());
  }
  book_.ForgetEnded();
  EXPECT_TRUE(book_.Find(Id("a"))->missing()) << "it never came back";
  EXPECT_THAT(book_.sessions(), SizeIs(101));
  EXPECT_TRUE(Pass(kLease)) << "the words of the rest end";
}

TEST_F(LeaseBookTest, HoldsThatOutliveTheLeaseAndFailOpenEndEachInItsTime) {
  v1::Hello hello;
  hello.set_stale_policy(v1::STALE_POLICY_FAIL_OPEN);
  hello.mutable_fail_open_for()->set_seconds(60);
  hello.mutable_holds_outlive_lease()->set_seconds(120);
  for (const char* id : {"holds", "open"}) {
    book_.OpenStream(Id(id), hello, "", now_);
    book_.OnRostered(book_.BeginRosterWrite(Id(id), absl::UnixEpoch()));
    book_.Extend(Id(id), now_ + kLease);
    book_.CloseStream(Id(id), Moment());
    hello.mutable_fail_open_for()->set_seconds(180);
  }
  Pass(kLease);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), IsEmpty());
  Pass(absl::Seconds(61));
  EXPECT_EQ(book_.Find(Id("holds"))->uncovered_until, absl::nullopt);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), IsEmpty());
  Pass(absl::Seconds(60));
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("holds")));
  EXPECT_FALSE(book_.Find(Id("open"))->words_good());
  Pass(absl::Seconds(60));
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("open")));
}

TEST_F(LeaseBookTest, TheLongestTimeThatHoldsOutliveALeaseCounts) {
  v1::Hello hello;
  hello.mutable_holds_outlive_lease()->set_seconds(300);
  hello.mutable_holds_outlive_lease()->set_nanos(1);
  book_.OpenStream(Id("a"), hello, "", now_);
  Hello(Id("a"));  // an old one, delayed
  const absl::Duration longest = absl::Minutes(5) + absl::Microseconds(1);
  EXPECT_EQ(book_.Find(Id("a"))->holds_outlive_lease, longest);
  const RosterWrite write = book_.BeginRosterWrite(Id("a"), absl::UnixEpoch());
  book_.OnRostered(write);
  EXPECT_FALSE(book_.NeedsRoster(Id("a"))) << "odd nanos are rostered once";
  LeaseBook restarted(/*drift_bound=*/0.001, /*max_ended=*/100);
  restarted.Recall(write.record, now_);
  EXPECT_EQ(restarted.Find(Id("a"))->holds_outlive_lease, longest);
  EXPECT_FALSE(restarted.NeedsRoster(Id("a")));
}

TEST_F(LeaseBookTest, AnUnknownStalePolicyIsNotCoveredForTheLongestTime) {
  v1::Hello hello;
  hello.set_stale_policy(static_cast<v1::StalePolicy>(99));
  book_.OpenStream(Id("newer"), hello, "", now_);
  const RosterWrite write = book_.BeginRosterWrite(Id("newer"), absl::UnixEpoch());
  EXPECT_TRUE(write.record.fail_open());
  EXPECT_EQ(write.record.fail_open_for_us(), absl::ToInt64Microseconds(lease::kLongestFailOpen));
}

TEST_F(LeaseBookTest, R15AFailOpenTimeOfOddNanosIsRosteredOnce) {
  v1::Hello hello;
  hello.set_stale_policy(v1::STALE_POLICY_FAIL_OPEN);
  hello.mutable_fail_open_for()->set_seconds(3600);
  hello.mutable_fail_open_for()->set_nanos(1);
  book_.OpenStream(Id("odd"), hello, "", now_);
  const RosterWrite write = book_.BeginRosterWrite(Id("odd"), absl::UnixEpoch());
  EXPECT_EQ(write.record.fail_open_for_us(), absl::ToInt64Microseconds(absl::Hours(1)) + 1);
  book_.OnRostered(write);
  EXPECT_FALSE(book_.NeedsRoster(Id("odd")));
}

TEST_F(LeaseBookTest, R15ASessionOfTheStoresRosterIsKnownAndMayAdmit) {
  store::v1::SessionRecord record;
  record.set_validator_id("a");
  record.set_incarnation(std::string(16, 'a'));
  record.set_caller("spiffe://a");
  record.set_fail_open(true);
  record.set_fail_open_for_us(absl::ToInt64Microseconds(absl::Minutes(5)));
  book_.Recall(record, now_);
  EXPECT_EQ(book_.live_count(), 0u) << "for how long is said from outside";
  EXPECT_FALSE(book_.NeedsRoster(Id("a")));
  EXPECT_EQ(book_.Find(Id("a"))->fail_open_for, absl::Minutes(5));
  EXPECT_FALSE(book_.Bind(Id("a"), "spiffe://b", now_));
  EXPECT_TRUE(book_.Bind(Id("a"), "spiffe://a", now_));
  const std::vector<LifeChange> changes = book_.TakeLifeChanges();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_TRUE(changes[0].live);
}

TEST_F(LeaseBookTest, ASessionIsBoundToTheFirstWhoAsks) {
  EXPECT_TRUE(book_.Bind(Id("a"), "local", now_));
  EXPECT_FALSE(book_.Bind(Id("a"), "anonymous", now_));
  EXPECT_TRUE(book_.Bind(Id("a"), "local", now_));
  EXPECT_EQ(book_.BeginRosterWrite(Id("a"), absl::UnixEpoch()).record.caller(), "local");
}

TEST_F(LeaseBookTest, EachUserOfThisHostHasSessionsOfHisOwn) {
  EXPECT_TRUE(book_.Bind(Id("a"), "unix:ada", now_));
  for (const char* other : {"unix:bob", "unix:", "local", "spiffe://a"}) {
    EXPECT_FALSE(book_.Bind(Id("a"), other, now_)) << other;
  }
  EXPECT_TRUE(book_.Bind(Id("a"), "unix:ada", now_));
}

// A roster of before users were told apart calls all of them `local`.
TEST_F(LeaseBookTest, ASessionOfAnOlderRosterIsOfTheFirstUserWhoComesBackToIt) {
  store::v1::SessionRecord record;
  record.set_validator_id("a");
  record.set_incarnation(std::string(16, 'a'));
  record.set_caller("local");
  book_.Recall(record, now_);
  EXPECT_FALSE(book_.Bind(Id("a"), "spiffe://a", now_));
  EXPECT_TRUE(book_.Bind(Id("a"), "local", now_)) << "over the loopback he is called so still";
  EXPECT_TRUE(book_.Bind(Id("a"), "unix:ada", now_));
  EXPECT_FALSE(book_.Bind(Id("a"), "unix:bob", now_));
  EXPECT_FALSE(book_.Bind(Id("a"), "local", now_));
  EXPECT_EQ(book_.BeginRosterWrite(Id("a"), absl::UnixEpoch()).record.caller(), "unix:ada");
}

TEST_F(LeaseBookTest, ARecordSaysWhoWasSeenAndWhen) {
  Hello(Id("a"));
  const RosterWrite write =
      book_.BeginRosterWrite(Id("a"), absl::FromUnixMicros(1'700'000'000'000'007));
  EXPECT_EQ(write.record.validator_id(), "a");
  EXPECT_EQ(write.record.incarnation(), Id("a").incarnation);
  EXPECT_EQ(write.record.first_seen_us(), 1'700'000'000'000'007);
}

TEST_F(LeaseBookTest, R15ARecordGoesOnlyWhenNothingCanBeHeldOnIt) {
  Join(Id("a"));
  book_.CloseStream(Id("a"), Moment());
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), IsEmpty());
  Pass(kLease);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("a")));
  // It comes back: it must be written again first.
  Hello(Id("a"));
  EXPECT_TRUE(book_.NeedsRoster(Id("a")));
  // With a stream open the record stays, whatever has lapsed.
  book_.OnRostered(book_.BeginRosterWrite(Id("a"), absl::UnixEpoch()));
  book_.Extend(Id("a"), now_ + kLease);
  Pass(kLease);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), IsEmpty());
  book_.CloseStream(Id("a"), Moment());
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("a")));
}

// The ids of the missing, the longest missing first.
std::vector<std::string> Missing(const LeaseBook& book) {
  std::vector<std::string> ids;
  for (const auto& [place, session] : book.missing()) {
    ids.push_back(session->key.validator_id + ":" + session->key.incarnation.substr(0, 1));
  }
  return ids;
}

TEST_F(LeaseBookTest, AValidatorThatLapsedIsMissingUntilItComesBackUnderItsId) {
  Join(Id("a", '1'));
  book_.CloseStream(Id("a", '1'), Moment());
  EXPECT_THAT(Missing(book_), IsEmpty()) << "it holds a lease";
  Pass(kLease);
  EXPECT_THAT(Missing(book_), ElementsAre("a:1"));
  EXPECT_EQ(book_.live_count(), 0u);
  std::vector<RosterRemoval> removals = book_.TakeRosterRemovals();
  ASSERT_THAT(removals, SizeIs(1));
  EXPECT_TRUE(removals[0].lapsed);
  // However many end meanwhile.
  for (int i = 0; i < 200; ++i) {
    const lease::SessionId id = Id("edge-" + std::to_string(i));
    Join(id);
    book_.Release(id, Moment());
    book_.CloseStream(id, Moment());
  }
  book_.ForgetEnded();
  EXPECT_THAT(Missing(book_), ElementsAre("a:1"));
  book_.TakeRosterRemovals();
  // A hello alone is not back: it admits nothing yet.
  Hello(Id("a", '2'));
  EXPECT_THAT(Missing(book_), ElementsAre("a:1"));
  book_.OnRostered(book_.BeginRosterWrite(Id("a", '2'), absl::UnixEpoch()));
  book_.Extend(Id("a", '2'), now_ + kLease);
  EXPECT_THAT(Missing(book_), IsEmpty());
  removals = book_.TakeRosterRemovals();
  EXPECT_THAT(Keys(removals), ElementsAre(Id("a", '1')));
  EXPECT_FALSE(removals[0].lapsed);
  // And the same process can come back, too.
  book_.CloseStream(Id("a", '2'), Moment());
  Pass(kLease);
  EXPECT_THAT(Missing(book_), ElementsAre("a:2"));
  book_.TakeRosterRemovals();
  EXPECT_TRUE(book_.NeedsRoster(Id("a", '2'))) << "what is remembered grants nothing (R15)";
  Join(Id("a", '2'));
  EXPECT_THAT(Missing(book_), IsEmpty());
  EXPECT_THAT(book_.TakeRosterRemovals(), IsEmpty()) << "its record is the roster's again (R15)";
  EXPECT_TRUE(Live(Id("a", '2')));
}

// Back, written anew, and stopped in order before it was granted anything.
TEST_F(LeaseBookTest, AGoodbyeWithoutALeaseEndsTheMemoryOfTheLapsedOne) {
  for (const char again : {'1', '2'}) {
    const std::string id(1, again);
    Join(Id(id, '1'));
    book_.CloseStream(Id(id, '1'), Moment());
    Pass(kLease);
    ASSERT_THAT(Missing(book_), ElementsAre(id + ":1"));
    ASSERT_TRUE(book_.TakeRosterRemovals()[0].lapsed);
    Hello(Id(id, again));
    book_.OnRostered(book_.BeginRosterWrite(Id(id, again), absl::UnixEpoch()));
    book_.Release(Id(id, again), Moment());
    book_.CloseStream(Id(id, again), Moment());
    EXPECT_THAT(Missing(book_), IsEmpty()) << again;
    for (const RosterRemoval& removal : book_.TakeRosterRemovals()) {
      EXPECT_FALSE(removal.lapsed) << again << ": the store would remember it";
    }
  }
}

TEST_F(LeaseBookTest, OnlyAValidatorsLastWordMakesItMissing) {
  // Crashed, started again within its lease, and left in good order: nobody is missing.
  Join(Id("a", '1'));
  book_.CloseStream(Id("a", '1'), Moment());
  Pass(absl::Seconds(1));
  Join(Id("a", '2'));
  book_.Release(Id("a", '2'), Moment());
  Pass(kLease);
  EXPECT_THAT(Missing(book_), IsEmpty());
  // A twin that goes on is there; once that lapses too, one is missing.
  Join(Id("b", '1'));
  Pass(absl::Seconds(1));
  Join(Id("b", '2'));
  for (char c : {'1', '2'}) book_.CloseStream(Id("b", c), Moment());
  Pass(kLease - absl::Seconds(1));
  EXPECT_FALSE(Live(Id("b", '1')));
  EXPECT_THAT(Missing(book_), IsEmpty());
  Pass(absl::Seconds(1));
  EXPECT_THAT(Missing(book_), ElementsAre("b:2"));
  // A twin that was heard of after the other's goodbye.
  Join(Id("c", '1'));
  Join(Id("c", '2'));
  book_.Release(Id("c", '2'), Moment());
  Pass(absl::Seconds(1));
  Ack(Id("c", '1'), 100);
  book_.CloseStream(Id("c", '1'), Moment());
  Pass(kLease);
  EXPECT_THAT(Missing(book_), ElementsAre("b:2", "c:1"));
  // One that was never granted anything left nobody without a decision.
  Hello(Id("d"));
  book_.CloseStream(Id("d"), Moment());
  EXPECT_THAT(Missing(book_), ElementsAre("b:2", "c:1"));
}

TEST_F(LeaseBookTest, R14WhoFailsOpenIsMissingOnlyOnceItsTimeHasPassed) {
  Join(Id("open"), absl::Minutes(5));
  book_.CloseStream(Id("open"), Moment());
  Pass(kLease);
  EXPECT_THAT(Missing(book_), IsEmpty());
  EXPECT_THAT(book_.TakeRosterRemovals(), IsEmpty()) << "the roster has it for its time";
  Pass(absl::Minutes(6));
  EXPECT_THAT(Missing(book_), ElementsAre("open:a"));
  EXPECT_TRUE(book_.TakeRosterRemovals().at(0).lapsed);
}

TEST_F(LeaseBookTest, TheMissingAreBoundedAndTheOldestGoFirst) {
  LeaseBook book(/*drift_bound=*/0.001, /*max_ended=*/100, /*max_missing=*/2);
  for (const char* id : {"a", "b", "c"}) {
    book.OpenStream(Id(id), v1::Hello(), "ipv4:10.0.0.7:1", now_);
    book.OnRostered(book.BeginRosterWrite(Id(id), absl::UnixEpoch()));
    book.Extend(Id(id), now_ + kLease);
    book.CloseStream(Id(id), Moment());
    now_ = now_ + kLease;
    book.Advance(Moment());
  }
  EXPECT_THAT(Missing(book), ElementsAre("b:a", "c:a"));
  const std::vector<RosterRemoval> removals = book.TakeRosterRemovals();
  ASSERT_THAT(removals, SizeIs(3));
  EXPECT_FALSE(removals[0].lapsed) << "of a nothing stays, not even where its mark was not written";
  EXPECT_TRUE(removals[1].lapsed && removals[2].lapsed);
  EXPECT_EQ(removals[1].address, "ipv4:10.0.0.7:1");
}

TEST_F(LeaseBookTest, TheStoreRemembersTheMissingOverARestart) {
  const absl::Time wall = absl::FromUnixSeconds(1'800'000'000);
  std::vector<store::v1::SessionRecord> records;
  const auto add = [&](const std::string& id, char incarnation, absl::Duration ago) {
    store::v1::SessionRecord& record = records.emplace_back();
    record.set_validator_id(id);
    record.set_incarnation(std::string(16, incarnation));
    record.set_caller("spiffe://a");
    record.set_lapsed_time_us(absl::ToUnixMicros(wall - ago));
    record.set_last_address("ipv4:10.0.0.7:1");
  };
  add("back", '1', absl::Hours(1));
  add("old", '1', absl::Hours(30));
  add("twice", '1', absl::Hours(2));
  add("twice", '2', absl::Hours(1));
  add("future", '1', -absl::Hours(1));
  store::v1::SessionRecord back;
  back.set_validator_id("back");
  back.set_incarnation(std::string(16, '2'));
  book_.Recall(back, now_);
  book_.Extend(Id("back", '2'), now_ + kLease);
  book_.TakeLifeChanges();
  book_.RecallMissing(records, now_, wall);
  EXPECT_THAT(Missing(book_), ElementsAre("old:1", "twice:2", "future:1"));
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("back", '1'), Id("twice", '1')));
  EXPECT_EQ(book_.live_count(), 1u) << "none of them may admit";
  EXPECT_EQ(book_.least_acknowledged(), 0) << "only who is back is waited for";
  EXPECT_THAT(book_.TakeLifeChanges(), IsEmpty());
  const BookedSession& old = *book_.Find(Id("old", '1'));
  EXPECT_EQ(now_ - *old.ended_at, absl::Hours(30));
  EXPECT_EQ(old.address, "ipv4:10.0.0.7:1");
  EXPECT_EQ(now_ - *book_.Find(Id("future", '1'))->ended_at, absl::ZeroDuration());
  EXPECT_TRUE(book_.NeedsRoster(Id("old", '1')));
  EXPECT_FALSE(book_.Bind(Id("old", '1'), "spiffe://b", now_)) << "R3: it stays its caller's";
}

TEST_F(LeaseBookTest, ForgottenByAnOperatorUnlessItComesBackMeanwhile) {
  for (const char* id : {"a", "b"}) {
    Join(Id(id));
    book_.CloseStream(Id(id), Moment());
  }
  Pass(kLease);
  book_.TakeRosterRemovals();
  book_.BeginForget(Id("a"));
  EXPECT_THAT(Missing(book_), ElementsAre("a:a", "b:a")) << "not before the store says so";
  book_.OnForgotten(Id("a"));
  EXPECT_THAT(Missing(book_), ElementsAre("b:a"));
  EXPECT_THAT(book_.TakeRosterRemovals(), IsEmpty()) << "the operator's command took it out";
  // b's addition begins before the command, and is answered after it.
  Hello(Id("b"));
  const RosterWrite write = book_.BeginRosterWrite(Id("b"), absl::UnixEpoch());
  book_.BeginForget(Id("b"));
  book_.OnRostered(write);
  EXPECT_TRUE(book_.NeedsRoster(Id("b"))) << "R15: the store has it no more";
  book_.OnForgotten(Id("b"));
  EXPECT_THAT(Missing(book_), ElementsAre("b:a")) << "it is connected";
  Join(Id("b"));
  EXPECT_TRUE(Live(Id("b")));
  book_.OnForgotten(Id("b"));
  EXPECT_FALSE(book_.NeedsRoster(Id("b")));
  EXPECT_THAT(book_.TakeRosterRemovals(), IsEmpty());
}

TEST_F(LeaseBookTest, WhatWasRevokedAfterALeaseEndedItIsNotAskedFor) {
  Join(Id("a"));
  head_ = 105;
  Pass(kLease);
  head_ = 110;
  EXPECT_EQ(book_.Find(Id("a"))->head_at_end, 105);
}

TEST_F(LeaseBookTest, LivesAreToldInOrder) {
  Join(Id("a"));
  auto changes = book_.TakeLifeChanges();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_TRUE(changes[0].live);
  Pass(absl::Seconds(5));
  book_.Extend(Id("a"), now_ + kLease);
  EXPECT_THAT(book_.TakeLifeChanges(), IsEmpty());
  Pass(kLease);
  changes = book_.TakeLifeChanges();
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_FALSE(changes[0].live);
  EXPECT_FALSE(changes[0].said_goodbye);
  book_.Extend(Id("a"), now_ + kLease);
  book_.Release(Id("a"), Moment());
  changes = book_.TakeLifeChanges();
  ASSERT_THAT(changes, SizeIs(2));
  EXPECT_TRUE(changes[0].live);
  EXPECT_TRUE(changes[1].said_goodbye);
}

TEST_F(LeaseBookTest, WhatEndedIsForgottenOldestFirstAndTold) {
  std::vector<lease::SessionId> forgotten;
  for (int i = 0; i < 1'000; ++i) {
    const lease::SessionId id = Id("edge-" + std::to_string(i));
    Join(id);
    book_.Release(id, Moment());
    book_.CloseStream(id, Moment());
    for (const lease::SessionId& gone : book_.ForgetEnded()) forgotten.push_back(gone);
  }
  EXPECT_THAT(book_.sessions(), SizeIs(100));
  ASSERT_THAT(forgotten, SizeIs(900));
  EXPECT_EQ(forgotten.front(), Id("edge-0"));
  EXPECT_EQ(book_.Find(Id("edge-0")), nullptr);
  EXPECT_NE(book_.Find(Id("edge-999")), nullptr);
}

TEST_F(LeaseBookTest, WhoCameBackIsNotForgotten) {
  Join(Id("back"));
  Pass(kLease);
  book_.Extend(Id("back"), now_ + absl::Hours(1));
  for (int i = 0; i < 200; ++i) {
    Join(Id("edge-" + std::to_string(i)));
    book_.Release(Id("edge-" + std::to_string(i)), Moment());
  }
  book_.ForgetEnded();
  ASSERT_NE(book_.Find(Id("back")), nullptr);
  EXPECT_TRUE(Live(Id("back")));
}

TEST_F(LeaseBookTest, R15TheRecordOfOneForgottenMeanwhileIsTakenOut) {
  Hello(Id("a"));
  const RosterWrite write = book_.BeginRosterWrite(Id("a"), absl::UnixEpoch());
  book_.CloseStream(Id("a"), Moment());
  for (int i = 0; i < 200; ++i) {
    const lease::SessionId id = Id("edge-" + std::to_string(i));
    Hello(id);
    book_.CloseStream(id, Moment());
  }
  book_.ForgetEnded();
  ASSERT_EQ(book_.Find(Id("a")), nullptr);
  book_.OnRostered(write);
  EXPECT_THAT(Keys(book_.TakeRosterRemovals()), ElementsAre(Id("a")));
}

using LeaseBookDeathTest = LeaseBookTest;

TEST_F(LeaseBookDeathTest, ALeaseForNobodyEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(book_.Extend(Id("stranger"), now_ + kLease),
              ::testing::ExitedWithCode(base::kExitInvariantBroken),
              "a lease is granted to a session");
  Join(Id("a"));
  book_.Release(Id("a"), Moment());
  EXPECT_EXIT(book_.Extend(Id("a"), now_ + kLease),
              ::testing::ExitedWithCode(base::kExitInvariantBroken), "has not said goodbye");
}

}  // namespace
}  // namespace tollgate::service
