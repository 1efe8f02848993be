#include "validator/core/outage.h"

#include <algorithm>
#include <utility>

namespace tollgate::validator {

Outage::Outage(OutageOptions options, base::Random* random, base::BootTime now)
    : options_(options), random_(random) {
  Begin(now);
}

void Outage::Begin(base::BootTime now) {
  reached_ = false;
  ++number_;
  since_ = now;
  tries_ = 0;
  looking_ = false;
  look_at_ = now;
  clean_looks_ = 0;
  waiting_ = false;
  failed_ = false;
  reason_.clear();
  told_ = false;
}

void Outage::Tried(base::BootTime now) {
  waiting_ = true;
  if (reached_ || ++tries_ > 1) return;
  look_at_ = std::max(look_at_, now + options_.look_after * (1 + random_->UniformReal()));
}

bool Outage::Lost(base::BootTime now) {
  waiting_ = false;
  if (!reached_) {
    failed_ = true;
    return false;
  }
  Begin(now);
  return MayTell(now);
}

bool Outage::Heard(base::BootTime now, Figures* figures, bool* told) {
  if (reached_) return false;
  *told = told_;
  reached_ = true;
  reason_.clear();
  if (!MayTell(now)) return false;
  *figures = TakeFigures(now);
  return true;
}

void Outage::Found(const std::string& reason, base::BootTime now) {
  looking_ = false;
  if (reached_) return;
  if (!reason.empty()) {
    clean_looks_ = 0;
    reason_ = reason;
    look_at_ = now + options_.look_again;
  } else {
    ++clean_looks_;
    if (clean_looks_ >= 2) reason_ = kUnexplained;
    look_at_ = now + (clean_looks_ >= 2 ? options_.look_again : options_.look_twice);
  }
  failed_ = false;
}

Outage::Next Outage::Ask(base::BootTime now) {
  Next next;
  if (reached_) return next;
  // Nothing can be wrong where nothing was tried since: the service may have asked to be left
  // alone.
  const bool tried = waiting_ || failed_;
  if (tried && !looking_ && now >= look_at_) {
    looking_ = true;
    next.look = true;
  }
  if (tried && !looking_) next.wake_at = look_at_;
  if (reason_.empty()) return next;
  const base::BootTime due = !told_                    ? since_ + options_.tell_after
                             : reason_ != told_reason_ ? now
                                                       : told_at_ + options_.tell_again;
  if (now < due) {
    next.wake_at = std::min(next.wake_at, due);
    return next;
  }
  // A line for which there is no room now is told again in its turn, not sooner.
  told_ = true;
  told_reason_ = reason_;
  told_at_ = now;
  next.tell = MayTell(now);
  if (next.tell) next.figures = TakeFigures(now);
  next.wake_at = std::min(next.wake_at, now + options_.tell_again);
  return next;
}

Outage::Figures Outage::TakeFigures(base::BootTime now) {
  return {tries_, now - since_, std::exchange(left_out_, 0)};
}

bool Outage::MayTell(base::BootTime now) {
  while (!lines_.empty() && now - lines_.front() >= absl::Minutes(1)) lines_.pop_front();
  if (lines_.size() >= static_cast<size_t>(options_.most_lines)) {
    ++left_out_;
    return false;
  }
  lines_.push_back(now);
  return true;
}

}  // namespace tollgate::validator
