// What edges say of last admissions with their acknowledgements, and what of it a receipt tells.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/mutation.h"
#include "base/proto_time.h"
#include "google/protobuf/util/time_util.h"
#include "service/feed/enforcement.h"
#include "service/feed/ledger_session.h"
#include "token/resource_name.h"
#include "token/token_string.h"

namespace tollgate {

using v1::Receipt;

namespace {

// What a Timestamp can hold, but for minutes: up to the year 9999.
constexpr int64_t kMaxTimestampSeconds = 253'402'300'000;
// Lost revisions told apart, of one session.
constexpr size_t kMaxLost = 16;
// Evidence older than this is in a use report too, by far: it may be forgotten.
constexpr absl::Duration kReportedAfter = absl::Minutes(2);

}  // namespace

void EnforcementLedger::Lose(int64_t first, int64_t last, Session* session) {
  std::vector<std::pair<int64_t, int64_t>>& lost = session->lost;
  // A mark that is sent again, or goes on where the last one ended.
  if (!lost.empty() && first <= lost.back().second + 1 && last + 1 >= lost.back().first) {
    lost.back().first = std::min(lost.back().first, first);
    lost.back().second = std::max(lost.back().second, last);
    return;
  }
  lost.emplace_back(first, last);
  if (lost.size() <= kMaxLost) return;
  lost[1].first = std::min(lost[0].first, lost[1].first);
  lost[1].second = std::max(lost[0].second, lost[1].second);
  lost.erase(lost.begin());
}

void EnforcementLedger::Remember(const tollgate::v1::Ping& ping, Session* session) {
  if (ping.lost_from_revision() > 0 && ping.lost_to_revision() >= ping.lost_from_revision()) {
    Lose(ping.lost_from_revision(), std::min(ping.lost_to_revision(), INT64_MAX - 1), session);
  }
  int left = kMaxDroppedInPing;
  for (const tollgate::v1::DroppedAdmit& dropped : ping.dropped()) {
    // The names are the peer's: none is kept that could be no token's (I5).
    if (!IsWorkspaceId(dropped.workspace()) || !IsPublicId(dropped.token_id())) continue;
    if (dropped.revision() <= 0 || dropped.revision() == INT64_MAX) continue;
    if (left-- <= 0) {  // of a validator that does not keep to the bound
      Lose(dropped.revision(), dropped.revision(), session);
      continue;
    }
    Evidence evidence{session->key, FormatTokenName(dropped.workspace(), dropped.token_id()),
                      dropped.revision(), now_, absl::nullopt};
    if (const int64_t at = dropped.last_admit_time().seconds();
        dropped.has_last_admit_time() && at >= 0 && at <= kMaxTimestampSeconds) {
      evidence.last_admit = FromProto(dropped.last_admit_time());
    }
    evidence_.push_back(std::move(evidence));
    if (evidence_.size() <= options_.max_evidence) continue;
    const Evidence& oldest = evidence_.front();
    if (now_ - oldest.at < kReportedAfter) {
      if (Session* of = Find(oldest.session)) Lose(oldest.revision, oldest.revision, of);
    }
    evidence_.pop_front();
  }
}

void EnforcementLedger::AddLastAdmits(const ReceiptQuestion& question,
                                      const std::vector<std::string>& unheard,
                                      Receipt* receipt) const {
  const std::string token = FormatTokenName(question.workspace, question.token_id);
  // One row an edge, whatever its processes said: the latest, and unknown where one has not said.
  std::map<std::string, v1::LastAdmit> edges;
  for (const std::string& edge : unheard) {
    if (!TOLLGATE_MUTATED("last_admit_guessed")) edges[edge].set_unknown(true);  // no guess is made
  }
  std::set<SessionId> said;
  for (const Evidence& evidence : evidence_) {
    if (evidence.revision != question.revision || evidence.token != token) continue;
    said.insert(evidence.session);
    v1::LastAdmit& admit = edges[evidence.session.validator_id];
    if (admit.unknown() || !evidence.last_admit.has_value()) continue;
    const google::protobuf::Timestamp last = ToProto(*evidence.last_admit);
    if (!admit.has_last_admit_time() ||
        std::make_pair(admit.last_admit_time().seconds(), admit.last_admit_time().nanos()) <
            std::make_pair(last.seconds(), last.nanos())) {
      *admit.mutable_last_admit_time() = last;
    }
  }
  for (const auto& [key, session] : sessions_) {
    if (session->lost.empty() || said.contains(key)) continue;
    for (const auto& [first, last] : session->lost) {
      if (question.revision < first || question.revision > last) continue;
      v1::LastAdmit& admit = edges[key.validator_id];
      admit.clear_last_admit_time();
      admit.set_unknown(true);
      break;
    }
  }
  for (auto& [edge, admit] : edges) {
    if (receipt->last_admits_size() >= kMaxNamedInReceipt) break;
    admit.set_token(token);
    admit.set_edge(edge);
    receipt->add_last_admits()->Swap(&admit);
  }
}

}  // namespace tollgate
