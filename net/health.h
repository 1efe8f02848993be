// A server's health, by the protocol grpc.health.v1.
#ifndef TOLLGATE_NET_HEALTH_H_
#define TOLLGATE_NET_HEALTH_H_

#include <grpcpp/server_builder.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tollgate::net {

// The same protocol as gRPC's built-in health service, as a service of Tollgate's own: the built-in
// one has no descriptor for reflection (1.51), so grpcurl neither lists nor calls it.
//
// Names: "" (the whole server), each service, "liveness", "readiness", and any that
// SetServing(name, …) adds; no name is ever removed. At first only "liveness" is SERVING. For a
// name that was never set Check answers NOT_FOUND (HEALTH_NAME_UNKNOWN); Watch says SERVICE_UNKNOWN
// and goes on watching.
//
// Watch sends the present state at once, then each change. A client that does not read gets only
// the last of the changes that came meanwhile. Thread-safe, apart from AddService and RegisterWith.
class Health {
 public:
  // The most watches at once; each holds a stream and its name. Above it: RESOURCE_EXHAUSTED,
  // TOO_MANY_WATCHERS. A balancer holds one watch for each of its connections.
  static constexpr int kMaxWatchers = 1024;
  // The longest name in bytes; a longer one is INVALID_ARGUMENT, HEALTH_NAME_TOO_LONG. gRPC's own
  // limit.
  static constexpr size_t kMaxNameBytes = 200;

  // `services` are full names.
  explicit Health(std::vector<std::string> services, int max_watchers = kMaxWatchers);
  ~Health();
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  // Adds a service, by its full name. Before RegisterWith.
  void AddService(const std::string& full_name);
  // Before BuildAndStart, once. This object must live until the server is destroyed.
  void RegisterWith(grpc::ServerBuilder& builder);

  // Sets "", the services and "readiness"; does not touch "liveness".
  void SetServing(bool serving);
  // Sets one name, known or new: for states that have a health name of their own, such as "stale".
  void SetServing(const std::string& name, bool serving);

  // What says, for anybody, whether a name is SERVING now; false for a name that was never set.
  // Lives on after this object. Thread-safe.
  std::function<bool(const std::string& name)> Reader() const;

  // For the end of a drain. Every name is NOT_SERVING from here on, whatever is set later; each
  // watcher is told so, and its stream ends with UNAVAILABLE, DRAINING. Idempotent.
  void EndWatches();

 private:
  class Board;
  class Service;
  class Watcher;

  std::vector<std::string> services_;
  const std::shared_ptr<Board> board_;  // shared with every watcher
  const std::unique_ptr<Service> service_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_HEALTH_H_
