// The commands by which the feed writes to the store: the roster (R15), the longest lease (R5), the
// keep-alive (R16), the end of a restore's hold (R17). They make no events and no audit entries,
// because they change nothing that anyone was granted.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_COMMAND_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/command.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// Puts a session into the roster, durably, before its first grant (R15). Where the session is there
// already, the longer time stays: a life only grows (R3).
class AddSession : public storage::Command {
 public:
  explicit AddSession(tollgate::store::v1::SessionRecord record) : record_(std::move(record)) {}
  absl::string_view name() const override { return "add_session"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

 private:
  const tollgate::store::v1::SessionRecord record_;
};

// Takes a session out that has said goodbye (R4), or is dead beyond doubt. No error where it is
// absent.
class RemoveSession : public storage::Command {
 public:
  RemoveSession(std::string validator_id, std::string incarnation)
      : validator_id_(std::move(validator_id)), incarnation_(std::move(incarnation)) {}
  absl::string_view name() const override { return "remove_session"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

 private:
  const std::string validator_id_;
  const std::string incarnation_;
};

// Writes MetaRecord.longest_lease_us (R5). It writes even where nothing changes, so that it is a
// keep-alive too.
class SetLongestLease : public storage::Command {
 public:
  // kRaise never lowers; kSet lowers, once no session can hold a longer lease.
  enum class Mode { kRaise, kSet };
  SetLongestLease(absl::Duration longest, Mode mode) : longest_(longest), mode_(mode) {}
  absl::string_view name() const override { return "set_longest_lease"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

 private:
  const absl::Duration longest_;
  const Mode mode_;
};

// Writes the meta record unchanged: proof that this process can still write (R16).
class KeepAlive : public storage::Command {
 public:
  absl::string_view name() const override { return "keep_alive"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;
};

// The hold after a restore is over (R17).
class EndRestoreHold : public storage::Command {
 public:
  absl::string_view name() const override { return "end_restore_hold"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;
};

// All sessions of the roster. Errors: the store's, DATA_LOSS.
absl::StatusOr<std::vector<tollgate::store::v1::SessionRecord>> ReadRoster(
    const storage::View& view);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_COMMAND_H_
