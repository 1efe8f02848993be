// Commits the changes that time alone brings: expiry, retirements, forgetting (R18).
#ifndef TOLLGATE_SERVICE_SWEEP_SWEEP_H_
#define TOLLGATE_SERVICE_SWEEP_SWEEP_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "service/records/held_token.h"
#include "service/use/silence.h"
#include "storage/command.h"
#include "storage/schema.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// One bounded step of the sweep. While result().more, run the next step at once. Where nothing is
// due, the step has no effects, and so takes no revision.
class SweepCommand : public storage::Command {
 public:
  struct Limits {
    size_t max_due = 500;        // due entries looked at
    size_t max_watched = 500;    // rotated tokens whose silence is judged
    size_t max_compacted = 500;  // revisions of events dropped, and of fingerprints
    size_t max_walked = 1000;    // tokens into which cohorts' ends are written, or that have theirs
    size_t max_purged = 1000;    // ended tokens whose records go; and that a new retention reaches
    size_t max_uses = 10'000;    // rows of use that go before them, and tokens read to know whether
                                 // they may go; one token's chain is read to its end all the same
    // Events older than this are dropped, and all but the newest so many revisions' events.
    absl::Duration event_retention = absl::Hours(24);
    int64_t event_retention_count = 1'000'000;
  };
  // What one step did.
  struct Result {
    size_t expired = 0;
    size_t retired = 0;
    size_t unused = 0;  // expired because they were not used
    size_t forgotten_requests = 0;
    size_t compacted_revisions = 0;
    size_t ends_written = 0;  // of tokens that a cohort had ended
    size_t purged = 0;        // ended tokens of which a tombstone is left
    // Something due is left for the next step.
    bool more = false;
    // When the oldest entry that this step handled was due; unset: nothing was due. The time since
    // then is how far the sweep lags behind.
    absl::optional<absl::Time> first_due;
    // For the next step: where the judging of silence goes on, and behind which workspace the
    // writing of ends does.
    std::string watch_cursor;
    std::string walk_cursor;
  };

  // `evidence`: what the use ledger knows now. The cursors: the step before's; empty for the first.
  SweepCommand(Limits limits, SilenceEvidence evidence, std::string watch_cursor,
               std::string walk_cursor = "");

  absl::string_view name() const override { return "sweep"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;
  // Valid once committed.
  const Result& result() const { return result_; }

 private:
  absl::Status RunDue(const storage::View& view, const storage::Slot& slot,
                      storage::Effects& effects);
  absl::Status RunWatched(const storage::View& view, const storage::Slot& slot,
                          storage::Effects& effects);
  absl::Status Compact(const storage::View& view, const storage::Slot& slot,
                       storage::Effects& effects);
  absl::Status CompactFingerprints(const storage::View& view, const storage::Slot& slot,
                                   storage::Effects& effects);
  // Writes what cohorts have ended into the tokens' own records, so that no later cohort bears on
  // it: one workspace a step, without events, audit entries or (the ends being no news) entries of
  // the journal.
  absl::Status RunEndWalk(const storage::View& view, const storage::Slot& slot,
                          storage::Effects& effects);
  // Takes the records of tokens away that ended long ago. Their digests stay, with how they ended,
  // so edges are told the same as before: no event, no audit entry, no entry of the journal.
  absl::Status RunPurge(const storage::View& view, const storage::Slot& slot,
                        storage::Effects& effects);
  absl::Status ReachPurge(const storage::View& view, const storage::Slot& slot,
                          storage::Effects& effects);
  // Of one workspace, whose entry of `due` is `key`; reads up to `left` tokens, and lowers it.
  absl::Status ReachPurgeOf(const storage::View& view, const storage::Slot& slot,
                            const std::string& key, size_t* left, storage::Effects& effects);
  absl::Status ForgetRequest(const storage::View& view, const storage::Due& due,
                             storage::Effects& effects);
  absl::Status RunToken(const storage::View& view, const storage::Slot& slot,
                        const storage::Due& due, storage::Effects& effects);
  absl::Status WatchUnused(const storage::View& view, const storage::Slot& slot, HeldToken& token,
                           storage::Effects& effects);
  // Has the tokens watched that were there before their policy was.
  absl::Status ReachUnused(const storage::View& view, const storage::Slot& slot,
                           const storage::Due& due, storage::Effects& effects);
  // `facts`: what led to it, for the audit entry.
  void End(HeldToken& token, tollgate::store::v1::Ending::Kind kind, const storage::Slot& slot,
           storage::Effects& effects, const AuditFacts& facts = {});

  const Limits limits_;
  const SilenceEvidence evidence_;
  const std::string first_cursor_;
  const std::string first_walk_;
  Result result_;
  std::set<std::string> ended_;  // token keys that this step has ended, which `view` does not show
                                 // yet
  bool reached_ = false;         // this step has had tokens watched for a policy
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_SWEEP_SWEEP_H_
