// Addresses to listen on and to call: `host:port`, `[v6]:port`, `unix:/path`.
#ifndef TOLLGATE_NET_ADDRESS_H_
#define TOLLGATE_NET_ADDRESS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tollgate::net {

// One address, parsed. A value.
struct Address {
  enum class Kind { kTcp, kUnix };

  Kind kind = Kind::kTcp;
  std::string host;   // kTcp: a name or a literal, without brackets
  uint16_t port = 0;  // kTcp: 0 asks the kernel to choose, when listening
  std::string path;   // kUnix: a path in the file system, at most 107 bytes

  bool is_unix() const { return kind == Kind::kUnix; }

  // True when only this host can reach it: a Unix socket, 127.0.0.0/8, ::1 (also v4-mapped), or the
  // name `localhost`. Any other name counts as reachable from outside.
  bool IsLoopback() const;

  // The address, normalised: `127.0.0.1:7411`, `[::1]:7411`, `unix:/run/x.sock`.
  std::string ToString() const;

  // The address for gRPC's name resolver: `dns:///host:port` or `unix:path`.
  std::string ToGrpcTarget() const;
};

// Parses `host:port`, `[v6]:port`, `dns:///host:port`, `unix:/path`, `unix:path` and
// `unix:///path`. INVALID_ARGUMENT, reason ADDRESS_INVALID, says what is wrong and what to write
// instead. An empty host is refused: it would mean "every interface" without saying so; so are
// Linux's abstract sockets (`unix:@name`, `unix-abstract:name`), which have no mode: any process of
// the host could connect.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_ADDRESS_H_
