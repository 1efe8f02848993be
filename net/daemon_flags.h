// A daemon's flags, environment and configuration file: three spellings of one set of options. A
// flag wins over its environment variable (--ping-interval of tollgated: TOLLGATED_PING_INTERVAL),
// which wins over the file named by --config. An empty variable counts as not set.
//
//   DaemonFlags flags({.program = "tollgated", …}, &parsed.daemon);
//   flags.Text("Store", "store", "DIR", "The store's directory", &parsed.server.store);
//   flags.AddProgram("Written once the service serves", "How long calls get after SIGTERM");
//   RETURN_IF_ERROR(flags.Parse(argc, argv));
//   if (parsed.daemon.print.has_value()) return parsed;
#ifndef TOLLGATE_NET_DAEMON_FLAGS_H_
#define TOLLGATE_NET_DAEMON_FLAGS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/log.h"
#include "net/tls_files.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tollgate::net {

// The settings of every daemon, whatever it serves. The defaults are the daemon's own.
struct DaemonSettings {
  base::LogLevel log_level = base::LogLevel::kInfo;
  // Written once the daemon serves, for scripts and supervisors (format: WriteReadiness).
  std::string ready_file;
  // Where metrics and probes are served over HTTP (net/metrics_port.h); empty: nowhere.
  std::string metrics_listen;
  // TLS there, but not on a Unix socket; empty: plaintext.
  TlsFiles metrics_tls;
  // Serve metrics in plaintext also where other hosts can read them.
  bool allow_plaintext_metrics = false;
  // The time between NOT_SERVING and the rest of a drain, for balancers to notice.
  absl::Duration drain_pause = absl::ZeroDuration();
  // How long calls under way get after SIGTERM.
  absl::Duration drain_timeout = absl::Seconds(10);
  // Set by --help and --version: print this text and exit with 0.
  absl::optional<std::string> print;
};

// Declares the flags of a daemon, in the order and the groups in which --help lists them, and then
// reads them. Each flag's default is the value that its target holds. --help, --version and
// --config are always there. Every target outlives this object. Not thread-safe; Parse is called
// once.
class DaemonFlags {
 public:
  struct Texts {
    std::string program;  // "tollgated"; the environment variables begin with it
    std::string usage;    // what follows the program: "--store DIR [flags]"
    std::string about;    // one line
    std::string footer;   // after the flags
    std::string unknown;  // said before the words about an unknown flag
  };

  // Declares the three flags that are always there. Parse and AddProgram fill `settings`.
  DaemonFlags(Texts texts, DaemonSettings* settings);
  ~DaemonFlags();
  DaemonFlags(const DaemonFlags&) = delete;
  DaemonFlags& operator=(const DaemonFlags&) = delete;

  // `--name TYPE` with any text.
  void Text(const char* group, const std::string& name, const char* type, const char* what,
            std::string* target);
  // `--name` alone.
  void Flag(const char* group, const std::string& name, const char* what, bool* target);
  // `--name TYPE`, repeatable; in the environment separated by commas. An empty
  // `*target`: none is the default.
  void List(const char* group, const std::string& name, const char* type, const char* what,
            std::vector<std::string>* target);
  // `--name TYPE` with a number that the target can hold.
  void Number(const char* group, const std::string& name, const char* type, const char* what,
              int* target);
  void Number(const char* group, const std::string& name, const char* type, const char* what,
              int64_t* target);
  void Number(const char* group, const std::string& name, const char* type, const char* what,
              double* target);
  // `--name DURATION`, in the syntax of DurationFromText.
  void Time(const char* group, const std::string& name, const char* what, absl::Duration* target);
  // `--name TYPE`, read by `read`, which refuses a bad value with a message that says how to write
  // it.
  void Value(const char* group, const std::string& name, const char* type, const char* what,
             const std::string& shown_default,
             std::function<absl::Status(const std::string&)> read);
  // --metrics-listen, which has a default, and its --metrics-tls-cert, --metrics-tls-key,
  // --metrics-client-ca and --allow-plaintext-metrics.
  void AddMetrics(const char* group);
  // --log-level, --ready-file, --drain-pause and --drain-timeout; `ready` and `drain` describe the
  // second and the last.
  void AddProgram(const char* ready, const char* drain);

  // Fills the targets. INVALID_ARGUMENT (BAD_FLAG, ADDRESS_INVALID): what is wrong, and how to
  // write it. FAILED_PRECONDITION (PLAINTEXT_REFUSED): other hosts could reach the metrics, and
  // that was not asked for by name. Where it has set `print`, the targets may not be used.
  absl::Status Parse(int argc, const char* const* argv);

 private:
  template <class T>
  void AddNumber(const char* group, const std::string& name, const char* type, const char* what,
                 T* target);
  void AddEnvironment(std::vector<std::string>* args) const;
  absl::Status CheckMetrics() const;

  const Texts texts_;
  DaemonSettings* const settings_;
  const std::unique_ptr<CLI::App> app_;
  std::set<std::string> lists_;  // the flags made by List
  std::string log_level_ = "info";
  bool version_ = false;
};

// INVALID_ARGUMENT (BAD_FLAG).
absl::Status RefuseFlag(absl::string_view what);

// The same code and reason; the message ends by saying where all flags are described.
absl::Status WithHelpHint(absl::string_view program, const absl::Status& status);

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_DAEMON_FLAGS_H_
