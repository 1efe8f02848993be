// What callers that are not whom they claim to be, that leave, and a tail with a gap do to the hub.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/service/feed/hub_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;

constexpr char kEdge[] = "spiffe://example.org/edge/1";
constexpr char kOther[] = "spiffe://example.org/edge/2";

class HubFaultsTest : public HubTest {
 protected:
  Validator JoinAs(const std::string& id, const std::string& caller) {
    Validator v;
    v.id = id;
    v.incarnation = 'a';
    v.caller = caller;
    Reconnect(&v);
    Hello(&v);
    EXPECT_TRUE(PingPong(&v).has_lease());
    return v;
  }
  // Knows all of a validator's session, and says goodbye for it.
  absl::Status Impersonate(const Validator& v, const std::string& caller) {
    Validator thief = v;
    thief.caller = caller;
    Reconnect(&thief);
    SendHello(&thief);
    Goodbye(&thief);
    EXPECT_EQ(thief.call->unread(), 0u) << "not even a Welcome";
    return thief.call->AwaitEnd();
  }
};

TEST_F(HubFaultsTest, R4NobodyElseSaysGoodbyeForASession) {
  Validator a = JoinAs("a", kEdge);
  for (const std::string caller : {kOther, "local", "anonymous"}) {
    const absl::Status refused = Impersonate(a, caller);
    EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied) << caller;
    EXPECT_EQ(base::ReasonOf(refused), "SESSION_OF_ANOTHER") << caller;
  }
  // I1: it holds a lease still, so what is revoked now waits for it.
  const int64_t r = Commit();
  EXPECT_EQ(Wait(r, absl::Milliseconds(1)).pending_count(), 1);
  Apply(&a, r);
  EXPECT_TRUE(PingPong(&a).has_lease());
  EXPECT_EQ(Wait(r).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  // And itself it comes back, and leaves.
  a.call->Lose();
  Reconnect(&a);
  Hello(&a);
  Goodbye(&a);
  EXPECT_TRUE(a.call->AwaitEnd().ok());
  EXPECT_EQ(hub_->stats().live_sessions, 0u);
}

TEST_F(HubFaultsTest, R15TheRosterKnowsWhoMaySpeakForASession) {
  Validator a = JoinAs("a", kEdge);
  EXPECT_EQ(ReadRoster(**engine_->NewSnapshot())->at(0).caller(), kEdge);
  StopService();
  StartService();
  EXPECT_EQ(base::ReasonOf(Impersonate(a, kOther)), "SESSION_OF_ANOTHER");
  const int64_t r = Commit();
  EXPECT_EQ(Wait(r, absl::Milliseconds(1)).pending_count(), 1);
  Reconnect(&a);
  Hello(&a);
  Apply(&a, r);
  EXPECT_TRUE(PingPong(&a).has_lease());
  EXPECT_EQ(Wait(r).state(), v1::ENFORCEMENT_STATE_ENFORCED);
}

TEST_F(HubFaultsTest, ARecordWithoutACallerIsOfWhoeverComesFirst) {
  store::v1::SessionRecord record;
  record.set_validator_id("a");
  record.set_incarnation(std::string(16, 'a'));
  ASSERT_TRUE(sequencer_->Run(std::make_shared<AddSession>(record)).ok());
  StopService();
  StartService();
  const Validator a = JoinAs("a", kEdge);
  EXPECT_EQ(base::ReasonOf(Impersonate(a, kOther)), "SESSION_OF_ANOTHER");
}

TEST_F(HubFaultsTest, AWaitThatIsEndedFreesItsPlaceAndWhatItHeld) {
  Validator a = Join("a");
  const int64_t r = Commit();
  const auto held = std::make_shared<int>(0);
  const auto wait = [&] {
    return hub_->WaitEnforced({r, "", ""}, absl::Minutes(10),
                              [held](const v1::Receipt&) { ADD_FAILURE() << "nobody waits"; });
  };
  // More than there are places for.
  for (int i = 0; i < 10'001; ++i) hub_->EndWait(wait());
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(hub_->stats().waiting, 0);
  const WaitId gone = wait();
  hub_->EndWait(gone);
  hub_->EndWait(gone);  // nothing happens
  hub_->EndWait(WaitId());
  // Who really waits has a place, and is answered.
  bool answered = false;
  const WaitId stays = hub_->WaitEnforced({r, "", ""}, absl::Milliseconds(300),
                                          [&](const v1::Receipt&) { answered = true; });
  EXPECT_NE(stays.number, 0);
  EXPECT_EQ(hub_->stats().waiting, 1);
  EXPECT_FALSE(answered);
  Apply(&a, r);
  PingPong(&a);
  EXPECT_TRUE(Eventually([&] { return hub_->stats().waiting == 0; }));
  EXPECT_EQ(Wait(r).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  StopService();  // all answers are given
  EXPECT_TRUE(answered);
}

TEST_F(HubFaultsTest, AGapInTheTailEndsTheProcess) {
  StopService();
  GapEngine gap(engine_.get());
  hub_engine_ = &gap;
  absl::Mutex mu;
  std::vector<absl::StatusCode> fatal;
  options_.on_fatal = [&](const absl::Status& status) {
    absl::MutexLock lock(&mu);
    fatal.push_back(status.code());
  };
  StartService();
  Validator a = Join("a");
  gap.skip = true;
  Commit();
  {
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(fatal.empty());
  }
  Commit();
  {
    absl::MutexLock lock(&mu);
    EXPECT_THAT(fatal, ElementsAre(absl::StatusCode::kDataLoss));
  }
  Ping(&a);
  EXPECT_FALSE(a.call->Read().pong().has_lease());
  EXPECT_TRUE(hub_->stats().tail_gap);
  EXPECT_FALSE(hub_->stats().rolled_back);
  StopService();  // before the engine that it was given
}

// Its client cannot be got rid of until it is let go.
class HeldCall : public FakeCall {
 public:
  void AbortCall(const absl::Status& status) override {
    {
      absl::MutexLock lock(&held_mu_);
      ++aborts_;
      if (held_) return;
    }
    FakeCall::AbortCall(status);
  }
  void AwaitAborts(int count) {
    absl::MutexLock lock(&held_mu_);
    const auto came = [this, count]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(held_mu_) { return aborts_ >= count; };
    held_mu_.Await(absl::Condition(&came));
  }
  void LetGo() {
    absl::MutexLock lock(&held_mu_);
    held_ = false;
  }

 private:
  absl::Mutex held_mu_;
  int aborts_ ABSL_GUARDED_BY(held_mu_) = 0;
  bool held_ ABSL_GUARDED_BY(held_mu_) = true;
};

TEST_F(HubFaultsTest, TwoStopsAtOnceBothReturnWhenAllIsDone) {
  for (int round = 0; round < 5; ++round) {
    auto call = std::make_shared<HeldCall>();
    call->Attach(*hub_->Connect(call));
    call->Stall();
    std::vector<std::thread> stops;
    std::atomic<int> returned{0};
    for (int i = 0; i < 3; ++i) {
      stops.emplace_back([&] {
        hub_->Stop();
        ++returned;
      });
    }
    call->AwaitAborts(4);  // long enough for all of them to be in it
    EXPECT_EQ(returned, 0);
    call->LetGo();
    for (std::thread& stop : stops) stop.join();
    StopService();
    StartService();
  }
}

}  // namespace
}  // namespace tollgate::service
