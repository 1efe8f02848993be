// A hub over the memory engine, and validators that follow it without gRPC.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_FEED_HUB_FIXTURE_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_FEED_HUB_FIXTURE_H_

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "service/feed/hub.h"
#include "service/feed/ledger/roster_command.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/start_command.h"
#include "tests/unit/service/feed/fake_call.h"
#include "tests/unit/service/feed/feed_stand_ins.h"
#include "tests/unit/service/feed/hello_proof.h"

namespace tollgate::service {

// The machine's clocks. A test can pause the machine, or step its time.
class ShiftedClock : public base::Clock {
 public:
  base::BootTime Now() const override {
    return base::SystemClock().Now() + absl::Nanoseconds(boot_.load());
  }
  absl::Time WallNow() const override {
    return base::SystemClock().WallNow() + absl::Nanoseconds(wall_.load());
  }
  void MoveBoot(absl::Duration d) { boot_ += absl::ToInt64Nanoseconds(d); }
  void MoveWall(absl::Duration d) { wall_ += absl::ToInt64Nanoseconds(d); }

 private:
  std::atomic<int64_t> boot_{0};
  std::atomic<int64_t> wall_{0};
};

class RecordingSink : public UseSink {
 public:
  void Report(absl::string_view validator, absl::string_view, const v1::Usage&) override {
    Add("use", validator);
  }
  void SessionLive(absl::string_view validator, absl::string_view) override {
    Add("live", validator);
  }
  void SessionEnded(absl::string_view validator, absl::string_view, bool goodbye) override {
    Add(goodbye ? "goodbye" : "ended", validator);
  }
  std::vector<std::string> Take() {
    absl::MutexLock lock(&mu_);
    return std::exchange(heard_, {});
  }

 private:
  void Add(const std::string& what, absl::string_view validator) {
    absl::MutexLock lock(&mu_);
    heard_.push_back(what + " " + std::string(validator));
  }
  absl::Mutex mu_;
  std::vector<std::string> heard_ ABSL_GUARDED_BY(mu_);
};

class HubTest : public ::testing::Test {
 protected:
  void SetUp() override {
    engine_ = *storage::MemoryEngine::Open();
    executor_ = std::make_unique<base::ThreadPool>(2, 100);
    StartService();
  }
  void TearDown() override {
    StopService();
    executor_->Stop();
  }
  void StartService() {
    storage::Sequencer::Options sequencer;
    sequencer.engine = engine_.get();
    sequencer.clock = &clock_;
    sequencer_ = *storage::Sequencer::Start(sequencer);
    options_.engine = hub_engine_ != nullptr ? hub_engine_ : engine_.get();
    options_.sequencer = sequencer_.get();
    options_.clock = &clock_;
    options_.random = &random_;
    options_.executor = executor_.get();
    options_.use = &sink_;
    options_.sealer = SealerOf('k');
    ASSERT_TRUE(
        sequencer_->Run(std::make_shared<storage::ServiceStarted>("test", random_.Hex(16), ""))
            .ok());
    ASSERT_TRUE(Hub::CheckOptions(options_).ok());
    absl::StatusOr<std::unique_ptr<Hub>> hub = Hub::Start(options_);
    ASSERT_TRUE(hub.ok()) << hub.status();
    hub_ = *std::move(hub);
  }
  void StopService() {
    hub_.reset();
    sequencer_.reset();
  }
  int64_t Commit(size_t bytes = 16) {
    absl::StatusOr<storage::Committed> done = sequencer_->Run(std::make_shared<TellOne>(bytes));
    EXPECT_TRUE(done.ok()) << done.status();
    return done->revision;
  }

  // A validator: one Follow call, and what the validator has learned.
  struct Validator {
    std::shared_ptr<FakeCall> call;
    std::string id;
    char incarnation = 'a';
    std::string caller = "local";
    std::string epoch;
    int64_t applied = 0;
    uint64_t sequence = 0;
  };
  Validator Connect(const std::string& id, char incarnation = 'a') {
    Validator v;
    v.id = id;
    v.incarnation = incarnation;
    Reconnect(&v);
    return v;
  }
  void Reconnect(Validator* v) {
    v->call = std::make_shared<FakeCall>();
    v->call->caller = v->caller;
    v->sequence = 0;
    absl::StatusOr<std::shared_ptr<FollowerStream>> stream = hub_->Connect(v->call);
    ASSERT_TRUE(stream.ok()) << stream.status();
    v->call->Attach(*stream);
  }
  void SendHello(Validator* v) {
    v1::FollowRequest request = HelloRequest(v->id, v->incarnation, v->epoch, v->applied);
    if (v->epoch == hub_->epoch() && v->applied > 0) {
      *request.mutable_hello()->mutable_proof() =
          HelloProof(*engine_, hub_->history(), options_.sealer, v->applied);
    }
    v->call->Send(request);
  }
  v1::Welcome Hello(Validator* v) {
    SendHello(v);
    const v1::FollowResponse message = v->call->Read();
    EXPECT_TRUE(message.has_welcome()) << message.DebugString();
    v->epoch = message.welcome().epoch();
    if (message.welcome().reset()) v->applied = message.welcome().revision();
    return message.welcome();
  }
  void Ping(Validator* v) { v->call->Send(PingRequest(++v->sequence, v->applied)); }
  // Pings, and reads (applying) up to the Pong.
  v1::Pong PingPong(Validator* v) {
    Ping(v);
    while (true) {
      const v1::FollowResponse message = v->call->Read();
      if (message.has_pong()) {
        v->applied = std::max(v->applied, message.pong().revision());
        return message.pong();
      }
      if (!message.has_events()) {
        ADD_FAILURE() << message.DebugString();
        return v1::Pong();
      }
      for (const auto& r : message.events().revisions()) {
        EXPECT_GT(r.revision(), v->applied);
        v->applied = r.revision();
      }
    }
  }
  // Connected, with a lease.
  Validator Join(const std::string& id, char incarnation = 'a') {
    Validator v = Connect(id, incarnation);
    Hello(&v);
    EXPECT_TRUE(PingPong(&v).has_lease());
    return v;
  }
  void Goodbye(Validator* v) { v->call->Send(GoodbyeRequest()); }
  // Reads events up to and including `revision`.
  void Apply(Validator* v, int64_t revision) {
    while (v->applied < revision) {
      const v1::FollowResponse message = v->call->Read();
      ASSERT_TRUE(message.has_events()) << message.DebugString();
      for (const auto& r : message.events().revisions()) v->applied = r.revision();
    }
  }
  v1::Receipt Wait(int64_t revision, absl::Duration timeout = kPatience) {
    return AwaitReceipt(*hub_, revision, timeout, kPatience);
  }
  template <typename F>
  bool Eventually(F condition) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return true;
  }
  // Sessions that may hold a lease; `lapsed`: missing validators, which the store remembers there.
  size_t RosterSize(bool lapsed = false) {
    size_t count = 0;
    const auto roster = ReadRoster(**engine_->NewSnapshot());
    for (const auto& record : *roster) {
      if ((record.lapsed_time_us() != 0) == lapsed) ++count;
    }
    return count;
  }

  ShiftedClock clock_;
  std::unique_ptr<storage::MemoryEngine> engine_;
  storage::Engine* hub_engine_ = nullptr;  // set: the hub gets this engine instead
  std::unique_ptr<base::ThreadPool> executor_;
  base::SeededRandom random_{7};
  RecordingSink sink_;
  Hub::Options options_;
  std::unique_ptr<storage::Sequencer> sequencer_;
  std::unique_ptr<Hub> hub_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_FEED_HUB_FIXTURE_H_
