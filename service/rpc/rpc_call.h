// One unary RPC: parsed, authorized, counted, and finished exactly once, by whichever thread has
// the answer.
#ifndef TOLLGATE_SERVICE_RPC_RPC_CALL_H_
#define TOLLGATE_SERVICE_RPC_RPC_CALL_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"
#include "net/reactor.h"
#include "service/access/access.h"
#include "service/rpc/request_bytes.h"
#include "service/rpc/rpc_deps.h"
#include "service/server_metrics.h"
#include "storage/engine.h"

namespace tollgate::service {

// The part that knows no message types. Every callback that may still finish the call holds it by
// shared_ptr; when it is dropped without a finish, the client gets INTERNAL.
class RpcCall : public std::enable_shared_from_this<RpcCall> {
 public:
  using Wire = net::UnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>;

  virtual ~RpcCall() = default;
  RpcCall(const RpcCall&) = delete;
  RpcCall& operator=(const RpcCall&) = delete;

  const RpcDeps& deps() const { return *deps_; }
  // The caller, as audit entries name it. Set once the call was authorized.
  const std::string& actor() const { return identity_.actor; }
  // From where the caller asks (net::Caller::origin). Set as the actor is.
  const std::string& origin() const { return identity_.origin; }

  // The public id of the operator token that the caller has presented; empty: none. Set likewise.
  const std::string& operator_token_id() const { return identity_.token_id; }

  // Whether the caller, who was let in, may also do this: asked where a call reaches more than the
  // resource that it names. REQUIRES: the call was authorized. Thread-safe.
  absl::Status MayAlso(Permission permission, absl::string_view resource) const;
  // Whether the caller may still do what the call was let in for: asked again where the work
  // begins, which may be long after. REQUIRES and thread safety as above.
  absl::Status StillMay() const;

  // Ends the call: with the response where `status` is OK. Only the first call has an effect, and
  // returns true; the response must not be touched after it. Thread-safe.
  bool FinishWith(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs `let_go` at most once: when the client has gone (or its deadline has passed) before the
  // call was finished; at once where that is so already. Then the call is finished CANCELLED.
  // `let_go` must not hold this call. Use WhenGone once a call.
  void WhenGone(std::function<void()> let_go);

  // OK while somebody waits for the answer; CANCELLED or DEADLINE_EXCEEDED once nobody does. Long
  // work asks between its steps. Thread-safe.
  absl::Status Wanted() const;

  // The time left until the client's deadline; infinite where the client set none.
  absl::Duration TimeLeft() const { return wire_->deadline() - absl::Now(); }

 protected:
  // `secret`: the response may hold a secret, so its bytes are wiped.
  RpcCall(const RpcDeps* deps, MethodMetrics* metrics, std::shared_ptr<Wire> wire, bool secret)
      : deps_(deps),
        metrics_(metrics),
        wire_(std::move(wire)),
        secret_(secret),
        begin_(deps->clock->Now()) {}

  Wire& wire() { return *wire_; }
  // Learns who calls, and asks whether they may.
  absl::Status Admit(Permission permission, absl::string_view resource);
  virtual const google::protobuf::Message& response_message() const = 0;

 private:
  // What the caller is told of a refusal: of workspaces only the names that he may see.
  absl::Status Told(const absl::Status& status) const;

  const RpcDeps* const deps_;
  MethodMetrics* const metrics_;
  const std::shared_ptr<Wire> wire_;
  const bool secret_;
  const base::BootTime begin_;
  Identity identity_;  // these are const once the handler runs
  Permission permission_ = Permission::kTestAccess;
  std::string resource_;

  absl::Mutex mu_;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

// The parts that all calls of one method share.
template <typename Request, typename Response>
struct Method {
  MethodMetrics* metrics = nullptr;
  Permission permission = Permission::kReadOperations;
  // Returns the resource name that a request gives.
  const std::string& (*resource)(const Request&) = nullptr;
  // Wipes the secrets of the messages; where it is set, the bytes of both are wiped too.
  void (*wipe)(Request*, Response*) = nullptr;
};

// Of a method whose requests name no resource.
template <typename Request>
const std::string& NoResource(const Request& /*request*/) {
  static const std::string& none = *new std::string();
  return none;
}

// A call with its messages.
template <typename Request, typename Response>
class TypedCall final : public RpcCall {
 public:
  // Parses the request, authorizes the caller, and hands the call to `handle`, which must make sure
  // that FinishWith is called, now or later. Returns what the gRPC handler must return.
  template <typename Handler>
  static grpc::ServerUnaryReactor* Serve(const RpcDeps* deps,
                                         const Method<Request, Response>& method,
                                         grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response, Handler&& handle) {
    return Wire::Serve(context, request, response, [&](std::shared_ptr<Wire> wire) {
      std::shared_ptr<TypedCall> call(new TypedCall(deps, method, std::move(wire)));
      absl::Status begun = ParseRequest(*request, &call->request);
      if (method.wipe != nullptr) WipeRequest(*request);
      if (begun.ok()) begun = call->Admit(method.permission, method.resource(call->request));
      if (!begun.ok()) {
        call->FinishWith(begun);
      } else {
        handle(std::move(call));
      }
    });
  }

  // Wipes the messages here, when nobody can touch them any more. The end of the RPC would be too
  // early, since work for a client that has gone may still run.
  ~TypedCall() override {
    if (wipe_ != nullptr) wipe_(&request, &response);
  }

  Request request;
  Response response;

 private:
  TypedCall(const RpcDeps* deps, const Method<Request, Response>& method,
            std::shared_ptr<Wire> wire)
      : RpcCall(deps, method.metrics, std::move(wire), /*secret=*/method.wipe != nullptr),
        wipe_(method.wipe) {}

  const google::protobuf::Message& response_message() const override { return response; }

  void (*const wipe_)(Request*, Response*);
};

// Runs a read on the bounded executor, over a snapshot at the durable head (R7), and finishes the
// call with the read's status. RESOURCE_EXHAUSTED (OVERLOADED, with a time to retry) when too many
// reads wait. Once the client has gone, the read ends at its next step.
void ReadThenFinish(std::shared_ptr<RpcCall> call,
                    std::function<absl::Status(const storage::Snapshot& snapshot)> read);

// The same for a read as large as a workspace; runs on the executor for scans.
void ScanThenFinish(std::shared_ptr<RpcCall> call,
                    std::function<absl::Status(const storage::Snapshot& snapshot)> read);

// A snapshot whose reads fail once nobody wants the answer: each read asks `wanted` first, and
// fails with its error. Thread-safe if `wanted` is; `inner` outlives this.
class WantedSnapshot : public storage::Snapshot {
 public:
  WantedSnapshot(const storage::Snapshot* inner, std::function<absl::Status()> wanted)
      : inner_(inner), wanted_(std::move(wanted)) {}
  int64_t revision() const override { return inner_->revision(); }
  absl::StatusOr<absl::optional<std::string>> Get(storage::Table table,
                                                  absl::string_view key) const override;
  absl::StatusOr<std::vector<storage::Entry>> Scan(storage::Table table, absl::string_view begin,
                                                   absl::string_view end,
                                                   size_t limit) const override;
  absl::StatusOr<std::vector<storage::Entry>> ScanBack(storage::Table table,
                                                       absl::string_view begin,
                                                       absl::string_view end,
                                                       size_t limit) const override;

 private:
  const storage::Snapshot* const inner_;
  const std::function<absl::Status()> wanted_;
};

// The refusal of work when too much work waits already.
absl::Status Overloaded(absl::string_view what);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_RPC_CALL_H_
