#include "service/restore/unfinished_entry.h"

#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/log.h"
#include "base/status.h"
#include "service/restore/replay_command.h"
#include "service/restore/replay_plan.h"
#include "tollgate/store/v1/journal.pb.h"

namespace tollgate::service {

absl::Status FinishJournal(storage::JournaledEngine& journaled, storage::Sequencer& sequencer) {
  absl::optional<store::v1::JournalCommit> entry = journaled.unfinished();
  if (!entry.has_value()) return absl::OkStatus();
  const int64_t revision = entry->revision();
  const absl::Time time = absl::FromUnixMicros(entry->time_us());
  ReplayPlan plan = ReplayPlan::OfOneEntry(*std::move(entry));
  const std::shared_ptr<ReplayCommand> command = ReplayCommand::Anew(&plan, "journal");
  RETURN_IF_ERROR(sequencer.Run(command).status());
  // Without effects there was no commit, and the entry is still the last one.
  RETURN_IF_ERROR(journaled.CutUnfinished());
  const ReplayReport& report = command->report();
  base::Log(base::LogLevel::kWarning,
            "the journal's last entry is not in the store: the process ended before its commit, or "
            "the store has lost it. What it takes away was taken away anew; nothing else of that "
            "commit is there",
            {{"lost_revision", revision},
             {"lost_time", absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone())},
             {"ended", report.ended},
             {"cohorts", report.cohorts},
             {"suspended", report.suspended},
             {"narrowed", report.narrowed},
             {"bindings", report.bindings}});
  return absl::OkStatus();
}

}  // namespace tollgate::service
