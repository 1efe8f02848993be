#include "service/feed/ledger/receipt.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kLease = absl::Seconds(30);
constexpr char kWorkspace[] = "acme";
constexpr char kTokenId[] = "4mXp81QzR0aYc7Ld";

lease::SessionId Id(const std::string& validator, char incarnation = 'a') {
  return {validator, std::string(16, incarnation)};
}

class ReceiptTest : public ::testing::Test {
 protected:
  void Pass(absl::Duration d) {
    now_ = now_ + d;
    book_.Advance({now_, frontier_.head()});
    frontier_.Advance(now_);
    Declare();
  }
  int64_t Commit() {
    const int64_t revision = frontier_.head() + 1;
    frontier_.OnRevision(revision, /*has_events=*/true, now_);
    Declare();
    return revision;
  }
  void Join(const lease::SessionId& id, absl::Duration fail_open_for = {}) {
    v1::Hello hello;
    if (fail_open_for > absl::ZeroDuration()) {
      hello.set_stale_policy(v1::STALE_POLICY_FAIL_OPEN);
      hello.mutable_fail_open_for()->set_seconds(absl::ToInt64Seconds(fail_open_for));
    }
    book_.OpenStream(id, hello, "", now_);
    book_.Extend(id, now_ + kLease);
    Ack(id, frontier_.head());
  }
  void Ack(const lease::SessionId& id, int64_t revision, const v1::Ping& ping = {}) {
    admissions_.Remember(id, ping, now_);
    holds_.Remember(id, ping);
    book_.Acknowledge(id, revision, ping, now_);
    Declare();
  }
  void Declare() { frontier_.Declare(book_.least_acknowledged()); }
  v1::Receipt Receipt(int64_t revision, bool of_token = false) const {
    ReceiptQuestion question;
    question.revision = revision;
    if (of_token) {
      question.workspace = kWorkspace;
      question.token_id = kTokenId;
    }
    return MakeReceipt({book_, frontier_, admissions_, holds_}, question, "e1", now_);
  }
  // A ping that says when the token was last admitted; 0: never.
  static v1::Ping Said(int64_t revision, int64_t seconds) {
    v1::Ping ping;
    v1::DroppedAdmit* dropped = ping.add_dropped();
    dropped->set_workspace(kWorkspace);
    dropped->set_token_id(kTokenId);
    dropped->set_revision(revision);
    if (seconds > 0) dropped->mutable_last_admit_time()->set_seconds(seconds);
    return ping;
  }

  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000'000);
  LeaseBook book_{/*drift_bound=*/0.001, /*max_ended=*/4096};
  EnforcedFrontier frontier_{100, 90, now_, /*max_events=*/1000};
  LastAdmissions admissions_{20'000};
  HoldReports holds_{1000};
};

TEST_F(ReceiptTest, NamesTheEpochAndTheRevision) {
  Pass(absl::ZeroDuration());
  const v1::Receipt receipt = Receipt(100);
  EXPECT_EQ(receipt.epoch(), "e1");
  EXPECT_EQ(receipt.revision(), 100);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_THAT(receipt.hold(), IsEmpty());
}

TEST_F(ReceiptTest, TheMissingAreNamedAndWaitedForByNothing) {
  Join(Id("acked"));
  for (const char* id : {"long", "short", "back"}) {
    Join(Id(id));
    book_.CloseStream(Id(id), {now_, frontier_.head()});
    Pass(absl::Seconds(1));
  }
  const int64_t before = Commit();
  Pass(absl::Seconds(20));
  book_.Extend(Id("acked"), now_ + 4 * kLease);
  Ack(Id("acked"), before);
  Pass(kLease);
  const int64_t r = Commit();
  Ack(Id("acked"), r);
  v1::Receipt receipt = Receipt(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.acknowledged(), 1);
  EXPECT_EQ(receipt.lapsed(), 0);
  EXPECT_EQ(receipt.missing_count(), 3);
  EXPECT_THAT(receipt.missing_validators(), ElementsAre("long", "short", "back"));
  // Of a revision that it lapsed on, a session counts as lapsed, and once.
  EXPECT_EQ(Receipt(before).lapsed(), 3);
  EXPECT_EQ(Receipt(before).missing_count(), 0);
  Join(Id("back", 'b'));
  EXPECT_THAT(Receipt(r).missing_validators(), ElementsAre("long", "short"));
  for (int i = 0; i < 150; ++i) {
    const lease::SessionId id = Id("edge-" + std::to_string(i));
    Join(id);
    book_.CloseStream(id, {now_, frontier_.head()});
  }
  Pass(kLease);
  receipt = Receipt(Commit());
  EXPECT_EQ(receipt.missing_count(), 152);
  EXPECT_EQ(receipt.missing_validators_size(), kMaxNamedInReceipt);
}

TEST_F(ReceiptTest, EachSessionCountsOnce) {
  Join(Id("acked"));
  Join(Id("pending"));
  Join(Id("released"));
  Join(Id("lapsed"));
  const int64_t r = Commit();
  book_.Release(Id("released"), {now_, frontier_.head()});
  Pass(kLease / 2);
  for (const char* id : {"acked", "pending"}) book_.Extend(Id(id), now_ + kLease);
  Pass(kLease / 2);
  Ack(Id("acked"), r);
  v1::Receipt receipt = Receipt(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_PENDING);
  EXPECT_EQ(receipt.acknowledged(), 1);
  EXPECT_EQ(receipt.released(), 1);
  EXPECT_EQ(receipt.lapsed(), 1);
  EXPECT_THAT(receipt.lapsed_validators(), ElementsAre("lapsed"));
  EXPECT_EQ(receipt.pending_count(), 1);
  ASSERT_EQ(receipt.pending_size(), 1);
  EXPECT_EQ(receipt.pending(0).validator(), "pending");
  EXPECT_EQ(receipt.pending(0).revisions_behind(), 1);
  EXPECT_EQ(receipt.pending(0).last_heard().seconds(), 30);
  EXPECT_EQ(receipt.pending(0).lease_left().seconds(), 15);
  EXPECT_THAT(receipt.not_covered(), IsEmpty());
  // Of what was committed since, who had ended before is no part.
  receipt = Receipt(Commit());
  EXPECT_EQ(receipt.pending_count(), 2);
  EXPECT_EQ(receipt.lapsed() + receipt.released() + receipt.acknowledged(), 0);
}

TEST_F(ReceiptTest, R14FailOpenPastItsLeaseIsNotCoveredUnlessItHasAcknowledged) {
  Join(Id("open"), absl::Minutes(5));
  const int64_t r = Commit();
  Pass(kLease);
  EXPECT_EQ(Receipt(r).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_THAT(Receipt(r).not_covered(), ElementsAre("open"));
  // Granted anew, it still goes on from what it held until it says otherwise.
  book_.Extend(Id("open"), now_ + kLease);
  EXPECT_THAT(Receipt(r).not_covered(), ElementsAre("open"));
  Ack(Id("open"), r);
  EXPECT_THAT(Receipt(r).not_covered(), IsEmpty());
  EXPECT_EQ(Receipt(r).acknowledged(), 1);
}

TEST_F(ReceiptTest, EnforcedDoesNotWaitForHolds) {
  Join(Id("a"));
  Join(Id("b"));
  const int64_t r = Commit();
  v1::Ping ping;
  v1::EndedHolds* ended = ping.add_ended_holds();
  ended->set_revision(r);
  ended->set_in_doubt(2);
  ended->set_closed(1);
  Ack(Id("a"), r, ping);
  EXPECT_EQ(Receipt(r).state(), v1::ENFORCEMENT_STATE_PENDING);
  EXPECT_EQ(Receipt(r).holds_open(), 2) << "it is told as it stands";
  Ack(Id("b"), r);
  const v1::Receipt receipt = Receipt(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.holds_open(), 2);
  EXPECT_EQ(receipt.holds_closed(), 1);
  EXPECT_EQ(receipt.holds_silent(), 0);
  ASSERT_EQ(receipt.edge_holds_size(), 1);
  EXPECT_EQ(receipt.edge_holds(0).edge(), "a");
  EXPECT_THAT(receipt.holds_not_covered(), IsEmpty());
  EXPECT_EQ(Receipt(r - 1).holds_open(), 0);
}

TEST_F(ReceiptTest, HoldsKeptPastTheLeaseAreNotCoveredUnlessTheEdgeHasAcknowledged) {
  v1::Hello hello;
  hello.mutable_holds_outlive_lease()->set_seconds(300);
  for (const char* id : {"keeps", "acknowledges"}) {
    book_.OpenStream(Id(id), hello, "", now_);
    book_.Extend(Id(id), now_ + kLease);
  }
  Join(Id("plain"));
  const int64_t r = Commit();
  EXPECT_THAT(Receipt(r).holds_not_covered(), IsEmpty()) << "it is waited for";
  Ack(Id("acknowledges"), r);
  Pass(kLease);
  v1::Receipt receipt = Receipt(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.lapsed(), 2);
  EXPECT_THAT(receipt.not_covered(), IsEmpty()) << "it admits nothing";
  EXPECT_THAT(receipt.holds_not_covered(), ElementsAre("keeps"));
  // What is revoked meanwhile it does not hear of, either, and nor does the other.
  const int64_t later = Commit();
  EXPECT_THAT(Receipt(later).holds_not_covered(), ElementsAre("acknowledges", "keeps"));
  // Granted anew, it keeps what it held until it says otherwise.
  book_.Extend(Id("keeps"), now_ + kLease);
  EXPECT_THAT(Receipt(r).holds_not_covered(), ElementsAre("keeps"));
  Ack(Id("keeps"), r);
  EXPECT_THAT(Receipt(r).holds_not_covered(), IsEmpty());
  Pass(kLease + absl::Minutes(6));
  EXPECT_THAT(Receipt(later).holds_not_covered(), IsEmpty()) << "its time is over";
}

TEST_F(ReceiptTest, R9WhoWasGrantedSinceAnEnforcedRevisionCountsAsAcknowledged) {
  Pass(absl::ZeroDuration());
  const int64_t r = Commit();
  book_.OpenStream(Id("a"), v1::Hello(), "", now_);
  book_.Extend(Id("a"), now_ + kLease);
  EXPECT_EQ(Receipt(r).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(Receipt(r).acknowledged(), 1);
}

TEST_F(ReceiptTest, AHoldSaysWhyNothingIsDeclared) {
  EXPECT_THAT(Receipt(101).hold(), Not(IsEmpty())) << "not committed yet";
  frontier_.HoldUntil(now_ + absl::Minutes(10));
  const int64_t r = Commit();
  EXPECT_THAT(Receipt(r).hold(), Not(IsEmpty()));
  EXPECT_EQ(Receipt(r).hold_left().seconds(), 600);
  frontier_.StopRolledBack();
  EXPECT_THAT(Receipt(r).hold(), Not(IsEmpty()));
  EXPECT_FALSE(Receipt(r).has_hold_left()) << "no time ends it";
}

TEST_F(ReceiptTest, NamesAHundredOfAKindAndCountsAll) {
  for (int i = 0; i < 150; ++i) Join(Id("edge-" + std::to_string(i)));
  const int64_t r = Commit();
  EXPECT_EQ(Receipt(r).pending_size(), 100);
  EXPECT_EQ(Receipt(r).pending_count(), 150);
  Pass(kLease);
  EXPECT_EQ(Receipt(r).lapsed_validators_size(), 100);
  EXPECT_EQ(Receipt(r).lapsed(), 150);
}

TEST_F(ReceiptTest, ElapsedIsFromTheCommit) {
  Join(Id("a"));
  const int64_t r = Commit();
  Pass(absl::Seconds(3));
  EXPECT_EQ(Receipt(r).elapsed().seconds(), 3);
  EXPECT_FALSE(Receipt(90).has_elapsed());  // from before this start
}

TEST_F(ReceiptTest, CarriesEvidenceAndNoGuess) {
  Join(Id("a"));
  Join(Id("b"));
  Join(Id("c"));
  const int64_t r = Commit();
  Ack(Id("a"), r, Said(r, 1234));
  Ack(Id("b"), r, Said(r, 0));
  const v1::Receipt receipt = Receipt(r, /*of_token=*/true);
  ASSERT_EQ(receipt.last_admits_size(), 3);
  EXPECT_EQ(receipt.last_admits(0).edge(), "a");
  EXPECT_EQ(receipt.last_admits(0).last_admit_time().seconds(), 1234);
  EXPECT_EQ(receipt.last_admits(0).token(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_FALSE(receipt.last_admits(1).has_last_admit_time());
  EXPECT_FALSE(receipt.last_admits(1).unknown());
  EXPECT_EQ(receipt.last_admits(2).edge(), "c");
  EXPECT_TRUE(receipt.last_admits(2).unknown());
  EXPECT_EQ(Receipt(r).last_admits_size(), 0);
}

TEST_F(ReceiptTest, HasOneRowAnEdge) {
  Join(Id("twin", 'a'));
  Join(Id("twin", 'b'));
  Join(Id("half", 'a'));
  Join(Id("half", 'b'));
  const int64_t r = Commit();
  Ack(Id("twin", 'b'), r, Said(r, 2000));
  Ack(Id("twin", 'a'), r, Said(r, 1000));
  Ack(Id("half", 'a'), r, Said(r, 3000));
  const v1::Receipt receipt = Receipt(r, /*of_token=*/true);
  ASSERT_EQ(receipt.last_admits_size(), 2);
  EXPECT_EQ(receipt.last_admits(0).edge(), "half");
  EXPECT_TRUE(receipt.last_admits(0).unknown()) << "one of its two processes has not said";
  EXPECT_FALSE(receipt.last_admits(0).has_last_admit_time());
  EXPECT_EQ(receipt.last_admits(1).edge(), "twin");
  EXPECT_EQ(receipt.last_admits(1).last_admit_time().seconds(), 2000);
}

TEST_F(ReceiptTest, WhoLapsedOrIsNotCoveredHasNotSaid) {
  Join(Id("lapsed"));
  Join(Id("open"), absl::Minutes(5));
  const int64_t r = Commit();
  Pass(kLease);
  const v1::Receipt receipt = Receipt(r, /*of_token=*/true);
  ASSERT_EQ(receipt.last_admits_size(), 2);
  EXPECT_TRUE(receipt.last_admits(0).unknown());
  EXPECT_TRUE(receipt.last_admits(1).unknown());
}

}  // namespace
}  // namespace tollgate::service
