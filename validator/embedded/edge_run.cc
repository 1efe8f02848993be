#include "validator/embedded/edge_run.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "prometheus/text_serializer.h"
#include "validator/embedded/fork_guard.h"
#include "validator/shells/edge_options.h"
#include "validator/shells/service_route.h"

namespace tollgate::edge {
namespace {

using Milliseconds = std::chrono::milliseconds;

// How late the log may tell that a lease has begun or ended; decisions read it themselves.
constexpr Milliseconds kWatchInterval(100);

constexpr int64_t kMostHolds = 1'000'000;

// How Options calls them.
validator::RouteWords OptionNames() {
  return {
      .ways_out = " Set service_tls or service_ca, or, knowing the risk, allow_plaintext.",
      .address = "Options::service",
      .trust = "service_ca",
      .certificate = "service_cert and service_key",
      .name = "service_host_name or service_spiffe_id",
  };
}

validator::EdgeOptions EdgeOptionsOf(const Options& o) {
  validator::EdgeOptions edge;
  edge.id = o.id;
  edge.service = o.service;
  edge.service_tls = o.service_tls;
  edge.service_ca = o.service_ca;
  edge.service_cert = o.service_cert;
  edge.service_key = o.service_key;
  edge.service_spiffe_id = o.service_spiffe_id;
  edge.service_host_name = o.service_host_name;
  edge.allow_plaintext = o.allow_plaintext;
  if (o.fail_open) edge.stale_policy = tollgate::v1::STALE_POLICY_FAIL_OPEN;
  edge.fail_open_for = absl::FromChrono(o.fail_open_for);
  edge.drift_bound = o.drift_bound;
  edge.cache_entries = o.cache_entries;
  edge.unknown_entries = o.unknown_entries;
  edge.max_questions = o.max_questions;
  edge.max_waiting = o.max_waiting;
  edge.resolve_timeout = absl::FromChrono(o.resolve_timeout);
  edge.longest_backoff = absl::FromChrono(o.longest_backoff);
  edge.brand = o.brand;
  return edge;
}

HostLog::Callback ForHost(LogCallback callback) {
  if (!callback) return nullptr;
  return [callback = std::move(callback)](base::LogLevel level, absl::string_view line) {
    callback(static_cast<LogLevel>(level), std::string_view(line.data(), line.size()));
  };
}

}  // namespace

std::chrono::steady_clock::time_point AtMostUntil(Milliseconds limit) {
  return std::chrono::steady_clock::now() +
         std::clamp(limit, Milliseconds(0), Milliseconds(std::chrono::hours(24)));
}

absl::StatusOr<std::unique_ptr<EdgeRun>> EdgeRun::Start(const Options& options,
                                                        std::shared_ptr<const ForkMark> mark) {
  std::unique_ptr<EdgeRun> run(new EdgeRun(options.id));
  RETURN_IF_ERROR(run->Begin(options, std::move(mark)));
  return run;
}

EdgeRun::~EdgeRun() { Stop(Milliseconds(0)); }

absl::Status EdgeRun::Begin(const Options& chosen, std::shared_ptr<const ForkMark> mark) {
  const base::Clock& clock = base::SystemClock();
  const validator::EdgeOptions options = EdgeOptionsOf(chosen);
  ASSIGN_OR_RETURN(validator::ValidatorOptions core, validator::CoreOptionsOf(options));
  if (chosen.max_holds < 0 || chosen.max_holds > kMostHolds) {
    return base::RefuseField("OUT_OF_RANGE", "max_holds",
                             absl::StrCat("must be 0 to ", kMostHolds));
  }
  // One holder has at most half of the core's, and there is one.
  core.holds.most = static_cast<size_t>(2 * chosen.max_holds);
  ASSIGN_OR_RETURN(
      validator_, validator::Validator::Create(std::move(core), clock, base::SystemRandom(),
                                               [this](const tollgate::v1::ResolveRequest& request,
                                                      validator::ResolveClient::Callback callback) {
                                                 resolve_->Ask(request, std::move(callback));
                                               }));
  ASSIGN_OR_RETURN(const validator::ServiceRoute route,
                   validator::ServiceRoute::For(options, OptionNames()));
  // Whatever can be refused has been, without gRPC: after a refused start a fork may start an edge.
  NoteGrpcRuns();
  log_ = std::make_unique<HostLog>(ForHost(chosen.log));
  if (chosen.max_holds > 0) {
    holds_ = EdgeHolds::Start(validator_, std::move(mark), static_cast<size_t>(chosen.max_holds));
  }
  metrics_ = std::make_shared<validator::EdgeMetrics>(validator_.get());
  resolve_ = validator::ResolveClient::Create(
      route.NewChannel(), options.resolve_timeout, &clock,
      [metrics = metrics_](absl::StatusCode code, absl::Duration took) {
        metrics->OnResolve(code, took);
      });
  reach_ = std::make_unique<validator::ServiceReach>(validator::ServiceReach::Options{
      [route](const absl::Status& ended, const net::Interruption& stop) {
        return route.Look(ended, stop);
      },
      validator_.get(), &clock, &base::SystemRandom(), route.service(),
      validator::OutageOptions()});
  link_ = validator::Link::Start({validator_.get(), &clock, [route] { return route.NewChannel(); },
                                  [this] { resolve_->Reconnect(); }, reach_.get()});
  watch_ = std::thread([this] { Watch(); });
  return absl::OkStatus();
}

std::string EdgeRun::Metrics() const {
  return prometheus::TextSerializer().Serialize(metrics_->Collect());
}

bool EdgeRun::WaitUntilLive(Milliseconds limit) {
  std::unique_lock<std::mutex> lock(watch_mu_);
  ++waiting_;
  watch_changed_.notify_all();
  watch_changed_.wait_until(lock, AtMostUntil(limit), [this] { return live_ || watch_stopped_; });
  --waiting_;
  return live_ && !watch_stopped_;
}

bool EdgeRun::Stop(Milliseconds limit) {
  absl::MutexLock lock(&stop_mu_);
  if (stopped_) return false;
  stopped_ = true;
  stopping_.store(true, std::memory_order_release);
  {
    std::lock_guard<std::mutex> watch(watch_mu_);
    watch_stopped_ = true;
    watch_changed_.notify_all();
  }
  if (watch_.joinable()) watch_.join();
  if (holds_ != nullptr) holds_->BeginStop();
  if (validator_ != nullptr) validator_->StopAdmitting();
  // Each answer that is still to come finds a validator that admits nothing.
  if (resolve_ != nullptr) resolve_->Stop();
  if (reach_ != nullptr) reach_->Stop();
  // Before the goodbye, after which no receipt asks what was held here.
  if (holds_ != nullptr) holds_->Finish();
  bool taken = false;
  if (link_ != nullptr) {
    // R4: of the last decision nothing is under way here.
    taken = link_->Goodbye(absl::FromChrono(limit));
    base::Log(base::LogLevel::kInfo,
              taken ? "said goodbye" : "left without the service hearing a goodbye");
    link_->Stop();
  }
  log_.reset();
  return taken;
}

// Tells the log, and whoever waits, what has become of the lease: once for each change.
void EdgeRun::Watch() {
  validator::LeaseState told = validator::LeaseState::kNone;
  std::unique_lock<std::mutex> lock(watch_mu_);
  while (!watch_stopped_) {
    const validator::ValidatorStatus now = validator_->Status();
    if (now.lease != told) {
      told = now.lease;
      live_ = told == validator::LeaseState::kLive;
      if (live_) had_lease_.store(true, std::memory_order_relaxed);
      watch_changed_.notify_all();
      lock.unlock();
      TellLease(now);
      lock.lock();
      continue;
    }
    base::LogDueSums();
    // More often while somebody waits for it.
    watch_changed_.wait_until(lock,
                              std::chrono::steady_clock::now() +
                                  (waiting_ > 0 && !live_ ? kWatchInterval / 20 : kWatchInterval));
  }
}

void EdgeRun::TellLease(const validator::ValidatorStatus& now) const {
  switch (now.lease) {
    case validator::LeaseState::kLive:
      base::Log(base::LogLevel::kInfo, "in sync: decisions are covered by a lease",
                {{"validator", id_},
                 {"epoch", now.follower.epoch},
                 {"revision", now.follower.applied_revision}});
      break;
    case validator::LeaseState::kFailOpen:
      base::Log(
          base::LogLevel::kWarning,
          "the lease has run out: going on from memory (fail-open); receipts do not cover this "
          "edge",
          {{"validator", id_}, {"revision", now.follower.applied_revision}});
      break;
    case validator::LeaseState::kNone:
      base::Log(base::LogLevel::kWarning,
                "the lease has run out: nothing is admitted until it is renewed",
                {{"validator", id_}, {"revision", now.follower.applied_revision}});
      break;
  }
}

}  // namespace tollgate::edge
