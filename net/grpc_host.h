// One gRPC server with everything around it: listeners, credentials, limits, reflection, health,
// and a bounded drain. A program's server only assembles its services.
//
//   ASSIGN_OR_RETURN(host, GrpcHost::Bind({.listen = …, .tls = …}));  // before anything else runs
//   host->AddService("tollgate.v1.TokenService", &tokens);
//   RETURN_IF_ERROR(host->Build());
//   host->health().SetServing(true);
//   RETURN_IF_ERROR(host->Accept());
//   …
//   host->Drain({.pause = …, .end_streams = …, .limit = …});
#ifndef TOLLGATE_NET_GRPC_HOST_H_
#define TOLLGATE_NET_GRPC_HOST_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/credentials.h"
#include "net/grpc_listeners.h"
#include "net/health.h"
#include "net/limits.h"

namespace tollgate::net {

// How a server ends. Connections are taken and calls answered until the streams have ended, so that
// a peer that has hung keeps nobody from being served.
struct DrainPlan {
  // What a stream gets, once it was told to end, to take that. Whoever is frozen takes nothing.
  static constexpr absl::Duration kStreamPatience = absl::Seconds(2);
  // What a peer without a call gets to close its connection once it was told to.
  static constexpr absl::Duration kPartingTime = absl::Milliseconds(500);

  // Between NOT_SERVING and the rest: for balancers to notice.
  absl::Duration pause = absl::Seconds(2);
  // Then: say goodbye on every stream and close it; must not block. May be empty.
  std::function<void()> end_streams;
  // Then, after health's watches were told to end: wait for the streams until `deadline` at most,
  // which is kStreamPatience or the limit away, and cut those that are left. May be empty.
  std::function<void(absl::Time deadline)> await_streams;
  // From the pause's end on: calls may finish for so long; what is left is cancelled. With no call
  // under way it is over within kPartingTime, whether or not every peer closes its connection.
  absl::Duration limit = absl::Seconds(10);
};

// Thread-safe, but for Bind to Accept: one thread calls these, in their order.
class GrpcHost {
 public:
  struct Options {
    // `host:port`, `[v6]:port` or `unix:/path`; port 0 is the kernel's choice. At least one.
    std::vector<std::string> listen;
    // TLS of every TCP listener; empty: plaintext. A Unix socket has no TLS.
    TlsFiles tls;
    // Allow plaintext where other hosts can reach it.
    bool allow_plaintext = false;
    // The most connections at once on each listener. 0: its share of what the limit on open files
    // allows.
    int max_connections = 0;
    // CallerOf tells the user of this host of a call over a Unix socket.
    bool tell_users = false;
    // The mode of a Unix socket that this makes.
    uint32_t socket_mode = 0660;
    ServerLimits limits;
  };

  // Takes every address, so that an address that cannot be had is an error before anything was
  // written or connected to. Peers may connect from now on, and wait until Accept. Errors, by
  // reason: ADDRESS_INVALID; PLAINTEXT_REFUSED; TLS_FILES_INVALID; ADDRESS_IN_USE, ADDRESS_DENIED,
  // ADDRESS_UNAVAILABLE. No listener is left open after an error.
  static absl::StatusOr<std::unique_ptr<GrpcHost>> Bind(Options options);
  // Drains without waiting if Drain was not called.
  ~GrpcHost();
  GrpcHost(const GrpcHost&) = delete;
  GrpcHost& operator=(const GrpcHost&) = delete;

  // Adds a service. Call it before Build. `full_name` is the service's name for health. `service`
  // must live until Drain has returned.
  void AddService(const std::string& full_name, grpc::Service* service);
  // Makes the server, which answers no call yet. Call once. INTERNAL (GRPC_START_FAILED): gRPC
  // cannot start it.
  absl::Status Build();
  // Begins to accept on every listener. Call once, after Build. RESOURCE_EXHAUSTED,
  // TOO_FEW_THREADS.
  absl::Status Accept();

  // At first only "liveness" is SERVING; the program sets the other names.
  Health& health() { return *health_; }
  // The listeners, for their counters.
  const GrpcListeners& listeners() const { return listeners_; }
  // The listeners' addresses, in the order of Options, with the real ports in place of port 0.
  std::vector<std::string> addresses() const;
  // The port of the first TCP listener; 0 where there is none.
  int port() const;

  // NOT_SERVING, pause, an end to streams (health's too), no new connections, no new calls; those
  // under way get until the limit; then the server is gone, and every service can go. Bounded by
  // pause + limit plus the time that handlers take to see their cancellation. Nothing but closing
  // the listeners where Build has not made a server. Idempotent: a second call waits for the first.
  void Drain(const DrainPlan& plan) ABSL_LOCKS_EXCLUDED(drain_mu_);

 private:
  GrpcHost();
  absl::Status Listen(const Options& options);
  void ShutDown(absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(drain_mu_);

  // Created in this order at a start; destroyed in the reverse, after Drain.
  const std::unique_ptr<Health> health_;
  std::unique_ptr<grpc::ServerBuilder> builder_;  // until Build
  GrpcListeners listeners_;
  std::unique_ptr<grpc::Server> server_;  // from Build until Drain

  absl::Mutex drain_mu_;
  bool drained_ ABSL_GUARDED_BY(drain_mu_) = false;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_GRPC_HOST_H_
