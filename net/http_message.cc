#include "net/http_message.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tollgate::net {
namespace {

struct Target {
  absl::string_view path;
  absl::string_view query;
};

Target Split(absl::string_view target) {
  // "http://host/a?b" is "/a?b" of that host.
  if (!absl::StartsWith(target, "/")) {
    const size_t scheme = target.find("://");
    if (scheme != absl::string_view::npos) {
      const size_t path = target.find_first_of("/?", scheme + 3);
      target = path == absl::string_view::npos ? absl::string_view() : target.substr(path);
      if (!absl::StartsWith(target, "/")) return {"/", target.empty() ? target : target.substr(1)};
    }
  }
  const size_t query = target.find('?');
  if (query == absl::string_view::npos) return {target, {}};
  return {target.substr(0, query), target.substr(query + 1)};
}

bool MayFollow(int status) { return status >= 200 && status != 204 && status != 304; }

void AppendHeader(std::string* out, absl::string_view name, absl::string_view value) {
  absl::StrAppend(out, name, ": ", value, "\r\n");
  for (size_t i = out->size() - 2 - value.size(); i < out->size() - 2; ++i) {
    const auto byte = static_cast<unsigned char>((*out)[i]);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) (*out)[i] = ' ';
  }
}

}  // namespace

absl::string_view HttpRequest::path() const { return Split(target).path; }
absl::string_view HttpRequest::query() const { return Split(target).query; }

absl::string_view HttpRequest::Header(absl::string_view name) const {
  for (const auto& [other, value] : headers) {
    if (absl::EqualsIgnoreCase(other, name)) return value;
  }
  return {};
}

int HttpRequest::CountHeader(absl::string_view name) const {
  int count = 0;
  for (const auto& [other, value] : headers) count += absl::EqualsIgnoreCase(other, name) ? 1 : 0;
  return count;
}

absl::string_view HttpReason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

HttpResponse HttpWords(int status, absl::string_view words) {
  HttpResponse response;
  response.status = status;
  response.body = absl::StrCat(status, " ", HttpReason(status), ": ", words, ".\n");
  return response;
}

std::string WriteHttpResponse(const HttpResponse& response, const HttpWriting& how) {
  size_t size = 256 + response.body.size();
  for (const auto& [name, value] : response.headers) size += name.size() + value.size() + 4;
  std::string out;
  out.reserve(size);
  absl::StrAppend(&out, "HTTP/1.1 ", response.status, " ", HttpReason(response.status), "\r\n");
  if (!how.date.empty()) AppendHeader(&out, "Date", how.date);
  if (MayFollow(response.status)) {
    if (!response.content_type.empty()) {
      AppendHeader(&out, "Content-Type", response.content_type);
    }
    AppendHeader(&out, "Content-Length", absl::StrCat(response.body.size()));
  }
  for (const auto& [name, value] : response.headers) AppendHeader(&out, name, value);
  if (how.close) {
    AppendHeader(&out, "Connection", "close");
  } else if (how.http10) {
    AppendHeader(&out, "Connection", "keep-alive");
  }
  out.append("\r\n");
  if (MayFollow(response.status) && !how.head) out.append(response.body);
  return out;
}

}  // namespace tollgate::net
