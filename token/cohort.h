// Which tokens a cohort covers. Service and edges share this one definition.
#ifndef TOLLGATE_TOKEN_COHORT_H_
#define TOLLGATE_TOKEN_COHORT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace tollgate::token {

// Whether a token that was created at (create_revision, create_index) lies below the watermark.
// Compared by place, never by time (R13).
bool Covers(int64_t watermark_revision, uint32_t watermark_index, int64_t create_revision,
            uint32_t create_index);

// All tokens of a workspace, or of one owner in it, that were created before a watermark.
struct CohortWatermark {
  std::string workspace;
  std::string owner;  // empty: every owner's
  int64_t revision = 0;
  uint32_t index = 0;  // in the revision's batch

  bool Covers(absl::string_view of_workspace, absl::string_view of_owner, int64_t create_revision,
              uint32_t create_index) const;
};

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_COHORT_H_
