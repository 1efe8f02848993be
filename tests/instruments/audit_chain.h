// Reads the audit log back and proves that nothing in it was altered or taken out.
#ifndef TOLLGATE_TESTS_INSTRUMENTS_AUDIT_CHAIN_H_
#define TOLLGATE_TESTS_INSTRUMENTS_AUDIT_CHAIN_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/engine.h"

namespace tollgate::instruments {

// What a whole, unbroken chain said.
struct AuditChainReport {
  int64_t entries = 0;
  // Of the newest entry: keep it elsewhere, and a later check shows whether
  // the whole log was replaced. Empty for an empty log.
  std::string newest_hash;
};

// Verifies every entry of the store, oldest first: each hash is that of the
// hash before and the content (AuditHash), each entry is where its content says
// it is, and the newest hash is the one in HeadRecord (so a missing end shows).
// Calls `on_entry`, when not empty, for each good one. Pure.
// DATA_LOSS, reason AUDIT_CHAIN_BROKEN, naming the first bad entry; otherwise errors of the view.
absl::StatusOr<AuditChainReport> VerifyAuditChain(
    const storage::View& view,
    const std::function<void(const tollgate::store::v1::AuditRecord&)>& on_entry = nullptr);

}  // namespace tollgate::instruments

#endif  // TOLLGATE_TESTS_INSTRUMENTS_AUDIT_CHAIN_H_
