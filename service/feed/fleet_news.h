// What the log tells of the fleet.
#ifndef TOLLGATE_SERVICE_FEED_FLEET_NEWS_H_
#define TOLLGATE_SERVICE_FEED_FLEET_NEWS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/log.h"
#include "lease/session_id.h"
#include "service/feed/ledger/session_view.h"

namespace tollgate::service {

// Compares the fleet with what was told of it, and says what is new: a validator joined, left, went
// away, ran out of its lease, does not acknowledge, came back; two live processes speak under one
// id. Each is one line, once. Of each kind at most kBurst lines come at once, and one more every
// kRefill: a fleet that restarts, or flaps, is told of in sums.
//
// Pure; not thread-safe. Holds one small entry a session.
class FleetNews {
 public:
  static constexpr int kBurst = 10;
  static constexpr absl::Duration kRefill = absl::Seconds(6);
  // How long a session may be away, unacknowledged or without a lease before a line says so. A
  // restart, or a stream that has reached its age, is shorter.
  static constexpr absl::Duration kAwayTold = absl::Seconds(5);
  static constexpr absl::Duration kPendingTold = absl::Seconds(5);
  static constexpr absl::Duration kLeaselessTold = absl::Seconds(10);
  // Two sessions of one id that are connected side by side for this long are two processes. A
  // half-open stream of a process that has died is silent, and so is not counted.
  static constexpr absl::Duration kTwinsTold = absl::Seconds(20);
  static constexpr absl::Duration kTwinSilent = absl::Seconds(15);

  explicit FleetNews(base::BootTime now) : now_(now) {}

  // How often Review should be called for a fleet of `sessions`: a look at each costs about half a
  // microsecond.
  static absl::Duration ReviewInterval(size_t sessions);

  // The lines that are due at `now`, which never falls. `sessions` are all that are known, those of
  // one validator side by side. What the first call shows is the fleet that the store remembers:
  // nothing of it is news.
  std::vector<base::LogRecord> Review(const std::vector<SessionView>& sessions, base::BootTime now);

  // A stream was ended because its client did not read, or made no progress (R6). Told by the next
  // Review.
  void OnCut(absl::string_view validator_id, absl::string_view why);
  // A Hello named another brand than the service's. Told by the next Review.
  void OnOtherBrand(absl::string_view validator_id, absl::string_view address,
                    absl::string_view brand);

 private:
  enum class Kind {
    kJoined,
    kBack,
    kLeft,
    kAway,
    kPending,
    kAcknowledges,
    kLeaseless,
    kLapsed,
    kPredecessorLapsed,
    kUncovered,
    kTwins,
    kCut,
    kOtherBrand,
  };
  // What was told last of a session.
  enum class Told { kNothing, kWell, kAway, kPending, kLeaseless, kLapsed, kUncovered, kLeft };
  struct Entry {
    Told told = Told::kNothing;
    int64_t seen = 0;  // the last review that saw it
  };
  struct Budget {
    double lines = kBurst;
    int64_t untold = 0;
    std::vector<std::string> names;  // of the untold, the first few
  };

  struct Words {
    base::LogLevel level;
    absl::string_view one;
    absl::string_view many;
  };

  static Words WordsOf(Kind kind);
  // What is to be told of the session, where `before` was told last. `replaced`: another process of
  // the same validator is connected.
  static Told Judge(const SessionView& session, bool replaced, Told before);
  void ReviewOne(const SessionView& session, bool replaced, Entry* entry);
  // `sessions`: those of one validator.
  void ReviewTwins(absl::Span<const SessionView> sessions);
  // A line of its own, or one more for the sum.
  void Tell(Kind kind, const std::string& validator_id,
            std::vector<std::pair<std::string, base::LogValue>> fields = {});
  void TellSums();

  base::BootTime now_;
  int64_t reviews_ = 0;
  std::map<lease::SessionId, Entry> entries_;
  std::set<std::string> twins_;  // ids that were told of
  std::map<Kind, Budget> budgets_;
  std::vector<base::LogRecord> lines_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_FLEET_NEWS_H_
