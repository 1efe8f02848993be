#include "service/feed/roster_command.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "storage/schema.h"

namespace tollgate {

using store::v1::MetaRecord;
using store::v1::SessionRecord;

namespace {

absl::StatusOr<MetaRecord> ReadMeta(const View& view) {
  ASSIGN_OR_RETURN(absl::optional<MetaRecord> meta,
                   GetRecord<MetaRecord>(view, Table::kMeta, kMetaKey));
  if (!meta.has_value()) return absl::DataLossError("the store has no meta record");
  return *std::move(meta);
}

}  // namespace

absl::Status AddSession::Run(const View& view, const Slot&, Effects& effects) {
  const std::string key = SessionKey(record_.validator_id(), record_.incarnation());
  ASSIGN_OR_RETURN(absl::optional<SessionRecord> there,
                   GetRecord<SessionRecord>(view, Table::kSessions, key));
  SessionRecord record = record_;
  if (there.has_value()) {
    record.set_fail_open(record.fail_open() || there->fail_open());
    record.set_fail_open_for_us(std::max(record.fail_open_for_us(), there->fail_open_for_us()));
    record.set_first_seen_us(there->first_seen_us());
    if (!there->caller().empty()) record.set_caller(there->caller());
  }
  effects.Put(Table::kSessions, key, record);
  return absl::OkStatus();
}

absl::Status RemoveSession::Run(const View& view, const Slot&, Effects& effects) {
  const std::string key = SessionKey(validator_id_, incarnation_);
  ASSIGN_OR_RETURN(absl::optional<std::string> there, view.Get(Table::kSessions, key));
  if (there.has_value()) effects.Delete(Table::kSessions, key);
  return absl::OkStatus();
}

absl::Status SetLongestLease::Run(const View& view, const Slot&, Effects& effects) {
  ASSIGN_OR_RETURN(MetaRecord meta, ReadMeta(view));
  const int64_t longest_us = absl::ToInt64Microseconds(longest_);
  meta.set_longest_lease_us(mode_ == Mode::kRaise ? std::max(meta.longest_lease_us(), longest_us)
                                                  : longest_us);
  effects.Put(Table::kMeta, kMetaKey, meta);
  return absl::OkStatus();
}

absl::Status KeepAlive::Run(const View& view, const Slot&, Effects& effects) {
  ASSIGN_OR_RETURN(const MetaRecord meta, ReadMeta(view));
  effects.Put(Table::kMeta, kMetaKey, meta);
  return absl::OkStatus();
}

absl::Status EndRestoreHold::Run(const View& view, const Slot&, Effects& effects) {
  ASSIGN_OR_RETURN(MetaRecord meta, ReadMeta(view));
  meta.clear_restored();
  effects.Put(Table::kMeta, kMetaKey, meta);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SessionRecord>> ReadRoster(const View& view) {
  constexpr size_t kPage = 1000;
  std::vector<SessionRecord> roster;
  std::string begin;
  while (true) {
    ASSIGN_OR_RETURN(std::vector<Entry> page, view.Scan(Table::kSessions, begin, "", kPage));
    for (const Entry& entry : page) {
      SessionRecord record;
      if (!record.ParseFromString(entry.value)) {
        return absl::DataLossError("a record of the roster cannot be parsed");
      }
      roster.push_back(std::move(record));
    }
    if (page.size() < kPage) return roster;
    begin = KeyAfter(page.back().key);
  }
}

}  // namespace tollgate
