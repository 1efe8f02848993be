// When edges last admitted a token that was revoked, as told by their acknowledgements.
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_LAST_ADMISSIONS_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_LAST_ADMISSIONS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "lease/limits.h"
#include "service/feed/ledger/lessor.h"
#include "service/use/silence.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// The most validators that a receipt names of each kind.
inline constexpr int kMaxNamedInReceipt = 100;

// The evidence of last admissions, bounded. An edge's last admission is unknown where its evidence
// did not come, or was forgotten before a use report can have told the same; no guess is made.
// Pure; not thread-safe; `now` never falls.
class LastAdmissions {
 public:
  // `max_evidence`: how many last admissions are kept; the newest stay.
  explicit LastAdmissions(size_t max_evidence) : max_evidence_(max_evidence) {}

  // Remembers the evidence that a ping of `session` carries.
  void Remember(const lease::SessionId& session, const tollgate::v1::Ping& ping,
                base::BootTime now);
  // The session is forgotten, and so is the evidence that it lost.
  void Forget(const lease::SessionId& session) { lost_.erase(session); }

  // The last admissions of a token that `revision` revoked: one row an edge, by edge, at most
  // kMaxNamedInReceipt. A row holds the latest that any of the edge's sessions told; it is unknown
  // where one of them lost its evidence, and for the edges in `unheard`, which have not
  // acknowledged the revision.
  std::vector<tollgate::v1::LastAdmit> RowsOf(int64_t revision, absl::string_view workspace,
                                              absl::string_view token_id,
                                              const std::vector<std::string>& unheard) const;

 private:
  struct Evidence {
    lease::SessionId session;
    std::string token;  // by name
    int64_t revision;
    base::BootTime at;
    absl::optional<absl::Time> last_admit;  // nullopt: never
  };
  // Revisions whose evidence is incomplete, as ranges (first, last). Oldest first, bounded; two
  // separate ranges may have been merged into one.
  class LostRevisions {
   public:
    void Add(int64_t first, int64_t last);
    bool Contains(int64_t revision) const;

   private:
    std::vector<std::pair<int64_t, int64_t>> ranges_;
  };

  const size_t max_evidence_;
  std::deque<Evidence> evidence_;                   // oldest first
  std::map<lease::SessionId, LostRevisions> lost_;  // by session that sent a ping
};

// Completes a receipt's last admissions of `token` (its name). The receipt holds what edges told
// with their acknowledgements (LastAdmissions::RowsOf); `uses` is what they had reported of its
// use. An edge that acknowledged and told nothing has not admitted the token since its last use
// report, so an edge's last admission is the later of the two. It is unknown where something was
// never told: the edge has not acknowledged; or one of its sessions ended without a last report
// (`gaps`), later than its known admission and late enough to matter, which is after the token was
// created (`created`) and after its last known admission anywhere. No guess is made. At most 100
// edges: the latest first, then the unknown ones.
void CompleteLastAdmits(absl::string_view token, const std::vector<EdgeUseRow>& uses,
                        const std::vector<SilenceEvidence::Gap>& gaps, absl::Time created,
                        tollgate::v1::Receipt* receipt);

// Removes all but the unknown edges, where use reports cannot be read: otherwise half of the truth
// would pass for the whole.
void KeepUnknownLastAdmits(tollgate::v1::Receipt* receipt);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_LAST_ADMISSIONS_H_
