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
// Stop is not optional here. gRPC destroys the guard when it lets go of the last connection, on a
// thread of its own, and the guard may then hold the last reference to the edge. An edge that was
// stopped is only freed there; one that was not is stopped by its destructor, which waits for
// threads of gRPC's, perhaps for the very one that it runs on.
//
// Why a metadata processor: it runs before every handler of every kind (synchronous, callback,
// asynchronous), nobody can forget it, and its answer reaches the client as the call's status. A
// server interceptor cannot do that: in gRPC 1.51 it may look and wait, but it can end a call only
// by cancelling it. gRPC runs processors on secure credentials only: TLS, or LocalServerCredentials
// for the loopback and for Unix sockets (plaintext on the wire).
//
// A handler behind InsecureServerCredentials, or one that wants to know the caller, asks by itself:
//
//   grpc::Status Read(grpc::ServerContext* context, …) override {
//     Decision who;
//     if (grpc::Status no = Authorize(*edge_, *context, read_, &who); !no.ok()) return no;
#ifndef TOLLGATE_GRPC_GUARD_H_
#define TOLLGATE_GRPC_GUARD_H_

#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

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
  };

  // `edge` is shared with the server's credentials, and so lives as long as the server, or longer.
  // Edge::Stop is called before the last other reference to it goes: the guard's own may go on a
  // thread of gRPC's, where nothing may wait.
  GrpcGuard(std::shared_ptr<Edge> edge, Policy policy, Options options)
      : edge_(std::move(edge)), policy_(std::move(policy)), options_(options) {}
  GrpcGuard(std::shared_ptr<Edge> edge, Policy policy)
      : GrpcGuard(std::move(edge), std::move(policy), Options()) {}

  // gRPC runs Process on a thread pool for this purpose, which grows as calls wait.
  bool IsBlocking() const override { return true; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* /*context*/,
                       OutputMetadata* consumed, OutputMetadata* /*response*/) override {
    const auto path = metadata.find(":path");
    const std::optional<Requirement> needed = policy_(
        path == metadata.end() ? std::string_view()
                               : std::string_view(path->second.data(), path->second.size()));
    if (options_.hide_token && metadata.count("authorization") > 0) {
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
  const Options options_;
  std::atomic<int> waiting_{0};
};

}  // namespace tollgate::edge

#endif  // TOLLGATE_GRPC_GUARD_H_
