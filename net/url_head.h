// What a URL answers: the status and the headers, for whoever looks at somebody else's server.
#ifndef TOLLGATE_NET_URL_HEAD_H_
#define TOLLGATE_NET_URL_HEAD_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/secret.h"

namespace tollgate::net {

struct UrlQuestion {
  std::string url;  // "http://host:port/path?query", "https://…"
  std::vector<std::pair<std::string, std::string>> headers;
  base::SecretBytes bearer;  // sent as Authorization: Bearer; empty: nothing is
  std::string ca;            // https: who signs the server, PEM; empty: the system's roots
  // Whether `bearer` may go to another host than this one over http.
  bool allow_plaintext = false;
  absl::Duration limit = absl::Seconds(10);
};

struct UrlHead {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
};

// One GET on a connection of its own; the body is not read, nor are interim answers. Errors:
// INVALID_ARGUMENT, URL_INVALID; FAILED_PRECONDITION, PLAINTEXT_REFUSED; UNAVAILABLE,
// URL_UNREACHABLE. Blocks; looking the name up is not bounded by `limit`. Thread-safe.
absl::StatusOr<UrlHead> AskUrl(const UrlQuestion& question);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_URL_HEAD_H_
