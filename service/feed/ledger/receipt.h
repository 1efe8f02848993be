// The receipt of one revision: how far it is enforced, and who is counted for it.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_RECEIPT_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_RECEIPT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "service/feed/ledger/enforced_frontier.h"
#include "service/feed/ledger/last_admissions.h"
#include "service/feed/ledger/lease_book.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// Whose receipt is asked for.
struct ReceiptQuestion {
  int64_t revision = 0;
  // For the revocation of one token: names last admissions in the receipt. Empty: none.
  std::string workspace;
  std::string token_id;
};

// A place among those who wait for a receipt; number 0: none was taken.
struct WaitId {
  int64_t revision = 0;
  int64_t number = 0;
};

// What a receipt is made of. Nothing of it is owned.
struct ReceiptSources {
  const LeaseBook& book;
  const EnforcedFrontier& frontier;
  const LastAdmissions& admissions;
};

// The receipt as of `now`, in the store's `epoch`. Each session that is counted is counted once: as
// acknowledged, pending, not covered, lapsed or released. `elapsed` is unset unless the revision's
// commit was seen. Pure.
tollgate::v1::Receipt MakeReceipt(const ReceiptSources& from, const ReceiptQuestion& question,
                                  absl::string_view epoch, base::BootTime now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_RECEIPT_H_
