#include "service/restore/replay_plan.h"

#include <algorithm>

namespace tollgate::service {

using store::v1::CohortRecord;
using store::v1::JournalCommit;
using store::v1::JournalRecord;
using store::v1::TokenRecord;

void ReplayPlan::Add(const JournalRecord& record) {
  if (held_.has_value()) {
    Take(*held_, /*certain=*/true);
    held_.reset();
  }
  switch (record.content_case()) {
    case JournalRecord::kSection:
      section_epoch_ = record.section().epoch();
      last_revision_ = record.section().from_revision();
      if (section_epoch_ == epoch_) {
        // Of several sections, the first that covers the backup counts.
        if (!found_epoch_ || covers_from_ > head_) covers_from_ = last_revision_;
        found_epoch_ = true;
      } else {
        in_later_epoch_ = found_epoch_;
        if (found_epoch_ && std::find(later_epochs_.begin(), later_epochs_.end(), section_epoch_) ==
                                later_epochs_.end()) {
          later_epochs_.push_back(section_epoch_);
        }
      }
      break;
    case JournalRecord::kCommit:
      held_ = record.commit();
      last_revision_ = std::max(last_revision_, record.commit().revision());
      last_time_us_ = record.commit().time_us();
      break;
    case JournalRecord::kMark:
      last_revision_ = std::max(last_revision_, record.mark().revision());
      break;
    default:
      break;
  }
  if (section_epoch_ == epoch_) {
    epoch_last_revision_ = std::max(epoch_last_revision_, last_revision_);
  }
}

void ReplayPlan::Finish() {
  if (held_.has_value()) Take(*held_, /*certain=*/false);
  held_.reset();
}

void ReplayPlan::Take(const JournalCommit& commit, bool certain) {
  const bool same_epoch = section_epoch_ == epoch_;
  if (!same_epoch && !in_later_epoch_) return;  // before the backup's time
  // By the record's own revision, because an entry may have been written late for unjournaled
  // changes.
  for (const TokenRecord& token : commit.tokens()) {
    if (same_epoch && token.update_revision() <= head_) continue;
    LostToken& lost = tokens_[{token.workspace(), token.token_id()}];
    if (token.has_ending() && !lost.ended.has_value()) lost.ended = token;
    (certain ? lost.latest : lost.perhaps) = token;
  }
  for (const CohortRecord& cohort : commit.cohorts()) {
    if (same_epoch && cohort.revision() <= head_) continue;
    cohorts_.emplace(std::make_pair(cohort.workspace(), cohort.owner()), cohort);
  }
}

}  // namespace tollgate::service
