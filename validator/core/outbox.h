// What this edge decided and the service has not heard of yet: use; refused attempts on tokens that
// it knows; and evidence, which tells for each token that an event dropped when this edge last
// admitted it. All of it is delivered at least once.
#ifndef TOLLGATE_VALIDATOR_CORE_OUTBOX_H_
#define TOLLGATE_VALIDATOR_CORE_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tollgate/v1/edge_service.pb.h"
#include "validator/core/decision_cache.h"
#include "validator/core/usage_ledger.h"

namespace tollgate::validator {

struct OutboxOptions {
  size_t most_unreported = 100000;  // dropped tokens whose use waits for a report
  size_t most_attempts = 10000;     // times a token and a reason of refusal that wait for a report
  size_t longest_report = 2000;     // uses and attempts in one Usage message
};

// Pure and bounded. Its content goes with the follower's pings. Once the Pong to ping n or to a
// later one has come, everything that ping n of that stream carried, and everything that was
// written before it, has arrived. Whatever is unconfirmed when a stream ends goes again on the
// next. Not thread-safe.
class Outbox {
 public:
  explicit Outbox(const OutboxOptions& options);

  // ---- In.
  // Adds use that the table handed out.
  void AddUse(const std::vector<EntryUse>& uses);
  // Adds use by what is held open (UsageLedger::AddHeld).
  void AddHeld(const std::vector<HeldUse>& held, int64_t at_ms);
  // Adds refused attempts that the table handed out.
  void AddAttempts(const std::vector<TokenAttempts>& attempts);
  // UsageLedger::ForgetAddresses.
  void ForgetAddresses(absl::string_view workspace) { usage_.ForgetAddresses(workspace); }
  // An event of `revision` dropped the token; `gone` is what the table handed out for its id. Adds
  // the use. Adds evidence where the token was ever admitted here: by its entry, or by use that
  // left the table before and may not have arrived. (The service knows what has arrived.)
  void TokenDropped(absl::string_view workspace, absl::string_view token_id, int64_t revision,
                    const std::vector<EntryUse>& gone);
  // Evidence of these revisions may be missing: the service is told so, and makes no guess.
  void LoseEvidence(int64_t first, int64_t last);
  // Forgets all evidence, because its history is no longer this store's. Use belongs to any
  // history.
  void ForgetEvidence();

  // ---- Out.
  // Fills ping `sequence` with the evidence that no ping of this stream has carried, and with the
  // acknowledgement: `applied`, or a lower revision where evidence of a revision is left for
  // another ping, because a receipt may be made from the acknowledgement. True: there is more, for
  // another ping at once.
  bool FillPing(uint64_t sequence, int64_t applied, tollgate::v1::Ping* ping);
  // The use and the attempts that no report holds, to be written before the next ping. The last
  // message carries `complete_until`, where that can be claimed (UsageLedger::Take).
  std::vector<tollgate::v1::Usage> TakeUsage(absl::Time complete_until);
  // A report is out and may not have arrived: no other report may be taken.
  bool report_is_out() const { return report_is_out_; }
  // The Pong to ping `sequence` of this stream has come.
  void Arrived(uint64_t sequence);
  void StreamEnded();

  // The lowest revision whose evidence, or its loss, is still to be told; `otherwise` where that is
  // lower, or nothing is to be told.
  int64_t FirstUntold(int64_t otherwise) const;
  // Uses that were lost because too many waited for a report.
  int64_t uses_lost() const { return usage_.lost(); }
  size_t unreported() const { return usage_.size(); }
  // Attempts that the service has, and attempts that were left out for want of room.
  int64_t attempts_reported() const { return usage_.attempts_reported(); }
  int64_t attempts_left_out() const { return usage_.attempts_left_out(); }

 private:
  struct Evidence {
    tollgate::v1::DroppedAdmit dropped;
    uint64_t sent_in = 0;  // the ping of this stream that carried it; 0: none
  };

  const size_t longest_report_;
  UsageLedger usage_;
  bool report_is_out_ = false;
  uint64_t report_before_ = 0;  // the first ping after the report; 0: not sent yet
  std::deque<Evidence> evidence_;
  int64_t lost_from_ = 0;  // evidence from here to lost_to_ was lost, and no Pong has confirmed
                           // that; 0: none
  int64_t lost_to_ = 0;
  uint64_t lost_sent_in_ = 0;  // as Evidence::sent_in
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_OUTBOX_H_
