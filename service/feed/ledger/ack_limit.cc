#include "service/feed/ledger/ack_limit.h"

namespace tollgate::service {
namespace {

// Events closer together than this count as one.
constexpr absl::Duration kGrain = absl::Milliseconds(10);

}  // namespace

void AckLimit::OnEvent(int64_t revision, base::BootTime now) {
  if (!recent_.empty() && now - recent_.back().at < kGrain) {
    recent_.back().revision = revision;
  } else {
    recent_.push_back({revision, now});
  }
}

void AckLimit::Advance(base::BootTime now) {
  while (!recent_.empty() && now - recent_.front().at > limit_) {
    overdue_ = recent_.front().revision;
    recent_.pop_front();
  }
}

}  // namespace tollgate::service
