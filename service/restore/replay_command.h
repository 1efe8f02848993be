// The one commit that takes away again what the journal knows and a store does not (R17).
#ifndef TOLLGATE_SERVICE_RESTORE_REPLAY_COMMAND_H_
#define TOLLGATE_SERVICE_RESTORE_REPLAY_COMMAND_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "service/restore/replay_plan.h"
#include "storage/command.h"

namespace tollgate::service {

// What the replay did.
struct ReplayReport {
  int64_t ended = 0;      // tokens revoked, retired or expired again
  int64_t cohorts = 0;    // watermarks set again
  int64_t suspended = 0;  // tokens suspended again
  int64_t narrowed = 0;   // tokens with fewer scopes or audiences, or less time, again
  int64_t bindings = 0;   // roles withdrawn again, or narrowed
  int64_t already = 0;    // changes that took nothing from what the backup grants
  int64_t unknown = 0;    // tokens and workspaces that the backup does not have
  int64_t revision = 0;   // the commit's
};

// Begins the new epoch, with the hold of R17, and takes away again what was taken away after the
// backup, all in one commit: a crash leaves the old store or the new one, nothing between. It never
// gives: afterwards a token has what both the backup and the lost history allowed.
//
// A cohort's watermark is a place among the revisions, and the lost history's revisions will be
// used again. The replayed watermark is therefore this commit's own (revision, index): every token
// of the backup was created below it, and every later token will be above it. The lost watermark
// was set after the backup, so it covered exactly the backup's tokens, as far as each still had
// that owner; so a changed owner is replayed first.
class ReplayCommand : public storage::Command {
 public:
  // `plan` may be null (no journal); it outlives the command. `action` is the audit log's name of
  // the command, "restore" or "new_epoch"; `source` tells the audit log where the restore came
  // from.
  ReplayCommand(const ReplayPlan* plan, std::string new_epoch, std::string action,
                std::string source)
      : plan_(plan),
        new_epoch_(std::move(new_epoch)),
        action_(std::move(action)),
        source_(std::move(source)) {}

  // Whoever follows one of these epochs is reset, too, and not refused (R19). Before Run.
  void AcceptEpochs(std::vector<std::string> epochs) { accepted_ = std::move(epochs); }

  // In the history that goes on: no new epoch. `plan` holds one entry of the journal, whose commit
  // is not in the store (JournaledEngine::unfinished). Of a rotation nothing is replayed: the
  // replacement is gone, and nothing but a rotation's plan would end the token that it was to
  // replace. What takes nothing away has no effects.
  static std::unique_ptr<ReplayCommand> Anew(const ReplayPlan* plan, std::string source) {
    auto command = std::make_unique<ReplayCommand>(plan, "", "journal.anew", std::move(source));
    command->anew_ = true;
    return command;
  }

  absl::string_view name() const override { return "replay_journal"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

  // Valid once committed.
  const ReplayReport& report() const { return report_; }

 private:
  // What the audit log calls one of the changes.
  std::string change_action() const { return anew_ ? action_ : "restore.replay"; }
  absl::Status TakeEpoch(const tollgate::store::v1::HeadRecord& head,
                         tollgate::store::v1::MetaRecord meta, storage::Effects& effects) const;
  absl::Status ReplayAll(const storage::View& view, const storage::Slot& slot,
                         storage::Effects& effects);
  absl::Status ReplayToken(const std::string& workspace, const std::string& token_id,
                           const ReplayPlan::LostToken& lost, const storage::View& view,
                           const storage::Slot& slot, storage::Effects& effects);
  // The cohort that would cover the token if it had got the owner `owner`, whom the journal's last
  // entry names; nullopt: none would.
  absl::StatusOr<absl::optional<tollgate::store::v1::CohortRecord>> CohortOfUncertainOwner(
      const tollgate::store::v1::TokenRecord& record, const std::string& owner,
      const storage::View& view) const;
  absl::Status ReplayCohort(const tollgate::store::v1::CohortRecord& lost,
                            const storage::View& view, const storage::Slot& slot,
                            storage::Effects& effects);
  absl::Status ReplayBinding(const std::string& member, const std::string& role,
                             const ReplayPlan::LostBinding& lost, const storage::View& view,
                             const storage::Slot& slot, storage::Effects& effects);

  const ReplayPlan* const plan_;
  const std::string new_epoch_;
  const std::string action_;
  std::vector<std::string> accepted_;
  const std::string source_;
  bool anew_ = false;  // const once made
  ReplayReport report_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RESTORE_REPLAY_COMMAND_H_
