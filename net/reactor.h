// Ref-counted bases over gRPC's callback API, so that no service repeats the API's traps.
//
// gRPC 1.51: a reactor must live until OnDone; OnDone may run before a foreign thread that finished
// the call has left its critical section; OnCancel and OnDone run on other threads than the rest;
// every RPC needs exactly one Finish, also after OnCancel; a second write in flight aborts the
// process; a handler that returns null answers UNIMPLEMENTED. Here a shared_ptr holds every object:
// one reference is the object's own and is dropped in OnDone; the others belong to the owners, who
// may keep them as long as they like, and may call the methods marked thread-safe even after the
// end.
//
// Reactions run on gRPC's pool (two threads on two cores): no virtual method below may block.
#ifndef TOLLGATE_NET_REACTOR_H_
#define TOLLGATE_NET_REACTOR_H_

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/status.h"
#include "net/error.h"
#include "net/out_flow.h"

namespace tollgate::net {

// The client's deadline; InfiniteFuture when the client gave none.
absl::Time DeadlineOf(const grpc::ServerContextBase& context);

// RESOURCE_EXHAUSTED, METADATA_TOO_LARGE, where a call brought more than kMostMetadataBytes, as
// HTTP/2 counts them: every reactor below answers so, and nothing else of the call is looked at.
inline constexpr size_t kMostMetadataBytes = 16 << 10;
absl::Status CheckMetadata(const grpc::ServerContextBase& context);

// Unary calls that this process's servers have taken and that are not over: gRPC has not sent their
// answers yet. Thread-safe.
int64_t UnaryCallsUnderWay();

namespace internal {

// The reactor that UnaryCall hands to gRPC. Holds itself until OnDone.
class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  static std::shared_ptr<UnaryReactor> Create();
  // Only the first call finishes the RPC, and returns true. Thread-safe.
  bool FinishOnce(const grpc::Status& status);
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  // `on_cancel` runs once when the call is cancelled; at once if it is already; it is dropped when
  // the call is done.
  void SetOnCancel(std::function<void()> on_cancel);

 private:
  UnaryReactor() = default;
  void OnCancel() override;
  void OnDone() override;

  std::shared_ptr<UnaryReactor> self_;
  std::atomic<bool> finished_{false};
  std::atomic<bool> cancelled_{false};
  absl::Mutex mu_;
  std::function<void()> on_cancel_ ABSL_GUARDED_BY(mu_);
  bool done_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace internal

// One unary call on the server: answered exactly once, from any thread, at any time. Use it like
// this:
//
//   grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* context,
//                                     const ResolveRequest* request,
//                                     ResolveResponse* response) override {
//     return UnaryCall<ResolveRequest, ResolveResponse>::Serve(context, request, response,
//         [this](auto call) { … call->Reply(answer) or call->Fail(status), now or later … });
//   }
//
// A handler that drops its last reference without an answer has a bug; the client then gets
// INTERNAL, reason CALL_DROPPED, rather than waiting for ever.
template <class Request, class Response>
class UnaryCall {
 public:
  // Runs `handler(std::shared_ptr<UnaryCall>)` on this thread and returns the reactor for gRPC,
  // never null.
  template <class Handler>
  static grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context,
                                         const Request* request, Response* response,
                                         Handler&& handler) {
    return ServeAll(context, request, response,
                    [&handler](std::shared_ptr<UnaryCall> call, const absl::Status& metadata) {
                      if (metadata.ok()) {
                        handler(std::move(call));
                      } else {
                        call->Fail(metadata);
                      }
                    });
  }

  // The same for a protocol in which a failed call may be read as a permission: nothing is answered
  // for the handler, which gets what CheckMetadata says and answers that, too:
  // `handler(std::shared_ptr<UnaryCall>, absl::Status)`.
  template <class Handler>
  static grpc::ServerUnaryReactor* ServeAll(grpc::CallbackServerContext* context,
                                            const Request* request, Response* response,
                                            Handler&& handler) {
    std::shared_ptr<internal::UnaryReactor> reactor = internal::UnaryReactor::Create();
    internal::UnaryReactor* const raw = reactor.get();  // holds itself until gRPC is done with it
    std::shared_ptr<UnaryCall> call(new UnaryCall(context, request, response, std::move(reactor)));
    handler(std::move(call), CheckMetadata(*context));
    return raw;
  }

  ~UnaryCall() {
    if (answered_) return;
    reactor_->FinishOnce(ToGrpcStatus(base::Refuse(absl::StatusCode::kInternal, "CALL_DROPPED",
                                                   "The call was dropped unanswered.")));
  }
  UnaryCall(const UnaryCall&) = delete;
  UnaryCall& operator=(const UnaryCall&) = delete;

  // Valid until the answer; context() too.
  const Request& request() const { return *request_; }
  grpc::CallbackServerContext& context() const { return *context_; }
  absl::Time deadline() const { return deadline_; }
  // True when the client has gone, or its deadline has passed. An answer is still required (drop
  // the call or Fail it). Thread-safe, also after the answer.
  bool cancelled() const { return reactor_->cancelled(); }
  // `on_cancel` runs once, on some gRPC thread, when the call is cancelled; at once when it is
  // already. It should not hold this call.
  void OnCancelled(std::function<void()> on_cancel) { reactor_->SetOnCancel(std::move(on_cancel)); }

  // Each of these answers the call; only the first answer has an effect. Any thread, but not two at
  // a time.
  void Reply(Response response) {
    if (answered_) return;
    answered_ = true;
    *response_ = std::move(response);
    reactor_->FinishOnce(grpc::Status::OK);
  }
  void Fail(const absl::Status& status) {
    if (answered_) return;
    answered_ = true;
    reactor_->FinishOnce(
        ToGrpcStatus(status.ok() ? absl::InternalError("a call failed with status OK") : status));
  }
  void Answer(absl::StatusOr<Response> result) {
    if (result.ok()) {
      Reply(*std::move(result));
    } else {
      Fail(result.status());
    }
  }

 private:
  UnaryCall(grpc::CallbackServerContext* context, const Request* request, Response* response,
            std::shared_ptr<internal::UnaryReactor> reactor)
      : context_(context),
        request_(request),
        response_(response),
        deadline_(DeadlineOf(*context)),
        reactor_(std::move(reactor)) {}

  grpc::CallbackServerContext* const context_;
  const Request* const request_;
  Response* const response_;
  const absl::Time deadline_;
  const std::shared_ptr<internal::UnaryReactor> reactor_;
  bool answered_ = false;
};

namespace internal {

// The context of a server stream, until the RPC is done.
class StreamContext {
 public:
  explicit StreamContext(grpc::CallbackServerContext* context) : context_(context) {}
  absl::Status CheckMetadata() const;
  void TryCancel();
  // OnCancel has run. gRPC orders OnCancel before OnDone; this call orders it before Release too,
  // by a lock that a sanitizer sees.
  void NoteCancelled();
  void Release();

 private:
  mutable absl::Mutex mu_;
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mu_);
};

}  // namespace internal

// A bidirectional stream on the server. Derive, make_shared, and return Start() from the handler.
// With a `WithRawCallbackMethod_…` service both types are grpc::ByteBuffer (wire.h converts).
//
// Order: OnMessage and OnReadsEnded never run together with each other, nor NextToWrite with
// itself; but the reading side, the writing side and OnPeerGone may run at the same time on
// different threads. OnEnded runs last, after all of them, exactly once.
template <class In, class Out>
class BidiStream : public grpc::ServerBidiReactor<In, Out>,
                   public OutFlow<Out>,
                   public std::enable_shared_from_this<BidiStream<In, Out>> {
 public:
  // Sends the initial metadata (so that the client knows it is heard) and begins to read and write.
  // Call once, in the handler; the handler returns the result.
  grpc::ServerBidiReactor<In, Out>* Start() {
    self_ = this->shared_from_this();
    this->StartSendInitialMetadata();
    const absl::Status metadata = context_.CheckMetadata();
    if (metadata.ok()) {
      this->StartRead(&in_);
    } else {
      this->Close(metadata);
    }
    this->StartFlow();
    return this;
  }

  // Ends the stream at once, even when a write is stalled: the client sees CANCELLED. Thread-safe.
  void Abort(absl::Status status) {
    this->Close(std::move(status));
    context_.TryCancel();
  }

 protected:
  // `clock` may be null: stalled writes are then not measured.
  explicit BidiStream(grpc::CallbackServerContext* context, const base::Clock* clock = nullptr)
      : OutFlow<Out>(clock), context_(context) {}

  // A message has arrived; the next one is read after this returns.
  virtual void OnMessage(In& message) = 0;
  // The client has half-closed, or is gone; no message will follow. By default: Close(OK).
  virtual void OnReadsEnded() { this->Close(absl::OkStatus()); }
  // The RPC was cancelled: by the client, its deadline, a dead connection or Abort. The stream ends
  // by itself.
  virtual void OnPeerGone() {}
  // The RPC is over. The last call.
  virtual void OnEnded() {}

 private:
  void WireWrite(const Out* message) final { this->StartWrite(message); }
  void WireFinish(absl::Status status, bool /*broken*/) final {
    this->Finish(ToGrpcStatus(status));
  }

  void OnReadDone(bool ok) final {
    if (!ok) {
      OnReadsEnded();
      return;
    }
    OnMessage(in_);
    // Also while closing: the read then fails, and is accounted for before OnDone.
    this->StartRead(&in_);
  }
  void OnWriteDone(bool ok) final { this->WireWritten(ok); }
  void OnCancel() final {
    OnPeerGone();
    this->Break(absl::CancelledError("the call was cancelled"));
    context_.NoteCancelled();
  }
  void OnDone() final {
    context_.Release();
    OnEnded();
    std::shared_ptr<BidiStream> self = std::move(self_);  // may be the last reference
  }

  internal::StreamContext context_;
  In in_;
  std::shared_ptr<BidiStream> self_;
};

// A server-streaming RPC: like BidiStream, without the reading side.
template <class Out>
class WriteStream : public grpc::ServerWriteReactor<Out>,
                    public OutFlow<Out>,
                    public std::enable_shared_from_this<WriteStream<Out>> {
 public:
  grpc::ServerWriteReactor<Out>* Start() {
    self_ = this->shared_from_this();
    this->StartSendInitialMetadata();
    const absl::Status metadata = context_.CheckMetadata();
    if (!metadata.ok()) this->Close(metadata);
    this->StartFlow();
    return this;
  }

  // As BidiStream::Abort.
  void Abort(absl::Status status) {
    this->Close(std::move(status));
    context_.TryCancel();
  }

 protected:
  explicit WriteStream(grpc::CallbackServerContext* context, const base::Clock* clock = nullptr)
      : OutFlow<Out>(clock), context_(context) {}

  // As BidiStream's.
  virtual void OnPeerGone() {}
  virtual void OnEnded() {}

 private:
  void WireWrite(const Out* message) final { this->StartWrite(message); }
  void WireFinish(absl::Status status, bool /*broken*/) final {
    this->Finish(ToGrpcStatus(status));
  }
  void OnWriteDone(bool ok) final { this->WireWritten(ok); }
  void OnCancel() final {
    OnPeerGone();
    this->Break(absl::CancelledError("the call was cancelled"));
    context_.NoteCancelled();
  }
  void OnDone() final {
    context_.Release();
    OnEnded();
    std::shared_ptr<WriteStream> self = std::move(self_);
  }

  internal::StreamContext context_;
  std::shared_ptr<WriteStream> self_;
};

// A server-streaming RPC that ends at once with an error, for a handler that refuses before it has
// a stream of its own. Never null.
template <class Reactor>
Reactor* RefuseStream(const absl::Status& status) {
  class Refusing final : public Reactor {
   public:
    explicit Refusing(const absl::Status& why) { this->Finish(ToGrpcStatus(why)); }
    void OnDone() override { delete this; }
  };
  return new Refusing(status);
}

namespace internal {

// The context of a client's call, until the RPC is done. The context holds the channel. When the
// last holder of a channel drops it on one of gRPC's own threads, the process crashes (gRPC 1.51:
// the callback queue goes with the last channel and waits for its threads to end; the dropping
// thread, which is one of them, then reads the freed queue). The context is therefore released
// before anyone is told of the end, so that an owner that waits for the end and then drops the
// channel is the last holder.
class ClientCallContext {
 public:
  ClientCallContext() { context_.emplace(); }
  // Before the call begins.
  grpc::ClientContext* get() { return &*context_; }
  // Thread-safe.
  void TryCancel();
  // Called from OnDone, or from the call's callback.
  void Release();

 private:
  absl::Mutex mu_;
  absl::optional<grpc::ClientContext> context_;  // get() apart, guarded by mu_
};

}  // namespace internal

// A bidirectional stream on the client. Derive, make_shared, set up context(), then
//
//   stub->async()->Follow(stream->context(), stream.get());
//   stream->Start();
//
// Each object carries one call: to reconnect, make another. Close(OK) half-closes: written messages
// go out, and reading goes on until the server ends the call. A hold keeps the RPC alive while any
// thread may still write. The virtuals are called in the order of BidiStream's; OnEnded is the
// last, exactly once.
template <class Out, class In>
class ClientBidiStream : public grpc::ClientBidiReactor<Out, In>,
                         public OutFlow<Out>,
                         public std::enable_shared_from_this<ClientBidiStream<Out, In>> {
 public:
  // For deadline and metadata, before the call is made.
  grpc::ClientContext* context() { return context_.get(); }

  // Call once, after the stub was given this stream.
  void Start() {
    self_ = this->shared_from_this();
    this->AddHold();  // removed in WireFinish: no write comes after it
    this->StartRead(&in_);
    this->StartCall();
    this->StartFlow();
  }

  // Ends the call at once; OnEnded follows with CANCELLED (or with the status that the server had
  // sent before). Thread-safe; may be called before Start and after the end.
  void Cancel() { context_.TryCancel(); }

 protected:
  explicit ClientBidiStream(const base::Clock* clock = nullptr) : OutFlow<Out>(clock) {}

  // A message has arrived; the next one is read after this returns.
  virtual void OnMessage(In& message) = 0;
  // The server has taken the call: its first sign of life. Not called when the call failed first.
  virtual void OnAccepted() {}
  // The call is over, with the server's status or the transport's. Nothing runs afterwards, and the
  // stream no longer holds the channel.
  virtual void OnEnded(const absl::Status& status) = 0;

 private:
  void WireWrite(const Out* message) final { this->StartWrite(message); }
  void WireFinish(absl::Status /*status*/, bool broken) final {
    if (!broken) this->StartWritesDone();
    this->RemoveHold();
  }

  void OnReadInitialMetadataDone(bool ok) final {
    if (ok) OnAccepted();
  }
  void OnReadDone(bool ok) final {
    if (!ok) {
      this->Break(absl::CancelledError("the server has ended the call"));
      return;
    }
    OnMessage(in_);
    this->StartRead(&in_);
  }
  void OnWriteDone(bool ok) final { this->WireWritten(ok); }
  void OnDone(const grpc::Status& status) final {
    context_.Release();
    OnEnded(FromGrpcStatus(status));
    std::shared_ptr<ClientBidiStream> self = std::move(self_);
  }

  internal::ClientCallContext context_;
  In in_;
  std::shared_ptr<ClientBidiStream> self_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_REACTOR_H_
