#include "service/reads/read_changes.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "base/proto_time.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::service {

using store::v1::AuditChainRecord;
using store::v1::AuditRecord;

absl::Status AddChanges(const storage::View& view, absl::string_view workspace,
                        tollgate::v1::RevisionEvents* revision) {
  constexpr size_t kAtATime = 250;
  size_t bytes = 0;
  std::string begin = storage::AuditKey(revision->revision(), 0);
  const std::string end = storage::AuditKey(revision->revision() + 1, 0);
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kAudit, begin, end, kAtATime));
    for (const storage::Entry& entry : entries) {
      AuditChainRecord link;
      AuditRecord record;
      if (!link.ParseFromString(entry.value) || !record.ParseFromString(link.content())) {
        return absl::DataLossError("an audit entry cannot be parsed");
      }
      if (!workspace.empty() && record.workspace() != workspace) continue;
      bytes += link.content().size();
      if (bytes > kMostChangeBytes) {
        revision->set_changes_left_out(revision->changes_left_out() + 1);
        continue;
      }
      tollgate::v1::RevisionChange* change = revision->add_changes();
      change->set_action(record.action());
      change->set_resource(record.resource());
      change->set_actor(record.actor());
      *change->mutable_time() = base::ToProto(absl::FromUnixMicros(record.time_us()));
      change->set_reason(record.reason());
      *change->mutable_details() = record.details();
      const auto label = record.details().find("label");
      if (label != record.details().end()) change->set_label(label->second);
    }
    if (entries.size() < kAtATime) return absl::OkStatus();
    begin = storage::KeyAfter(entries.back().key);
  }
}

}  // namespace tollgate::service
