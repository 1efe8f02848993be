#include "service/rpc/edge_service.h"

#include <utility>
#include <vector>

#include "base/status.h"
#include "net/reactor.h"
#include "net/wire.h"
#include "service/feed/follow_wire.h"
#include "service/feed/follower_stream.h"
#include "service/feed/hub.h"
#include "service/reads/resolve.h"
#include "service/rpc/identify_caller.h"

namespace tollgate::service {

using v1::ResolveRequest;
using v1::ResolveResponse;

namespace {

const std::string& ResolveResource(const ResolveRequest& request) { return request.validator_id(); }

// The slices share the bytes with every other stream's: nothing is copied.
grpc::ByteBuffer Join(const std::vector<SharedBytes>& pieces) {
  std::vector<grpc::Slice> slices;
  slices.reserve(pieces.size());
  for (const SharedBytes& piece : pieces) {
    auto* held = new SharedBytes(piece);
    slices.emplace_back(
        const_cast<char*>(piece->data()), piece->size(),
        [](void* data) { delete static_cast<SharedBytes*>(data); }, held);
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

class FollowReactor final : public net::BidiStream<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public FollowWire {
 public:
  FollowReactor(grpc::CallbackServerContext* context, const base::Clock* clock, Identity caller)
      : BidiStream(context, clock), address_(context->peer()), caller_(std::move(caller)) {}

  // Before Start().
  void Attach(std::shared_ptr<FollowerStream> stream) { stream_ = std::move(stream); }

  void WakeCall() override { Wake(); }
  void CloseCall(const absl::Status& status) override { Close(status); }
  void AbortCall(const absl::Status& status) override { Abort(status); }
  absl::optional<base::BootTime> StalledSince() const override { return write_in_flight_since(); }
  std::string Address() const override { return address_; }
  std::string CallerName() const override { return caller_.actor; }
  std::string OperatorTokenId() const override { return caller_.token_id; }

 private:
  void OnMessage(grpc::ByteBuffer& message) override {
    v1::FollowRequest request;
    if (!net::FromByteBuffer(message, &request)) {
      stream_->OnGarbage();
    } else {
      stream_->OnRequest(request);
    }
  }
  void OnReadsEnded() override { stream_->OnReadsDone(); }
  bool NextToWrite(grpc::ByteBuffer* out) override {
    std::vector<SharedBytes> pieces;
    if (!stream_->NextToWrite(&pieces)) return false;
    *out = Join(pieces);
    return true;
  }
  void OnEnded() override { stream_->OnClosed(); }

  const std::string address_;
  const Identity caller_;
  std::shared_ptr<FollowerStream> stream_;
};

}  // namespace

EdgeService::EdgeService(const RpcDeps* deps)
    : deps_(deps),
      resolve_{deps->metrics->Method("Resolve"), Permission::kFollowFeed, &ResolveResource},
      follow_metrics_(deps->metrics->Method("Follow")) {}

grpc::ServerUnaryReactor* EdgeService::Resolve(grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  using Call = TypedCall<ResolveRequest, ResolveResponse>;
  return Call::Serve(deps_, resolve_, context, request, response, [](std::shared_ptr<Call> call) {
    ReadThenFinish(call, [call](const storage::Snapshot& snapshot) -> absl::Status {
      const RpcDeps& deps = call->deps();
      ASSIGN_OR_RETURN(call->response,
                       ResolveFrom(snapshot, *deps.keyring, deps.hub->history(), call->request));
      return absl::OkStatus();
    });
  });
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* EdgeService::Follow(
    grpc::CallbackServerContext* context) {
  using Wire = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
  const auto open = [&]() -> absl::StatusOr<std::shared_ptr<FollowReactor>> {
    ASSIGN_OR_RETURN(const Identity caller, IdentifyCaller(*deps_, *context));
    RETURN_IF_ERROR(MayCaller(*deps_, caller, Permission::kFollowFeed, ""));
    auto reactor = std::make_shared<FollowReactor>(context, deps_->clock, caller);
    ASSIGN_OR_RETURN(std::shared_ptr<FollowerStream> stream, deps_->hub->Connect(reactor));
    reactor->Attach(std::move(stream));
    return reactor;
  };
  absl::StatusOr<std::shared_ptr<FollowReactor>> reactor = open();
  follow_metrics_->Count(reactor.status().code(), absl::ZeroDuration());
  if (!reactor.ok()) return net::RefuseStream<Wire>(reactor.status());
  return (*reactor)->Start();
}

}  // namespace tollgate::service
