#include "net/http_host.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/invariant.h"
#include "base/log.h"
#include "base/status.h"
#include "base/thread.h"
#include "net/tls_server.h"

namespace tollgate::net {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// A peer that is to see its last answer has to be let finish what it sends: closing on unread bytes
// makes the kernel throw the answer away.
constexpr absl::Duration kParting = absl::Seconds(1);
constexpr size_t kMostPartingBytes = 256 << 10;
constexpr size_t kStatuses = 600;
// The acceptor's cap is so much above twice the host's: it counts those that wait to be given a
// place, and, until its next look, those that were closed.
constexpr int kAtTheDoor = 64;
// As good as no limit, and no clock overflows.
constexpr absl::Duration kVeryLong = absl::Hours(24 * 365);

std::chrono::steady_clock::time_point After(absl::Duration from_now) {
  return std::chrono::steady_clock::now() +
         absl::ToChronoNanoseconds(std::clamp(from_now, absl::ZeroDuration(), kVeryLong));
}

struct Route {
  std::vector<std::string> methods;  // sorted; empty: every one
  HttpHandler handler;
};

bool Takes(const Route& route, absl::string_view method) {
  for (const std::string& one : route.methods) {
    if (one == method || (one == "GET" && method == "HEAD")) return true;
  }
  return route.methods.empty();
}

std::string Allowed(const Route& route) {
  std::set<std::string> methods(route.methods.begin(), route.methods.end());
  if (methods.count("GET") > 0) methods.insert("HEAD");
  return absl::StrJoin(methods, ", ");
}

// The address at the other end, without its port: many connections are one peer's.
std::string PeerOf(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  char host[NI_MAXHOST];
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&name), size, host, sizeof(host), nullptr, 0,
                  NI_NUMERICHOST) != 0) {
    return "";
  }
  return host;
}

// Why TLS did not stand.
enum class Unshaken { kPlaintext, kCertificate, kGone, kOther };

Unshaken WhyUnshaken(const error_code& error) {
  if (error.category() != asio::error::get_ssl_category()) return Unshaken::kGone;
  switch (ERR_GET_REASON(static_cast<unsigned long>(error.value()))) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return Unshaken::kPlaintext;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return Unshaken::kCertificate;
    default:
      return Unshaken::kOther;
  }
}

std::string HttpDate(absl::Time now) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", now, absl::UTCTimeZone());
}

}  // namespace

// What the host, its connections and exchanges share. What has no lock is the host's thread's, but
// for the constants.
class HttpHost::Core : public std::enable_shared_from_this<HttpHost::Core> {
 public:
  // Throws where the kernel denies an epoll or a timer.
  Core(const HttpLimits& limits, std::shared_ptr<const TlsServer> tls)
      : limits(limits), tls(std::move(tls)), work_(io_.get_executor()) {
    asio::steady_timer timer(io_);  // so that these are had before they are needed
    asio::generic::stream_protocol::socket socket(io_);
  }

  const HttpLimits limits;
  const std::shared_ptr<const TlsServer> tls;  // null: plaintext
  std::string address;                         // for the log; constant once it serves
  std::map<std::string, Route> routes;         // constant once it serves
  asio::io_context& io() { return io_; }

  void Run() { io_.run(); }
  // Runs `work` on the host's thread, at once where this is it. False: the host has stopped.
  template <class Work>
  bool Do(Work work) ABSL_LOCKS_EXCLUDED(mu_) {
    if (io_.get_executor().running_in_this_thread()) {
      work();
      return true;
    }
    absl::MutexLock lock(&mu_);
    if (ended_) return false;
    asio::post(io_, std::move(work));
    return true;
  }
  void Adopt(int fd);
  void Serve(const std::shared_ptr<HttpConnection>& connection);
  void Stop(absl::Duration limit) ABSL_LOCKS_EXCLUDED(mu_);

  bool stopping() const { return stopping_; }
  void Forget(const std::shared_ptr<HttpConnection>& connection);
  absl::Span<char> litter() { return absl::MakeSpan(litter_); }
  // Now, as a Date. Put into words once a second.
  const std::string& Date() {
    const int64_t now = absl::ToUnixSeconds(base::SystemClock().WallNow());
    if (now != date_of_ || date_.empty()) date_ = HttpDate(absl::FromUnixSeconds(now));
    date_of_ = now;
    return date_;
  }

  void CountAnswer(int status) {
    answers_[static_cast<size_t>(std::clamp(status, 0, static_cast<int>(kStatuses) - 1))].fetch_add(
        1, std::memory_order_relaxed);
  }
  void ReadStats(Stats* stats) const;
  std::atomic<int64_t> cut_request{0};
  std::atomic<int64_t> cut_answer{0};
  std::atomic<int64_t> cut_handshake{0};
  std::array<std::atomic<int64_t>, 4> unshaken{};  // by Unshaken

 private:
  // False: every connection is being answered.
  bool MakeRoom();
  // The route of a path; null where there is none.
  const Route* Find(absl::string_view path) const;

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::unordered_set<std::shared_ptr<HttpConnection>> connections_;
  bool stopping_ = false;
  int64_t date_of_ = 0;
  std::string date_;
  std::array<char, 4096> litter_;  // where bytes go that nobody wants
  std::array<std::atomic<int64_t>, kStatuses> answers_{};
  std::atomic<int64_t> refused_full_{0};
  std::atomic<int64_t> cut_displaced_{0};

  absl::Mutex mu_;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;  // nothing is posted afterwards

  // A timed wait, so on the steady clock: absl's follow the wall clock. empty_mu_ guards empty_.
  std::mutex empty_mu_;
  std::condition_variable emptied_;
  bool empty_ = false;  // it stops, and no connection is left
};

// A connection, on the host's thread. Every wait is asynchronous, and keeps it alive:
//
//   kReading -> kAnswering -> kWriting -> kReading …      a request, its handler, its answer
//   kReading -> kWriting -> kLeaving                      what was sent is refused
//   kShaking -> kReading                                  first, with TLS
//   kShaking -> kWriting -> kLeaving                      plaintext came; the answer is plaintext too
//   any -> kClosed
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  explicit HttpConnection(std::shared_ptr<HttpHost::Core> core)
      : core_(std::move(core)),
        socket_(core_->io()),
        timer_(core_->io()),
        parser_(core_->limits.request) {}

  // Takes `fd`, in every case.
  void Begin(int fd);
  // Another one than the host's thread may call these two, in kAnswering.
  const HttpRequest& request() const { return parser_.request(); }
  HttpHost::Core& core() const { return *core_; }

  // Since when nothing has been owed to the peer but to wait for it; max: something is.
  std::chrono::steady_clock::time_point waiting_since() const;

  void Answer(HttpResponse response);
  // The host stops: nothing more is read.
  void EndSoon();
  void Close();

 private:
  enum class Phase { kShaking, kReading, kAnswering, kWriting, kLeaving, kClosed };
  using Socket = asio::generic::stream_protocol::socket;

  // On TLS where it is spoken.
  template <class Done>
  void ReadSome(absl::Span<char> room, Done done);
  template <class Done>
  void WriteAll(absl::string_view bytes, Done done);

  void Shake();
  void OnShaken(const error_code& error);
  void TellUnshaken(Unshaken why, const error_code& error);
  void Act(HttpParser::State state);
  void Read();
  void OnRead(const error_code& error, size_t bytes);
  void SayContinue();
  void Write(const HttpResponse& response, bool close);
  void OnWritten(const error_code& error);
  // Says that nothing more comes, and waits for the peer to say the same.
  void Leave();
  void OnLeft();
  void ReadLitter(size_t budget);

  // What has to be done by then is done; else OnDeadline. The timer is set anew only for a deadline
  // that is nearer than what it waits for: each request has three, and hardly one is ever reached.
  void SetDeadline(absl::Duration from_now);
  void ClearDeadline() { due_ = kNever; }
  void Arm();
  void OnDeadline();

  const std::shared_ptr<HttpHost::Core> core_;
  Socket socket_;
  absl::optional<asio::ssl::stream<Socket&>> tls_;  // unset: plaintext
  static constexpr auto kNever = std::chrono::steady_clock::time_point::max();
  asio::steady_timer timer_;
  std::chrono::steady_clock::time_point due_ = kNever;  // the deadline
  bool begun_ = false;  // a byte has come since the connection began, or the last answer
  std::chrono::steady_clock::time_point armed_ = kNever;  // what the timer waits for
  HttpParser parser_;
  Phase phase_ = Phase::kReading;
  std::chrono::steady_clock::time_point waiting_since_;  // in kShaking, kReading and kLeaving
  std::string out_;                                      // what is being written
  bool close_after_ = false;                             // it is the last
};

void HttpConnection::Begin(int fd) {
  int family = AF_INET;
  socklen_t size = sizeof(family);
  (void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
  error_code error;
  (void)socket_.assign(asio::generic::stream_protocol(family, 0), fd, error);
  if (error) {
    close(fd);
    Close();
    return;
  }
  waiting_since_ = std::chrono::steady_clock::now();
  SetDeadline(core_->limits.request_timeout);
  if (core_->tls != nullptr) return Shake();
  Read();
}

template <class Done>
void HttpConnection::ReadSome(absl::Span<char> room, Done done) {
  const auto into = asio::buffer(room.data(), room.size());
  if (tls_.has_value()) return tls_->async_read_some(into, std::move(done));
  socket_.async_read_some(into, std::move(done));
}

template <class Done>
void HttpConnection::WriteAll(absl::string_view bytes, Done done) {
  const auto from = asio::buffer(bytes.data(), bytes.size());
  if (tls_.has_value()) return asio::async_write(*tls_, from, std::move(done));
  asio::async_write(socket_, from, std::move(done));
}

void HttpConnection::Shake() {
  phase_ = Phase::kShaking;
  SSL* const ssl = SSL_new(core_->tls->Current().get());
  if (ssl == nullptr) {  // no memory
    ERR_clear_error();
    return Close();
  }
  tls_.emplace(socket_, ssl);
  tls_->async_handshake(
      asio::ssl::stream_base::server,
      [self = shared_from_this()](const error_code& error) { self->OnShaken(error); });
}

void HttpConnection::OnShaken(const error_code& error) {
  if (phase_ != Phase::kShaking) return;
  if (!error) {
    waiting_since_ = std::chrono::steady_clock::now();
    SetDeadline(core_->limits.request_timeout);
    return Read();
  }
  const Unshaken why = WhyUnshaken(error);
  core_->unshaken[static_cast<size_t>(why)].fetch_add(1, std::memory_order_relaxed);
  TellUnshaken(why, error);
  if (why != Unshaken::kPlaintext) return Close();
  tls_.reset();
  Write(HttpWords(400, "this port speaks TLS: ask it with https"), /*close=*/true);
}

void HttpConnection::TellUnshaken(Unshaken why, const error_code& error) {
  absl::string_view message;
  switch (why) {
    case Unshaken::kGone:  // a probe, or one that the network lost
      return;
    case Unshaken::kPlaintext:
      message =
          "plaintext came to a port that speaks TLS: what it held could be read on the way. Ask "
          "with https";
      break;
    case Unshaken::kCertificate:
      message = "a peer was refused: it has no certificate that the authority given has signed";
      break;
    case Unshaken::kOther:
      message = "a peer and this port found no TLS that both take";
      break;
  }
  const char* const words = ERR_reason_error_string(static_cast<unsigned long>(error.value()));
  base::LogSummed(base::LogLevel::kWarning, message, words != nullptr ? words : "",
                  {{"address", core_->address},
                   {"peer", PeerOf(socket_.native_handle())},
                   {"error", words != nullptr ? words : error.message()}});
}

std::chrono::steady_clock::time_point HttpConnection::waiting_since() const {
  const bool waits =
      phase_ == Phase::kShaking || phase_ == Phase::kReading || phase_ == Phase::kLeaving;
  return waits ? waiting_since_ : std::chrono::steady_clock::time_point::max();
}

void HttpConnection::Act(HttpParser::State state) {
  switch (state) {
    case HttpParser::State::kNeedMore:
      Read();
      break;
    case HttpParser::State::kContinue:
      SayContinue();
      break;
    case HttpParser::State::kRequest:
      phase_ = Phase::kAnswering;
      ClearDeadline();
      core_->Serve(shared_from_this());
      break;
    case HttpParser::State::kRefused:
      if (parser_.refused_tls() && !tls_.has_value()) {
        base::LogSummed(base::LogLevel::kWarning,
                        "TLS came to a port that speaks plaintext: ask with http, or give it a "
                        "certificate",
                        "",
                        {{"address", core_->address}, {"peer", PeerOf(socket_.native_handle())}});
      }
      Write(parser_.refusal(), /*close=*/true);
      break;
  }
}

void HttpConnection::Read() {
  phase_ = Phase::kReading;
  ReadSome(parser_.Room(), [self = shared_from_this()](const error_code& error, size_t bytes) {
    self->OnRead(error, bytes);
  });
}

void HttpConnection::OnRead(const error_code& error, size_t bytes) {
  if (phase_ != Phase::kReading) return;
  if (error) return Close();
  const HttpParser::State state = parser_.Took(bytes);
  // Once, whatever becomes of the byte: whoever sends empty lines has no new time by each.
  if (!std::exchange(begun_, true)) SetDeadline(core_->limits.request_timeout);
  Act(state);
}

void HttpConnection::SayContinue() {
  static constexpr absl::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  WriteAll(kContinue, [self = shared_from_this()](const error_code& error, size_t) {
    if (self->phase_ != Phase::kReading) return;
    if (error) return self->Close();
    self->Read();
  });
}

void HttpConnection::Answer(HttpResponse response) {
  if (phase_ != Phase::kAnswering) return;
  Write(response, /*close=*/!request().keep_alive || core_->stopping());
}

void HttpConnection::Write(const HttpResponse& response, bool close) {
  HttpWriting how;
  how.close = close_after_ = close;
  // A request that was refused may not have been read.
  how.head = phase_ == Phase::kAnswering && request().method == "HEAD";
  how.http10 = phase_ == Phase::kAnswering && request().minor_version == 0;
  how.date = core_->Date();
  phase_ = Phase::kWriting;
  core_->CountAnswer(response.status);
  out_ = WriteHttpResponse(response, how);
  SetDeadline(core_->limits.write_timeout);
  WriteAll(out_, [self = shared_from_this()](const error_code& error, size_t) {
    self->OnWritten(error);
  });
}

void HttpConnection::OnWritten(const error_code& error) {
  if (phase_ != Phase::kWriting) return;
  if (error) return Close();
  out_ = std::string();
  waiting_since_ = std::chrono::steady_clock::now();
  if (close_after_ || core_->stopping()) return Leave();
  const HttpParser::State state = parser_.Next();
  begun_ = !parser_.between_requests();
  SetDeadline(begun_ ? core_->limits.request_timeout : core_->limits.idle_timeout);
  Act(state);
}

void HttpConnection::Leave() {
  phase_ = Phase::kLeaving;
  if (!tls_.has_value()) return OnLeft();
  SetDeadline(kParting);
  // Whether the peer says the same, or goes on sending, is the same here.
  tls_->async_shutdown([self = shared_from_this()](const error_code&) {
    if (self->phase_ == Phase::kLeaving) self->OnLeft();
  });
  if (core_->stopping()) Close();  // the last word has been handed to the kernel
}

void HttpConnection::OnLeft() {
  error_code error;
  (void)socket_.shutdown(asio::socket_base::shutdown_send, error);
  if (error || core_->stopping()) return Close();
  SetDeadline(kParting);
  ReadLitter(kMostPartingBytes);
}

void HttpConnection::ReadLitter(size_t budget) {
  const absl::Span<char> room = core_->litter();
  socket_.async_read_some(
      asio::buffer(room.data(), room.size()),
      [self = shared_from_this(), budget](const error_code& error, size_t bytes) {
        if (self->phase_ != Phase::kLeaving) return;
        if (error || bytes >= budget) return self->Close();
        self->ReadLitter(budget - bytes);
      });
}

void HttpConnection::SetDeadline(absl::Duration from_now) {
  due_ = After(from_now);
  if (due_ < armed_) Arm();
}

void HttpConnection::Arm() {
  armed_ = due_;
  timer_.expires_at(due_);
  timer_.async_wait([self = shared_from_this()](const error_code& error) {
    // One that was set anew may be under way already.
    if (error || self->armed_ > std::chrono::steady_clock::now()) return;
    self->armed_ = kNever;
    if (self->due_ == kNever) return;
    if (self->due_ > std::chrono::steady_clock::now()) return self->Arm();
    self->OnDeadline();
  });
}

void HttpConnection::OnDeadline() {
  switch (phase_) {
    case Phase::kShaking:
      core_->cut_handshake.fetch_add(1, std::memory_order_relaxed);
      Close();
      break;
    case Phase::kReading:
      if (parser_.between_requests()) return Close();  // idle, which is nobody's fault
      core_->cut_request.fetch_add(1, std::memory_order_relaxed);
      {
        error_code error;
        (void)socket_.cancel(error);  // the read, or the word to go on
      }
      Write(HttpWords(408, "the request did not come whole in time"), /*close=*/true);
      break;
    case Phase::kWriting: {
      core_->cut_answer.fetch_add(1, std::memory_order_relaxed);
      // What the kernel still holds for it is thrown away too.
      error_code error;
      (void)socket_.set_option(asio::socket_base::linger(true, 0), error);
      Close();
      break;
    }
    case Phase::kLeaving:
      Close();
      break;
    case Phase::kAnswering:
    case Phase::kClosed:
      break;
  }
}

void HttpConnection::EndSoon() {
  if (waiting_since() != kNever) Close();
}

void HttpConnection::Close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  ClearDeadline();
  timer_.cancel();  // it holds this object
  error_code error;
  (void)socket_.close(error);
  core_->Forget(shared_from_this());
}

void HttpHost::Core::Adopt(int fd) {
  const bool taken = Do([core = shared_from_this(), fd] {
    if (!core->MakeRoom()) {
      core->refused_full_.fetch_add(1, std::memory_order_relaxed);
      close(fd);
      return;
    }
    const auto connection = std::make_shared<HttpConnection>(core);
    core->connections_.insert(connection);
    connection->Begin(fd);
    if (core->stopping()) connection->EndSoon();
  });
  if (!taken) close(fd);
}

bool HttpHost::Core::MakeRoom() {
  if (connections_.size() < static_cast<size_t>(limits.max_connections)) return true;
  const auto longest = std::min_element(
      connections_.begin(), connections_.end(),
      [](const auto& a, const auto& b) { return a->waiting_since() < b->waiting_since(); });
  if (longest == connections_.end() ||
      (*longest)->waiting_since() == std::chrono::steady_clock::time_point::max()) {
    return false;
  }
  cut_displaced_.fetch_add(1, std::memory_order_relaxed);
  connections_.extract(longest).value()->Close();
  return true;
}

const Route* HttpHost::Core::Find(absl::string_view path) const {
  const auto exact = routes.find(std::string(path));
  if (exact != routes.end()) return &exact->second;
  for (size_t slash = path.rfind('/'); slash != absl::string_view::npos && !path.empty();
       slash = slash == 0 ? absl::string_view::npos : path.rfind('/', slash - 1)) {
    const auto above = routes.find(std::string(path.substr(0, slash + 1)));
    if (above != routes.end()) return &above->second;
  }
  return nullptr;
}

void HttpHost::Core::Serve(const std::shared_ptr<HttpConnection>& connection) {
  const HttpRequest& request = connection->request();
  const Route* const route = Find(request.path());
  if (route == nullptr) {
    std::vector<std::string> paths;
    paths.reserve(routes.size());
    for (const auto& [path, unused] : routes) paths.push_back(path);
    return connection->Answer(HttpWords(
        404,
        absl::StrCat("that path is not served here; these are: ", absl::StrJoin(paths, ", "))));
  }
  if (!Takes(*route, request.method)) {
    HttpResponse response = HttpWords(405, "that method is not taken here; see Allow");
    response.headers.emplace_back("Allow", Allowed(*route));
    return connection->Answer(std::move(response));
  }
  route->handler(HttpExchange(connection));
}

void HttpHost::Core::Forget(const std::shared_ptr<HttpConnection>& connection) {
  connections_.erase(connection);
  if (!stopping_ || !connections_.empty()) return;
  std::lock_guard<std::mutex> lock(empty_mu_);
  empty_ = true;
  emptied_.notify_all();
}

void HttpHost::Core::Stop(absl::Duration limit) {
  // Copies, since each that closes is forgotten.
  Do([core = shared_from_this()] {
    core->stopping_ = true;
    for (const auto& connection : std::vector(core->connections_.begin(), core->connections_.end()))
      connection->EndSoon();
    core->Forget(nullptr);
  });
  {
    const auto deadline = After(limit);
    std::unique_lock<std::mutex> lock(empty_mu_);
    emptied_.wait_until(lock, deadline, [this] { return empty_; });
  }
  absl::MutexLock lock(&mu_);
  asio::post(io_, [core = shared_from_this()] {
    for (const auto& connection : std::vector(core->connections_.begin(), core->connections_.end()))
      connection->Close();
    core->work_.reset();  // Run returns once all that was begun has ended
  });
  ended_ = true;  // so what was posted is run, and nothing is posted later
}

void HttpHost::Core::ReadStats(Stats* stats) const {
  for (size_t status = 0; status < kStatuses; ++status) {
    const int64_t count = answers_[status].load(std::memory_order_relaxed);
    if (count > 0) stats->answers[static_cast<int>(status)] = count;
  }
  stats->cut_request = cut_request.load(std::memory_order_relaxed);
  stats->cut_answer = cut_answer.load(std::memory_order_relaxed);
  stats->cut_handshake = cut_handshake.load(std::memory_order_relaxed);
  const auto unshaken_for = [this](Unshaken why) {
    return unshaken[static_cast<size_t>(why)].load(std::memory_order_relaxed);
  };
  stats->handshakes_plaintext = unshaken_for(Unshaken::kPlaintext);
  stats->handshakes_certificate = unshaken_for(Unshaken::kCertificate);
  stats->handshakes_gone = unshaken_for(Unshaken::kGone);
  stats->handshakes_other = unshaken_for(Unshaken::kOther);
  stats->cut_displaced = cut_displaced_.load(std::memory_order_relaxed);
  stats->connections.refused_full +=
      static_cast<uint64_t>(refused_full_.load(std::memory_order_relaxed));
}

HttpExchange::HttpExchange(std::shared_ptr<HttpConnection> connection)
    : connection_(std::move(connection)) {}

HttpExchange::HttpExchange(HttpExchange&&) noexcept = default;

HttpExchange& HttpExchange::operator=(HttpExchange&& other) noexcept {
  connection_.swap(other.connection_);
  return *this;
}

HttpExchange::~HttpExchange() {
  if (connection_ != nullptr) Answer(HttpWords(500, "the request was dropped without an answer"));
}

const HttpRequest& HttpExchange::request() const { return connection_->request(); }

void HttpExchange::Answer(HttpResponse response) {
  TOLLGATE_INVARIANT(connection_ != nullptr, "a request is answered once");
  const std::shared_ptr<HttpConnection> connection = std::move(connection_);
  connection->core().Do([connection, response = std::move(response)]() mutable {
    connection->Answer(std::move(response));
  });
}

absl::StatusOr<std::unique_ptr<HttpHost>> HttpHost::Bind(Options options) {
  std::shared_ptr<Core> core;
  try {
    core = std::make_shared<Core>(options.limits, std::move(options.tls));
  } catch (const std::exception& error) {
    return base::Refuse(absl::StatusCode::kUnavailable, "SYSTEM_ERROR",
                        absl::StrCat("cannot serve HTTP: ", error.what()));
  }
  Acceptor::Options acceptor;
  acceptor.address = std::move(options.address);
  acceptor.max_connections = 2 * options.limits.max_connections + kAtTheDoor;
  acceptor.socket_mode = options.socket_mode;
  ASSIGN_OR_RETURN(std::unique_ptr<Acceptor> bound, Acceptor::Bind(std::move(acceptor)));
  core->address = bound->address().ToString();
  return std::unique_ptr<HttpHost>(new HttpHost(std::move(core), std::move(bound)));
}

HttpHost::HttpHost(std::shared_ptr<Core> core, std::unique_ptr<Acceptor> acceptor)
    : core_(std::move(core)), acceptor_(std::move(acceptor)) {}

HttpHost::~HttpHost() { Stop(); }

void HttpHost::Handle(std::string path, std::vector<std::string> methods, HttpHandler handler) {
  core_->routes[std::move(path)] = {std::move(methods), std::move(handler)};
}

absl::Status HttpHost::Start() {
  absl::MutexLock lock(&stop_mu_);
  ASSIGN_OR_RETURN(thread_, base::StartThread([core = core_] { core->Run(); }));
  return acceptor_->Start(
      [core = core_](AcceptedConnection connection) { core->Adopt(connection.fd); });
}

void HttpHost::Stop(absl::Duration limit) {
  absl::MutexLock lock(&stop_mu_);
  acceptor_->Stop();
  if (!thread_.joinable()) return;
  core_->Stop(limit);
  thread_.join();
}

const Address& HttpHost::address() const { return acceptor_->address(); }

const std::shared_ptr<const TlsServer>& HttpHost::tls() const { return core_->tls; }

HttpHost::Stats HttpHost::stats() const {
  Stats stats;
  stats.connections = acceptor_->stats();
  core_->ReadStats(&stats);
  return stats;
}

}  // namespace tollgate::net
