#include "service/feed/hub.h"

#include "absl/synchronization/mutex.h"
#include "base/random.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/feed/ledger/roster_command.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "tests/unit/service/feed/hub_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(HubTest, ARevokeIsEnforcedOnceAllHaveAcknowledged) {
  Validator a = Join("a");
  Validator b = Join("b");
  const int64_t r = Commit();
  EXPECT_EQ(Wait(r, absl::Milliseconds(1)).pending_count(), 2);
  Apply(&a, r);
  Apply(&b, r);
  Ping(&a);
  EXPECT_EQ(Wait(r, absl::Milliseconds(1)).pending_count(), 1);
  Ping(&b);
  const v1::Receipt receipt = Wait(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.acknowledged(), 2);
  EXPECT_EQ(receipt.epoch(), hub_->epoch());
  EXPECT_GE(hub_->enforced_revision(), r);
  EXPECT_EQ(hub_->stats().followers, 2u);
}

TEST_F(HubTest, WithoutFollowersARevokeIsEnforcedAtOnce) {
  EXPECT_EQ(Wait(Commit()).state(), v1::ENFORCEMENT_STATE_ENFORCED);
}

TEST_F(HubTest, ASilentOneLapses) {
  StopService();
  options_.lease = absl::Milliseconds(300);
  options_.ping_interval = absl::Milliseconds(100);
  StartService();
  Validator a = Join("a");
  Validator b = Join("b");
  const int64_t r = Commit();
  Apply(&a, r);
  Ping(&a);
  const v1::Receipt receipt = Wait(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.lapsed(), 1);
  EXPECT_THAT(receipt.lapsed_validators(), ElementsAre("b"));
}

TEST_F(HubTest, R6AStuckOneGetsNoMoreGrants) {
  StopService();
  options_.lease = absl::Milliseconds(300);
  options_.ping_interval = absl::Milliseconds(100);
  options_.ack_limit = absl::Milliseconds(200);
  options_.no_progress_limit = absl::Milliseconds(200);
  StartService();
  Validator a = Join("a");
  const int64_t at = a.applied;
  const int64_t r = Commit();
  const absl::Time begin = absl::Now();
  // It pings, and never applies.
  bool refused = false;
  while (!a.call->Closed() && absl::Now() - begin < kPatience) {
    a.applied = at;
    Ping(&a);
    const v1::FollowResponse message = a.call->Read();
    if (message.has_pong() && !message.pong().has_lease()) refused = true;
    if (message.has_go_away()) {
      EXPECT_EQ(message.go_away().reason(), "no_progress");
      EXPECT_EQ(a.call->AwaitEnd(), absl::OkStatus());
      EXPECT_EQ(hub_->stats().cut, 1);
      break;
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(Wait(r).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(Wait(r).lapsed(), 1);
}

TEST_F(HubTest, R11AResumeMissesNothingAndSkipsNothing) {
  Validator a = Join("a");
  const int64_t r1 = Commit();
  Apply(&a, r1);
  a.call->Lose();
  std::vector<int64_t> expected;
  for (int i = 0; i < 20; ++i) {
    expected.push_back(Commit());
    if (i % 3 == 0) {
      ASSERT_TRUE(sequencer_->Run(std::make_shared<KeepAlive>()).ok());
    }
  }
  Reconnect(&a);
  EXPECT_FALSE(Hello(&a).reset());
  std::vector<int64_t> got;
  while (got.size() < expected.size()) {
    const v1::FollowResponse message = a.call->Read();
    ASSERT_TRUE(message.has_events()) << message.DebugString();
    for (const auto& r : message.events().revisions()) got.push_back(r.revision());
  }
  EXPECT_EQ(got, expected);
  EXPECT_EQ(hub_->stats().resumes, 1);
}

TEST_F(HubTest, AResumeFromBelowTheRingComesFromTheStore) {
  StopService();
  options_.ring.max_revisions = 4;
  StartService();
  Validator a = Join("a");
  a.call->Lose();
  std::vector<int64_t> expected;
  for (int i = 0; i < 1000; ++i) expected.push_back(Commit());
  Reconnect(&a);
  EXPECT_FALSE(Hello(&a).reset());
  std::vector<int64_t> got;
  while (got.size() < expected.size()) {
    const v1::FollowResponse message = a.call->Read();
    ASSERT_TRUE(message.has_events()) << message.DebugString();
    for (const auto& r : message.events().revisions()) got.push_back(r.revision());
  }
  EXPECT_EQ(got, expected);
  a.applied = got.back();
  EXPECT_EQ(PingPong(&a).revision(), hub_->head());
}

TEST_F(HubTest, ACompactedResumeIsReset) {
  class Compact : public storage::Command {
   public:
    absl::string_view name() const override { return "compact"; }
    absl::Status Run(const storage::View& view, const storage::Slot& slot,
                     storage::Effects& effects) override {
      const std::vector<storage::Entry> entries = *view.Scan(storage::Table::kEvents, "", "", 1000);
      for (const storage::Entry& entry : entries) {
        effects.Delete(storage::Table::kEvents, entry.key);
      }
      effects.CompactEventsTo(slot.revision - 1);
      return absl::OkStatus();
    }
  };
  StopService();
  options_.ring.max_revisions = 2;
  StartService();
  Validator a = Join("a");
  a.call->Lose();
  for (int i = 0; i < 10; ++i) Commit();
  ASSERT_TRUE(sequencer_->Run(std::make_shared<Compact>()).ok());
  Reconnect(&a);
  const v1::Welcome welcome = Hello(&a);
  EXPECT_TRUE(welcome.reset());
  EXPECT_EQ(welcome.revision(), hub_->head());
  EXPECT_EQ(hub_->stats().resumes, 0);
  EXPECT_EQ(hub_->stats().resets, 2);
}

TEST_F(HubTest, AnEpochThatTheStoreNeverHadIsRefusedAloudAndStopsNobody) {
  Validator a = Join("a");
  Validator b = Connect("b");
  b.epoch = "ffffffffffffffffffffffffffffffff";
  b.applied = 1;
  SendHello(&b);
  EXPECT_EQ(b.call->Read().go_away().reason(), "other_history");
  EXPECT_EQ(base::ReasonOf(b.call->AwaitEnd()), "EPOCH_UNKNOWN");
  EXPECT_EQ(hub_->stats().strangers, 1);
  EXPECT_FALSE(hub_->stats().rolled_back);
  EXPECT_TRUE(PingPong(&a).has_lease());
}

TEST_F(HubTest, R11FromTheFutureStopsAllGrants) {
  StopService();
  absl::Mutex mu;
  std::string told;
  options_.on_rolled_back = [&](const std::string& validator, const absl::Status& why) {
    absl::MutexLock lock(&mu);
    told = validator + " " + base::ReasonOf(why);
  };
  StartService();
  Validator a = Join("a");
  Validator b = Connect("b");
  b.epoch = hub_->epoch();
  b.applied = 1'000'000;
  SendHello(&b);
  EXPECT_EQ(b.call->Read().go_away().reason(), "other_history");
  EXPECT_EQ(base::ReasonOf(b.call->AwaitEnd()), "STORE_ROLLED_BACK");
  {
    absl::MutexLock lock(&mu);
    EXPECT_EQ(told, "b STORE_ROLLED_BACK");
  }
  EXPECT_FALSE(PingPong(&a).has_lease());
  EXPECT_TRUE(hub_->stats().rolled_back);
  EXPECT_THAT(hub_->ReceiptFor({hub_->head() + 1, "", ""}).hold(), Not(IsEmpty()));
}

TEST_F(HubTest, R10TwoIncarnationsUnderOneIdAreTwoSessions) {
  Validator one = Join("a", '1');
  Validator two = Join("a", '2');
  const int64_t r = Commit();
  Apply(&one, r);
  Ping(&one);
  v1::Receipt receipt = Wait(r, absl::Milliseconds(1));
  EXPECT_EQ(receipt.pending_count(), 1);
  Apply(&two, r);
  Ping(&two);
  EXPECT_EQ(Wait(r).acknowledged(), 2);
}

TEST_F(HubTest, ANewStreamOfTheSameSessionReplacesTheOld) {
  Validator a = Join("a");
  std::shared_ptr<FakeCall> old = a.call;
  Reconnect(&a);
  Hello(&a);
  v1::FollowResponse last;
  do {
    last = old->Read();
  } while (!last.has_go_away() && !HasFailure());
  EXPECT_EQ(last.go_away().reason(), "replaced");
  EXPECT_TRUE(old->AwaitEnd().ok());
  EXPECT_TRUE(PingPong(&a).has_lease());
  EXPECT_EQ(hub_->stats().followers, 1u);
}

TEST_F(HubTest, R4GoodbyeReleasesAtOnceAndEmptiesTheRoster) {
  Validator a = Join("a");
  EXPECT_EQ(RosterSize(), 1u);
  const int64_t r = Commit();
  Goodbye(&a);
  const v1::Receipt receipt = Wait(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.released(), 1);
  EXPECT_TRUE(a.call->AwaitEnd().ok());
  EXPECT_TRUE(Eventually([&] { return RosterSize() == 0; }));
  EXPECT_THAT(sink_.Take(), ElementsAre("live a", "goodbye a"));
}

TEST_F(HubTest, R15AfterARestartEnforcementWaitsForTheRoster) {
  Validator a = Join("a");
  Validator b = Join("b");
  EXPECT_EQ(RosterSize(), 2u);
  sink_.Take();
  StopService();
  StartService();
  EXPECT_THAT(sink_.Take(), ElementsAre("live a", "live b"));
  const int64_t r = Commit();
  v1::Receipt receipt = Wait(r, absl::Milliseconds(1));
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_PENDING);
  EXPECT_EQ(receipt.pending_count(), 2);
  EXPECT_FALSE(receipt.pending(0).has_last_heard());
  for (Validator* v : {&a, &b}) {
    Reconnect(v);
    EXPECT_FALSE(Hello(v).reset());
    Apply(v, r);
    EXPECT_TRUE(PingPong(v).has_lease());
  }
  receipt = Wait(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.acknowledged(), 2);
}

TEST_F(HubTest, R15ASessionIsInTheRosterBeforeItsFirstGrant) {
  for (int i = 0; i < 20; ++i) {
    const std::string id = "edge-" + std::to_string(i);
    Validator v = Connect(id);
    Hello(&v);
    ASSERT_TRUE(PingPong(&v).has_lease());
    ASSERT_EQ(RosterSize(), static_cast<size_t>(i + 1));
    v.call->Lose();
  }
}

TEST_F(HubTest, R8EventlessCommitsMoveByPong) {
  Validator a = Join("a");
  ASSERT_TRUE(sequencer_->Run(std::make_shared<KeepAlive>()).ok());
  ASSERT_TRUE(sequencer_->Run(std::make_shared<KeepAlive>()).ok());
  const int64_t head = hub_->head();
  EXPECT_EQ(a.call->unread(), 0u);
  EXPECT_EQ(PingPong(&a).revision(), head);
}

TEST_F(HubTest, I5ASlowReaderHoldsLittleAndDelaysNobody) {
  StopService();
  options_.ring.max_bytes = 1 << 20;
  options_.stall_limit = absl::Milliseconds(500);
  StartService();
  Validator slow = Join("slow");
  Validator quick = Join("quick");
  slow.call->Stall();
  int64_t last = 0;
  for (int i = 0; i < 3000; ++i) last = Commit(2000);  // 6 MB
  Apply(&quick, last);
  EXPECT_LE(hub_->stats().ring_bytes, size_t{1} << 20);
  EXPECT_LE(slow.call->unread(), 1u);
  EXPECT_EQ(base::ReasonOf(slow.call->AwaitEnd()), "TOO_SLOW");
  EXPECT_TRUE(Eventually([&] { return hub_->stats().cut == 1; }));
}

TEST_F(HubTest, UsageIsPassedOn) {
  Validator a = Join("a");
  v1::FollowRequest request;
  request.mutable_usage()->add_uses()->set_count(1);
  a.call->Send(request);
  EXPECT_THAT(sink_.Take(), ElementsAre("live a", "use a"));
}

TEST_F(HubTest, DrainSendsEverybodyAwayAndAnswersWhoWaits) {
  Validator a = Join("a");
  const int64_t r = Commit();
  absl::Mutex mu;
  absl::optional<v1::Receipt> receipt;
  hub_->WaitEnforced({r, "", ""}, absl::Minutes(1), [&](v1::Receipt got) {
    absl::MutexLock lock(&mu);
    receipt = std::move(got);
  });
  Apply(&a, r);
  hub_->Drain(kPatience);
  const v1::FollowResponse message = a.call->Read();
  EXPECT_EQ(message.go_away().reason(), "draining");
  EXPECT_TRUE(a.call->AwaitEnd().ok());
  EXPECT_EQ(base::ReasonOf(hub_->Connect(std::make_shared<FakeCall>()).status()), "DRAINING");
  hub_->Stop();
  absl::MutexLock lock(&mu);
  ASSERT_TRUE(receipt.has_value());
  EXPECT_EQ(receipt->state(), v1::ENFORCEMENT_STATE_PENDING);
}

TEST_F(HubTest, TooManyFollowersAreRefused) {
  StopService();
  options_.max_followers = 1;
  StartService();
  Validator a = Join("a");
  absl::Status status = hub_->Connect(std::make_shared<FakeCall>()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(base::ReasonOf(status), "TOO_MANY_FOLLOWERS");
}

TEST_F(HubTest, SubscribersReadOldAndNewWithoutAGap) {
  StopService();
  options_.ring.max_revisions = 3;
  StartService();
  const int64_t begin = hub_->head();
  std::vector<int64_t> expected;
  for (int i = 0; i < 20; ++i) expected.push_back(Commit());
  absl::Mutex mu;
  int wakes = 0;
  auto reader = *hub_->Subscribe(begin, [&] {
    absl::MutexLock lock(&mu);
    ++wakes;
  });
  std::vector<int64_t> got;
  while (true) {
    auto read = reader->Read(7);
    ASSERT_TRUE(read.ok()) << read.status();
    if (read->empty()) break;
    for (const SharedRevision& r : *read) got.push_back(r->revision);
  }
  EXPECT_EQ(got, expected);
  const int64_t next = Commit();
  EXPECT_TRUE(Eventually([&] {
    absl::MutexLock lock(&mu);
    return wakes > 0;
  }));
  auto read = reader->Read(7);
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ((*read)[0]->revision, next);
  EXPECT_EQ(hub_->Subscribe(hub_->head() + 1, [] {}).status().code(),
            absl::StatusCode::kOutOfRange);
}

TEST_F(HubTest, R5TheLongestLeaseIsDurableFirst) {
  const auto meta = *storage::GetRecord<store::v1::MetaRecord>(
      **engine_->NewSnapshot(), storage::Table::kMeta, storage::kMetaKey);
  EXPECT_EQ(meta->longest_lease_us(), absl::ToInt64Microseconds(options_.lease));
}

TEST(HubOptionsTest, RefusesWhatBreaksARule) {
  Hub::Options good;
  EXPECT_TRUE(Hub::CheckOptions(good).ok());
  const auto bad = [](absl::string_view field, std::function<void(Hub::Options*)> spoil) {
    Hub::Options options;
    spoil(&options);
    const absl::Status status = Hub::CheckOptions(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    ASSERT_EQ(base::DetailsOf(status).fields.size(), 1u) << field;
    EXPECT_EQ(base::DetailsOf(status).fields[0].field, field);
  };
  bad("lease", [](Hub::Options* o) { o->lease = absl::Minutes(10) + absl::Seconds(1); });
  bad("lease", [](Hub::Options* o) { o->lease = absl::ZeroDuration(); });
  bad("ping_interval", [](Hub::Options* o) { o->ping_interval = o->lease / 2; });
  bad("drift_bound", [](Hub::Options* o) { o->drift_bound = 0.5; });
  bad("write_window", [](Hub::Options* o) { o->write_window = o->lease + absl::Seconds(1); });
  bad("ack_limit", [](Hub::Options* o) { o->ack_limit = absl::ZeroDuration(); });
}

}  // namespace
}  // namespace tollgate::service
