#include "service/feed/ledger/event_marks.h"

#include <algorithm>

#include "base/invariant.h"

namespace tollgate::service {
namespace {

// How many enforced revisions are still told apart.
constexpr size_t kKeptEnforced = 4096;

}  // namespace

EventMarks::EventMarks(size_t max_marks, int64_t last_event_revision, base::BootTime now)
    : max_marks_(max_marks) {
  if (last_event_revision <= 0) return;
  marks_.push_back({last_event_revision, now});
  all_count_up_to_ = last_event_revision - 1;
}

void EventMarks::ForgetOldest() {
  all_count_up_to_ = marks_.front().revision;
  marks_.pop_front();
}

void EventMarks::Add(int64_t revision, base::BootTime now) {
  TOLLGATE_INVARIANT(
      revision > all_count_up_to_ && (marks_.empty() || revision > marks_.back().revision),
      "revisions with events come in order");
  marks_.push_back({revision, now});
  if (marks_.size() > max_marks_) ForgetOldest();
}

void EventMarks::ForgetUpTo(int64_t enforced) {
  while (marks_.size() > kKeptEnforced && marks_.front().revision <= enforced) ForgetOldest();
}

EventMarks::Marks::const_iterator EventMarks::FirstAbove(int64_t revision) const {
  return std::upper_bound(marks_.begin(), marks_.end(), revision,
                          [](int64_t r, const Mark& mark) { return r < mark.revision; });
}

int64_t EventMarks::LastUpTo(int64_t revision) const {
  if (revision <= all_count_up_to_) return revision;
  const auto above = FirstAbove(revision);
  return above == marks_.begin() ? all_count_up_to_ : std::prev(above)->revision;
}

absl::optional<int64_t> EventMarks::FirstAfter(int64_t revision) const {
  if (revision < all_count_up_to_) return revision + 1;
  const auto above = FirstAbove(revision);
  if (above == marks_.end()) return absl::nullopt;
  return above->revision;
}

int64_t EventMarks::CountAfter(int64_t revision) const {
  return std::max<int64_t>(0, all_count_up_to_ - revision) + (marks_.end() - FirstAbove(revision));
}

absl::optional<base::BootTime> EventMarks::CommittedFrom(int64_t revision) const {
  const auto from = FirstAbove(revision - 1);
  if (from == marks_.end()) return absl::nullopt;
  return from->at;
}

absl::optional<base::BootTime> EventMarks::CommittedAt(int64_t revision) const {
  const auto from = FirstAbove(revision - 1);
  if (from == marks_.end() || from->revision != revision) return absl::nullopt;
  return from->at;
}

}  // namespace tollgate::service
