#include "tollgate/edge.h"

#include <google/protobuf/descriptor.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "base/version.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/allocation_count.h"
#include "tests/unit/validator/embedded/edge_fixture.h"

namespace tollgate::validator {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class EdgeTest : public EmbeddedTest {
 protected:
  void TearDown() override {
    edge_.reset();
    EmbeddedTest::TearDown();
  }
  void StartEdge(edge::Options options) {
    auto started = edge::Edge::Start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.error().message;
    edge_ = std::move(*started);
  }
  void StartBoth() {
    service_.Start(address_);
    StartEdge(Options());
    ASSERT_TRUE(edge_->WaitUntilLive(kLongEnough));
  }
  edge::Decision Ask(const std::string& token_string,
                     const edge::Requirement& requirement = edge::Requirement()) {
    return edge_->CheckBlocking(token_string, requirement, kLongEnough);
  }
  size_t Questions() { return service_.seen().questions.size(); }
  static std::string RefusalOf(const edge::Options& options) {
    auto started = edge::Edge::Start(options);
    return started.ok() ? "started" : started.error().reason;
  }
  static bool Until(const std::function<bool()>& condition) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return true;
  }

  std::unique_ptr<edge::Edge> edge_;
};

TEST_F(EdgeTest, AsksOnceThenAnswersFromMemoryUntilAnEventDropsIt) {
  StartBoth();
  const TestToken token = MakeToken();
  edge::Decision decision;
  EXPECT_FALSE(edge_->Check(token.string, edge::Requirement(), &decision));
  EXPECT_EQ(decision.verdict(), edge::Verdict::kUnavailable) << "a miss is no answer";

  EXPECT_TRUE(Ask(token.string).admitted());
  ASSERT_TRUE(edge_->Check(token.string, edge::Requirement(), &decision));
  EXPECT_TRUE(decision.admitted());
  EXPECT_EQ(decision.reason(), edge::Reason::kNone);
  EXPECT_EQ(Questions(), 1u);

  SetState(token, v1::TOKEN_STATE_REVOKED);
  const int64_t revision = service_.PushChanged("acme", token.id);
  ASSERT_TRUE(Until([&] { return edge_->Status().applied_revision >= revision; }));
  EXPECT_FALSE(edge_->Check(token.string, edge::Requirement(), &decision));
  const edge::Decision after = Ask(token.string);
  EXPECT_EQ(after.verdict(), edge::Verdict::kDeny);
  EXPECT_EQ(after.reason(), edge::Reason::kRevoked);
  EXPECT_FALSE(after.has_identity());
}

TEST_F(EdgeTest, TellsWhomATokenSpeaksForAndWhatItLacks) {
  StartBoth();
  const TestToken token = MakeToken();
  const edge::Decision admitted = Ask(token.string);
  ASSERT_TRUE(admitted.has_identity());
  EXPECT_EQ(admitted.token(), "workspaces/acme/tokens/" + token.id);
  EXPECT_EQ(admitted.workspace(), "acme");
  EXPECT_EQ(admitted.token_id(), token.id);
  EXPECT_EQ(admitted.owner(), "ci");
  ASSERT_EQ(admitted.scope_count(), 2u);
  EXPECT_EQ(admitted.scope(0), "deploy:write");
  EXPECT_EQ(admitted.scope(1), "deploy:read");
  EXPECT_EQ(admitted.scope(2), "");
  EXPECT_EQ(admitted.annotation("team"), "payments");
  EXPECT_EQ(admitted.annotation("note"), "");
  EXPECT_EQ(admitted.annotation("zone"), "eu");
  EXPECT_EQ(admitted.annotation("payments"), "") << "a value is no key";
  EXPECT_EQ(admitted.annotation(""), "");
  EXPECT_EQ(edge::Decision().annotation("team"), "");
  ASSERT_TRUE(admitted.expire_time().has_value());
  EXPECT_EQ(std::chrono::system_clock::to_time_t(*admitted.expire_time()), 4'000'000'000);

  const auto both = edge::Requirement().AllOf({"deploy:write", "deploy:read"});
  EXPECT_TRUE(Ask(token.string, both).admitted());
  const auto either = edge::Requirement().AnyOf({"admin", "deploy:read"});
  EXPECT_TRUE(Ask(token.string, either).admitted());
  auto more = both;
  more.AllOf({"admin"});
  EXPECT_TRUE(Ask(token.string, both).admitted()) << "a copy is of its own";
  const edge::Decision lacks = Ask(token.string, more);
  EXPECT_EQ(lacks.verdict(), edge::Verdict::kDeny);
  EXPECT_EQ(lacks.reason(), edge::Reason::kInsufficientScope);
  EXPECT_EQ(lacks.owner(), "ci");
}

TEST_F(EdgeTest, JudgesAnExpressionAndAWorkspace) {
  StartBoth();
  const TestToken token = MakeToken();
  const auto reason = [&](const edge::Requirement& requirement) {
    return Ask(token.string, requirement).reason();
  };
  const auto both = edge::Requirement().WithExpression("deploy:read AND (admin OR deploy:write)");
  ASSERT_TRUE(both.ok()) << both.error().message;
  EXPECT_EQ(reason(*both), edge::Reason::kNone);
  const auto more = both->WithExpression("deploy:read AND admin");
  ASSERT_TRUE(more.ok());
  EXPECT_EQ(reason(*more), edge::Reason::kInsufficientScope);
  EXPECT_EQ(reason(*both), edge::Reason::kNone) << "a copy is of its own";
  EXPECT_EQ(reason(edge::Requirement(*both).AllOf({"admin"})), edge::Reason::kInsufficientScope)
      << "the lists stand beside it";
  const auto besides = edge::Requirement().AllOf({"admin"}).WithExpression("deploy:read");
  ASSERT_TRUE(besides.ok());
  EXPECT_EQ(reason(*besides), edge::Reason::kInsufficientScope) << "and it beside the lists";

  EXPECT_EQ(reason(edge::Requirement(*both).Workspace("acme")), edge::Reason::kNone);
  for (const char* other : {"globex", "ACME", "workspaces/acme", ""}) {
    edge::Decision decision = Ask(token.string, edge::Requirement(*both).Workspace(other));
    EXPECT_EQ(decision.verdict(), edge::Verdict::kDeny) << other;
    EXPECT_EQ(decision.reason(), edge::Reason::kWrongWorkspace) << other;
    EXPECT_EQ(decision.workspace(), "acme") << "there is proof of who it is: 403";
    EXPECT_EQ(edge::Describe(decision.reason()), "not meant for this workspace");
  }

  for (const char* text : {"a AND b OR c", "", "a b"}) {
    const auto refused = edge::Requirement().WithExpression(text);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.error().code, edge::ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().reason, "SCOPE_EXPRESSION_MALFORMED");
    EXPECT_NE(refused.error().message, "");
  }
}

TEST_F(EdgeTest, AStarMeetsWhatLiesBeneathItsName) {
  StartBoth();
  const auto token_with = [&](const char* scope) {
    const TestToken token = MakeStranger();
    SetState(token, v1::TOKEN_STATE_ACTIVE, 4'000'000'000, {scope});
    return token;
  };
  const TestToken repo = token_with("repo:*");
  const TestToken all = token_with("*");
  const TestToken old = token_with("repo*");  // of before the rule: it keeps what it has
  const auto meets = [&](const TestToken& token, const char* scope) {
    return Ask(token.string, edge::Requirement().AllOf({scope})).admitted();
  };
  EXPECT_TRUE(meets(repo, "repo:read"));
  EXPECT_TRUE(meets(repo, "repo:read:all"));
  EXPECT_TRUE(meets(repo, "repo:*"));
  EXPECT_FALSE(meets(repo, "repo"));
  EXPECT_FALSE(meets(repo, "report:all"));
  EXPECT_FALSE(meets(repo, "*"));
  EXPECT_TRUE(meets(all, "report:all"));
  EXPECT_TRUE(meets(all, "*"));
  EXPECT_TRUE(meets(old, "report:all"));
  EXPECT_FALSE(edge::Requirement().WithExpression("repo:read OR repo*").ok());
}

TEST_F(EdgeTest, DeniesOnProofOnly) {
  StartBoth();
  EXPECT_EQ(Ask("").reason(), edge::Reason::kNoToken);
  EXPECT_EQ(Ask(std::string(100000, 'x')).reason(), edge::Reason::kMalformed);
  const edge::Decision unknown = Ask(MakeStranger().string);
  EXPECT_EQ(unknown.verdict(), edge::Verdict::kDeny);
  EXPECT_EQ(unknown.reason(), edge::Reason::kUnknown);
  EXPECT_EQ(Ask(MakeToken(v1::TOKEN_STATE_SUSPENDED).string).reason(), edge::Reason::kSuspended);
}

// A host that looks at the time itself must not take a token of the year 9999 for one of 1816.
TEST_F(EdgeTest, AnEndBeyondTheHostsClockIsItsLastMoment) {
  StartBoth();
  const auto last = std::chrono::floor<std::chrono::microseconds>(
      std::chrono::system_clock::time_point::max().time_since_epoch());
  for (const int64_t expire : {int64_t{9'246'182'400}, int64_t{253'402'300'799}}) {  // 2263, 9999
    const TestToken token = MakeToken();
    SetState(token, v1::TOKEN_STATE_ACTIVE, expire);
    const edge::Decision admitted = Ask(token.string);
    ASSERT_TRUE(admitted.admitted());
    ASSERT_TRUE(admitted.expire_time().has_value());
    EXPECT_EQ(admitted.expire_time()->time_since_epoch(), last) << expire;
  }
}

TEST_F(EdgeTest, WithoutAServiceEverythingIsUnavailable) {
  StartEdge(Options());
  EXPECT_FALSE(edge_->WaitUntilLive(std::chrono::milliseconds(1)));
  EXPECT_FALSE(edge_->WaitUntilLive(std::chrono::milliseconds(-1)));
  EXPECT_EQ(edge_->Status().state, edge::State::kConnecting);
  const edge::Decision decision = Ask(MakeToken().string);
  EXPECT_EQ(decision.verdict(), edge::Verdict::kUnavailable);
  EXPECT_EQ(decision.reason(), edge::Reason::kNoLease);
  EXPECT_GT(decision.retry_after().count(), 0);
  EXPECT_FALSE(edge_->Stop()) << "nobody heard a goodbye";
}

TEST_F(EdgeTest, TellsWhyItsServiceIsNotReached) {
  StartEdge(Options());
  ASSERT_TRUE(Until([&] { return !edge_->Status().unreached_reason.empty(); }));
  EXPECT_EQ(edge_->Status().unreached_reason, "SOCKET_MISSING");
  EXPECT_EQ(edge_->Status().unreached_why, "there is no such socket");
  service_.Start(address_);
  ASSERT_TRUE(edge_->WaitUntilLive(std::chrono::seconds(30)));
  EXPECT_EQ(edge_->Status().unreached_reason, "");
}

TEST_F(EdgeTest, AFailOpenEdgeGoesOnFromMemoryAndSaysSo) {
  service_.Set([](auto& script) { script.lease = absl::Milliseconds(300); });
  service_.Start(address_);
  edge::Options options = Options();
  options.fail_open = true;
  options.fail_open_for = std::chrono::hours(1);
  StartEdge(options);
  ASSERT_TRUE(edge_->WaitUntilLive(kLongEnough));
  const TestToken token = MakeToken();
  ASSERT_TRUE(Until([&] { return Ask(token.string).admitted(); }));
  service_.Stop();
  ASSERT_TRUE(Until([&] { return edge_->Status().state == edge::State::kFailOpen; }));
  const edge::Decision decision = Ask(token.string);
  EXPECT_TRUE(decision.admitted());
  EXPECT_TRUE(decision.fail_open());
  EXPECT_GE(edge_->Totals().admitted_fail_open, 1);
}

TEST_F(EdgeTest, StopAnswersWhatWaitsAndSaysGoodbye) {
  StartBoth();
  service_.Set([](auto& script) { script.resolve = false; });
  const TestToken token = MakeToken();
  absl::Notification answered;
  edge::Decision answer;
  edge_->CheckAsync(token.string, edge::Requirement(), [&](const edge::Decision& decision) {
    answer = decision;
    answered.Notify();
  });
  ASSERT_TRUE(service_.Wait([](const auto& seen) { return seen.questions.size() == 1; }));
  edge_->Stop();
  ASSERT_TRUE(answered.HasBeenNotified()) << "nothing is left waiting";
  EXPECT_EQ(answer.verdict(), edge::Verdict::kUnavailable);
  EXPECT_EQ(answer.reason(), edge::Reason::kStopped);
  EXPECT_THAT(service_.seen().order, Contains("goodbye"));

  EXPECT_EQ(Ask(token.string).reason(), edge::Reason::kStopped);
  bool called = false;
  edge_->CheckAsync(token.string, edge::Requirement(), [&](const edge::Decision& decision) {
    called = true;
    EXPECT_EQ(decision.reason(), edge::Reason::kStopped);
  });
  EXPECT_TRUE(called);
  EXPECT_EQ(edge_->Status().state, edge::State::kStopped);
  EXPECT_FALSE(edge_->WaitUntilLive(kLongEnough)) << "and does not wait";
  EXPECT_FALSE(edge_->Stop()) << "a second time";
}

TEST_F(EdgeTest, TheServiceTakesTheGoodbyeAndAWaiterIsLetGo) {
  StartEdge(Options());
  std::thread waiter([&] { EXPECT_FALSE(edge_->WaitUntilLive(kLongEnough)); });
  edge_->Stop();
  waiter.join();
}

TEST_F(EdgeTest, AWaitIsBoundedByTheCallerAndByTheTimeout) {
  service_.Start(address_);
  edge::Options options = Options();
  options.resolve_timeout = std::chrono::milliseconds(50);
  StartEdge(options);
  ASSERT_TRUE(edge_->WaitUntilLive(kLongEnough));
  service_.Set([](auto& script) { script.resolve = false; });
  const TestToken token = MakeToken();
  const edge::Decision impatient =
      edge_->CheckBlocking(token.string, edge::Requirement(), std::chrono::milliseconds(1));
  EXPECT_EQ(impatient.reason(), edge::Reason::kTimedOut);
  EXPECT_EQ(impatient.verdict(), edge::Verdict::kUnavailable);
  EXPECT_EQ(Ask(token.string).reason(), edge::Reason::kServiceUnavailable);
}

TEST_F(EdgeTest, ManyThreadsAskOnceAndAStopMeetsThem) {
  StartBoth();
  const TestToken token = MakeToken();
  std::atomic<bool> end{false};
  std::atomic<int64_t> admitted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!end.load()) {
        const edge::Decision decision = Ask(token.string);
        if (decision.admitted()) {
          ++admitted;
        } else {
          EXPECT_EQ(decision.reason(), edge::Reason::kStopped);
          return;
        }
      }
    });
  }
  EXPECT_TRUE(Until([&] { return admitted.load() > 1000; }));
  EXPECT_EQ(Questions(), 1u);
  edge_->Stop();
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EdgeTest, AnAnswerFromMemoryAllocatesNothing) {
  StartBoth();
  const TestToken token = MakeToken();
  edge::Decision decision = Ask(token.string);
  const auto parsed = edge::Requirement()
                          .AllOf({"deploy:write"})
                          .Workspace("acme")
                          .WithExpression("admin OR deploy:read");
  const edge::Requirement& requirement = *parsed;
  ASSERT_TRUE(edge_->Check(token.string, requirement, &decision));
  const int64_t before = AllocationsOnThisThread();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(edge_->Check(token.string, requirement, &decision));
  }
  EXPECT_EQ(AllocationsOnThisThread(), before);
  EXPECT_TRUE(decision.admitted());
}

TEST_F(EdgeTest, CountsAndTells) {
  StartBoth();
  const TestToken token = MakeToken();
  Ask(token.string);
  Ask(token.string);
  Ask("");
  const edge::Totals totals = edge_->Totals();
  EXPECT_EQ(totals.admitted, 2);
  EXPECT_EQ(totals.denied, 1);
  EXPECT_EQ(totals.by_reason[static_cast<size_t>(edge::Reason::kNoToken)], 1);
  EXPECT_EQ(totals.misses, 1);
  EXPECT_EQ(totals.from_memory, 2);
  const edge::Status status = edge_->Status();
  EXPECT_EQ(status.state, edge::State::kLive);
  EXPECT_GT(status.lease_left.count(), 0);
  EXPECT_TRUE(status.following);
  EXPECT_EQ(status.epoch, "e1");
  EXPECT_EQ(status.cached_tokens, 1);
  const std::string metrics = edge_->Metrics();
  EXPECT_THAT(metrics, HasSubstr("tollgate_validator_lease_live 1"));
  EXPECT_THAT(metrics,
              HasSubstr("tollgate_validator_decisions_total{verdict=\"admit\",reason=\"none\"} 2"));
  edge_->Stop();
  EXPECT_EQ(edge_->Totals().admitted, 2) << "also afterwards";
}

TEST_F(EdgeTest, TheHostTakesTheLog) {
  service_.Start(address_);
  std::mutex mu;
  std::vector<std::string> lines;
  edge::Options options = Options();
  options.log = [&](edge::LogLevel, std::string_view line) {
    std::lock_guard<std::mutex> lock(mu);
    lines.emplace_back(line);
  };
  testing::internal::CaptureStderr();
  StartEdge(options);
  ASSERT_TRUE(edge_->WaitUntilLive(kLongEnough));
  Ask(MakeToken().string);
  edge_->Stop();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr("in sync")));
  std::lock_guard<std::mutex> lock(mu);
  EXPECT_THAT(lines, Contains(HasSubstr("in sync")));
  for (const std::string& line : lines) EXPECT_THAT(line, Not(HasSubstr("tgw_")));
}

TEST_F(EdgeTest, RefusesWrongOptionsByReason) {
  const auto with = [this](const std::function<void(edge::Options&)>& change) {
    edge::Options options = Options();
    change(options);
    return RefusalOf(options);
  };
  EXPECT_EQ(with([](auto& o) { o.id = ""; }), "VALIDATOR_ID_MALFORMED");
  EXPECT_EQ(with([](auto& o) { o.service = "nowhere"; }), "ADDRESS_INVALID");
  EXPECT_EQ(with([](auto& o) { o.service = "192.0.2.1:7411"; }), "PLAINTEXT_REFUSED");
  EXPECT_EQ(with([](auto& o) { o.service_ca = "/no/such/file"; }), "TLS_FILES_INVALID");
  EXPECT_EQ(with([](auto& o) { o.brand = "T"; }), "BRAND_MALFORMED");
  EXPECT_EQ(with([](auto& o) { o.drift_bound = 0.2; }), "OUT_OF_RANGE");
  EXPECT_EQ(with([](auto& o) { o.cache_entries = 0; }), "OUT_OF_RANGE");
  EXPECT_EQ(with([](auto& o) { o.unknown_entries = (1 << 24) + 1; }), "OUT_OF_RANGE");
  EXPECT_EQ(with([](auto& o) { o.max_questions = 0; }), "OUT_OF_RANGE");
  EXPECT_EQ(with([](auto& o) { o.max_waiting = 0; }), "OUT_OF_RANGE");
  EXPECT_EQ(with([](auto& o) { o.resolve_timeout = std::chrono::milliseconds(0); }),
            "OUT_OF_RANGE");
  EXPECT_EQ(with([](auto& o) { o.longest_backoff = std::chrono::milliseconds(0); }),
            "OUT_OF_RANGE");
  for (const auto time : {std::chrono::hours(0), std::chrono::hours(25)}) {
    EXPECT_EQ(with([time](auto& o) {
                o.fail_open = true;
                o.fail_open_for = time;
              }),
              "OUT_OF_RANGE");
  }
}

// This program links the same contracts, google.rpc's among them, and gRPC.
TEST_F(EdgeTest, AHostsDescriptorsAreItsOwn) {
  StartBoth();
  EXPECT_TRUE(Ask(MakeToken().string).admitted());
  EXPECT_EQ(google::rpc::ErrorInfo::descriptor()->full_name(), "google.rpc.ErrorInfo");
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const char* name : {"tollgate.v1.FollowRequest", "google.rpc.ErrorInfo"}) {
    EXPECT_NE(pool->FindMessageTypeByName(name), nullptr) << name;
  }
  v1::Hello hello;
  hello.set_validator_id("a");
  EXPECT_THAT(hello.DebugString(), HasSubstr("validator_id: \"a\""));
}

TEST(EdgeWords, AreThere) {
  EXPECT_EQ(edge::Describe(edge::Reason::kRevoked), "revoked");
  EXPECT_THAT(std::string(edge::Describe(edge::Reason::kForked)), HasSubstr("fork"));
  EXPECT_EQ(edge::Version(), base::kVersion);
  std::string secret = "secret";
  edge::Wipe(&secret);
  EXPECT_EQ(secret, "");
}

}  // namespace
}  // namespace tollgate::validator
