// A client of raw bytes: what no HTTP library would send.
#ifndef TOLLGATE_TESTS_UNIT_NET_HTTP_CLIENT_H_
#define TOLLGATE_TESTS_UNIT_NET_HTTP_CLIENT_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "net/address.h"

namespace tollgate::net {

// Whatever takes longer fails the test.
class HttpClient {
 public:
  // `receive_buffer`: the kernel's, in bytes; 0 leaves it as it is.
  explicit HttpClient(const Address& address, int receive_buffer = 0) {
    sockaddr_storage name{};
    socklen_t size = 0;
    if (address.is_unix()) {
      auto* const at = reinterpret_cast<sockaddr_un*>(&name);
      at->sun_family = AF_UNIX;
      std::strncpy(at->sun_path, address.path.c_str(), sizeof(at->sun_path) - 1);
      size = sizeof(*at);
    } else if (absl::StrContains(address.host, ":")) {
      auto* const at = reinterpret_cast<sockaddr_in6*>(&name);
      at->sin6_family = AF_INET6;
      at->sin6_port = htons(address.port);
      inet_pton(AF_INET6, address.host.c_str(), &at->sin6_addr);
      size = sizeof(*at);
    } else {
      auto* const at = reinterpret_cast<sockaddr_in*>(&name);
      at->sin_family = AF_INET;
      at->sin_port = htons(address.port);
      at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      size = sizeof(*at);
    }
    fd_ = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    const timeval patience = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&name), size) == 0;
  }
  ~HttpClient() { close(fd_); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  bool connected() const { return connected_; }
  // Whether something comes, or the connection ends, before that time is over.
  bool Hears(int milliseconds) const {
    pollfd wait = {fd_, POLLIN, 0};
    return poll(&wait, 1, milliseconds) > 0;
  }
  void Send(absl::string_view text) {
    while (!text.empty()) {
      const ssize_t n = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return;  // the peer is gone, as its answer tells
      text.remove_prefix(static_cast<size_t>(n));
    }
  }
  void Get(absl::string_view path) {
    Send("GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n\r\n");
  }
  void EndSending() { shutdown(fd_, SHUT_WR); }

  // The next answer, head and body; empty where the peer has closed instead. `with_body` false: of
  // a HEAD request.
  std::string Answer(bool with_body = true) {
    while (!absl::StrContains(read_, "\r\n\r\n")) {
      if (!ReadMore()) return "";
    }
    const size_t head = read_.find("\r\n\r\n") + 4;
    size_t length = 0;
    const size_t at = read_.find("Content-Length: ");
    if (with_body && at != std::string::npos && at < head) {
      const size_t end = read_.find('\r', at);
      EXPECT_TRUE(absl::SimpleAtoi(read_.substr(at + 16, end - at - 16), &length));
    }
    while (read_.size() < head + length) {
      if (!ReadMore()) return "";
    }
    std::string answer = read_.substr(0, head + length);
    read_.erase(0, head + length);
    return answer;
  }
  // The peer closes, without another byte.
  bool IsClosed() { return read_.empty() && !ReadMore() && !timed_out_; }

 private:
  bool ReadMore() {
    char buffer[65536];
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    timed_out_ = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    EXPECT_FALSE(timed_out_) << "neither an answer nor an end";
    if (n <= 0) return false;
    read_.append(buffer, static_cast<size_t>(n));
    return true;
  }

  int fd_ = -1;
  bool connected_ = false;
  bool timed_out_ = false;
  std::string read_;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_TESTS_UNIT_NET_HTTP_CLIENT_H_
