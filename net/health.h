// A server's health, as grpc.health.v1 tells it.
#ifndef TOLLGATE_NET_HEALTH_H_
#define TOLLGATE_NET_HEALTH_H_

#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <vector>

namespace tollgate::net {

// gRPC's built-in health service has no descriptor that reflection could show (1.51), so that
// grpcurl neither lists nor calls it; this is the same protocol, as a service of our own.
//
// Names: "" (the whole), each service, "liveness", "readiness", and any that SetServing(name, …)
// adds; none is ever taken away. At first nothing serves but "liveness". A name never set: Check
// answers NOT_FOUND (HEALTH_NAME_UNKNOWN), Watch says SERVICE_UNKNOWN and goes on watching.
//
// Watch sends the present state at once, then each change; of changes that come while a client
// does not read it is told the last one only. Thread-safe, apart from AddService and RegisterWith.
class Health {
 public:
  // Each watch holds a stream and its name: with more there is RESOURCE_EXHAUSTED,
  // TOO_MANY_WATCHERS. A balancer holds one for each of its connections.
  static constexpr int kMaxWatchers = 1024;
  // In bytes; a longer one is INVALID_ARGUMENT, HEALTH_NAME_TOO_LONG. gRPC's own limit.
  static constexpr size_t kMaxNameBytes = 200;

  // `services` are full names.
  explicit Health(std::vector<std::string> services, int max_watchers = kMaxWatchers);
  ~Health();
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  // One more service, by its full name. Before RegisterWith.
  void AddService(const std::string& full_name);
  // Before BuildAndStart, once. This must live until the server is destroyed.
  void RegisterWith(grpc::ServerBuilder& builder);

  // "", the services and "readiness"; "liveness" is not touched.
  void SetServing(bool serving);
  // One name, known or new: for states that have a health name of their own, as "stale".
  void SetServing(const std::string& name, bool serving);

  // For the end of a drain: every name is NOT_SERVING from here on, whatever is set later; each
  // watcher is told so, and its stream ends with UNAVAILABLE, DRAINING. Idempotent.
  void EndWatches();

 private:
  class Board;
  class Service;
  class Watcher;

  std::vector<std::string> services_;
  const std::shared_ptr<Board> board_;  // also every watcher's
  const std::unique_ptr<Service> service_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_HEALTH_H_
