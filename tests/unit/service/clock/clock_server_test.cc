// R20 with the whole service: its machine's clock is set, before a start and while it runs.
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/types/optional.h"
#include "base/proto_time.h"
#include "prometheus/registry.h"
#include "service/clock/kernel_clock.h"
#include "tests/unit/service/service_fixture.h"

namespace tollgate::service {
namespace {

using tollgate::v1::AuditEntry;
using tollgate::v1::Clock;
using tollgate::v1::Token;

constexpr absl::Duration kDay = absl::Hours(24);

// The machine's clocks, of which the wall clock may be set.
class SettableClock : public base::Clock {
 public:
  base::BootTime Now() const override { return base::SystemClock().Now(); }
  absl::Time WallNow() const override {
    return base::SystemClock().WallNow() + absl::Seconds(wrong_seconds.load());
  }
  std::atomic<int64_t> wrong_seconds = 0;
};

class SettableKernel : public KernelClock {
 public:
  explicit SettableKernel(const base::Clock* clock) : clock_(clock) {}
  absl::optional<absl::Time> Synchronised() const override {
    return synchronised ? absl::optional<absl::Time>(clock_->WallNow()) : absl::nullopt;
  }
  std::string BootId() const override { return boot_id; }
  std::atomic<bool> synchronised = false;
  std::string boot_id = "first";

 private:
  const base::Clock* const clock_;
};

// A validator, as far as a Ping goes.
class PingingEdge {
 public:
  PingingEdge(tollgate::v1::EdgeService::Stub* stub, const std::string& id) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
    stream_ = stub->Follow(&context_);
    tollgate::v1::FollowRequest hello;
    hello.mutable_hello()->set_validator_id(id);
    hello.mutable_hello()->set_incarnation(id + std::string(16 - id.size(), 'i'));
    stream_->Write(hello);
    tollgate::v1::FollowResponse response;
    while (stream_->Read(&response) && !response.has_welcome()) {
    }
    applied_ = response.welcome().revision();
  }
  ~PingingEdge() {
    context_.TryCancel();
    stream_->Finish();
  }
  // Tells its wall clock (unset: as an older one does not); the Pong's time.
  absl::Time Ping(absl::optional<absl::Time> wall) {
    tollgate::v1::FollowRequest request;
    request.mutable_ping()->set_sequence(++sequence_);
    request.mutable_ping()->set_applied_revision(applied_);
    if (wall.has_value()) *request.mutable_ping()->mutable_wall_time() = base::ToProto(*wall);
    stream_->Write(request);
    tollgate::v1::FollowResponse response;
    while (stream_->Read(&response)) {
      if (response.has_pong()) return base::FromProto(response.pong().service_time());
    }
    ADD_FAILURE() << "no Pong";
    return absl::InfinitePast();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientReaderWriter<tollgate::v1::FollowRequest, tollgate::v1::FollowResponse>>
      stream_;
  int64_t applied_ = 0;
  uint64_t sequence_ = 0;
};

class ClockServerTest : public ServiceTest {
 protected:
  // The server goes before the clocks that it was given.
  ~ClockServerTest() override { server_.reset(); }
  ServerOptions Options() override {
    ServerOptions options = ServiceTest::Options();
    options.clock = &clock_;
    options.kernel = &kernel_;
    return options;
  }
  void SetWrong(absl::Duration by) { clock_.wrong_seconds = absl::ToInt64Seconds(by); }
  static absl::Time True() { return base::SystemClock().WallNow(); }

  absl::StatusOr<Token> CreateFor(absl::Duration lifetime) {
    tollgate::v1::CreateTokenRequest request;
    request.set_parent("workspaces/acme");
    request.mutable_token()->set_label("deploy");
    *request.mutable_lifetime() = base::ToProto(lifetime);
    tollgate::v1::CreateTokenResponse response;
    const absl::Status status = Call(tokens_, &Tokens::CreateToken, request, &response);
    if (!status.ok()) return status;
    return response.token();
  }
  // One that expires then.
  Token CreateUntil(absl::Time expire) {
    tollgate::v1::CreateTokenRequest request;
    request.set_parent("workspaces/acme");
    request.mutable_token()->set_label("short");
    *request.mutable_token()->mutable_expire_time() = base::ToProto(expire);
    tollgate::v1::CreateTokenResponse response;
    const absl::Status status = Call(tokens_, &Tokens::CreateToken, request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response.token();
  }
  std::vector<tollgate::v1::TokenState> Listed() {
    tollgate::v1::ListTokensRequest request;
    request.set_parent("workspaces/acme");
    tollgate::v1::ListTokensResponse response;
    EXPECT_TRUE(Call(tokens_, &Tokens::ListTokens, request, &response).ok());
    std::vector<tollgate::v1::TokenState> states;
    for (const Token& token : response.tokens()) states.push_back(token.state());
    return states;
  }
  Clock GetClock() {
    Clock clock;
    EXPECT_TRUE(
        Call(operations_, &Operations::GetClock, tollgate::v1::GetClockRequest(), &clock).ok());
    return clock;
  }
  absl::Status Accept(absl::Time wall) {
    tollgate::v1::AcceptClockRequest request;
    *request.mutable_wall_time() = base::ToProto(wall);
    tollgate::v1::AcceptClockResponse response;
    return Call(operations_, &Operations::AcceptClock, request, &response);
  }
  std::vector<AuditEntry> Audit() {
    tollgate::v1::ListAuditEntriesRequest request;
    request.set_page_size(1000);
    tollgate::v1::ListAuditEntriesResponse response;
    EXPECT_TRUE(Call(operations_, &Operations::ListAuditEntries, request, &response).ok());
    return {response.entries().begin(), response.entries().end()};
  }
  // The audit log once it holds such an entry.
  std::vector<AuditEntry> AuditWith(const std::string& action, const std::string& resource = "") {
    const absl::Time until = absl::Now() + absl::Seconds(30);
    std::vector<AuditEntry> entries;
    while (absl::Now() < until) {
      entries = Audit();
      for (const AuditEntry& entry : entries) {
        if (entry.action() == action && (resource.empty() || entry.resource() == resource)) {
          return entries;
        }
      }
    }
    ADD_FAILURE() << "no " << action;
    return entries;
  }
  // The sweep has come by, and has ended what is over.
  void AwaitSweep() {
    const Token token =
        CreateUntil(base::FromProto(GetClock().service_time()) + absl::Milliseconds(100));
    AuditWith("token.expire", token.name());
  }
  void AwaitDoubt(tollgate::v1::ClockDoubt doubt) {
    const absl::Time until = absl::Now() + absl::Seconds(30);
    while (GetClock().doubt() != doubt && absl::Now() < until) {
    }
    EXPECT_EQ(GetClock().doubt(), doubt);
  }
  double Metric(const std::string& name) {
    for (const auto& family : server_->registry()->Collect()) {
      if (family.name == name) return family.metric.at(0).gauge.value;
    }
    ADD_FAILURE() << "no metric " << name;
    return -1;
  }

  SettableClock clock_;
  SettableKernel kernel_{&clock_};
};

void ExpectInOrder(const std::vector<AuditEntry>& entries) {
  for (size_t i = 1; i < entries.size(); ++i) {
    EXPECT_LE(base::FromProto(entries[i - 1].time()), base::FromProto(entries[i].time()))
        << entries[i].DebugString();
  }
}

TEST_F(ClockServerTest, AStepAheadEndsNothing) {
  const absl::StatusOr<Token> token = CreateFor(90 * kDay);
  ASSERT_TRUE(token.ok()) << token.status();
  PingingEdge edge(edge_.get(), "edge-1");
  edge.Ping(absl::nullopt);

  SetWrong(400 * kDay);
  EXPECT_EQ(Get(token->name()).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_THAT(Listed(), testing::ElementsAre(tollgate::v1::TOKEN_STATE_ACTIVE));
  const absl::Time told = edge.Ping(absl::nullopt);
  EXPECT_LE(told, True()) << "what edges judge expiry by";
  AwaitSweep();
  EXPECT_EQ(Get(token->name()).state(), tollgate::v1::TOKEN_STATE_ACTIVE);

  const std::vector<AuditEntry> audit = AuditWith("clock.doubt");
  EXPECT_EQ(audit.back().action(), "clock.doubt");
  EXPECT_EQ(Metric("tollgate_clock_in_doubt"), 1);
  EXPECT_NEAR(Metric("tollgate_clock_offset_seconds"), absl::ToDoubleSeconds(400 * kDay), 60);
  SetWrong(absl::ZeroDuration());
  ExpectInOrder(AuditWith("clock.trust"));
  EXPECT_EQ(Metric("tollgate_clock_in_doubt"), 0);
  EXPECT_EQ(Get(token->name()).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
}

TEST_F(ClockServerTest, InDoubtWhatIsReckonedFromNowIsRefusedAndRevokingWorks) {
  const Token token = *CreateFor(90 * kDay);
  SetWrong(-5 * 365 * kDay);
  AwaitDoubt(tollgate::v1::CLOCK_DOUBT_STEPPED);
  const absl::StatusOr<Token> refused = CreateFor(kDay);
  EXPECT_EQ(base::ReasonOf(refused.status()), "CLOCK_IN_DOUBT");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()),
              testing::AllOf(testing::HasSubstr("a lifetime"),
                             testing::HasSubstr("tollgate clock accept")));
  tollgate::v1::RotateTokenRequest rotate;
  rotate.set_name(token.name());
  rotate.mutable_retire_plan()->set_by_hand(true);
  tollgate::v1::RotateTokenResponse rotated;
  EXPECT_EQ(base::ReasonOf(Call(tokens_, &Tokens::RotateToken, rotate, &rotated)), "CLOCK_IN_DOUBT")
      << "the replacement would live as long as the token did, from now";
  EXPECT_FALSE(Create("without an end").token_string().empty());
  tollgate::v1::RevokeTokenRequest revoke;
  revoke.set_name(token.name());
  tollgate::v1::RevokeTokenResponse revoked;
  EXPECT_TRUE(Call(tokens_, &Tokens::RevokeToken, revoke, &revoked).ok());
  SetWrong(absl::ZeroDuration());
  AwaitDoubt(tollgate::v1::CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_TRUE(CreateFor(kDay).ok());
}

TEST_F(ClockServerTest, AStartFarAheadEndsNothingAndEndsByTheKernel) {
  const Token token = *CreateFor(90 * kDay);
  SetWrong(400 * kDay);
  kernel_.boot_id = "second";
  RestartServer();
  EXPECT_EQ(GetClock().doubt(), tollgate::v1::CLOCK_DOUBT_AHEAD_OF_STORE);
  AwaitSweep();
  EXPECT_EQ(Get(token.name()).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  {
    PingingEdge edge(edge_.get(), "edge-1");
    const absl::Time told = edge.Ping(absl::nullopt);
    EXPECT_LE(told, True());
  }
  // A time daemon sets it right.
  SetWrong(absl::ZeroDuration());
  kernel_.synchronised = true;
  AwaitDoubt(tollgate::v1::CLOCK_DOUBT_UNSPECIFIED);
  ExpectInOrder(AuditWith("clock.trust"));
  EXPECT_EQ(Get(token.name()).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
}

TEST_F(ClockServerTest, AStartOnTheSameBootKnowsALesserStep) {
  const Token token = *CreateFor(absl::Hours(12));
  SetWrong(kDay);  // less than a service may be off for
  RestartServer();
  EXPECT_EQ(GetClock().doubt(), tollgate::v1::CLOCK_DOUBT_STEPPED);
  AwaitSweep();
  EXPECT_EQ(Get(token.name()).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  kernel_.boot_id = "second";
  RestartServer();
  EXPECT_EQ(GetClock().doubt(), tollgate::v1::CLOCK_DOUBT_SINCE_BEFORE_START);
  AwaitSweep();
  EXPECT_EQ(Get(token.name()).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
}

TEST_F(ClockServerTest, AStartYearsBackKeepsTheAuditLogInOrder) {
  Create("first");
  SetWrong(-5 * 365 * kDay);
  kernel_.boot_id = "second";
  RestartServer();
  EXPECT_EQ(GetClock().doubt(), tollgate::v1::CLOCK_DOUBT_BEHIND_STORE);
  Create("second");
  ExpectInOrder(AuditWith("clock.doubt"));
}

TEST_F(ClockServerTest, AnOperatorAcceptsWhatWasShown) {
  SetWrong(400 * kDay);
  AwaitDoubt(tollgate::v1::CLOCK_DOUBT_STEPPED);
  EXPECT_EQ(base::ReasonOf(Accept(True())), "CLOCK_TIME_DIFFERS");
  EXPECT_TRUE(Accept(base::FromProto(GetClock().wall_time())).ok());
  EXPECT_EQ(GetClock().doubt(), tollgate::v1::CLOCK_DOUBT_UNSPECIFIED);
  EXPECT_GT(base::FromProto(GetClock().service_time()), True() + 399 * kDay);
  EXPECT_EQ(base::ReasonOf(Accept(True())), "CLOCK_NOT_IN_DOUBT");
  std::vector<std::string> actions;
  for (const AuditEntry& entry : AuditWith("clock.trust")) actions.push_back(entry.action());
  EXPECT_THAT(actions, testing::IsSupersetOf({"clock.doubt", "clock.accept", "clock.trust"}));
  EXPECT_TRUE(CreateFor(kDay).ok());

  tollgate::v1::AcceptClockResponse response;
  EXPECT_EQ(base::ReasonOf(Call(operations_, &Operations::AcceptClock,
                                tollgate::v1::AcceptClockRequest(), &response)),
            "WALL_TIME_REQUIRED");
}

TEST_F(ClockServerTest, TwoOfThreeEdgesRaiseADoubtAndEndIt) {
  PingingEdge one(edge_.get(), "edge-1"), two(edge_.get(), "edge-2"), three(edge_.get(), "edge-3");
  one.Ping(True() + absl::Hours(3));
  two.Ping(True() + absl::Hours(3));
  EXPECT_LT(absl::AbsDuration(three.Ping(True()) - True()), absl::Seconds(30))
      << "it moves no time";
  AwaitDoubt(tollgate::v1::CLOCK_DOUBT_EDGES_DISAGREE);
  EXPECT_EQ(GetClock().edge_count(), 3);
  EXPECT_EQ(GetClock().agreeing_edge_count(), 1);
  one.Ping(True());
  three.Ping(True());
  AwaitDoubt(tollgate::v1::CLOCK_DOUBT_UNSPECIFIED);
}

}  // namespace
}  // namespace tollgate::service
