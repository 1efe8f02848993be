// The commands by which the feed writes to the store: the roster (R15), the longest lease (R5), the
// keep-alive (R16), the end of a restore's hold (R17). They make no events, because they change
// nothing that anyone was granted; only what an operator asked for is audited.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_COMMAND_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "lease/session_id.h"
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

// Takes a session out that has said goodbye (R4), or is dead beyond doubt. With `lapsed` its record
// stays, as what is remembered of a missing validator, which holds nothing. No error where it is
// absent.
class RemoveSession : public storage::Command {
 public:
  // What is remembered of a session that lapsed.
  struct Lapsed {
    std::string address;  // where it connected from last
  };
  RemoveSession(std::string validator_id, std::string incarnation,
                absl::optional<Lapsed> lapsed = absl::nullopt)
      : validator_id_(std::move(validator_id)),
        incarnation_(std::move(incarnation)),
        lapsed_(std::move(lapsed)) {}
  absl::string_view name() const override { return "remove_session"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

 private:
  const std::string validator_id_;
  const std::string incarnation_;
  const absl::optional<Lapsed> lapsed_;
};

// Has a missing validator forgotten on an operator's word, which the audit log keeps
// (`validator.forget`). The caller has made sure that the session can hold nothing.
class ForgetSession : public storage::Command {
 public:
  // `instance`: as InstanceOf.
  // `actor`, `origin`: who asks, and from where.
  ForgetSession(lease::SessionId key, std::string instance, std::string actor, std::string origin)
      : key_(std::move(key)),
        instance_(std::move(instance)),
        actor_(std::move(actor)),
        origin_(std::move(origin)) {}
  absl::string_view name() const override { return "forget_validator"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

 private:
  const lease::SessionId key_;
  const std::string instance_;
  const std::string actor_;
  const std::string origin_;
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

// All sessions of the roster, and the missing validators (SessionRecord.lapsed_time_us). Errors:
// the store's, DATA_LOSS.
absl::StatusOr<std::vector<tollgate::store::v1::SessionRecord>> ReadRoster(
    const storage::View& view);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_ROSTER_COMMAND_H_
