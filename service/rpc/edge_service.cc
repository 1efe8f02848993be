#include "service/rpc/edge_service.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "lease/caller_name.h"
#include "net/credentials.h"
#include "net/reactor.h"
#include "net/wire.h"
#include "service/access/access.h"
#include "service/feed/follow_wire.h"
#include "service/feed/follower_stream.h"
#include "service/feed/hub.h"
#include "storage/schema.h"
#include "token/digest.h"
#include "token/field_rules.h"
#include "token/life_cycle.h"

namespace tollgate {

using store::v1::CohortRecord;
using store::v1::DigestRecord;
using store::v1::TokenRecord;
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

class FollowReactor final : public BidiStream<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public FollowWire {
 public:
  FollowReactor(grpc::CallbackServerContext* context, const Clock* clock, const Caller& caller)
      : BidiStream(context, clock), address_(context->peer()), caller_(NameOf(caller)) {}

  // Before Start().
  void Attach(std::shared_ptr<FollowerStream> stream) { stream_ = std::move(stream); }

  void WakeCall() override { Wake(); }
  void CloseCall(const absl::Status& status) override { Close(status); }
  void AbortCall(const absl::Status& status) override { Abort(status); }
  absl::optional<BootTime> StalledSince() const override { return write_in_flight_since(); }
  std::string Address() const override { return address_; }
  std::string CallerName() const override { return caller_; }

 private:
  // In the roster too: never to change.
  static std::string NameOf(const Caller& caller) {
    switch (caller.kind) {
      case Caller::Kind::kSpiffe:
        return caller.id;
      case Caller::Kind::kLocal:
        return kLocalCaller;
      case Caller::Kind::kAnonymous:
        break;
    }
    return kAnonymousCaller;
  }

  void OnMessage(grpc::ByteBuffer& message) override {
    v1::FollowRequest request;
    if (!FromByteBuffer(message, &request)) {
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
  const std::string caller_;
  std::shared_ptr<FollowerStream> stream_;
};

}  // namespace

absl::StatusOr<ResolveResponse> ResolveFrom(const Snapshot& snapshot, const Keyring& keyring,
                                            const std::string& epoch,
                                            const ResolveRequest& request) {
  RETURN_IF_ERROR(CheckValidatorId(request.validator_id(), "validator_id"));
  const absl::optional<EdgeDigest> edge = EdgeDigest::FromBytes(request.edge_digest());
  if (!edge.has_value()) {
    return RefuseField("DIGEST_MALFORMED", "edge_digest",
                       "must be the 32 bytes of the token string's BLAKE2b-256");
  }
  if (request.applied_revision() < 0) {
    return RefuseField("REVISION_MALFORMED", "applied_revision", "must not be negative");
  }
  // Of another epoch it is answered all the same: the answer's epoch tells the validator (R12).
  if (request.epoch() == epoch && snapshot.revision() < request.applied_revision()) {
    return RefuseForNow(
        "BEHIND",
        absl::StrCat("refused: this service is at revision ", snapshot.revision(), ", below ",
                     request.applied_revision(), ", which the validator has applied"),
        absl::Milliseconds(100));
  }
  ResolveResponse response;
  response.set_epoch(epoch);
  response.set_revision(snapshot.revision());
  for (const auto& [pepper, digest] : keyring.Candidates(*edge)) {
    ASSIGN_OR_RETURN(absl::optional<DigestRecord> found,
                     GetRecord<DigestRecord>(snapshot, Table::kDigests, digest.bytes()));
    if (!found.has_value()) continue;
    ASSIGN_OR_RETURN(absl::optional<TokenRecord> token,
                     GetRecord<TokenRecord>(snapshot, Table::kTokens,
                                            TokenKey(found->workspace(), found->token_id())));
    // I7: not "unknown": what is broken here is the store, and no token may be accused for it.
    if (!token.has_value()) return absl::DataLossError("a digest has no token");
    Cohorts cohorts;
    ASSIGN_OR_RETURN(cohorts.workspace, GetRecord<CohortRecord>(snapshot, Table::kCohorts,
                                                                CohortKey(token->workspace(), "")));
    if (!token->owner().empty()) {
      ASSIGN_OR_RETURN(cohorts.owner,
                       GetRecord<CohortRecord>(snapshot, Table::kCohorts,
                                               CohortKey(token->workspace(), token->owner())));
    }
    *response.mutable_grant() = ToGrant(*token, cohorts);
    return response;
  }
  response.set_unknown(true);
  return response;
}

EdgeService::EdgeService(const RpcDeps* deps)
    : deps_(deps),
      resolve_{deps->metrics->Method("Resolve"), Permission::kFollowFeed, &ResolveResource},
      follow_metrics_(deps->metrics->Method("Follow")) {}

grpc::ServerUnaryReactor* EdgeService::Resolve(grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  using Call = TypedCall<ResolveRequest, ResolveResponse>;
  return Call::Serve(deps_, resolve_, context, request, response, [](std::shared_ptr<Call> call) {
    ReadThenFinish(call, [call](const Snapshot& snapshot) -> absl::Status {
      const RpcDeps& deps = call->deps();
      ASSIGN_OR_RETURN(call->response,
                       ResolveFrom(snapshot, *deps.keyring, deps.hub->epoch(), call->request));
      return absl::OkStatus();
    });
  });
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* EdgeService::Follow(
    grpc::CallbackServerContext* context) {
  using Wire = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
  const auto open = [&]() -> absl::StatusOr<std::shared_ptr<FollowReactor>> {
    ASSIGN_OR_RETURN(const Caller caller, CallerOf(*context));
    RETURN_IF_ERROR(deps_->access->Authorize(caller, Permission::kFollowFeed, ""));
    auto reactor = std::make_shared<FollowReactor>(context, deps_->clock, caller);
    ASSIGN_OR_RETURN(std::shared_ptr<FollowerStream> stream, deps_->hub->Connect(reactor));
    reactor->Attach(std::move(stream));
    return reactor;
  };
  absl::StatusOr<std::shared_ptr<FollowReactor>> reactor = open();
  follow_metrics_->Count(reactor.status().code(), absl::ZeroDuration());
  if (!reactor.ok()) return RefuseStream<Wire>(reactor.status());
  return (*reactor)->Start();
}

}  // namespace tollgate
