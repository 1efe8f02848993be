#include "tests/instruments/audit_chain.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/schema.h"
#include "token/audit_hash.h"

namespace tollgate::instruments {
namespace {

constexpr size_t kChunk = 1024;

absl::Status Broken(absl::string_view where) {
  return base::Refuse(absl::StatusCode::kDataLoss, "AUDIT_CHAIN_BROKEN",
                      absl::StrCat("the audit log was altered or has a part missing: ", where));
}

}  // namespace

absl::StatusOr<AuditChainReport> VerifyAuditChain(
    const storage::View& view, const std::function<void(const store::v1::AuditRecord&)>& on_entry) {
  ASSIGN_OR_RETURN(
      const absl::optional<store::v1::HeadRecord> head,
      storage::GetRecord<store::v1::HeadRecord>(view, storage::Table::kMeta, storage::kHeadKey));
  if (!head.has_value()) return Broken("the store has no HeadRecord");

  AuditChainReport report;
  token::AuditChain chain;
  std::string begin;
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kAudit, begin, "", kChunk));
    for (const storage::Entry& entry : entries) {
      store::v1::AuditChainRecord link;
      store::v1::AuditRecord content;
      if (!link.ParseFromString(entry.value) || !content.ParseFromString(link.content())) {
        return Broken(absl::StrCat("entry ", report.entries + 1, " cannot be read"));
      }
      const std::string where = absl::StrCat("entry ", report.entries + 1, " (revision ",
                                             content.revision(), ", index ", content.index(), ")");
      if (entry.key != storage::AuditKey(content.revision(), content.index())) {
        return Broken(absl::StrCat(where, " is not in its place"));
      }
      if (!chain.Follows(link.content(), link.hash())) {
        return Broken(absl::StrCat(where, " does not follow from the one before"));
      }
      ++report.entries;
      if (on_entry) on_entry(content);
    }
    if (entries.size() < kChunk) break;
    begin = storage::KeyAfter(entries.back().key);
  }
  report.newest_hash = chain.last_hash();
  if (report.newest_hash != head->audit_hash()) {
    return Broken(absl::StrCat("the newest of ", report.entries, " entries is not the head's"));
  }
  return report;
}

}  // namespace tollgate::instruments
