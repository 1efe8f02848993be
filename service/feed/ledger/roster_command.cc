#include "service/feed/ledger/roster_command.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/status.h"
#include "storage/schema.h"
#include "storage/whole_table.h"

namespace tollgate::service {

using store::v1::MetaRecord;
using store::v1::SessionRecord;

namespace {

absl::StatusOr<MetaRecord> ReadMeta(const storage::View& view) {
  ASSIGN_OR_RETURN(absl::optional<MetaRecord> meta,
                   storage::GetRecord<MetaRecord>(view, storage::Table::kMeta, storage::kMetaKey));
  if (!meta.has_value()) return absl::DataLossError("the store has no meta record");
  return *std::move(meta);
}

}  // namespace

absl::Status AddSession::Run(const storage::View& view, const storage::Slot&,
                             storage::Effects& effects) {
  const std::string key = storage::SessionKey(record_.validator_id(), record_.incarnation());
  ASSIGN_OR_RETURN(absl::optional<SessionRecord> there,
                   storage::GetRecord<SessionRecord>(view, storage::Table::kSessions, key));
  SessionRecord record = record_;
  if (there.has_value()) {
    record.set_fail_open(record.fail_open() || there->fail_open());
    record.set_fail_open_for_us(std::max(record.fail_open_for_us(), there->fail_open_for_us()));
    record.set_holds_outlive_lease_us(
        std::max(record.holds_outlive_lease_us(), there->holds_outlive_lease_us()));
    record.set_first_seen_us(there->first_seen_us());
    if (!there->caller().empty()) record.set_caller(there->caller());
    // What is remembered of a missing session ends here: it may hold a lease again.
    if (TOLLGATE_MUTATED("r15_back_is_missing")) {
      record.set_lapsed_time_us(there->lapsed_time_us());
    }
  }
  effects.Put(storage::Table::kSessions, key, record);
  return absl::OkStatus();
}

absl::Status RemoveSession::Run(const storage::View& view, const storage::Slot& slot,
                                storage::Effects& effects) {
  const std::string key = storage::SessionKey(validator_id_, incarnation_);
  ASSIGN_OR_RETURN(absl::optional<SessionRecord> there,
                   storage::GetRecord<SessionRecord>(view, storage::Table::kSessions, key));
  if (!there.has_value()) return absl::OkStatus();
  if (!lapsed_.has_value()) {
    effects.Delete(storage::Table::kSessions, key);
  } else if (there->lapsed_time_us() == 0) {
    there->set_lapsed_time_us(absl::ToUnixMicros(slot.now));
    if (!lapsed_->address.empty()) there->set_last_address(lapsed_->address);
    effects.Put(storage::Table::kSessions, key, *there);
  }
  return absl::OkStatus();
}

absl::Status ForgetSession::Run(const storage::View& view, const storage::Slot&,
                                storage::Effects& effects) {
  const std::string key = storage::SessionKey(key_.validator_id, key_.incarnation);
  ASSIGN_OR_RETURN(absl::optional<SessionRecord> there,
                   storage::GetRecord<SessionRecord>(view, storage::Table::kSessions, key));
  store::v1::AuditRecord entry;
  entry.set_actor(actor_);
  entry.set_origin(origin_);
  entry.set_action("validator.forget");
  entry.set_resource(absl::StrCat("validators/", key_.validator_id));
  auto& details = *entry.mutable_details();
  details["instance"] = instance_;
  if (there.has_value()) {
    effects.Delete(storage::Table::kSessions, key);
    if (!there->last_address().empty()) details["address"] = there->last_address();
    if (there->lapsed_time_us() != 0) {
      details["lapse_time"] =
          absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMicros(there->lapsed_time_us()),
                           absl::UTCTimeZone());
    }
  }
  effects.Audit(std::move(entry));
  return absl::OkStatus();
}

absl::Status SetLongestLease::Run(const storage::View& view, const storage::Slot&,
                                  storage::Effects& effects) {
  ASSIGN_OR_RETURN(MetaRecord meta, ReadMeta(view));
  const int64_t longest_us = absl::ToInt64Microseconds(longest_);
  meta.set_longest_lease_us(mode_ == Mode::kRaise ? std::max(meta.longest_lease_us(), longest_us)
                                                  : longest_us);
  effects.Put(storage::Table::kMeta, storage::kMetaKey, meta);
  return absl::OkStatus();
}

absl::Status KeepAlive::Run(const storage::View& view, const storage::Slot&,
                            storage::Effects& effects) {
  ASSIGN_OR_RETURN(const MetaRecord meta, ReadMeta(view));
  effects.Put(storage::Table::kMeta, storage::kMetaKey, meta);
  return absl::OkStatus();
}

absl::Status EndRestoreHold::Run(const storage::View& view, const storage::Slot&,
                                 storage::Effects& effects) {
  ASSIGN_OR_RETURN(MetaRecord meta, ReadMeta(view));
  meta.clear_restored();
  effects.Put(storage::Table::kMeta, storage::kMetaKey, meta);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SessionRecord>> ReadRoster(const storage::View& view) {
  std::vector<SessionRecord> roster;
  const auto add = [&roster](SessionRecord& record) {
    roster.push_back(std::move(record));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(storage::ForEachRecord<SessionRecord>(view, storage::Table::kSessions, add));
  return roster;
}

}  // namespace tollgate::service
