#include "validator/shells/resolve_client.h"

#include <utility>

#include "base/status.h"
#include "net/error.h"
#include "net/reactor.h"

namespace tollgate::validator {

using tollgate::v1::ResolveRequest;
using tollgate::v1::ResolveResponse;

struct ResolveClient::Call {
  net::internal::ClientCallContext context;
  ResolveRequest request;
  ResolveResponse response;
  Callback callback;
  base::BootTime begun;
};

std::shared_ptr<ResolveClient> ResolveClient::Create(std::shared_ptr<grpc::Channel> channel,
                                                     absl::Duration deadline,
                                                     const base::Clock* clock, Observer observer) {
  return std::shared_ptr<ResolveClient>(
      new ResolveClient(std::move(channel), deadline, clock, std::move(observer)));
}

ResolveClient::ResolveClient(std::shared_ptr<grpc::Channel> channel, absl::Duration deadline,
                             const base::Clock* clock, Observer observer)
    : deadline_(deadline),
      clock_(clock),
      observer_(std::move(observer)),
      channel_(channel),
      stub_(tollgate::v1::EdgeService::NewStub(channel)) {}

void ResolveClient::Ask(const ResolveRequest& request, Callback callback) {
  auto call = std::make_shared<Call>();
  call->context.get()->set_deadline(absl::ToChronoTime(absl::Now() + deadline_));
  call->request = request;
  call->callback = std::move(callback);
  call->begun = clock_->Now();
  // A raw pointer and not a share: this thread, which may be one of gRPC's, must not be the one
  // that destroys the stub. Stop waits for the call, and a stub is not used once its call has
  // begun.
  tollgate::v1::EdgeService::Stub* stub = nullptr;
  {
    absl::MutexLock lock(&mu_);
    stub = stub_.get();
    if (stub != nullptr) calls_.insert(call.get());
  }
  if (stub == nullptr) {
    return call->callback(base::Refuse(absl::StatusCode::kCancelled, "SHUTTING_DOWN",
                                       "this validator is shutting down"));
  }
  stub->async()->Resolve(call->context.get(), &call->request, &call->response,
                         [self = shared_from_this(), call](const grpc::Status& status) {
                           call->context.Release();
                           if (self->observer_) {
                             self->observer_(static_cast<absl::StatusCode>(status.error_code()),
                                             self->clock_->Now() - call->begun);
                           }
                           if (status.ok()) {
                             call->callback(std::move(call->response));
                           } else {
                             call->callback(net::FromGrpcStatus(status));
                           }
                           absl::MutexLock lock(&self->mu_);
                           self->calls_.erase(call.get());
                         });
}

void ResolveClient::Reconnect() {
  absl::MutexLock lock(&mu_);
  if (channel_ != nullptr) grpc::experimental::ChannelResetConnectionBackoff(channel_.get());
}

void ResolveClient::Stop() {
  std::shared_ptr<grpc::Channel> channel;  // these go last, without the lock
  std::unique_ptr<tollgate::v1::EdgeService::Stub> stub;
  absl::MutexLock lock(&mu_);
  channel.swap(channel_);
  stub.swap(stub_);
  for (Call* call : calls_) call->context.TryCancel();
  mu_.Await(absl::Condition(this, &ResolveClient::Idle));
}

}  // namespace tollgate::validator
