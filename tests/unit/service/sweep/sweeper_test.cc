// The shell that has the sweep run again and again.
#include "service/sweep/sweeper.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "service/reads/read_tokens.h"
#include "tests/unit/service/command_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);
// Longer than any test: what happens all the same did not wait for it.
constexpr absl::Duration kNever = absl::Hours(24);

class SweeperTest : public CommandTest {
 protected:
  SweeperTest() : clock_(&now_), pool_(1, 100) {
    storage::Sequencer::Options sequencer;
    sequencer.engine = engine_.get();
    sequencer.clock = &clock_;
    sequencer_ = storage::Sequencer::Start(std::move(sequencer)).value();
    options_.interval = kNever;
    options_.sequencer = sequencer_.get();
    options_.timer = &pool_;
    options_.clock = &clock_;
    options_.evidence = [this] { return AllHeard(now_); };
    options_.on_step = [this](absl::Duration lag, int64_t done) {
      absl::MutexLock lock(&mu_);
      lags_.push_back(lag);
      done_.push_back(done);
    };
  }
  ~SweeperTest() override {
    sweeper_.reset();
    pool_.Stop();
    sequencer_->Stop();
  }
  void Start() { sweeper_ = Sweeper::Start(options_); }
  // Waits until so many steps were told of.
  bool Steps(size_t count) {
    const auto told = [this, count]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return done_.size() >= count; };
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&told), kPatience);
  }
  std::vector<int64_t> Done() {
    absl::MutexLock lock(&mu_);
    return done_;
  }
  std::vector<absl::Duration> Lags() {
    absl::MutexLock lock(&mu_);
    return lags_;
  }
  tollgate::v1::Token Lasting(const std::string& label, int seconds) {
    auto request = Ask(label);
    request.mutable_lifetime()->set_seconds(seconds);
    return (*Create(request))->response().token();
  }
  tollgate::v1::TokenState StateOf(const tollgate::v1::Token& token) {
    tollgate::v1::GetTokenRequest request;
    request.set_name(token.name());
    return ReadToken(*View(), request, now_)->state();
  }

  StandingClock clock_;
  base::ThreadPool pool_;
  std::unique_ptr<storage::Sequencer> sequencer_;
  Sweeper::Options options_;
  std::unique_ptr<Sweeper> sweeper_;
  absl::Mutex mu_;
  std::vector<absl::Duration> lags_ ABSL_GUARDED_BY(mu_);
  std::vector<int64_t> done_ ABSL_GUARDED_BY(mu_);
};

TEST_F(SweeperTest, BeginsAtOnceAndGoesOnWhileSomethingIsDue) {
  for (int i = 0; i < 5; ++i) Lasting(absl::StrCat("t", i), 10);
  now_ += absl::Seconds(13);
  options_.limits.max_due = 2;
  Start();
  // The interval never passes in this test: the second and third step did not wait for it.
  ASSERT_TRUE(Steps(3));
  EXPECT_THAT(Done(), testing::ElementsAre(2, 2, 1));
  EXPECT_THAT(Lags(), testing::Each(absl::Seconds(3)));
  EXPECT_EQ(CountDue(), 0u);
  // And there it ends: nothing is due any more, and the interval has not passed.
  sweeper_->Stop();
  EXPECT_EQ(Done().size(), 3u);
}

TEST_F(SweeperTest, WithNothingDueItComesAgainAfterTheInterval) {
  options_.interval = absl::Milliseconds(1);
  const int64_t head = Head();
  Start();
  ASSERT_TRUE(Steps(3));
  sweeper_->Stop();
  EXPECT_THAT(Done(), testing::Each(0));
  EXPECT_THAT(Lags(), testing::Each(absl::ZeroDuration()));
  EXPECT_EQ(Head(), head) << "a step without effect takes no revision";
}

TEST_F(SweeperTest, JudgingSilenceGoesOnWhereTheStepBeforeEnded) {
  std::vector<tollgate::v1::Token> old;
  for (int i = 0; i < 3; ++i) {
    old.push_back(Made(absl::StrCat("t", i)));
    const auto made = (*Rotate(old.back().name(), absl::Seconds(1)))->response().token();
    if (i == 2) Use(made, "edge", now_);  // only the last one's replacement is in use
  }
  now_ += absl::Seconds(10);
  options_.interval = absl::Milliseconds(1);
  options_.limits.max_watched = 1;
  Start();
  const absl::Time until = absl::Now() + kPatience;
  while (StateOf(old[2]) != tollgate::v1::TOKEN_STATE_REVOKED && absl::Now() < until) {
    ASSERT_TRUE(Steps(Done().size() + 1));
  }
  EXPECT_EQ(StateOf(old[2]), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(StateOf(old[0]), tollgate::v1::TOKEN_STATE_RETIRING);
  EXPECT_EQ(StateOf(old[1]), tollgate::v1::TOKEN_STATE_RETIRING);
}

TEST_F(SweeperTest, JudgesByTheEvidenceOfEachStep) {
  const auto old = Made("a");
  const auto made = (*Rotate(old.name(), absl::Seconds(1)))->response().token();
  Use(made, "edge", now_);
  now_ += absl::Seconds(10);
  std::atomic<bool> heard = false;
  options_.evidence = [&] { return heard ? AllHeard(now_) : SilenceEvidence(); };
  options_.interval = absl::Milliseconds(1);
  Start();
  ASSERT_TRUE(Steps(2));
  EXPECT_EQ(StateOf(old), tollgate::v1::TOKEN_STATE_RETIRING) << "nothing was heard";
  heard = true;
  ASSERT_TRUE(Steps(Done().size() + 2));
  EXPECT_EQ(StateOf(old), tollgate::v1::TOKEN_STATE_REVOKED);
}

TEST_F(SweeperTest, ARefusedStepIsNotTheLast) {
  Lasting("a", 10);
  now_ += absl::Seconds(10);
  options_.interval = absl::Milliseconds(1);
  // What answers the first step with a refusal, and hands the others on.
  class RefusesOnce : public storage::Sequencer {
   public:
    explicit RefusesOnce(storage::Sequencer* inner) : inner_(inner) {}
    void Submit(std::shared_ptr<storage::Command> command, Callback done) override {
      if (refused_++ == 0) return done(absl::ResourceExhaustedError("too many wait"));
      inner_->Submit(std::move(command), std::move(done));
    }
    void Stop() override {}
    void Halt(absl::Status) override {}
    base::BootTime last_write_start() const override { return inner_->last_write_start(); }

   private:
    storage::Sequencer* const inner_;
    std::atomic<int> refused_ = 0;
  } refuses(sequencer_.get());
  options_.sequencer = &refuses;
  Start();
  ASSERT_TRUE(Steps(1));
  EXPECT_EQ(Done()[0], 1);
  sweeper_.reset();
}

TEST_F(SweeperTest, StopWaitsForTheStepUnderWayAndSubmitsNoMore) {
  Lasting("a", 10);
  now_ += absl::Seconds(10);
  absl::Notification begun, go;
  std::atomic<int> steps = 0;
  options_.interval = absl::ZeroDuration();
  options_.evidence = [&] {
    if (++steps == 2) {  // the first runs before Start returns
      begun.Notify();
      go.WaitForNotification();
    }
    return AllHeard(now_);
  };
  Start();
  ASSERT_TRUE(begun.WaitForNotificationWithTimeout(kPatience));
  // The step is held up for a while; a Stop that did not wait for it would return sooner.
  std::thread lets_go([&] {
    absl::SleepFor(absl::Milliseconds(20));
    go.Notify();
  });
  sweeper_->Stop();
  EXPECT_TRUE(go.HasBeenNotified());
  const int begun_until_then = steps;
  EXPECT_EQ(Done().size(), static_cast<size_t>(begun_until_then)) << "each was finished";
  lets_go.join();
  sweeper_->Stop();  // once more changes nothing
  pool_.Stop();      // a timer that was set before does nothing
  EXPECT_EQ(steps, begun_until_then) << "no other was begun";
}

}  // namespace
}  // namespace tollgate::service
