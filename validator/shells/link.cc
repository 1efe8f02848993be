#include "validator/shells/link.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "net/reactor.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::FollowRequest;
using tollgate::v1::FollowResponse;

// The most messages that wait for the wire. A stream that takes none of that many is as good as
// dead, and its pings would be too old for a lease.
constexpr size_t kMostQueued = 1024;

// A service that says nothing for so long after a goodbye has hung: it answers one at once.
constexpr absl::Duration kGoodbyePatience = absl::Seconds(2);

// The timer looks at the boot clock at least this often: the steady clock stands still while the
// machine is suspended, the boot clock does not.
constexpr absl::Duration kLongestWait = absl::Seconds(1);

}  // namespace

// One call of Follow.
class Link::Stream final : public net::ClientBidiStream<FollowRequest, FollowResponse> {
 public:
  Stream(std::shared_ptr<Link> link, uint64_t number, std::shared_ptr<Connection> connection)
      : ClientBidiStream(link->options_.clock),
        link_(std::move(link)),
        number_(number),
        connection_(std::move(connection)) {}

  void Open() {
    // Not wait_for_ready: a stream that waits for the channel's next attempt never learns why the
    // last one failed. One try is one attempt to connect, and the core's backoff is between two.
    connection_->stub->async()->Follow(context(), this);
    Start();
  }

 private:
  bool NextToWrite(FollowRequest* out) override { return link_->Next(number_, out); }
  void OnMessage(FollowResponse& message) override { link_->OnMessage(number_, message); }
  void OnEnded(const absl::Status& status) override {
    link_->OnEnded(number_, std::move(connection_), status);
  }

  const std::shared_ptr<Link> link_;
  const uint64_t number_;
  std::shared_ptr<Connection> connection_;  // until the end
};

std::shared_ptr<Link> Link::Start(Options options) {
  std::shared_ptr<Link> link(new Link(std::move(options)));
  link->options_.validator->SetHurry([weak = std::weak_ptr<Link>(link)] {
    if (const std::shared_ptr<Link> hurried = weak.lock()) hurried->Hurry();
  });
  StreamCalls calls;
  {
    absl::MutexLock lock(&link->mu_);
    calls = link->QueueActions(link->options_.validator->Start());
  }
  link->timer_ = std::thread([raw = link.get()] { raw->TimerLoop(); });
  link->MakeCalls(std::move(calls));
  return link;
}

Link::Link(Options options) : options_(std::move(options)) {}

Link::~Link() {
  // By contract the link is stopped; this thread must join the timer even so.
  if (timer_.joinable()) Stop();
}

bool Link::Goodbye(absl::Duration limit) {
  StreamCalls calls;
  bool said = false;
  {
    absl::MutexLock lock(&mu_);
    if (stopped_ || goodbye_) return false;
    goodbye_ = true;
    FollowerActions actions = options_.validator->Goodbye();
    said = std::any_of(actions.send.begin(), actions.send.end(),
                       [](const FollowRequest& message) { return message.has_goodbye(); });
    calls = QueueActions(std::move(actions));
  }
  MakeCalls(std::move(calls));
  absl::MutexLock lock(&mu_);
  // A stream on which nothing was heard says no goodbye either (Welcome comes first), so there is
  // nothing to wait for.
  if (!heard_ && !Quiet()) return false;
  const auto began = std::chrono::steady_clock::now();
  const auto since = [](std::chrono::steady_clock::time_point then) {
    return absl::FromChrono(std::chrono::steady_clock::now() - then);
  };
  while (!Quiet()) {
    const absl::Duration left =
        std::min(limit - since(began), kGoodbyePatience - since(std::max(began, heard_at_)));
    if (left <= absl::ZeroDuration()) break;
    mu_.AwaitWithTimeout(absl::Condition(this, &Link::Quiet), left);
  }
  return said && Quiet() && goodbye_taken_;
}

void Link::Stop() {
  std::shared_ptr<Stream> present;
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    present = stream_;
  }
  if (present != nullptr) present->Cancel();
  {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(this, &Link::Quiet));
  }
  {
    std::lock_guard<std::mutex> lock(timer_mu_);
    timer_stopped_ = true;
    timer_changed_.notify_all();
  }
  if (timer_.joinable()) timer_.join();
  absl::MutexLock lock(&mu_);
  connection_ = nullptr;
  done_with_.clear();
}

bool Link::Next(uint64_t stream, FollowRequest* out) {
  absl::MutexLock lock(&mu_);
  if (stream != number_ || queue_.empty()) return false;
  *out = std::move(queue_.front());
  queue_.pop_front();
  return true;
}

void Link::OnMessage(uint64_t stream, const FollowResponse& message) {
  StreamCalls calls;
  bool followed = false;
  {
    absl::MutexLock lock(&mu_);
    if (stopped_) return;
    const bool first = stream == number_ && !std::exchange(heard_, true);
    heard_at_ = std::chrono::steady_clock::now();
    if (stream == number_ && message.has_go_away()) told_to_leave_ = true;
    calls = QueueActions(options_.validator->StreamMessage(stream, message));
    // Not one that the core may not follow.
    followed = first && message.has_welcome() && calls.cancel == nullptr && !goodbye_;
  }
  if (followed) {
    options_.reach->Followed();
    if (options_.on_followed) options_.on_followed();
  }
  MakeCalls(std::move(calls));
  options_.validator->Settle();
}

void Link::OnEnded(uint64_t stream, std::shared_ptr<Connection> connection,
                   const absl::Status& status) {
  StreamCalls calls;
  {
    absl::MutexLock lock(&mu_);
    if (stream == number_) {
      stream_ = nullptr;
      queue_.clear();
      if (goodbye_) goodbye_taken_ = status.ok() && heard_;
      if (!goodbye_ && !stopped_) {
        // Before the core may open the next one.
        options_.reach->Ended(status, std::exchange(why_left_, ""), told_to_leave_);
      }
      told_to_leave_ = false;
      // A channel that could not connect would go on trying by itself, from its shortest pause on:
      // the core alone says when a try is due, so that a fleet does not hammer.
      if (!std::exchange(heard_, false) && connection_ == connection &&
          connection->channel->GetState(false) != GRPC_CHANNEL_READY) {
        connection_ = nullptr;
      }
    }
    if (!stopped_) calls = QueueActions(options_.validator->StreamClosed(stream));
    done_with_.push_back(std::move(connection));
    --open_;
  }
  MakeCalls(std::move(calls));
  Hurry();  // the timer's thread lets go of it
}

Link::StreamCalls Link::QueueActions(FollowerActions actions) {
  StreamCalls calls;
  if (!actions.why.empty()) why_left_ = actions.why;
  if (actions.misconfigured) options_.reach->Refused(actions.reason, actions.why);
  if (!actions.send.empty() && stream_ != nullptr) {
    for (FollowRequest& message : actions.send) queue_.push_back(std::move(message));
    calls.wake = stream_;
    if (queue_.size() > kMostQueued) calls.cancel = stream_;
  }
  if (actions.finish && stream_ != nullptr) {
    calls.wake = stream_;
    calls.finish = true;
  }
  if (actions.disconnect && actions.stream == number_) {
    calls.cancel = stream_;
    connection_doubted_ = true;
  }
  if (actions.connect && !stopped_ && !goodbye_) {
    if (connection_ == nullptr || connection_doubted_ ||
        connection_->channel->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
      if (connection_ != nullptr) done_with_.push_back(std::move(connection_));
      connection_ = std::make_shared<Connection>();
      connection_->channel = options_.make_channel();
      connection_->stub = tollgate::v1::EdgeService::NewStub(connection_->channel);
      connection_doubted_ = false;
    }
    number_ = actions.stream;
    stream_ = std::make_shared<Stream>(shared_from_this(), number_, connection_);
    queue_.clear();
    heard_ = false;
    told_to_leave_ = false;
    why_left_.clear();
    ++open_;
    options_.reach->Opening();
    calls.open = stream_;
    // At once, and not at the server's first word, because a server may say nothing before it has
    // read the Hello. The Hello waits for the connection in the stream; the core bounds that wait.
    FollowerActions hello = options_.validator->StreamConnected(number_);
    for (FollowRequest& message : hello.send) queue_.push_back(std::move(message));
    actions.wake_at = hello.wake_at;
  }
  WakeAt(actions.wake_at);
  return calls;
}

void Link::MakeCalls(StreamCalls calls) {
  if (calls.wake != nullptr) {
    if (calls.finish) {
      calls.wake->CloseWhenDrained(absl::OkStatus());
    } else {
      calls.wake->Wake();
    }
  }
  if (calls.cancel != nullptr) calls.cancel->Cancel();
  // Stop, or the core, may have cancelled the stream already: it then ends as soon as it is open.
  if (calls.open != nullptr) calls.open->Open();
}

void Link::WakeAt(base::BootTime at) {
  std::lock_guard<std::mutex> lock(timer_mu_);
  wake_at_ = at;
  timer_changed_.notify_all();
}

void Link::Hurry() {
  std::lock_guard<std::mutex> lock(timer_mu_);
  hurried_ = true;
  timer_changed_.notify_all();
}

void Link::TimerLoop() {
  std::unique_lock<std::mutex> lock(timer_mu_);
  while (!timer_stopped_) {
    const absl::Duration wait = wake_at_ - options_.clock->Now();
    if (wait > absl::ZeroDuration() && !hurried_) {
      timer_changed_.wait_until(lock, std::chrono::steady_clock::now() +
                                          absl::ToChronoNanoseconds(std::min(wait, kLongestWait)));
      continue;
    }
    wake_at_ = base::BootTime::InfiniteFuture();
    hurried_ = false;
    lock.unlock();
    StreamCalls calls;
    std::vector<std::shared_ptr<Connection>> done_with;
    {
      absl::MutexLock guard(&mu_);
      done_with.swap(done_with_);
      if (!stopped_) calls = QueueActions(options_.validator->Tick());
    }
    done_with.clear();
    MakeCalls(std::move(calls));
    options_.validator->Settle();
    lock.lock();
  }
}

}  // namespace tollgate::validator
