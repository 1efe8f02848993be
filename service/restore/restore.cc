#include "service/restore/restore.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bad_flag.h"
#include "base/log.h"
#include "base/status.h"
#include "service/clock/service_clock.h"
#include "service/store_home.h"
#include "storage/journal/journal.h"
#include "storage/journal/journaled_engine.h"
#include "storage/journal/marked_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"

namespace tollgate::service {
namespace {

namespace fs = std::filesystem;
using store::v1::HeadRecord;
using store::v1::JournalCommit;
using store::v1::JournalRecord;
using store::v1::MetaRecord;

absl::Status Failed(absl::string_view what, absl::string_view why) {
  return base::Refuse(absl::StatusCode::kUnavailable, "RESTORE_FAILED",
                      absl::StrCat("cannot ", what, ": ", why));
}

absl::Status Sync(const std::string& path) {
  const absl::Status synced = SyncToDisk(path);
  if (synced.ok()) return synced;
  return base::Refuse(absl::StatusCode::kUnavailable, "RESTORE_FAILED", synced.message());
}

absl::StatusOr<StoreHome> HomeOf(const RestoreOptions& options) {
  StoreHome::Options at;
  at.store = options.store;
  at.journal = options.journal;
  ASSIGN_OR_RETURN(StoreHome home, StoreHome::At(std::move(at)));
  if (!home.traits().in_folder) {
    return base::BadFlag(
        "store",
        absl::StrCat("'", options.store, "' keeps no files, so there is nothing to begin anew"));
  }
  return home;
}

// Copies a checkpoint's files, without those that belong to a process that had it open. Never by
// hard links: changes of the copy must not change the backup.
absl::Status CopyStore(const storage::EngineDriver& driver, const std::string& from,
                       const std::string& to) {
  std::error_code error;
  fs::create_directories(to, error);
  if (!error) fs::permissions(to, fs::perms::owner_all, error);
  if (error) return Failed(absl::StrCat("make ", to), error.message());
  fs::directory_iterator files(from, error);
  if (error) return Failed(absl::StrCat("read ", from), error.message());
  for (const fs::directory_entry& file : files) {
    const std::string name = file.path().filename().string();
    if (!driver.BelongsToCopy(name) || !file.is_regular_file(error)) continue;
    const std::string copy = absl::StrCat(to, "/", name);
    fs::copy_file(file.path(), copy, error);
    if (!error) fs::permissions(copy, fs::perms::owner_read | fs::perms::owner_write, error);
    if (error) return Failed(absl::StrCat("copy ", file.path().string()), error.message());
    RETURN_IF_ERROR(Sync(copy));
  }
  return Sync(to);
}

// The journal to replay; empty: none.
absl::StatusOr<std::string> ChooseJournal(const StoreHome& home, const RestoreOptions& options,
                                          int64_t revision, absl::Time time) {
  if (options.without_journal) return std::string();
  if (!options.journal.empty()) return options.journal;
  const std::string& beside = home.journal();
  std::error_code error;
  if (fs::exists(beside, error)) return beside;
  return base::Refuse(absl::StatusCode::kFailedPrecondition, "JOURNAL_REQUIRED",
                      absl::StrCat("refused: without the journal, what was revoked after revision ",
                                   revision, " (", TimeForPeople(time), ") would be good again.\n",
                                   "  Say where the journal is:  --journal FILE   (not at ", beside,
                                   ")\n", "  or, knowing the risk:      --without-journal"));
}

// Whether the store has taken something away after `revision`; a journal of it would hold that.
absl::StatusOr<bool> TookAwayAfter(const storage::View& view, int64_t revision) {
  bool found = false;
  RETURN_IF_ERROR(storage::FindUnjournaled(view, revision, [&found](const JournalCommit&) {
    found = true;
    return absl::OkStatus();
  }));
  return found;
}

absl::StatusOr<std::unique_ptr<ReplayPlan>> ReadPlan(const std::string& journal,
                                                     const RestoreOptions& options,
                                                     const MetaRecord& meta,
                                                     const storage::View& view, int64_t head) {
  absl::Status unread;
  auto plan = std::make_unique<ReplayPlan>(
      meta.epoch(), head, [&view, &unread](int64_t revision) -> absl::optional<std::string> {
        absl::StatusOr<absl::optional<std::string>> kept = storage::FingerprintAt(view, revision);
        if (!kept.ok()) {
          unread = kept.status();
          return absl::nullopt;
        }
        return *std::move(kept);
      });
  ASSIGN_OR_RETURN(const storage::JournalScan scan,
                   storage::ScanJournal(journal, [&plan](const JournalRecord& record, int64_t) {
                     plan->Add(record);
                     return absl::OkStatus();
                   }));
  plan->Finish();
  RETURN_IF_ERROR(unread);
  if (scan.store_create_time_us != meta.create_time_us()) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "JOURNAL_OF_ANOTHER_STORE",
                        absl::StrCat("refused: the journal ", journal,
                                     " is of another store than the one in hand. Name its own:  "
                                     "--journal FILE"));
  }
  if (!plan->found_epoch()) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "JOURNAL_OTHER_HISTORY",
        absl::StrCat("refused: the journal ", journal, " knows nothing of epoch ", meta.epoch(),
                     ", the store's: it was begun after another restore.\n"
                     "  Name the journal of that time:  --journal FILE\n"
                     "  or, knowing the risk:           --without-journal"));
  }
  if (options.allow_gap) return plan;
  if (plan->covers_from() > head) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "JOURNAL_GAP",
                        absl::StrCat("refused: the journal ", journal, " begins after revision ",
                                     plan->covers_from(), ", and the store is at revision ", head,
                                     ": what was revoked in between would be good again.\n"
                                     "  Take a newer backup, or, knowing the risk:  --allow-gap"));
  }
  // A backup is made together with a mark in the journal, so the journal of that time reaches the
  // backup. A store in place may be ahead of a journal that was not closed, by this many commits,
  // none of which takes anything away.
  const int64_t ends = plan->epoch_last_revision();
  bool falls_short = ends < head && !options.from.empty();
  if (ends < head && !falls_short) {
    falls_short = ends + storage::kJournalMarkEvery < head;
    if (!falls_short) {
      ASSIGN_OR_RETURN(falls_short, TookAwayAfter(view, ends));
    }
  }
  if (falls_short) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "JOURNAL_GAP",
        absl::StrCat("refused: the journal ", journal, " ends at revision ", ends,
                     ", and the store is at revision ", head,
                     ": it is an old copy, or the service went on without it, and what was "
                     "revoked since would be good again.\n"
                     "  Name the journal that the service ran with:  --journal FILE\n"
                     "  or, knowing the risk:                        --allow-gap"));
  }
  return plan;
}

// Replays the journal on the store in `folder`, and begins the epoch.
absl::StatusOr<RestoreReport> Renew(const StoreHome& home, const std::string& folder,
                                    const RestoreOptions& options, absl::string_view action,
                                    base::Random& random, const base::Clock& clock) {
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Engine> engine,
                   home.OpenEngine(folder, random, clock));
  RestoreReport report;
  ASSIGN_OR_RETURN(std::unique_ptr<storage::Snapshot> snapshot, engine->NewSnapshot());
  ASSIGN_OR_RETURN(
      const absl::optional<MetaRecord> meta,
      storage::GetRecord<MetaRecord>(*snapshot, storage::Table::kMeta, storage::kMetaKey));
  ASSIGN_OR_RETURN(
      const absl::optional<HeadRecord> head,
      storage::GetRecord<HeadRecord>(*snapshot, storage::Table::kMeta, storage::kHeadKey));
  report.revision_before = head->revision();  // Open has seen both
  report.time_before = absl::FromUnixMicros(head->time_us());
  report.store = home.name();
  report.epoch_before = meta->epoch();
  report.epoch = random.Hex(16);
  ASSIGN_OR_RETURN(report.journal,
                   ChooseJournal(home, options, report.revision_before, report.time_before));
  report.journal_is_beside = !report.journal.empty() && home.journal_is_beside();
  std::unique_ptr<ReplayPlan> plan;
  if (!report.journal.empty()) {
    ASSIGN_OR_RETURN(plan,
                     ReadPlan(report.journal, options, *meta, *snapshot, report.revision_before));
    if (plan->covers_from() > report.revision_before) report.gap_to = plan->covers_from();
    report.journal_epoch_revision = plan->epoch_last_revision();
    report.journal_revision = plan->last_revision();
    report.journal_time = absl::FromUnixMicros(plan->last_time_us());
  }
  ASSIGN_OR_RETURN(const absl::optional<ServiceTime::Stored> stored, ReadStoredTime(*snapshot));
  snapshot.reset();
  // The store goes on from its own time where this machine's clock is in doubt (R20).
  const ServiceClock time({{}, &clock, &SystemKernelClock()}, stored);
  auto command = std::make_shared<ReplayCommand>(plan.get(), report.epoch, std::string(action),
                                                 options.from.empty() ? home.name() : options.from);
  command->AcceptEpochs(options.accept_epochs);
  storage::Sequencer::Options sequencer_options;
  sequencer_options.engine = engine.get();
  sequencer_options.clock = &time;
  sequencer_options.time = [&time] { return time.Batch(); };
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Sequencer> sequencer,
                   storage::Sequencer::Start(std::move(sequencer_options)));
  RETURN_IF_ERROR(sequencer->Run(command).status());
  report.replay = command->report();
  return report;
}

// So that the new history, too, is known by its mark before anybody is told of it. The store is
// good without.
void MarkHead(const StoreHome& home, base::Random& random, const base::Clock& clock) {
  const absl::Status marked = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Engine> engine,
                     home.OpenEngine(home.folder(), random, clock));
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot, engine->NewSnapshot());
    return storage::WriteHeadMark(*snapshot, home.head_mark());
  }();
  if (marked.ok()) return;
  base::Log(base::LogLevel::kWarning, "the head mark cannot be written",
            {{"mark", home.head_mark()}, {"status", marked}});
}

}  // namespace

absl::StatusOr<RestoreReport> RestoreStore(const RestoreOptions& given, base::Random& random,
                                           const base::Clock& clock) {
  ASSIGN_OR_RETURN(const StoreHome home, HomeOf(given));
  RestoreOptions options = given;
  options.from = PlainPath(given.from);
  if (!home.driver().HoldsStore(options.from)) {
    return base::Refuse(absl::StatusCode::kNotFound, "BACKUP_NOT_FOUND",
                        absl::StrCat("there is no backup in ", options.from,
                                     ": a backup is a folder that `tollgate backup create` made"));
  }
  std::error_code error;
  if (fs::exists(home.folder(), error) && !fs::is_empty(home.folder(), error)) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "RESTORE_TARGET_NOT_EMPTY",
        absl::StrCat("refused: ", home.folder(),
                     " is not empty, and nothing is ever restored over a store.\n"
                     "  Move it away (keep it until all is well), or name another:  "
                     "--store DIR"));
  }
  const std::string making = home.unfinished();
  fs::remove_all(making, error);  // of a restore that was cut short
  absl::Status copied = CopyStore(home.driver(), options.from, making);
  absl::StatusOr<RestoreReport> report =
      copied.ok() ? Renew(home, making, options, "restore", random, clock)
                  : absl::StatusOr<RestoreReport>(copied);
  if (!report.ok()) {
    fs::remove_all(making, error);
    return report;
  }
  fs::rename(making, home.folder(), error);  // replaces an empty folder
  if (error) return Failed(absl::StrCat("rename ", making), error.message());
  RETURN_IF_ERROR(Sync(FolderOf(home.folder())));
  home.ForgetRolledBack();
  MarkHead(home, random, clock);
  return report;
}

absl::StatusOr<RestoreReport> BeginNewEpoch(const RestoreOptions& given, base::Random& random,
                                            const base::Clock& clock) {
  ASSIGN_OR_RETURN(const StoreHome home, HomeOf(given));
  RestoreOptions options = given;
  options.from.clear();
  ASSIGN_OR_RETURN(RestoreReport report,
                   Renew(home, home.folder(), options, "new_epoch", random, clock));
  MarkHead(home, random, clock);
  home.ForgetRolledBack();  // it was of the epoch before, and says nothing of this one
  return report;
}

std::string TimeForPeople(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

}  // namespace tollgate::service
