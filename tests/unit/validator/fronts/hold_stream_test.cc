// ValidationService.Hold over the wire, in front of a core whose service the test plays.
#include "validator/fronts/hold_stream.h"

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "net/error.h"
#include "tests/unit/validator/fronts/played_edge.h"
#include "validator/fronts/native.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long

constexpr absl::Duration kPatience = absl::Seconds(30);

class OneServiceHost : public FrontHost {
 public:
  explicit OneServiceHost(grpc::ServerBuilder* builder) : builder_(*builder) {}
  void AddGrpcService(grpc::Service* service, const std::string& /*health_name*/) override {
    builder_.RegisterService(service);
  }

 private:
  grpc::ServerBuilder& builder_;
};

// A holder, which reads when the test says so.
class Client {
 public:
  explicit Client(ValidationService::Stub* stub) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    stream_ = stub->Hold(&context_);
  }
  void Open(uint64_t id, const std::string& token, const Requirement& requirement = {}) {
    HoldRequest request;
    request.mutable_open()->set_hold_id(id);
    request.mutable_open()->set_token_string(token);
    *request.mutable_open()->mutable_requirement() = requirement;
    stream_->Write(request);
  }
  void Renew(uint64_t sequence) {
    HoldRequest request;
    request.mutable_renew()->set_sequence(sequence);
    stream_->Write(request);
  }
  void Closed(uint64_t id) {
    HoldRequest request;
    request.mutable_closed()->set_hold_id(id);
    stream_->Write(request);
  }
  void Write(const HoldRequest& request) { stream_->Write(request); }
  HoldResponse Read() {
    HoldResponse response;
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }
  absl::Status End() {
    stream_->WritesDone();
    return Ended();
  }
  // How the other side ends the stream by itself. (Had this side said that it will write no more,
  // that might come first, and would be an end in order.)
  absl::Status Ended() {
    HoldResponse response;
    while (stream_->Read(&response)) {
    }
    return net::FromGrpcStatus(stream_->Finish());
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<HoldRequest, HoldResponse>> stream_;
};

class HoldStreamTest : public ::testing::Test {
 protected:
  HoldStreamTest() : front_(edge_.validator(), &clock_) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    OneServiceHost host(&builder);
    front_.RegisterOn(&host);
    server_ = builder.BuildAndStart();
    stub_ = ValidationService::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  }
  ~HoldStreamTest() override { server_->Shutdown(absl::ToChronoTime(absl::Now())); }

  void Revoke(const std::string& token) {
    edge_.Revoke(token);
    edge_.validator()->Settle();
  }
  HoldTotals Totals() { return edge_.validator()->holds().Totals(); }
  // The error by which a stream ends that sends `request`.
  absl::Status Refused(const HoldRequest& request) {
    Client client(stub_.get());
    client.Write(request);
    return client.End();
  }

  // Waits until that is so.
  static void Until(const std::function<bool()>& so) {
    const absl::Time end = absl::Now() + kPatience;
    while (!so() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
    EXPECT_TRUE(so());
  }

  HandClock clock_;  // of stalls
  PlayedEdge edge_;
  NativeFront front_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ValidationService::Stub> stub_;
};

TEST_F(HoldStreamTest, FirstTheVerdictThenHowLongThenTheEnd) {
  const std::string token = edge_.Mint();
  Client client(stub_.get());
  client.Open(7, token);
  const HoldResponse opened = client.Read();
  EXPECT_EQ(opened.opened().hold_id(), 7u);
  EXPECT_EQ(opened.opened().verdict().verdict(), VERDICT_ADMIT);
  EXPECT_EQ(opened.opened().verdict().identity().workspace(), "acme");
  EXPECT_GT(base::FromProto(opened.opened().good_for()), absl::Seconds(29));
  client.Renew(1);
  const HoldResponse good_for = client.Read();
  EXPECT_EQ(good_for.good_for().sequence(), 1u);
  EXPECT_GT(base::FromProto(good_for.good_for().length()), absl::Seconds(29));
  Revoke(token);
  const HoldResponse ended = client.Read();
  EXPECT_EQ(ended.ended().hold_id(), 7u);
  EXPECT_EQ(ended.ended().reason(), VERDICT_REASON_REVOKED);
  EXPECT_NE(ended.ended().description(), "");
  client.Closed(7);
  EXPECT_TRUE(client.End().ok());
  EXPECT_EQ(front_.totals().admitted, 1);
  EXPECT_EQ(Totals().open, 0);
}

TEST_F(HoldStreamTest, ARefusalSaysWhyAndTheStreamGoesOn) {
  const std::string token = edge_.Mint();
  Client client(stub_.get());
  Requirement needed;
  needed.set_scope_expression("deploy:write AND deploy:read");
  client.Open(1, token, needed);
  HoldResponse response = client.Read();
  EXPECT_EQ(response.opened().verdict().reason(), VERDICT_REASON_INSUFFICIENT_SCOPE);
  EXPECT_FALSE(response.opened().has_good_for());
  needed.Clear();
  needed.set_workspace("other");
  client.Open(2, token, needed);
  response = client.Read();
  EXPECT_EQ(response.opened().verdict().reason(), VERDICT_REASON_WRONG_WORKSPACE);
  client.Open(3, std::string(5000, 'x'));
  EXPECT_EQ(client.Read().opened().verdict().reason(), VERDICT_REASON_MALFORMED);
  client.Open(4, token);
  EXPECT_EQ(client.Read().opened().verdict().verdict(), VERDICT_ADMIT);
  EXPECT_TRUE(client.End().ok());
  EXPECT_EQ(front_.totals().denied, 3);
}

TEST_F(HoldStreamTest, AVerdictThatWaitsForTheServiceHoldsUpNothing) {
  const std::string known = edge_.Mint();
  const std::string token = edge_.Mint();
  Client client(stub_.get());
  client.Open(1, known);
  client.Read();
  edge_.Hold();
  client.Open(2, token);
  client.Open(3, known);
  EXPECT_EQ(client.Read().opened().hold_id(), 3u);
  client.Renew(1);
  EXPECT_EQ(client.Read().good_for().sequence(), 1u);
  edge_.AnswerAll();
  EXPECT_EQ(client.Read().opened().hold_id(), 2u);
  EXPECT_TRUE(client.End().ok());
}

TEST_F(HoldStreamTest, WhoeverHasLostCountIsToldWhichFieldIsWrong) {
  HoldRequest request;
  EXPECT_EQ(base::ReasonOf(Refused(request)), "MALFORMED_REQUEST");
  request.mutable_renew()->set_sequence(2);
  absl::Status refused = Refused(request);
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(refused), "RENEW_OUT_OF_SEQUENCE");
  ASSERT_EQ(base::DetailsOf(refused).fields.size(), 1u);
  EXPECT_EQ(base::DetailsOf(refused).fields[0].field, "renew.sequence");
  request.mutable_closed()->set_hold_id(1);
  EXPECT_EQ(base::ReasonOf(Refused(request)), "HOLD_ID_UNKNOWN");
  request.mutable_open()->set_hold_id(0);
  EXPECT_EQ(base::ReasonOf(Refused(request)), "HOLD_ID_NOT_GROWING");
  request.mutable_open()->set_hold_id(1);
  for (int i = 0; i < 100; ++i) request.mutable_open()->mutable_requirement()->add_any_scopes("a");
  refused = Refused(request);
  EXPECT_EQ(base::ReasonOf(refused), "REQUIREMENT_TOO_LARGE");
  EXPECT_EQ(base::DetailsOf(refused).fields[0].field, "open.requirement.any_scopes");
  request.mutable_open()->clear_requirement();
  request.mutable_open()->set_client_address("chat.example");
  refused = Refused(request);
  EXPECT_EQ(base::ReasonOf(refused), "CLIENT_ADDRESS_MALFORMED");
  EXPECT_EQ(base::DetailsOf(refused).fields[0].field, "open.client_address");
  request.mutable_open()->set_token_string(std::string(kLongestHoldRequest, 'x'));
  EXPECT_EQ(base::ReasonOf(Refused(request)), "REQUEST_TOO_LARGE");
  EXPECT_EQ(front_.totals().refused, 7);
}

TEST_F(HoldStreamTest, AHolderSaysWhoItIsFirstAndOnlyFirst) {
  HoldRequest hello;
  hello.mutable_hello()->set_holder("chat/web-7");
  Client client(stub_.get());
  client.Write(hello);
  client.Open(1, edge_.Mint());
  EXPECT_EQ(client.Read().opened().verdict().verdict(), VERDICT_ADMIT);
  client.Write(hello);
  const absl::Status twice = client.Ended();
  EXPECT_EQ(base::ReasonOf(twice), "HELLO_NOT_FIRST");
  EXPECT_EQ(base::DetailsOf(twice).fields.at(0).field, "hello");
  for (const std::string& name :
       {std::string(), std::string("chat web"), std::string(129, 'a'), std::string("chat\n7")}) {
    hello.mutable_hello()->set_holder(name);
    const absl::Status refused = Refused(hello);
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(base::ReasonOf(refused), "HOLDER_MALFORMED") << name;
    EXPECT_EQ(base::DetailsOf(refused).fields.at(0).field, "hello.holder");
  }
  hello.mutable_hello()->set_holder(edge_.Mint());
  EXPECT_EQ(base::ReasonOf(Refused(hello)), "CONTAINS_TOKEN_STRING");
  hello.mutable_hello()->set_holder(std::string(128, 'a'));
  EXPECT_TRUE(Refused(hello).ok());
}

TEST_F(HoldStreamTest, WithTheStreamItsHoldsAreGone) {
  const std::string token = edge_.Mint();
  auto client = std::make_unique<Client>(stub_.get());
  client->Open(1, token);
  client->Read();
  EXPECT_EQ(Totals().open, 1);
  EXPECT_EQ(Totals().holders, 1);
  EXPECT_TRUE(client->End().ok());
  server_->Shutdown(absl::ToChronoTime(absl::Now() + kPatience));  // waits for the reactor's end
  EXPECT_EQ(Totals().open, 0);
  EXPECT_EQ(Totals().holders, 0);
}

TEST_F(HoldStreamTest, AnEdgeThatGoesEndsItsHoldsAndThenTheStream) {  // R4
  Client client(stub_.get());
  client.Open(1, edge_.Mint());
  client.Read();
  edge_.validator()->StopAdmitting();
  EXPECT_EQ(client.Read().ended().reason(), VERDICT_REASON_SERVICE_UNAVAILABLE);
  client.Closed(1);  // until then the stream is there for the answer
  const absl::Status status = client.Ended();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::ReasonOf(status), "DRAINING");
}

TEST_F(HoldStreamTest, AHolderThatTakesNothingForHalfAMinuteIsCutOff) {
  const std::string token = edge_.Mint([](Grant* grant) {
    for (char c = 'a'; c < 'e'; ++c) grant->add_scopes(std::string(128, c));
  });
  // More than a transport takes for a holder that does not read, and less than what may wait: small
  // messages of many holds.
  constexpr int64_t kHolds = 10'000;
  Client client(stub_.get());
  for (int64_t id = 1; id <= kHolds; ++id) client.Open(static_cast<uint64_t>(id), token);
  Until([&] { return Totals().opened == kHolds; });
  clock_.Advance(absl::Seconds(29));
  client.Open(kHolds + 1, token);
  Until([&] { return Totals().opened == kHolds + 1; });
  EXPECT_EQ(Totals().holders, 1);
  clock_.Advance(absl::Seconds(2));
  client.Open(kHolds + 2, token);
  Until([&] { return Totals().holders == 0; });
  EXPECT_EQ(client.Ended().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace tollgate::validator
