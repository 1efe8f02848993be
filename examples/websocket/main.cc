// A WebSocket server (an echo) whose connections end with their tokens.
// usage: websocket TOLLGATED PORT [SCOPE]; ends when its standard input does.
//
//   connects with a token  -->  HoldAsync  -->  admitted: 101, and the hold lies beside the socket
//                                               else: 401, 403 or 503
//   the token is revoked   -->  on_end     -->  closed with 1008, "revoked"
//   the lease is lost      -->  on_end     -->  closed with 1013: come again, with the same token
//   the client leaves      -->  the hold is destroyed with its session
#include <tollgate/edge.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace beast = boost::beast;
namespace http = beast::http;
namespace net = boost::asio;
namespace ws = beast::websocket;
namespace te = tollgate::edge;

namespace {

// One connection. All of it runs on the thread of the event loop.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(net::ip::tcp::socket socket, te::Edge& edge, const te::Requirement& needed)
      : ws_(std::move(socket)), edge_(edge), needed_(needed) {}

  void Start() {
    beast::get_lowest_layer(ws_).expires_after(std::chrono::seconds(10));
    http::async_read(ws_.next_layer(), buffer_, request_,
                     [self = shared_from_this()](beast::error_code error, size_t) {
                       if (!error) self->Admit();
                     });
  }

 private:
  void Admit() {
    if (!ws::is_upgrade(request_)) return Refuse(http::status::upgrade_required, "");
    // Browsers cannot set this header: they send a cookie, or the token in their first message. In
    // the URL a token would end up in logs.
    const std::string value(request_[http::field::authorization]);
    request_.erase(http::field::authorization);
    const std::string_view scheme = "Bearer ";
    const std::string_view token_string = value.compare(0, scheme.size(), scheme) == 0
                                              ? std::string_view(value).substr(scheme.size())
                                              : std::string_view();
    // The edge calls back on a thread of its own, where nothing may block: all that is done there
    // is to hand over to the loop. Of the session it has a weak pointer, because the session has
    // the hold, and the hold has `on_end`.
    auto to_loop = [weak = weak_from_this(), loop = ws_.get_executor()](auto call) {
      net::post(loop, [weak, call = std::move(call)]() mutable {
        if (const auto self = weak.lock()) call(*self);
      });
    };
    edge_.HoldAsync(
        token_string, needed_,
        [to_loop](te::Reason reason) { to_loop([reason](Session& it) { it.End(reason); }); },
        [self = shared_from_this(), to_loop](const te::Decision& decision, te::Hold hold) {
          to_loop([self, decision, hold = std::move(hold)](Session& it) mutable {
            it.Opened(decision, std::move(hold));
          });
        });
  }

  void Opened(const te::Decision& decision, te::Hold hold) {
    const std::string why(te::Describe(decision.reason()));
    switch (decision.verdict()) {
      case te::Verdict::kAdmit:
        break;
      case te::Verdict::kDeny:
        return Refuse(
            decision.has_identity() ? http::status::forbidden : http::status::unauthorized, why);
      case te::Verdict::kUnavailable:
        return Refuse(http::status::service_unavailable, why);
    }
    hold_ = std::move(hold);
    beast::get_lowest_layer(ws_).expires_never();
    // Pings a silent client, and gives up one that does not answer a close.
    ws_.set_option(ws::stream_base::timeout::suggested(beast::role_type::server));
    ws_.async_accept(request_, [self = shared_from_this()](beast::error_code error) {
      if (error) return;
      self->accepted_ = true;
      if (self->ended_.has_value()) return self->Close();
      self->Read();
    });
  }

  void Refuse(http::status status, const std::string& why) {
    response_ = {status, request_.version()};
    if (status == http::status::unauthorized) {
      response_.set(http::field::www_authenticate, "Bearer");
    }
    response_.body() = why + "\n";
    response_.keep_alive(false);
    response_.prepare_payload();
    http::async_write(ws_.next_layer(), response_,
                      [self = shared_from_this()](beast::error_code, size_t) {
                        beast::error_code ignored;
                        beast::get_lowest_layer(self->ws_).socket().shutdown(
                            net::ip::tcp::socket::shutdown_send, ignored);
                      });
  }

  void Read() {
    ws_.async_read(message_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (error || self->ended_.has_value()) return;
      // Asked for each message: it costs nanoseconds, and is right where on_end is still on its
      // way.
      if (!self->hold_.Good()) return self->End(self->hold_.reason());
      self->ws_.text(self->ws_.got_text());
      self->ws_.async_write(self->message_.data(), [self](beast::error_code error, size_t) {
        self->message_.clear();
        if (!error && !self->ended_.has_value()) self->Read();
      });
    });
  }

  void End(te::Reason reason) {
    if (std::exchange(ended_, reason).has_value()) return;
    if (accepted_) Close();
  }

  // Where nobody is accused, the client is asked to come again.
  void Close() {
    const bool accuses = te::VerdictOf(*ended_) == te::Verdict::kDeny;
    ws_.async_close({accuses ? ws::close_code::policy_error : ws::close_code::try_again_later,
                     beast::string_view(te::Describe(*ended_))},
                    [self = shared_from_this()](beast::error_code) {});
  }

  ws::stream<beast::tcp_stream> ws_;
  te::Edge& edge_;
  const te::Requirement& needed_;
  beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response<http::string_body> response_;
  beast::flat_buffer message_;
  bool accepted_ = false;
  std::optional<te::Reason> ended_;
  te::Hold hold_;
};

void Accept(net::ip::tcp::acceptor& acceptor, te::Edge& edge, const te::Requirement& needed) {
  acceptor.async_accept([&](beast::error_code error, net::ip::tcp::socket socket) {
    if (error) return;
    std::make_shared<Session>(std::move(socket), edge, needed)->Start();
    Accept(acceptor, edge, needed);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: websocket TOLLGATED PORT [SCOPE]\n";
    return 2;
  }
  te::Options options;
  options.id = "examples/websocket";
  options.service = argv[1];
  options.max_holds = 100000;  // as many connections as this server takes
  auto started = te::Edge::Start(options);
  if (!started.ok()) {
    std::cerr << started.error().reason << ": " << started.error().message << '\n';
    return 1;
  }
  const std::unique_ptr<te::Edge> edge = std::move(*started);
  te::Requirement needed;
  if (argc > 3) needed.AllOf({argv[3]});

  net::io_context loop(1);
  net::ip::tcp::acceptor acceptor(
      loop, {net::ip::make_address("127.0.0.1"), static_cast<net::ip::port_type>(atoi(argv[2]))});
  Accept(acceptor, *edge, needed);
  std::thread looping([&] { loop.run(); });
  std::cout << (edge->WaitUntilLive(std::chrono::seconds(30)) ? "live" : "not live") << std::endl;
  std::cout << acceptor.local_endpoint().port() << std::endl;

  for (std::string line; std::getline(std::cin, line);) {
  }
  net::post(loop, [&] { acceptor.close(); });
  const bool heard = edge->Stop();  // ends every hold, and says goodbye
  looping.join();                   // once each connection is closed
  return heard ? 0 : 1;
}
