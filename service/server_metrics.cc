#include "service/server_metrics.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "base/proto_time.h"
#include "base/version.h"
#include "service/feed/ledger/fleet.h"

namespace tollgate::service {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

// From a fifth of a millisecond (a commit on a fast disk) to a minute (a lease that had to run
// out).
const prometheus::Histogram::BucketBoundaries& Seconds() {
  static const auto& bounds = *new prometheus::Histogram::BucketBoundaries{
      0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
      0.2,    0.5,    1,     2,     5,     10,   20,   40,   60};
  return bounds;
}

prometheus::Counter* Counter(prometheus::Registry& r, const char* name, const char* help) {
  return &BuildCounter().Name(name).Help(help).Register(r).Add({});
}
prometheus::Gauge* Gauge(prometheus::Registry& r, const char* name, const char* help) {
  return &BuildGauge().Name(name).Help(help).Register(r).Add({});
}
prometheus::Histogram* Histogram(prometheus::Registry& r, const char* name, const char* help,
                                 const prometheus::Histogram::BucketBoundaries& bounds) {
  return &BuildHistogram().Name(name).Help(help).Register(r).Add({}, bounds);
}

const char* CodeName(absl::StatusCode code) {
  static const char* const kNames[] = {"OK",
                                       "CANCELLED",
                                       "UNKNOWN",
                                       "INVALID_ARGUMENT",
                                       "DEADLINE_EXCEEDED",
                                       "NOT_FOUND",
                                       "ALREADY_EXISTS",
                                       "PERMISSION_DENIED",
                                       "RESOURCE_EXHAUSTED",
                                       "FAILED_PRECONDITION",
                                       "ABORTED",
                                       "OUT_OF_RANGE",
                                       "UNIMPLEMENTED",
                                       "INTERNAL",
                                       "UNAVAILABLE",
                                       "DATA_LOSS",
                                       "UNAUTHENTICATED"};
  const size_t i = static_cast<size_t>(code);
  return i < 17 ? kNames[i] : "UNKNOWN";
}

// What edges report (use/attempts.h): refusals of a token that the service knows.
constexpr tollgate::v1::VerdictReason kRefusals[] = {
    tollgate::v1::VERDICT_REASON_REVOKED,        tollgate::v1::VERDICT_REASON_EXPIRED,
    tollgate::v1::VERDICT_REASON_SUSPENDED,      tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE,
    tollgate::v1::VERDICT_REASON_WRONG_AUDIENCE, tollgate::v1::VERDICT_REASON_WRONG_WORKSPACE};

// `VERDICT_REASON_REVOKED`: "revoked".
std::string ReasonLabel(tollgate::v1::VerdictReason reason) {
  const std::string& full = tollgate::v1::VerdictReason_Name(reason);
  return absl::AsciiStrToLower(absl::StripPrefix(full, "VERDICT_REASON_"));
}

void MoveOn(prometheus::Counter* counter, int64_t before, int64_t now) {
  if (now > before) counter->Increment(static_cast<double>(now - before));
}

}  // namespace

void FreshRegistry::SetRefresh(std::function<std::vector<prometheus::MetricFamily>()> refresh) {
  absl::MutexLock lock(&mu_);
  refresh_ = std::move(refresh);
}

std::vector<prometheus::MetricFamily> FreshRegistry::Collect() const {
  std::vector<prometheus::MetricFamily> more;
  {
    absl::MutexLock lock(&mu_);
    if (refresh_) more = refresh_();
  }
  std::vector<prometheus::MetricFamily> all = prometheus::Registry::Collect();
  for (prometheus::MetricFamily& family : more) all.push_back(std::move(family));
  return all;
}

void MethodMetrics::Count(absl::StatusCode code, absl::Duration took) {
  size_t i = static_cast<size_t>(code);
  if (i >= by_code_.size()) i = static_cast<size_t>(absl::StatusCode::kUnknown);
  prometheus::Counter* counter = by_code_[i].load(std::memory_order_acquire);
  if (counter == nullptr) {  // two threads may both come here: Add gives both the same
    counter = &calls_->Add({{"method", method_}, {"code", CodeName(code)}});
    by_code_[i].store(counter, std::memory_order_release);
  }
  counter->Increment();
  seconds_->Observe(absl::ToDoubleSeconds(took));
}

ServerMetrics::ServerMetrics(prometheus::Registry& r)
    : commits_(Counter(r, "tollgate_commits_total", "Commits written to the store")),
      commands_(&BuildCounter()
                     .Name("tollgate_commands_total")
                     .Help("Commands judged, by name and code")
                     .Register(r)),
      commit_commands_(Histogram(r, "tollgate_commit_commands",
                                 "Commands that went into one commit",
                                 {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000})),
      commit_seconds_(Histogram(r, "tollgate_commit_seconds", "What a commit's write and sync took",
                                Seconds())),
      head_revision_(Gauge(r, "tollgate_head_revision", "The newest durable revision")),
      enforced_revision_(
          Gauge(r, "tollgate_enforced_revision", "The highest revision declared enforced")),
      followers_(Gauge(r, "tollgate_followers", "Validators that follow the feed now")),
      live_sessions_(Gauge(r, "tollgate_live_sessions",
                           "Sessions that hold or may hold a lease, connected or not")),
      pending_(Gauge(r, "tollgate_pending_validators", "Validators that the head still waits for")),
      holds_open_(Gauge(r, "tollgate_holds_open",
                        "Holds open at validators that may hold a lease, as they last said")),
      waiting_(Gauge(r, "tollgate_enforcement_waits", "Calls that wait for enforcement now")),
      ring_bytes_(Gauge(r, "tollgate_event_ring_bytes", "Events held in memory for the feed")),
      rolled_back_(
          Gauge(r, "tollgate_store_rolled_back",
                "1 when a validator has proven that the store was put back, or is a copy")),
      grants_(Counter(r, "tollgate_leases_granted_total", "Pongs that granted a lease")),
      grants_refused_(
          Counter(r, "tollgate_leases_refused_total", "Pongs that could not grant a lease")),
      lapses_(Counter(r, "tollgate_leases_lapsed_total", "Sessions whose lease ran out")),
      resets_(Counter(r, "tollgate_follower_resets_total", "Followers that had to start anew")),
      resumes_(
          Counter(r, "tollgate_follower_resumes_total", "Followers that went on where they were")),
      strangers_(Counter(r, "tollgate_followers_of_another_history_total",
                         "Hellos refused because the validator's past is not this store's")),
      cut_(Counter(r, "tollgate_followers_cut_total",
                   "Streams ended for not reading or not progressing")),
      enforced_seconds_(Histogram(r, "tollgate_enforced_seconds",
                                  "From a change's commit until it was enforced", Seconds())),
      use_reports_(Counter(r, "tollgate_use_reports_total", "Use records taken from validators")),
      sweep_lag_seconds_(Gauge(r, "tollgate_sweep_lag_seconds",
                               "How late the oldest due entry was at the last sweep")),
      swept_(Counter(r, "tollgate_swept_total", "Due entries that the sweep has dealt with")),
      store_errors_(Counter(r, "tollgate_store_errors_total", "Reads or writes that failed")),
      mark_errors_(Counter(r, "tollgate_store_mark_errors_total",
                           "Commits that the head mark beside the journal could not be told of")),
      clock_in_doubt_(Gauge(r, "tollgate_clock_in_doubt",
                            "1 while the wall clock of the service's machine is not trusted")),
      clock_offset_seconds_(
          Gauge(r, "tollgate_clock_offset_seconds",
                "The wall clock of the service's machine less the service's time")),
      rpcs_(&BuildCounter()
                 .Name("tollgate_rpcs_total")
                 .Help("RPCs answered, by method and code")
                 .Register(r)),
      rpc_seconds_(&BuildHistogram()
                        .Name("tollgate_rpc_seconds")
                        .Help("What an RPC took, waits for enforcement included")
                        .Register(r)) {
  BuildGauge()
      .Name("tollgate_build_info")
      .Help("The build; always 1")
      .Register(r)
      .Add({{"version", base::kVersion}})
      .Set(1);
  auto& refused =
      BuildCounter()
          .Name("tollgate_refused_attempts_total")
          .Help("Attempts on known tokens that validators have reported as refused, by reason")
          .Register(r);
  for (const tollgate::v1::VerdictReason reason : kRefusals) {
    refused_attempts_[static_cast<size_t>(reason)] =
        &refused.Add({{"reason", ReasonLabel(reason)}});
  }
  auto& validators =
      BuildGauge().Name("tollgate_validators").Help("Validators, by how they stand").Register(r);
  for (const auto& [state, count] : CountStates({})) {
    if (state == tollgate::v1::VALIDATOR_STATE_RELEASED) continue;
    validators_[state] = &validators.Add({{"state", std::string(ValidatorStateName(state))}});
  }
}

void ServerMetrics::OnCommit(int64_t revision, size_t commands, absl::Duration write) {
  commits_->Increment();
  commit_commands_->Observe(static_cast<double>(commands));
  commit_seconds_->Observe(absl::ToDoubleSeconds(write));
  head_revision_->Set(static_cast<double>(revision));
}

void ServerMetrics::OnCommand(absl::string_view command, absl::StatusCode code) {
  commands_->Add({{"command", std::string(command)}, {"code", CodeName(code)}}).Increment();
}

void ServerMetrics::OnEnforced(absl::Duration took) {
  enforced_seconds_->Observe(absl::ToDoubleSeconds(took));
}

void ServerMetrics::OnSweep(absl::Duration lag, int64_t done) {
  sweep_lag_seconds_->Set(absl::ToDoubleSeconds(lag));
  if (done > 0) swept_->Increment(static_cast<double>(done));
}

void ServerMetrics::OnUseReports(int64_t count) {
  if (count > 0) use_reports_->Increment(static_cast<double>(count));
}

void ServerMetrics::OnRefusedAttempts(tollgate::v1::VerdictReason reason, int64_t count) {
  const auto i = static_cast<size_t>(reason);  // a negative number becomes a large one
  if (i >= refused_attempts_.size() || refused_attempts_[i] == nullptr || count <= 0) return;
  refused_attempts_[i]->Increment(static_cast<double>(count));
}

void ServerMetrics::SetMarkErrors(int64_t count) {
  absl::MutexLock lock(&mu_);
  mark_errors_->Increment(static_cast<double>(count - last_mark_errors_));
  last_mark_errors_ = count;
}

void ServerMetrics::OnStoreError() { store_errors_->Increment(); }

void ServerMetrics::SetFeed(const Hub::Stats& stats) {
  absl::MutexLock lock(&mu_);
  head_revision_->Set(static_cast<double>(stats.head));
  enforced_revision_->Set(static_cast<double>(stats.enforced));
  followers_->Set(static_cast<double>(stats.followers));
  live_sessions_->Set(static_cast<double>(stats.live_sessions));
  pending_->Set(static_cast<double>(stats.pending_sessions));
  waiting_->Set(static_cast<double>(stats.waiting));
  ring_bytes_->Set(static_cast<double>(stats.ring_bytes));
  rolled_back_->Set(stats.rolled_back ? 1 : 0);
  MoveOn(grants_, last_feed_.grants, stats.grants);
  MoveOn(grants_refused_, last_feed_.grants_refused, stats.grants_refused);
  MoveOn(lapses_, last_feed_.lapses, stats.lapses);
  MoveOn(resets_, last_feed_.resets, stats.resets);
  MoveOn(resumes_, last_feed_.resumes, stats.resumes);
  MoveOn(strangers_, last_feed_.strangers, stats.strangers);
  MoveOn(cut_, last_feed_.cut, stats.cut);
  last_feed_ = stats;
}

void ServerMetrics::SetFleet(const std::vector<SessionView>& fleet) {
  for (const auto& [state, count] : CountStates(fleet)) {
    if (validators_[state] != nullptr) validators_[state]->Set(count);
  }
  int64_t open_holds = 0;
  for (const SessionView& session : fleet) {
    if (session.live) open_holds += session.open_holds;
  }
  holds_open_->Set(static_cast<double>(open_holds));
}

void ServerMetrics::SetClock(const tollgate::v1::Clock& clock) {
  clock_in_doubt_->Set(clock.doubt() == tollgate::v1::CLOCK_DOUBT_UNSPECIFIED ? 0 : 1);
  clock_offset_seconds_->Set(absl::ToDoubleSeconds(base::FromProto(clock.wall_time()) -
                                                   base::FromProto(clock.service_time())));
}

MethodMetrics* ServerMetrics::Method(absl::string_view method) {
  absl::MutexLock lock(&mu_);
  std::unique_ptr<MethodMetrics>& slot = methods_[std::string(method)];
  if (slot == nullptr) {
    slot = std::make_unique<MethodMetrics>(
        std::string(method), rpcs_,
        &rpc_seconds_->Add({{"method", std::string(method)}}, Seconds()));
  }
  return slot.get();
}

}  // namespace tollgate::service
