// HTTP forward-auth: a proxy asks about each request with a request of its own, and goes on with it
// on 200 alone.
#ifndef TOLLGATE_VALIDATOR_FRONTS_FORWARD_AUTH_H_
#define TOLLGATE_VALIDATOR_FRONTS_FORWARD_AUTH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "net/http_host.h"
#include "net/http_message.h"
#include "policy/request.h"
#include "validator/fronts/front.h"
#include "validator/fronts/gate.h"

namespace tollgate::validator {

// Where a proxy's question tells what was asked of it. Each convention has a path of its own here,
// which stands in the proxy's configuration. Nothing is ever guessed from which headers are there:
// the client of an nginx could add X-Forwarded-Uri, and be judged for a path that it does not ask
// for.
enum class Convention {
  // /auth/nginx (auth_request): X-Original-Method, X-Original-URI, X-Original-Host. nginx passes on
  // 401 and 403 and makes everything else an error of its own, so what is a client's fault is 403
  // there; and as it drops the body, the real status and the reason are headers as well,
  // Tollgate-Status and Tollgate-Reason.
  kNginx,
  // /auth/forwarded (Caddy, Traefik, HAProxy): X-Forwarded-Method, X-Forwarded-Uri,
  // X-Forwarded-Host.
  kForwarded,
  // /auth/request/… (Gateway API's ExternalAuth, Envoy's HTTP service): the request itself, with
  // this in front of its path.
  kItself,
};

// What a proxy asks. `target` is the client's, for kItself. `headers` is filled with what the
// client sent, less what the convention put there; it outlives the request, whose views are into it
// and into `question`.
//
// INVALID_ARGUMENT, PROXY_MISCONFIGURED, with the header to set: one of those above is missing,
// empty or there twice. It is never read otherwise. HOST_MISSING: the proxy tells hosts, and the
// client named none.
absl::StatusOr<policy::Request> ReadQuestion(const net::HttpRequest& question,
                                             Convention convention, absl::string_view target,
                                             std::vector<policy::Header>* headers);

// Serves the paths above, and below /auth/require/NAME/ the same three for a requirement that the
// policy knows by that name, in place of its routes. The query of the first two means nothing,
// since a proxy may put the client's there.
//
// The answer: identity headers (over what the client sent), every header that is to be dropped with
// an empty value, and GateAnswer::client_headers. A credential in the query is refused
// (CREDENTIAL_IN_QUERY): no answer of this front could take it away. Thread-safe.
class ForwardAuthFront final : public Front {
 public:
  // `gate` outlives the host's requests.
  explicit ForwardAuthFront(Gate* gate) : gate_(gate) {}

  absl::string_view name() const override { return "forward_auth"; }
  void RegisterOn(FrontHost* host) override;

 private:
  void Answer(net::HttpExchange exchange);

  Gate* const gate_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_FORWARD_AUTH_H_
