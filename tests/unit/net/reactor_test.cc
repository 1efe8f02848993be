#include "net/reactor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/executor.h"
#include "base/status.h"
#include "tests/unit/net/edge_server.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::net {
namespace {

TEST(UnaryCallTest, AnswersFromAnotherThreadAndTellsItsDeadline) {
  base::ThreadPool pool(2, 100);
  EdgeServer edge;
  std::atomic<bool> bounded{false};
  edge.on_resolve = [&](std::shared_ptr<ResolveCall> call) {
    bounded = call->deadline() < absl::Now() + absl::Hours(1);
    EXPECT_TRUE(pool.Submit([call] {
      v1::ResolveResponse response;
      response.set_revision(call->request().applied_revision() + 1);
      call->Reply(response);
      call->Fail(absl::InternalError("a second answer does nothing"));
    }));
  };
  ASSERT_TRUE(edge.Start().ok());
  auto stub = edge.Stub();
  v1::ResolveResponse response;
  ASSERT_TRUE(Ask(*stub, &response).ok());
  EXPECT_EQ(response.revision(), 8);
  EXPECT_TRUE(bounded);
  grpc::ClientContext unbounded;
  ASSERT_TRUE(stub->Resolve(&unbounded, {}, &response).ok());
  EXPECT_FALSE(bounded) << "no deadline is an infinite one";
}

TEST(UnaryCallTest, ErrorsCarryTheirReasonAndADroppedCallIsAnswered) {
  EdgeServer edge;
  edge.on_resolve = [](std::shared_ptr<ResolveCall> call) {
    if (call->request().applied_revision() == 7) {
      call->Fail(base::RefuseForNow("NOT_READY", "come back", absl::Seconds(3)));
    }  // else dropped
  };
  ASSERT_TRUE(edge.Start().ok());
  auto stub = edge.Stub();
  v1::ResolveResponse response;
  const absl::Status refused = FromGrpcStatus(Ask(*stub, &response));
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::ReasonOf(refused), "NOT_READY");
  EXPECT_EQ(base::DetailsOf(refused).retry_after, absl::Seconds(3));
  grpc::ClientContext context;
  EXPECT_EQ(base::ReasonOf(FromGrpcStatus(stub->Resolve(&context, {}, &response))), "CALL_DROPPED");
}

TEST(UnaryCallTest, CancellationIsSeen) {
  EdgeServer edge;
  absl::Notification arrived, cancelled, again;
  std::shared_ptr<ResolveCall> held;
  edge.on_resolve = [&](std::shared_ptr<ResolveCall> call) {
    call->OnCancelled([&] { cancelled.Notify(); });
    held = std::move(call);
    arrived.Notify();
  };
  ASSERT_TRUE(edge.Start().ok());
  auto stub = edge.Stub();
  grpc::ClientContext context;
  std::thread client([&] {
    v1::ResolveResponse response;
    EXPECT_EQ(stub->Resolve(&context, {}, &response).error_code(), grpc::StatusCode::CANCELLED);
  });
  ASSERT_TRUE(arrived.WaitForNotificationWithTimeout(kTestPatience));
  EXPECT_FALSE(held->cancelled());
  context.TryCancel();
  ASSERT_TRUE(cancelled.WaitForNotificationWithTimeout(kTestPatience));
  EXPECT_TRUE(held->cancelled());
  held->OnCancelled([&] { again.Notify(); });
  EXPECT_TRUE(again.HasBeenNotified()) << "at once when it is already cancelled";
  held->Fail(absl::CancelledError("gone"));
  held->OnCancelled([] {});  // harmless after the end
  client.join();
  held.reset();
}

// The answer comes from a foreign thread while the client cancels: under asan this finds any touch
// of a call that gRPC is done with.
TEST(UnaryCallTest, CancelRacesTheAnswer) {
  base::ThreadPool pool(4, 10000);
  EdgeServer edge;
  edge.on_resolve = [&](std::shared_ptr<ResolveCall> call) {
    call->OnCancelled([] {});
    pool.Submit([call] { call->Reply({}); });
  };
  ASSERT_TRUE(edge.Start().ok());
  auto stub = edge.Stub();
  constexpr int kCalls = 1500;
  struct One {
    grpc::ClientContext context;
    v1::ResolveRequest request;
    v1::ResolveResponse response;
  };
  std::vector<std::unique_ptr<One>> calls;
  absl::Mutex mu;
  int done = 0;
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(std::make_unique<One>());
    One* const one = calls.back().get();
    stub->async()->Resolve(&one->context, &one->request, &one->response, [&](grpc::Status) {
      absl::MutexLock lock(&mu);
      ++done;
    });
    if (i >= 3) calls[i - 3]->context.TryCancel();
  }
  const auto all = [&] { return done == kCalls; };
  absl::MutexLock lock(&mu);
  EXPECT_TRUE(mu.AwaitWithTimeout(absl::Condition(&all), kTestPatience)) << done;
}

// A follower at the client.
class Follower : public ClientBidiStream<v1::FollowRequest, v1::FollowResponse> {
 public:
  void Follow(v1::EdgeService::Stub& stub) {
    context()->set_wait_for_ready(true);
    stub.async()->Follow(context(), this);
    Start();
  }
  void Send(uint64_t sequence) {
    v1::FollowRequest request;
    request.mutable_ping()->set_sequence(sequence);
    {
      absl::MutexLock lock(&mu_);
      queue_.push_back(request);
    }
    Wake();
  }
  bool WaitForMessages(size_t n) {
    absl::MutexLock lock(&mu_);
    const auto enough = [this, n]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return got_.size() >= n; };
    return mu_.AwaitWithTimeout(absl::Condition(&enough), kTestPatience);
  }
  std::vector<v1::FollowResponse> got() {
    absl::MutexLock lock(&mu_);
    return got_;
  }
  bool WaitForEnd() { return ended_.WaitForNotificationWithTimeout(kTestPatience); }
  absl::Status end() const { return end_; }
  absl::Notification accepted;

 private:
  bool NextToWrite(v1::FollowRequest* out) override {
    absl::MutexLock lock(&mu_);
    if (queue_.empty()) return false;
    *out = queue_.front();
    queue_.pop_front();
    return true;
  }
  void OnMessage(v1::FollowResponse& message) override {
    absl::MutexLock lock(&mu_);
    got_.push_back(message);
  }
  void OnAccepted() override { accepted.Notify(); }
  void OnEnded(const absl::Status& status) override {
    end_ = status;
    ended_.Notify();  // a second end would end the process
  }

  absl::Mutex mu_;
  std::deque<v1::FollowRequest> queue_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::FollowResponse> got_ ABSL_GUARDED_BY(mu_);
  absl::Status end_;
  absl::Notification ended_;
};

class Stream : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(edge_.Start().ok());
    stub_ = edge_.Stub();
    follower_ = std::make_shared<Follower>();
  }
  EdgeServer edge_;
  std::unique_ptr<v1::EdgeService::Stub> stub_;
  std::shared_ptr<Follower> follower_;
};

TEST_F(Stream, IsAcceptedAtOnceAndKeepsTheOrderBothWays) {
  follower_->Follow(*stub_);
  EXPECT_TRUE(follower_->accepted.WaitForNotificationWithTimeout(kTestPatience))
      << "before any message";
  constexpr uint64_t kPings = 500;
  for (uint64_t i = 1; i <= kPings; ++i) follower_->Send(i);
  ASSERT_TRUE(follower_->WaitForMessages(kPings));
  const auto got = follower_->got();
  for (uint64_t i = 0; i < kPings; ++i) ASSERT_EQ(got[i].pong().sequence(), i + 1);
  follower_->Close(absl::OkStatus());
  ASSERT_TRUE(follower_->WaitForEnd());
  EXPECT_TRUE(follower_->end().ok()) << follower_->end();
  ASSERT_TRUE(edge_.Follower(0)->ended().WaitForNotificationWithTimeout(kTestPatience));
  // After the end nothing is harmful.
  follower_->Send(1);
  follower_->Cancel();
  edge_.Follower(0)->Push(v1::FollowResponse());
  edge_.Follower(0)->Abort(absl::CancelledError(""));
}

TEST_F(Stream, SharedBytesArriveWholeAndTheFarewellGoesOutBeforeTheEnd) {
  follower_->Follow(*stub_);
  v1::FollowResponse event;
  event.mutable_welcome()->set_epoch(std::string(5000, 'e'));
  auto bytes = std::make_shared<const std::string>(event.SerializeAsString());
  const std::weak_ptr<const std::string> watched = bytes;
  grpc::ByteBuffer shared = ToByteBuffer(std::move(bytes));
  auto feed = edge_.Follower(0);
  ASSERT_NE(feed, nullptr);
  for (int i = 0; i < 50; ++i) feed->Push(shared);
  v1::FollowResponse farewell;
  farewell.mutable_go_away()->set_reason("draining");
  feed->Push(farewell);
  feed->CloseWhenDrained(base::RefuseForNow("DRAINING", "come back", absl::Seconds(1)));
  ASSERT_TRUE(follower_->WaitForEnd());
  EXPECT_EQ(base::ReasonOf(follower_->end()), "DRAINING");
  const auto got = follower_->got();
  ASSERT_EQ(got.size(), 51u);
  EXPECT_EQ(got[49].welcome().epoch().size(), 5000u);
  EXPECT_EQ(got[50].go_away().reason(), "draining");
  ASSERT_TRUE(feed->ended().WaitForNotificationWithTimeout(kTestPatience));
  shared.Clear();
  edge_.Stop();
  EXPECT_TRUE(watched.expired()) << "the shared bytes are released";
}

TEST_F(Stream, CancelByTheClientEndsBothSides) {
  follower_->Follow(*stub_);
  auto feed = edge_.Follower(0);
  ASSERT_NE(feed, nullptr);
  follower_->Cancel();
  ASSERT_TRUE(follower_->WaitForEnd());
  EXPECT_EQ(follower_->end().code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(feed->ended().WaitForNotificationWithTimeout(kTestPatience));
  EXPECT_TRUE(feed->peer_gone());
}

TEST_F(Stream, CancelBeforeStartIsHonoured) {
  follower_->Cancel();
  follower_->Follow(*stub_);
  ASSERT_TRUE(follower_->WaitForEnd());
  EXPECT_EQ(follower_->end().code(), absl::StatusCode::kCancelled);
}

// The client does not read: the write stalls, Close cannot get past it, Abort can.
TEST_F(Stream, AbortEndsAStalledWrite) {
  class Deaf : public grpc::ClientBidiReactor<v1::FollowRequest, v1::FollowResponse> {
   public:
    void OnDone(const grpc::Status& status) override {
      code = status.error_code();
      done.Notify();
    }
    grpc::StatusCode code = grpc::StatusCode::OK;
    absl::Notification done;
  } deaf;
  grpc::ClientContext context;
  stub_->async()->Follow(&context, &deaf);
  deaf.StartCall();
  auto feed = edge_.Follower(0);
  ASSERT_NE(feed, nullptr);
  v1::FollowResponse big;
  big.mutable_welcome()->set_epoch(std::string(1 << 20, 'e'));
  const grpc::ByteBuffer bytes = ToByteBuffer(big);
  for (int i = 0; i < 64; ++i) feed->Push(bytes);
  // Stalled: the same write is in flight over many looks.
  const absl::Time until = absl::Now() + kTestPatience;
  absl::optional<base::BootTime> since;
  while (absl::Now() < until) {
    since = feed->write_in_flight_since();
    if (since.has_value() && base::SystemClock().Now() - *since > absl::Milliseconds(200)) break;
    std::this_thread::yield();
  }
  ASSERT_TRUE(since.has_value());
  feed->Close(absl::OkStatus());
  EXPECT_FALSE(feed->ended().HasBeenNotified());
  feed->Abort(absl::ResourceExhaustedError("too slow"));
  EXPECT_TRUE(feed->ended().WaitForNotificationWithTimeout(kTestPatience));
  // gRPC tells a client that does not read nothing before it has read what came first.
  context.TryCancel();
  deaf.done.WaitForNotification();  // deaf is on the stack
  EXPECT_NE(deaf.code, grpc::StatusCode::OK);
}

TEST_F(Stream, AMessageThatIsNotOneEndsTheStream) {
  auto buffer = ToByteBuffer(std::make_shared<const std::string>("\xff\xff\xff"));
  v1::FollowRequest request;
  EXPECT_FALSE(FromByteBuffer(buffer, &request));
  EXPECT_TRUE(FromByteBuffer(ToByteBuffer(request), &request)) << "empty is a message";
}

// Many threads push, close, abort and cancel at once: whatever wins, each side ends exactly once.
TEST_F(Stream, EveryEndAtOnce) {
  constexpr int kRounds = 60;
  for (int round = 0; round < kRounds; ++round) {
    auto follower = std::make_shared<Follower>();
    follower->Follow(*stub_);
    auto feed = edge_.Follower(round);
    ASSERT_NE(feed, nullptr);
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) follower->Send(i);
    });
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) feed->Push(v1::FollowResponse());
    });
    threads.emplace_back([&, round] {
      if (round % 3 == 0) follower->Cancel();
      if (round % 3 == 1) follower->Close(absl::OkStatus());
      if (round % 3 == 2) feed->Abort(absl::UnavailableError("abort"));
    });
    threads.emplace_back([&] { feed->CloseWhenDrained(absl::UnavailableError("close")); });
    for (auto& thread : threads) thread.join();
    ASSERT_TRUE(follower->WaitForEnd()) << round;
    ASSERT_TRUE(feed->ended().WaitForNotificationWithTimeout(kTestPatience)) << round;
  }
}

TEST_F(Stream, AClientComesBackAfterTheServerDid) {
  follower_->Follow(*stub_);
  ASSERT_TRUE(follower_->accepted.WaitForNotificationWithTimeout(kTestPatience));
  const std::string address = edge_.address.ToString();
  edge_.Stop();
  ASSERT_TRUE(follower_->WaitForEnd());
  EXPECT_FALSE(follower_->end().ok());

  EdgeServer successor;
  ASSERT_TRUE(successor.Start(address).ok());
  auto next = std::make_shared<Follower>();
  next->Follow(*stub_);  // the same channel
  next->Send(1);
  ASSERT_TRUE(next->WaitForMessages(1));
  next->Cancel();
  ASSERT_TRUE(next->WaitForEnd());
}

// A server-streaming RPC that counts.
class Counting : public WriteStream<v1::RevisionEvents> {
 public:
  Counting(grpc::CallbackServerContext* context, int64_t last, absl::Notification* ended)
      : WriteStream(context), last_(last), ended_(ended) {}

 private:
  bool NextToWrite(v1::RevisionEvents* out) override {
    if (next_ > last_) {
      if (last_ >= 0) Close(absl::OkStatus());
      return false;
    }
    out->set_revision(next_++);
    return true;
  }
  void OnEnded() override { ended_->Notify(); }

  int64_t next_ = 1;
  const int64_t last_;
  absl::Notification* const ended_;
};

class Operations : public v1::OperationsService::CallbackService {
 public:
  grpc::ServerWriteReactor<v1::RevisionEvents>* WatchEvents(
      grpc::CallbackServerContext* context, const v1::WatchEventsRequest*) override {
    if (last == 0) {
      ended.Notify();
      return RefuseStream<grpc::ServerWriteReactor<v1::RevisionEvents>>(
          base::Refuse(absl::StatusCode::kPermissionDenied, "NOT_YOU", "no"));
    }
    return std::make_shared<Counting>(context, last, &ended)->Start();
  }
  int64_t last = 0;
  absl::Notification ended;
};

class Watching : public testing::Test {
 protected:
  std::unique_ptr<v1::OperationsService::Stub> Serve(int64_t last) {
    service_.last = last;
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    Acceptor::Options options;
    options.address = ParseAddress("127.0.0.1:0").value();
    auto acceptor = listeners_.Add(builder, options, grpc::InsecureServerCredentials());
    server_ = builder.BuildAndStart();
    EXPECT_TRUE(listeners_.Start().ok());
    return v1::OperationsService::NewStub(
        MakeChannel((*acceptor)->address(), grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    listeners_.StopAccepting();
    server_->Shutdown(std::chrono::system_clock::now());
  }
  Operations service_;
  GrpcListeners listeners_;
  std::unique_ptr<grpc::Server> server_;
  grpc::ClientContext context_;
  v1::RevisionEvents events_;
};

TEST_F(Watching, WritesAllAndEnds) {
  auto reader = Serve(200)->WatchEvents(&context_, {});
  for (int64_t i = 1; i <= 200; ++i) {
    ASSERT_TRUE(reader->Read(&events_));
    ASSERT_EQ(events_.revision(), i);
  }
  EXPECT_FALSE(reader->Read(&events_));
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(service_.ended.WaitForNotificationWithTimeout(kTestPatience));
}

TEST_F(Watching, AnIdleStreamSeesTheClientGo) {
  auto reader = Serve(-1)->WatchEvents(&context_, {});
  reader->WaitForInitialMetadata();
  context_.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(service_.ended.WaitForNotificationWithTimeout(kTestPatience));
}

TEST_F(Watching, ARefusedStreamSaysWhy) {
  auto reader = Serve(0)->WatchEvents(&context_, {});
  EXPECT_FALSE(reader->Read(&events_));
  EXPECT_EQ(base::ReasonOf(FromGrpcStatus(reader->Finish())), "NOT_YOU");
}

}  // namespace
}  // namespace tollgate::net
