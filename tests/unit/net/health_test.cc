#include "net/health.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "net/daemon.h"
#include "tests/unit/net/edge_server.h"

namespace tollgate::net {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using Stub = grpc::health::v1::Health::Stub;

// One client's watch.
class Watch {
 public:
  Watch(Stub& stub, const std::string& name) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + kTestPatience));
    context_.set_wait_for_ready(true);
    HealthCheckRequest request;
    request.set_service(name);
    reader_ = stub.Watch(&context_, request);
  }
  // The next state; -1 when the stream has ended.
  int Next() {
    HealthCheckResponse response;
    return reader_->Read(&response) ? static_cast<int>(response.status()) : -1;
  }
  // How it ended.
  absl::Status End() { return FromGrpcStatus(reader_->Finish()); }
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
};

class HealthTest : public testing::Test {
 protected:
  void Serve(int max_watchers = Health::kMaxWatchers) {
    EnableReflection();
    health_ =
        std::make_unique<Health>(std::vector<std::string>{"a.Service", "b.Service"}, max_watchers);
    grpc::ServerBuilder builder;
    health_->RegisterWith(builder);
    Acceptor::Options options;
    options.address = ParseAddress("127.0.0.1:0").value();
    auto acceptor = listeners_.Add(builder, options, grpc::InsecureServerCredentials());
    ASSERT_TRUE(acceptor.ok()) << acceptor.status();
    address_ = (*acceptor)->address();
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    ASSERT_TRUE(listeners_.Start().ok());
    channel_ = MakeChannel(address_, grpc::InsecureChannelCredentials());
    stub_ = grpc::health::v1::Health::NewStub(channel_);
  }
  void TearDown() override {
    listeners_.StopAccepting();
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::system_clock::now());
      server_->Wait();
    }
  }
  absl::StatusOr<int> Check(const std::string& name) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kTestPatience));
    context.set_wait_for_ready(true);
    HealthCheckRequest request;
    HealthCheckResponse response;
    request.set_service(name);
    const grpc::Status status = stub_->Check(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return static_cast<int>(response.status());
  }
  int State(const std::string& name) { return Check(name).value_or(-1); }

  std::unique_ptr<Health> health_;
  GrpcListeners listeners_;
  Address address_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
};

constexpr int kServing = HealthCheckResponse::SERVING;
constexpr int kNotServing = HealthCheckResponse::NOT_SERVING;
constexpr int kServiceUnknown = HealthCheckResponse::SERVICE_UNKNOWN;

TEST(HealthContract, IsTheOneThatEveryClientKnows) {
  EXPECT_EQ(HealthCheckResponse::UNKNOWN, 0);
  EXPECT_EQ(kServing, 1);
  EXPECT_EQ(kNotServing, 2);
  EXPECT_EQ(kServiceUnknown, 3);
  HealthCheckRequest request;
  request.set_service("x");
  EXPECT_EQ(request.SerializeAsString(), std::string("\x0a\x01x"));
  HealthCheckResponse response;
  response.set_status(HealthCheckResponse::SERVING);
  EXPECT_EQ(response.SerializeAsString(), std::string("\x08\x01"));
  // What reflection reads.
  const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
      "grpc.health.v1.Health");
  ASSERT_NE(service, nullptr);
  ASSERT_EQ(service->method_count(), 2);
  EXPECT_EQ(service->method(0)->full_name(), "grpc.health.v1.Health.Check");
  EXPECT_EQ(service->method(1)->full_name(), "grpc.health.v1.Health.Watch");
  EXPECT_TRUE(service->method(1)->server_streaming());
}

TEST_F(HealthTest, CheckTellsEachName) {
  Serve();
  for (const char* name : {"", "a.Service", "b.Service", "readiness"}) {
    EXPECT_EQ(State(name), kNotServing) << name;
  }
  EXPECT_EQ(State("liveness"), kServing);
  health_->SetServing(true);
  for (const char* name : {"", "a.Service", "b.Service", "readiness", "liveness"}) {
    EXPECT_EQ(State(name), kServing) << name;
  }
  health_->SetServing("b.Service", false);
  EXPECT_EQ(State("b.Service"), kNotServing);
  EXPECT_EQ(State("a.Service"), kServing);

  const absl::Status unknown = Check("c.Service").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(base::ReasonOf(unknown), "HEALTH_NAME_UNKNOWN");
  health_->SetServing("c.Service", true);
  EXPECT_EQ(State("c.Service"), kServing);

  const std::string longest(Health::kMaxNameBytes, 'x');
  EXPECT_EQ(base::ReasonOf(Check(longest).status()), "HEALTH_NAME_UNKNOWN");
  EXPECT_EQ(base::ReasonOf(Check(longest + "x").status()), "HEALTH_NAME_TOO_LONG");
}

TEST_F(HealthTest, WatchTellsThePresentAndEachChange) {
  Serve();
  Watch whole(*stub_, ""), a(*stub_, "a.Service"), liveness(*stub_, "liveness");
  EXPECT_EQ(whole.Next(), kNotServing);
  EXPECT_EQ(a.Next(), kNotServing);
  EXPECT_EQ(liveness.Next(), kServing);
  health_->SetServing(true);
  EXPECT_EQ(whole.Next(), kServing);
  EXPECT_EQ(a.Next(), kServing);
  health_->SetServing(true);  // no change, so nobody is told
  health_->SetServing("a.Service", false);
  EXPECT_EQ(a.Next(), kNotServing);
  health_->SetServing("a.Service", true);
  EXPECT_EQ(a.Next(), kServing);
  health_->SetServing(false);
  EXPECT_EQ(whole.Next(), kNotServing) << "what became of a.Service is not its affair";
  EXPECT_EQ(a.Next(), kNotServing);
}

TEST_F(HealthTest, AnUnknownNameIsWatchedUntilItIsThere) {
  Serve();
  Watch late(*stub_, "late.Service");
  EXPECT_EQ(late.Next(), kServiceUnknown);
  health_->SetServing("late.Service", false);
  EXPECT_EQ(late.Next(), kNotServing);
  health_->SetServing("late.Service", true);
  EXPECT_EQ(late.Next(), kServing);

  Watch too_long(*stub_, std::string(Health::kMaxNameBytes + 1, 'x'));
  EXPECT_EQ(too_long.Next(), -1);
  EXPECT_EQ(base::ReasonOf(too_long.End()), "HEALTH_NAME_TOO_LONG");
}

TEST_F(HealthTest, TheEndIsToldToEveryWatcherAndIsFinal) {
  Serve();
  health_->SetServing(true);
  Watch whole(*stub_, ""), liveness(*stub_, "liveness"), unknown(*stub_, "no.Service");
  EXPECT_EQ(whole.Next(), kServing);
  EXPECT_EQ(liveness.Next(), kServing);
  EXPECT_EQ(unknown.Next(), kServiceUnknown);
  health_->EndWatches();
  health_->EndWatches();
  EXPECT_EQ(whole.Next(), kNotServing);
  EXPECT_EQ(liveness.Next(), kNotServing);
  for (Watch* watch : {&whole, &liveness, &unknown}) {
    EXPECT_EQ(watch->Next(), -1);
    const absl::Status end = watch->End();
    EXPECT_EQ(end.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(base::ReasonOf(end), "DRAINING");
  }
  health_->SetServing(true);
  health_->SetServing("new", true);
  EXPECT_EQ(State(""), kNotServing);
  EXPECT_EQ(State("liveness"), kNotServing);
  EXPECT_EQ(State("new"), -1);
  Watch late(*stub_, "");
  EXPECT_EQ(late.Next(), -1);
  EXPECT_EQ(base::ReasonOf(late.End()), "DRAINING");
}

TEST_F(HealthTest, WatchersAreBoundedAndTheirPlacesAreGivenBack) {
  Serve(/*max_watchers=*/2);
  Watch first(*stub_, ""), second(*stub_, "");
  EXPECT_EQ(first.Next(), kNotServing);
  EXPECT_EQ(second.Next(), kNotServing);
  Watch third(*stub_, "");
  EXPECT_EQ(third.Next(), -1);
  const absl::Status full = third.End();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(base::ReasonOf(full), "TOO_MANY_WATCHERS");
  EXPECT_EQ(State(""), kNotServing) << "Check has no such limit";

  first.Cancel();
  EXPECT_EQ(first.Next(), -1);
  const absl::Time give_up = absl::Now() + kTestPatience;
  int got = -1;
  while (got == -1 && absl::Now() < give_up) got = Watch(*stub_, "").Next();
  EXPECT_EQ(got, kNotServing) << "the place of a watcher that went was not given back";
}

TEST_F(HealthTest, WatchersComeAndGoWhileItChangesAndEnds) {
  Serve();
  std::atomic<bool> ended{false};
  std::atomic<int> heard{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&, i] {
      while (!ended.load()) {
        Watch watch(*stub_, i % 2 == 0 ? "" : "a.Service");
        for (int n = 0; n < 3 && watch.Next() != -1; ++n) heard.fetch_add(1);
        watch.Cancel();
      }
    });
  }
  const absl::Time give_up = absl::Now() + kTestPatience;
  for (int i = 0; heard.load() < 1000 && absl::Now() < give_up; ++i) {
    health_->SetServing(i % 2 == 0);
  }
  health_->EndWatches();
  ended.store(true);
  for (std::thread& client : clients) client.join();
  EXPECT_GE(heard.load(), 1000);
  EXPECT_EQ(State(""), kNotServing);
}

TEST_F(HealthTest, AReaderKnowsTheSameAndLivesOn) {
  Serve();
  const auto is_serving = health_->Reader();
  EXPECT_TRUE(is_serving("liveness"));
  EXPECT_FALSE(is_serving("readiness"));
  health_->SetServing(true);
  EXPECT_TRUE(is_serving("readiness"));
  EXPECT_TRUE(is_serving("a.Service"));
  EXPECT_FALSE(is_serving("never.Set"));
  health_->EndWatches();
  EXPECT_FALSE(is_serving("readiness"));
  EXPECT_FALSE(is_serving("liveness"));
  TearDown();
  server_.reset();
  health_.reset();
  EXPECT_FALSE(is_serving("readiness"));
}

}  // namespace
}  // namespace tollgate::net
