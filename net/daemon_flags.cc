#include "net/daemon_flags.h"

#include <cstdlib>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/duration.h"
#include "base/status.h"
#include "base/version.h"
#include "net/address.h"

namespace tollgate::net {
namespace {

// One line an option, its default at the end.
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::string usage) : usage_(std::move(usage)) { column_width(28); }

  std::string make_usage(const CLI::App*, std::string) const override {
    return absl::StrCat("Usage: ", usage_, "\n");
  }

  std::string make_option(const CLI::Option* option, bool) const override {
    const bool takes_a_value = option->get_expected_max() != 0;
    std::string line = absl::StrCat("  --", option->get_lnames()[0]);
    if (takes_a_value && !option->get_type_name().empty()) {
      absl::StrAppend(&line, " ", option->get_type_name());
    }
    if (line.size() > 28) {
      line.append("\n").append(std::string(30, ' '));
    } else {
      line.append(30 - line.size(), ' ');
    }
    absl::StrAppend(&line, option->get_description());
    if (takes_a_value && !option->get_default_str().empty()) {
      absl::StrAppend(&line, " [", option->get_default_str(), "]");
    }
    return absl::StrCat(line, "\n");
  }

 private:
  const std::string usage_;
};

// "tollgate-validator", "stale-policy": TOLLGATE_VALIDATOR_STALE_POLICY.
std::string EnvironmentName(absl::string_view program, absl::string_view flag) {
  return absl::AsciiStrToUpper(absl::StrReplaceAll(absl::StrCat(program, "_", flag), {{"-", "_"}}));
}

}  // namespace

DaemonFlags::DaemonFlags(Texts texts, DaemonSettings* settings)
    : texts_(std::move(texts)),
      settings_(settings),
      app_(std::make_unique<CLI::App>(texts_.about)) {
  app_->formatter(std::make_shared<HelpFormatter>(absl::StrCat(texts_.program, " ", texts_.usage)));
  app_->footer(texts_.footer);
  app_->set_help_flag("--help", "Print this")->group("Program");
  Flag("Program", "version", "Print the version", &version_);
  app_->set_config("--config", "", "A file with flags, one a line: name = \"value\"")
      ->type_name("FILE")
      ->group("Program");
  app_->allow_config_extras(false);
}

DaemonFlags::~DaemonFlags() = default;

void DaemonFlags::Text(const char* group, const std::string& name, const char* type,
                       const char* what, std::string* target) {
  app_->add_option("--" + name, *target, what)->type_name(type)->default_str(*target)->group(group);
}

void DaemonFlags::Flag(const char* group, const std::string& name, const char* what, bool* target) {
  app_->add_flag("--" + name, *target, what)->group(group);
}

void DaemonFlags::List(const char* group, const std::string& name, const char* type,
                       const char* what, std::vector<std::string>* target) {
  lists_.insert(name);
  app_->add_option("--" + name, *target, what)
      ->type_name(type)
      ->default_str(target->empty() ? std::string() : (*target)[0])
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(group);
}

template <class T>
void DaemonFlags::AddNumber(const char* group, const std::string& name, const char* type,
                            const char* what, T* target) {
  app_->add_option("--" + name, *target, what)
      ->type_name(type)
      ->default_str(absl::StrCat(*target))
      ->group(group);
}

void DaemonFlags::Number(const char* group, const std::string& name, const char* type,
                         const char* what, int* target) {
  AddNumber(group, name, type, what, target);
}

void DaemonFlags::Number(const char* group, const std::string& name, const char* type,
                         const char* what, int64_t* target) {
  AddNumber(group, name, type, what, target);
}

void DaemonFlags::Number(const char* group, const std::string& name, const char* type,
                         const char* what, double* target) {
  AddNumber(group, name, type, what, target);
}

void DaemonFlags::Time(const char* group, const std::string& name, const char* what,
                       absl::Duration* target) {
  Value(group, name, "DURATION", what, base::TextFromDuration(*target),
        [target](const std::string& text) {
          const absl::optional<absl::Duration> value = base::DurationFromText(text);
          if (!value.has_value()) {
            return absl::InvalidArgumentError(
                absl::StrCat("'", text, "' is no duration: write 500ms, 30s, 5m, 24h or 90d"));
          }
          *target = *value;
          return absl::OkStatus();
        });
}

void DaemonFlags::Value(const char* group, const std::string& name, const char* type,
                        const char* what, const std::string& shown_default,
                        std::function<absl::Status(const std::string&)> read) {
  app_->add_option_function<std::string>(
          "--" + name,
          [name, read = std::move(read)](const std::string& text) {
            const absl::Status taken = read(text);
            if (!taken.ok()) {
              throw CLI::ValidationError("--" + name, std::string(taken.message()));
            }
          },
          what)
      ->type_name(type)
      ->default_str(shown_default)
      ->group(group);
}

void DaemonFlags::AddMetrics(const char* group) {
  Text(group, "metrics-listen", "ADDR", "Metrics and probes, over HTTP; empty: none",
       &settings_->metrics_listen);
  Text(group, "metrics-tls-cert", "FILE", "The certificate chain for them, PEM: TLS on TCP",
       &settings_->metrics_tls.cert);
  Text(group, "metrics-tls-key", "FILE", "Its key, PEM", &settings_->metrics_tls.key);
  Text(group, "metrics-client-ca", "FILE",
       "Require of whoever asks for them a certificate that this CA signed",
       &settings_->metrics_tls.ca);
  Flag(group, "allow-plaintext-metrics", "Serve them unencrypted where other hosts can reach them",
       &settings_->allow_plaintext_metrics);
}

void DaemonFlags::AddProgram(const char* ready, const char* drain) {
  Text("Program", "log-level", "LEVEL", "debug, info, warning or error", &log_level_);
  Text("Program", "ready-file", "PATH", ready, &settings_->ready_file);
  Time("Program", "drain-pause", "After SIGTERM: say NOT_SERVING so long before anything ends",
       &settings_->drain_pause);
  Time("Program", "drain-timeout", drain, &settings_->drain_timeout);
}

absl::Status DaemonFlags::Parse(int argc, const char* const* argv) {
  std::vector<std::string> args;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view arg = argv[i];
    // Split into two arguments, because CLI11 would take the next argument for the value of
    // `--name=`.
    if (absl::StartsWith(arg, "--") && absl::EndsWith(arg, "=")) {
      args.emplace_back(arg.substr(0, arg.size() - 1));
      args.emplace_back();
    } else {
      args.emplace_back(arg);
    }
  }
  AddEnvironment(&args);
  std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 takes them
  try {
    app_->parse(reversed);
  } catch (const CLI::CallForHelp&) {
    settings_->print = app_->help();
    return absl::OkStatus();
  } catch (const CLI::ExtrasError& error) {
    return RefuseFlag(absl::StrCat(texts_.unknown, error.what()));
  } catch (const std::exception& error) {  // CLI's, and what a config file's parser may throw
    return RefuseFlag(error.what());
  }
  if (version_) {
    settings_->print = absl::StrCat(texts_.program, " ", base::kVersion, "\n");
    return absl::OkStatus();
  }
  if (!base::ParseLogLevel(log_level_, &settings_->log_level)) {
    return RefuseFlag(
        absl::StrCat("--log-level: '", log_level_, "' is none of debug, info, warning, error"));
  }
  return CheckMetrics();
}

absl::Status DaemonFlags::CheckMetrics() const {
  const TlsFiles& tls = settings_->metrics_tls;
  if (tls.cert.empty() && !tls.empty()) {
    return RefuseFlag(absl::StrCat(tls.key.empty() ? "--metrics-client-ca" : "--metrics-tls-key",
                                   " is for TLS on the metrics' port, which needs a certificate:"
                                   " --metrics-tls-cert FILE"));
  }
  if (settings_->metrics_listen.empty() || settings_->allow_plaintext_metrics || !tls.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const Address address, ParseAddress(settings_->metrics_listen));
  if (address.IsLoopback()) return absl::OkStatus();
  return base::Refuse(absl::StatusCode::kFailedPrecondition, "PLAINTEXT_REFUSED",
                      absl::StrCat("refusing to serve metrics on ", address.ToString(),
                                   ", which other hosts can reach: they are not encrypted.\n"
                                   "  Give them a certificate: --metrics-tls-cert FILE "
                                   "--metrics-tls-key FILE [--metrics-client-ca FILE]\n"
                                   "  or keep them here:       --metrics-listen 127.0.0.1:",
                                   address.port,
                                   "\n"
                                   "  or, knowing the risk:    --allow-plaintext-metrics"));
}

// Environment variables, as arguments, where the command line does not name the flag itself:
// CLI11 alone would let the file win over the environment.
void DaemonFlags::AddEnvironment(std::vector<std::string>* args) const {
  std::set<std::string> given;
  for (const std::string& arg : *args) {
    if (absl::StartsWith(arg, "--")) given.insert(arg.substr(2, arg.find('=') - 2));
  }
  for (const CLI::Option* option : app_->get_options()) {
    if (option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames()[0];
    if (name == "help" || name == "version" || given.count(name) > 0) continue;
    const char* value = std::getenv(EnvironmentName(texts_.program, name).c_str());
    // Charts and unit files write an empty value for "not set"; a flag without a value must not
    // count as given.
    if (value == nullptr || *value == '\0') continue;
    if (lists_.count(name) == 0) {
      args->push_back(absl::StrCat("--", name, "=", value));
      continue;
    }
    for (absl::string_view one : absl::StrSplit(absl::StripSuffix(value, ","), ',')) {
      args->push_back(absl::StrCat("--", name, "=", one));
    }
  }
}

absl::Status RefuseFlag(absl::string_view what) {
  return base::Refuse(absl::StatusCode::kInvalidArgument, "BAD_FLAG", what);
}

absl::Status WithHelpHint(absl::string_view program, const absl::Status& status) {
  return base::Refuse(status.code(), base::ReasonOf(status),
                      absl::StrCat(status.message(), "\n  All flags: ", program, " --help"));
}

}  // namespace tollgate::net
