// What happened in one revision, for people who watch it.
#ifndef TOLLGATE_SERVICE_READS_READ_CHANGES_H_
#define TOLLGATE_SERVICE_READS_READ_CHANGES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "storage/engine.h"
#include "tollgate/v1/event.pb.h"

namespace tollgate::service {

// Adds the changes of `revision->revision()`, from its audit entries, up to kMostChangeBytes of
// them, and says how many are left out. `workspace`: only its own; empty: all. The view must have
// the revision. Errors: the view's, DATA_LOSS.
absl::Status AddChanges(const storage::View& view, absl::string_view workspace,
                        tollgate::v1::RevisionEvents* revision);
inline constexpr size_t kMostChangeBytes = size_t{2} << 20;

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_READ_CHANGES_H_
