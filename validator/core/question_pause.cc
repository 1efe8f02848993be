#include "validator/core/question_pause.h"

#include <algorithm>

namespace tollgate::validator {

bool QuestionPause::Pauses(const TokenKey& key, base::BootTime now) const {
  if (pauses_.empty()) return false;
  const auto found = pauses_.find(HashOf(key));
  return found != pauses_.end() && now < found->second.end;
}

void QuestionPause::OnDamaged(const TokenKey& key, base::BootTime now) {
  const Hash128 hash = HashOf(key);
  if (pauses_.size() >= options_.most && !pauses_.contains(hash)) {
    // Of those that nobody has asked about since, for as long again as they paused.
    absl::erase_if(pauses_, [now](const auto& pause) {
      return now - pause.second.end >= pause.second.length;
    });
    if (pauses_.size() >= options_.most) return;
  }
  Pause& pause = pauses_[hash];
  pause.length = std::min(std::max(2 * pause.length, options_.first), options_.longest);
  pause.end = now + pause.length;
}

void QuestionPause::OnAnswered(const TokenKey& key) {
  if (!pauses_.empty()) pauses_.erase(HashOf(key));
}

}  // namespace tollgate::validator
