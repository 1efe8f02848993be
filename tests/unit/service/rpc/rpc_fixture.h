// OperationsService and EdgeService over real gRPC, in one process, on the store in memory; what
// they have read runs when a test says so.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_RPC_RPC_FIXTURE_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_RPC_RPC_FIXTURE_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "net/error.h"
#include "prometheus/registry.h"
#include "service/access/access.h"
#include "service/feed/hub.h"
#include "service/rpc/edge_service.h"
#include "service/rpc/operations_service.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "storage/start_command.h"
#include "tests/unit/service/feed/feed_stand_ins.h"
#include "tests/unit/service/feed/hello_proof.h"

namespace tollgate::service {

inline constexpr absl::Duration kRpcPatience = absl::Seconds(30);

// Whether a condition becomes true within the time that a test may wait.
inline bool ComesTrue(const std::function<bool()>& condition) {
  const absl::Time until = absl::Now() + kRpcPatience;
  while (!condition()) {
    if (absl::Now() > until) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

// Holds work until a test runs it; once open, runs everything at once. Thread-safe.
class GatedExecutor : public base::Executor {
 public:
  explicit GatedExecutor(base::Executor* inner) : inner_(inner) {}

  bool Submit(std::function<void()> work) override {
    {
      absl::MutexLock lock(&mu_);
      if (full_) return false;
      if (!open_) {
        held_.push_back(std::move(work));
        most_held_ = std::max(most_held_, held_.size());
        return true;
      }
    }
    return inner_->Submit(std::move(work));
  }
  void Hold() {
    absl::MutexLock lock(&mu_);
    open_ = false;
  }
  void Open() {
    std::deque<std::function<void()>> held;
    {
      absl::MutexLock lock(&mu_);
      open_ = true;
      held.swap(held_);
    }
    for (std::function<void()>& work : held) inner_->Submit(std::move(work));
  }
  void SetFull(bool full) {
    absl::MutexLock lock(&mu_);
    full_ = full;
  }
  // Runs one held piece of work, on this thread; false: none came within `patience`.
  bool RunOne(absl::Duration patience = kRpcPatience) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mu_);
      const auto some = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !held_.empty(); };
      if (!mu_.AwaitWithTimeout(absl::Condition(&some), patience)) return false;
      work = std::move(held_.front());
      held_.pop_front();
    }
    work();
    return true;
  }
  // The most pieces of work that were ever held at once.
  size_t most_held() {
    absl::MutexLock lock(&mu_);
    return most_held_;
  }

 private:
  base::Executor* const inner_;
  absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = true;
  bool full_ ABSL_GUARDED_BY(mu_) = false;
  size_t most_held_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<std::function<void()>> held_ ABSL_GUARDED_BY(mu_);
};

class RpcTest : public ::testing::Test {
 protected:
  RpcTest() : keyring_(MakeKeyring()), metrics_(registry_) {}
  static token::Keyring MakeKeyring() {
    base::InitSecrets();
    return token::Keyring::Generate(base::SystemRandom());
  }

  void SetUp() override {
    engine_ = *storage::MemoryEngine::Open();
    pool_ = std::make_unique<base::ThreadPool>(2, 1000);
    reads_ = std::make_unique<GatedExecutor>(pool_.get());
    storage::Sequencer::Options sequencer;
    sequencer.engine = engine_.get();
    sequencer.clock = &base::SystemClock();
    sequencer_ = *storage::Sequencer::Start(sequencer);
    ASSERT_TRUE(sequencer_
                    ->Run(std::make_shared<storage::ServiceStarted>(
                        "test", base::SystemRandom().Hex(16), ""))
                    .ok());
    Hub::Options hub;
    hub.sealer = SealerOf('k');
    hub.engine = engine_.get();
    hub.sequencer = sequencer_.get();
    hub.clock = &base::SystemClock();
    hub.random = &base::SystemRandom();
    hub.executor = pool_.get();
    Choose(&hub);
    ASSERT_TRUE(Hub::CheckOptions(hub).ok());
    absl::StatusOr<std::unique_ptr<Hub>> started = Hub::Start(hub);
    ASSERT_TRUE(started.ok()) << started.status();
    hub_ = *std::move(started);
    deps_.engine = engine_.get();
    deps_.sequencer = sequencer_.get();
    deps_.hub = hub_.get();
    deps_.reads = reads_.get();
    deps_.scans = reads_.get();
    deps_.access = access_.get();
    deps_.authenticator = &authenticator_;
    deps_.clock = &base::SystemClock();
    deps_.random = &base::SystemRandom();
    deps_.keyring = &keyring_;
    deps_.format = &format_;
    deps_.metrics = &metrics_;
    deps_.evidence = [] { return SilenceEvidence(); };
    deps_.merge_use = [] {};
    operations_ = std::make_unique<OperationsService>(&deps_, Options());
    edge_ = std::make_unique<EdgeService>(&deps_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(operations_.get());
    builder.RegisterService(edge_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
    stub_ = v1::OperationsService::NewStub(channel_);
    edge_stub_ = v1::EdgeService::NewStub(channel_);
  }
  void TearDown() override {
    reads_->Open();
    operations_->EndStreams();
    hub_->Drain(absl::ZeroDuration());
    hub_->Stop();
    server_->Shutdown();
    server_.reset();
    pool_->Stop();
    hub_.reset();
    sequencer_->Stop();
  }
  virtual OperationsService::Options Options() { return OperationsService::Options(); }
  // What a test wants of its hub; else the defaults.
  virtual void Choose(Hub::Options* /*hub*/) {}

  // A binding of `local`, who makes all calls here.
  static Binding LocalAs(Role role, std::vector<std::string> workspaces = {}) {
    Binding binding;
    binding.role = role;
    binding.member = "local";
    binding.workspaces = std::move(workspaces);
    return binding;
  }
  // From now on calls are judged by these bindings, and by no others.
  void JudgeBy(std::vector<Binding> bindings) {
    bound_.Take(std::move(bindings));
    if (deps_.access != &bound_) deps_.access = &bound_;
  }

  // Commits what `run` does; its revision.
  int64_t Commit(std::function<void(const storage::Slot&, storage::Effects&)> run) {
    class Write : public storage::Command {
     public:
      explicit Write(std::function<void(const storage::Slot&, storage::Effects&)> run)
          : run_(std::move(run)) {}
      absl::string_view name() const override { return "write"; }
      absl::Status Run(const storage::View&, const storage::Slot& slot,
                       storage::Effects& effects) override {
        run_(slot, effects);
        return absl::OkStatus();
      }

     private:
      const std::function<void(const storage::Slot&, storage::Effects&)> run_;
    };
    absl::StatusOr<storage::Committed> done =
        sequencer_->Run(std::make_shared<Write>(std::move(run)));
    EXPECT_TRUE(done.ok()) << done.status();
    return done.ok() ? done->revision : 0;
  }
  static v1::Event Changed(const std::string& workspace, size_t bytes = 16) {
    return TokenChanged(workspace, bytes);
  }
  // Commits a revision with these events.
  int64_t Tell(const std::vector<v1::Event>& events) {
    return Commit([&](const storage::Slot&, storage::Effects& effects) {
      effects.PutRaw(storage::Table::kLabels, "touched", "");
      for (const v1::Event& event : events) effects.Tell(event);
    });
  }

  const token::Keyring keyring_;
  const token::TokenFormat format_;
  const std::unique_ptr<const Access> access_ = NewOpenAccess();
  OperatorTokens operator_tokens_;
  const Authenticator authenticator_{&format_, &keyring_, &operator_tokens_, &base::SystemClock()};
  BoundAccess bound_{{}};
  prometheus::Registry registry_;
  ServerMetrics metrics_;
  std::unique_ptr<storage::MemoryEngine> engine_;
  std::unique_ptr<base::ThreadPool> pool_;
  std::unique_ptr<GatedExecutor> reads_;
  std::unique_ptr<storage::Sequencer> sequencer_;
  std::unique_ptr<Hub> hub_;
  RpcDeps deps_;
  std::unique_ptr<OperationsService> operations_;
  std::unique_ptr<EdgeService> edge_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::OperationsService::Stub> stub_;
  std::unique_ptr<v1::EdgeService::Stub> edge_stub_;
};

// With a ring so small that a stream soon falls off it.
class OperationsTest : public RpcTest {
 protected:
  void Choose(Hub::Options* hub) override {
    hub->ring.max_revisions = 8;
    // Longer than any test waits: what ends a wait is never that a lease ran out.
    hub->lease = absl::Minutes(5);
  }
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_RPC_RPC_FIXTURE_H_
