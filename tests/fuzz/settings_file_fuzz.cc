// The file of settings of the command, and the one that a daemon's --config names, whatever they
// hold: they are read, or refused by an error that the program tells and that, where it is about a
// setting, names the file, and a line that the file has.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "cli/settings_file.h"
#include "net/daemon_flags.h"
#include "tests/fuzz/fuzz.h"

namespace tollgate::fuzz {
namespace {

// Whether the message begins with "FILE: " or "FILE:3: ", and there is such a line.
bool BeginsWithPlace(absl::string_view message, const std::string& path, int64_t lines) {
  if (absl::ConsumePrefix(&message, path + ": ")) return true;
  if (!absl::ConsumePrefix(&message, path + ":")) return false;
  int64_t line = 0;
  return absl::SimpleAtoi(message.substr(0, message.find(':')), &line) && line >= 1 &&
         line <= lines;
}

// A command with options of each kind, and another below it.
void LookAtCommand(const MemoryFile& file, absl::string_view text) {
  std::string service = "s";
  int limit = 3;
  bool quiet = false;
  std::string workspace = "w";
  CLI::App app("Fuzzed.");
  app.add_option("--service", service, "Where it is");
  app.add_flag("--quiet", quiet, "Say less");
  CLI::App* const noun = app.add_subcommand("token", "Tokens");
  CLI::App* const list = noun->add_subcommand("list", "Lists them");
  list->add_option("--limit", limit, "At most so many")->check(CLI::Range(0, 1000));
  list->add_option("-w,--workspace", workspace, "Of this one")->envname("FUZZED_WORKSPACE");
  const auto settings = std::make_shared<cli::SettingsFile>(&app, file.path());
  app.config_formatter(settings);
  app.allow_config_extras(false);
  app.set_config("--config", file.path(), "A file", /*config_required=*/true);
  std::vector<std::string> reversed = {"list", "token"};
  try {
    app.parse(reversed);
    FUZZ_CLAIM(limit >= 0 && limit <= 1000);
  } catch (const CLI::ParseError& error) {  // no other ends the command with a word
    const std::string what = error.what();
    FUZZ_CLAIM(!what.empty());
    const bool about_a_setting = absl::StrContains(what, "is no setting") ||
                                 absl::StrContains(what, "no command for the section");
    const std::string place = about_a_setting ? what : settings->PlaceOf(what);
    FUZZ_CLAIM(place.empty() ||
               BeginsWithPlace(place, file.path(), 1 + std::count(text.begin(), text.end(), '\n')));
  }
}

// A daemon with a flag of each kind.
void LookAtDaemon(const MemoryFile& file) {
  net::DaemonSettings daemon;
  std::string name;
  std::vector<std::string> spouts;
  int cups = 4;
  double heat = 0.5;
  absl::Duration steep = absl::Minutes(3);
  net::DaemonFlags flags({.program = "fuzzed",
                          .usage = "[flags]",
                          .about = "Boils water.",
                          .footer = "",
                          .unknown = "no such flag. "},
                         &daemon);
  flags.Text("Tea", "name", "NAME", "Whose it is", &name);
  flags.List("Tea", "spout", "WHERE", "A spout; repeatable", &spouts);
  flags.Number("Tea", "cups", "N", "How many", &cups);
  flags.Number("Tea", "heat", "REAL", "A fraction", &heat);
  flags.Time("Tea", "steep-time", "How long", &steep);
  flags.AddMetrics("Tea");
  flags.AddProgram("Written once it boils", "How long it cools");
  const std::string path = file.path();
  const char* const arguments[] = {"fuzzed", "--config", path.c_str()};
  const absl::Status read = flags.Parse(3, arguments);
  if (!read.ok()) {
    const std::string reason = base::ReasonOf(read);
    FUZZ_CLAIM(reason == "BAD_FLAG" || reason == "ADDRESS_INVALID" ||
               reason == "PLAINTEXT_REFUSED");
    FUZZ_CLAIM(!read.message().empty());
  } else if (!daemon.print.has_value()) {
    FUZZ_CLAIM(steep >= absl::ZeroDuration() && steep < absl::InfiniteDuration());
    FUZZ_CLAIM(daemon.drain_timeout >= absl::ZeroDuration());
  }
}

void Look(absl::string_view text) {
  const MemoryFile file(text);
  LookAtCommand(file, text);
  LookAtDaemon(file);
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
