#include "validator/shells/edge_metrics.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "base/version.h"
#include "net/metric_page.h"

namespace tollgate::validator {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using tollgate::v1::VerdictReason;

prometheus::Histogram* ResolveSeconds(prometheus::Registry& registry) {
  return &prometheus::BuildHistogram()
              .Name("tollgate_validator_resolve_seconds")
              .Help("How long the service took to answer a question")
              .Register(registry)
              .Add({}, prometheus::Histogram::BucketBoundaries{0.0005, 0.001, 0.002, 0.005, 0.01,
                                                               0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5});
}

bool IsUnavailable(int reason) {
  return reason == tollgate::v1::VERDICT_REASON_NO_LEASE ||
         reason == tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE ||
         reason == tollgate::v1::VERDICT_REASON_OVERLOADED;
}

void WriteDecisions(const DecisionTotals& totals, net::MetricPage* page) {
  page->Family("tollgate_validator_decisions_total",
               "Decisions, by verdict and reason; `fail_open`: admitted without a live lease",
               MetricType::Counter);
  page->Value(static_cast<double>(totals.admitted - totals.admitted_fail_open),
              {{"verdict", "admit"}, {"reason", "none"}});
  page->Value(static_cast<double>(totals.admitted_fail_open),
              {{"verdict", "admit"}, {"reason", "fail_open"}});
  for (int i = 1; i < static_cast<int>(totals.refused.size()); ++i) {
    page->Value(
        static_cast<double>(totals.refused[static_cast<size_t>(i)]),
        {{"verdict", IsUnavailable(i) ? "unavailable" : "deny"}, {"reason", ReasonLabel(i)}});
  }
  page->Counter("tollgate_validator_fail_open_admissions_total",
                "Admissions without a live lease, by the fail-open policy",
                totals.admitted_fail_open);
  page->Counter("tollgate_validator_cache_hits_total",
                "Decisions that needed no question to the service", totals.from_memory);
  page->Counter("tollgate_validator_cache_misses_total", "Checks that had to ask the service",
                totals.misses);
}

void WriteStatus(const ValidatorStatus& s, net::MetricPage* page) {
  page->Gauge("tollgate_validator_cache_entries", "Tokens held in memory",
              static_cast<double>(s.cached_tokens));
  page->Gauge("tollgate_validator_unknown_entries", "Strings held as known to be no token",
              static_cast<double>(s.cached_unknown));
  page->Counter("tollgate_validator_cache_evictions_total",
                "Entries that were put out for want of room", s.evictions);
  page->Gauge("tollgate_validator_resolve_in_flight", "Questions under way",
              static_cast<double>(s.questions_in_flight));
  page->Counter("tollgate_validator_overtaken_answers_total",
                "Answers not used because an event had overtaken them", s.overtaken_answers);
  page->Counter("tollgate_validator_use_lost_total",
                "Uses that were dropped because too many waited for a report", s.unreported_lost);
  page->Counter("tollgate_validator_attempts_reported_total",
                "Refused attempts on known tokens that the service has been told of",
                s.attempts_reported);
  page->Counter("tollgate_validator_attempts_left_out_total",
                "Refused attempts on known tokens that were left out of the reports because too "
                "many tokens were tried",
                s.attempts_left_out);
  page->Gauge("tollgate_validator_lease_live", "1 with a live lease, else 0",
              s.lease == LeaseState::kLive ? 1 : 0);
  page->Gauge("tollgate_validator_lease_remaining_seconds", "What is left of the lease",
              std::max(0.0, absl::ToDoubleSeconds(s.lease_left)));
  page->Gauge("tollgate_validator_fail_open", "1 while it admits without a lease",
              s.lease == LeaseState::kFailOpen ? 1 : 0);
  page->Gauge("tollgate_validator_service_silent_seconds",
              "Since the service was last heard, or since the start",
              absl::ToDoubleSeconds(s.silence));
  page->Gauge("tollgate_validator_following", "1 while it follows the service's feed",
              s.follower.phase == FollowerStatus::Phase::kFollowing ? 1 : 0);
  page->Gauge("tollgate_validator_applied_revision", "The revision that it has applied",
              static_cast<double>(s.follower.applied_revision));
  page->Counter("tollgate_validator_resets_total", "Times that it had to begin anew",
                s.follower.resets);
  page->Counter("tollgate_validator_reconnects_total",
                "Times that it tried to open a stream, after the first",
                std::max<int64_t>(s.follower.streams - 1, 0));
  page->Counter("tollgate_validator_unknown_events_total",
                "Events of a kind that this build does not know; each drops everything",
                s.follower.unknown_events);
}

void WriteHolds(const HoldTotals& totals, net::MetricPage* page) {
  page->Gauge("tollgate_validator_holders", "Streams of holders",
              static_cast<double>(totals.holders));
  page->Gauge("tollgate_validator_holds_open", "What is held open because a token was admitted",
              static_cast<double>(totals.open));
  page->Gauge("tollgate_validator_holds_in_doubt",
              "Of those, what an event may be about; the service is being asked",
              static_cast<double>(totals.in_doubt));
  page->Gauge("tollgate_validator_holds_uncovered",
              "What is held open though the lease has run out (--holds-outlive-lease)",
              static_cast<double>(totals.uncovered));
  page->Counter("tollgate_validator_holds_opened_total", "Holds that were opened", totals.opened);
  page->Family("tollgate_validator_holds_ended_total",
               "Holds that ended, by reason; `closed`: by their holder", MetricType::Counter);
  page->Value(static_cast<double>(totals.closed), {{"reason", "closed"}});
  for (size_t i = 1; i < totals.ended.size(); ++i) {
    page->Value(static_cast<double>(totals.ended[i]),
                {{"reason", ReasonLabel(static_cast<int>(i))}});
  }
}

}  // namespace

std::string ReasonLabel(int reason) {
  if (reason == tollgate::v1::VERDICT_REASON_UNSPECIFIED) return "none";
  const std::string& full = tollgate::v1::VerdictReason_Name(static_cast<VerdictReason>(reason));
  absl::string_view name = full;
  absl::ConsumePrefix(&name, "VERDICT_REASON_");
  return absl::AsciiStrToLower(name);
}

EdgeMetrics::EdgeMetrics(const Validator* validator)
    : resolve_seconds_(ResolveSeconds(*this)), validator_(validator) {}

void EdgeMetrics::OnResolve(absl::StatusCode code, absl::Duration took) {
  resolve_seconds_->Observe(absl::ToDoubleSeconds(took));
  if (code == absl::StatusCode::kOk) return;
  const size_t i = static_cast<size_t>(code);
  resolve_errors_[i < resolve_errors_.size() ? i : static_cast<size_t>(absl::StatusCode::kUnknown)]
      .fetch_add(1, std::memory_order_relaxed);
}

void EdgeMetrics::Detach() {
  absl::MutexLock lock(&mu_);
  validator_ = nullptr;
}

std::vector<MetricFamily> EdgeMetrics::Collect() const {
  std::vector<MetricFamily> out = prometheus::Registry::Collect();
  net::MetricPage page(&out);
  page.Family("tollgate_validator_build_info", "The build; always 1", MetricType::Gauge);
  page.Value(1, {{"version", base::kVersion}});
  page.Family("tollgate_validator_resolve_errors_total", "Questions without an answer, by code",
              MetricType::Counter);
  for (size_t i = 1; i < resolve_errors_.size(); ++i) {
    const int64_t count = resolve_errors_[i].load(std::memory_order_relaxed);
    // The two usual ones are there from the start, so that a rate of them is never absent.
    if (count == 0 && i != static_cast<size_t>(absl::StatusCode::kUnavailable) &&
        i != static_cast<size_t>(absl::StatusCode::kDeadlineExceeded)) {
      continue;
    }
    page.Value(static_cast<double>(count),
               {{"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(i))}});
  }
  absl::MutexLock lock(&mu_);
  if (validator_ == nullptr) return out;
  WriteDecisions(validator_->Totals(), &page);
  WriteStatus(validator_->Status(), &page);
  WriteHolds(validator_->holds().Totals(), &page);
  CollectMore(&out);
  return out;
}

}  // namespace tollgate::validator
