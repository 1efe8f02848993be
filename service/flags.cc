#include "service/flags.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "storage/engines.h"

namespace tollgate::service {
namespace {

constexpr char kFooter[] =
    "Durations are written as 500ms, 30s, 5m, 24h, 90d.\n"
    "Every flag is also an environment variable (--ping-interval: TOLLGATED_PING_INTERVAL) "
    "and\n"
    "a line of the --config file (ping-interval = \"5s\"); a flag wins over the environment,\n"
    "which wins over the file. An empty variable counts as not set.\n\n";

constexpr char kExitCodes[] =
    "Exit codes: 0 ended as asked; 2 bad usage; 3 port taken; 4 store in use; 5 keyring\n"
    "unreadable; 6 store from a newer version, or damaged; 7 plaintext refused; 8 journal\n"
    "unusable; 9 the store was rolled back; 10 the store cannot be read or written; 11 only\n"
    "its journal is there; 70 a store write failed; 71 stopping took too long; 1 anything\n"
    "else.\n\n"
    "Also: tollgated restore --help      a store from a backup\n"
    "      tollgated new-epoch --help    a new history on a store that was rolled back";

std::string Footer() {
  return absl::StrCat(kFooter, "Engines: ", absl::StrJoin(storage::Engines().schemes(), ", "),
                      ". --store DIR is --store ", storage::Engines().default_driver().scheme(),
                      ":DIR; a folder whose name has a colon\n"
                      "is written with a slash before it, as in ./a:b or /srv/a:b.\n\n",
                      kExitCodes);
}

void AddFlags(net::DaemonFlags& flags, ServerFlags* parsed) {
  ServerOptions& o = parsed->server;
  flags.Text("Store", "store", "DIR",
             "The store's directory, or ENGINE:DIR; made where there is none. Required", &o.store);
  flags.Text(
      "Store", "keyring", "FILE",
      "The peppers' file, mode 0600; made on first start. Default: DIR.keyring, beside the store",
      &o.keyring);
  flags.Text("Store", "journal", "FILE",
             "What takes permission away, for restores; best on another disk. Default: DIR.journal",
             &o.journal);
  flags.Flag("Store", "no-journal",
             "Keep none: a restore then brings back what was revoked since the backup",
             &o.no_journal);
  flags.Text("Store", "seal", "FILE",
             "The key that seals what validators prove; made where it is not. Default: DIR.seal",
             &o.seal);
  flags.Flag("Store", "group-readable-secrets",
             "Keyring and seal may be open to their group, and links: a Secret that Kubernetes "
             "mounts, a volume with an fsGroup",
             &o.group_readable_secrets);
  flags.Text("Store", "backup-dir", "DIR",
             "Where `tollgate backup create` puts backups; empty: nowhere", &o.backup_dir);
  flags.Time("Store", "disk-hang-limit",
             "Say NOT_SERVING while a read or write of the store takes longer", &o.disk_hang_limit);
  flags.Time("Store", "event-retention", "Keep events at least so long", &o.event_retention);
  flags.Number("Store", "event-retention-count", "N", "Keep at most so many revisions of events",
               &o.event_retention_count);

  flags.List("Listening", "listen", "ADDR", "host:port, [v6]:port or unix:/path; repeatable",
             &o.listen);
  flags.AddMetrics("Listening");
  flags.Text("Listening", "tls-cert", "FILE", "The service's certificate chain, PEM", &o.tls_cert);
  flags.Text("Listening", "tls-key", "FILE", "Its key, PEM", &o.tls_key);
  flags.Text("Listening", "client-ca", "FILE", "Who signs the callers' certificates, PEM",
             &o.client_ca);
  flags.Flag("Listening", "client-cert-optional",
             "A caller may come without a certificate, and bring an operator token instead",
             &o.client_cert_optional);
  flags.Flag("Listening", "allow-plaintext",
             "Serve plaintext where other hosts can reach it, knowing the risk",
             &o.allow_plaintext);

  flags.List("Access", "admin", "MEMBER",
             "Is admin while the service runs: spiffe://DOMAIN/PATH, operator:NAME, unix:NAME, or "
             "local, the "
             "loopback; repeatable. No operator token is made then",
             &o.admin);
  flags.List("Access", "validator", "MEMBER",
             "Is validator while the service runs: for a fleet that is there before its roles are",
             &o.validator);
  flags.Flag("Access", "no-host-admins",
             "root and the service's own user, over a Unix socket, are not admin by themselves",
             &o.no_host_admins);
  flags.Flag("Access", "dev-open",
             "Whoever reaches the service may do everything: for a machine of one's own",
             &o.dev_open);

  flags.Time("Enforcement", "lease",
             "How long a validator may go on without hearing from the service", &o.lease);
  flags.Time("Enforcement", "ping-interval", "How often validators ping", &o.ping_interval);
  flags.Number("Enforcement", "max-pings-per-second", "REAL",
               "In a larger fleet each pings less often, down to 3 times a lease",
               &o.max_pings_per_second);
  flags.Time("Enforcement", "usage-interval", "How often validators report use", &o.usage_interval);
  flags.Time("Enforcement", "ack-limit",
             "No new lease for who leaves an event unacknowledged so long", &o.ack_limit);
  flags.Number("Enforcement", "drift-bound", "REAL",
               "How differently two boot clocks may run, as a fraction", &o.drift_bound);

  flags.Time("Clock", "clock-step-bound",
             "The wall clock is in doubt when it leaves the boot clock by more",
             &o.clock_step_bound);
  flags.Time("Clock", "longest-off",
             "So it is at a start that finds it further ahead of the store's last commit",
             &o.longest_off);
  flags.Time("Clock", "clock-edge-bound",
             "So it is when the clocks of most edges are further from it", &o.clock_edge_bound);

  flags.Text("Tokens", "brand", "LETTERS",
             "What token strings begin with: 2 to 8 lower-case letters", &o.brand);
  flags.Time("Tokens", "sweep-interval",
             "How often to look for what has expired or is to be retired", &o.sweep_interval);

  flags.Time("Tokens", "use-retention",
             "Use by edges silent for longer is summed up, but for a token's latest 100",
             &o.use_retention);

  flags.Number("Limits", "max-message-bytes", "BYTES", "The largest request taken",
               &o.max_message_bytes);
  flags.Number("Limits", "max-connections", "N",
               "Connections at once on each listener; 0: as many as its open files allow",
               &o.max_connections);
  flags.Number("Limits", "max-followers", "N", "Validators that follow at once", &o.max_followers);
  flags.Number("Limits", "read-threads", "N", "Threads that read the store", &o.read_threads);
  flags.Number("Limits", "max-queued-reads", "N", "Reads that may wait for one",
               &o.max_queued_reads);
  flags.Number("Limits", "scan-threads", "N",
               "Threads for counts of whole workspaces, and for backups", &o.scan_threads);
  flags.Number("Limits", "max-queued-scans", "N", "Counts that may wait for one",
               &o.max_queued_scans);
  flags.Number("Limits", "max-watchers", "N", "WatchEvents streams at once", &o.max_watchers);
  flags.Number("Limits", "max-queued-watch", "N", "Revisions that may wait for a slow one",
               &o.max_queued_watch);
  flags.Time("Limits", "write-stall-limit", "A stream that takes no message for so long is cut",
             &o.write_stall_limit);
  flags.Time("Limits", "no-progress-limit", "So is one that leaves an event unacknowledged so long",
             &o.no_progress_limit);
  flags.Time("Limits", "max-stream-age", "A validator's stream is renewed within this time",
             &o.max_stream_age);
  flags.Number("Limits", "ring-revisions", "N", "Revisions of events kept in memory for streams",
               &o.ring_revisions);
  flags.Number("Limits", "ring-bytes", "BYTES", "At most so many bytes of them", &o.ring_bytes);

  flags.AddProgram("Written, as JSON with the addresses, once the service serves",
                   "How long calls under way get after SIGTERM");
}

}  // namespace

absl::StatusOr<ServerFlags> ParseServerFlags(int argc, const char* const* argv) {
  ServerFlags parsed;
  net::DaemonFlags flags(
      {.program = "tollgated",
       .usage = "--store DIR [flags]",
       .about = "The control plane: issues, rotates and revokes workspace tokens.",
       .footer = Footer(),
       .unknown = "no such flag. "},
      &parsed.daemon);
  AddFlags(flags, &parsed);
  RETURN_IF_ERROR(flags.Parse(argc, argv));
  if (parsed.daemon.print.has_value()) return parsed;
  if (parsed.server.store.empty()) {
    return net::RefuseFlag(
        "--store is missing: it names the directory that the service keeps its tokens in, "
        "as in --store /var/lib/tollgate");
  }
  return parsed;
}

}  // namespace tollgate::service
