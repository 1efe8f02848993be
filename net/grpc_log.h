// What gRPC itself has to say.
#ifndef TOLLGATE_NET_GRPC_LOG_H_
#define TOLLGATE_NET_GRPC_LOG_H_

namespace tollgate::net {

// From here on gRPC's own lines (a handshake that failed, a socket that broke) are lines of our
// log, with the field "grpc" for the place in its source; its errors are warnings here: mostly a
// stranger's doing. At most kMostGrpcLinesASecond: a stranger must not fill the disk; how many were
// left out is told by the next one. For daemons, before any use of gRPC. Thread-safe.
void LogWhatGrpcSays();
inline constexpr int kMostGrpcLinesASecond = 10;

// gRPC says nothing on stderr, unless GRPC_VERBOSITY is set: for commands, whose user is told by
// the status of the call. Before any use of gRPC.
void SilenceGrpc();

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_GRPC_LOG_H_
