// How far the edges' reports of use have been heard: tells "not used" from "not heard". Pure.
#ifndef TOLLGATE_SERVICE_USE_COVERAGE_H_
#define TOLLGATE_SERVICE_USE_COVERAGE_H_

#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "service/use/silence.h"

namespace tollgate::service {

// The sessions (one incarnation of one validator each) that may be admitting, and up to when each
// has reported everything it admitted. Times are the service's wall clock. Not thread-safe.
//
// - A live session whose reports lag is *not heard*, never "quiet".
// - A session whose lease ran out may have admitted anything between its last report and its end: a
//   gap. The gap closes when the same incarnation comes back and reports. A Goodbye comes after a
//   last report.
// - After a start nothing is covered until the roster has been read, and each session in it has
//   reported or ended.
//
// Gaps are kept only in memory. A crash of the service after a validator's may forget a gap, just
// as a crash may lose the last seconds of use reports (design, section 5).
class Coverage {
 public:
  struct Options {
    // A live session that has reported nothing for longer is not heard. A few usage intervals.
    absl::Duration max_report_lag = absl::Seconds(30);
    // How many gaps are kept by name; older ones are merged into one without a name.
    size_t max_gaps = 10000;
  };
  explicit Coverage(Options options);

  // Says that every session of the stored roster has been Opened.
  void RosterLoaded(absl::Time now) {
    roster_loaded_ = true;
    gaps_since_ = now;
  }
  // A session may be admitting from now on. Up to `told_until` it has nothing to report: for a new
  // incarnation the moment of its first Hello, for a session of the roster InfinitePast.
  // Idempotent: what was reported before stays reported.
  void Opened(absl::string_view edge, absl::string_view incarnation, absl::Time told_until);
  // A report of the session has been stored; with it the store has everything that the session
  // admitted before `complete_until` (taken as `now` where it lies in the future). For a session
  // that is not open this only closes its gap.
  void Reported(absl::string_view edge, absl::string_view incarnation, absl::Time complete_until,
                absl::Time now);
  // A report of the session could not be kept: it may have admitted anything until `now`.
  void Lost(absl::string_view edge, absl::string_view incarnation, absl::Time now);
  // A report of the session has been stored, and is not complete: what the session admitted since
  // is unknown until a complete report comes.
  void Incomplete(absl::string_view edge, absl::string_view incarnation);
  // The session admits nothing after `end`: its lease ran out then, or it said goodbye. A validator
  // reports all that is left before its goodbye. Where that report is not complete, or never came,
  // the goodbye leaves a gap like any other end.
  void Ended(absl::string_view edge, absl::string_view incarnation, absl::Time end, bool goodbye);

  SilenceEvidence Evidence(absl::Time now) const;
  size_t live_sessions() const { return live_.size(); }
  size_t gaps() const { return gaps_.size(); }

 private:
  using Session = std::pair<std::string, std::string>;  // edge, incarnation
  struct Told {
    absl::Time until;
    bool all = false;  // its latest report was complete
  };
  struct Gap {
    absl::Time told_until;
    absl::Time until;
  };

  void AddGap(const Session& session, absl::Time told_until, absl::Time until);

  const Options options_;
  bool roster_loaded_ = false;
  absl::Time gaps_since_ = absl::InfiniteFuture();
  std::map<Session, Told> live_;
  std::map<Session, Gap> gaps_;
  absl::Time unnamed_gap_ = absl::InfinitePast();
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_COVERAGE_H_
