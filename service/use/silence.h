// Whether a rotated token has fallen silent, judged from use records and from how far edges have
// been heard. Pure.
#ifndef TOLLGATE_SERVICE_USE_SILENCE_H_
#define TOLLGATE_SERVICE_USE_SILENCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "storage/engine.h"

namespace tollgate::service {

// What the edges have reported, as of one moment (Coverage::Evidence). All times by the service's
// wall clock. The default has heard nothing: with it no token is silent.
struct SilenceEvidence {
  // An edge that may be admitting now and whose reports lag. It counts as not heard, never as
  // quiet.
  struct Unheard {
    std::string edge;
    absl::Time heard_until;  // everything that it admitted before this is known
  };
  // A session of an edge that ended without a last report: it may have admitted anything until
  // then.
  struct Gap {
    std::string edge;
    absl::Time until;
  };

  // The store has everything that was admitted anywhere before this moment, but for `gaps`.
  absl::Time heard_until = absl::InfinitePast();
  std::vector<Unheard> unheard;
  std::vector<Gap> gaps;
  // From when on gaps are known. They are kept in memory: this is when the service started.
  absl::Time gaps_since = absl::InfinitePast();
};

// One token's use at one edge, as stored.
struct EdgeUseRow {
  std::string edge;
  absl::Time last_used;
  int64_t count = 0;
  int64_t count_today = 0;  // of the day of `now`
};
// The day (UTC) of a moment, as UseRecord.day has it.
int64_t UseDayOf(absl::Time time);

// The edge of the row for all edges that have no name any more. No validator's id holds parentheses
// or spaces.
inline constexpr char kEarlierEdges[] = "(earlier edges)";
// The most edges that one answer names.
inline constexpr size_t kMaxNamedEdges = 100;

// The latest `most` rows by name, and one last row that sums up the others, with the rows folded
// before. `rows` are latest first.
std::vector<EdgeUseRow> NameLatestEdges(std::vector<EdgeUseRow> rows, size_t most = kMaxNamedEdges);

// Everything that edges have reported of a token: its use, and the attempts that they refused. In
// order of the edges' names. DATA_LOSS; else the view's.
struct EdgeReport {
  std::string edge;
  tollgate::store::v1::UseRecord record;
};
absl::StatusOr<std::vector<EdgeReport>> ReadEdgeReports(const storage::View& view,
                                                        absl::string_view workspace,
                                                        absl::string_view token_id);
// Of the reports the use, latest first. An edge that has only refused the token has no row.
std::vector<EdgeUseRow> UsesIn(const std::vector<EdgeReport>& reports, absl::Time now);
// A token's use by edge, latest first. `now` says which day is today (UTC).
absl::StatusOr<std::vector<EdgeUseRow>> ReadUses(const storage::View& view,
                                                 absl::string_view workspace,
                                                 absl::string_view token_id, absl::Time now);

// The verdict on a rotated token.
struct SilenceVerdict {
  enum class Kind {
    kSilent,                // the replacement is in use, and no edge uses the old token
    kInUse,                 // used within the quiet period; `edges` says where
    kReplacementNeverSeen,  // no edge has seen the replacement
    kNotHeard,              // `edges` may have used it, and have not reported
    kResumedLately,  // it was suspended within the quiet period, so its silence proves nothing
  };
  Kind kind = Kind::kNotHeard;
  // kInUse: latest first. kNotHeard: empty where nothing has been heard yet.
  std::vector<std::string> edges;
  // kInUse: the latest use.
  absl::Time last_used = absl::InfinitePast();
  int64_t count_today = 0;
};

// Whether it is known that no edge admitted a token between its creation and `until`: none has
// reported a use, each has been heard up to there, and no edge can have gone without a word since
// the creation, which is known only of the time since the service started. `jump`: the service's
// time was last moved forward to then, so when anything before it was is not known.
bool KnownUnused(const std::vector<EdgeUseRow>& uses, const SilenceEvidence& evidence,
                 absl::Time created, absl::Time until, absl::Time jump);

// A rotated token is silent when the replacement has been seen in use *and* no edge has used the
// old token for the quiet period. The period ends where hearing ends, because what was not heard
// does not count as quiet. It begins after `resumed` (InfinitePast: never), because a suspended
// token was silent for being suspended. Judged in this order: in use, replacement never seen, not
// heard, resumed lately.
SilenceVerdict JudgeSilence(const std::vector<EdgeUseRow>& old_uses,
                            const std::vector<EdgeUseRow>& replacement_uses,
                            const SilenceEvidence& evidence, absl::Time resumed,
                            absl::Duration quiet_period, absl::Time now);

// When and where a token was last used, for an audit entry: `last_used_time`, `last_used_edge`.
// None where `uses` (latest first) are none.
std::vector<std::pair<std::string, std::string>> LastUseFacts(const std::vector<EdgeUseRow>& uses);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_USE_SILENCE_H_
