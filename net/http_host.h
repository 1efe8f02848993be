// An HTTP/1.1 server on one address: metrics and probes stand on it, later the fronts and the
// console.
//
//   ASSIGN_OR_RETURN(host, HttpHost::Bind({.address = …}));
//   host->Handle("/metrics", {"GET"}, [](HttpExchange exchange) { exchange.Answer(…); });
//   RETURN_IF_ERROR(host->Start());
//   …
//   host->Stop(absl::Seconds(1));
//
// A peer is given nothing without a bound: connections, the bytes and number of headers, a body,
// the time in which a request has to come, in which an answer has to be taken, and in which a
// kept-alive connection may be idle. What is refused is told in words, while the peer still reads;
// what is cut is counted. Whoever only holds connections keeps nobody from asking: a new one takes
// the place of the one that has waited longest.
//
// Requests that a peer sends ahead are answered one by one, in their order. With TLS the handshake
// has a bound in time too, and whoever speaks the other of TLS and plaintext is told so in
// plaintext. There is no compression.
#ifndef TOLLGATE_NET_HTTP_HOST_H_
#define TOLLGATE_NET_HTTP_HOST_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/acceptor.h"
#include "net/address.h"
#include "net/http_message.h"
#include "net/http_parser.h"

namespace tollgate::net {

class HttpConnection;
class TlsServer;

// One request, and the duty to answer it. May be moved to another thread, and answered there. Where
// it is destroyed without an answer, the peer gets 500.
class HttpExchange {
 public:
  explicit HttpExchange(std::shared_ptr<HttpConnection> connection);
  ~HttpExchange();
  HttpExchange(HttpExchange&&) noexcept;
  HttpExchange& operator=(HttpExchange&& other) noexcept;  // swaps

  // Good until Answer, also where the peer or the host is gone by then.
  const HttpRequest& request() const;
  // Once. Never blocks. Nothing happens where the peer or the host is gone.
  void Answer(HttpResponse response);

 private:
  std::shared_ptr<HttpConnection> connection_;
};

// Runs on the host's thread: whatever may block moves the exchange elsewhere. While it is answered,
// nothing more is read from its connection.
using HttpHandler = std::function<void(HttpExchange)>;

struct HttpLimits {
  HttpRequestLimits request;
  // The most connections at once. One more takes the place of the one that has waited longest for a
  // request to come; where all are being answered, it is closed itself.
  int max_connections = 64;
  // From a connection's beginning, or a later request's first byte, to that request's end. With TLS
  // the handshake has as long again.
  absl::Duration request_timeout = absl::Seconds(10);
  // Between an answer and the next request. Longer than what lies between two scrapes, often.
  absl::Duration idle_timeout = absl::Seconds(75);
  // For the peer to take an answer, whole.
  absl::Duration write_timeout = absl::Seconds(10);
};

// Thread-safe once it was started; Bind, Handle and Start are called by one thread, in this order.
class HttpHost {
 public:
  struct Options {
    Address address;
    mode_t socket_mode = 0660;  // of a Unix socket that this makes
    HttpLimits limits;
    std::shared_ptr<const TlsServer> tls;  // null: plaintext
  };
  // Counters since Bind; each is read on its own.
  struct Stats {
    Acceptor::Stats connections;     // refused_full: also those that found no place
    std::map<int, int64_t> answers;  // by status; those that were begun
    int64_t cut_request = 0;         // the request did not come in time
    int64_t cut_answer = 0;          // the answer was not taken in time
    int64_t cut_displaced = 0;       // another one took its place
    int64_t cut_handshake = 0;       // TLS did not stand in time
    // Peers with which TLS never stood: they spoke plaintext; had no certificate that will do; were
    // gone; anything else, such as not trusting ours.
    int64_t handshakes_plaintext = 0;
    int64_t handshakes_certificate = 0;
    int64_t handshakes_gone = 0;
    int64_t handshakes_other = 0;
  };

  // Peers may connect from now on, and wait until Start. Errors: Acceptor::Bind's; UNAVAILABLE,
  // SYSTEM_ERROR.
  static absl::StatusOr<std::unique_ptr<HttpHost>> Bind(Options options);
  // Stop()s.
  ~HttpHost();
  HttpHost(const HttpHost&) = delete;
  HttpHost& operator=(const HttpHost&) = delete;

  // Requests for `path` go to `handler`; a path that ends in "/" is everything below it as well. Of
  // several the longest is taken. Other methods than these get 405; HEAD comes with GET, and its
  // answer's body is left out. No methods: every method.
  void Handle(std::string path, std::vector<std::string> methods, HttpHandler handler);
  // Begins to serve, on a thread of its own. RESOURCE_EXHAUSTED, TOO_FEW_THREADS.
  absl::Status Start();
  // Takes no connection and no request any more; what is being answered gets until `limit`. After
  // it no handler runs; an exchange that is still out may be answered into the void. Idempotent.
  void Stop(absl::Duration limit = absl::ZeroDuration());

  // With the real port in place of port 0. Constant.
  const Address& address() const;
  // Null: plaintext. Constant.
  const std::shared_ptr<const TlsServer>& tls() const;
  Stats stats() const;

 private:
  class Core;
  friend class HttpConnection;

  HttpHost(std::shared_ptr<Core> core, std::unique_ptr<Acceptor> acceptor);

  const std::shared_ptr<Core> core_;  // shared with exchanges that are out
  const std::unique_ptr<Acceptor> acceptor_;
  absl::Mutex stop_mu_;  // held by whoever stops it, over all that takes
  std::thread thread_ ABSL_GUARDED_BY(stop_mu_);
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_HTTP_HOST_H_
