#include "service/restore/restore_program.h"

#include <algorithm>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace tollgate::service {
namespace {

std::string Count(int64_t n, absl::string_view one, absl::string_view many) {
  return absl::StrCat(n, " ", n == 1 ? one : many);
}

constexpr char kExitCodes[] =
    "Exit codes: 0 done; 2 bad usage, or a journal is needed; 4 store in use; 6 the backup or "
    "store\n"
    "is from a newer version, or corrupt; 8 the journal is unreadable, damaged, of another store, "
    "or\n"
    "does not reach from the backup on; 10 the store cannot be read or written; 1 anything else. "
    "Nothing is changed unless it ends with 0.";

}  // namespace

bool IsStoreCommand(absl::string_view word) { return word == "restore" || word == "new-epoch"; }

absl::StatusOr<std::string> RunStoreCommand(const std::vector<std::string>& arguments,
                                            base::Random& random, const base::Clock& clock) {
  const bool restores = arguments[0] == "restore";
  CLI::App app(restores ? "Makes a store from a backup, without what was revoked since."
                        : "Begins a new history on a store that was rolled back, without what was "
                          "revoked since.");
  app.name(absl::StrCat("tollgated ", arguments[0]));
  app.set_help_flag("--help", "Print this");
  app.footer(kExitCodes);
  RestoreOptions options;
  if (restores) {
    app.add_option("--from", options.from, "The backup's folder; it is only read")
        ->type_name("DIR")
        ->required();
  }
  app.add_option("--store", options.store,
                 restores
                     ? "Where the store is to be, a folder or ENGINE:DIR; nothing may be there "
                       "yet"
                     : "The store, a folder or ENGINE:DIR; no service may have it open")
      ->type_name("DIR")
      ->required();
  auto* journal = app.add_option("--journal", options.journal,
                                 "The journal to replay. Default: DIR.journal, beside the store")
                      ->type_name("FILE");
  app.add_flag("--without-journal", options.without_journal,
               "Do without: what was revoked since is good again")
      ->excludes(journal);
  app.add_flag(
      "--allow-gap", options.allow_gap,
      "Take a journal that begins after the backup, or ends before it: what it does not tell "
      "of is good again");
  app.add_option("--accept-epoch", options.accept_epochs,
                 "Take over validators that follow this epoch, though the store never had it: a "
                 "drill's, or one that no journal tells of. Repeatable")
      ->type_name("EPOCH")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend() - 1);  // as CLI11 has them
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return app.help();
  } catch (const CLI::Error& error) {
    return base::Refuse(
        absl::StatusCode::kInvalidArgument, "BAD_FLAG",
        absl::StrCat(error.what(), "\n  All flags: tollgated ", arguments[0], " --help"));
  }
  ASSIGN_OR_RETURN(const RestoreReport report, restores ? RestoreStore(options, random, clock)
                                                        : BeginNewEpoch(options, random, clock));
  return DescribeRestore(report, restores);
}

std::string DescribeRestore(const RestoreReport& report, bool restored) {
  const ReplayReport& replay = report.replay;
  std::string out;
  const auto line = [&out](absl::string_view word, absl::string_view text) {
    absl::StrAppend(&out, word, std::string(13 - std::min<size_t>(word.size(), 12), ' '), text,
                    "\n");
  };
  line(restored ? "restored" : "renewed", report.store);
  line(restored ? "backup" : "was",
       absl::StrCat("revision ", report.revision_before, ", ", TimeForPeople(report.time_before),
                    ", epoch ", report.epoch_before));
  if (report.journal.empty()) {
    line("not replayed", absl::StrCat("what was revoked after revision ", report.revision_before,
                                      " (", TimeForPeople(report.time_before), ") is good again"));
  } else {
    std::vector<std::string> parts = {Count(replay.ended, "token ended", "tokens ended"),
                                      Count(replay.cohorts, "cohort", "cohorts"),
                                      absl::StrCat(replay.suspended, " suspended"),
                                      absl::StrCat(replay.narrowed, " narrowed")};
    if (replay.bindings > 0) {
      parts.push_back(Count(replay.bindings, "role withdrawn", "roles withdrawn"));
    }
    line("replayed", absl::StrCat(absl::StrJoin(parts, ", "), ", from ", report.journal));
    line("", report.journal_time == absl::UnixEpoch()
                 ? std::string("the journal has no entries")
                 : absl::StrCat("up to revision ", report.journal_revision, ", ",
                                TimeForPeople(report.journal_time)));
    if (replay.unknown > 0) {
      line("", absl::StrCat(replay.unknown, " of it about what came after the ",
                            restored ? "backup" : "store's revision",
                            " and is gone: refused as unknown"));
    }
    if (report.journal_epoch_revision < report.revision_before) {
      line("journal ends",
           absl::StrCat("at revision ", report.journal_epoch_revision, ", before the ",
                        restored ? "backup" : "store",
                        ": if the service ever ran without it, what was revoked then is good "
                        "again"));
    } else {
      line("",
           "what was revoked after that is good again: was this the journal to the end, and no "
           "older copy of it?");
    }
    if (report.gap_to > 0) {
      line("gap", absl::StrCat("what was revoked after revision ", report.revision_before,
                               " and up to ", report.gap_to, " is good again"));
    }
  }
  line("epoch", absl::StrCat(report.epoch, " from revision ", replay.revision,
                             " on: every validator starts clean"));
  absl::StrAppend(
      &out, "\nAnything else that was changed after revision ", report.revision_before,
      " is lost: new tokens, labels, policies.\n",
      "Nothing is declared enforced for 10 minutes after the start: who still holds a lease of "
      "the\n"
      "history before cannot be known. Tokens are checked, and can be revoked, at once.\n",
      "Next: tollgated --store ", report.store);
  if (!report.journal.empty() && !report.journal_is_beside) {
    absl::StrAppend(&out, " --journal ", report.journal);
  }
  absl::StrAppend(&out, "     then: tollgate audit list --from ", replay.revision, "\n");
  return out;
}

}  // namespace tollgate::service
