// Reads the audit log back and proves that no entry of it was altered or removed.
#ifndef TOLLGATE_TESTS_INSTRUMENTS_AUDIT_CHAIN_H_
#define TOLLGATE_TESTS_INSTRUMENTS_AUDIT_CHAIN_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/engine.h"

namespace tollgate::instruments {

// The result for a whole, unbroken chain.
struct AuditChainReport {
  int64_t entries = 0;
  // The hash of the newest entry; empty for an empty log. Keep it elsewhere: a later check then
  // shows whether the whole log was replaced.
  std::string newest_hash;
};

// Verifies every entry of the store, oldest first: each hash is that of the hash before and the
// content (AuditHash), each entry lies where its content says, and the newest hash is the one in
// HeadRecord (so a missing end shows). Calls `on_entry`, when not empty, for each good entry. Pure.
// DATA_LOSS, reason AUDIT_CHAIN_BROKEN, names the first bad entry; otherwise errors of the view.
absl::StatusOr<AuditChainReport> VerifyAuditChain(
    const storage::View& view,
    const std::function<void(const tollgate::store::v1::AuditRecord&)>& on_entry = nullptr);

}  // namespace tollgate::instruments

#endif  // TOLLGATE_TESTS_INSTRUMENTS_AUDIT_CHAIN_H_
