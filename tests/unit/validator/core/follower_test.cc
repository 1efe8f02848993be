#include "validator/core/follower.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/edge_fixture.h"
#include "tests/unit/validator/core/follower_fixture.h"

namespace tollgate::validator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tollgate::v1::FollowRequest;
using tollgate::v1::FollowResponse;
using Phase = FollowerStatus::Phase;

TEST_F(FollowerTest, AFreshHelloHasNoEpochAndWelcomeGrantsNothing) {  // R2
  const auto hello = Open();
  EXPECT_EQ(hello.validator_id(), "edge-1");
  EXPECT_EQ(hello.incarnation(), "0123456789abcdef");
  EXPECT_EQ(hello.epoch(), "");
  EXPECT_EQ(hello.applied_revision(), 0);
  const auto a = Send(WelcomeMessage("e1", 10, true));
  EXPECT_THAT(state_.Taken(), ElementsAre("end-lease", "reset e1 10"));
  EXPECT_THAT(state_.leases, IsEmpty());
  EXPECT_EQ(a.send.at(0).ping().applied_revision(), 10);
  EXPECT_EQ(a.send.at(0).ping().cached_tokens(), 42);
}

TEST_F(FollowerTest, AFreshFollowerRefusesAWelcomeWithoutReset) {  // R2
  Open();
  const auto a = Send(WelcomeMessage("e1", 10, false));
  EXPECT_TRUE(a.disconnect);
  EXPECT_THAT(a.send, IsEmpty());
  EXPECT_EQ(follower_->epoch(), "");
}

TEST_F(FollowerTest, TheLeaseRunsFromThePingNotThePong) {  // R1
  Open();
  const base::BootTime pinged = clock_.Now();
  const absl::Time pinged_wall = clock_.WallNow();
  Send(WelcomeMessage("e1", 10, true));
  clock_.Advance(absl::Seconds(3));
  Send(PongMessage(1, 10, 30));
  ASSERT_EQ(state_.leases.size(), 1u);
  EXPECT_EQ(state_.leases[0].ping_boot, pinged);
  EXPECT_EQ(state_.leases[0].ping_wall, pinged_wall);
  EXPECT_EQ(state_.leases[0].until(), pinged + absl::Milliseconds(29970));
  EXPECT_EQ(state_.service_time, absl::FromUnixSeconds(2'000'000'000));
}

TEST_F(FollowerTest, EachPongGrantsFromItsOwnPingAndOnlyOnce) {  // R1
  Follow();
  const base::BootTime first = clock_.Now();
  clock_.Advance(absl::Seconds(5));
  Tick();  // ping 2
  Send(PongMessage(1, 10, 30));
  ASSERT_EQ(state_.leases.size(), 1u);
  EXPECT_EQ(state_.leases[0].ping_boot, first);
  Send(PongMessage(1, 10, 30));
  EXPECT_EQ(state_.leases.size(), 1u);
  Send(PongMessage(2, 10, 30));
  ASSERT_EQ(state_.leases.size(), 2u);
  EXPECT_EQ(state_.leases[1].ping_boot, clock_.Now());
}

TEST_F(FollowerTest, APongToNoPingEndsTheStream) {
  Follow();
  EXPECT_TRUE(Send(PongMessage(2, 10, 30)).disconnect);
  EXPECT_THAT(state_.leases, IsEmpty());
}

TEST_F(FollowerTest, ZeroLeaseAndAbsentHeldLeaseNothingYetMoveRevisionAndTime) {
  Follow();
  Send(PongMessage(1, 17, 0));
  EXPECT_THAT(state_.leases, IsEmpty());
  EXPECT_EQ(follower_->applied_revision(), 17);
  EXPECT_EQ(state_.service_time, absl::FromUnixSeconds(2'000'000'000));
}

TEST_F(FollowerTest, PingsOfAnOlderStreamAreNeverMatched) {  // R1
  Follow();
  const uint64_t old = stream_;
  Reconnect();
  Open();
  EXPECT_TRUE(Send(PongMessage(1, 10, 30)).disconnect);  // before the Welcome
  Reconnect();
  Open();
  const base::BootTime pinged = clock_.Now();
  Send(WelcomeMessage("e1", 10, false));
  // The old stream's Pong arrives late: ignored by its number.
  clock_.Advance(absl::Seconds(1));
  follower_->OnMessage(old, PongMessage(1, 99, 30), clock_.Now(), clock_.WallNow());
  EXPECT_THAT(state_.leases, IsEmpty());
  EXPECT_EQ(follower_->applied_revision(), 10);
  Send(PongMessage(1, 10, 30));
  ASSERT_EQ(state_.leases.size(), 1u);
  EXPECT_EQ(state_.leases[0].ping_boot, pinged);
}

TEST_F(FollowerTest, EventsDropThenAreAcknowledgedOnceAMessage) {  // R10
  Follow();
  FollowResponse m = EventsMessage(11, {Changed("w", "a")});
  *m.mutable_events()->add_revisions() =
      EventsMessage(13, {Created("w", "b"), Cohort("w", "")}).events().revisions(0);
  const auto a = Send(m);
  EXPECT_THAT(state_.Taken(), ElementsAre("drop 11 a", "drop 13 b", "drop 13 w"));
  ASSERT_EQ(a.send.size(), 1u);
  EXPECT_EQ(a.send[0].ping().applied_revision(), 13);
  EXPECT_EQ(a.send[0].ping().sequence(), 2u);
}

TEST_F(FollowerTest, ARevisionIsAppliedAfterItsLastPart) {  // R8
  Follow();
  auto a = Send(EventsMessage(11, {Changed("w", "a")}, /*partial=*/true));
  EXPECT_THAT(a.send, IsEmpty());
  EXPECT_EQ(follower_->applied_revision(), 10);
  EXPECT_EQ(follower_->question_revision(), 11);  // R12: an answer from 10 would be kept past 11
  a = Send(EventsMessage(11, {Changed("w", "b")}, true));
  EXPECT_THAT(a.send, IsEmpty());
  a = Send(EventsMessage(11, {Changed("w", "c")}));
  EXPECT_EQ(a.send.at(0).ping().applied_revision(), 11);
  EXPECT_EQ(follower_->question_revision(), 11);
  EXPECT_THAT(state_.Taken(), ElementsAre("drop 11 a", "drop 11 b", "drop 11 c"));
}

TEST_F(FollowerTest, APongDoesNotMoveOverAnOpenRevisionNorGrantBeyondIt) {  // R8, R9
  Follow();
  Send(EventsMessage(13, {Changed("w", "a")}, true));
  Send(PongMessage(1, 13, 30));
  EXPECT_EQ(follower_->applied_revision(), 12);
  EXPECT_THAT(state_.leases, IsEmpty());
  clock_.Advance(absl::Seconds(5));
  Tick();
  Send(PongMessage(2, 12, 30));  // says no more than was sent whole
  EXPECT_EQ(state_.leases.size(), 1u);
}

TEST_F(FollowerTest, ARevisionLeftOpenEndsTheStreamAndIsAskedForAgain) {  // R11
  Follow();
  Send(EventsMessage(12, {Changed("w", "a")}, true));
  EXPECT_TRUE(Send(EventsMessage(13, {Changed("w", "b")})).disconnect);
  EXPECT_EQ(follower_->applied_revision(), 10);
  Reconnect();
  EXPECT_EQ(Open().applied_revision(), 10);
}

TEST_F(FollowerTest, APongMovesOverCommitsWithoutEventsAndNeverBack) {  // R8
  Follow();
  Send(PongMessage(1, 15, 30));
  EXPECT_EQ(follower_->applied_revision(), 15);
  Send(PongMessage(1, 12, 30));
  EXPECT_EQ(follower_->applied_revision(), 15);
}

TEST_F(FollowerTest, OldEventsDropAgainAndMoveNothing) {
  Follow();
  const auto a = Send(EventsMessage(7, {Changed("w", "a")}));
  EXPECT_THAT(state_.Taken(), ElementsAre("drop 7 a"));
  EXPECT_THAT(a.send, IsEmpty());
  EXPECT_EQ(follower_->applied_revision(), 10);
}

TEST_F(FollowerTest, AnUnknownKindOfEventDropsAllAndIsApplied) {
  Follow();
  tollgate::v1::Event incomplete;
  incomplete.mutable_token_changed()->set_workspace("w");
  for (auto& [event, revision] : std::vector<std::pair<tollgate::v1::Event, int64_t>>{
           {tollgate::v1::Event(), 11}, {incomplete, 12}, {Cohort("", "x"), 13}}) {
    const auto a = Send(EventsMessage(revision, {event}));
    EXPECT_THAT(state_.Taken(), ElementsAre(absl::StrCat("drop-all ", revision)));
    EXPECT_EQ(a.send.at(0).ping().applied_revision(), revision);
  }
  EXPECT_EQ(follower_->status().unknown_events, 3);
}

TEST_F(FollowerTest, AWorkspacesChangeIsToldOnAndIsNoUnknownKind) {
  Follow();
  const auto a = Send(EventsMessage(11, {PolicyChanged("acme")}));
  EXPECT_THAT(state_.Taken(), ElementsAre("drop 11 acme"));
  EXPECT_EQ(a.send.at(0).ping().applied_revision(), 11);
  EXPECT_EQ(follower_->status().unknown_events, 0);
  Send(EventsMessage(12, {PolicyChanged("")}));
  EXPECT_THAT(state_.Taken(), ElementsAre("drop-all 12"));
}

// docs/feed.md: a validator from before WorkspaceChanged sees an event without a subject, for which
// it drops everything (AnUnknownKindOfEventDropsAllAndIsApplied).
TEST_F(FollowerTest, AnOldReaderSeesAWorkspacesChangeAsAnUnknownKind) {
  google::protobuf::FileDescriptorProto old;
  tollgate::v1::Event::descriptor()->file()->CopyTo(&old);
  for (google::protobuf::DescriptorProto& message : *old.mutable_message_type()) {
    if (message.name() != "Event") continue;
    auto* fields = message.mutable_field();
    for (int i = fields->size() - 1; i >= 0; --i) {
      const std::string& name = fields->Get(i).name();
      if (name == "workspace_changed" || name == "access_changed") fields->DeleteSubrange(i, 1);
    }
    ASSERT_EQ(fields->size(), 4) << "three subjects, and the index";
  }
  google::protobuf::DescriptorPool pool;
  const google::protobuf::FileDescriptor& now = *tollgate::v1::Event::descriptor()->file();
  for (int i = 0; i < now.dependency_count(); ++i) {
    google::protobuf::FileDescriptorProto needed;
    now.dependency(i)->CopyTo(&needed);
    ASSERT_NE(pool.BuildFile(needed), nullptr) << needed.name();
  }
  const google::protobuf::FileDescriptor* file = pool.BuildFile(old);
  ASSERT_NE(file, nullptr);
  const google::protobuf::Descriptor* event = file->FindMessageTypeByName("Event");
  google::protobuf::DynamicMessageFactory factory(&pool);
  const std::unique_ptr<google::protobuf::Message> read(factory.GetPrototype(event)->New());
  ASSERT_TRUE(read->ParseFromString(PolicyChanged("acme", 7).SerializeAsString()));
  EXPECT_FALSE(read->GetReflection()->HasOneof(*read, event->FindOneofByName("subject")));
  ASSERT_TRUE(read->ParseFromString(Changed("acme", "a").SerializeAsString()));
  EXPECT_TRUE(read->GetReflection()->HasOneof(*read, event->FindOneofByName("subject")));
}

TEST_F(FollowerTest, AnUnknownKindOfMessageAsksForAReset) {
  Follow();
  EXPECT_TRUE(Send(FollowResponse()).disconnect);
  EXPECT_THAT(state_.Taken(), ElementsAre("end-lease", "drop-all 10"));
  Reconnect();
  EXPECT_EQ(Open().epoch(), "");
}

TEST_F(FollowerTest, AResumeStartsAfterAppliedAndTheWelcomeMovesNothing) {  // R2, R11
  Follow();
  Send(EventsMessage(14, {Changed("w", "a")}));
  state_.log.clear();
  Reconnect();
  const auto hello = Open();
  EXPECT_EQ(hello.epoch(), "e1");
  EXPECT_EQ(hello.applied_revision(), 14);
  const auto a = Send(WelcomeMessage("e1", 99, false));
  EXPECT_EQ(a.send.at(0).ping().applied_revision(), 14);
  EXPECT_THAT(state_.Taken(), IsEmpty());
}

TEST_F(FollowerTest, AResetOfTheSameHistoryKeepsTheLease) {  // R3
  Follow();
  Reconnect();
  Open();
  Send(WelcomeMessage("e1", 50, true));
  EXPECT_THAT(state_.Taken(), ElementsAre("reset e1 50"));
}

TEST_F(FollowerTest, AnotherHistoryOrOneThatWentBackEndsTheLease) {  // R11, R17
  Follow();
  Reconnect();
  Open();
  Send(WelcomeMessage("e2", 50, true));
  EXPECT_THAT(state_.Taken(), ElementsAre("end-lease", "reset e2 50"));
  Reconnect();
  Open();
  Send(WelcomeMessage("e2", 49, true));
  EXPECT_THAT(state_.Taken(), ElementsAre("end-lease", "reset e2 49"));
  Reconnect();
  Open();
  EXPECT_TRUE(Send(WelcomeMessage("e3", 60, false)).disconnect);
  EXPECT_THAT(state_.Taken(), ElementsAre("end-lease", "drop-all 49"));
  Reconnect();
  EXPECT_EQ(Open().epoch(), "");
}

TEST_F(FollowerTest, NothingIsAcceptedBeforeTheWelcome) {
  Open();
  EXPECT_TRUE(Send(EventsMessage(3, {Changed("w", "a")})).disconnect);
  // Given up: what still comes is ignored.
  Send(WelcomeMessage("e1", 10, true));
  EXPECT_THAT(state_.Taken(), IsEmpty());
}

TEST_F(FollowerTest, PingsOnTheIntervalOfTheWelcome) {
  Follow();
  EXPECT_THAT(Tick().send, IsEmpty());
  clock_.Advance(absl::Milliseconds(4999));
  EXPECT_THAT(Tick().send, IsEmpty());
  clock_.Advance(absl::Milliseconds(1));
  const auto a = Tick();
  ASSERT_EQ(a.send.size(), 1u);
  EXPECT_EQ(a.send[0].ping().sequence(), 2u);
  EXPECT_EQ(a.wake_at, clock_.Now() + absl::Seconds(5));
}

TEST_F(FollowerTest, WithoutPongsTheStreamIsHalfOpen) {
  Follow();
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(absl::Seconds(5));
    EXPECT_FALSE(Tick().disconnect);
  }
  Send(EventsMessage(11, {Changed("w", "a")}));  // events alone do not prove that pings arrive
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(Tick().disconnect);
  EXPECT_EQ(follower_->status().phase, Phase::kClosing);
}

TEST_F(FollowerTest, WithoutAWelcomeTheStreamIsGivenUp) {
  Open();
  clock_.Advance(absl::Milliseconds(9999));
  EXPECT_FALSE(Tick().disconnect);
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(Tick().disconnect);
}

TEST_F(FollowerTest, AnAnswerOfAnotherTermMakesItConnectSoonOnceATerm) {
  options_.backoff_first = options_.backoff_longest = absl::Seconds(5);
  Make();
  Follow();
  follower_->HeardOfTerm("t1", clock_.Now());  // a stranger's: there is a stream
  EXPECT_FALSE(Tick().connect);
  int connects = 0;
  const auto lose = [&] {
    const FollowerActions lost = follower_->OnDisconnected(stream_, clock_.Now());
    ASSERT_GT(lost.wake_at, clock_.Now());
    ASSERT_FALSE(Tick().connect);
  };
  const auto hear = [&](const std::string& term) {
    follower_->HeardOfTerm(term, clock_.Now());
    FollowerActions actions = Tick();
    const absl::Duration wait = actions.wake_at - clock_.Now();
    if (!actions.connect && wait <= absl::Milliseconds(50)) {  // over which edges are spread
      clock_.Advance(wait);
      actions = Tick();
    }
    if (actions.connect) {
      stream_ = actions.stream;
      ++connects;
    }
    return actions.connect;
  };
  lose();
  EXPECT_TRUE(hear("t2"));
  lose();
  EXPECT_FALSE(hear("t2")) << "once a term";
  // Whoever makes terms up does not make it hammer.
  for (int term = 0; term < 100; ++term) {
    if (hear("stranger-" + std::to_string(term))) lose();
  }
  EXPECT_EQ(connects, 4);
  // A stream that was stable ends that.
  clock_.Advance(absl::Seconds(6));
  Open();
  Send(WelcomeMessage("e1", 10, false));
  clock_.Advance(options_.stable_after);
  Send(PongMessage(1, 10, 30));
  lose();
  EXPECT_TRUE(hear("t2"));
}

TEST_F(FollowerTest, AnAnswerOfAnotherTermIsNoReasonToComeSoonerThanAGoAwayAsked) {
  options_.backoff_first = options_.backoff_longest = absl::Milliseconds(1);
  Make();
  Follow();
  FollowResponse message;
  *message.mutable_go_away()->mutable_retry_after() = Seconds(1);
  EXPECT_TRUE(Send(message).disconnect);
  const FollowerActions lost = follower_->OnDisconnected(stream_, clock_.Now());
  ASSERT_GE(lost.wake_at, clock_.Now() + absl::Seconds(1));
  follower_->HeardOfTerm("t2", clock_.Now());
  const FollowerActions heard = Tick();
  EXPECT_FALSE(heard.connect);
  EXPECT_EQ(heard.wake_at, lost.wake_at);
}

TEST_F(FollowerTest, EdgesThatHearOfARestartTogetherDoNotConnectTogether) {
  options_.backoff_first = options_.backoff_longest = absl::Hours(1);
  std::set<absl::Duration> after;
  for (int edge = 0; edge < 20; ++edge) {
    Make();
    Follow();
    follower_->OnDisconnected(stream_, clock_.Now());
    follower_->HeardOfTerm("t2", clock_.Now());
    const FollowerActions heard = Tick();
    if (!heard.connect) after.insert(heard.wake_at - clock_.Now());
  }
  ASSERT_GE(after.size(), 15u);
  EXPECT_LE(*after.rbegin(), absl::Milliseconds(50));
}

TEST_F(FollowerTest, BackoffIsJitteredGrowsIsBoundedAndResets) {
  follower_->Start(clock_.Now());
  uint64_t stream = 1;
  absl::Duration longest;
  absl::Duration sum;
  for (int i = 0; i < 40; ++i) {
    const auto a = follower_->OnDisconnected(stream, clock_.Now());
    const absl::Duration wait = a.wake_at - clock_.Now();
    EXPECT_GE(wait, absl::ZeroDuration());
    EXPECT_LE(wait, std::min(absl::Milliseconds(100) * (int64_t{1} << std::min(i, 10)),
                             absl::Seconds(5)));
    longest = std::max(longest, wait);
    sum += wait;
    clock_.Advance(wait);
    const auto again = Tick();
    ASSERT_TRUE(again.connect);
    stream = again.stream;
  }
  EXPECT_GT(longest, absl::Seconds(3));
  EXPECT_LT(sum, absl::Seconds(40 * 4));
  // A stable stream, then a cut: back at once.
  stream_ = stream;
  follower_->OnConnected(stream, clock_.Now());
  Send(WelcomeMessage("e1", 10, true));
  for (uint64_t i = 1; i <= 5; ++i) {
    clock_.Advance(absl::Seconds(5));
    Tick();
    Send(PongMessage(i + 1, 10, 30));
  }
  EXPECT_LE(follower_->OnDisconnected(stream, clock_.Now()).wake_at - clock_.Now(),
            absl::Milliseconds(100));
}

TEST_F(FollowerTest, GoAwayIsHeeded) {
  Follow();
  FollowResponse m;
  m.mutable_go_away()->set_reason("draining");
  *m.mutable_go_away()->mutable_retry_after() = Seconds(3);
  const auto a = Send(m);
  EXPECT_TRUE(a.disconnect);
  EXPECT_EQ(a.why, "GoAway: draining");
  const auto after = follower_->OnDisconnected(stream_, clock_.Now());
  EXPECT_GE(after.wake_at - clock_.Now(), absl::Seconds(3));
  EXPECT_LE(after.wake_at - clock_.Now(), absl::Seconds(6));
  EXPECT_THAT(state_.Taken(), IsEmpty());  // lease and cache live on
}

TEST_F(FollowerTest, AUsageReportIsConfirmedByALaterPong) {
  Follow();
  Send(PongMessage(1, 10, 30));
  while (state_.log.empty()) {
    clock_.Advance(absl::Seconds(5));
    const auto a = Tick();
    const auto& last = a.send.back().ping();
    if (state_.log.empty()) {
      Send(PongMessage(last.sequence(), 10, 30));
    } else {
      ASSERT_EQ(a.send.size(), 2u);
      ASSERT_EQ(a.send[0].usage().uses_size(), 1);
      EXPECT_THAT(state_.Taken(), ElementsAre("collect-use"));
      Send(PongMessage(last.sequence() - 1, 10, 30));
      EXPECT_TRUE(outbox_.report_is_out());
      Send(PongMessage(last.sequence(), 10, 30));
      EXPECT_FALSE(outbox_.report_is_out());
      EXPECT_EQ(outbox_.unreported(), 0u);
      EXPECT_THAT(state_.Taken(), IsEmpty());
      return;
    }
  }
}

TEST_F(FollowerTest, AUsageReportOnABrokenStreamIsLost) {
  Follow();
  Send(PongMessage(1, 10, 30));
  for (uint64_t i = 2; state_.log.empty(); ++i) {
    clock_.Advance(absl::Seconds(5));
    Tick();
    if (state_.log.empty()) Send(PongMessage(i, 10, 30));
  }
  state_.log.clear();
  EXPECT_TRUE(outbox_.report_is_out());
  Reconnect();
  EXPECT_FALSE(outbox_.report_is_out());
  EXPECT_EQ(outbox_.unreported(), 1u);
  EXPECT_THAT(state_.Taken(), IsEmpty());
  // It goes again, with what came since.
  Open();
  const auto a = follower_->Goodbye(clock_.Now(), clock_.WallNow());
  ASSERT_EQ(a.send.at(0).usage().uses_size(), 1);
  EXPECT_EQ(a.send[0].usage().uses(0).count(), 2);
}

TEST_F(FollowerTest, AfterGoodbyeNothingCounts) {  // R4
  Follow();
  const auto a = follower_->Goodbye(clock_.Now(), clock_.WallNow());
  ASSERT_GE(a.send.size(), 1u);
  EXPECT_TRUE(a.send.back().has_goodbye());
  EXPECT_TRUE(a.finish);
  EXPECT_EQ(state_.log.front(), "close");
  state_.log.clear();
  Send(PongMessage(1, 10, 30));
  Send(EventsMessage(11, {Changed("w", "a")}));
  EXPECT_THAT(state_.Taken(), IsEmpty());
  EXPECT_THAT(state_.leases, IsEmpty());
  follower_->OnDisconnected(stream_, clock_.Now());
  clock_.Advance(absl::Hours(1));
  EXPECT_FALSE(Tick().connect);
  EXPECT_THAT(follower_->Goodbye(clock_.Now(), clock_.WallNow()).send, IsEmpty());
}

TEST_F(FollowerTest, AGoodbyeBeforeTheWelcomeTellsTheUseToo) {  // R4
  Follow();
  Reconnect();
  Open();
  state_.log.clear();
  const auto a = follower_->Goodbye(clock_.Now(), clock_.WallNow());
  ASSERT_EQ(a.send.size(), 2u);  // and no ping: it must wait for the Welcome
  EXPECT_TRUE(a.send[0].has_usage());
  EXPECT_TRUE(a.send[1].has_goodbye());
  EXPECT_THAT(state_.Taken(), ElementsAre("close", "collect-use"));
}

TEST_F(FollowerTest, AServiceOfAnotherBrandIsNotFollowed) {  // I7
  options_.brand = "tg";
  Make();
  Open();
  auto welcome = WelcomeMessage("e1", 10, true);
  welcome.mutable_welcome()->set_brand("acme");
  const auto a = Send(welcome);
  EXPECT_TRUE(a.disconnect);
  EXPECT_TRUE(a.misconfigured);
  EXPECT_THAT(a.why, ::testing::HasSubstr("--brand acme"));
  EXPECT_THAT(a.send, IsEmpty());
  EXPECT_FALSE(state_.brand_agreed);
  EXPECT_THAT(state_.Taken(), ElementsAre("end-lease", "drop-all 0"));
  // It looks again, seldom; a service put right is followed.
  follower_->OnDisconnected(stream_, clock_.Now());
  clock_.Advance(absl::Seconds(29));
  EXPECT_FALSE(Tick().connect);
  clock_.Advance(absl::Seconds(1));
  Open();
  welcome.mutable_welcome()->set_brand("tg");
  EXPECT_FALSE(Send(welcome).disconnect);
  EXPECT_TRUE(state_.brand_agreed);
}

TEST_F(FollowerTest, ThePongsRoundTripGoesWithTheServicesTime) {  // R18
  Follow();
  clock_.Advance(absl::Milliseconds(700));
  Send(PongMessage(1, 10, 30));
  EXPECT_EQ(state_.round_trip, absl::Milliseconds(700));
  Send(PongMessage(1, 10, 30));  // its ping is forgotten
  EXPECT_EQ(state_.round_trip, absl::InfiniteDuration());
}

TEST_F(FollowerTest, FarBehindAServiceSomePongStillGrants) {
  Follow();
  for (int i = 0; i < 500; ++i) Send(EventsMessage(11 + i, {Changed("w", "a")}));
  Send(PongMessage(100, 110, 30));
  EXPECT_EQ(state_.leases.size(), 1u);
  Send(PongMessage(400, 410, 30));  // its ping was not remembered: no grant, no harm
  EXPECT_EQ(state_.leases.size(), 1u);
}

TEST_F(FollowerTest, FailOpenIsSaidInTheHello) {
  options_.stale_policy = tollgate::v1::STALE_POLICY_FAIL_OPEN;
  options_.fail_open_for = absl::Minutes(5);
  Make();
  const auto hello = Open();
  EXPECT_EQ(hello.stale_policy(), tollgate::v1::STALE_POLICY_FAIL_OPEN);
  EXPECT_EQ(hello.fail_open_for().seconds(), 300);
}

v1::Proof ProofAt(int64_t revision, const std::string& epoch = "e1") {
  v1::Proof proof;
  proof.set_store_id("store");
  proof.set_epoch(epoch);
  proof.set_term("t1");
  proof.set_revision(revision);
  return proof;
}

class Keeper : public ProofKeeper {
 public:
  void Keep(const v1::Proof& proof) override { kept.push_back(proof.revision()); }
  std::vector<int64_t> kept;
};

TEST_F(FollowerTest, R19TheHelloBringsTheNewestProofOfWhatIsApplied) {
  Keeper keeper;
  options_.keeper = &keeper;
  Make();
  EXPECT_FALSE(Open().has_proof());
  v1::FollowResponse welcome = WelcomeMessage("e1", 10, true);
  *welcome.mutable_welcome()->mutable_proof() = ProofAt(10);
  Send(welcome);
  EXPECT_THAT(keeper.kept, ElementsAre(10));

  // Two revisions, one message: the proof is of the last, and is kept before the acknowledgement.
  v1::FollowResponse events;
  events.mutable_events()->add_revisions()->set_revision(11);
  events.mutable_events()->add_revisions()->set_revision(13);
  *events.mutable_events()->mutable_proof() = ProofAt(13);
  ASSERT_EQ(Send(events).send.size(), 1u);
  EXPECT_THAT(keeper.kept, ElementsAre(10, 13));

  // Only what speaks for just what is applied is taken.
  v1::FollowResponse pong;
  pong.mutable_pong()->set_sequence(1);
  pong.mutable_pong()->set_revision(15);
  *pong.mutable_pong()->mutable_proof() = ProofAt(14);
  Send(pong);
  pong.mutable_pong()->set_sequence(2);
  *pong.mutable_pong()->mutable_proof() = ProofAt(15, "e2");
  Send(pong);
  EXPECT_THAT(keeper.kept, ElementsAre(10, 13));
  *pong.mutable_pong()->mutable_proof() = ProofAt(15);
  Send(pong);
  EXPECT_THAT(keeper.kept, ElementsAre(10, 13, 15));

  Reconnect();
  const v1::Hello hello = Open();
  EXPECT_EQ(hello.applied_revision(), 15);
  EXPECT_EQ(hello.proof().revision(), 15);
}

TEST_F(FollowerTest, R19APartOfARevisionIsNotProven) {
  Follow(10);
  v1::FollowResponse events;
  events.mutable_events()->add_revisions()->set_revision(11);
  events.mutable_events()->mutable_revisions(0)->set_partial(true);
  *events.mutable_events()->mutable_proof() = ProofAt(11);
  Send(events);
  Reconnect();
  EXPECT_FALSE(Open().has_proof());
}

TEST_F(FollowerTest, R19AProofOutlivesTheProcessAndIsForgottenOnceItIsJudged) {
  options_.proof = ProofAt(7);
  Make();
  v1::Hello hello = Open();
  EXPECT_EQ(hello.epoch(), "") << "it knows nothing else";
  EXPECT_EQ(hello.proof().revision(), 7);
  Send(WelcomeMessage("e2", 3, true));  // a service older than proofs, or another store
  Reconnect();
  EXPECT_FALSE(Open().has_proof());
}

TEST_F(FollowerTest, R19ThePointHasTheTermOfTheStream) {
  Open();
  v1::FollowResponse welcome = WelcomeMessage("e1", 10, true);
  welcome.mutable_welcome()->set_term("t1");
  Send(welcome);
  EXPECT_EQ(follower_->point().term, "t1");
  Reconnect();
  EXPECT_EQ(follower_->point().term, "t1");
  Open();
  welcome = WelcomeMessage("e1", 10, false);
  welcome.mutable_welcome()->set_term("t2");
  Send(welcome);
  EXPECT_EQ(follower_->point().term, "t2");
}

TEST_F(FollowerTest, R19TheHelloTellsOfAnswersThatTheProofDoesNotSpeakFor) {
  Open();
  v1::FollowResponse welcome = WelcomeMessage("e1", 10, true);
  welcome.mutable_welcome()->set_term("t1");
  Send(welcome);
  follower_->OnAnswerHeld(10);
  Reconnect();
  EXPECT_EQ(Open().answered_revision(), 0) << "as far as what is applied";
  welcome = WelcomeMessage("e1", 10, false);
  welcome.mutable_welcome()->set_term("t1");
  Send(welcome);
  follower_->OnAnswerHeld(14);
  follower_->OnAnswerHeld(12);
  Reconnect();
  v1::Hello hello = Open();
  EXPECT_EQ(hello.answered_revision(), 14);
  EXPECT_EQ(hello.answered_term(), "t1");

  // One that came after this Hello was not judged by a service of another term.
  follower_->OnAnswerHeld(15);
  welcome.mutable_welcome()->set_term("t2");
  EXPECT_TRUE(Send(welcome).disconnect);
  Reconnect();
  hello = Open();
  EXPECT_EQ(hello.answered_revision(), 15);
  EXPECT_EQ(hello.answered_term(), "t1");
  EXPECT_FALSE(Send(welcome).disconnect);

  // A reset drops all that is held.
  Reconnect();
  Open();
  Send(WelcomeMessage("e1", 11, true));
  Reconnect();
  EXPECT_EQ(Open().answered_revision(), 0);
}

TEST_F(FollowerTest, R19TheStatusOfARefusalIsWaitedForBecauseItSaysWhatMendsIt) {
  Follow(10);
  v1::FollowResponse away;
  away.mutable_go_away()->set_reason("other_history");
  away.mutable_go_away()->mutable_retry_after()->set_seconds(30);
  FollowerActions actions = Send(away);
  EXPECT_FALSE(actions.disconnect) << "the status is on its way";
  EXPECT_FALSE(actions.misconfigured) << "the status says it better";
  const base::BootTime limit = actions.wake_at;
  EXPECT_LE(limit, clock_.Now() + absl::Seconds(2));

  // It comes: the next try is no sooner than asked.
  actions = follower_->OnDisconnected(stream_, clock_.Now());
  EXPECT_FALSE(actions.misconfigured);
  EXPECT_GE(actions.wake_at, clock_.Now() + absl::Seconds(30));
}

TEST_F(FollowerTest, R19ToBeRefusedForItsHistoryIsAnOperatorsToMendAlsoWithoutAStatus) {
  Follow(10);
  v1::FollowResponse away;
  away.mutable_go_away()->set_reason("other_history");
  FollowerActions actions = Send(away);
  clock_.Advance(actions.wake_at - clock_.Now() - absl::Milliseconds(1));
  EXPECT_FALSE(Tick().disconnect);
  clock_.Advance(absl::Milliseconds(1));
  actions = Tick();
  EXPECT_TRUE(actions.disconnect);
  EXPECT_TRUE(actions.misconfigured);
  EXPECT_EQ(actions.reason, "OTHER_HISTORY");
  EXPECT_THAT(actions.why, HasSubstr("history"));
  EXPECT_FALSE(Tick().disconnect) << "once";
  EXPECT_EQ(Tick().wake_at, base::BootTime::InfiniteFuture());
}

TEST_F(FollowerTest, AGoodbyeDoesNotWaitForTheStatusOfARefusal) {
  Follow(10);
  v1::FollowResponse away;
  away.mutable_go_away()->set_reason("other_history");
  Send(away);
  EXPECT_TRUE(follower_->Goodbye(clock_.Now(), clock_.WallNow()).disconnect);
}

}  // namespace
}  // namespace tollgate::validator
