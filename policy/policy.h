// Which request needs what: one YAML file, read whole or refused whole, and the judgement of a
// request by it.
//
//   ASSIGN_OR_RETURN(policy, Policy::Parse(text, "edge.yaml"));
//   const Judgement judgement = policy->Judge(request);
//   switch (judgement.kind) …
//
// Pure: no file, no clock, no thread. docs/policy.md has the file's language.
#ifndef TOLLGATE_POLICY_POLICY_H_
#define TOLLGATE_POLICY_POLICY_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/secret.h"
#include "policy/request.h"
#include "token/grant.h"

namespace tollgate::policy {

// What a request needs, in the order of the file.
struct Route {
  std::string name;   // as the file calls it; else "route 3"
  int number = 0;     // from 1; 0: a named requirement, or `otherwise`
  int line = 0;       // of the file, from 1
  std::string takes;  // for people: "POST api.example/v1/deploys"
  std::string needs;  // for people: "any of deploy:write, admin"
};

// What goes to the service behind the proxy with a request that passes. Names are lower-case.
struct Upstream {
  // Identity headers: empty names are not sent. Each is always set, with an empty value where there
  // is nothing to say, so that no client brings its own (docs/policy.md).
  std::string workspace_header;
  std::string token_header;
  std::string owner_header;
  std::string scopes_header;
  std::string expires_header;
  // By the key of an annotation that the workspace's policy tells edges of; in the file's order.
  std::vector<std::pair<std::string, std::string>> annotation_headers;
  bool keep_credential = false;
  // Says to callers that a token is near its end, or retiring (RFC 8594). Zero: says nothing.
  absl::Duration tell_before_expiry;
};

// How a refusal is put into words. Values are free of bytes that a header must not have.
struct Words {
  std::string realm;
  std::string resource_metadata;  // RFC 9728: a URL; empty: none
  // A challenge offers Basic as well, because git and its like ask for a password only then.
  bool offer_basic = false;
};

// What is to be done with one request.
struct Judgement {
  enum class Kind {
    kOpen,     // passes without a token; a credential in it is not looked at
    kGuarded,  // ask about `credential`
    kRefused,  // refuse it: `status`, `reason`
  };
  Kind kind = Kind::kRefused;
  // Null: no route took it. A named requirement, and `otherwise` where it lets a request pass,
  // stand here as routes of their own. Lives as long as the policy.
  const Route* route = nullptr;

  // kRefused.
  int status = 400;               // 400, 403 or 404
  absl::string_view reason;       // "PATH_AMBIGUOUS": stable, docs/errors.md
  absl::string_view description;  // for people; tells nothing of the policy

  // kGuarded.
  base::SecretBytes credential;  // empty: the request presents none
  bool optional = false;         // without a credential it passes; with a bad one it does not
  token::Requirement requirement;
  // From where the client comes: by the header that the policy names, otherwise, or where that
  // tells none, as the request says.
  base::IpAddress client;

  // Where a credential was, or an identity that only Tollgate may state: taken away from what goes
  // upstream. Header names in lower case.
  std::vector<std::string> drop_headers;
  std::vector<std::string> drop_query;  // names of query parameters
};

// Constant, thread-safe.
class Policy {
 public:
  // `name` stands in errors: "edge.yaml:14: route 2: `methds` is no key here; did you mean
  // `methods`?". INVALID_ARGUMENT, POLICY_INVALID.
  static absl::StatusOr<std::shared_ptr<const Policy>> Parse(absl::string_view text,
                                                             absl::string_view name);
  virtual ~Policy() = default;

  // What `request` needs. What is ambiguous (a path that two programs read differently, two
  // credentials) is refused, never guessed.
  virtual Judgement Judge(const Request& request) const = 0;

  virtual const Upstream& upstream() const = 0;
  virtual const Words& words() const = 0;
  virtual const std::vector<Route>& routes() const = 0;
  // Of the text: a short name of this version, for logs, metrics and health.
  virtual const std::string& fingerprint() const = 0;

 protected:
  Policy() = default;
};

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_POLICY_H_
