#include "service/feed/hub.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "service/feed/follower_stream.h"

namespace tollgate::service {
namespace {

class HubImpl : public Hub, public FeedScheduler {
 public:
  explicit HubImpl(Options options) : options_(std::move(options)) {}
  ~HubImpl() override { HubImpl::Stop(); }

  absl::Status Begin();

  absl::StatusOr<std::shared_ptr<FollowerStream>> Connect(
      std::shared_ptr<FollowWire> wire) override;
  WaitId WaitEnforced(const ReceiptQuestion& question, absl::Duration timeout,
                      std::function<void(v1::Receipt)> done) override {
    return feed_->desk().WaitEnforced(question, timeout, std::move(done));
  }
  void EndWait(const WaitId& id) override { feed_->desk().EndWait(id); }
  v1::Receipt ReceiptFor(const ReceiptQuestion& question) override {
    return feed_->desk().ReceiptFor(question);
  }
  int64_t enforced_revision() override { return feed_->desk().enforced_revision(); }
  absl::StatusOr<std::unique_ptr<FeedReader>> Subscribe(int64_t after,
                                                        std::function<void()> wake) override {
    return feed_->Subscribe(after, std::move(wake));
  }
  int64_t head() const override { return feed_->head(); }
  const std::string& epoch() const override { return feed_->epoch(); }
  const History& history() const override { return feed_->history(); }
  Stats stats() override { return feed_->stats(); }
  std::vector<SessionView> Sessions() override { return feed_->desk().Sessions(); }
  void ForgetValidator(const ForgetQuestion& question,
                       std::function<void(absl::StatusOr<storage::Committed>)> done) override {
    feed_->desk().Forget(question, std::move(done));
  }
  void Drain(absl::Duration timeout) override;
  void Stop() override;

 private:
  // A share of the streams, woken by a thread of its own.
  struct Shard {
    absl::Mutex mu;
    std::vector<std::shared_ptr<FollowerStream>> single ABSL_GUARDED_BY(mu);  // to be woken
    bool all ABSL_GUARDED_BY(mu) = false;  // every stream of the share is to be woken
    bool stop ABSL_GUARDED_BY(mu) = false;
    std::thread thread;
  };

  // FeedScheduler.
  void WakeStreamSoon(std::shared_ptr<FollowerStream> stream) override;
  void WakeAllSoon() override;
  void TickSoon() override;
  bool RunRead(std::function<void()> read) override;
  void StreamGone() override;

  void WakeWork(size_t share);
  void TimeWork();
  // False: some are left when `timeout` has passed.
  bool AwaitNoStreams(absl::Duration timeout);

  const Options options_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<Feed> feed_;
  std::thread timer_;

  // Timed waits use the steady clock, because absl's follow the wall clock, which may be set back.
  // timer_mu_ guards the two flags. It is acquired after all other locks, because a stream may hold
  // its own.
  std::mutex timer_mu_;
  std::condition_variable timer_changed_;
  bool timer_woken_ = false;
  bool timer_stop_ = false;
  // drain_mu_ guards open_, which counts the streams that Connect returned.
  std::mutex drain_mu_;
  std::condition_variable drain_changed_;
  size_t open_ = 0;

  absl::Mutex mu_;
  bool reads_stopped_ ABSL_GUARDED_BY(mu_) = false;
  int reads_under_way_ ABSL_GUARDED_BY(mu_) = 0;

  absl::Mutex stop_mu_;  // held by whoever stops it, over all that takes; before all others
  bool stopped_ ABSL_GUARDED_BY(stop_mu_) = false;
};

absl::Status HubImpl::Begin() {
  ASSIGN_OR_RETURN(const Feed::FirstWrite first, Feed::PrepareStart(options_));
  RETURN_IF_ERROR(options_.sequencer->Run(first.command).status());
  for (int i = 0; i < options_.wake_threads; ++i) shards_.push_back(std::make_unique<Shard>());
  ASSIGN_OR_RETURN(feed_, Feed::Start(static_cast<const Feed::Options&>(options_), this, first));
  for (size_t share = 0; share < shards_.size(); ++share) {
    shards_[share]->thread = std::thread([this, share] { WakeWork(share); });
  }
  timer_ = std::thread([this] { TimeWork(); });
  return absl::OkStatus();
}

void HubImpl::WakeStreamSoon(std::shared_ptr<FollowerStream> stream) {
  Shard& shard = *shards_[stream->number() % shards_.size()];
  absl::MutexLock lock(&shard.mu);
  if (!shard.stop) shard.single.push_back(std::move(stream));
}

void HubImpl::WakeAllSoon() {
  for (auto& shard : shards_) {
    absl::MutexLock lock(&shard->mu);
    shard->all = true;
  }
}

void HubImpl::WakeWork(size_t share) {
  Shard& shard = *shards_[share];
  while (true) {
    std::vector<std::shared_ptr<FollowerStream>> streams;
    bool all = false;
    {
      absl::MutexLock lock(&shard.mu);
      const auto due = [&shard]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mu) {
        return shard.stop || shard.all || !shard.single.empty();
      };
      shard.mu.Await(absl::Condition(&due));
      if (shard.stop) return;
      all = std::exchange(shard.all, false);
      streams = std::exchange(shard.single, {});
    }
    if (all) {
      feed_->WakeStreams(share);
    } else {
      for (const auto& stream : streams) stream->Wake();
    }
  }
}

void HubImpl::TickSoon() {
  std::lock_guard<std::mutex> lock(timer_mu_);
  timer_woken_ = true;
  timer_changed_.notify_all();
}

void HubImpl::TimeWork() {
  while (true) {
    const base::BootTime next = feed_->Tick();
    const absl::Duration wait = std::max(next - options_.clock->Now(), absl::ZeroDuration());
    std::unique_lock<std::mutex> lock(timer_mu_);
    timer_changed_.wait_until(lock,
                              std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(wait),
                              [this] { return timer_woken_ || timer_stop_; });
    if (timer_stop_) return;
    timer_woken_ = false;
  }
}

bool HubImpl::RunRead(std::function<void()> read) {
  {
    absl::MutexLock lock(&mu_);
    if (reads_stopped_) return false;
    ++reads_under_way_;
  }
  const bool taken = options_.executor->Submit([this, read = std::move(read)] {
    read();
    absl::MutexLock lock(&mu_);
    --reads_under_way_;
  });
  if (!taken) {
    absl::MutexLock lock(&mu_);
    --reads_under_way_;
  }
  return taken;
}

absl::StatusOr<std::shared_ptr<FollowerStream>> HubImpl::Connect(std::shared_ptr<FollowWire> wire) {
  {
    std::lock_guard<std::mutex> lock(drain_mu_);
    ++open_;
  }
  absl::StatusOr<std::shared_ptr<FollowerStream>> stream = feed_->Connect(std::move(wire));
  if (!stream.ok()) StreamGone();
  return stream;
}

// A waiter for the last stream's end sees that end only once the stream is done with the hub.
void HubImpl::StreamGone() {
  std::lock_guard<std::mutex> lock(drain_mu_);
  --open_;
  drain_changed_.notify_all();
}

bool HubImpl::AwaitNoStreams(absl::Duration timeout) {
  std::unique_lock<std::mutex> lock(drain_mu_);
  return drain_changed_.wait_until(
      lock,
      std::chrono::steady_clock::now() +
          absl::ToChronoNanoseconds(std::clamp(timeout, absl::ZeroDuration(), absl::Hours(24))),
      [this] { return open_ == 0; });
}

void HubImpl::Drain(absl::Duration timeout) {
  feed_->BeginDrain();
  if (AwaitNoStreams(timeout)) return;
  // Repeated, because a stream that was let in a moment before may not be registered yet. gRPC ends
  // a cancelled call by itself.
  do {
    feed_->AbortStreams();
  } while (!AwaitNoStreams(absl::Milliseconds(100)));
}

void HubImpl::Stop() {
  absl::MutexLock stopping(&stop_mu_);
  if (std::exchange(stopped_, true)) return;
  if (feed_ != nullptr) Drain(absl::ZeroDuration());
  {
    absl::MutexLock lock(&mu_);
    reads_stopped_ = true;
    const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return reads_under_way_ == 0; };
    mu_.Await(absl::Condition(&idle));
  }
  {
    std::lock_guard<std::mutex> lock(timer_mu_);
    timer_stop_ = true;
    timer_changed_.notify_all();
  }
  if (timer_.joinable()) timer_.join();
  if (feed_ != nullptr) feed_->Stop();
  for (auto& shard : shards_) {
    std::vector<std::shared_ptr<FollowerStream>> single;
    {
      absl::MutexLock lock(&shard->mu);
      shard->stop = true;
      single.swap(shard->single);
    }
    if (shard->thread.joinable()) shard->thread.join();
  }
}

}  // namespace

absl::Status Hub::CheckOptions(const Options& options) {
  if (options.wake_threads < 1) {
    return base::RefuseField("BAD_FLAG", "wake_threads", "must be at least 1");
  }
  return Feed::CheckOptions(options);
}

absl::StatusOr<std::unique_ptr<Hub>> Hub::Start(Options options) {
  if (options.executor == nullptr) return absl::InvalidArgumentError("the hub needs an executor");
  options.wake_shares = static_cast<size_t>(options.wake_threads);
  auto hub = std::make_unique<HubImpl>(std::move(options));
  RETURN_IF_ERROR(hub->Begin());
  return hub;
}

}  // namespace tollgate::service
