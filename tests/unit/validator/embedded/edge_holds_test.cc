// What an embedded edge holds, and how its host hears of the end.
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/embedded/edge_fixture.h"

namespace tollgate::validator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// For so long a callback waits for what must not come before it has returned.
constexpr absl::Duration kAWhile = absl::Milliseconds(200);

// What a host hears of the ends of its holds.
class Heard {
 public:
  edge::Edge::HoldEnd OnEnd() {
    return [this](edge::Reason reason) {
      absl::MutexLock lock(&mu_);
      reasons_.push_back(reason);
    };
  }
  bool Wait(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto heard = [&]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return reasons_.size() >= count; };
    return mu_.AwaitWithTimeout(absl::Condition(&heard), kPatience);
  }
  std::vector<edge::Reason> reasons() {
    absl::MutexLock lock(&mu_);
    return reasons_;
  }

 private:
  absl::Mutex mu_;
  std::vector<edge::Reason> reasons_ ABSL_GUARDED_BY(mu_);
};

class EdgeHoldsTest : public EmbeddedTest {
 protected:
  void TearDown() override {
    edge_.reset();
    EmbeddedTest::TearDown();
  }
  void StartBoth(const edge::Options& options) {
    service_.Start(address_);
    auto started = edge::Edge::Start(options);
    ASSERT_TRUE(started.ok()) << started.error().message;
    edge_ = std::move(*started);
    ASSERT_TRUE(edge_->WaitUntilLive(kLongEnough));
  }
  void StartBoth() { StartBoth(Options()); }
  edge::Hold Open(const TestToken& token, edge::Edge::HoldEnd on_end = nullptr,
                  const edge::Requirement& needed = edge::Requirement()) {
    auto [decision, hold] = edge_->HoldBlocking(token.string, needed, on_end, kLongEnough);
    EXPECT_TRUE(decision.admitted()) << edge::Describe(decision.reason());
    EXPECT_EQ(decision.token_id(), token.id);
    EXPECT_TRUE(hold.Good());
    EXPECT_EQ(hold.reason(), edge::Reason::kNone);
    return std::move(hold);
  }
  // Something about the token has changed.
  void Change(const TestToken& token, v1::TokenState state, int64_t expire = 4'000'000'000) {
    SetState(token, state, expire);
    service_.PushChanged("acme", token.id);
  }
  bool Until(const std::function<bool()>& condition) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return true;
  }

  Heard heard_;
  std::unique_ptr<edge::Edge> edge_;
};

TEST_F(EdgeHoldsTest, AHoldIsGoodUntilItsTokenIsRevoked) {
  StartBoth();
  const TestToken token = MakeToken();
  const TestToken other = MakeToken();
  edge::Hold hold = Open(token, heard_.OnEnd());
  const edge::Hold others = Open(other, heard_.OnEnd());
  EXPECT_EQ(edge_->Status().open_holds, 2);
  EXPECT_THAT(edge_->Metrics(), HasSubstr("\ntollgate_validator_holds_open 2\n"));

  Change(token, v1::TOKEN_STATE_REVOKED);
  ASSERT_TRUE(heard_.Wait(1));
  EXPECT_FALSE(hold.Good());
  EXPECT_EQ(hold.reason(), edge::Reason::kRevoked);
  EXPECT_TRUE(others.Good());
  hold.Close();
  hold.Close();
  EXPECT_FALSE(hold.Good());
  EXPECT_EQ(hold.reason(), edge::Reason::kNone) << "it holds nothing";
  const edge::Totals totals = edge_->Totals();
  EXPECT_EQ(totals.holds_opened, 2);
  EXPECT_EQ(totals.holds_ended, 1);
  EXPECT_EQ(totals.holds_closed, 0);
  EXPECT_EQ(edge_->Status().open_holds, 1);
  EXPECT_THAT(heard_.reasons(), ElementsAre(edge::Reason::kRevoked));
}

TEST_F(EdgeHoldsTest, WhatIsNotAdmittedIsNotHeld) {
  StartBoth();
  const TestToken token = MakeToken();
  const auto refused = [&](const std::string& token_string, const edge::Requirement& needed) {
    auto [decision, hold] = edge_->HoldBlocking(token_string, needed, heard_.OnEnd(), kLongEnough);
    EXPECT_EQ(decision.verdict(), edge::Verdict::kDeny);
    EXPECT_FALSE(hold.Good());
    return decision;
  };
  const edge::Decision lacks = refused(token.string, edge::Requirement().AllOf({"admin"}));
  EXPECT_EQ(lacks.reason(), edge::Reason::kInsufficientScope);
  EXPECT_EQ(lacks.owner(), "ci");
  EXPECT_EQ(refused("", edge::Requirement()).reason(), edge::Reason::kNoToken);
  EXPECT_EQ(refused(MakeStranger().string, edge::Requirement()).reason(), edge::Reason::kUnknown);
  EXPECT_EQ(edge_->Status().open_holds, 0);
  EXPECT_THAT(heard_.reasons(), IsEmpty());
  EXPECT_FALSE(edge::Hold().Good());
}

TEST_F(EdgeHoldsTest, WhatAHoldNeedsDecides) {
  StartBoth();
  const TestToken token = MakeToken();
  const edge::Hold plain = Open(token, heard_.OnEnd());
  const edge::Hold needs = Open(token, heard_.OnEnd(), edge::Requirement().AllOf({"deploy:write"}));
  const edge::Hold here = Open(token, heard_.OnEnd(), edge::Requirement().Workspace("acme"));
  // A new label, say.
  service_.PushChanged("acme", token.id);
  ASSERT_TRUE(Until([&] { return service_.seen().questions.size() == 2; }));
  ASSERT_TRUE(Until([&] { return edge_->Status().holds_in_doubt == 0; }));
  EXPECT_TRUE(plain.Good() && needs.Good() && here.Good());

  v1::Grant narrow;
  narrow.set_token("workspaces/acme/tokens/" + token.id);
  narrow.set_workspace("acme");
  narrow.set_token_id(token.id);
  narrow.set_state(v1::TOKEN_STATE_ACTIVE);
  narrow.add_scopes("deploy:read");
  narrow.set_create_revision(5);
  service_.AddGrant(token.string, narrow);
  service_.PushChanged("acme", token.id);
  ASSERT_TRUE(heard_.Wait(1));
  EXPECT_EQ(needs.reason(), edge::Reason::kInsufficientScope);
  EXPECT_TRUE(plain.Good() && here.Good());
  EXPECT_THAT(heard_.reasons(), ElementsAre(edge::Reason::kInsufficientScope));
}

TEST_F(EdgeHoldsTest, AHoldEndsWhenItsTokenExpires) {
  StartBoth();
  const TestToken token = MakeToken();
  SetState(token, v1::TOKEN_STATE_ACTIVE, absl::ToUnixSeconds(absl::Now()) + 3);
  const edge::Hold hold = Open(token, heard_.OnEnd());
  ASSERT_TRUE(heard_.Wait(1));
  EXPECT_THAT(heard_.reasons(), ElementsAre(edge::Reason::kExpired));
  EXPECT_FALSE(hold.Good());
}

// Also at a fail-open edge, which goes on to admit.
TEST_F(EdgeHoldsTest, NothingIsHeldWithoutALease) {
  edge::Options options = Options();
  options.fail_open = true;
  service_.Set([](auto& script) { script.lease = absl::Seconds(1); });
  StartBoth(options);
  const TestToken token = MakeToken();
  const edge::Hold hold = Open(token, heard_.OnEnd());
  service_.Set([](auto& script) { script.pong = false; });
  ASSERT_TRUE(heard_.Wait(1));
  EXPECT_THAT(heard_.reasons(), ElementsAre(edge::Reason::kNoLease));
  EXPECT_FALSE(hold.Good());
  EXPECT_EQ(edge::VerdictOf(hold.reason()), edge::Verdict::kUnavailable) << "accuses nobody";

  EXPECT_TRUE(edge_->CheckBlocking(token.string, edge::Requirement(), kLongEnough).admitted());
  const auto [decision, none] =
      edge_->HoldBlocking(token.string, edge::Requirement(), nullptr, kLongEnough);
  EXPECT_EQ(decision.reason(), edge::Reason::kNoLease);
  EXPECT_FALSE(none.Good());
}

// A host that dawdles in one callback does not learn late of other ends.
TEST_F(EdgeHoldsTest, GoodDoesNotWaitForCallbacks) {
  StartBoth();
  const TestToken first = MakeToken();
  const TestToken second = MakeToken();
  absl::Notification asked, release;
  const edge::Hold blocks = Open(first, [&](edge::Reason) {
    asked.Notify();
    release.WaitForNotification();
  });
  const edge::Hold hold = Open(second, heard_.OnEnd());
  Heard closed;
  edge::Hold gone = Open(second, closed.OnEnd());
  Change(first, v1::TOKEN_STATE_REVOKED);
  asked.WaitForNotification();
  Change(second, v1::TOKEN_STATE_SUSPENDED);
  EXPECT_TRUE(Until([&] { return !hold.Good() && !gone.Good(); }));
  EXPECT_EQ(hold.reason(), edge::Reason::kSuspended);
  gone.Close();  // before its turn has come
  // Nor do opens that are waited for, nor pings.
  const TestToken third = MakeToken();
  EXPECT_TRUE(Open(third).Good());
  EXPECT_THAT(heard_.reasons(), IsEmpty());
  release.Notify();
  ASSERT_TRUE(heard_.Wait(1));
  edge_->Stop();
  EXPECT_THAT(closed.reasons(), IsEmpty());
}

TEST_F(EdgeHoldsTest, StopEndsEveryHoldAndWaitsForItsCallbacks) {
  StartBoth();
  const TestToken token = MakeToken();
  absl::Notification stopped, returned;
  bool too_early = false;
  const edge::Hold waits = Open(token, [&](edge::Reason reason) {
    EXPECT_EQ(reason, edge::Reason::kStopped);
    too_early = stopped.WaitForNotificationWithTimeout(kAWhile);
    returned.Notify();
  });
  const edge::Hold hold = Open(token, heard_.OnEnd());
  EXPECT_TRUE(edge_->Stop(kLongEnough)) << "and yet says goodbye";
  stopped.Notify();
  returned.WaitForNotification();
  EXPECT_FALSE(too_early);
  EXPECT_THAT(heard_.reasons(), ElementsAre(edge::Reason::kStopped));
  EXPECT_EQ(hold.reason(), edge::Reason::kStopped);
  const auto [decision, none] = edge_->HoldBlocking(token.string, edge::Requirement(), nullptr);
  EXPECT_EQ(decision.reason(), edge::Reason::kStopped);
  EXPECT_FALSE(none.Good());
}

TEST_F(EdgeHoldsTest, StopAnswersWhatIsBeingOpened) {
  StartBoth();
  service_.Set([](auto& script) { script.resolve = false; });
  const TestToken token = MakeToken();
  std::vector<edge::Reason> answers;
  edge_->HoldAsync(token.string, edge::Requirement(), heard_.OnEnd(),
                   [&](const edge::Decision& decision, edge::Hold hold) {
                     answers.push_back(decision.reason());
                     EXPECT_FALSE(hold.Good());
                   });
  ASSERT_TRUE(service_.Wait([](const auto& seen) { return !seen.questions.empty(); }));
  edge_->Stop();
  EXPECT_THAT(answers, ElementsAre(edge::Reason::kStopped));
  edge_->HoldAsync(
      token.string, edge::Requirement(), nullptr,
      [&](const edge::Decision& decision, edge::Hold) { answers.push_back(decision.reason()); });
  EXPECT_THAT(answers, ElementsAre(edge::Reason::kStopped, edge::Reason::kStopped));
  EXPECT_THAT(heard_.reasons(), IsEmpty());
}

TEST_F(EdgeHoldsTest, AHandleMayOutliveItsEdge) {
  StartBoth();
  const TestToken token = MakeToken();
  edge::Hold hold = Open(token, heard_.OnEnd());
  const edge::Hold kept = Open(token);
  edge_.reset();
  EXPECT_THAT(heard_.reasons(), ElementsAre(edge::Reason::kStopped));
  EXPECT_FALSE(hold.Good());
  EXPECT_EQ(hold.reason(), edge::Reason::kStopped);
  hold.Close();
  EXPECT_FALSE(kept.Good());
}

TEST_F(EdgeHoldsTest, NobodyIsToldOfWhatIsClosed) {
  StartBoth();
  const TestToken token = MakeToken();
  Heard closed;
  auto kept = std::make_shared<int>(7);
  edge::Hold first = Open(token, [&closed, kept](edge::Reason reason) { closed.OnEnd()(reason); });
  edge::Hold second = Open(token, closed.OnEnd());
  const edge::Hold third = Open(token, heard_.OnEnd());
  first.Close();
  EXPECT_EQ(kept.use_count(), 1) << "the callback has gone with it";
  second = edge::Hold();
  EXPECT_EQ(edge_->Totals().holds_closed, 2);
  Change(token, v1::TOKEN_STATE_REVOKED);
  ASSERT_TRUE(heard_.Wait(1));
  EXPECT_THAT(closed.reasons(), IsEmpty());
}

TEST_F(EdgeHoldsTest, CloseWaitsForACallbackOnAnotherThread) {
  StartBoth();
  const TestToken token = MakeToken();
  absl::Notification called, closed, returned;
  bool too_early = false;
  edge::Hold hold = Open(token, [&](edge::Reason) {
    called.Notify();
    too_early = closed.WaitForNotificationWithTimeout(kAWhile);
    returned.Notify();
  });
  Change(token, v1::TOKEN_STATE_REVOKED);
  called.WaitForNotification();
  hold.Close();
  closed.Notify();
  returned.WaitForNotification();
  EXPECT_FALSE(too_early);
}

// The session owns the hold; the callback is the session's last owner.
TEST_F(EdgeHoldsTest, ACallbackMayDestroyItsOwnHandleAndOthers) {
  StartBoth();
  const TestToken token = MakeToken();
  struct Session {
    edge::Hold hold;
    edge::Hold second;
    absl::Notification* gone;
    ~Session() {
      hold.Close();
      second.Close();
      gone->Notify();
    }
  };
  absl::Notification gone;
  auto session = std::make_shared<Session>();
  session->gone = &gone;
  session->second = Open(token, heard_.OnEnd());
  session->hold = Open(token, [owner = session](edge::Reason) mutable { owner.reset(); });
  session.reset();
  Change(token, v1::TOKEN_STATE_REVOKED);
  gone.WaitForNotification();
  EXPECT_TRUE(Until([&] { return edge_->Totals().holds_ended == 2; }));
  EXPECT_TRUE(edge_->Stop(kLongEnough));
}

TEST_F(EdgeHoldsTest, OpensWithoutWaiting) {
  StartBoth();
  const TestToken token = MakeToken();
  std::mutex mu;
  std::vector<std::string> order;
  absl::Notification ended;
  std::optional<edge::Hold> hold;
  edge_->HoldAsync(
      token.string, edge::Requirement(),
      [&](edge::Reason reason) {
        {
          std::lock_guard<std::mutex> lock(mu);
          order.push_back(std::string(edge::Describe(reason)));
        }
        ended.Notify();
      },
      [&](const edge::Decision& decision, edge::Hold opened) {
        EXPECT_TRUE(decision.admitted());
        EXPECT_EQ(decision.workspace(), "acme");
        EXPECT_TRUE(opened.Good());
        // Comes afterwards, although it happens now.
        Change(token, v1::TOKEN_STATE_REVOKED);
        EXPECT_TRUE(Until([&] { return !opened.Good(); }));
        hold = std::move(opened);
        std::lock_guard<std::mutex> lock(mu);
        order.push_back("opened");
      });
  ASSERT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
  EXPECT_THAT(order, ElementsAre("opened", "revoked"));
  hold.reset();

  // A host that does not want it any more lets it go.
  absl::Notification opened;
  const TestToken other = MakeToken();
  edge_->HoldAsync(other.string, edge::Requirement(), heard_.OnEnd(),
                   [&](const edge::Decision&, edge::Hold) { opened.Notify(); });
  ASSERT_TRUE(opened.WaitForNotificationWithTimeout(kPatience));
  EXPECT_TRUE(Until([&] { return edge_->Totals().holds_closed == 1; }));
  EXPECT_THAT(heard_.reasons(), IsEmpty());
}

TEST_F(EdgeHoldsTest, WaitsNoLongerThanItsLimit) {
  StartBoth();
  service_.Set([](auto& script) { script.resolve = false; });
  const TestToken token = MakeToken();
  const auto [decision, hold] = edge_->HoldBlocking(token.string, edge::Requirement(),
                                                    heard_.OnEnd(), std::chrono::milliseconds(10));
  EXPECT_EQ(decision.reason(), edge::Reason::kTimedOut);
  EXPECT_FALSE(hold.Good());
  service_.ReleaseQuestions();
  EXPECT_TRUE(edge_->CheckBlocking(token.string, edge::Requirement(), kLongEnough).admitted());
  EXPECT_EQ(edge_->Status().open_holds, 0) << "nobody waits for it any more";
}

TEST_F(EdgeHoldsTest, HoldsAreBounded) {
  edge::Options options = Options();
  options.max_holds = 2;
  StartBoth(options);
  const TestToken token = MakeToken();
  edge::Hold first = Open(token);
  const edge::Hold second = Open(token);
  const auto refusal = [&] {
    const auto [decision, none] = edge_->HoldBlocking(token.string, edge::Requirement(), nullptr);
    EXPECT_FALSE(none.Good());
    return decision.reason();
  };
  EXPECT_EQ(refusal(), edge::Reason::kOverloaded);
  first.Close();
  first = Open(token);
  EXPECT_EQ(refusal(), edge::Reason::kOverloaded);
  // One that has ended keeps its place until the host has closed it.
  Change(token, v1::TOKEN_STATE_REVOKED);
  EXPECT_TRUE(Until([&] { return !first.Good(); }));
  EXPECT_EQ(refusal(), edge::Reason::kOverloaded);
  first.Close();
  EXPECT_EQ(refusal(), edge::Reason::kRevoked);
}

TEST_F(EdgeHoldsTest, HoldsCanBeOff) {
  edge::Options options = Options();
  options.max_holds = 0;
  StartBoth(options);
  const auto [decision, none] =
      edge_->HoldBlocking(MakeToken().string, edge::Requirement(), nullptr);
  EXPECT_EQ(decision.reason(), edge::Reason::kOverloaded);
  for (const int64_t wrong : {-1, 1'000'001}) {
    options.max_holds = wrong;
    const auto refused = edge::Edge::Start(options);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().reason, "OUT_OF_RANGE");
    EXPECT_THAT(refused.error().message, HasSubstr("max_holds"));
  }
}

TEST_F(EdgeHoldsTest, TheServiceHearsWhatBecameOfThem) {
  StartBoth();
  const TestToken token = MakeToken();
  edge::Hold hold = Open(token, heard_.OnEnd());
  const edge::Hold other = Open(MakeToken());
  EXPECT_TRUE(service_.Wait([](const auto& seen) { return seen.open_holds == 2; }));
  SetState(token, v1::TOKEN_STATE_REVOKED);
  const int64_t revision = service_.PushChanged("acme", token.id);
  const auto is = [&](int64_t told, int64_t closed, std::vector<std::string> unanswered) {
    return service_.Wait([&](const auto& seen) {
      const auto it = seen.of_holds.find(revision);
      return it != seen.of_holds.end() && it->second.told() == told &&
             it->second.closed() == closed &&
             std::vector<std::string>(it->second.unanswered().begin(),
                                      it->second.unanswered().end()) == unanswered;
    });
  };
  EXPECT_TRUE(is(1, 0, {"embedded"})) << "the host has been told, and has not closed it";
  hold.Close();
  EXPECT_TRUE(is(0, 1, {}));
  EXPECT_TRUE(service_.Wait([](const auto& seen) { return seen.open_holds == 1; }));
}

// Whoever opens, closes and is told at the same time: each hold ends at most once, and none is
// left.
TEST_F(EdgeHoldsTest, ManyThreadsHoldAtOnce) {
  StartBoth();
  std::vector<TestToken> tokens;
  for (int i = 0; i < 4; ++i) tokens.push_back(MakeToken());
  std::atomic<int64_t> told{0}, opened{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> hosts;
  for (size_t t = 0; t < 4; ++t) {
    hosts.emplace_back([&, t] {
      std::vector<std::shared_ptr<std::atomic<int>>> ends;
      std::vector<edge::Hold> holds;
      for (size_t i = 0; i < 1500; ++i) {
        auto end = std::make_shared<std::atomic<int>>(0);
        auto [decision, hold] = edge_->HoldBlocking(
            tokens[(t + i) % tokens.size()].string, edge::Requirement(),
            [end, &told](edge::Reason) {
              end->fetch_add(1);
              told.fetch_add(1);
            },
            kLongEnough);
        ends.push_back(end);
        EXPECT_NE(decision.reason(), edge::Reason::kOverloaded);
        if (!decision.admitted()) continue;
        opened.fetch_add(1);
        holds.push_back(std::move(hold));
        if (i % 3 == 0) holds.erase(holds.begin() + static_cast<ptrdiff_t>(i % holds.size()));
      }
      holds.clear();
      for (const auto& end : ends) EXPECT_LE(end->load(), 1);
    });
  }
  std::thread changes([&] {
    for (size_t i = 0; !done.load(); ++i) {
      const TestToken& token = tokens[i % tokens.size()];
      Change(token, v1::TOKEN_STATE_SUSPENDED);
      absl::SleepFor(absl::Milliseconds(10));
      Change(token, v1::TOKEN_STATE_ACTIVE);
      absl::SleepFor(absl::Milliseconds(10));
    }
  });
  for (std::thread& host : hosts) host.join();
  done.store(true);
  changes.join();
  EXPECT_GT(opened.load(), 0);
  EXPECT_EQ(edge_->Status().open_holds, 0);
  const edge::Totals totals = edge_->Totals();
  EXPECT_EQ(totals.holds_opened, opened.load());
  EXPECT_EQ(totals.holds_opened, totals.holds_closed + totals.holds_ended);
  EXPECT_LE(told.load(), totals.holds_ended);
  EXPECT_TRUE(edge_->Stop(kLongEnough));
}

}  // namespace
}  // namespace tollgate::validator
