#include "net/http_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tollgate::net {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;

constexpr size_t kFirstRoom = 2048;
constexpr char kTlsHandshake = 0x16;  // the first byte of a TLS client

template <class View>
absl::string_view Of(View text) {
  return {text.data(), text.size()};
}

// RFC 9110's tchar: what a method is made of.
bool IsTokenCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

// Whether a request line is whole, but for its "HTTP/2.0".
bool NamesAnotherVersion(absl::string_view head) {
  const std::vector<absl::string_view> parts = absl::StrSplit(head.substr(0, head.find('\r')), ' ');
  return parts.size() == 3 && parts[2].size() == 8 && absl::StartsWith(parts[2], "HTTP/");
}

// Collects what Beast finds in a head. It sees no body.
class Head final : public http::basic_parser<true> {
 public:
  explicit Head(HttpRequest* out) : out_(out) {}

 private:
  void on_request_impl(http::verb, boost::beast::string_view method,
                       boost::beast::string_view target, int version,
                       error_code& /*error*/) override {
    out_->method = Of(method);
    out_->target = Of(target);
    out_->minor_version = version - 10;
  }
  void on_field_impl(http::field, boost::beast::string_view name, boost::beast::string_view value,
                     error_code& /*error*/) override {
    out_->headers.emplace_back(Of(name), Of(value));
  }
  void on_response_impl(int, boost::beast::string_view, int, error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(boost::beast::string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, boost::beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view, error_code&) override {
    return 0;
  }
  void on_finish_impl(error_code&) override {}

  HttpRequest* const out_;
};

}  // namespace

absl::Span<char> HttpParser::Room() {
  if (size_ == bytes_.size()) Grow(std::max(kFirstRoom, 2 * bytes_.size()));
  const absl::Span<uint8_t> free = bytes_.MutableSecret().subspan(size_);
  return {reinterpret_cast<char*>(free.data()), free.size()};
}

HttpParser::State HttpParser::Took(size_t bytes) {
  size_ += bytes;
  return Judge();
}

HttpParser::State HttpParser::Next() {
  DropFront(head_end_ + static_cast<size_t>(body_bytes_));
  scanned_ = head_end_ = 0;
  body_bytes_ = 0;
  awaits_continue_ = false;
  request_ = HttpRequest();
  return Judge();
}

HttpParser::State HttpParser::Judge() {
  if (head_end_ == 0) {
    const State found = FindHeadEnd();
    if (head_end_ == 0 || found == State::kRefused) return found;
    const State judged = ParseHead();
    if (judged == State::kRefused) return judged;
    const State allowed = CheckHead();
    if (allowed == State::kRefused) return allowed;
  }
  const size_t whole = head_end_ + static_cast<size_t>(body_bytes_);
  if (size_ < whole) {
    if (bytes_.size() < whole) Grow(whole);
    return std::exchange(awaits_continue_, false) ? State::kContinue : State::kNeedMore;
  }
  if (body_bytes_ > 0) {
    (void)ParseHead();  // once more, since the bytes may lie elsewhere by now
    request_.body = bytes_.RevealSecret().substr(head_end_, static_cast<size_t>(body_bytes_));
  }
  return State::kRequest;
}

HttpParser::State HttpParser::FindHeadEnd() {
  // Empty lines before a request are let pass (RFC 9112, 2.2).
  size_t empty = 0;
  while (size_ - empty >= 2 && data()[empty] == '\r' && data()[empty + 1] == '\n') empty += 2;
  if (empty > 0) {
    DropFront(empty);
    scanned_ = 0;
  }
  if (size_ == 0) return State::kNeedMore;
  const char first = data()[0];
  if (first == kTlsHandshake) {
    refused_tls_ = true;
    return Refuse(400, "this port speaks HTTP, without TLS");
  }
  if (!IsTokenCharacter(first) && !(size_ == 1 && first == '\r')) {
    return Refuse(400, "what was sent is no HTTP request");
  }
  for (size_t i = scanned_; i < size_; ++i) {
    const char c = data()[i];
    const char before = i == 0 ? '\0' : data()[i - 1];
    if (c == '\0') return Refuse(400, "a request has no NUL in it");
    if ((c == '\n') != (before == '\r')) return Refuse(400, "a line ends in CR LF, and only there");
    if (before == '\n' && (c == ' ' || c == '\t')) {
      return Refuse(400, "a header has one line: none begins with a space");
    }
    if (c == '\n' && i >= 3 && data()[i - 2] == '\n') {
      head_end_ = i + 1;
      break;
    }
    scanned_ = i + 1;
  }
  if ((head_end_ == 0 ? size_ + 1 : head_end_) > limits_.max_header_bytes) {
    return Refuse(431,
                  absl::StrCat("the request line and the headers have more than ",
                               limits_.max_header_bytes, " bytes; send fewer or shorter ones"));
  }
  return State::kNeedMore;
}

HttpParser::State HttpParser::ParseHead() {
  request_ = HttpRequest();
  Head parser(&request_);
  parser.header_limit(static_cast<uint32_t>(limits_.max_header_bytes) + 1);
  parser.body_limit(boost::none);
  error_code error;
  parser.put({data(), head_end_}, error);
  if (error == http::error::bad_version && NamesAnotherVersion({data(), head_end_})) {
    return Refuse(505, "this port speaks HTTP/1.1 and 1.0; gRPC has a port of its own");
  }
  if (error || !parser.is_header_done()) {
    return Refuse(400, absl::StrCat("the request cannot be read: ", error.message()));
  }
  body_bytes_ = parser.content_length().value_or(0);
  request_.keep_alive = parser.keep_alive();
  return State::kNeedMore;
}

HttpParser::State HttpParser::CheckHead() {
  if (request_.headers.size() > static_cast<size_t>(limits_.max_headers)) {
    return Refuse(431, absl::StrCat("there are more than ", limits_.max_headers, " headers"));
  }
  const int hosts = request_.CountHeader("Host");
  if (hosts > 1 || (hosts == 0 && request_.minor_version > 0)) {
    return Refuse(400, "a request has exactly one Host");
  }
  const bool chunked = request_.CountHeader("Transfer-Encoding") > 0;
  if (limits_.max_body_bytes == 0 && (chunked || body_bytes_ > 0)) {
    return Refuse(413, "no body is taken here; send the request without one");
  }
  if (chunked) return Refuse(411, "a body is sent with Content-Length here, not in chunks");
  if (request_.CountHeader("Content-Length") > 1 ||
      absl::StrContains(request_.Header("Content-Length"), ",")) {
    return Refuse(400, "a request has one Content-Length at most");
  }
  if (body_bytes_ > limits_.max_body_bytes) {
    return Refuse(413, absl::StrCat("a body has ", limits_.max_body_bytes, " bytes at most here"));
  }
  if (request_.CountHeader("Expect") > 0) {
    if (!absl::EqualsIgnoreCase(request_.Header("Expect"), "100-continue")) {
      return Refuse(417, "nothing but 100-continue can be expected here");
    }
    awaits_continue_ = request_.minor_version > 0;
  }
  return State::kNeedMore;
}

HttpParser::State HttpParser::Refuse(int status, absl::string_view words) {
  refusal_ = HttpWords(status, words);
  return State::kRefused;
}

void HttpParser::Grow(size_t capacity) {
  capacity = std::min(capacity, limits_.max_header_bytes + limits_.max_body_bytes);
  base::SecretBytes larger(capacity);
  if (size_ > 0) std::memcpy(larger.MutableSecret().data(), data(), size_);
  bytes_ = std::move(larger);
}

void HttpParser::DropFront(size_t bytes) {
  if (bytes == 0) return;
  const absl::Span<uint8_t> all = bytes_.MutableSecret();
  std::memmove(all.data(), all.data() + bytes, size_ - bytes);
  base::WipeBytes(all.subspan(size_ - bytes, bytes));
  size_ -= bytes;
}

}  // namespace tollgate::net
