#include "service/restore/replay_plan.h"

#include <algorithm>

namespace tollgate::service {

using store::v1::BindingRecord;
using store::v1::CohortRecord;
using store::v1::JournalCommit;
using store::v1::JournalRecord;
using store::v1::TokenRecord;

ReplayPlan ReplayPlan::OfOneEntry(JournalCommit entry) {
  ReplayPlan plan("", entry.revision() - 1);
  plan.Take(entry, /*certain=*/false);
  return plan;
}

void ReplayPlan::Add(const JournalRecord& record) {
  // One that was of a commit that never was: what it took away is in the entry that replaces it.
  if (held_.has_value() && !record.commit().replaces_last()) Take(*held_, /*certain=*/true);
  held_.reset();
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

int64_t ReplayPlan::HasUpTo(const JournalCommit& commit) {
  if (commit.revision() <= head_ && !commit.fingerprint().empty() && fingerprint_at_) {
    const absl::optional<std::string> ours = fingerprint_at_(commit.revision());
    if (ours.has_value() && *ours == commit.fingerprint()) {
      common_ = std::max(common_, commit.revision());
    } else if (ours.has_value()) {
      diverged_ = true;
    }
  }
  return diverged_ ? common_ : head_;
}

void ReplayPlan::Take(const JournalCommit& commit, bool certain) {
  const bool same_epoch = section_epoch_ == epoch_;
  if (!same_epoch && !in_later_epoch_) return;  // before the backup's time
  // A record's own revision: an entry may have been written late, for what had gone unjournaled.
  const int64_t has = same_epoch ? HasUpTo(commit) : 0;
  for (const TokenRecord& token : commit.tokens()) {
    if (same_epoch && token.update_revision() <= has) continue;
    LostToken& lost = tokens_[{token.workspace(), token.token_id()}];
    if (token.has_ending() && !lost.ended.has_value()) lost.ended = token;
    (certain ? lost.latest : lost.perhaps) = token;
  }
  for (const CohortRecord& cohort : commit.cohorts()) {
    if (same_epoch && cohort.revision() <= has) continue;
    cohorts_.emplace(std::make_pair(cohort.workspace(), cohort.owner()), cohort);
  }
  for (const BindingRecord& binding : commit.bindings()) {
    if (same_epoch && binding.update_revision() <= has) continue;
    LostBinding& lost = bindings_[{binding.member(), binding.role()}];
    (certain ? lost.latest : lost.perhaps) = binding;
  }
}

}  // namespace tollgate::service
