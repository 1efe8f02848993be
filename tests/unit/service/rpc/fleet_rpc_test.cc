// ListValidators and the ping interval, over real gRPC, with followers made by hand.
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/executor.h"
#include "service/rpc/last_admits.h"
#include "storage/memory/memory_engine.h"
#include "tests/unit/service/service_fixture.h"

namespace tollgate::service {
namespace {

using tollgate::v1::FollowRequest;
using tollgate::v1::FollowResponse;
using tollgate::v1::ListValidatorsRequest;
using tollgate::v1::ListValidatorsResponse;

// A validator that does what it is told, one step at a time.
class Follower {
 public:
  Follower(const std::unique_ptr<tollgate::v1::EdgeService::Stub>& edge, std::string id)
      : stream_(edge->Follow(&context_)) {
    FollowRequest request;
    request.mutable_hello()->set_validator_id(id);
    request.mutable_hello()->set_incarnation(std::string(16, 'i'));
    request.mutable_hello()->set_version("1.4.0");
    EXPECT_TRUE(stream_->Write(request));
    EXPECT_TRUE(stream_->Read(&welcome_) && welcome_.has_welcome());
  }
  ~Follower() {
    context_.TryCancel();
    stream_->Finish();
  }
  // `said`: what it tells of holds.
  void Ping(const tollgate::v1::Ping& said = {}) {
    FollowRequest request;
    *request.mutable_ping() = said;
    request.mutable_ping()->set_sequence(++sequence_);
    request.mutable_ping()->set_applied_revision(
        applied_ = std::max(applied_, welcome_.welcome().revision()));
    request.mutable_ping()->set_cached_tokens(7);
    EXPECT_TRUE(stream_->Write(request));
    FollowResponse response;
    while (stream_->Read(&response)) {
      if (response.has_events()) applied_ = response.events().revisions().rbegin()->revision();
      if (response.has_pong()) {
        applied_ = response.pong().revision();
        return;
      }
    }
    ADD_FAILURE() << "no Pong";
  }
  void Goodbye() {
    FollowRequest request;
    request.mutable_goodbye();
    EXPECT_TRUE(stream_->Write(request));
    FollowResponse response;
    while (stream_->Read(&response)) {
    }
  }
  absl::Duration ping_interval() const {
    return absl::Seconds(welcome_.welcome().ping_interval().seconds()) +
           absl::Nanoseconds(welcome_.welcome().ping_interval().nanos());
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<FollowRequest, FollowResponse>> stream_;
  FollowResponse welcome_;
  uint64_t sequence_ = 0;
  int64_t applied_ = 0;
};

class FleetTest : public ServiceTest {
 protected:
  ServerOptions Options() override {
    ServerOptions options = ServiceTest::Options();
    options.max_pings_per_second = 1;
    return options;
  }
  ListValidatorsResponse List(ListValidatorsRequest request = {}) {
    ListValidatorsResponse response;
    const absl::Status status = Call(operations_, &Operations::ListValidators, request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }
};

TEST_F(FleetTest, ListsWhoFollows) {
  EXPECT_EQ(List().total_count(), 0);
  EXPECT_NE(List().epoch(), "");
  Follower edge(edge_, "payments/edge-1");
  edge.Ping();
  edge.Ping();  // acknowledges what the Pong said
  ListValidatorsResponse fleet = List();
  EXPECT_EQ(fleet.total_count(), 1);
  EXPECT_EQ(fleet.in_sync_count(), 1);
  ASSERT_EQ(fleet.validators_size(), 1);
  EXPECT_EQ(fleet.validators(0).validator_id(), "payments/edge-1");
  EXPECT_EQ(fleet.validators(0).state(), tollgate::v1::VALIDATOR_STATE_IN_SYNC);
  EXPECT_THAT(fleet.validators(0).address(), testing::HasSubstr("127.0.0.1"));
  EXPECT_EQ(fleet.validators(0).cached_tokens(), 7);
  // Of the incarnation, 16 times 'i', a digest only.
  EXPECT_EQ(fleet.validators(0).instance(), "397d95897a21420c3e0077c6c089b8c5");
  edge.Goodbye();
  EXPECT_EQ(List().total_count(), 0);
  ListValidatorsRequest all;
  all.set_include_released(true);
  EXPECT_EQ(List(all).validators_size(), 1);
}

TEST_F(FleetTest, ARevisionThatIsNotAcknowledgedShows) {
  Follower edge(edge_, "edge-1");
  edge.Ping();
  const std::string name = Create("revoked").token().name();
  tollgate::v1::RevokeTokenRequest revoke;
  revoke.set_name(name);
  tollgate::v1::RevokeTokenResponse revoked;
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeToken, revoke, &revoked).ok());
  ListValidatorsResponse fleet = List();
  ASSERT_EQ(fleet.validators_size(), 1);
  EXPECT_EQ(fleet.validators(0).state(), tollgate::v1::VALIDATOR_STATE_PENDING);
  EXPECT_GE(fleet.validators(0).revisions_behind(), 1);
  EXPECT_LT(fleet.enforced_revision(), revoked.revision());
  // And in the receipt it is unknown when it last admitted it.
  tollgate::v1::GetEnforcementRequest question;
  question.set_revision(revoked.revision());
  question.set_token(name);
  tollgate::v1::Receipt receipt;
  ASSERT_TRUE(Call(operations_, &Operations::GetEnforcement, question, &receipt).ok());
  ASSERT_EQ(receipt.last_admits_size(), 1);
  EXPECT_TRUE(receipt.last_admits(0).unknown());
  edge.Ping();
  edge.Ping();
  ASSERT_TRUE(Call(operations_, &Operations::GetEnforcement, question, &receipt).ok());
  EXPECT_EQ(receipt.state(), tollgate::v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.last_admits_size(), 0) << "acknowledged, and never admitted there";
}

TEST_F(FleetTest, AWaitForHoldsIsOneForEnforcementUnlessItAsksForThem) {
  Follower edge(edge_, "edge-1");
  edge.Ping();
  const std::string name = Create("held").token().name();
  tollgate::v1::RevokeTokenRequest revoke;
  revoke.set_name(name);
  tollgate::v1::RevokeTokenResponse revoked;
  ASSERT_TRUE(Call(tokens_, &Tokens::RevokeToken, revoke, &revoked).ok());
  tollgate::v1::Ping said;
  said.set_open_holds(2);
  tollgate::v1::EndedHolds* ended = said.add_ended_holds();
  ended->set_revision(revoked.revision());
  ended->set_told(1);
  ended->set_closed(1);
  ended->add_unanswered("chat/web-7");
  edge.Ping(said);
  edge.Ping(said);
  EXPECT_EQ(List().validators(0).open_holds(), 2);
  tollgate::v1::WaitEnforcedRequest wait;
  wait.set_revision(revoked.revision());
  tollgate::v1::Receipt receipt;
  ASSERT_TRUE(Call(operations_, &Operations::WaitEnforced, wait, &receipt).ok());
  EXPECT_EQ(receipt.state(), tollgate::v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.holds_open(), 1);
  ASSERT_EQ(receipt.edge_holds_size(), 1);
  EXPECT_EQ(receipt.edge_holds(0).edge(), "edge-1");
  EXPECT_THAT(receipt.edge_holds(0).unanswered(), testing::ElementsAre("chat/web-7"));
  wait.set_holds(true);
  wait.mutable_timeout()->set_nanos(50'000'000);
  const absl::Time before = absl::Now();
  ASSERT_TRUE(Call(operations_, &Operations::WaitEnforced, wait, &receipt).ok());
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(50));
  EXPECT_EQ(receipt.holds_open(), 1);
  ended->set_told(0);
  ended->set_silent(1);
  edge.Ping(said);
  wait.mutable_timeout()->set_seconds(60);
  ASSERT_TRUE(Call(operations_, &Operations::WaitEnforced, wait, &receipt).ok());
  EXPECT_EQ(receipt.holds_open(), 0);
  EXPECT_EQ(receipt.holds_closed(), 1);
  EXPECT_EQ(receipt.holds_silent(), 1);
}

TEST_F(FleetTest, AGrowingFleetIsToldToPingLessOften) {
  std::vector<std::unique_ptr<Follower>> fleet;
  for (int i = 1; i <= 12; ++i) {
    fleet.push_back(std::make_unique<Follower>(edge_, absl::StrCat("edge-", i)));
    // 1 ping a second in all, from 5 s as configured up to a third of the lease.
    EXPECT_EQ(fleet.back()->ping_interval(), absl::Seconds(std::clamp(i, 5, 10))) << i;
  }
}

class AtOnce : public base::Executor {
 public:
  bool Submit(std::function<void()> work) override {
    work();
    return true;
  }
};

// With a token's record goes what was known of its use.
TEST(LastAdmits, OfAPurgedTokenNoHalfIsTold) {
  const auto engine = storage::MemoryEngine::Open().value();
  AtOnce executor;
  RpcDeps deps;
  deps.engine = engine.get();
  deps.reads = &executor;
  deps.evidence = [] { return SilenceEvidence(); };
  tollgate::v1::Receipt receipt;
  tollgate::v1::LastAdmit* known = receipt.add_last_admits();
  known->set_edge("edge-1");
  known->mutable_last_admit_time()->set_seconds(1);
  tollgate::v1::LastAdmit* unknown = receipt.add_last_admits();
  unknown->set_edge("edge-2");
  unknown->set_unknown(true);
  ReceiptQuestion question;
  question.workspace = "acme";
  question.token_id = "4mXp81QzR0aYc7Ld";  // there is no such record
  WithLastAdmits(deps, question, receipt,
                 [&](tollgate::v1::Receipt told) { receipt = std::move(told); });
  ASSERT_EQ(receipt.last_admits_size(), 1);
  EXPECT_EQ(receipt.last_admits(0).edge(), "edge-2");
}

}  // namespace
}  // namespace tollgate::service
