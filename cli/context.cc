#include "cli/context.h"

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <regex>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/secret.h"
#include "base/status.h"
#include "base/version.h"
#include "cli/commands/backup.h"
#include "cli/commands/completion.h"
#include "cli/commands/events.h"
#include "cli/commands/token.h"
#include "cli/commands/validators.h"
#include "cli/commands/workspace.h"
#include "cli/human.h"
#include "net/address.h"

namespace tollgate {
namespace {

constexpr char kFooter[] =
    "The settings of 'tollgate --help' can follow any command. They come from flags, then the "
    "environment (TOLLGATE_SERVICE, TOLLGATE_EDGE, TOLLGATE_WORKSPACE, …),\n"
    "then the file --config names (by default ~/.config/tollgate/config.toml, with lines as in\n"
    "service = \"127.0.0.1:7411\").\n"
    "\n"
    "Exit codes: 0 done; 1 failed; 2 wrong use, or a field was refused; 3 not found; 4 refused as "
    "things stand;\n"
    "5 unavailable; 6 done, but not enforced in the time given; 7 you said no; token check: 10 "
    "refused, 11 no answer.";

const CLI::App* DeepestNamed(const CLI::App& app) {
  const CLI::App* asked = &app;
  while (!asked->get_subcommands().empty()) asked = asked->get_subcommands().front();
  return asked;
}

// "tollgate token revoke"; empty for nullptr.
std::string PathTo(const CLI::App& app, const CLI::App* command) {
  std::string path;
  for (const CLI::App* at = command; at != nullptr; at = at == &app ? nullptr : at->get_parent()) {
    path = path.empty() ? at->get_name() : absl::StrCat(at->get_name(), " ", path);
  }
  return path;
}

std::string DefaultConfigFile() {
  const char* home = std::getenv("XDG_CONFIG_HOME");
  if (home != nullptr && *home != 0) return absl::StrCat(home, "/tollgate/config.toml");
  home = std::getenv("HOME");
  return home == nullptr ? "" : absl::StrCat(home, "/.config/tollgate/config.toml");
}

// The settings' file, below the environment: CLI11 would let the file win over it.
class SettingsFile : public CLI::ConfigTOML {
 public:
  explicit SettingsFile(const CLI::App* app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    std::vector<CLI::ConfigItem> items = CLI::ConfigTOML::from_config(in);
    std::erase_if(items, [this](const CLI::ConfigItem& item) {
      const CLI::Option* option = app_->get_option_no_throw("--" + item.name);
      if (option == nullptr || option->get_envname().empty()) return false;
      const char* value = std::getenv(option->get_envname().c_str());
      return value != nullptr && *value != 0;
    });
    return items;
  }

 private:
  const CLI::App* const app_;
};

// Takes token strings out of a text of ours that quotes the command line.
std::string Redact(const std::string& text) {
  static const std::regex* const token = new std::regex("[a-z]{2,8}[waor]_[0-9A-Za-z]{65}");
  return std::regex_replace(text, *token, "(a token string)");
}

void AddSettings(CLI::App& app, Settings& settings) {
  app.add_option("--service", settings.service, "The service, as HOST:PORT or unix:/path")
      ->envname("TOLLGATE_SERVICE")
      ->capture_default_str();
  app.add_option("--edge", settings.edge, "The validator that 'token check' asks")
      ->envname("TOLLGATE_EDGE")
      ->capture_default_str();
  app.add_option("--tls-cert", settings.tls.cert, "This client's certificate (PEM)")
      ->envname("TOLLGATE_TLS_CERT");
  app.add_option("--tls-key", settings.tls.key, "Its key (PEM)")->envname("TOLLGATE_TLS_KEY");
  app.add_option("--tls-ca", settings.tls.ca, "Who signs the service's certificate (PEM)")
      ->envname("TOLLGATE_TLS_CA");
  app.add_flag("--allow-plaintext", settings.allow_plaintext,
               "Speak plaintext to an address other hosts can reach")
      ->envname("TOLLGATE_ALLOW_PLAINTEXT");
  app.add_option("-o,--output", settings.output, "table for people, json for programs")
      ->check(CLI::IsMember({"table", "json"}))
      ->envname("TOLLGATE_OUTPUT")
      ->capture_default_str();
  app.add_flag("-q,--quiet", settings.quiet,
               "Only what was asked for: an id, a secret, or nothing");
  app.add_option("--timeout", settings.timeout, "For one call")
      ->envname("TOLLGATE_TIMEOUT")
      ->capture_default_str();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::ChannelTo(const std::string& address,
                                                                  const char* flag) {
  tried_ = address;
  absl::StatusOr<Address> parsed = ParseAddress(address);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": ", parsed.status().message()));
  }
  if (!settings_.allow_plaintext && settings_.tls.empty() && !parsed->IsLoopback()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": refusing to speak plaintext to ", address,
                     ": tokens would cross the network readable.\n"
                     "  Give it the other side's authority: --tls-ca FILE (with --tls-cert FILE "
                     "--tls-key FILE where it asks who "
                     "calls)\n  or, knowing the risk: --allow-plaintext"));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<grpc::ChannelCredentials> credentials,
                   ClientCredentialsFor(settings_.tls, !settings_.tls.empty(), ServerIdentity()));
  return MakeChannel(*parsed, credentials);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::ServiceChannel() {
  return ChannelTo(settings_.service, "--service");
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Context::EdgeChannel() {
  return ChannelTo(settings_.edge, "--edge");
}

absl::Status Context::Call(const std::function<grpc::Status(grpc::ClientContext*)>& call,
                           absl::Duration extra) {
  ASSIGN_OR_RETURN(const absl::Duration timeout, ParseHumanDuration(settings_.timeout));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout + extra));
  const grpc::Status status = call(&context);
  if (status.ok()) return absl::OkStatus();
  absl::Status error = FromGrpcStatus(status);
  // gRPC's own words for a dead address help nobody at three in the morning.
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty()) {
    return RefuseForNow(
        "NOT_REACHED",
        absl::StrCat("nothing answers at ", tried_, " (", status.error_message(),
                     "). Is it running there? --service and --edge say where to look"),
        absl::Seconds(1));
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return Refuse(
        absl::StatusCode::kDeadlineExceeded, "TOO_SLOW",
        absl::StrCat(
            "no answer from ", tried_, " within ", HumanElapsed(timeout + extra),
            "; a change may have been made all the same: look before you repeat it, or repeat it "
            "with the same --request-id"));
  }
  return error;
}

absl::StatusOr<bool> Context::Confirm(absl::string_view question, bool yes) {
  if (yes) return true;
  if (!terminal_.in_is_terminal) {
    return absl::InvalidArgumentError(
        absl::StrCat(question, " Nobody is there to be asked: add --yes"));
  }
  err() << question << "  [y/N] " << std::flush;
  std::string answer;
  std::getline(in(), answer);
  answer = absl::AsciiStrToLower(absl::StripAsciiWhitespace(answer));
  return answer == "y" || answer == "yes";
}

std::string Context::ReadSecret() {
  termios before;
  const bool hide = terminal_.in_is_terminal && tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal_.in_is_terminal) err() << "Paste the token, then Enter: " << std::flush;
  if (hide) {
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
  }
  std::string line;
  std::getline(in(), line);
  if (hide) {
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    err() << '\n';
  }
  std::string secret(absl::StripAsciiWhitespace(line));
  WipeString(&line);
  return secret;
}

void Context::Fail(const absl::Status& status) {
  if (status.ok()) return;
  exit_code = ExitCodeFor(status);
  if (settings_.json()) {
    PrintErrorJson(status, err());
  } else {
    PrintError(status, err());
  }
}

int RunCommand(const std::vector<std::string>& arguments, Terminal terminal) {
  Context context(terminal);
  CLI::App app("Issue, list, rotate and revoke workspace tokens, and see revocation enforced.",
               "tollgate");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();  // --service and its like are taken after the verb as well
  app.set_version_flag("--version", std::string("tollgate ") + kVersion);
  AddSettings(app, context.settings());
  app.config_formatter(std::make_shared<SettingsFile>(&app));
  app.allow_config_extras(false);
  app.set_config("--config", DefaultConfigFile(), "A file of settings")->envname("TOLLGATE_CONFIG");
  AddTokenCommands(app, context);
  AddWorkspaceCommands(app, context);
  AddEventsCommands(app, context);
  AddAuditCommands(app, context);
  AddValidatorsCommands(app, context);
  AddBackupCommands(app, context);
  AddCompletionCommand(app, context);
  app.add_subcommand("version", "This program's version")->callback([&context] {
    if (context.settings().json()) {
      context.out() << "{\"version\": \"" << kVersion << "\"}\n";
    } else {
      context.out() << "tollgate " << kVersion << '\n';
    }
  });

  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp& help) {
    const CLI::App* asked = DeepestNamed(app);
    context.out() << asked->help(PathTo(app, asked->get_parent()));
    return kDone;
  } catch (const CLI::Success& success) {  // --version
    context.out() << success.what() << '\n';
    return kDone;
  } catch (const CLI::ParseError& error) {
    const CLI::App* asked = DeepestNamed(app);
    std::string what = error.what();
    const std::vector<const CLI::App*> verbs =
        asked->get_subcommands([](const CLI::App*) { return true; });
    if (error.get_name() == "RequiredError" && !verbs.empty()) {
      what = asked == &app ? "wants a command: "
                           : absl::StrCat("'", asked->get_name(), "' wants one of: ");
      absl::StrAppend(&what, absl::StrJoin(verbs, ", ", [](std::string* out, const CLI::App* verb) {
        absl::StrAppend(out, verb->get_name());
      }));
    }
    if (error.get_name() == "ConfigError") {
      what = absl::StrCat("the settings file says something that is no setting (", what, ")");
    }
    context.err() << "tollgate: " << Redact(what) << "\n  See: " << PathTo(app, DeepestNamed(app))
                  << " --help\n";
    return kBadUsage;
  }
  // A full disk or a closed pipe must not look like success.
  if (!context.out().flush()) {
    context.err() << "tollgate: the answer could not be written to standard output\n";
    if (context.exit_code == kDone) context.exit_code = kFailed;
  }
  return context.exit_code;
}

}  // namespace tollgate
