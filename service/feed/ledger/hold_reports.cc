#include "service/feed/ledger/hold_reports.h"

#include <algorithm>

#include "base/invariant.h"
#include "lease/limits.h"
#include "service/feed/ledger/last_admissions.h"
#include "token/field_rules.h"

namespace tollgate::service {

using v1::EdgeHolds;
using v1::EndedHolds;

namespace {

// No edge holds as many; so the sums of all rows stay far below what an int64 holds.
constexpr int64_t kMostHolds = int64_t{1} << 40;

int64_t Checked(int64_t count) { return std::clamp<int64_t>(count, 0, kMostHolds); }

}  // namespace

HoldReports::Report HoldReports::ReportOf(const EndedHolds& ended) {
  Report report;
  report.in_doubt = Checked(ended.in_doubt());
  report.told = Checked(ended.told());
  report.closed = Checked(ended.closed());
  report.silent = Checked(ended.silent());
  for (const std::string& name : ended.unanswered()) {
    if (report.unanswered.size() >= lease::kMaxUnansweredNamed) break;
    // The names come from the peer: a name that no holder can have is not kept (I5).
    if (token::CheckValidatorId(name, "unanswered").ok()) report.unanswered.push_back(name);
  }
  return report;
}

void HoldReports::Remember(const lease::SessionId& session, const v1::Ping& ping) {
  if (ping.ended_holds().empty()) return;
  const auto [it, added] = sessions_.try_emplace(session);
  Sessions::pointer of = &*it;
  if (added) {
    of->second.number = next_number_++;
    by_size_.emplace(std::make_pair(size_t{0}, of->second.number), of);
  }
  int left = lease::kMaxEndedHoldsInPing;
  for (const EndedHolds& ended : ping.ended_holds()) {
    if (left-- <= 0) break;  // of a validator that does not keep to the bound
    if (ended.revision() <= 0 || ended.revision() == INT64_MAX) continue;
    Set(of, ended.revision(), ReportOf(ended));
    if (of->second.size() > kMaxOfSession) RemoveOldest(of);
    if (rows_.size() > max_reports_) RemoveOldest(std::prev(by_size_.end())->second);
  }
  if (of->second.size() == 0) Forget(session);
}

void HoldReports::Set(Sessions::pointer of, int64_t revision, Report report) {
  Remove(of, revision);
  if (report.empty()) return;
  Session& session = of->second;
  by_size_.erase({session.size(), session.number});
  const bool open = report.open() > 0;
  (open ? session.open : session.settled).insert(revision);
  by_size_.emplace(std::make_pair(session.size(), session.number), of);
  rows_[{revision, session.number}] = {of, std::move(report)};
  if (open) CountOpen(revision);
}

void HoldReports::Remove(Sessions::pointer of, int64_t revision) {
  Session& session = of->second;
  if (rows_.erase({revision, session.number}) == 0) return;
  by_size_.erase({session.size(), session.number});
  const bool was_open = session.open.erase(revision) > 0;
  session.settled.erase(revision);
  by_size_.emplace(std::make_pair(session.size(), session.number), of);
  if (was_open) CountClosed(revision);
}

void HoldReports::RemoveOldest(Sessions::pointer of) {
  const Session& session = of->second;
  Remove(of, session.settled.empty() ? *session.open.begin() : *session.settled.begin());
}

void HoldReports::CountOpen(int64_t revision) { ++open_[revision]; }

void HoldReports::CountClosed(int64_t revision) {
  const auto open = open_.find(revision);
  TOLLGATE_INVARIANT(open != open_.end() && open->second > 0,
                     "a report with open holds is counted with its revision");
  if (--open->second > 0) return;
  open_.erase(open);
  ++closings_;
}

void HoldReports::EndWords(const lease::SessionId& session) {
  const auto it = sessions_.find(session);
  if (it == sessions_.end()) return;
  Session& ended = it->second;
  for (const int64_t revision : ended.open) {
    rows_.at({revision, ended.number}).report.gone = true;
    CountClosed(revision);
  }
  ended.settled.merge(ended.open);
  ended.open.clear();
}

void HoldReports::Forget(const lease::SessionId& session) {
  const auto it = sessions_.find(session);
  if (it == sessions_.end()) return;
  while (it->second.size() > 0) RemoveOldest(&*it);
  by_size_.erase({0, it->second.number});
  sessions_.erase(it);
}

void HoldReports::AddTo(int64_t revision, v1::Receipt* receipt) const {
  int64_t open = 0, closed = 0, silent = 0;
  std::vector<const Row*> rows;
  for (auto it = rows_.lower_bound({revision, 0}); it != rows_.end() && it->first.first == revision;
       ++it) {
    const Report& report = it->second.report;
    open += report.open();
    closed += report.closed;
    silent += report.silent_in_all();
    rows.push_back(&it->second);
  }
  if (rows.empty()) return;
  receipt->set_holds_open(open);
  receipt->set_holds_closed(closed);
  receipt->set_holds_silent(silent);
  const auto place = [](const Row* row) {
    const int kind = row->report.open() > 0 ? 0 : row->report.silent_in_all() > 0 ? 1 : 2;
    return std::make_pair(kind, &row->of->first);
  };
  std::sort(rows.begin(), rows.end(), [&place](const Row* a, const Row* b) {
    const auto [kind_a, session_a] = place(a);
    const auto [kind_b, session_b] = place(b);
    return kind_a != kind_b ? kind_a < kind_b : *session_a < *session_b;
  });
  if (rows.size() > kMaxNamedInReceipt) rows.resize(kMaxNamedInReceipt);
  for (const Row* row : rows) {
    EdgeHolds* edge = receipt->add_edge_holds();
    edge->set_edge(row->of->first.validator_id);
    edge->set_in_doubt(row->report.in_doubt);
    edge->set_told(row->report.told);
    edge->set_closed(row->report.closed);
    edge->set_silent(row->report.silent);
    for (const std::string& name : row->report.unanswered) edge->add_unanswered(name);
    edge->set_gone(row->report.gone);
  }
}

}  // namespace tollgate::service
