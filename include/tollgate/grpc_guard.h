// A gRPC C++ server guarded by an embedded edge: for hosts that use gRPC themselves. Header-only:
// it uses the host's own gRPC, and nothing of it is in libtollgate-edge.so.
//
//   std::shared_ptr<Edge> edge = std::move(*Edge::Start(options));
//   const auto read = Requirement().AllOf({"notes:read"});
//   auto credentials = grpc::SslServerCredentials(…);   // or experimental::LocalServerCredentials
//   credentials->SetAuthMetadataProcessor(std::make_shared<GrpcGuard>(
//       edge, [read](std::string_view method) -> std::optional<Requirement> {
//         if (method == "/grpc.health.v1.Health/Check") return std::nullopt;   // open to all
//         return read;
//       }));
//   builder.AddListeningPort(address, credentials);
//   …
//   server->Shutdown(); edge->Stop();                  // in this order, both always
//
// That judges a call once, when it comes. What stays open after that, ends with its token where the
// guard also holds streams (docs/holds.md):
//
//   auto guard = std::make_shared<GrpcGuard>(edge, policy);
//   credentials->SetAuthMetadataProcessor(guard);
//   builder.experimental().SetInterceptorCreators(GrpcGuard::HoldStreams(guard));
//   …
//   server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5)); edge->Stop();
//
// Stop is not optional here. gRPC destroys the guard when it lets go of the last connection, on a
// thread of its own, and the guard may then hold the last reference to the edge. An edge that was
// stopped is only freed there; one that was not is stopped by its destructor, which waits for
// threads of gRPC's, perhaps for the very one that it runs on.
//
// Why a metadata processor: it runs before every handler of every kind (synchronous, callback,
// asynchronous), nobody can forget it, and its answer reaches the client as the call's status. A
// server interceptor cannot keep a handler from starting: in gRPC 1.51 it may look and wait, and
// end a call that has begun. So the processor lets in, and an interceptor ends. gRPC runs
// processors on secure credentials only: TLS, or LocalServerCredentials for the loopback and for
// Unix sockets (plaintext on the wire).
//
// A handler behind InsecureServerCredentials, or one that wants to know the caller, asks by itself:
//
//   grpc::Status Read(grpc::ServerContext* context, …) override {
//     Decision who;
//     if (grpc::Status no = Authorize(*edge_, *context, read_, &who); !no.ok()) return no;
//
// and one that streams holds, asks hold.Good() before each message, and returns
// StatusForEnd(hold.reason()):
//
//     Hold hold;
//     if (grpc::Status no = AuthorizeAndHold(*edge_, *context, read_, &hold); !no.ok()) return no;
#ifndef TOLLGATE_GRPC_GUARD_H_
#define TOLLGATE_GRPC_GUARD_H_

#include <grpc/grpc.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_interceptor.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tollgate/edge.h"

namespace tollgate::edge {

// The status for a decision: OK; UNAUTHENTICATED for a token that is proven bad, or absent;
// PERMISSION_DENIED for a token that does not allow this; UNAVAILABLE where nobody can say (a
// client may retry, and keeps its token). Thread-safe.
inline grpc::Status StatusFor(const Decision& decision) {
  const std::string why(Describe(decision.reason()));
  switch (decision.verdict()) {
    case Verdict::kAdmit:
      return grpc::Status::OK;
    case Verdict::kDeny:
      return decision.has_identity() ? grpc::Status(grpc::StatusCode::PERMISSION_DENIED, why)
                                     : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, why);
    case Verdict::kUnavailable:
      break;
  }
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, why);
}

// The status with which a call ends whose hold has ended, as StatusFor would say it of a new check.
// Thread-safe.
inline grpc::Status StatusForEnd(Reason reason) {
  grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE;
  if (VerdictOf(reason) == Verdict::kDeny) {
    const bool is_good = reason == Reason::kInsufficientScope || reason == Reason::kWrongAudience ||
                         reason == Reason::kWrongWorkspace;
    code = is_good ? grpc::StatusCode::PERMISSION_DENIED : grpc::StatusCode::UNAUTHENTICATED;
  }
  return grpc::Status(code, std::string(Describe(reason)));
}

// The token string in a call's metadata: `authorization: Bearer …`. Empty where there is none, or
// where there are several, because nobody can say which is meant. A view of the metadata.
// Thread-safe.
inline std::string_view PresentedToken(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  constexpr std::string_view kScheme = "bearer ";
  if (metadata.count("authorization") != 1) return {};
  const grpc::string_ref value = metadata.find("authorization")->second;
  const std::string_view text(value.data(), value.size());
  if (text.size() < kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
    if (c != kScheme[i]) return {};
  }
  return text.substr(kScheme.size());
}

// Decides about a call from inside a synchronous handler; waits for the service where needed, for
// at most `limit`. A handler of the callback API uses Edge::CheckAsync with PresentedToken and
// StatusFor. `who` may be null. Thread-safe.
inline grpc::Status Authorize(Edge& edge, const grpc::ServerContextBase& context,
                              const Requirement& requirement, Decision* who = nullptr,
                              std::chrono::milliseconds limit = std::chrono::seconds(3)) {
  Decision decision =
      edge.CheckBlocking(PresentedToken(context.client_metadata()), requirement, limit);
  grpc::Status status = StatusFor(decision);
  if (who != nullptr) *who = std::move(decision);
  return status;
}

// The same for a call that stays open: `*hold` is good where the status is OK, and `on_end`, which
// may be empty, is called when it ends (Edge::HoldEnd; a reactor of the callback API can Finish
// there, with StatusForEnd). `who` may be null. Thread-safe.
inline grpc::Status AuthorizeAndHold(Edge& edge, const grpc::ServerContextBase& context,
                                     const Requirement& requirement, Hold* hold,
                                     Edge::HoldEnd on_end = nullptr, Decision* who = nullptr,
                                     std::chrono::milliseconds limit = std::chrono::seconds(3)) {
  auto [decision, opened] = edge.HoldBlocking(PresentedToken(context.client_metadata()),
                                              requirement, std::move(on_end), limit);
  *hold = std::move(opened);
  grpc::Status status = StatusFor(decision);
  if (who != nullptr) *who = std::move(decision);
  return status;
}

// Guards every call of a server: pass it to SetAuthMetadataProcessor of the server's credentials.
// Thread-safe.
class GrpcGuard final : public grpc::AuthMetadataProcessor {
 public:
  // What a method needs, by its path (`/package.Service/Method`); nullopt: the method is open to
  // all. Called for every call, on any thread; must not block. For an unknown method, return a
  // requirement that nobody meets (`Requirement().Workspace("")`), rather than leave the method
  // open. The path is all that is known here: where the message names the workspace, the handler
  // calls Authorize with `Requirement(read).Workspace(id)`, and Options::hide_token is false.
  using Policy = std::function<std::optional<Requirement>(std::string_view method)>;
  struct Options {
    // How long a call may wait for the service, where the edge does not hold its token.
    std::chrono::milliseconds limit = std::chrono::seconds(3);
    // How many calls may wait at once, each on a thread; further calls are UNAVAILABLE. An edge
    // never holds strangers' tokens, so this bounds what strangers can cost.
    int most_waiting = 64;
    // Removes the token from the metadata, so that no handler can see it or log it. A handler that
    // calls Authorize needs the token left in.
    bool hide_token = true;
    // HoldStreams: holds unary calls, too; for those that take long.
    bool hold_unary = false;
  };

  // `edge` is shared with the server's credentials, and so lives as long as the server, or longer.
  // Edge::Stop is called before the last other reference to it goes: the guard's own may go on a
  // thread of gRPC's, where nothing may wait.
  GrpcGuard(std::shared_ptr<Edge> edge, Policy policy, Options options)
      : edge_(std::move(edge)), policy_(std::move(policy)), options_(options) {}
  GrpcGuard(std::shared_ptr<Edge> edge, Policy policy)
      : GrpcGuard(std::move(edge), std::move(policy), Options()) {}

  // What makes the calls of `guard` end when their tokens do: pass it to SetInterceptorCreators of
  // the same server's builder, with interceptors of your own behind it. From then on the guard
  // holds each streaming call that it has let in, and ends it when its token is no longer what the
  // policy asks for: UNAUTHENTICATED, PERMISSION_DENIED, or UNAVAILABLE where nobody is accused
  // (StatusForEnd). The handler sees a cancelled call: its reads and writes fail, and
  // ServerContext::IsCancelled is true. What it returns then is not sent. The hold is closed once
  // the handler has returned. A call more than Options::max_holds of the edge is UNAVAILABLE.
  static std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
  HoldStreams(std::shared_ptr<GrpcGuard> guard) {
    guard->holds_.store(true);
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
    creators.push_back(std::make_unique<Holders>(std::move(guard)));
    return creators;
  }

  // gRPC runs Process on a thread pool for this purpose, which grows as calls wait.
  bool IsBlocking() const override { return true; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* /*context*/,
                       OutputMetadata* consumed, OutputMetadata* /*response*/) override {
    const auto path = metadata.find(":path");
    const std::optional<Requirement> needed = policy_(
        path == metadata.end() ? std::string_view()
                               : std::string_view(path->second.data(), path->second.size()));
    // Where calls are held, the interceptor has still to see it, and then hides it.
    if (options_.hide_token && !holds_.load() && metadata.count("authorization") > 0) {
      consumed->emplace("authorization", "");  // goes by its name
    }
    if (!needed.has_value()) return grpc::Status::OK;
    const std::string_view token_string = PresentedToken(metadata);
    Decision decision;
    if (edge_->Check(token_string, *needed, &decision)) return StatusFor(decision);
    if (waiting_.fetch_add(1) < options_.most_waiting) {
      decision = edge_->CheckBlocking(token_string, *needed, options_.limit);
    }
    waiting_.fetch_sub(1);
    return StatusFor(decision);  // left unavailable by the miss where too many wait
  }

 private:
  const std::shared_ptr<Edge> edge_;
  const Policy policy_;
  // One call that is held.
  struct HeldCall {
    std::mutex mu;
    grpc_call* call = nullptr;  // null: it is over
    Hold hold;

    ~HeldCall() { Leave(); }
    // A status that reaches the client, unlike that of TryCancel, which is always CANCELLED.
    void End(const grpc::Status& status) {
      grpc_call* ending = nullptr;
      {
        std::lock_guard<std::mutex> lock(mu);
        if (call == nullptr) return;
        grpc_call_ref(ending = call);
      }
      // Without the lock: gRPC may run the handler's reactions, and the end of the call, in here.
      grpc_call_cancel_with_status(ending, static_cast<grpc_status_code>(status.error_code()),
                                   status.error_message().c_str(), nullptr);
      grpc_call_unref(ending);
    }
    void Opened(const Decision& decision, Hold opened) {
      if (!decision.admitted()) return End(StatusFor(decision));
      std::lock_guard<std::mutex> lock(mu);
      if (call != nullptr) hold = std::move(opened);
    }
    void Leave() {
      Hold closing;
      grpc_call* left = nullptr;
      {
        std::lock_guard<std::mutex> lock(mu);
        std::swap(left, call);
        closing = std::move(hold);
      }
      if (left != nullptr) grpc_call_unref(left);
    }
  };

  class Holder final : public grpc::experimental::Interceptor {
   public:
    Holder(std::shared_ptr<GrpcGuard> guard, grpc::experimental::ServerRpcInfo* info)
        : guard_(std::move(guard)), info_(*info) {}
    ~Holder() override {
      if (held_ != nullptr) held_->Leave();
    }
    void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
      if (methods->QueryInterceptionHookPoint(
              grpc::experimental::InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
        auto& metadata = *methods->GetRecvInitialMetadata();
        if (info_.type() != grpc::experimental::ServerRpcInfo::Type::UNARY ||
            guard_->options_.hold_unary) {
          Begin(PresentedToken(metadata));
        }
        if (guard_->options_.hide_token) metadata.erase("authorization");
      }
      methods->Proceed();
    }

   private:
    // Waits for nothing: the processor has let the call in.
    void Begin(std::string_view token_string) {
      const std::optional<Requirement> needed = guard_->policy_(info_.method());
      if (!needed.has_value()) return;
      held_ = std::make_shared<HeldCall>();
      held_->call = info_.server_context()->c_call();
      grpc_call_ref(held_->call);
      const std::weak_ptr<HeldCall> weak = held_;
      guard_->edge_->HoldAsync(
          token_string, *needed,
          [weak](Reason reason) {
            if (const auto held = weak.lock()) held->End(StatusForEnd(reason));
          },
          [weak](const Decision& decision, Hold hold) {
            if (const auto held = weak.lock()) held->Opened(decision, std::move(hold));
          });
    }

    const std::shared_ptr<GrpcGuard> guard_;
    grpc::experimental::ServerRpcInfo& info_;
    std::shared_ptr<HeldCall> held_;  // null: not held
  };

  class Holders final : public grpc::experimental::ServerInterceptorFactoryInterface {
   public:
    explicit Holders(std::shared_ptr<GrpcGuard> guard) : guard_(std::move(guard)) {}
    grpc::experimental::Interceptor* CreateServerInterceptor(
        grpc::experimental::ServerRpcInfo* info) override {
      return new Holder(guard_, info);
    }

   private:
    const std::shared_ptr<GrpcGuard> guard_;
  };

  const Options options_;
  std::atomic<int> waiting_{0};
  std::atomic<bool> holds_{false};  // HoldStreams was called
};

}  // namespace tollgate::edge

#endif  // TOLLGATE_GRPC_GUARD_H_
