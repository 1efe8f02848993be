#include "service/health/health_watch.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "net/grpc_host.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/watched_engine.h"
#include "tests/instruments/fault_engine.h"

namespace tollgate::service {
namespace {

using grpc::health::v1::HealthCheckResponse;

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

// A store that can be held, a health that follows it, and a client that asks.
class HealthWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    StoreHealth::Options options;
    options.slow_after = absl::Milliseconds(50);
    options.hung_after = absl::Milliseconds(100);
    watch_ = HealthWatch::Start(&base::SystemClock(), options);
    store_ = std::make_unique<instruments::FaultEngine>(storage::MemoryEngine::Open().value());
    storage::WatchedEngine::Options watched;
    watched.place = "memory:";
    watched.work = watch_->work();
    watched.on_damage = [this](const absl::Status& damage) { watch_->OnDamage(damage); };
    engine_ = std::make_unique<storage::WatchedEngine>(store_.get(), std::move(watched));

    net::GrpcHost::Options host;
    host.listen = {"127.0.0.1:0"};
    host_ = net::GrpcHost::Bind(std::move(host)).value();
    ASSERT_TRUE(host_->Build().ok());
    ASSERT_TRUE(host_->Accept().ok());
    stub_ = grpc::health::v1::Health::NewStub(
        grpc::CreateChannel(host_->addresses()[0], grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    watch_->Unfollow();
    net::DrainPlan plan;
    plan.pause = absl::ZeroDuration();
    host_->Drain(plan);
  }

  bool Serving(const std::string& name) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(name);
    HealthCheckResponse response;
    EXPECT_TRUE(stub_->Check(&context, request, &response).ok());
    return response.status() == HealthCheckResponse::SERVING;
  }

  storage::CommitRequest AnyCommit() {
    storage::CommitRequest commit;
    store::v1::HeadRecord head;
    head.set_revision(1);
    commit.mutations.push_back(
        {storage::Table::kMeta, storage::kHeadKey, storage::SerializeRecord(head)});
    return commit;
  }

  double Metric(const std::string& name, const std::string& label = "") {
    for (const prometheus::MetricFamily& family : watch_->Metrics()) {
      if (family.name != name) continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        if (label.empty() || metric.label.at(0).value == label) return metric.gauge.value;
      }
    }
    ADD_FAILURE() << name;
    return -1;
  }

  std::unique_ptr<HealthWatch> watch_;
  std::unique_ptr<instruments::FaultEngine> store_;
  std::unique_ptr<storage::WatchedEngine> engine_;
  std::unique_ptr<net::GrpcHost> host_;
  std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
};

TEST_F(HealthWatchTest, ReadinessFollowsACommitThatHangs) {
  EXPECT_FALSE(Serving("")) << "nobody has said that it serves";
  watch_->Follow(&host_->health());
  EXPECT_TRUE(Serving("") && Serving("readiness"));
  store_->HoldCommits();
  std::thread committing([this] { EXPECT_TRUE(engine_->Commit(AnyCommit()).ok()); });
  EXPECT_TRUE(Eventually([this] { return !Serving("readiness"); }));
  EXPECT_FALSE(Serving(""));
  EXPECT_TRUE(Serving("liveness")) << "a restart would help nobody";
  EXPECT_EQ(Metric("tollgate_store_healthy"), 0);
  EXPECT_GE(Metric("tollgate_disk_wait_seconds", "write"), 0.1);
  EXPECT_EQ(Metric("tollgate_disk_wait_seconds", "read"), 0);
  EXPECT_TRUE(Eventually([this] {
    return watch_->LongestWait().find("a commit in memory: for 1s") != std::string::npos ||
           watch_->LongestWait().find("a commit in memory: for 2s") != std::string::npos;
  })) << watch_->LongestWait();
  store_->ReleaseCommits();
  committing.join();
  EXPECT_TRUE(Eventually([this] { return Serving("readiness") && Serving(""); }));
  EXPECT_EQ(Metric("tollgate_store_healthy"), 1);
  EXPECT_EQ(watch_->LongestWait(), "");
}

TEST_F(HealthWatchTest, ADamagedStoreIsNotReady) {
  watch_->Follow(&host_->health());
  store_->FailNextSnapshot(absl::UnavailableError("for a moment"));
  EXPECT_FALSE(engine_->NewSnapshot().ok());
  store_->FailNextSnapshot(absl::DataLossError("a bad block"));
  EXPECT_TRUE(absl::IsDataLoss(engine_->NewSnapshot().status()));
  EXPECT_TRUE(Eventually([this] { return !Serving("readiness"); }));
  EXPECT_EQ(Metric("tollgate_store_healthy"), 0);
  EXPECT_TRUE(Serving("liveness"));
}

TEST_F(HealthWatchTest, OnceItIsToldToItLeavesTheHealthAlone) {
  watch_->Follow(&host_->health());
  watch_->Unfollow();
  host_->health().SetServing(false);
  watch_->OnDamage(absl::DataLossError("x"));
  EXPECT_TRUE(Eventually([this] { return Metric("tollgate_store_healthy") == 0; }));
  EXPECT_FALSE(Serving("readiness"));
}

}  // namespace
}  // namespace tollgate::service
