// The receipt of one revision: how far it is enforced, and which sessions count for it.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_RECEIPT_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_RECEIPT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "service/feed/ledger/enforced_frontier.h"
#include "service/feed/ledger/hold_reports.h"
#include "service/feed/ledger/last_admissions.h"
#include "service/feed/ledger/lease_book.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// The revision whose receipt is asked for.
struct ReceiptQuestion {
  int64_t revision = 0;
  // Names the one token that was revoked: the receipt then holds its last admissions. Empty: it
  // holds none.
  std::string workspace;
  std::string token_id;
  // A wait is over only when no hold that the revision put in doubt is open any more, either. The
  // receipt is the same.
  bool holds = false;
};

// A place among the waits for a receipt. Number 0: none was taken.
struct WaitId {
  int64_t revision = 0;
  int64_t number = 0;
};

// What a receipt is made from. Owns nothing.
struct ReceiptSources {
  const LeaseBook& book;
  const EnforcedFrontier& frontier;
  const LastAdmissions& admissions;
  const HoldReports& holds;
};

// The receipt as of `now`, in the store's `epoch`. Each session that counts is counted once: as
// acknowledged, pending, not covered, lapsed, released or missing; holds have numbers of their own,
// which change none of that. `elapsed` is unset unless the revision's commit was seen. Pure.
tollgate::v1::Receipt MakeReceipt(const ReceiptSources& from, const ReceiptQuestion& question,
                                  absl::string_view epoch, base::BootTime now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_RECEIPT_H_
