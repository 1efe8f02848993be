// What became of the holds that events put in doubt, by revision: what receipts tell of holds.
#ifndef TOLLGATE_VALIDATOR_CORE_HOLD_RECEIPTS_H_
#define TOLLGATE_VALIDATOR_CORE_HOLD_RECEIPTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::validator {

// Pure and bounded: the newest 256 revisions that put a hold in doubt are kept. Of an older one
// nothing more is told; the service keeps what it was told last. Not thread-safe.
class HoldReceipts {
 public:
  // Where a hold stands, for one revision (EndedHolds).
  enum class Stand { kNone, kInDoubt, kTold, kClosed, kSilent };
  struct Entry;
  // The revisions that put a token in doubt. An entry that is no longer kept counts for nothing.
  using Doubts = std::vector<std::shared_ptr<Entry>>;

  static constexpr size_t kMostRevisions = 256;
  // In one ping.
  static constexpr int kMostInPing = 100;

  // The entry of a revision, which is made where there is none. Null: it is older than all that are
  // kept.
  std::shared_ptr<Entry> Of(int64_t revision);
  // So many holds stand differently now, for each of the revisions. `holder`: whose they are, where
  // one of the two stands is kTold or kSilent.
  void Move(const Doubts& doubts, Stand from, Stand to, absl::string_view holder,
            int64_t holds = 1);

  // The state was reset: what is kept of another epoch, or of revisions that the store has lost, is
  // forgotten.
  void Reset(const std::string& epoch, int64_t revision);
  // Another stream begins, perhaps to another process of the service: all is told anew.
  void StreamEnded();

  // Numbers have changed since they were told.
  bool has_news() const { return news_ > 0; }
  // Adds numbers that have changed, and lowers the acknowledgement where the first numbers of a
  // revision are left for another ping. True: there is more.
  bool FillPing(tollgate::v1::Ping* ping);

 private:
  void Change(Entry* entry);
  void Drop(std::map<int64_t, std::shared_ptr<Entry>>::iterator entry);

  std::map<int64_t, std::shared_ptr<Entry>> entries_;
  std::string epoch_;
  size_t news_ = 0;  // entries that have changed
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_HOLD_RECEIPTS_H_
