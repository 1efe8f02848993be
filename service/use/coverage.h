// What has been heard from the edges about use: what lets "not used" be told from "not heard".
// Pure.
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

// Sessions (one incarnation of one validator each) that may be admitting, and up to when each has
// told all it admitted. Times are the service's wall clock. Not thread-safe.
//
// - A live session whose reports lag is *not heard*, never "quiet".
// - A session whose lease ran out may have admitted anything between its last report and its end: a
//   gap. It closes when the same incarnation comes back and tells. Goodbye comes after a last
//   report.
// - After a start nothing is covered until the roster has been read, and each session in it has
//   reported or ended.
//
// Gaps are kept in memory only: a crash of the service after that of a validator may forget one, as
// it may lose the last seconds of use reports (design, section 5).
class Coverage {
 public:
  struct Options {
    // A live session that has told nothing for longer is not heard. A few usage intervals.
    absl::Duration max_report_lag = absl::Seconds(30);
    // Gaps kept by name; older ones are kept as one without a name.
    size_t max_gaps = 10000;
  };
  explicit Coverage(Options options);

  // Every session of the stored roster has been Opened.
  void RosterLoaded() { roster_loaded_ = true; }
  // A session may be admitting from now on. `told_until` is up to when it has nothing to tell: the
  // moment of its first Hello for a new incarnation, InfinitePast for one of the roster.
  // Idempotent: what was told before stays told.
  void Opened(absl::string_view edge, absl::string_view incarnation, absl::Time told_until);
  // A report of its has been stored, and with it all that it admitted before `complete_until`
  // (which is taken as `now` where it lies in the future). A session that is not open is ignored,
  // but for closing its gap.
  void Reported(absl::string_view edge, absl::string_view incarnation, absl::Time complete_until,
                absl::Time now);
  // A report of its could not be kept: until `now` it may have admitted anything.
  void Lost(absl::string_view edge, absl::string_view incarnation, absl::Time now);
  // A report of its has been stored that does not tell all: until it says so again, what it
  // admitted since is not known.
  void Incomplete(absl::string_view edge, absl::string_view incarnation);
  // It admits nothing after `end`: its lease ran out then, or it said goodbye, before which a
  // validator reports all that is left. Where that last report is not complete, or never came, the
  // goodbye leaves a gap as any other end.
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
  std::map<Session, Told> live_;
  std::map<Session, Gap> gaps_;
  absl::Time unnamed_gap_ = absl::InfinitePast();
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_COVERAGE_H_
