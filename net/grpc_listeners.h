// gRPC servers behind our acceptors: bind first, build, then accept.
#ifndef TOLLGATE_NET_GRPC_LISTENERS_H_
#define TOLLGATE_NET_GRPC_LISTENERS_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/acceptor.h"

namespace tollgate::net {

// The listeners of one gRPC server. Use them in this order:
//   1. Add(builder, …) for each address, before BuildAndStart: a taken port is an error here, where
//      the error says which (gRPC's own AddListeningPort would only make BuildAndStart null);
//   2. server = builder.BuildAndStart();
//   3. Start();
//   4. StopAccepting() before server->Shutdown(): gRPC leaks connections that it gets after that.
// Not thread-safe, except for what the acceptors allow.
class GrpcListeners {
 public:
  GrpcListeners() = default;
  // StopAccepting()s.
  ~GrpcListeners();
  GrpcListeners(const GrpcListeners&) = delete;
  GrpcListeners& operator=(const GrpcListeners&) = delete;

  // Binds `options.address`, and gives the builder a door for its connections, with `credentials`.
  // Returns the acceptor, which this object owns, for its port and its counters. Errors: those of
  // Acceptor::Bind.
  absl::StatusOr<const Acceptor*> Add(grpc::ServerBuilder& builder, Acceptor::Options options,
                                      std::shared_ptr<grpc::ServerCredentials> credentials);

  // As Add, for a Unix socket, which has no TLS: CallerOf tells the user of each call. Errors:
  // those of Acceptor::Bind.
  absl::StatusOr<const Acceptor*> AddTellingUsers(grpc::ServerBuilder& builder,
                                                  Acceptor::Options options);

  // Begins to accept on every listener. Call once, after BuildAndStart. Errors: Acceptor::Start's.
  absl::Status Start();

  // Takes no connection afterwards; existing connections live on. Idempotent.
  void StopAccepting();

  // In the order of Add.
  const std::vector<std::unique_ptr<Acceptor>>& acceptors() const { return acceptors_; }

 private:
  absl::StatusOr<const Acceptor*> Add(Acceptor::Options options, Acceptor::Handler door);

  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  // For each acceptor, gRPC's side of it.
  std::vector<Acceptor::Handler> doors_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_GRPC_LISTENERS_H_
