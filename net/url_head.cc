#include "net/url_head.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/clock.h"
#include "base/status.h"
#include "net/address.h"

namespace tollgate::net {
namespace {

constexpr size_t kMostHead = 64 << 10;

struct Freed {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

struct Url {
  bool tls = false;
  std::string authority;  // as in Host
  std::string host;       // without port and brackets
  std::string to;         // host:port, for BIO
  std::string target;
};

absl::Status Unreachable(const std::string& authority, absl::string_view what) {
  std::string why(what);
  if (const unsigned long error = ERR_peek_last_error(); error != 0) {
    if (const char* const words = ERR_reason_error_string(error))
      absl::StrAppend(&why, ": ", words);
  }
  return base::Refuse(absl::StatusCode::kUnavailable, "URL_UNREACHABLE",
                      absl::StrCat("no answer from ", authority, ": ", why));
}

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  const auto bad = [text](absl::string_view why) {
    return base::Refuse(
        absl::StatusCode::kInvalidArgument, "URL_INVALID",
        absl::StrCat("'", text, "' ", why, "; write it as in https://api.example/v1/items"));
  };
  Url url;
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "https://")) {
    url.tls = true;
  } else if (!absl::ConsumePrefix(&rest, "http://")) {
    return bad("is no URL of http or https");
  }
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7f) return bad("has a character that no URL has");
  }
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  url.authority = std::string(rest.substr(0, end));
  if (absl::StrContains(url.authority, "@")) return bad("has a user in it");
  rest.remove_prefix(end);
  rest = rest.substr(0, rest.find('#'));
  url.target = absl::StartsWith(rest, "/") ? std::string(rest) : absl::StrCat("/", rest);
  const size_t bracket = url.authority.rfind(']');
  const size_t colon = url.authority.rfind(':');
  const bool has_port =
      colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  const absl::string_view host =
      absl::string_view(url.authority).substr(0, has_port ? colon : absl::string_view::npos);
  if (host.empty()) return bad("has no host");
  url.host = std::string(absl::StripSuffix(absl::StripPrefix(host, "["), "]"));
  url.to = has_port ? url.authority : absl::StrCat(host, url.tls ? ":443" : ":80");
  return url;
}

// A connection that is waited for, and no longer than until `deadline`.
class Line {
 public:
  Line(BIO* bio, base::BootTime deadline) : bio_(bio), deadline_(deadline) {}
  // Waits after an operation that is to be repeated; false: it is not, or the time is over.
  bool Wait() {
    if (!BIO_should_retry(bio_)) return false;
    int fd = -1;
    if (BIO_get_fd(bio_, &fd) < 0 || fd < 0) return false;
    const absl::Duration left = deadline_ - base::SystemClock().Now();
    if (left <= absl::ZeroDuration()) return false;
    // While it connects, it is writable once that is done.
    const bool reads = BIO_should_read(bio_);
    pollfd wait = {fd, static_cast<short>(reads ? POLLIN : POLLOUT), 0};
    return poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) > 0;
  }

 private:
  BIO* const bio_;
  const base::BootTime deadline_;
};

absl::StatusOr<UrlHead> ParseHead(const Url& url, absl::string_view head) {
  UrlHead answer;
  const std::vector<absl::string_view> lines = absl::StrSplit(head, '\n');
  const std::vector<absl::string_view> first =
      absl::StrSplit(absl::StripAsciiWhitespace(lines[0]), absl::MaxSplits(' ', 2));
  if (first.size() < 2 || !absl::StartsWith(first[0], "HTTP/1.") ||
      !absl::SimpleAtoi(first[1], &answer.status)) {
    return Unreachable(url.authority, "what answers there does not speak HTTP/1.1");
  }
  for (size_t i = 1; i < lines.size(); ++i) {
    const absl::string_view line = absl::StripAsciiWhitespace(lines[i]);
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos) continue;
    answer.headers.emplace_back(absl::AsciiStrToLower(line.substr(0, colon)),
                                std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  }
  return answer;
}

}  // namespace

absl::StatusOr<UrlHead> AskUrl(const UrlQuestion& question) {
  ASSIGN_OR_RETURN(const Url url, ParseUrl(question.url));
  if (!url.tls && !question.bearer.empty() && !question.allow_plaintext) {
    const absl::StatusOr<Address> address = ParseAddress(url.to);
    if (!address.ok() || !address->IsLoopback()) {
      return base::Refuse(
          absl::StatusCode::kFailedPrecondition, "PLAINTEXT_REFUSED",
          absl::StrCat("refusing to send a token in plaintext to ", url.authority,
                       ": it would cross the network readable.\n  Ask over https (--ca-file FILE "
                       "where its authority is your own)\n  or, knowing the risk: "
                       "--allow-plaintext"));
    }
  }
  const base::BootTime deadline = base::SystemClock().Now() + question.limit;
  ERR_clear_error();
  std::unique_ptr<SSL_CTX, Freed> context;
  std::unique_ptr<BIO, Freed> bio;
  if (url.tls) {
    context.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    const bool roots = question.ca.empty() ? SSL_CTX_set_default_verify_paths(context.get()) == 1
                                           : SSL_CTX_load_verify_locations(
                                                 context.get(), question.ca.c_str(), nullptr) == 1;
    if (!roots) return Unreachable(url.authority, "the CA's certificates cannot be read");
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    bio.reset(BIO_new_ssl_connect(context.get()));
    SSL* ssl = nullptr;
    BIO_get_ssl(bio.get(), &ssl);
    SSL_set_tlsext_host_name(ssl, url.host.c_str());
    SSL_set1_host(ssl, url.host.c_str());
    BIO_set_conn_hostname(bio.get(), url.to.c_str());
  } else {
    bio.reset(BIO_new_connect(url.to.c_str()));
  }
  if (bio == nullptr) return Unreachable(url.authority, "out of memory");
  BIO_set_nbio(bio.get(), 1);
  Line line(bio.get(), deadline);
  while (BIO_do_connect(bio.get()) <= 0) {
    if (!line.Wait()) return Unreachable(url.authority, "it cannot be connected to");
  }

  std::string request = absl::StrCat("GET ", url.target, " HTTP/1.1\r\nHost: ", url.authority,
                                     "\r\nConnection: close\r\n");
  for (const auto& [name, value] : question.headers) {
    absl::StrAppend(&request, name, ": ", value, "\r\n");
  }
  if (!question.bearer.empty()) {
    request.reserve(request.size() + question.bearer.size() + 64);  // no copy is left behind
    absl::StrAppend(&request, "Authorization: Bearer ", question.bearer.RevealSecret(), "\r\n");
  }
  absl::StrAppend(&request, "\r\n");
  size_t sent = 0;
  while (sent < request.size()) {
    const int n =
        BIO_write(bio.get(), request.data() + sent, static_cast<int>(request.size() - sent));
    if (n > 0) {
      sent += static_cast<size_t>(n);
    } else if (!line.Wait()) {
      break;
    }
  }
  const bool whole = sent == request.size();
  base::WipeString(&request);
  if (!whole) return Unreachable(url.authority, "it does not take the request");

  std::string head;
  while (true) {
    const size_t end = head.find("\r\n\r\n");
    if (end != std::string::npos) {
      ASSIGN_OR_RETURN(UrlHead answer, ParseHead(url, absl::string_view(head).substr(0, end)));
      if (answer.status >= 200 || answer.status == 101) return answer;
      head.erase(0, end + 4);  // an interim one (RFC 9110, 15.2)
      continue;
    }
    if (head.size() >= kMostHead) return Unreachable(url.authority, "its answer has no end");
    char buffer[4096];
    const int n = BIO_read(bio.get(), buffer, sizeof(buffer));
    if (n > 0) {
      head.append(buffer, static_cast<size_t>(n));
    } else if (!line.Wait()) {
      return Unreachable(url.authority, "it does not answer");
    }
  }
}

}  // namespace tollgate::net
