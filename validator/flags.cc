#include "validator/flags.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::validator {
namespace {

constexpr char kFooter[] =
    "Durations are written as 500ms, 30s, 5m, 24h, 90d.\n"
    "Every flag is also an environment variable (--stale-policy:\n"
    "TOLLGATE_VALIDATOR_STALE_POLICY) and a line of the --config file\n"
    "(stale-policy = \"fail-closed\"); a flag wins over the environment, which wins over the "
    "file.\n"
    "An empty variable counts as not set.\n\n"
    "A service that cannot be reached is no error: until it can, every answer is UNAVAILABLE.\n"
    "Exit codes: 0 ended as asked; 2 bad usage; 3 address or port taken; 4 any other failure "
    "to\n"
    "start (plaintext refused among them); 71 stopping took too long.";

std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return "";
  return name;
}

absl::Status ReadMode(const std::string& text, uint32_t* target) {
  uint32_t mode = 0;
  for (char c : text) {
    const bool octal = c >= '0' && c <= '7';
    if (octal) mode = mode * 8 + static_cast<uint32_t>(c - '0');
    if (!octal || mode > 0777) {
      return absl::InvalidArgumentError("write an octal mode, as in 0660");
    }
  }
  *target = mode;
  return absl::OkStatus();
}

void AddFlags(net::DaemonFlags& flags, std::string* stale_policy, ValidatorFlags* parsed) {
  ValidatorServerOptions& o = parsed->server;
  o.id = HostName();
  flags.Text("Identity", "id", "ID",
             "Stable over restarts, as in payments/edge-3; default: the host's name", &o.id);
  flags.Text("Service", "service", "ADDR", "The control plane: host:port or unix:/path",
             &o.service);
  flags.Flag("Service", "service-tls", "Use TLS towards it, trusting the system's roots",
             &o.service_tls);
  flags.Text("Service", "service-ca", "FILE", "Who signs its certificate, PEM; implies TLS",
             &o.service_ca);
  flags.Text("Service", "service-cert", "FILE", "This validator's certificate chain, PEM",
             &o.service_cert);
  flags.Text("Service", "service-key", "FILE", "Its key, PEM", &o.service_key);
  flags.Text("Service", "service-spiffe-id", "URI",
             "The service's identity, as in spiffe://example/tollgated", &o.service_spiffe_id);
  flags.Text("Service", "service-host-name", "NAME",
             "The name on its certificate, where not the address's", &o.service_host_name);
  flags.Time("Service", "resolve-timeout", "How long the service may take to answer a question",
             &o.resolve_timeout);
  flags.Time("Service", "longest-backoff", "The longest pause before connecting again",
             &o.longest_backoff);

  flags.List("Listening", "listen", "ADDR", "host:port, [v6]:port or unix:/path; repeatable",
             &o.listen);
  flags.List(
      "Listening", "http-listen", "ADDR",
      "Where proxies ask over HTTP, as nginx's auth_request does; needs --policy; repeatable",
      &o.http_listen);
  flags.AddMetrics("Listening");
  flags.Text("Listening", "tls-cert", "FILE", "The certificate chain for callers, PEM",
             &o.tls_cert);
  flags.Text("Listening", "tls-key", "FILE", "Its key, PEM", &o.tls_key);
  flags.Text("Listening", "client-ca", "FILE", "Who signs the callers' certificates, PEM",
             &o.client_ca);
  flags.Value("Listening", "socket-mode", "MODE", "Of a Unix socket that is made, in octal", "0660",
              [&o](const std::string& text) { return ReadMode(text, &o.socket_mode); });
  flags.Number("Listening", "max-connections", "N",
               "On each listener; 0: as open files allow, for HTTP 512", &o.max_connections);
  flags.Flag("Listening", "allow-plaintext",
             "Plaintext where other hosts can reach it, knowing the risk", &o.allow_plaintext);

  flags.Text("Deciding", "policy", "FILE",
             "What requests need, for proxies; read again when it changes, and on SIGHUP",
             &o.policy);
  flags.Text("Deciding", "stale-policy", "POLICY",
             "Without a live lease: fail-closed admits nothing, fail-open goes on from memory",
             stale_policy);
  flags.Time("Deciding", "fail-open-for", "With fail-open: for so long past the lease's end",
             &o.fail_open_for);
  flags.Number("Deciding", "cache-entries", "N", "Tokens held in memory", &o.cache_entries);
  flags.Number("Deciding", "unknown-entries", "N", "Strings held as known to be no token",
               &o.unknown_entries);
  flags.Number("Deciding", "max-questions", "N", "Questions to the service at once",
               &o.max_questions);
  flags.Number("Deciding", "max-waiting", "N", "Checks that may wait for them", &o.max_waiting);
  flags.Number(
      "Deciding", "max-holds", "N",
      "What may stay open under a hold at once; one holder has at most half; 0: holds are off",
      &o.max_holds);
  flags.Time(
      "Deciding", "holds-outlive-lease",
      "For so long past the lease's end holds are kept, and no receipt covers them; 0s: they "
      "end with it",
      &o.holds_outlive_lease);
  flags.Number("Deciding", "drift-bound", "N",
               "How differently two boot clocks may run, as a fraction", &o.drift_bound);
  flags.Text("Deciding", "brand", "LETTERS",
             "What token strings begin with: 2 to 8 lower-case letters", &o.brand);

  flags.Text("Program", "state-dir", "DIR",
             "A folder of this validator's own that outlives it: by what it keeps there, a service "
             "whose store was put back is found out even after this process was restarted",
             &o.state_dir);
  flags.AddProgram("Written, as JSON with the addresses, once it listens",
                   "How long calls under way, then the goodbye, get after SIGTERM");
}

}  // namespace

absl::StatusOr<ValidatorFlags> ParseValidatorFlags(int argc, const char* const* argv) {
  ValidatorFlags parsed;
  std::string stale_policy = "fail-closed";
  net::DaemonFlags flags({.program = "tollgate-validator",
                          .usage = "--service ADDR --listen ADDR [flags]",
                          .about = "The edge: answers \"may this token pass?\" from memory.",
                          .footer = kFooter,
                          .unknown = ""},
                         &parsed.daemon);
  AddFlags(flags, &stale_policy, &parsed);
  RETURN_IF_ERROR(flags.Parse(argc, argv));
  if (parsed.daemon.print.has_value()) return parsed;
  if (stale_policy == "fail-open") {
    parsed.server.stale_policy = tollgate::v1::STALE_POLICY_FAIL_OPEN;
  } else if (stale_policy != "fail-closed") {
    return net::RefuseFlag(
        absl::StrCat("--stale-policy: '", stale_policy, "' is neither fail-closed nor fail-open"));
  }
  return parsed;
}

}  // namespace tollgate::validator
