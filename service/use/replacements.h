// The tokens that have taken a rotated token's place, and their use. Pure.
#ifndef TOLLGATE_SERVICE_USE_REPLACEMENTS_H_
#define TOLLGATE_SERVICE_USE_REPLACEMENTS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "service/use/silence.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// The most tokens of one chain that are looked at.
inline constexpr size_t kMostReplacements = 1000;

// What has replaced the token: its replacement, what replaced that one, and so on, nearest first,
// each behind the ones that were given up for it. Empty: it was not rotated. Errors: the view's;
// DATA_LOSS.
absl::StatusOr<std::vector<tollgate::store::v1::TokenRecord>> ReadReplacements(
    const storage::View& view, const tollgate::store::v1::TokenRecord& record);

// The use of the nearest of them that was used, latest first; empty: none was. For whoever only
// asks whether somebody has moved on. Errors: as above.
absl::StatusOr<std::vector<EdgeUseRow>> ReadAnyReplacementUses(
    const storage::View& view, const tollgate::store::v1::TokenRecord& record, absl::Time now);

// The use of all of them, latest first, one row an edge: whoever uses any has moved on from the
// token. Errors: as above.
absl::StatusOr<std::vector<EdgeUseRow>> ReadReplacementUses(
    const storage::View& view, const tollgate::store::v1::TokenRecord& record, absl::Time now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_REPLACEMENTS_H_
