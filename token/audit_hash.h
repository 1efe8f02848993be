// One step of the audit log's hash chain. The service and a verifier outside it both use it.
#ifndef TOLLGATE_TOKEN_AUDIT_HASH_H_
#define TOLLGATE_TOKEN_AUDIT_HASH_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tollgate::token {

// BLAKE2b-256 (unkeyed) of `previous_hash` || `content`, 32 bytes. `previous_hash` is the hash of
// the entry before; empty for the first entry of a store. `content` is a serialised AuditRecord.
std::string AuditHash(absl::string_view previous_hash, absl::string_view content);

// Goes along a log from its first entry, and notices the first that does not follow from those
// before it.
class AuditChain {
 public:
  // Takes the next entry. False: it, or one before it, was altered or removed; it is not taken.
  bool Follows(absl::string_view content, absl::string_view hash);
  // Of the entry that was taken last; empty: none was. That the log's end was not cut off shows
  // only by comparing this with a hash that was kept elsewhere.
  const std::string& last_hash() const { return last_hash_; }

 private:
  std::string last_hash_;
};

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_AUDIT_HASH_H_
