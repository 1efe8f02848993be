#include "service/records/cohorts_entry.h"

#include <vector>

#include "base/status.h"
#include "storage/schema.h"
#include "token/resource_name.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

absl::StatusOr<std::string> CohortsEntry(const storage::View& view, const std::string& workspace,
                                         const std::string& owner, int64_t revision) {
  constexpr size_t kAtATime = 250;
  std::string from = storage::AuditKey(revision, 0);
  const std::string end = storage::AuditKey(revision + 1, 0);
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kAudit, from, end, kAtATime));
    for (const storage::Entry& entry : entries) {
      store::v1::AuditChainRecord link;
      store::v1::AuditRecord record;
      if (!link.ParseFromString(entry.value) || !record.ParseFromString(link.content())) {
        return absl::DataLossError("an audit entry cannot be parsed");
      }
      if (record.resource() != token::WorkspaceName(workspace)) continue;
      const auto& details = record.details();
      const auto change = details.find("change");  // of a restore, which replays it
      const bool cohort = record.action() == "cohort.revoke" ||
                          (change != details.end() && change->second == "COHORT");
      const auto whose = details.find("owner");
      if (cohort && (whose == details.end() || whose->second == owner)) return entry.key;
    }
    if (entries.size() < kAtATime) return std::string();
    from = storage::KeyAfter(entries.back().key);
  }
}

}  // namespace tollgate::service
