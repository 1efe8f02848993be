// The bearer token that a client's calls bring.
#ifndef TOLLGATE_NET_CALL_TOKEN_H_
#define TOLLGATE_NET_CALL_TOKEN_H_

#include <grpcpp/support/client_interceptor.h>

#include <memory>
#include <vector>

#include "base/secret.h"

namespace tollgate::net {

// Adds `authorization: Bearer …` to each call of a channel. gRPC's own call credentials are refused
// on a channel without TLS, also on the loopback and a Unix socket, where a token may be sent; so
// whoever makes the channel has to see to it that the token goes nowhere in the clear.
std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> BringToken(
    std::shared_ptr<const base::SecretBytes> token);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_CALL_TOKEN_H_
