// The feed driven by hand: no thread, no timer, no wire, and a clock that stands.
#include "service/feed/feed.h"

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/feed/follower_stream.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/start_command.h"
#include "tests/unit/service/feed/feed_stand_ins.h"
#include "tests/unit/service/feed/hello_proof.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Commits each command at once, on the caller's thread.
class InlineSequencer : public storage::Sequencer {
 public:
  InlineSequencer(storage::Engine* engine, const base::Clock* clock)
      : engine_(engine), clock_(clock) {}
  void Submit(std::shared_ptr<storage::Command> command, Callback done) override {
    const base::BootTime began = clock_->Now();
    storage::BatchOutcome outcome =
        *storage::RunBatch(**engine_->NewSnapshot(), clock_->WallNow(), {command.get()});
    if (outcome.has_effects) {
      EXPECT_TRUE(engine_->Commit(outcome.request)->committed);
      last_ = began;
    }
    done(outcome.results[0]);
  }
  void Stop() override {}
  void Halt(absl::Status) override {}
  base::BootTime last_write_start() const override { return last_; }

 private:
  storage::Engine* const engine_;
  const base::Clock* const clock_;
  base::BootTime last_ = base::BootTime::InfinitePast();
};

// Notes what is asked for, and does it when told to.
class HandScheduler : public FeedScheduler {
 public:
  void WakeStreamSoon(std::shared_ptr<FollowerStream> stream) override {
    single.push_back(std::move(stream));
  }
  void WakeAllSoon() override { ++all; }
  void TickSoon() override { ++ticks; }
  bool RunRead(std::function<void()> read) override {
    if (room) reads.push_back(std::move(read));
    return room;
  }
  void StreamGone() override { ++gone; }

  std::vector<std::shared_ptr<FollowerStream>> single;
  int all = 0;
  int ticks = 0;
  int gone = 0;
  bool room = true;
  std::deque<std::function<void()>> reads;
};

// The wire, written to when a test reads.
class HandWire : public FollowWire {
 public:
  void WakeCall() override { ++wakes; }
  void CloseCall(const absl::Status& status) override {
    if (!end.has_value()) end = status;
  }
  void AbortCall(const absl::Status& status) override { CloseCall(status); }
  absl::optional<base::BootTime> StalledSince() const override { return stalled_since; }
  std::string CallerName() const override { return caller; }
  std::string OperatorTokenId() const override { return operator_token_id; }

  int wakes = 0;
  std::string caller = "local";
  std::string operator_token_id;
  absl::optional<absl::Status> end;
  absl::optional<base::BootTime> stalled_since;
};

class CompactAll : public storage::Command {
 public:
  absl::string_view name() const override { return "compact_all"; }
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

// Who may do what has changed; of what, only the test knows.
class ChangeAccess : public storage::Command {
 public:
  absl::string_view name() const override { return "change_access"; }
  absl::Status Run(const storage::View&, const storage::Slot&, storage::Effects& effects) override {
    v1::Event event;
    event.mutable_access_changed();
    effects.PutRaw(storage::Table::kBindings, "changed", "");
    effects.Tell(std::move(event));
    return absl::OkStatus();
  }
};

// Tells of one thing.
class TellsOf : public storage::Command {
 public:
  explicit TellsOf(v1::Event event) : event_(std::move(event)) {}
  absl::string_view name() const override { return "tells_of"; }
  absl::Status Run(const storage::View&, const storage::Slot&, storage::Effects& effects) override {
    effects.PutRaw(storage::Table::kLabels, "touched", "");
    effects.Tell(event_);
    return absl::OkStatus();
  }

 private:
  const v1::Event event_;
};

class FeedTest : public ::testing::Test {
 protected:
  FeedTest() { Start(); }
  void Start() {
    feed_.reset();
    options_.engine = &engine_;
    options_.sequencer = &sequencer_;
    options_.clock = &clock_;
    options_.random = &random_;
    options_.sealer = SealerOf('k');
    Run(std::make_shared<storage::ServiceStarted>("test", random_.Hex(16), ""));
    const absl::StatusOr<Feed::FirstWrite> first = Feed::PrepareStart(options_);
    ASSERT_TRUE(first.ok()) << first.status();
    Run(first->command);
    absl::StatusOr<std::unique_ptr<Feed>> feed = Feed::Start(options_, &scheduler_, *first);
    ASSERT_TRUE(feed.ok()) << feed.status();
    feed_ = *std::move(feed);
  }
  void Run(std::shared_ptr<storage::Command> command) {
    sequencer_.Submit(std::move(command), [](const absl::StatusOr<storage::Committed>& done) {
      EXPECT_TRUE(done.ok()) << done.status();
    });
  }
  int64_t Commit() {
    Run(std::make_shared<TellOne>());
    return feed_->head();
  }
  void Pass(absl::Duration d) { now_ += d; }

  struct Follower {
    std::shared_ptr<HandWire> wire = std::make_shared<HandWire>();
    std::shared_ptr<FollowerStream> stream;
    std::string id;
    std::string epoch;
    int64_t applied = 0;
    uint64_t sequence = 0;
  };
  Follower Connect(const std::string& id, const std::string& epoch = "", int64_t applied = 0) {
    Follower f;
    f.id = id;
    f.epoch = epoch;
    f.applied = applied;
    absl::StatusOr<std::shared_ptr<FollowerStream>> stream = feed_->Connect(f.wire);
    EXPECT_TRUE(stream.ok()) << stream.status();
    if (stream.ok()) f.stream = *std::move(stream);
    return f;
  }
  void SendHello(const Follower& f) {
    v1::FollowRequest request = HelloRequest(f.id, 'a', f.epoch, f.applied);
    if (f.epoch == feed_->epoch() && f.applied > 0) {
      *request.mutable_hello()->mutable_proof() =
          HelloProof(engine_, feed_->history(), options_.sealer, f.applied);
    }
    f.stream->OnRequest(request);
  }
  // The next message; nothing set: there is none.
  static v1::FollowResponse Read(const Follower& f) {
    std::vector<SharedBytes> pieces;
    v1::FollowResponse message;
    if (!f.stream->NextToWrite(&pieces)) return message;
    std::string bytes;
    for (const SharedBytes& piece : pieces) bytes += *piece;
    EXPECT_TRUE(message.ParseFromString(bytes));
    return message;
  }
  static v1::FollowResponse PingAndRead(Follower* f) {
    f->stream->OnRequest(PingRequest(++f->sequence, f->applied));
    return Read(*f);
  }
  // With a lease.
  Follower Join(const std::string& id, const std::string& caller = "local") {
    Follower f;
    f.wire->caller = caller;
    f.id = id;
    f.stream = *feed_->Connect(f.wire);
    SendHello(f);
    const v1::FollowResponse welcome = Read(f);
    EXPECT_TRUE(welcome.welcome().reset());
    f.epoch = welcome.welcome().epoch();
    f.applied = welcome.welcome().revision();
    EXPECT_TRUE(PingAndRead(&f).pong().has_lease());
    return f;
  }
  void Close(const Follower& f) { f.stream->OnClosed(); }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  StandingClock clock_{&now_};
  base::SeededRandom random_{7};
  std::unique_ptr<storage::MemoryEngine> memory_ = *storage::MemoryEngine::Open();
  GapEngine engine_{memory_.get()};
  InlineSequencer sequencer_{&engine_, &clock_};
  HandScheduler scheduler_;
  Feed::Options options_;
  std::unique_ptr<Feed> feed_;
};

TEST_F(FeedTest, AnEventIsWrittenOnceItsStreamsAreWoken) {
  Follower a = Join("a");
  const int asked = scheduler_.all;
  const int64_t r = Commit();
  EXPECT_EQ(scheduler_.all, asked + 1);
  const int wakes = a.wire->wakes;
  feed_->WakeStreams(0);
  EXPECT_EQ(a.wire->wakes, wakes + 1);
  const v1::FollowResponse events = Read(a);
  ASSERT_EQ(events.events().revisions_size(), 1);
  EXPECT_EQ(events.events().revisions(0).revision(), r);
  EXPECT_NE(feed_->desk().ReceiptFor({r, "", ""}).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  a.applied = r;
  EXPECT_EQ(PingAndRead(&a).pong().revision(), r);
  EXPECT_EQ(feed_->desk().ReceiptFor({r, "", ""}).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  Close(a);
  EXPECT_EQ(scheduler_.gone, 1);
}

TEST_F(FeedTest, ACommitWithoutEventsWakesNobody) {
  Run(std::make_shared<CompactAll>());
  EXPECT_EQ(scheduler_.all, 0);
}

TEST_F(FeedTest, StreamsAreWokenByTheirShareAndReadersWithTheFirst) {
  options_.wake_shares = 2;
  Start();
  Follower a = Join("a");
  Follower b = Join("b");
  int reader_wakes = 0;
  const auto reader = *feed_->Subscribe(feed_->head(), [&] { ++reader_wakes; });
  const int a_wakes = a.wire->wakes, b_wakes = b.wire->wakes;
  feed_->WakeStreams(1);
  EXPECT_EQ(reader_wakes, 0);
  EXPECT_EQ(a.wire->wakes + b.wire->wakes, a_wakes + b_wakes + 1);
  feed_->WakeStreams(0);
  EXPECT_EQ(reader_wakes, 1);
  EXPECT_EQ(a.wire->wakes, a_wakes + 1);
  EXPECT_EQ(b.wire->wakes, b_wakes + 1);
}

TEST_F(FeedTest, AResumeAndAResetCountAsWhatTheyAre) {
  Follower a = Join("a");
  Close(a);
  EXPECT_EQ(feed_->stats().resets, 1);
  a = Connect("a", a.epoch, a.applied);
  SendHello(a);
  EXPECT_FALSE(Read(a).welcome().reset());
  EXPECT_EQ(feed_->stats().resumes, 1);
  EXPECT_EQ(feed_->stats().resets, 1);
}

TEST_F(FeedTest, ACatchUpThatEndsAsAResetIsNoResume) {
  options_.ring.max_revisions = 2;
  Start();
  Follower a = Join("a");
  Close(a);
  for (int i = 0; i < 10; ++i) Commit();
  const int64_t resets = feed_->stats().resets;
  // The store still has it: a resume, once that is known.
  Follower b = Connect("a", a.epoch, a.applied);
  SendHello(b);
  EXPECT_FALSE(Read(b).has_welcome());
  EXPECT_EQ(feed_->stats().resumes, 0);
  ASSERT_EQ(scheduler_.reads.size(), 1u);
  std::exchange(scheduler_.reads, {}).front()();
  EXPECT_FALSE(Read(b).welcome().reset());
  EXPECT_EQ(feed_->stats().resumes, 1);
  Close(b);
  // It has it no more: a reset.
  Run(std::make_shared<CompactAll>());
  Follower c = Connect("a", a.epoch, a.applied);
  SendHello(c);
  EXPECT_FALSE(Read(c).has_welcome());
  ASSERT_EQ(scheduler_.reads.size(), 1u);
  std::exchange(scheduler_.reads, {}).front()();
  EXPECT_TRUE(Read(c).welcome().reset());
  EXPECT_EQ(feed_->stats().resumes, 1);
  EXPECT_EQ(feed_->stats().resets, resets + 1);
  Close(c);
  // Nobody can look: a reset too.
  scheduler_.room = false;
  Follower d = Connect("a", a.epoch, a.applied);
  SendHello(d);
  EXPECT_TRUE(Read(d).welcome().reset());
  EXPECT_EQ(feed_->stats().resumes, 1);
  EXPECT_EQ(feed_->stats().resets, resets + 2);
}

TEST_F(FeedTest, AGapIsNoRollBackAndARollBackAfterItIsStillTold) {
  std::vector<std::string> fatal, rolled_back;
  options_.on_fatal = [&](const absl::Status& status) { fatal.emplace_back(status.message()); };
  options_.on_rolled_back = [&](const std::string& validator, const absl::Status&) {
    rolled_back.push_back(validator);
  };
  Start();
  Follower a = Join("a");
  engine_.skip = true;
  Commit();
  EXPECT_THAT(fatal, IsEmpty());
  Commit();
  EXPECT_THAT(fatal, ElementsAre(HasSubstr("gap")));
  EXPECT_FALSE(PingAndRead(&a).pong().has_lease());
  EXPECT_TRUE(feed_->stats().tail_gap);
  EXPECT_FALSE(feed_->stats().rolled_back);
  EXPECT_THAT(feed_->desk().ReceiptFor({feed_->head() + 1, "", ""}).hold(), HasSubstr("gap"));
  EXPECT_THAT(rolled_back, IsEmpty());

  Follower b = Connect("b", feed_->epoch(), 1'000'000);
  SendHello(b);
  EXPECT_EQ(Read(b).go_away().reason(), "other_history");
  EXPECT_THAT(rolled_back, ElementsAre("b"));
  EXPECT_TRUE(feed_->stats().rolled_back);
  EXPECT_THAT(feed_->desk().ReceiptFor({feed_->head() + 1, "", ""}).hold(),
              HasSubstr("rolled back"));
  // Once.
  Follower c = Connect("c", feed_->epoch(), 1'000'000);
  SendHello(c);
  EXPECT_THAT(rolled_back, ElementsAre("b"));
}

TEST_F(FeedTest, ANewerStreamOfASessionReplacesTheOlder) {
  Follower a = Join("a");
  Follower again = Connect("a", a.epoch, a.applied);
  SendHello(again);
  EXPECT_EQ(Read(a).go_away().reason(), "replaced");
  EXPECT_FALSE(Read(a).has_go_away());
  ASSERT_TRUE(a.wire->end.has_value());
  EXPECT_TRUE(a.wire->end->ok());
  EXPECT_EQ(feed_->stats().followers, 1u);
  Close(a);  // the older one: the newer is not forgotten with it
  EXPECT_EQ(feed_->stats().followers, 1u);
}

TEST_F(FeedTest, AStreamOfAnotherCallerChangesNothing) {
  Follower a = Join("a");
  Follower thief;
  thief.wire->caller = "anonymous";
  thief.id = "a";
  thief.epoch = a.epoch;
  thief.applied = a.applied;
  thief.stream = *feed_->Connect(thief.wire);
  SendHello(thief);
  v1::FollowRequest goodbye;
  goodbye.mutable_goodbye();
  thief.stream->OnRequest(goodbye);
  EXPECT_EQ(Read(thief).message_case(), v1::FollowResponse::MESSAGE_NOT_SET);
  EXPECT_EQ(base::ReasonOf(*thief.wire->end), "SESSION_OF_ANOTHER");
  Close(thief);
  EXPECT_EQ(feed_->stats().live_sessions, 1u);
  EXPECT_EQ(feed_->stats().followers, 1u);
  EXPECT_FALSE(a.wire->end.has_value());
}

// Whose role is withdrawn is sent nothing of that revision, and gets no lease; and nothing is
// called enforced at that revision while he may hold one from before (R14).
TEST_F(FeedTest, WhoMayNoLongerFollowIsSentAwayAndWaitedFor) {
  const std::string edge = "spiffe://corp/edge";
  std::set<std::string> may = {"local", edge};
  int changes = 0;
  options_.may_follow = [&](const std::string& member, const std::string&) {
    return may.count(member) > 0 ? absl::OkStatus() : absl::PermissionDeniedError("no role");
  };
  options_.on_access_changed = [&] {
    ++changes;
    may.erase(edge);
    return absl::OkStatus();
  };
  Start();
  Follower a = Join("a");
  Follower b = Join("b", edge);
  Follower early;  // has not said Hello yet
  early.wire->caller = edge;
  early.id = "c";
  early.stream = *feed_->Connect(early.wire);
  Run(std::make_shared<ChangeAccess>());
  const int64_t r = feed_->head();
  EXPECT_EQ(changes, 1);
  EXPECT_THAT(scheduler_.single, testing::IsSupersetOf({b.stream, early.stream}));

  EXPECT_EQ(Read(b).message_case(), v1::FollowResponse::MESSAGE_NOT_SET);
  ASSERT_TRUE(b.wire->end.has_value());
  EXPECT_TRUE(absl::IsPermissionDenied(*b.wire->end));
  b.applied = r;  // which it cannot know; nor would it count
  EXPECT_EQ(PingAndRead(&b).message_case(), v1::FollowResponse::MESSAGE_NOT_SET);
  SendHello(early);
  EXPECT_EQ(Read(early).message_case(), v1::FollowResponse::MESSAGE_NOT_SET);
  EXPECT_TRUE(absl::IsPermissionDenied(*early.wire->end));

  EXPECT_EQ(Read(a).events().revisions_size(), 1);
  a.applied = r;
  EXPECT_TRUE(PingAndRead(&a).pong().has_lease());
  Close(b);
  EXPECT_NE(feed_->desk().ReceiptFor({r, "", ""}).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  // He comes back, and is let go at once.
  Follower again = Connect("b");
  Follower late;
  late.wire->caller = edge;
  late.id = "b";
  late.stream = *feed_->Connect(late.wire);
  EXPECT_EQ(Read(late).message_case(), v1::FollowResponse::MESSAGE_NOT_SET);
  EXPECT_TRUE(absl::IsPermissionDenied(*late.wire->end));
  EXPECT_FALSE(again.wire->end.has_value());
  Pass(options_.lease + absl::Seconds(1));
  EXPECT_EQ(feed_->desk().ReceiptFor({r, "", ""}).state(), v1::ENFORCEMENT_STATE_ENFORCED);
  scheduler_.single.clear();
}

// Whoever is known by an operator token is judged by that, too, as soon as one changes.
TEST_F(FeedTest, WhoseOperatorTokenEndsIsSentAway) {
  std::set<std::string> good = {"t1", "t2"};
  int changes = 0;
  options_.may_follow = [&](const std::string& member, const std::string& token) {
    return member == "local" || good.count(token) > 0 ? absl::OkStatus()
                                                      : absl::UnauthenticatedError("ended");
  };
  options_.on_access_changed = [&] {
    ++changes;
    return absl::OkStatus();
  };
  Start();
  const auto join = [&](const std::string& id, const std::string& token) {
    Follower follower;
    follower.id = id;
    follower.wire->caller = "operator:fleet";
    follower.wire->operator_token_id = token;
    follower.stream = *feed_->Connect(follower.wire);
    SendHello(follower);
    return follower;
  };
  Follower a = join("a", "t1");
  Follower b = join("b", "t2");
  good.erase("t2");
  v1::Event of_others;
  of_others.mutable_token_changed()->set_workspace("acme");
  Run(std::make_shared<TellsOf>(of_others));
  EXPECT_EQ(changes, 0) << "tokens of workspaces let nobody in";
  std::vector<v1::Event> events(3);
  events[0].mutable_token_created()->set_workspace("@operators");
  events[1].mutable_token_changed()->set_workspace("@operators");
  events[2].mutable_cohort_revoked()->set_workspace("@operators");
  for (size_t i = 0; i < events.size(); ++i) {
    Run(std::make_shared<TellsOf>(events[i]));
    EXPECT_EQ(changes, static_cast<int>(i) + 1);
  }
  while (Read(b).message_case() != v1::FollowResponse::MESSAGE_NOT_SET) {
  }
  ASSERT_TRUE(b.wire->end.has_value());
  EXPECT_TRUE(absl::IsUnauthenticated(*b.wire->end));
  EXPECT_FALSE(a.wire->end.has_value());
  scheduler_.single.clear();
}

// What cannot be read is not guessed: as a gap in the tail, it ends the process.
TEST_F(FeedTest, AChangeOfAccessThatCannotBeReadIsFatal) {
  absl::Status fatal;
  options_.on_access_changed = [] { return absl::DataLossError("unreadable"); };
  options_.on_fatal = [&](const absl::Status& status) { fatal = status; };
  Start();
  Follower a = Join("a");
  Run(std::make_shared<ChangeAccess>());
  EXPECT_TRUE(absl::IsDataLoss(fatal)) << fatal;
  EXPECT_FALSE(PingAndRead(&a).pong().has_lease());
}

// Whoever starts a feed has read the bindings: what the tail tells of before is in them, and would
// only be read once more for each change that the store keeps.
TEST_F(FeedTest, WhatChangedBeforeTheStartIsNoChangeOfAccess) {
  for (int i = 0; i < 3; ++i) Run(std::make_shared<ChangeAccess>());
  int changes = 0;
  options_.on_access_changed = [&] {
    ++changes;
    return absl::OkStatus();
  };
  Start();
  EXPECT_EQ(changes, 0);
  Run(std::make_shared<ChangeAccess>());
  EXPECT_EQ(changes, 1);
}

TEST_F(FeedTest, DrainingSendsEverybodyAwayAlsoWhoWasLetInBefore) {
  Follower a = Join("a");
  Follower late = Connect("late");
  feed_->BeginDrain();
  EXPECT_EQ(Read(a).go_away().reason(), "draining");
  EXPECT_EQ(base::ReasonOf(feed_->Connect(std::make_shared<HandWire>()).status()), "DRAINING");
  SendHello(late);
  EXPECT_EQ(Read(late).go_away().reason(), "draining");
  feed_->AbortStreams();
  EXPECT_TRUE(a.wire->end.has_value());
}

TEST_F(FeedTest, NoMoreFollowThanMay) {
  options_.max_followers = 1;
  Start();
  Follower a = Connect("a");
  EXPECT_EQ(base::ReasonOf(feed_->Connect(std::make_shared<HandWire>()).status()),
            "TOO_MANY_FOLLOWERS");
  Close(a);
  EXPECT_TRUE(feed_->Connect(std::make_shared<HandWire>()).ok());
}

TEST_F(FeedTest, AStalledStreamIsCutOnceAtATick) {
  Follower a = Join("a");
  a.wire->stalled_since = clock_.Now();
  Pass(options_.stall_limit);
  feed_->Tick();
  EXPECT_FALSE(a.wire->end.has_value());
  Pass(absl::Milliseconds(250));
  feed_->Tick();
  ASSERT_TRUE(a.wire->end.has_value());
  EXPECT_EQ(base::ReasonOf(*a.wire->end), "TOO_SLOW");
  Pass(absl::Seconds(1));
  feed_->Tick();
  EXPECT_EQ(feed_->stats().cut, 1);
  Close(a);
  EXPECT_EQ(feed_->stats().cut, 1);
}

TEST_F(FeedTest, ATickAsksForTheNextInTime) {
  EXPECT_EQ(feed_->Tick(), clock_.Now() + absl::Milliseconds(250));
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(feed_->Tick(), clock_.Now() + absl::Milliseconds(150));
  const int asked = scheduler_.ticks;
  bool answered = false;
  feed_->desk().WaitEnforced({feed_->head() + 1, "", ""}, absl::Milliseconds(40),
                             [&](const v1::Receipt&) { answered = true; });
  EXPECT_GT(scheduler_.ticks, asked);
  EXPECT_EQ(feed_->Tick(), clock_.Now() + absl::Milliseconds(40));
  Pass(absl::Milliseconds(40));
  feed_->Tick();
  EXPECT_TRUE(answered);
}

class EndsTold : public UseSink {
 public:
  void Report(absl::string_view, absl::string_view, const v1::Usage&) override {}
  void SessionLive(absl::string_view, absl::string_view) override {}
  void SessionEnded(absl::string_view, absl::string_view, bool) override { ++count; }
  int count = 0;
};

// A machine that was suspended: the leases have run out before anything ticked. A receipt then
// rests on their ends, so what was never reported (a gap) has to be known before the receipt is.
TEST_F(FeedTest, ALeasesEndIsToldBeforeTheReceiptThatRestsOnIt) {
  EndsTold sink;
  options_.use = &sink;
  Start();
  Join("a");
  Pass(absl::Hours(1));
  const int64_t r = Commit();
  int told = -1;
  feed_->desk().WaitEnforced({r, "", ""}, absl::Seconds(1), [&](const v1::Receipt& receipt) {
    EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
    told = sink.count;
  });
  EXPECT_EQ(told, 1);

  Join("b");
  Pass(absl::Hours(1));
  feed_->desk().ReceiptFor({Commit(), "", ""});
  EXPECT_EQ(sink.count, 2);
  feed_.reset();
}

TEST_F(FeedTest, AWaitForHoldsEndsWhenTheLastIsClosed) {
  Follower a = Join("a");
  Follower b = Join("b");
  const int64_t r = Commit();
  std::vector<std::string> answered;
  const auto wait = [&](const char* name, int64_t revision, bool holds, absl::Duration timeout) {
    return feed_->desk().WaitEnforced(
        {revision, "", "", holds}, timeout, [&, name](const v1::Receipt& receipt) {
          answered.push_back(absl::StrCat(name, " ", receipt.holds_open()));
        });
  };
  const auto say = [&](Follower* f, int64_t told, int64_t closed) {
    v1::FollowRequest request = PingRequest(++f->sequence, r);
    v1::EndedHolds* ended = request.mutable_ping()->add_ended_holds();
    ended->set_revision(r);
    ended->set_told(told);
    ended->set_closed(closed);
    f->stream->OnRequest(request);
  };
  while (Read(a).has_events() || Read(b).has_events()) {
  }
  wait("holds", r, true, absl::Minutes(1));
  wait("holds too", r, true, absl::Minutes(1));
  const WaitId gone = wait("gone", r, true, absl::Minutes(1));
  wait("enforced", r, false, absl::Minutes(1));
  wait("earlier", r - 1, true, absl::Minutes(1));
  EXPECT_THAT(answered, ElementsAre("earlier 0")) << "no hold is open of that one";
  answered.clear();
  say(&a, 2, 0);
  say(&b, 1, 4);
  EXPECT_THAT(answered, ElementsAre("enforced 3")) << "it does not wait for holds";
  EXPECT_EQ(feed_->stats().waiting, 3);
  answered.clear();
  feed_->desk().EndWait(gone);
  EXPECT_EQ(feed_->stats().waiting, 2);
  wait("short", r, true, absl::Milliseconds(40));
  EXPECT_EQ(feed_->Tick(), clock_.Now() + absl::Milliseconds(40));
  Pass(absl::Milliseconds(40));
  feed_->Tick();
  EXPECT_THAT(answered, ElementsAre("short 3"));
  answered.clear();
  say(&a, 0, 2);
  EXPECT_THAT(answered, IsEmpty());
  say(&b, 0, 5);
  EXPECT_THAT(answered, ElementsAre("holds 0", "holds too 0"));
  EXPECT_EQ(feed_->stats().waiting, 0);
  wait("at once", r, true, absl::Minutes(1));
  EXPECT_THAT(answered, ElementsAre("holds 0", "holds too 0", "at once 0"));
}

TEST_F(FeedTest, AWaitForHoldsEndsWithTheLeaseOfTheirEdge) {
  Follower a = Join("a");
  const int64_t r = Commit();
  while (Read(a).has_events()) {
  }
  v1::FollowRequest request = PingRequest(++a.sequence, r);
  v1::EndedHolds* ended = request.mutable_ping()->add_ended_holds();
  ended->set_revision(r);
  ended->set_told(1);
  a.stream->OnRequest(request);
  absl::optional<v1::Receipt> answer;
  feed_->desk().WaitEnforced({r, "", "", true}, absl::Minutes(5),
                             [&](v1::Receipt receipt) { answer = std::move(receipt); });
  Pass(options_.lease - absl::Milliseconds(1));
  feed_->Tick();
  EXPECT_FALSE(answer.has_value());
  Pass(absl::Milliseconds(1));
  feed_->Tick();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->holds_open(), 0);
  EXPECT_EQ(answer->holds_silent(), 1);
  // A stop answers what is left.
  Follower b = Join("b");
  answer.reset();
  feed_->desk().WaitEnforced({Commit(), "", "", true}, absl::Minutes(5),
                             [&](v1::Receipt receipt) { answer = std::move(receipt); });
  EXPECT_FALSE(answer.has_value());
  Close(a);
  Close(b);
  feed_->Stop();
  EXPECT_TRUE(answer.has_value());
}

TEST_F(FeedTest, AHeadThatTellsOfRevisionsAboveItselfIsDamage) {
  for (const bool compacted : {true, false}) {
    const int64_t head = Commit();
    const absl::StatusOr<Feed::FirstWrite> first = Feed::PrepareStart(options_);
    ASSERT_TRUE(first.ok()) << first.status();
    feed_.reset();
    store::v1::HeadRecord record;
    record.set_revision(head + 1);
    if (compacted) record.set_compacted_revision(head + 2);
    if (!compacted) record.set_last_event_revision(head + 2);
    storage::CommitRequest damage;
    damage.expected_head = head;
    damage.mutations.push_back(
        {storage::Table::kMeta, storage::kHeadKey, storage::SerializeRecord(record)});
    ASSERT_TRUE(engine_.Commit(damage)->committed);
    const absl::Status refused = Feed::Start(options_, &scheduler_, *first).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << refused;
    EXPECT_EQ(base::ReasonOf(refused), "STORE_CORRUPT") << refused;
    // Mended, so that the feed begins again.
    record.Clear();
    record.set_revision(head + 2);
    damage.expected_head = head + 1;
    damage.mutations[0].value = storage::SerializeRecord(record);
    ASSERT_TRUE(engine_.Commit(damage)->committed);
    Start();
  }
}

// Each revision fills much of the ring, as one does into which tokens were brought by the thousand.
TEST_F(FeedTest, AStartReadsNoMoreOfTheStoreThanTheRingHolds) {
  options_.ring.max_bytes = 1 << 20;
  for (int i = 0; i < 500; ++i) Run(std::make_shared<TellOne>(64 << 10));
  const int64_t head = feed_->head();
  Start();
  EXPECT_GT(engine_.tailed_from, head - 200);
  EXPECT_LT(engine_.tailed_from, head - 8) << "what has room is there";
  // A store of small ones is read as far back as was asked for.
  options_.ring.max_bytes = 64 << 20;
  options_.preload_revisions = 450;
  Start();
  EXPECT_EQ(engine_.tailed_from, feed_->head() - 450);
}

// The log's lines while it lives, as the log has them.
class LogLines {
 public:
  LogLines() {
    Lines().clear();
    base::SetLogSink([](base::LogLevel, absl::string_view line) {
      Lines().emplace_back(line);
      return true;
    });
  }
  ~LogLines() { base::SetLogSink(nullptr); }
  std::vector<std::string> Take() { return std::exchange(Lines(), {}); }

 private:
  static std::vector<std::string>& Lines() {  // the feed is driven by this thread alone
    static auto* const lines = new std::vector<std::string>;
    return *lines;
  }
};

TEST_F(FeedTest, TellsTheLogOfItsFleet) {
  LogLines log;
  const auto later = [this](absl::Duration d) {
    Pass(d);
    feed_->Tick();
  };
  Follower a = Join("a");
  later(absl::Seconds(1));
  EXPECT_THAT(log.Take(), Contains(HasSubstr(R"("a validator joined","validator":"a")")));
  later(absl::Seconds(1));
  EXPECT_THAT(log.Take(), IsEmpty());

  Follower other = Connect("other");
  v1::FollowRequest hello = HelloRequest("other", 'a', "", 0);
  hello.mutable_hello()->set_brand(options_.brand + "x");
  other.stream->OnRequest(hello);
  later(absl::Seconds(1));
  EXPECT_THAT(log.Take(), Contains(HasSubstr("token strings of another brand")));

  // Its client has gone without a word.
  Close(a);
  later(absl::Seconds(10));
  EXPECT_THAT(log.Take(), Contains(HasSubstr(R"(a validator is away)")));
  later(absl::Seconds(30));
  EXPECT_THAT(log.Take(), Contains(HasSubstr("lease ran out: it admits nothing")));

  Follower stalled = Join("stalled");
  stalled.wire->stalled_since = clock_.Now();
  later(options_.stall_limit + absl::Seconds(1));
  later(absl::Seconds(1));
  EXPECT_THAT(log.Take(), Contains(AllOf(HasSubstr("a follower was cut"),
                                         HasSubstr("it does not read its stream"))));
}

TEST_F(FeedTest, RefusesOptionsThatBreakARule) {
  const auto refused = [&](const std::function<void(Feed::Options*)>& spoil) {
    Feed::Options options = options_;
    spoil(&options);
    const absl::Status status = Feed::CheckOptions(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    const base::ErrorDetails details = base::DetailsOf(status);
    return details.fields.empty() ? std::string() : details.fields[0].field;
  };
  EXPECT_EQ(refused([](Feed::Options* o) { o->lease = absl::Hours(1); }), "lease");
  EXPECT_EQ(refused([](Feed::Options* o) { o->max_stream_age = absl::Seconds(1); }),
            "max_stream_age");
  EXPECT_EQ(refused([](Feed::Options* o) { o->max_followers = 0; }), "max_followers");
  EXPECT_EQ(refused([](Feed::Options* o) { o->wake_shares = 0; }), "wake_shares");
  EXPECT_EQ(refused([](Feed::Options* o) { o->catch_up_revisions = 0; }), "catch_up_revisions");
  Feed::Options nowhere = options_;
  nowhere.engine = nullptr;
  EXPECT_EQ(Feed::PrepareStart(nowhere).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tollgate::service
