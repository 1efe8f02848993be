#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace tollgate::net {
namespace {

constexpr size_t kMaxUnixPath = sizeof(sockaddr_un{}.sun_path) - 1;

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  return base::Refuse(absl::StatusCode::kInvalidArgument, "ADDRESS_INVALID",
                      absl::StrCat("\"", text, "\" is not an address: ", why,
                                   ". Write HOST:PORT, [IPV6]:PORT or unix:/PATH."));
}

absl::Status InvalidAbstract(absl::string_view text, absl::string_view path) {
  return Invalid(text, absl::StrCat("abstract sockets are not used, since they have no mode and "
                                    "every process of the host could connect (a file of that name "
                                    "is unix:./",
                                    path, ")"));
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

absl::StatusOr<Address> ParseUnix(absl::string_view text, absl::string_view path) {
  if (absl::StartsWith(path, "//")) {
    path.remove_prefix(2);
    if (!absl::StartsWith(path, "/"))
      return Invalid(text, "a unix:// address is absolute: unix:///PATH");
  }
  if (path.empty()) return Invalid(text, "the socket's path is missing");
  if (absl::StartsWith(path, "@")) return InvalidAbstract(text, path);
  if (absl::StrContains(path, absl::string_view("\0", 1))) {
    return Invalid(text, "the path holds a NUL byte");
  }
  if (absl::EndsWith(path, "/")) return Invalid(text, "the path names a directory");
  if (path.size() > kMaxUnixPath) {
    return Invalid(text, absl::StrCat("the path has ", path.size(),
                                      " bytes, a socket's has at most ", kMaxUnixPath));
  }
  Address address;
  address.kind = Address::Kind::kUnix;
  address.path = std::string(path);
  return address;
}

}  // namespace

bool Address::IsLoopback() const {
  if (is_unix() || absl::EqualsIgnoreCase(host, "localhost")) return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  if (IN6_IS_ADDR_LOOPBACK(&v6)) return true;
  return IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127;
}

std::string Address::ToString() const {
  if (is_unix()) return absl::StrCat("unix:", path);
  if (absl::StrContains(host, ":")) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

std::string Address::ToGrpcTarget() const {
  return is_unix() ? ToString() : absl::StrCat("dns:///", ToString());
}

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  absl::string_view rest = text;
  if (rest.empty()) return Invalid(text, "it is empty");
  if (absl::ConsumePrefix(&rest, "unix:")) return ParseUnix(text, rest);
  if (absl::ConsumePrefix(&rest, "unix-abstract:")) return InvalidAbstract(text, rest);
  if (!absl::ConsumePrefix(&rest, "dns:///") && absl::StrContains(rest, "://")) {
    return Invalid(text, "it has a scheme that is neither dns nor unix");
  }
  if (absl::StartsWith(rest, "/")) {
    return Invalid(text, absl::StrCat("a socket's path is written unix:", rest));
  }

  Address address;
  absl::string_view port;
  if (absl::ConsumePrefix(&rest, "[")) {
    const size_t close = rest.find(']');
    if (close == absl::string_view::npos) return Invalid(text, "the \"]\" is missing");
    address.host = std::string(rest.substr(0, close));
    in6_addr v6;
    if (inet_pton(AF_INET6, address.host.c_str(), &v6) != 1) {
      return Invalid(text, "what stands in brackets is no IPv6 address");
    }
    rest.remove_prefix(close + 1);
    if (!absl::ConsumePrefix(&rest, ":")) return Invalid(text, "the port is missing");
    port = rest;
  } else {
    const size_t colon = rest.find(':');
    if (colon == absl::string_view::npos) return Invalid(text, "the port is missing");
    if (rest.find(':', colon + 1) != absl::string_view::npos) {
      return Invalid(text, "an IPv6 address stands in brackets");
    }
    address.host = std::string(rest.substr(0, colon));
    port = rest.substr(colon + 1);
    if (address.host.empty()) {
      return Invalid(text,
                     "the host is missing; 0.0.0.0 means every interface, 127.0.0.1 this host");
    }
    for (const char c : address.host) {
      if (!IsHostCharacter(c))
        return Invalid(text, "the host has a character that no host name has");
    }
  }
  uint32_t number = 0;
  bool digits = !port.empty() && port.size() <= 5;
  for (const char c : port) digits = digits && c >= '0' && c <= '9';
  if (!digits || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return Invalid(text, "the port is no number from 0 to 65535");
  }
  address.port = static_cast<uint16_t>(number);
  return address;
}

}  // namespace tollgate::net
