#include "service/flags.h"

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
#include "absl/strings/strip.h"
#include "base/status.h"

#ifndef TOLLGATE_VERSION
#define TOLLGATE_VERSION "0.1.0"
#endif

namespace tollgate {
namespace {

// What a person would write: 30s, 5m, 24h, 90d.
std::string WriteDuration(absl::Duration d) {
  if (d >= absl::Hours(48) && d % absl::Hours(24) == absl::ZeroDuration()) {
    return absl::StrCat(d / absl::Hours(24), "d");
  }
  if (d == absl::ZeroDuration()) return "0s";
  if (d % absl::Hours(1) == absl::ZeroDuration()) {
    return absl::StrCat(d / absl::Hours(1), "h");
  }
  if (d % absl::Minutes(1) == absl::ZeroDuration()) {
    return absl::StrCat(d / absl::Minutes(1), "m");
  }
  return absl::FormatDuration(d);
}

// One line an option, its default at the end.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(28); }

  std::string make_usage(const CLI::App* app, std::string name) const override {
    return "Usage: tollgated --store DIR [flags]\n";
  }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string left = absl::StrCat("  --", option->get_lnames()[0]);
    if (!option->get_type_name().empty() && option->get_expected_max() != 0) {
      absl::StrAppend(&left, " ", option->get_type_name());
    }
    std::string right = option->get_description();
    if (!option->get_default_str().empty() && option->get_expected_max() != 0) {
      absl::StrAppend(&right, " [", option->get_default_str(), "]");
    }
    std::string line = left;
    if (line.size() + 2 > 30) {
      line.append("\n").append(std::string(30, ' '));
    } else {
      line.append(30 - line.size(), ' ');
    }
    return absl::StrCat(line, right, "\n");
  }
};

std::string EnvironmentName(absl::string_view flag) {
  return absl::StrCat("TOLLGATED_", absl::AsciiStrToUpper(absl::StrReplaceAll(flag, {{"-", "_"}})));
}

class ServerCommandLine {
 public:
  ServerCommandLine() : app_("The control plane: issues, rotates and revokes workspace tokens.") {
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.footer(
        "Durations are written as 500ms, 30s, 5m, 24h, 90d.\n"
        "Every flag is also an environment variable (--ping-interval: TOLLGATED_PING_INTERVAL) "
        "and\n"
        "a line of the --config file (ping-interval = \"5s\"); a flag wins over the environment,\n"
        "which wins over the file.\n\n"
        "Exit codes: 0 ended as asked; 2 bad usage; 3 port taken; 4 store in use; 5 keyring\n"
        "unreadable; 6 store from a newer version, or corrupt; 7 plaintext refused; 8 journal\n"
        "unusable; 9 the store was rolled back; 70 a store write failed; 1 anything else.\n\n"
        "Also: tollgated restore --help      a store from a backup\n"
        "      tollgated new-epoch --help    a new history on a store that was rolled back");
    app_.set_help_flag("--help", "Print this")->group("Program");
    app_.add_flag("--version", version_, "Print the version")->group("Program");
    app_.set_config("--config", "", "A file with flags, one a line: name = \"value\"")
        ->type_name("FILE")
        ->group("Program");
    app_.allow_config_extras(false);

    ServerOptions& o = flags_.server;
    Text("Store", "store", "DIR", "The store's directory; made where there is none. Required",
         &o.store);
    Text(
        "Store", "keyring", "FILE",
        "The peppers' file, mode 0600; made on first start. Default: DIR.keyring, beside the store",
        &o.keyring);
    Text("Store", "journal", "FILE",
         "What takes permission away, for restores; best on another disk. Default: DIR.journal",
         &o.journal);
    app_.add_flag("--no-journal", o.no_journal,
                  "Keep none: a restore then brings back what was revoked since the backup")
        ->group("Store");
    Text("Store", "backup-dir", "DIR",
         "Where `tollgate backup create` puts backups; empty: nowhere", &o.backup_dir);
    Time("Store", "event-retention", "Keep events at least so long", &o.event_retention);
    Count("Store", "event-retention-count", "Keep at most so many revisions of events",
          &o.event_retention_count);

    List("Listening", "listen", "ADDR", "host:port, [v6]:port or unix:/path; repeatable",
         &o.listen);
    Text("Listening", "metrics-listen", "ADDR", "Prometheus metrics; empty: none",
         &flags_.metrics_listen);
    Text("Listening", "tls-cert", "FILE", "The service's certificate chain, PEM", &o.tls_cert);
    Text("Listening", "tls-key", "FILE", "Its key, PEM", &o.tls_key);
    Text("Listening", "client-ca", "FILE", "Who signs the callers' certificates, PEM",
         &o.client_ca);
    app_.add_flag("--allow-plaintext", o.allow_plaintext,
                  "Serve plaintext where other hosts can reach it, knowing the risk")
        ->group("Listening");

    Time("Enforcement", "lease", "How long a validator may go on without hearing from the service",
         &o.lease);
    Time("Enforcement", "ping-interval", "How often validators ping", &o.ping_interval);
    app_.add_option("--max-pings-per-second", o.max_pings_per_second,
                    "In a larger fleet each pings less often, down to 3 times a lease")
        ->type_name("REAL")
        ->default_str(absl::StrCat(o.max_pings_per_second))
        ->group("Enforcement");
    Time("Enforcement", "usage-interval", "How often validators report use", &o.usage_interval);
    Time("Enforcement", "ack-limit", "No new lease for who leaves an event unacknowledged so long",
         &o.ack_limit);
    app_.add_option("--drift-bound", o.drift_bound,
                    "How differently two boot clocks may run, as a fraction")
        ->type_name("REAL")
        ->default_str(absl::StrCat(o.drift_bound))
        ->group("Enforcement");

    Text("Tokens", "brand", "LETTERS", "What token strings begin with: 2 to 8 lower-case letters",
         &o.brand);
    Time("Tokens", "sweep-interval", "How often to look for what has expired or is to be retired",
         &o.sweep_interval);

    Text("Program", "log-level", "LEVEL", "debug, info, warning or error", &log_level_);
    Text("Program", "ready-file", "PATH",
         "Written, as JSON with the addresses, once the service serves", &flags_.ready_file);
    Time("Program", "drain-pause", "After SIGTERM: say NOT_SERVING so long before anything ends",
         &flags_.drain_pause);
    Time("Program", "drain-timeout", "How long calls under way get after SIGTERM",
         &flags_.drain_timeout);
  }

  absl::StatusOr<ServerFlags> Parse(int argc, const char* const* argv) {
    std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
    AddEnvironment(&args);
    std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 takes them
    try {
      app_.parse(reversed);
    } catch (const CLI::CallForHelp&) {
      flags_.print = app_.help();
      return flags_;
    } catch (const CLI::Error& error) {
      return Bad(Explain(error));
    } catch (const std::exception& error) {  // what a config file's parser may throw
      return Bad(error.what());
    }
    if (version_) {
      flags_.print = ServerVersion() + "\n";
      return flags_;
    }
    if (!ParseLogLevel(log_level_, &flags_.log_level)) {
      return Bad(
          absl::StrCat("--log-level: '", log_level_, "' is none of debug, info, warning, error"));
    }
    if (flags_.server.store.empty()) {
      return Bad(
          "--store is missing: it names the directory that the service keeps its tokens in, "
          "as in --store /var/lib/tollgate");
    }
    if (flags_.server.keyring.empty()) {
      absl::string_view dir = flags_.server.store;
      while (dir.size() > 1 && absl::ConsumeSuffix(&dir, "/")) {
      }
      flags_.server.keyring = absl::StrCat(dir, ".keyring");
    }
    absl::Status checked = CheckServerOptions(flags_.server);
    if (!checked.ok()) return checked;
    return flags_;
  }

 private:
  static absl::Status Bad(absl::string_view what) {
    return Refuse(absl::StatusCode::kInvalidArgument, "BAD_FLAG", what);
  }

  static std::string Explain(const CLI::Error& error) {
    const std::string what = error.what();
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
      return absl::StrCat("no such flag. ", what);
    }
    return what;
  }

  void Text(const char* group, const std::string& name, const char* type, const char* what,
            std::string* target) {
    app_.add_option("--" + name, *target, what)
        ->type_name(type)
        ->default_str(*target)
        ->group(group);
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

  void Count(const char* group, const std::string& name, const char* what, int64_t* target) {
    app_.add_option("--" + name, *target, what)
        ->type_name("N")
        ->default_str(absl::StrCat(*target))
        ->group(group);
  }

  void Time(const char* group, const std::string& name, const char* what, absl::Duration* target) {
    app_.add_option_function<std::string>(
            "--" + name,
            [name, target](const std::string& text) {
              absl::StatusOr<absl::Duration> value = ParseFlagDuration(text);
              if (!value.ok()) {
                throw CLI::ValidationError("--" + name, std::string(value.status().message()));
              }
              *target = *value;
            },
            what)
        ->type_name("DURATION")
        ->default_str(WriteDuration(*target))
        ->group(group);
  }

  // Environment variables, as arguments, where the command line does not name the flag itself:
  // CLI11 alone would let the file win over the environment.
  void AddEnvironment(std::vector<std::string>* args) {
    std::set<std::string> given;
    for (const std::string& arg : *args) {
      if (!absl::StartsWith(arg, "--")) continue;
      given.insert(arg.substr(
          2, arg.find('=') == std::string::npos ? std::string::npos : arg.find('=') - 2));
    }
    for (const CLI::Option* option : app_.get_options()) {
      if (option->get_lnames().empty()) continue;
      const std::string& name = option->get_lnames()[0];
      if (name == "help" || name == "version" || given.count(name) > 0) continue;
      const char* value = std::getenv(EnvironmentName(name).c_str());
      if (value == nullptr) continue;
      if (name == "listen") {  // several, with commas between
        for (const std::string& one : CLI::detail::split(value, ',')) {
          args->push_back(absl::StrCat("--listen=", one));
        }
        continue;
      }
      args->push_back(absl::StrCat("--", name, "=", value));
    }
  }

  ServerFlags flags_;
  std::string log_level_ = "info";
  bool version_ = false;
  CLI::App app_;
};

}  // namespace

absl::StatusOr<absl::Duration> ParseFlagDuration(absl::string_view text) {
  const auto bad = [&] {
    return Refuse(absl::StatusCode::kInvalidArgument, "BAD_DURATION",
                  absl::StrCat("'", text, "' is no duration: write 500ms, 30s, 5m, 24h or 90d"));
  };
  absl::string_view rest = text;
  absl::Duration total;
  const size_t d = rest.find('d');
  if (d != absl::string_view::npos) {  // absl knows no days
    int64_t days = 0;
    if (!absl::SimpleAtoi(rest.substr(0, d), &days) || days < 0 || days > 100'000) return bad();
    total = absl::Hours(24) * days;
    rest.remove_prefix(d + 1);
    if (rest.empty()) return total;
  }
  absl::Duration part;
  if (rest.empty() || !absl::ParseDuration(rest, &part) || part < absl::ZeroDuration() ||
      part == absl::InfiniteDuration()) {
    return bad();
  }
  return total + part;
}

std::string ServerVersion() { return "tollgated " TOLLGATE_VERSION; }

absl::StatusOr<ServerFlags> ParseServerFlags(int argc, const char* const* argv) {
  return ServerCommandLine().Parse(argc, argv);
}

}  // namespace tollgate
