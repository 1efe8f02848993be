// One step of the audit log's hash chain. The service and a verifier outside it both use it.
#ifndef TOLLGATE_TOKEN_AUDIT_HASH_H_
#define TOLLGATE_TOKEN_AUDIT_HASH_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tollgate::token {

// BLAKE2b-256 (unkeyed) of `previous_hash` || `content`, 32 bytes. `previous_hash` is the hash of
// the entry before; empty for the first entry of a store. `content` is a serialised AuditRecord.
std::string AuditHash(absl::string_view previous_hash, absl::string_view content);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_AUDIT_HASH_H_
