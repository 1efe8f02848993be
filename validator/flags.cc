#include "validator/flags.h"

#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/version.h"

namespace tollgate {
namespace {

// One line an option, its default at the end.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(28); }

  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: tollgate-validator --service ADDR --listen ADDR [flags]\n";
  }

  std::string make_option(const CLI::Option* option, bool) const override {
    std::string line = absl::StrCat("  --", option->get_lnames()[0]);
    if (!option->get_type_name().empty() && option->get_expected_max() != 0) {
      absl::StrAppend(&line, " ", option->get_type_name());
    }
    if (line.size() > 28) {
      line.append("\n").append(std::string(30, ' '));
    } else {
      line.append(30 - line.size(), ' ');
    }
    absl::StrAppend(&line, option->get_description());
    if (!option->get_default_str().empty() && option->get_expected_max() != 0) {
      absl::StrAppend(&line, " [", option->get_default_str(), "]");
    }
    return absl::StrCat(line, "\n");
  }
};

std::string EnvironmentName(absl::string_view flag) {
  return absl::StrCat("TOLLGATE_VALIDATOR_",
                      absl::AsciiStrToUpper(absl::StrReplaceAll(flag, {{"-", "_"}})));
}

std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0) return "";
  return name;
}

class ValidatorCommandLine {
 public:
  ValidatorCommandLine() : app_("The edge: answers \"may this token pass?\" from memory.") {
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.footer(
        "Durations are written as 500ms, 30s, 5m, 24h.\n"
        "Every flag is also an environment variable (--stale-policy:\n"
        "TOLLGATE_VALIDATOR_STALE_POLICY) and a line of the --config file\n"
        "(stale-policy = \"fail-closed\"); a flag wins over the environment, which wins over the "
        "file.\n\n"
        "A service that cannot be reached is no error: until it can, every answer is UNAVAILABLE.\n"
        "Exit codes: 0 ended as asked; 2 bad usage; 3 address or port taken; 4 any other failure "
        "to\n"
        "start (plaintext refused among them).");
    app_.set_help_flag("--help", "Print this")->group("Program");
    app_.add_flag("--version", version_, "Print the version")->group("Program");
    app_.set_config("--config", "", "A file with flags, one a line: name = \"value\"")
        ->type_name("FILE")
        ->group("Program");
    app_.allow_config_extras(false);

    ValidatorServerOptions& o = flags_.server;
    o.id = HostName();
    Text("Identity", "id", "ID",
         "Stable over restarts, as in payments/edge-3; default: the host's name", &o.id);
    Text("Service", "service", "ADDR", "The control plane: host:port or unix:/path", &o.service);
    Flag("Service", "service-tls", "Use TLS towards it, trusting the system's roots",
         &o.service_tls);
    Text("Service", "service-ca", "FILE", "Who signs its certificate, PEM; implies TLS",
         &o.service_ca);
    Text("Service", "service-cert", "FILE", "This validator's certificate chain, PEM",
         &o.service_cert);
    Text("Service", "service-key", "FILE", "Its key, PEM", &o.service_key);
    Text("Service", "service-spiffe-id", "URI",
         "The service's identity, as in spiffe://example/tollgated", &o.service_spiffe_id);
    Text("Service", "service-host-name", "NAME",
         "The name on its certificate, where not the address's", &o.service_host_name);
    Time("Service", "resolve-timeout", "How long the service may take to answer a question",
         &o.resolve_timeout);
    Time("Service", "longest-backoff", "The longest pause before connecting again",
         &o.longest_backoff);

    List("Listening", "listen", "ADDR", "host:port, [v6]:port or unix:/path; repeatable",
         &o.listen);
    Text("Listening", "metrics-listen", "ADDR", "Prometheus metrics; empty: none",
         &flags_.metrics_listen);
    Text("Listening", "tls-cert", "FILE", "The certificate chain for callers, PEM", &o.tls_cert);
    Text("Listening", "tls-key", "FILE", "Its key, PEM", &o.tls_key);
    Text("Listening", "client-ca", "FILE", "Who signs the callers' certificates, PEM",
         &o.client_ca);
    app_.add_option_function<std::string>(
            "--socket-mode", [&o](const std::string& text) { o.socket_mode = ParseMode(text); },
            "Of a Unix socket that is made, in octal")
        ->type_name("MODE")
        ->default_str("0660")
        ->group("Listening");
    Count("Listening", "max-connections", "On each listener; 0: as open files allow",
          &o.max_connections);
    Flag("Listening", "allow-plaintext",
         "Plaintext where other hosts can reach it, knowing the risk", &o.allow_plaintext);

    Text("Deciding", "stale-policy", "POLICY",
         "Without a live lease: fail-closed admits nothing, fail-open goes on from memory",
         &policy_);
    Time("Deciding", "fail-open-for", "With fail-open: for so long past the lease's end",
         &o.fail_open_for);
    Count("Deciding", "cache-entries", "Tokens held in memory", &o.cache_entries);
    Count("Deciding", "unknown-entries", "Strings held as known to be no token",
          &o.unknown_entries);
    Count("Deciding", "max-questions", "Questions to the service at once", &o.max_questions);
    Count("Deciding", "max-waiting", "Checks that may wait for them", &o.max_waiting);
    Count("Deciding", "drift-bound", "How differently two boot clocks may run, as a fraction",
          &o.drift_bound);
    Text("Deciding", "brand", "LETTERS", "What token strings begin with: 2 to 8 lower-case letters",
         &o.brand);

    Text("Program", "log-level", "LEVEL", "debug, info, warning or error", &log_level_);
    Text("Program", "ready-file", "PATH", "Written, as JSON with the addresses, once it listens",
         &flags_.ready_file);
    Time("Program", "drain-pause", "After SIGTERM: say NOT_SERVING so long before anything ends",
         &flags_.drain_pause);
    Time("Program", "drain-timeout",
         "How long calls under way, then the goodbye, get after SIGTERM", &flags_.drain_timeout);
  }

  absl::StatusOr<ValidatorFlags> Parse(int argc, const char* const* argv) {
    std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
    AddEnvironment(&args);
    std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 takes them
    try {
      app_.parse(reversed);
    } catch (const CLI::CallForHelp&) {
      flags_.print = app_.help();
      return flags_;
    } catch (const std::exception& error) {  // CLI's, and what a config file's parser may throw
      return Bad(error.what());
    }
    if (version_) {
      flags_.print = absl::StrCat("tollgate-validator ", kVersion, "\n");
      return flags_;
    }
    if (!ParseLogLevel(log_level_, &flags_.log_level)) {
      return Bad(
          absl::StrCat("--log-level: '", log_level_, "' is none of debug, info, warning, error"));
    }
    if (policy_ == "fail-open") {
      flags_.server.stale_policy = tollgate::v1::STALE_POLICY_FAIL_OPEN;
    } else if (policy_ != "fail-closed") {
      return Bad(
          absl::StrCat("--stale-policy: '", policy_, "' is neither fail-closed nor fail-open"));
    }
    return flags_;
  }

 private:
  static absl::Status Bad(absl::string_view what) {
    return Refuse(absl::StatusCode::kInvalidArgument, "BAD_FLAG", what);
  }

  static uint32_t ParseMode(const std::string& text) {
    uint32_t mode = 0;
    for (char c : text) {
      if (c < '0' || c > '7' || (mode = mode * 8 + static_cast<uint32_t>(c - '0')) > 0777) {
        throw CLI::ValidationError("--socket-mode", "write an octal mode, as in 0660");
      }
    }
    return mode;
  }

  void Text(const char* group, const std::string& name, const char* type, const char* what,
            std::string* target) {
    app_.add_option("--" + name, *target, what)
        ->type_name(type)
        ->default_str(*target)
        ->group(group);
  }

  void Flag(const char* group, const std::string& name, const char* what, bool* target) {
    app_.add_flag("--" + name, *target, what)->group(group);
  }

  void List(const char* group, const std::string& name, const char* type, const char* what,
            std::vector<std::string>* target) {
    app_.add_option("--" + name, *target, what)
        ->type_name(type)
        ->default_str((*target)[0])
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(group);
  }

  template <class Number>
  void Count(const char* group, const std::string& name, const char* what, Number* target) {
    app_.add_option("--" + name, *target, what)
        ->type_name("N")
        ->default_str(absl::StrCat(*target))
        ->group(group);
  }

  void Time(const char* group, const std::string& name, const char* what, absl::Duration* target) {
    app_.add_option_function<std::string>(
            "--" + name,
            [name, target](const std::string& text) {
              absl::Duration value;
              if (!absl::ParseDuration(text, &value) || value < absl::ZeroDuration() ||
                  value == absl::InfiniteDuration()) {
                throw CLI::ValidationError(
                    "--" + name, "'" + text + "' is no duration: write 500ms, 30s, 5m or 24h");
              }
              *target = value;
            },
            what)
        ->type_name("DURATION")
        ->default_str(absl::FormatDuration(*target))
        ->group(group);
  }

  // Environment variables, as arguments, where the command line does not name the flag itself:
  // CLI11 alone would let the file win over the environment.
  void AddEnvironment(std::vector<std::string>* args) {
    std::set<std::string> given;
    for (const std::string& arg : *args) {
      if (absl::StartsWith(arg, "--")) given.insert(arg.substr(2, arg.find('=') - 2));
    }
    for (const CLI::Option* option : app_.get_options()) {
      if (option->get_lnames().empty()) continue;
      const std::string& name = option->get_lnames()[0];
      if (name == "help" || name == "version" || given.count(name) > 0) continue;
      const char* value = std::getenv(EnvironmentName(name).c_str());
      if (value == nullptr) continue;
      if (name == "listen") {  // several, with commas between
        for (absl::string_view one : absl::StrSplit(value, ',')) {
          args->push_back(absl::StrCat("--listen=", one));
        }
        continue;
      }
      args->push_back(absl::StrCat("--", name, "=", value));
    }
  }

  ValidatorFlags flags_;
  std::string log_level_ = "info";
  std::string policy_ = "fail-closed";
  bool version_ = false;
  CLI::App app_;
};

}  // namespace

absl::StatusOr<ValidatorFlags> ParseValidatorFlags(int argc, const char* const* argv) {
  return ValidatorCommandLine().Parse(argc, argv);
}

}  // namespace tollgate
