// Requests out of the bytes of one HTTP/1.1 connection: no I/O, no clock. Boost.Beast's parser
// judges the grammar; what it leaves open, and what smuggling lives on, is refused here: lines that
// end otherwise than in CR LF, a header that goes on on a second line, more or fewer than one Host,
// Transfer-Encoding, a second Content-Length.
#ifndef TOLLGATE_NET_HTTP_PARSER_H_
#define TOLLGATE_NET_HTTP_PARSER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/secret.h"
#include "net/http_message.h"

namespace tollgate::net {

struct HttpRequestLimits {
  // Request line and headers together. nginx passes on four times 8 KiB at most, and most servers
  // take 8 to 16.
  size_t max_header_bytes = 16 << 10;
  int max_headers = 100;
  // 0: a request with a body is refused.
  size_t max_body_bytes = 0;
};

// Not thread-safe. What was read is wiped as soon as it is not needed any more: a header may hold a
// token string.
//
//   for (state = parser.Took(Read(parser.Room()));; state = …)
//     kNeedMore  -> Took(Read(Room()))
//     kContinue  -> say "100 Continue", then as kNeedMore
//     kRequest   -> answer request(), then Next()
//     kRefused   -> answer refusal(), then close
class HttpParser {
 public:
  enum class State {
    kNeedMore,  // for a whole request
    kContinue,  // the same; the peer waits to be told that its body is wanted. Once a request
    kRequest,
    kRefused,  // final
  };

  explicit HttpParser(const HttpRequestLimits& limits) : limits_(limits) {}

  // Where to put the next bytes; never empty in kNeedMore and kContinue. Good until the next call.
  absl::Span<char> Room();
  // So many bytes were put at the front of Room.
  State Took(size_t bytes);
  // The request has been answered: it is dropped, and what was read after it is judged.
  State Next();

  // In kRequest, until Next.
  const HttpRequest& request() const { return request_; }
  // In kRefused.
  const HttpResponse& refusal() const { return refusal_; }
  // The same: what came was the beginning of TLS.
  bool refused_tls() const { return refused_tls_; }
  // Whether not one byte of a request is here.
  bool between_requests() const { return size_ == 0; }

 private:
  State Judge();
  // Looks for the end of the head among the new bytes.
  State FindHeadEnd();
  // Fills `request_`, whose views are into `bytes_`, and learns how much body follows. kNeedMore or
  // kRefused, as below.
  State ParseHead();
  State CheckHead();
  State Refuse(int status, absl::string_view words);
  void Grow(size_t capacity);
  void DropFront(size_t bytes);
  const char* data() const { return bytes_.RevealSecret().data(); }

  const HttpRequestLimits limits_;
  base::SecretBytes bytes_;
  size_t size_ = 0;      // of bytes_, those that were read
  size_t scanned_ = 0;   // of those, the ones without an end of the head
  size_t head_end_ = 0;  // 0: not found yet
  uint64_t body_bytes_ = 0;
  bool awaits_continue_ = false;
  HttpRequest request_;
  HttpResponse refusal_;
  bool refused_tls_ = false;
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_HTTP_PARSER_H_
