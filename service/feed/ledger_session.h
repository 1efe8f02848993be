// What the ledger keeps of one session; for the ledger's own .cc files.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_SESSION_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_SESSION_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "service/feed/enforcement.h"

namespace tollgate {

struct EnforcementLedger::Session {
  SessionId key;
  int64_t number = 0;
  std::string caller;  // who may speak for it; empty: nobody has yet, or an old record's
  std::string version;
  std::string address;
  int streams = 0;
  BootTime turned;  // when its streams became some, or none
  int64_t acked = 0;
  absl::optional<BootTime> heard;
  int64_t cached_tokens = 0;
  int64_t decisions = 0;
  absl::optional<std::pair<BootTime, int64_t>> rate_base;  // when so many decisions were told
  double decisions_per_second = 0;

  // How long it may go on past its lease; the longest it ever said (R3, R14).
  absl::Duration fail_open_for = absl::ZeroDuration();
  bool rostered = false;
  int64_t stay = 0;  // in the roster: another one once it was taken out
  absl::Duration rostered_fail_open_for = absl::ZeroDuration();

  // In by_end_ and live_acks_ while live.
  bool live = false;
  BootTime end = BootTime::InfinitePast();
  // In uncovered_ while set.
  absl::optional<BootTime> uncovered_until;
  bool released = false;
  absl::optional<BootTime> ended_at;  // its last lease, while not live
  // The head when its lease ended: what was revoked up to there, it may have been waited for.
  int64_t ended_head = -1;
  bool remembered = false;  // in ended_

  bool told_live = false;

  // Revisions, first and last, whose evidence of last admissions did not all come. Oldest first,
  // bounded; two that lie apart may have become one.
  std::vector<std::pair<int64_t, int64_t>> lost;
};

}  // namespace tollgate

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_SESSION_H_
