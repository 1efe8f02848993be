// Which entries of the audit log are about a token.
#ifndef TOLLGATE_STORAGE_AUDIT_INDEX_H_
#define TOLLGATE_STORAGE_AUDIT_INDEX_H_

#include <string>
#include <vector>

#include "tollgate/store/v1/records.pb.h"

namespace tollgate::storage {

// The details of an audit entry that name, in full, another token that it is about, too: the one
// that a rotation made, and a replacement that was given up.
inline constexpr char kReplacedBy[] = "replaced_by";
inline constexpr char kGivenUp[] = "given_up";

// The keys in audit_by_token of an entry that has its revision and index: one for each token that
// it is about. None where it is about no token; a cohort's is about none by itself, since it names
// none of those that it ends.
std::vector<std::string> AuditIndexKeys(const tollgate::store::v1::AuditRecord& entry);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_AUDIT_INDEX_H_
