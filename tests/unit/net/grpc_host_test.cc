#include "net/grpc_host.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "net/error.h"
#include "tests/unit/net/edge_server.h"

namespace tollgate::net {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using testing::ElementsAre;

constexpr char kService[] = "tollgate.v1.EdgeService";

GrpcHost::Options On(std::vector<std::string> listen) {
  GrpcHost::Options options;
  options.listen = std::move(listen);
  return options;
}

// A host that serves an EdgeServer's service, and nothing of its listeners.
class GrpcHostTest : public testing::Test {
 protected:
  void Serve(GrpcHost::Options options) {
    absl::StatusOr<std::unique_ptr<GrpcHost>> host = GrpcHost::Bind(std::move(options));
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    host_->AddService(kService, &edge_);
    ASSERT_TRUE(host_->Build().ok());
    host_->health().SetServing(true);
    ASSERT_TRUE(host_->Accept().ok());
  }
  std::shared_ptr<grpc::Channel> Channel(size_t listener = 0) {
    ChannelOptions options;
    options.own_connection = true;
    return MakeChannel(ParseAddress(host_->addresses()[listener]).value(),
                       grpc::InsecureChannelCredentials(), options);
  }
  static absl::StatusOr<int> Check(const std::shared_ptr<grpc::Channel>& channel,
                                   const std::string& name) {
    HealthCheckRequest request;
    HealthCheckResponse response;
    request.set_service(name);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kTestPatience));
    context.set_wait_for_ready(true);
    const grpc::Status status =
        grpc::health::v1::Health::NewStub(channel)->Check(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response.status();
  }
  static grpc::Status Ask(const std::shared_ptr<grpc::Channel>& channel) {
    v1::ResolveResponse response;
    return net::Ask(*v1::EdgeService::NewStub(channel), &response);
  }

  TempFolder folder_;
  EdgeServer edge_;
  std::unique_ptr<GrpcHost> host_;  // gone before what it serves
};

TEST_F(GrpcHostTest, ServesWhereItSaysOnEveryListener) {
  Serve(On({"127.0.0.1:0", "unix:" + (folder_ / "s"), "127.0.0.1:0"}));
  const std::vector<std::string> addresses = host_->addresses();
  ASSERT_EQ(addresses.size(), 3u);
  EXPECT_EQ(addresses[0], absl::StrCat("127.0.0.1:", host_->port()));
  EXPECT_NE(host_->port(), 0);
  EXPECT_EQ(addresses[1], "unix:" + (folder_ / "s"));
  EXPECT_NE(addresses[2], addresses[0]);
  for (size_t i = 0; i < addresses.size(); ++i) {
    EXPECT_TRUE(Ask(Channel(i)).ok()) << addresses[i];
    EXPECT_EQ(Check(Channel(i), kService).value_or(-1), HealthCheckResponse::SERVING);
  }
  EXPECT_EQ(host_->listeners().acceptors().size(), 3u);
}

TEST_F(GrpcHostTest, AUnixSocketAloneHasNoPortAndTheModeAskedFor) {
  GrpcHost::Options options = On({"unix:" + (folder_ / "s")});
  options.socket_mode = 0600;
  Serve(std::move(options));
  EXPECT_EQ(host_->port(), 0);
  struct stat file = {};
  ASSERT_EQ(stat((folder_ / "s").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  EXPECT_TRUE(Ask(Channel()).ok());
}

TEST_F(GrpcHostTest, NobodyIsAnsweredBeforeAccept) {
  host_ = GrpcHost::Bind(On({"127.0.0.1:0"})).value();
  host_->AddService(kService, &edge_);
  ASSERT_TRUE(host_->Build().ok());
  const std::shared_ptr<grpc::Channel> channel = Channel();
  v1::ResolveRequest request;
  v1::ResolveResponse response;
  const auto stub = v1::EdgeService::NewStub(channel);
  {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(100)));
    context.set_wait_for_ready(true);
    EXPECT_EQ(stub->Resolve(&context, request, &response).error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  ASSERT_TRUE(host_->Accept().ok());
  EXPECT_TRUE(Ask(channel).ok()) << "whoever connected before waits, and is answered";
  EXPECT_EQ(Check(channel, kService).value_or(-1), HealthCheckResponse::NOT_SERVING)
      << "until the program says so";
}

TEST_F(GrpcHostTest, ATakenPortIsAnErrorOfBindAndFreesTheOthers) {
  Serve(On({"127.0.0.1:0"}));
  const std::string taken = host_->addresses()[0];
  const std::string socket = "unix:" + (folder_ / "s");
  const absl::Status refused = GrpcHost::Bind(On({socket, taken})).status();
  EXPECT_EQ(base::ReasonOf(refused), "ADDRESS_IN_USE");
  EXPECT_TRUE(absl::StrContains(refused.message(), taken)) << refused;
  EXPECT_TRUE(GrpcHost::Bind(On({socket})).ok()) << "the first one was given back";
  EXPECT_TRUE(Ask(Channel()).ok()) << "who had it goes on";
}

TEST_F(GrpcHostTest, WhatIsWrongIsSaidBeforeAnyAddressIsTaken) {
  const std::string socket = "unix:" + (folder_ / "s");
  EXPECT_EQ(base::ReasonOf(GrpcHost::Bind(On({socket, "nowhere"})).status()), "ADDRESS_INVALID");
  EXPECT_EQ(base::ReasonOf(GrpcHost::Bind(On({socket, "0.0.0.0:0"})).status()),
            "PLAINTEXT_REFUSED");
  GrpcHost::Options half = On({socket});
  half.tls.cert = folder_ / "none.pem";
  EXPECT_EQ(base::ReasonOf(GrpcHost::Bind(std::move(half)).status()), "TLS_FILES_INVALID");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "s"));
  GrpcHost::Options allowed = On({"0.0.0.0:0"});
  allowed.allow_plaintext = true;
  EXPECT_TRUE(GrpcHost::Bind(std::move(allowed)).ok());
}

TEST_F(GrpcHostTest, TheLimitsAreTheOptions) {
  GrpcHost::Options options = On({"127.0.0.1:0"});
  options.limits.max_receive_bytes = 1000;
  Serve(std::move(options));
  v1::ResolveRequest request;
  v1::ResolveResponse response;
  request.set_epoch(std::string(2000, 'x'));
  grpc::ClientContext context;
  EXPECT_EQ(v1::EdgeService::NewStub(Channel())->Resolve(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// gRPC by itself would end the connection, and everybody's calls on it.
TEST_F(GrpcHostTest, TooMuchMetadataEndsItsOwnCallOnly) {
  Serve(On({"127.0.0.1:0"}));
  const std::shared_ptr<grpc::Channel> channel = Channel();
  const auto stub = v1::EdgeService::NewStub(channel);
  grpc::ClientContext follows;
  auto stream = stub->Follow(&follows);
  const auto feed = edge_.Follower(0);
  ASSERT_NE(feed, nullptr);
  for (const size_t bytes : {size_t{15} << 10, size_t{17} << 10, size_t{60} << 10}) {
    v1::ResolveRequest request;
    v1::ResolveResponse response;
    grpc::ClientContext context;
    context.AddMetadata("x-large", std::string(bytes, 'x'));
    const absl::Status status = FromGrpcStatus(stub->Resolve(&context, request, &response));
    EXPECT_EQ(base::ReasonOf(status), bytes < kMostMetadataBytes ? "" : "METADATA_TOO_LARGE")
        << bytes << ": " << status;
    grpc::ClientContext large;
    large.AddMetadata("x-large", std::string(bytes, 'x'));
    if (bytes > kMostMetadataBytes) {
      v1::FollowResponse none;
      auto refused = stub->Follow(&large);
      EXPECT_FALSE(refused->Read(&none));
      EXPECT_EQ(base::ReasonOf(FromGrpcStatus(refused->Finish())), "METADATA_TOO_LARGE");
      HealthCheckResponse first;
      grpc::ClientContext watches;
      watches.AddMetadata("x-large", std::string(bytes, 'x'));
      auto watch =
          grpc::health::v1::Health::NewStub(channel)->Watch(&watches, HealthCheckRequest());
      EXPECT_FALSE(watch->Read(&first));
      EXPECT_EQ(base::ReasonOf(FromGrpcStatus(watch->Finish())), "METADATA_TOO_LARGE");
    }
  }
  // The other one's stream has lived through it.
  v1::FollowRequest ping;
  v1::FollowResponse pong;
  ping.mutable_ping()->set_sequence(7);
  EXPECT_TRUE(stream->Write(ping));
  EXPECT_TRUE(stream->Read(&pong));
  EXPECT_EQ(pong.pong().sequence(), 7u);
  EXPECT_FALSE(feed->peer_gone());
  follows.TryCancel();
  (void)stream->Finish();
}

TEST_F(GrpcHostTest, ADrainTellsTheStoryInOrder) {
  Serve(On({"127.0.0.1:0"}));
  const std::shared_ptr<grpc::Channel> channel = Channel();
  const auto is = [&](const std::string& name) { return Check(channel, name).value_or(-1); };
  EXPECT_EQ(is(""), 1);
  EXPECT_EQ(is(kService), 1);
  EXPECT_EQ(is("readiness"), 1);
  EXPECT_EQ(is("liveness"), 1);
  EXPECT_EQ(Check(channel, "stale").status().code(), absl::StatusCode::kNotFound);
  host_->health().SetServing("stale", false);
  EXPECT_EQ(is("stale"), 2);

  // A stream that would live for ever, and the drain that ends it.
  auto stub = v1::EdgeService::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->Follow(&context);
  auto feed = edge_.Follower(0);
  ASSERT_NE(feed, nullptr);
  std::vector<std::string> told;
  const absl::Time start = absl::Now();
  DrainPlan plan;
  plan.pause = absl::Milliseconds(1);
  plan.end_streams = [&] {
    told.push_back("end_streams");
    EXPECT_EQ(is(""), 2);
    EXPECT_EQ(is("liveness"), 1) << "it stays until streams end";
    EXPECT_TRUE(Ask(channel).ok());
    feed->CloseWhenDrained(absl::OkStatus());
  };
  plan.await_streams = [&](absl::Time deadline) {
    told.push_back("await_streams");
    EXPECT_EQ(is("liveness"), 2) << "health's own streams have ended";
    EXPECT_GT(deadline, absl::Now());
    EXPECT_LE(deadline, absl::Now() + DrainPlan::kStreamPatience);
    EXPECT_TRUE(Ask(Channel()).ok()) << "whoever comes is served while streams end";
  };
  plan.limit = absl::Seconds(15);
  host_->Drain(plan);
  EXPECT_LT(absl::Now() - start, absl::Seconds(14)) << "the end of the streams let it end early";
  EXPECT_THAT(told, ElementsAre("end_streams", "await_streams"));
  v1::FollowResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());

  host_->Drain(plan);
  EXPECT_THAT(told, ElementsAre("end_streams", "await_streams")) << "once";
  EXPECT_EQ(host_->addresses().size(), 1u) << "what it was can still be asked for";
}

TEST_F(GrpcHostTest, ACallUnderWayIsAnsweredWithinTheLimit) {
  absl::Notification begun;
  std::shared_ptr<ResolveCall> held;
  edge_.on_resolve = [&](std::shared_ptr<ResolveCall> call) {
    held = std::move(call);
    begun.Notify();
  };
  Serve(On({"127.0.0.1:0"}));
  grpc::Status ended;
  std::thread caller([&ended, channel = Channel()] { ended = Ask(channel); });
  begun.WaitForNotification();
  DrainPlan plan;
  plan.pause = absl::ZeroDuration();
  plan.limit = kTestPatience;
  plan.await_streams = [&](absl::Time) { held->Reply(v1::ResolveResponse()); };
  host_->Drain(plan);
  caller.join();
  EXPECT_TRUE(ended.ok()) << ended.error_message();
}

TEST_F(GrpcHostTest, APeerThatHasHungHoldsUpNoDrain) {
  Serve(On({"127.0.0.1:0"}));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(static_cast<uint16_t>(host_->port()));
  const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(peer, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  // It begins as HTTP/2 does, with no settings of its own, and says nothing more.
  const std::string hello("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
  ASSERT_EQ(write(peer, hello.data(), hello.size()), static_cast<ssize_t>(hello.size()));
  char c = 0;
  ASSERT_EQ(read(peer, &c, 1), 1) << "the server's settings";
  DrainPlan plan;
  plan.pause = absl::ZeroDuration();
  plan.limit = 10 * kTestPatience;
  const absl::Time start = absl::Now();
  host_->Drain(plan);
  EXPECT_LT(absl::Now() - start, kTestPatience);
  close(peer);
}

TEST_F(GrpcHostTest, WithoutADrainItEndsAtOnce) {
  Serve(On({"127.0.0.1:0", "unix:" + (folder_ / "s")}));
  grpc::ClientContext context;
  auto stream = v1::EdgeService::NewStub(Channel())->Follow(&context);
  ASSERT_NE(edge_.Follower(0), nullptr);
  host_.reset();
  v1::FollowResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(GrpcHostTest, BoundButNeverBuiltItGivesItsAddressesBack) {
  const std::string socket = "unix:" + (folder_ / "s");
  GrpcHost::Bind(On({socket})).value()->Drain(DrainPlan());
  EXPECT_TRUE(GrpcHost::Bind(On({socket})).ok());
}

}  // namespace
}  // namespace tollgate::net
