// What is asked and answered over HTTP/1.1, as values.
#ifndef TOLLGATE_NET_HTTP_MESSAGE_H_
#define TOLLGATE_NET_HTTP_MESSAGE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace tollgate::net {

// A request, as views into the bytes that were read: whoever hands it out says for how long they
// are good.
struct HttpRequest {
  absl::string_view method;  // "GET"; as sent, since methods have a case
  absl::string_view target;  // as sent: "/a?b", "http://host/a?b" or "*"
  // 1 for HTTP/1.1, 0 for HTTP/1.0.
  int minor_version = 1;
  // In the order in which they were sent; names as sent, values without the spaces around them.
  std::vector<std::pair<absl::string_view, absl::string_view>> headers;
  absl::string_view body;  // empty unless the host takes bodies
  // Whether the peer wants the connection to go on afterwards.
  bool keep_alive = false;

  // The target's path, as sent: nothing is decoded. "*" for itself.
  absl::string_view path() const;
  // What follows the path's "?"; empty where there is none.
  absl::string_view query() const;
  // The value of the first header of that name, in any case; null data where there is none.
  absl::string_view Header(absl::string_view name) const;
  // How many headers have that name, in any case.
  int CountHeader(absl::string_view name) const;
};

// An answer.
struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";  // empty: none is sent
  // Beside Content-Type, Content-Length, Date and Connection, which the host writes. In values,
  // bytes that no header may have become spaces; names are the program's own.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// "Not Found" for 404; empty for a code that is not known here.
absl::string_view HttpReason(int status);

// An answer of words for a person: "404 Not Found: WORDS.\n".
HttpResponse HttpWords(int status, absl::string_view words);

// How a response is put on the wire.
struct HttpWriting {
  bool head = false;    // of a HEAD request: the body is left out, its length is not
  bool close = false;   // nothing follows on this connection
  bool http10 = false;  // the peer has to be told that the connection goes on
  std::string date;     // RFC 9110's form; empty: no Date is sent
};
std::string WriteHttpResponse(const HttpResponse& response, const HttpWriting& how);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_HTTP_MESSAGE_H_
