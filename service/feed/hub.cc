#include "service/feed/hub.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/log.h"
#include "base/status.h"
#include "service/feed/enforcement_desk.h"
#include "service/feed/feed_reader.h"
#include "service/feed/follower_stream.h"
#include "service/feed/ping_interval.h"
#include "service/feed/roster_command.h"
#include "service/feed/session.h"
#include "storage/schema.h"

namespace tollgate {
namespace {

using store::v1::HeadRecord;
using store::v1::MetaRecord;

constexpr absl::Duration kTick = absl::Milliseconds(250);
constexpr absl::Duration kShortestTick = absl::Milliseconds(1);

class HubImpl : public Hub, public StreamHost {
 public:
  explicit HubImpl(Options options) : options_(std::move(options)) {}
  ~HubImpl() override { Stop(); }

  absl::Status Begin();

  absl::StatusOr<std::shared_ptr<FollowStream>> Connect(std::shared_ptr<FollowCall> call) override;
  WaitId WaitEnforced(const ReceiptQuestion& question, absl::Duration timeout,
                      std::function<void(v1::Receipt)> done) override {
    return desk_->WaitEnforced(question, timeout, std::move(done));
  }
  void EndWait(const WaitId& id) override { desk_->EndWait(id); }
  v1::Receipt ReceiptFor(const ReceiptQuestion& question) override {
    return desk_->ReceiptFor(question);
  }
  int64_t enforced_revision() override { return desk_->enforced_revision(); }
  absl::StatusOr<std::unique_ptr<FeedReader>> Subscribe(int64_t after,
                                                        std::function<void()> wake) override;
  int64_t head() const override { return ring_->head(); }
  const std::string& epoch() const override { return epoch_; }
  Stats stats() override;
  std::vector<SessionView> Sessions() override { return desk_->Sessions(); }
  void Drain(absl::Duration timeout) override;
  void Stop() override;

 private:
  // A share of the streams, woken by a thread of its own.
  struct Shard {
    absl::Mutex mu;
    std::map<uint64_t, std::shared_ptr<FollowerStream>> streams ABSL_GUARDED_BY(mu);
    std::vector<std::shared_ptr<FollowerStream>> single ABSL_GUARDED_BY(mu);  // to be woken
    bool all ABSL_GUARDED_BY(mu) = false;  // every stream is to be woken
    bool stop ABSL_GUARDED_BY(mu) = false;
    std::thread thread;
  };

  void OnGreeted(const std::shared_ptr<FollowerStream>& stream, bool resumes) override;
  void OnFuture(const std::string& validator_id, int64_t seen) override;
  bool ReadStore(int64_t after, std::function<void(CatchUp)> done) override;
  void WakeLater(const std::shared_ptr<FollowerStream>& stream) override;
  void OnClosed(FollowerStream* stream) override;

  void OnEntry(const TailEntry& entry);
  Shard& ShardOf(uint64_t number) { return *shards_[number % shards_.size()]; }
  std::vector<std::shared_ptr<FollowerStream>> Streams();
  void WakeWork(Shard* shard);
  void TimeWork();
  void WakeTimer();
  void WakeStreams();
  // False: some are left when `timeout` has passed.
  bool AwaitNoStreams(absl::Duration timeout);
  absl::Duration Jitter(absl::Duration bound);

  const Options options_;
  std::string epoch_;
  int64_t ledger_head_ = 0;  // what the ledger began with
  std::unique_ptr<EventRing> ring_;
  std::unique_ptr<EnforcementDesk> desk_;
  std::unique_ptr<FeedReaders> readers_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::thread timer_;
  std::unique_ptr<Tail> tail_;

  absl::Mutex random_mu_;

  // Timed waits are on the steady clock: absl's follow the wall clock, which may be set back.
  // timer_mu_ guards the two flags; the last of all locks, for a stream may hold its own.
  std::mutex timer_mu_;
  std::condition_variable timer_changed_;
  bool timer_woken_ = false;
  bool timer_stop_ = false;
  // drain_mu_ is held where streams_ falls. Before mu_.
  std::mutex drain_mu_;
  std::condition_variable drain_changed_;

  absl::Mutex mu_;
  uint64_t next_number_ ABSL_GUARDED_BY(mu_) = 0;
  size_t streams_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<SessionId, uint64_t> newest_ ABSL_GUARDED_BY(mu_);  // by session, the greeted stream
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  int reads_under_way_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t resets_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t resumes_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t cut_ ABSL_GUARDED_BY(mu_) = 0;
};

absl::Status HubImpl::Begin() {
  MetaRecord before;
  {
    ASSIGN_OR_RETURN(std::unique_ptr<Snapshot> snapshot, options_.engine->NewSnapshot());
    ASSIGN_OR_RETURN(absl::optional<MetaRecord> meta,
                     GetRecord<MetaRecord>(*snapshot, Table::kMeta, kMetaKey));
    if (!meta.has_value()) return absl::DataLossError("the store has no meta record");
    before = *std::move(meta);
  }
  // R5, R7, R16: one synced write, that raises the longest lease where ours is longer.
  ASSIGN_OR_RETURN(const Committed first, options_.sequencer->Run(std::make_shared<SetLongestLease>(
                                              options_.lease, SetLongestLease::Mode::kRaise)));
  (void)first;

  ASSIGN_OR_RETURN(std::unique_ptr<Snapshot> snapshot, options_.engine->NewSnapshot());
  ASSIGN_OR_RETURN(absl::optional<MetaRecord> meta,
                   GetRecord<MetaRecord>(*snapshot, Table::kMeta, kMetaKey));
  ASSIGN_OR_RETURN(absl::optional<HeadRecord> head,
                   GetRecord<HeadRecord>(*snapshot, Table::kMeta, kHeadKey));
  if (!meta.has_value() || !head.has_value()) {
    return absl::DataLossError("the store has no meta or head record");
  }
  epoch_ = meta->epoch();
  ledger_head_ = snapshot->revision();

  EnforcementLedger::Options ledger_options;
  ledger_options.epoch = epoch_;
  ledger_options.lease = options_.lease;
  ledger_options.drift_bound = options_.drift_bound;
  ledger_options.ack_limit = options_.ack_limit;
  ledger_options.write_window = options_.write_window > absl::ZeroDuration()
                                    ? options_.write_window
                                    : std::max(options_.lease, kShortestWriteWindowLimit);
  EnforcementLedger::Start start;
  start.head = ledger_head_;
  start.last_event_revision = head->last_event_revision();
  start.longest_lease = absl::Microseconds(meta->longest_lease_us());
  start.longest_lease_before = absl::Microseconds(before.longest_lease_us());
  start.restored = meta->restored();
  ASSIGN_OR_RETURN(start.roster, ReadRoster(*snapshot));
  const size_t roster = start.roster.size();
  start.now = options_.clock->Now();

  EnforcementDesk::Options desk_options;
  desk_options.sequencer = options_.sequencer;
  desk_options.clock = options_.clock;
  desk_options.use = options_.use;
  desk_options.on_enforced = options_.on_enforced;
  desk_options.wake = [this] { WakeTimer(); };
  desk_options.wake_streams = [this] { WakeStreams(); };
  desk_ = std::make_unique<EnforcementDesk>(
      std::move(desk_options), std::make_unique<EnforcementLedger>(ledger_options, start));

  // The newest revisions are read into the ring, so that those who come back find them there.
  const int64_t floor = std::max(head->compacted_revision(),
                                 ledger_head_ - std::max<int64_t>(0, options_.preload_revisions));
  ring_ = std::make_unique<EventRing>(options_.ring, std::max<int64_t>(0, floor));
  readers_ =
      std::make_unique<FeedReaders>(options_.engine, ring_.get(), options_.ring.max_part_bytes);
  snapshot.reset();

  for (int i = 0; i < options_.wake_threads; ++i) shards_.push_back(std::make_unique<Shard>());
  ASSIGN_OR_RETURN(tail_, options_.engine->TailFrom(
                              ring_->head(), [this](const TailEntry& entry) { OnEntry(entry); }));
  for (auto& shard : shards_) {
    shard->thread = std::thread([this, s = shard.get()] { WakeWork(s); });
  }
  timer_ = std::thread([this] { TimeWork(); });
  Log(LogLevel::kInfo, "feed started",
      {{"epoch", epoch_},
       {"head", ring_->head()},
       {"roster", static_cast<int64_t>(roster)},
       {"restored", start.restored}});
  return absl::OkStatus();
}

// On the committing thread: serialise once, note it, and leave the rest to others.
void HubImpl::OnEntry(const TailEntry& entry) {
  const bool has_events = entry.events.events_size() > 0;
  // The ring before the ledger: what the ledger asks of a Pong (R9) must be there to be sent.
  if (!ring_->Append(entry)) {
    Log(LogLevel::kError, "the store's tail has a gap: nothing is granted any more",
        {{"expected", ring_->head() + 1}, {"got", entry.revision}});
    desk_->StopGranting();
    if (options_.on_fatal) {
      options_.on_fatal(absl::DataLossError(absl::StrCat(
          "the store's tail has a gap: after revision ", ring_->head(), " came ", entry.revision)));
    }
    return;
  }
  if (entry.revision > ledger_head_) desk_->OnRevision(entry.revision, has_events);
  if (has_events) WakeStreams();  // else a Pong tells of it (R8)
}

void HubImpl::WakeStreams() {
  for (auto& shard : shards_) {
    absl::MutexLock lock(&shard->mu);
    shard->all = true;
  }
}

void HubImpl::WakeWork(Shard* shard) {
  const bool first = shard == shards_.front().get();
  while (true) {
    std::vector<std::shared_ptr<FollowerStream>> streams;
    bool all = false;
    {
      absl::MutexLock lock(&shard->mu);
      const auto due = [shard]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard->mu) {
        return shard->stop || shard->all || !shard->single.empty();
      };
      shard->mu.Await(absl::Condition(&due));
      if (shard->stop) return;
      all = std::exchange(shard->all, false);
      streams = std::exchange(shard->single, {});
      if (all) {
        streams.clear();
        for (const auto& [number, stream] : shard->streams) streams.push_back(stream);
      }
    }
    for (const auto& stream : streams) stream->Wake();
    if (all && first) readers_->WakeAll();
  }
}

void HubImpl::WakeLater(const std::shared_ptr<FollowerStream>& stream) {
  if (stream == nullptr) {
    WakeTimer();
    return;
  }
  Shard& shard = ShardOf(stream->number());
  absl::MutexLock lock(&shard.mu);
  if (!shard.stop) shard.single.push_back(stream);
}

void HubImpl::WakeTimer() {
  std::lock_guard<std::mutex> lock(timer_mu_);
  timer_woken_ = true;
  timer_changed_.notify_all();
}

void HubImpl::TimeWork() {
  BootTime next_streams = options_.clock->Now() + kTick;
  while (true) {
    const BootTime next = std::min(desk_->Tick(), next_streams);
    const absl::Duration wait = std::clamp(next - options_.clock->Now(), kShortestTick, kTick);
    {
      std::unique_lock<std::mutex> lock(timer_mu_);
      timer_changed_.wait_until(lock,
                                std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(wait),
                                [this] { return timer_woken_ || timer_stop_; });
      if (timer_stop_) return;
      timer_woken_ = false;
    }
    const BootTime now = options_.clock->Now();
    if (now < next_streams) continue;
    next_streams = now + kTick;
    for (const auto& stream : Streams()) {
      if (!stream->Tick(now, options_.stall_limit)) continue;
      absl::MutexLock lock(&mu_);
      ++cut_;
    }
  }
}

std::vector<std::shared_ptr<FollowerStream>> HubImpl::Streams() {
  std::vector<std::shared_ptr<FollowerStream>> streams;
  for (auto& shard : shards_) {
    absl::MutexLock lock(&shard->mu);
    for (const auto& [number, stream] : shard->streams) streams.push_back(stream);
  }
  return streams;
}

absl::Duration HubImpl::Jitter(absl::Duration bound) {
  absl::MutexLock lock(&random_mu_);
  return bound * options_.random->UniformReal();
}

absl::StatusOr<std::shared_ptr<FollowStream>> HubImpl::Connect(std::shared_ptr<FollowCall> call) {
  Session::Options session;
  session.epoch = epoch_;
  session.brand = options_.brand;
  session.caller = call->CallerName();
  session.usage_interval = options_.usage_interval;
  session.max_age =
      options_.min_stream_age + Jitter(options_.max_stream_age - options_.min_stream_age);
  session.come_back_after = Jitter(absl::Seconds(1));
  session.no_progress_limit = options_.no_progress_limit;
  session.max_message_bytes = options_.ring.max_part_bytes;
  uint64_t number = 0;
  size_t followers = 0;
  {
    absl::MutexLock lock(&mu_);
    if (draining_) {
      return RefuseForNow("DRAINING", "refused: this service is about to stop", absl::Seconds(1));
    }
    if (streams_ >= options_.max_followers) {
      ErrorDetails details;
      details.reason = "TOO_MANY_FOLLOWERS";
      details.retry_after = absl::Seconds(5);
      return Refuse(absl::StatusCode::kResourceExhausted,
                    absl::StrCat("refused: ", streams_, " validators follow already"), details);
    }
    ++streams_;
    number = next_number_++;
    followers = streams_;
  }
  // The roster tells of a fleet that is only coming back after a start.
  session.ping_interval =
      PingIntervalFor(options_.ping_interval, options_.lease,
                      std::max(followers, desk_->figures().live), options_.max_pings_per_second);
  auto stream =
      std::make_shared<FollowerStream>(number, std::move(session), ring_.get(), desk_.get(), this,
                                       options_.use, options_.clock, std::move(call));
  Shard& shard = ShardOf(number);
  absl::MutexLock lock(&shard.mu);
  shard.streams.emplace(number, stream);
  return std::shared_ptr<FollowStream>(std::move(stream));
}

void HubImpl::OnGreeted(const std::shared_ptr<FollowerStream>& stream, bool resumes) {
  absl::optional<uint64_t> older;
  bool draining = false;
  {
    absl::MutexLock lock(&mu_);
    ++(resumes ? resumes_ : resets_);
    auto [it, fresh] = newest_.try_emplace(stream->key(), stream->number());
    if (!fresh) older = std::exchange(it->second, stream->number());
    draining = draining_;
  }
  if (draining) stream->GoAway("draining", Jitter(absl::Seconds(1)));
  if (!older.has_value()) return;
  std::shared_ptr<FollowerStream> replaced;
  {
    Shard& shard = ShardOf(*older);
    absl::MutexLock lock(&shard.mu);
    auto it = shard.streams.find(*older);
    if (it != shard.streams.end()) replaced = it->second;
  }
  if (replaced != nullptr) replaced->GoAway("replaced", absl::ZeroDuration());
}

void HubImpl::OnFuture(const std::string& validator_id, int64_t seen) {
  if (!desk_->StopGranting()) return;
  Log(LogLevel::kError,
      "a validator has seen more of this epoch than the store holds: the store was rolled back; "
      "no leases are granted until it is restored under a new epoch",
      {{"validator", validator_id}, {"seen", seen}, {"head", ring_->head()}});
  if (options_.on_rolled_back) options_.on_rolled_back(validator_id, seen, ring_->head());
}

bool HubImpl::ReadStore(int64_t after, std::function<void(CatchUp)> done) {
  {
    absl::MutexLock lock(&mu_);
    if (stopped_) return false;
    ++reads_under_way_;
  }
  const bool taken = options_.executor->Submit([this, after, done = std::move(done)] {
    done(readers_->ReadStore(after, 256));
    absl::MutexLock lock(&mu_);
    --reads_under_way_;
  });
  if (!taken) {
    absl::MutexLock lock(&mu_);
    --reads_under_way_;
  }
  return taken;
}

void HubImpl::OnClosed(FollowerStream* stream) {
  const SessionId key = stream->key();
  const bool stuck = stream->MadeNoProgress();
  std::shared_ptr<FollowerStream> held;  // let go after the locks
  {
    Shard& shard = ShardOf(stream->number());
    absl::MutexLock lock(&shard.mu);
    auto it = shard.streams.find(stream->number());
    if (it != shard.streams.end()) {
      held = std::move(it->second);
      shard.streams.erase(it);
    }
  }
  // Whoever waits for the last one to go sees it only once this is done with the hub.
  std::lock_guard<std::mutex> drain_lock(drain_mu_);
  {
    absl::MutexLock lock(&mu_);
    auto it = newest_.find(key);
    if (it != newest_.end() && it->second == stream->number()) newest_.erase(it);
    --streams_;
    if (stuck) ++cut_;
  }
  drain_changed_.notify_all();
}

bool HubImpl::AwaitNoStreams(absl::Duration timeout) {
  const auto none = [this] {
    absl::MutexLock lock(&mu_);
    return streams_ == 0;
  };
  std::unique_lock<std::mutex> lock(drain_mu_);
  return drain_changed_.wait_until(
      lock,
      std::chrono::steady_clock::now() +
          absl::ToChronoNanoseconds(std::clamp(timeout, absl::ZeroDuration(), absl::Hours(24))),
      none);
}

absl::StatusOr<std::unique_ptr<FeedReader>> HubImpl::Subscribe(int64_t after,
                                                               std::function<void()> wake) {
  return readers_->Subscribe(after, std::move(wake));
}

Hub::Stats HubImpl::stats() {
  const EnforcementDesk::Figures figures = desk_->figures();
  Stats stats;
  stats.live_sessions = figures.live;
  stats.pending_sessions = figures.pending;
  stats.head = ring_->head();
  stats.enforced = figures.enforced;
  stats.grants = figures.grants;
  stats.grants_refused = figures.grants_refused;
  stats.lapses = figures.lapses;
  stats.waiting = figures.waiting;
  stats.rolled_back = figures.rolled_back;
  stats.ring_bytes = ring_->bytes();
  stats.ring_revisions = ring_->size();
  absl::MutexLock lock(&mu_);
  stats.followers = newest_.size();
  stats.resets = resets_;
  stats.resumes = resumes_;
  stats.cut = cut_;
  return stats;
}

void HubImpl::Drain(absl::Duration timeout) {
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
  }
  for (const auto& stream : Streams()) stream->GoAway("draining", Jitter(absl::Seconds(1)));
  if (AwaitNoStreams(timeout)) return;
  // Again and again: one that was let in a moment before may not be among the streams yet. gRPC
  // ends a cancelled call by itself.
  while (true) {
    for (const auto& stream : Streams()) {
      stream->Abort(
          RefuseForNow("DRAINING", "refused: this service is about to stop", absl::Seconds(1)));
    }
    if (AwaitNoStreams(absl::Milliseconds(100))) return;
  }
}

void HubImpl::Stop() {
  {
    absl::MutexLock lock(&mu_);
    if (stopped_) return;
  }
  if (!shards_.empty()) Drain(absl::ZeroDuration());
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return reads_under_way_ == 0; };
    mu_.Await(absl::Condition(&idle));
  }
  {
    std::lock_guard<std::mutex> lock(timer_mu_);
    timer_stop_ = true;
    timer_changed_.notify_all();
  }
  if (timer_.joinable()) timer_.join();
  // What is under way still ends; only then may what it touches go.
  if (desk_ != nullptr) desk_->Stop();
  tail_.reset();
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

absl::StatusOr<std::unique_ptr<Hub>> Hub::Start(Options options) {
  if (options.engine == nullptr || options.sequencer == nullptr || options.clock == nullptr ||
      options.random == nullptr || options.executor == nullptr) {
    return absl::InvalidArgumentError(
        "the hub needs an engine, a sequencer, a clock, a source of "
        "randomness and an executor");
  }
  RETURN_IF_ERROR(CheckOptions(options));
  auto hub = std::make_unique<HubImpl>(std::move(options));
  RETURN_IF_ERROR(hub->Begin());
  return std::unique_ptr<Hub>(std::move(hub));
}

}  // namespace tollgate
