// Where the audit log tells of a watermark.
#ifndef TOLLGATE_SERVICE_RECORDS_COHORTS_ENTRY_H_
#define TOLLGATE_SERVICE_RECORDS_COHORTS_ENTRY_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "storage/engine.h"

namespace tollgate::service {

// The key of the audit entry of the watermark that ended a token of this owner at `revision`; ""
// where there is none. DATA_LOSS: an entry cannot be parsed.
absl::StatusOr<std::string> CohortsEntry(const storage::View& view, const std::string& workspace,
                                         const std::string& owner, int64_t revision);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_COHORTS_ENTRY_H_
