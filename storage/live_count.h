// How many live tokens a workspace has, and each owner in it: kept with every commit, so that a
// revocation of all of them says its number without reading them.
#ifndef TOLLGATE_STORAGE_LIVE_COUNT_H_
#define TOLLGATE_STORAGE_LIVE_COUNT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/command.h"
#include "storage/engine.h"
#include "storage/overlay_view.h"

namespace tollgate::storage {

// A token is live in this sense until a commit ends it: by its Ending, or by a cohort that covers
// it. A token that only time has ended counts until a sweep has committed its end.

// The live tokens of a workspace, or with an owner of that owner in it. Errors: the view's;
// DATA_LOSS.
absl::StatusOr<int64_t> LiveTokens(const View& view, absl::string_view workspace,
                                   absl::string_view owner = "");

struct OwnerCount {
  std::string owner;
  int64_t live = 0;
};
// The owners in a workspace who have live tokens, in the order of their names: as many of them as
// the first `most` counts of the workspace hold. Errors: the view's; DATA_LOSS.
absl::StatusOr<std::vector<OwnerCount>> LiveOwners(const View& view, absl::string_view workspace,
                                                   size_t most);

struct LiveTotal {
  int64_t tokens = 0;
  int64_t workspaces = 0;  // those that have live tokens
};
// The live tokens of all workspaces. Reads a count for each, and nothing else. Errors: the view's;
// DATA_LOSS.
absl::StatusOr<LiveTotal> AllLiveTokens(const View& view);

// Lays what a command has said of live tokens on top of `view`, in order. Errors: the view's;
// DATA_LOSS.
absl::Status ApplyLiveChanges(const std::vector<LiveChange>& changes, OverlayView* view);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_LIVE_COUNT_H_
