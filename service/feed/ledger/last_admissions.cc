#include "service/feed/ledger/last_admissions.h"

#include <algorithm>
#include <set>

#include "base/mutation.h"
#include "base/proto_time.h"
#include "token/resource_name.h"
#include "token/token_string.h"

namespace tollgate::service {

using v1::LastAdmit;
using v1::Receipt;

namespace {

// The latest time that a Timestamp holds, less some minutes: the end of the year 9999.
constexpr int64_t kMaxTimestampSeconds = 253'402'300'000;
// How many ranges of lost revisions are told apart for one session.
constexpr size_t kMaxLostRanges = 16;
// Older evidence may be forgotten: a use report has told the same long since.
constexpr absl::Duration kReportedAfter = absl::Minutes(2);

// The last admission in a peer's evidence; nullopt: there was none, or its time is impossible.
absl::optional<absl::Time> LastAdmitOf(const tollgate::v1::DroppedAdmit& dropped) {
  const int64_t seconds = dropped.last_admit_time().seconds();
  if (!dropped.has_last_admit_time() || seconds < 0 || seconds > kMaxTimestampSeconds) {
    return absl::nullopt;
  }
  return base::FromProto(dropped.last_admit_time());
}

// One edge. Several of its sessions and reports may tell of it.
struct Edge {
  absl::Time last = absl::InfinitePast();  // never
  bool unknown = false;

  void Fill(absl::string_view token, const std::string& name, LastAdmit* row) const {
    row->set_token(std::string(token));
    row->set_edge(name);
    if (unknown) {
      row->set_unknown(true);
    } else if (last > absl::InfinitePast()) {
      *row->mutable_last_admit_time() = base::ToProto(last);
    }
  }
};

}  // namespace

void LastAdmissions::LostRevisions::Add(int64_t first, int64_t last) {
  // A range that is sent again, or that continues the last one.
  if (!ranges_.empty() && first <= ranges_.back().second + 1 && last + 1 >= ranges_.back().first) {
    ranges_.back().first = std::min(ranges_.back().first, first);
    ranges_.back().second = std::max(ranges_.back().second, last);
    return;
  }
  ranges_.emplace_back(first, last);
  if (ranges_.size() <= kMaxLostRanges) return;
  ranges_[1].first = std::min(ranges_[0].first, ranges_[1].first);
  ranges_[1].second = std::max(ranges_[0].second, ranges_[1].second);
  ranges_.erase(ranges_.begin());
}

bool LastAdmissions::LostRevisions::Contains(int64_t revision) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [revision](const auto& range) {
    return range.first <= revision && revision <= range.second;
  });
}

void LastAdmissions::Remember(const lease::SessionId& session, const tollgate::v1::Ping& ping,
                              base::BootTime now) {
  const bool lost =
      ping.lost_from_revision() > 0 && ping.lost_to_revision() >= ping.lost_from_revision();
  if (!lost && ping.dropped().empty()) return;
  LostRevisions& lost_of_session = lost_[session];
  if (lost) {
    lost_of_session.Add(ping.lost_from_revision(),
                        std::min(ping.lost_to_revision(), INT64_MAX - 1));
  }
  int left = lease::kMaxDroppedInPing;
  for (const tollgate::v1::DroppedAdmit& dropped : ping.dropped()) {
    // The names come from the peer: a name that no token can have is not kept (I5).
    if (!token::IsWorkspaceId(dropped.workspace()) || !token::IsPublicId(dropped.token_id()))
      continue;
    if (dropped.revision() <= 0 || dropped.revision() == INT64_MAX) continue;
    if (left-- <= 0) {  // of a validator that does not keep to the bound
      lost_of_session.Add(dropped.revision(), dropped.revision());
      continue;
    }
    evidence_.push_back({session, token::FormatTokenName(dropped.workspace(), dropped.token_id()),
                         dropped.revision(), now, LastAdmitOf(dropped)});
    if (evidence_.size() <= max_evidence_) continue;
    const Evidence& oldest = evidence_.front();
    if (now - oldest.at < kReportedAfter) {
      const auto of = lost_.find(oldest.session);
      if (of != lost_.end()) of->second.Add(oldest.revision, oldest.revision);
    }
    evidence_.pop_front();
  }
}

std::vector<LastAdmit> LastAdmissions::RowsOf(int64_t revision, absl::string_view workspace,
                                              absl::string_view token_id,
                                              const std::vector<std::string>& unheard) const {
  const std::string token = token::FormatTokenName(workspace, token_id);
  std::map<std::string, Edge> edges;
  for (const std::string& edge : unheard) {
    if (!TOLLGATE_MUTATED("last_admit_guessed")) edges[edge].unknown = true;  // no guess is made
  }
  std::set<lease::SessionId> said;
  for (const Evidence& evidence : evidence_) {
    if (evidence.revision != revision || evidence.token != token) continue;
    said.insert(evidence.session);
    Edge& edge = edges[evidence.session.validator_id];
    if (evidence.last_admit.has_value()) edge.last = std::max(edge.last, *evidence.last_admit);
  }
  for (const auto& [session, lost] : lost_) {
    if (!said.contains(session) && lost.Contains(revision)) {
      edges[session.validator_id].unknown = true;
    }
  }
  std::vector<LastAdmit> rows;
  for (const auto& [name, edge] : edges) {
    if (rows.size() >= kMaxNamedInReceipt) break;
    edge.Fill(token, name, &rows.emplace_back());
  }
  return rows;
}

void CompleteLastAdmits(absl::string_view token, const std::vector<EdgeUseRow>& uses,
                        const std::vector<SilenceEvidence::Gap>& gaps, absl::Time created,
                        Receipt* receipt) {
  std::map<std::string, Edge> edges;
  for (const LastAdmit& admit : receipt->last_admits()) {
    Edge& edge = edges[admit.edge()];
    edge.unknown |= admit.unknown();
    if (admit.has_last_admit_time()) {
      edge.last = std::max(edge.last, base::FromProto(admit.last_admit_time()));
    }
  }
  for (const EdgeUseRow& use : uses) {
    Edge& edge = edges[use.edge];
    edge.last = std::max(edge.last, use.last_used);
  }
  absl::Time latest = created;
  for (const auto& [name, edge] : edges) latest = std::max(latest, edge.last);
  for (const SilenceEvidence::Gap& gap : gaps) {
    if (gap.until > latest) edges[gap.edge].unknown = true;
  }

  std::vector<std::pair<std::string, Edge>> rows(edges.begin(), edges.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    if (a.second.unknown != b.second.unknown) return b.second.unknown;
    return !a.second.unknown && a.second.last > b.second.last;
  });
  if (rows.size() > kMaxNamedInReceipt) rows.resize(kMaxNamedInReceipt);
  receipt->clear_last_admits();
  for (const auto& [name, edge] : rows) edge.Fill(token, name, receipt->add_last_admits());
}

void KeepUnknownLastAdmits(Receipt* receipt) {
  auto* admits = receipt->mutable_last_admits();
  admits->erase(std::remove_if(admits->begin(), admits->end(),
                               [](const LastAdmit& admit) { return !admit.unknown(); }),
                admits->end());
}

}  // namespace tollgate::service
