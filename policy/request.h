// A request of HTTP or gRPC, as the proxy in front of a service tells of it.
#ifndef TOLLGATE_POLICY_REQUEST_H_
#define TOLLGATE_POLICY_REQUEST_H_

#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/ip_address.h"

namespace tollgate::policy {

using Header = std::pair<absl::string_view, absl::string_view>;

// Views into what the front has read. Nothing is decoded yet: only the policy decodes, once, so
// that every front judges alike.
struct Request {
  absl::string_view method;  // as sent, since methods have a case
  absl::string_view host;    // Host or :authority, as sent: its port and case are the policy's
  absl::string_view target;  // path and query as the client sent them: "/a?b", "http://host/a?b"
  // All headers of the client's request, one entry for each line; names in any case.
  absl::Span<const Header> headers;
  // A requirement of the policy, by its name, which the proxy's own configuration puts in place of
  // the routes. Empty: the routes decide.
  absl::string_view requirement;
  // From where the client comes, as the proxy's own words tell; none: they do not. It judges
  // nothing.
  base::IpAddress client;
};

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_REQUEST_H_
