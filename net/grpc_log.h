// gRPC's own log lines.
#ifndef TOLLGATE_NET_GRPC_LOG_H_
#define TOLLGATE_NET_GRPC_LOG_H_

namespace tollgate::net {

// From here on gRPC's own lines (a failed handshake, a broken socket) are lines of this program's
// log, with the field "grpc" for their place in gRPC's source. gRPC's errors become warnings,
// because mostly a stranger causes them. At most kMostGrpcLinesASecond, so that a stranger cannot
// fill the disk; the next line tells how many were left out. For daemons, before any use of gRPC.
// Thread-safe.
void LogWhatGrpcSays();
inline constexpr int kMostGrpcLinesASecond = 10;

// Silences gRPC on stderr, unless GRPC_VERBOSITY is set. For commands, whose users learn of errors
// from the status of the call. Before any use of gRPC.
void SilenceGrpc();

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_GRPC_LOG_H_
