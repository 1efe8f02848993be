// A small EdgeService for the tests of net: the test answers Resolve; Follow answers every Ping
// with a Pong, and sends the messages that the test pushes.
#ifndef TOLLGATE_TESTS_UNIT_NET_EDGE_SERVER_H_
#define TOLLGATE_TESTS_UNIT_NET_EDGE_SERVER_H_

#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "net/credentials.h"
#include "net/grpc_listeners.h"
#include "net/limits.h"
#include "net/reactor.h"
#include "net/wire.h"
#include "tollgate/v1/edge_service.grpc.pb.h"

namespace tollgate::net {

inline constexpr absl::Duration kTestPatience = absl::Seconds(20);

// A temporary folder that is removed with the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tgnet.XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

using ResolveCall = UnaryCall<v1::ResolveRequest, v1::ResolveResponse>;

// One follower at the server.
class FeedStream : public BidiStream<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit FeedStream(grpc::CallbackServerContext* context)
      : BidiStream(context, &base::SystemClock()) {}

  void Push(grpc::ByteBuffer message) {
    {
      absl::MutexLock lock(&mu_);
      queue_.push_back(std::move(message));
    }
    Wake();
  }
  void Push(const v1::FollowResponse& message) { Push(ToByteBuffer(message)); }
  bool peer_gone() const { return peer_gone_.HasBeenNotified(); }
  // Called exactly once: a second Notify would end the process.
  absl::Notification& ended() { return ended_; }

 private:
  bool NextToWrite(grpc::ByteBuffer* out) override {
    absl::MutexLock lock(&mu_);
    if (queue_.empty()) return false;
    *out = std::move(queue_.front());
    queue_.pop_front();
    return true;
  }
  void OnMessage(grpc::ByteBuffer& message) override {
    v1::FollowRequest request;
    if (!FromByteBuffer(message, &request)) {
      Close(base::Refuse(absl::StatusCode::kInvalidArgument, "BAD_MESSAGE", "not a FollowRequest"));
      return;
    }
    v1::FollowResponse pong;
    pong.mutable_pong()->set_sequence(request.ping().sequence());
    Push(pong);
  }
  void OnReadsEnded() override { CloseWhenDrained(absl::OkStatus()); }
  void OnPeerGone() override { peer_gone_.Notify(); }
  void OnEnded() override { ended_.Notify(); }

  absl::Mutex mu_;
  std::deque<grpc::ByteBuffer> queue_ ABSL_GUARDED_BY(mu_);
  absl::Notification peer_gone_;
  absl::Notification ended_;
};

class EdgeServer : public v1::EdgeService::WithCallbackMethod_Resolve<
                       v1::EdgeService::WithRawCallbackMethod_Follow<v1::EdgeService::Service>> {
 public:
  EdgeServer() {
    on_resolve = [](std::shared_ptr<ResolveCall> call) {
      v1::ResolveResponse response;
      response.set_revision(call->request().applied_revision());
      response.set_epoch(call->request().validator_id());
      call->Reply(response);
    };
  }

  // Set before Start.
  std::function<void(std::shared_ptr<ResolveCall>)> on_resolve;
  absl::optional<ServerLimits> limits;

  absl::Status Start(
      Acceptor::Options options,
      std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    if (limits.has_value()) ApplyServerLimits(builder, *limits);
    builder.RegisterService(this);
    auto acceptor = listeners.Add(builder, std::move(options), std::move(credentials));
    if (!acceptor.ok()) return acceptor.status();
    address = (*acceptor)->address();
    server = builder.BuildAndStart();
    if (server == nullptr) return absl::InternalError("no server");
    return listeners.Start();
  }
  absl::Status Start(const std::string& listen = "127.0.0.1:0") {
    Acceptor::Options options;
    options.address = ParseAddress(listen).value();
    return Start(std::move(options));
  }
  void Stop() {
    if (server == nullptr) return;
    listeners.StopAccepting();
    server->Shutdown(std::chrono::system_clock::now());
    server->Wait();
    server.reset();
  }
  ~EdgeServer() override { Stop(); }

  std::unique_ptr<v1::EdgeService::Stub> Stub(
      std::shared_ptr<grpc::ChannelCredentials> credentials =
          grpc::InsecureChannelCredentials()) const {
    ChannelOptions options;
    options.own_connection = true;
    return v1::EdgeService::NewStub(MakeChannel(address, credentials, options));
  }

  // Waits for the n-th follower.
  std::shared_ptr<FeedStream> Follower(size_t n) {
    absl::MutexLock lock(&mu_);
    const auto come = [this, n]()
                          ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return followers_.size() > n; };
    return mu_.AwaitWithTimeout(absl::Condition(&come), kTestPatience) ? followers_[n] : nullptr;
  }

  grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* context,
                                    const v1::ResolveRequest* request,
                                    v1::ResolveResponse* response) override {
    return ResolveCall::Serve(context, request, response, on_resolve);
  }
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Follow(
      grpc::CallbackServerContext* context) override {
    auto stream = std::make_shared<FeedStream>(context);
    auto* reactor = stream->Start();
    absl::MutexLock lock(&mu_);
    followers_.push_back(std::move(stream));
    return reactor;
  }

  Address address;
  GrpcListeners listeners;
  std::unique_ptr<grpc::Server> server;

 private:
  absl::Mutex mu_;
  std::vector<std::shared_ptr<FeedStream>> followers_ ABSL_GUARDED_BY(mu_);
};

// Asks once, waiting for the connection if need be.
inline grpc::Status Ask(v1::EdgeService::Stub& stub, v1::ResolveResponse* response,
                        absl::Duration patience = kTestPatience) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
  v1::ResolveRequest request;
  request.set_applied_revision(7);
  request.set_validator_id("edge-1");
  return stub.Resolve(&context, request, response);
}

}  // namespace tollgate::net

#endif  // TOLLGATE_TESTS_UNIT_NET_EDGE_SERVER_H_
