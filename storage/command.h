// A change as a pure function of the state (design, section 5).
#ifndef TOLLGATE_STORAGE_COMMAND_H_
#define TOLLGATE_STORAGE_COMMAND_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "google/protobuf/message_lite.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/event.pb.h"

namespace tollgate::storage {

// The place and time at which a command is run.
struct Slot {
  int64_t revision = 0;  // the revision this commit will have
  uint32_t index = 0;    // the command's place in the batch (R13)
  absl::Time now;        // the service's time (R20), one reading a batch
  // The wall clock is in doubt, and `now` may be behind: nothing may be given an end that is
  // computed from it.
  bool clock_in_doubt = false;
};

// What a command says of the live tokens of a workspace, so that they stay counted (live_count.h).
struct LiveChange {
  std::string workspace;
  std::string owner;
  // Either so many more of this owner's (or of nobody's, where it is empty) …
  int delta = 0;
  // … or none any more: of this owner, or of the whole workspace.
  bool cohort = false;
};

// The effects of a command on the store: collected while it runs, thrown away when it returns an
// error.
class Effects {
 public:
  // Puts a record under a key.
  void Put(Table table, absl::string_view key, const google::protobuf::MessageLite& record);
  void PutRaw(Table table, absl::string_view key, absl::string_view value);
  // Deletes a key; no error where there is none.
  void Delete(Table table, absl::string_view key);
  // Adds an event for validators; the sequencer sets its index.
  void Tell(tollgate::v1::Event event);
  // Adds an audit entry; the sequencer sets its revision, index and time, and chains it.
  void Audit(tollgate::store::v1::AuditRecord entry);

  // Adds an earlier audit entry, that of the watermark which ended the token with others, to the
  // token's history: an entry of audit_by_token, which the sequencer writes (kEndedWithOthers).
  void KeepInHistory(absl::string_view workspace, absl::string_view token_id,
                     absl::string_view audit_key);

  // Says that a live token came (+1), or went (-1).
  void CountLive(absl::string_view workspace, absl::string_view owner, int delta);
  // Says that a cohort ended the live tokens of an owner, or ("") of the whole workspace.
  void CountCohort(absl::string_view workspace, absl::string_view owner);

  // Says that events at or below this revision are no longer kept; the command deletes them itself.
  // The sequencer raises HeadRecord.compacted_revision to this revision, and never lowers it.
  void CompactEventsTo(int64_t revision) { compact_events_to = revision; }

  bool empty() const {
    return mutations.empty() && events.empty() && audit.empty() && live_changes.empty() &&
           history.empty() && compact_events_to == 0;
  }

  std::vector<Mutation> mutations;
  std::vector<tollgate::v1::Event> events;
  std::vector<tollgate::store::v1::AuditRecord> audit;
  std::vector<LiveChange> live_changes;
  std::vector<std::string> history;  // keys of audit_by_token
  int64_t compact_events_to = 0;
};

// A change. Run must be a pure function of its members, `view` and `slot`: when another replica
// wrote first, Run is called again with another state and slot. Results that it keeps for its
// caller must be overwritten, not added to.
class Command {
 public:
  virtual ~Command() = default;
  // The name used in logs and metrics, as in "revoke_token". There are few names; none holds a
  // caller's words.
  virtual absl::string_view name() const = 0;
  // Returns an error: nothing of this command is written, and the others of the batch are
  // untouched. `view` shows the effects of the batch's earlier commands.
  virtual absl::Status Run(const View& view, const Slot& slot, Effects& effects) = 0;
  // Whether the commands behind it are to be run in another batch, after its commit: it may change
  // by what whoever asked for them is judged.
  virtual bool ends_batch() const { return false; }
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_COMMAND_H_
