// What edges say became of the holds that revisions put in doubt (docs/holds.md).
#ifndef TOLLGATE_SERVICE_FEED_LEDGER_HOLD_REPORTS_H_
#define TOLLGATE_SERVICE_FEED_LEDGER_HOLD_REPORTS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lease/session_id.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/enforcement.pb.h"

namespace tollgate::service {

// The newest report of each session on each revision. Bounded: a session that says too much loses
// its own oldest reports, those without open holds first, and nobody else loses anything. What a
// session says changes the numbers of its own edge alone, and decides nothing. Pure; not
// thread-safe.
class HoldReports {
 public:
  // The most revisions that are kept of one session.
  static constexpr size_t kMaxOfSession = 256;

  // `max_reports` (> 0): how many are kept of all sessions together. Above it the session with the
  // most reports loses one.
  explicit HoldReports(size_t max_reports) : max_reports_(max_reports) {}
  // Not copied: its indexes point into it.
  HoldReports(const HoldReports&) = delete;
  HoldReports& operator=(const HoldReports&) = delete;

  // Remembers what a ping of `session` reports. A report replaces that session's former one on the
  // same revision; one of nothing but zeros removes it.
  void Remember(const lease::SessionId& session, const tollgate::v1::Ping& ping);
  // No holder has a word of this session's any more that is still good: none of its holds is open,
  // until it reports anew.
  void EndWords(const lease::SessionId& session);
  // The session is forgotten, and so is what it reported.
  void Forget(const lease::SessionId& session);

  // Whether a hold that `revision` put in doubt is open still: in doubt, or its holder was told and
  // has a word that is still good.
  bool AnyOpen(int64_t revision) const { return open_.contains(revision); }
  // Grows whenever AnyOpen may have become false.
  uint64_t closings() const { return closings_; }
  // Fills in the receipt's holds of `revision`: the sums, and the edges, at most
  // kMaxNamedInReceipt. A validator that was started again may have two rows.
  void AddTo(int64_t revision, tollgate::v1::Receipt* receipt) const;
  // How many reports are kept.
  size_t size() const { return rows_.size(); }

 private:
  struct Report {
    int64_t in_doubt = 0;
    int64_t told = 0;
    int64_t closed = 0;
    int64_t silent = 0;
    std::vector<std::string> unanswered;
    // The words of its session ended before it said what became of `in_doubt` and `told`.
    bool gone = false;

    int64_t open() const { return gone ? 0 : in_doubt + told; }
    int64_t silent_in_all() const { return gone ? silent + in_doubt + told : silent; }
    bool empty() const { return in_doubt == 0 && told == 0 && closed == 0 && silent == 0; }
  };
  struct Session {
    int64_t number = 0;  // of all sessions that ever reported here
    // The revisions of its reports: with open holds, and without.
    std::set<int64_t> open;
    std::set<int64_t> settled;

    size_t size() const { return open.size() + settled.size(); }
  };
  using Sessions = std::map<lease::SessionId, Session>;
  struct Row {
    Sessions::pointer of;
    Report report;
  };

  static Report ReportOf(const tollgate::v1::EndedHolds& ended);
  // Puts the report in the place of the former one.
  void Set(Sessions::pointer of, int64_t revision, Report report);
  // Takes a report out of the rows and of what counts them; the session stays.
  void Remove(Sessions::pointer of, int64_t revision);
  void RemoveOldest(Sessions::pointer of);
  void CountOpen(int64_t revision);
  void CountClosed(int64_t revision);

  const size_t max_reports_;
  // Ordered, and ties broken by number, so that a seeded simulation replays exactly.
  Sessions sessions_;
  int64_t next_number_ = 0;
  std::map<std::pair<int64_t, int64_t>, Row> rows_;  // by revision, and the session's number
  std::map<std::pair<size_t, int64_t>, Sessions::pointer>
      by_size_;                      // by how many reports, and number
  std::map<int64_t, int64_t> open_;  // by revision: how many rows have open holds; none is 0
  uint64_t closings_ = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_LEDGER_HOLD_REPORTS_H_
