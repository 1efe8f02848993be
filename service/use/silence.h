// Whether a rotated token has fallen silent: judged from use records and from what is known to have
// been heard. Pure.
#ifndef TOLLGATE_SERVICE_USE_SILENCE_H_
#define TOLLGATE_SERVICE_USE_SILENCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "storage/engine.h"

namespace tollgate::service {

// What the edges have said, as of one moment (Coverage::Evidence). All times by the service's wall
// clock. The default knows nothing: with it no token is silent.
struct SilenceEvidence {
  // An edge that may be admitting now and whose reports lag: not heard, which is never "quiet".
  struct Unheard {
    std::string edge;
    absl::Time heard_until;  // all that was admitted there before is known
  };
  // An edge's session that ended without a last report: it may have admitted anything until then.
  struct Gap {
    std::string edge;
    absl::Time until;
  };

  // All that was admitted anywhere before this moment is in the store, but for `gaps`.
  absl::Time heard_until = absl::InfinitePast();
  std::vector<Unheard> unheard;
  std::vector<Gap> gaps;
};

// One token's use at one edge, as stored.
struct EdgeUseRow {
  std::string edge;
  absl::Time last_used;
  int64_t count = 0;
  int64_t count_today = 0;  // of the day of `now`
};
// The day that a moment is of (UTC), as UseRecord.day has it.
int64_t UseDayOf(absl::Time time);

// The edge of the row that stands for edges without a name any more: no validator's id has
// parentheses or spaces.
inline constexpr char kEarlierEdges[] = "(earlier edges)";
// So many edges are named at most in one answer.
inline constexpr size_t kMaxNamedEdges = 100;

// The latest `most` rows by name, and where there are others, one last row that sums them up, with
// what was folded before. `rows` are latest first.
std::vector<EdgeUseRow> NameLatestEdges(std::vector<EdgeUseRow> rows, size_t most = kMaxNamedEdges);

// A token's use by edge, latest first. `now` says which day is today (UTC).
absl::StatusOr<std::vector<EdgeUseRow>> ReadUses(const storage::View& view,
                                                 absl::string_view workspace,
                                                 absl::string_view token_id, absl::Time now);

// What is to be said of a rotated token.
struct SilenceVerdict {
  enum class Kind {
    kSilent,                // the replacement is in use, and the old one is not, anywhere
    kInUse,                 // used within the quiet period; `edges` says where
    kReplacementNeverSeen,  // no edge has seen the replacement
    kNotHeard,              // `edges` may have used it, and have not said
    kResumedLately,         // it was off within the quiet period, which tells nothing
  };
  Kind kind = Kind::kNotHeard;
  // kInUse: latest first. kNotHeard: empty where nothing at all has been heard yet.
  std::vector<std::string> edges;
  // kInUse: the latest use.
  absl::Time last_used = absl::InfinitePast();
  int64_t count_today = 0;
};

// Silent: the replacement has been seen in use *and* the old one has not been used at any edge for
// the quiet period, which ends where hearing ends: what has not been heard is not taken for quiet.
// A token that was suspended was silent for that: the quiet period also begins after `resumed`
// (InfinitePast: never). Checked in this order: in use, replacement never seen, not heard, resumed
// lately.
SilenceVerdict JudgeSilence(const std::vector<EdgeUseRow>& old_uses,
                            const std::vector<EdgeUseRow>& replacement_uses,
                            const SilenceEvidence& evidence, absl::Time resumed,
                            absl::Duration quiet_period, absl::Time now);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_SILENCE_H_
