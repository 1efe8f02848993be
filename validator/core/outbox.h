// What this edge has admitted and the service has not heard of yet: use, and for each token that an
// event dropped when it was last admitted here (evidence). All of it is delivered at least once.
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
  size_t longest_report = 2000;     // uses in one Usage message
};

// Pure and bounded. What it sends goes with the follower's pings: what ping n of a stream carried,
// and what was written before it, is known to have arrived once the Pong to ping n or a later one
// has come; what the stream's end leaves open goes again on the next. Not thread-safe.
class Outbox {
 public:
  explicit Outbox(const OutboxOptions& options);

  // ---- In.
  // Use that the table handed out.
  void AddUse(const std::vector<EntryUse>& uses);
  // An event of `revision` dropped the token; `gone` is what the table handed out for its id. Adds
  // the use, and evidence where the token was ever admitted here: from its entry, or from use that
  // left the table before and is not known to have arrived. (What has, the service knows.)
  void TokenDropped(absl::string_view workspace, absl::string_view token_id, int64_t revision,
                    const std::vector<EntryUse>& gone);
  // Of these revisions evidence may be missing: the service is told, and makes no guess.
  void LoseEvidence(int64_t first, int64_t last);
  // Evidence is of a history that is no longer ours. Use is of any.
  void ForgetEvidence();

  // ---- Out.
  // Puts into ping `sequence` what no ping of this stream has carried, and the revision that it
  // acknowledges: `applied`, or less where evidence of a revision is left for another ping, since a
  // receipt may be made of the acknowledgement. True: there is more, for another ping at once.
  bool FillPing(uint64_t sequence, int64_t applied, tollgate::v1::Ping* ping);
  // The use that no report holds, to be written before the next ping; the last message with
  // `complete_until`, where it can be claimed (UsageLedger::Take).
  std::vector<tollgate::v1::Usage> TakeUsage(absl::Time complete_until);
  // A report is out and not known to have arrived: no other is to be taken.
  bool report_is_out() const { return report_is_out_; }
  // A Pong to ping `sequence` of this stream has come.
  void Arrived(uint64_t sequence);
  void StreamEnded();

  // The lowest revision that evidence, or its loss, is still to be told of; `otherwise` where it is
  // lower, or there is none.
  int64_t FirstUntold(int64_t otherwise) const;
  // Uses that were lost because too many waited for a report.
  int64_t uses_lost() const { return usage_.lost(); }
  size_t unreported() const { return usage_.size(); }

 private:
  struct Evidence {
    tollgate::v1::DroppedAdmit dropped;
    uint64_t sent_in = 0;  // the ping of this stream that carried it; 0: none yet
  };

  const size_t longest_report_;
  UsageLedger usage_;
  bool report_is_out_ = false;
  uint64_t report_before_ = 0;  // the first ping after the report; 0: not sent yet
  std::deque<Evidence> evidence_;
  int64_t lost_from_ = 0;  // evidence was lost, and no Pong says that this is known; 0: none
  int64_t lost_to_ = 0;
  uint64_t lost_sent_in_ = 0;  // as Evidence::sent_in
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_OUTBOX_H_
