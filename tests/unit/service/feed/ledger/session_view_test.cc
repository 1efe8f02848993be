// What the ledger tells people of a session.
#include "service/feed/ledger/session_view.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/feed/ledger/enforcement.h"
#include "service/feed/ledger/fleet.h"

namespace tollgate::service {
namespace {

constexpr absl::Duration kLease = absl::Seconds(30);

lease::SessionId Id(const std::string& validator, char incarnation = 'a') {
  return {validator, std::string(16, incarnation)};
}

class SessionViewTest : public ::testing::Test {
 protected:
  SessionViewTest() { Begin({}); }

  void Begin(std::vector<store::v1::SessionRecord> roster) {
    EnforcementLedger::Options options;
    options.epoch = "e1";
    options.lease = kLease;
    options.ack_limit = absl::Minutes(5);
    EnforcementLedger::Start start;
    start.now = now_;
    start.head = head_;
    start.last_event_revision = head_;
    start.longest_lease = start.longest_lease_before = kLease;
    start.roster = std::move(roster);
    ledger_ = std::make_unique<EnforcementLedger>(options, start);
    ledger_->OnStoreWrite(now_);
  }
  void Pass(absl::Duration d) {
    now_ = now_ + d;
    ledger_->Advance(now_);
    ledger_->OnStoreWrite(now_);
  }
  int64_t Commit(bool events) {
    ledger_->OnRevision(++head_, events, now_);
    return head_;
  }
  void Hello(const lease::SessionId& id, absl::Duration fail_open_for = {}) {
    v1::Hello hello;
    hello.set_version("1.4.0");
    if (fail_open_for > absl::ZeroDuration()) {
      hello.set_stale_policy(v1::STALE_POLICY_FAIL_OPEN);
      hello.mutable_fail_open_for()->set_seconds(absl::ToInt64Seconds(fail_open_for));
    }
    ledger_->OnHello(id, hello, now_, "ipv4:10.0.0.7:51234");
  }
  void Ping(const lease::SessionId& id, int64_t revision, int64_t decisions = 0) {
    v1::Ping ping;
    ping.set_decisions(decisions);
    ledger_->Acknowledge(id, revision, ping, now_);
  }
  void Join(const lease::SessionId& id, absl::Duration fail_open_for = {}) {
    Hello(id, fail_open_for);
    ledger_->OnRostered(ledger_->BeginRosterWrite(id, absl::UnixEpoch()));
    Ping(id, head_);
    ASSERT_EQ(ledger_->GrantLease(id, head_, now_).outcome, LeaseOutcome::kGranted);
  }
  std::vector<SessionView> AllSessions() {
    std::vector<SessionView> views;
    EXPECT_FALSE(ledger_->AddSessions(absl::nullopt, SIZE_MAX, &views));
    return views;
  }
  SessionView View(const lease::SessionId& id) {
    for (SessionView& view : AllSessions()) {
      if (view.key == id) return view;
    }
    ADD_FAILURE() << "no such session";
    return {};
  }

  base::BootTime now_ = base::BootTime::FromNanos(1'000'000'000'000);
  int64_t head_ = 100;
  std::unique_ptr<EnforcementLedger> ledger_;
};

TEST_F(SessionViewTest, FollowsAValidatorThroughItsLife) {
  const lease::SessionId id = Id("a");
  Hello(id);
  EXPECT_EQ(StateOf(View(id)), v1::VALIDATOR_STATE_JOINING);
  EXPECT_EQ(View(id).address, "ipv4:10.0.0.7:51234");
  EXPECT_EQ(View(id).acknowledged, 0);
  ledger_->OnStreamClosed(id, now_);
  Join(id);
  Pass(absl::Seconds(2));
  SessionView view = View(id);
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_IN_SYNC);
  EXPECT_EQ(view.version, "1.4.0");
  EXPECT_EQ(view.connected_for, absl::Seconds(2));
  EXPECT_EQ(view.lease_left, kLease - absl::Seconds(2));
  EXPECT_FALSE(view.away_for.has_value());
  EXPECT_FALSE(view.lag.has_value());

  Commit(false);  // takes no permission away: nobody is behind for it
  EXPECT_EQ(StateOf(View(id)), v1::VALIDATOR_STATE_IN_SYNC);
  EXPECT_EQ(View(id).revisions_behind, 0);
  Commit(true);
  Pass(absl::Seconds(3));
  Commit(true);
  view = View(id);
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_PENDING);
  EXPECT_EQ(view.revisions_behind, 2) << "of those that it has to hear of";
  EXPECT_EQ(view.lag, absl::Seconds(3)) << "since the oldest that waits";
  Ping(id, head_ - 1);
  EXPECT_EQ(View(id).lag, absl::ZeroDuration());
  Ping(id, head_);
  EXPECT_EQ(StateOf(View(id)), v1::VALIDATOR_STATE_IN_SYNC);

  ledger_->OnStreamClosed(id, now_);
  Pass(absl::Seconds(4));
  view = View(id);
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_AWAY);
  EXPECT_EQ(view.away_for, absl::Seconds(4));
  EXPECT_FALSE(view.connected_for.has_value());
  Pass(kLease);
  view = View(id);
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_LAPSED);
  EXPECT_EQ(view.ended_for, absl::Seconds(9)) << "since the lease's end, not since it was noticed";
  Join(id);
  EXPECT_EQ(StateOf(View(id)), v1::VALIDATOR_STATE_IN_SYNC);
  EXPECT_FALSE(View(id).ended_for.has_value());
  ledger_->Release(id, now_);
  Pass(absl::Seconds(1));
  EXPECT_EQ(StateOf(View(id)), v1::VALIDATOR_STATE_RELEASED);
  EXPECT_EQ(View(id).ended_for, absl::Seconds(1));
}

TEST_F(SessionViewTest, FailOpenIsNotCoveredAndThenLapsed) {
  Join(Id("a"), absl::Minutes(1));
  Pass(kLease);
  EXPECT_EQ(StateOf(View(Id("a"))), v1::VALIDATOR_STATE_NOT_COVERED);
  EXPECT_EQ(View(Id("a")).fail_open_for, absl::Minutes(1));
  Pass(absl::Minutes(2));
  EXPECT_EQ(StateOf(View(Id("a"))), v1::VALIDATOR_STATE_LAPSED);
}

TEST_F(SessionViewTest, TellsOfHolds) {
  v1::Hello hello;
  hello.mutable_holds_outlive_lease()->set_seconds(300);
  ledger_->OnHello(Id("a"), hello, now_, "");
  v1::Ping ping;
  ping.set_open_holds(12);
  ledger_->Acknowledge(Id("a"), 0, ping, now_);
  EXPECT_EQ(View(Id("a")).open_holds, 12);
  EXPECT_EQ(View(Id("a")).holds_outlive_lease, absl::Minutes(5));
  Join(Id("b"));
  EXPECT_EQ(View(Id("b")).open_holds, 0);
  EXPECT_EQ(View(Id("b")).holds_outlive_lease, absl::ZeroDuration());
}

TEST_F(SessionViewTest, OfTheRosterOnlyThatItMayAdmitIsKnown) {
  store::v1::SessionRecord record;
  record.set_validator_id("a");
  record.set_incarnation(std::string(16, 'a'));
  record.set_version("1.3.0");
  Begin({record});
  Pass(absl::Seconds(5));
  const SessionView view = View(Id("a"));
  EXPECT_EQ(StateOf(view), v1::VALIDATOR_STATE_PENDING);
  EXPECT_TRUE(IsProblem(view));
  EXPECT_EQ(view.version, "1.3.0");
  EXPECT_FALSE(view.last_heard.has_value());
  EXPECT_EQ(view.away_for, absl::Seconds(5));
  EXPECT_EQ(view.acknowledged, 0);
  EXPECT_EQ(view.revisions_behind, 0) << "how far is not known";
}

TEST_F(SessionViewTest, AreAlsoToldSomeAtATime) {
  for (const char* id : {"c", "a", "b"}) Join(Id(id));
  Join(Id("b", 'b'));
  std::vector<SessionView> views;
  absl::optional<lease::SessionId> after;
  int rounds = 1;
  for (; ledger_->AddSessions(after, 2, &views); ++rounds) after = views.back().key;
  EXPECT_EQ(rounds, 2);
  const std::vector<SessionView> all = AllSessions();
  ASSERT_EQ(views.size(), 4u);
  ASSERT_EQ(all.size(), 4u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(views[i].key, all[i].key) << i;
}

}  // namespace
}  // namespace tollgate::service
