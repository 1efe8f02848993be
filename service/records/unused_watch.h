// The sweep's one entry for each token that a policy's max_unused watches, and the mark that says
// where it is: a policy that changes moves it. Pure.
#ifndef TOLLGATE_SERVICE_RECORDS_UNUSED_WATCH_H_
#define TOLLGATE_SERVICE_RECORDS_UNUSED_WATCH_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "storage/command.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// For how long the token may go unused under its workspace's policy; zero: for ever. A service of
// before store format 5 wrote into each token what it was granted, and said not since when the
// policy has its limit: there what was granted holds on, or tokens in use would end with the
// upgrade.
absl::Duration UnusedLimit(const tollgate::store::v1::TokenRecord& record,
                           const tollgate::store::v1::PolicyRecord& policy);

// When the token is looked at next; nullopt: it is not watched, or by an entry without a mark, of a
// service before marks. `key` is a token's (storage::TokenKey). Errors: the view's; DATA_LOSS.
absl::StatusOr<absl::optional<int64_t>> UnusedWatchMicros(const storage::View& view,
                                                          absl::string_view key);

// Has the token looked at next at `at`, and at no other time. Errors: as above.
absl::Status PlaceUnusedWatch(const storage::View& view, absl::string_view key, absl::Time at,
                              storage::Effects& effects);

// Forgets that the token is watched; its entry is deleted by whoever came to it.
void DropUnusedMark(absl::string_view key, storage::Effects& effects);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_UNUSED_WATCH_H_
