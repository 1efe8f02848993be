#include "token/cohort.h"

#include "base/mutation.h"

namespace tollgate::token {

bool Covers(int64_t watermark_revision, uint32_t watermark_index, int64_t create_revision,
            uint32_t create_index) {
  if (create_revision != watermark_revision) return create_revision < watermark_revision;
  return create_index < watermark_index || TOLLGATE_MUTATED("r13_cohort_without_index");
}

bool CohortWatermark::Covers(absl::string_view of_workspace, absl::string_view of_owner,
                             int64_t create_revision, uint32_t create_index) const {
  return of_workspace == workspace && (owner.empty() || of_owner == owner) &&
         token::Covers(revision, index, create_revision, create_index);
}

}  // namespace tollgate::token
