#include "validator/shells/server.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/bad_flag.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "lease/limits.h"
#include "lease/span.h"
#include "net/address.h"
#include "net/credentials.h"
#include "net/grpc_host.h"
#include "token/field_rules.h"
#include "validator/fronts/front.h"
#include "validator/shells/grpc_front_host.h"
#include "validator/shells/link.h"
#include "validator/shells/resolve_client.h"
#include "validator/shells/validator_metrics.h"

namespace tollgate::validator {
namespace {

constexpr char kLeaseHealth[] = "tollgate.lease";
// How late health and log may report that a lease has begun or ended. Decisions read the lease
// themselves.
constexpr std::chrono::milliseconds kWatchInterval(100);

absl::Status CheckOptions(const ValidatorServerOptions& o) {
  RETURN_IF_ERROR(token::CheckValidatorId(o.id, "id"));
  if (o.listen.empty()) return base::BadFlag("listen", "at least one address is needed");
  if (!lease::IsDriftBound(o.drift_bound)) return base::BadFlag("drift-bound", "must be 0 to 0.1");
  if (o.stale_policy == tollgate::v1::STALE_POLICY_FAIL_OPEN &&
      (o.fail_open_for <= absl::ZeroDuration() || o.fail_open_for > lease::kLongestFailOpen)) {
    return base::BadFlag("fail-open-for", "must be above 0, and at most 24h");
  }
  if (o.cache_entries < 1 || o.cache_entries > (1 << 24)) {
    return base::BadFlag("cache-entries", "must be 1 to 16777216");
  }
  if (o.unknown_entries < 1 || o.unknown_entries > (1 << 24)) {
    return base::BadFlag("unknown-entries", "must be 1 to 16777216");
  }
  if (o.max_questions < 1) return base::BadFlag("max-questions", "must be at least 1");
  if (o.max_waiting < 1) return base::BadFlag("max-waiting", "must be at least 1");
  if (o.resolve_timeout <= absl::ZeroDuration()) {
    return base::BadFlag("resolve-timeout", "must be above 0");
  }
  if (o.longest_backoff <= absl::ZeroDuration()) {
    return base::BadFlag("longest-backoff", "must be above 0");
  }
  return absl::OkStatus();
}

// Anybody on the network between a validator and its service could have it admit anything.
absl::Status CheckServicePlaintext(const net::Address& service, bool tls, bool allowed) {
  if (tls || allowed || service.IsLoopback()) return absl::OkStatus();
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "PLAINTEXT_REFUSED",
      absl::StrCat(
          "refusing to follow ", service.ToString(),
          " in plaintext: it is on another host.\n"
          "  Use TLS:                --service-tls, with --service-ca FILE and, for mutual "
          "TLS, --service-cert FILE --service-key FILE\n"
          "  or, knowing the risk:   --allow-plaintext"));
}

ValidatorOptions CoreOptions(const ValidatorServerOptions& o, token::TokenFormat format) {
  ValidatorOptions core;
  core.follower.validator_id = o.id;
  core.follower.version = base::kVersion;
  core.follower.stale_policy = o.stale_policy;
  if (o.stale_policy == tollgate::v1::STALE_POLICY_FAIL_OPEN) {
    core.follower.fail_open_for = o.fail_open_for;
  }
  core.follower.drift_bound = o.drift_bound;
  core.follower.backoff_longest = o.longest_backoff;
  core.follower.backoff_first = std::min(core.follower.backoff_first, o.longest_backoff);
  core.cache.entries = static_cast<size_t>(o.cache_entries);
  core.cache.unknown_entries = static_cast<size_t>(o.unknown_entries);
  core.resolver.most_in_flight = static_cast<size_t>(o.max_questions);
  core.resolver.most_waiting = static_cast<size_t>(o.max_waiting);
  core.format = std::move(format);
  return core;
}

class ValidatorServerImpl final : public ValidatorServer {
 public:
  explicit ValidatorServerImpl(ValidatorServerOptions options)
      : options_(std::move(options)),
        clock_(options_.clock != nullptr ? *options_.clock : base::SystemClock()),
        random_(options_.random != nullptr ? *options_.random : base::SystemRandom()) {}

  ~ValidatorServerImpl() override { Drain(absl::ZeroDuration(), absl::ZeroDuration()); }

  absl::Status Start() {
    RETURN_IF_ERROR(PrepareChannel());
    // Bound before anything runs, so that nothing connects anywhere when a port is taken.
    net::GrpcHost::Options host;
    host.listen = options_.listen;
    host.tls = {options_.tls_cert, options_.tls_key, options_.client_ca};
    host.allow_plaintext = options_.allow_plaintext;
    host.max_connections = options_.max_connections;
    host.socket_mode = options_.socket_mode;
    ASSIGN_OR_RETURN(host_, net::GrpcHost::Bind(std::move(host)));
    RETURN_IF_ERROR(MakeCore());
    return Serve();
  }

  std::vector<std::string> addresses() const override { return host_->addresses(); }
  std::shared_ptr<prometheus::Registry> registry() const override { return registry_; }
  ValidatorStatus status() const override { return validator_->Status(); }
  DecisionTotals totals() const override { return validator_->Totals(); }

  void Drain(absl::Duration pause, absl::Duration limit) override {
    absl::MutexLock lock(&drain_mu_);
    if (drained_) return;
    drained_ = true;
    StopWatch();
    if (!fronts_.empty()) {
      base::Log(base::LogLevel::kInfo, "draining", {{"limit", limit}});
      host_->health().SetServing(kLeaseHealth, false);
    }
    if (host_ != nullptr) {
      net::DrainPlan plan;
      plan.pause = pause;
      plan.limit = limit;
      plan.end_streams = [this] { validator_->StopAdmitting(); };
      host_->Drain(plan);
    }
    // Every answer that still comes finds a validator that admits nothing.
    if (resolve_ != nullptr) resolve_->Stop();
    if (link_ != nullptr) {
      // R4: the last decision has been answered.
      const bool taken = link_->Goodbye(limit);
      base::Log(base::LogLevel::kInfo,
                taken ? "said goodbye" : "left without the service hearing a goodbye");
      link_->Stop();
    }
    if (registry_ != nullptr) registry_->Detach();
  }

 private:
  absl::Status PrepareChannel() {
    ASSIGN_OR_RETURN(service_, net::ParseAddress(options_.service));
    const net::TlsFiles service_tls{options_.service_cert, options_.service_key,
                                    options_.service_ca};
    const bool use_tls = options_.service_tls || !service_tls.empty();
    RETURN_IF_ERROR(CheckServicePlaintext(service_, use_tls, options_.allow_plaintext));
    ASSIGN_OR_RETURN(service_credentials_,
                     net::ClientCredentialsFor(service_tls, use_tls,
                                               net::ServerIdentity{options_.service_spiffe_id,
                                                                   options_.service_host_name}));

    return absl::OkStatus();
  }

  absl::Status MakeCore() {
    ASSIGN_OR_RETURN(token::TokenFormat format, token::TokenFormat::ForBrand(options_.brand));
    ASSIGN_OR_RETURN(validator_,
                     Validator::Create(CoreOptions(options_, std::move(format)), clock_, random_,
                                       [this](const tollgate::v1::ResolveRequest& request,
                                              ResolveClient::Callback callback) {
                                         resolve_->Ask(request, std::move(callback));
                                       }));
    registry_ = std::make_shared<ValidatorRegistry>(validator_.get(), &host_->listeners());
    // Two connections, so that a flood of questions cannot delay a ping.
    net::ChannelOptions channel;
    channel.own_connection = true;
    channel.max_reconnect_backoff = options_.longest_backoff;
    // A connection whose bytes vanish must be found and replaced well within a lease, also by the
    // questions, which have no pings of their own. Not below the service's
    // ServerLimits::min_ping_interval.
    channel.keepalive_time = absl::Seconds(11);
    channel.keepalive_timeout = absl::Seconds(4);
    resolve_ = ResolveClient::Create(
        net::MakeChannel(service_, service_credentials_, channel), options_.resolve_timeout,
        &clock_, [registry = registry_](absl::StatusCode code, absl::Duration took) {
          registry->OnResolve(code, took);
        });
    make_feed_channel_ = [service = service_, credentials = service_credentials_, channel] {
      return net::MakeChannel(service, credentials, channel);
    };
    return absl::OkStatus();
  }

  absl::Status Serve() {
    fronts_ = MakeFronts(validator_.get());
    GrpcFrontHost fronts(host_.get());
    for (const std::unique_ptr<Front>& front : fronts_) front->RegisterOn(&fronts);
    registry_->AddFronts(&fronts_);
    RETURN_IF_ERROR(host_->Build());
    host_->health().SetServing(kLeaseHealth, false);
    link_ = Link::Start({validator_.get(), &clock_, make_feed_channel_, service_.ToString()});
    watch_ = std::thread([this] { Watch(); });
    host_->Accept();
    for (const std::string& address : addresses()) {
      base::Log(
          base::LogLevel::kInfo, "serving",
          {{"address", address}, {"validator", options_.id}, {"service", service_.ToString()}});
    }
    return absl::OkStatus();
  }

  // Tells health and log of each change of the lease, once.
  void Watch() {
    LeaseState told = LeaseState::kNone;
    bool ready = false;
    std::unique_lock<std::mutex> lock(watch_mu_);
    while (!watch_stopped_) {
      const ValidatorStatus now = validator_->Status();
      if (now.lease != told) {
        told = now.lease;
        host_->health().SetServing(kLeaseHealth, told == LeaseState::kLive);
        TellLease(now);
        if (told == LeaseState::kLive && !ready) {
          ready = true;
          host_->health().SetServing(true);
        }
      }
      watch_changed_.wait_until(lock, std::chrono::steady_clock::now() + kWatchInterval);
    }
  }

  static void TellLease(const ValidatorStatus& now) {
    switch (now.lease) {
      case LeaseState::kLive:
        base::Log(base::LogLevel::kInfo, "in sync: decisions are covered by a lease",
                  {{"epoch", now.follower.epoch}, {"revision", now.follower.applied_revision}});
        break;
      case LeaseState::kFailOpen:
        base::Log(
            base::LogLevel::kWarning,
            "the lease has run out: going on from memory (fail-open); receipts do not cover this "
            "edge",
            {{"revision", now.follower.applied_revision}});
        break;
      case LeaseState::kNone:
        base::Log(base::LogLevel::kWarning,
                  "the lease has run out: nothing is admitted until it is renewed",
                  {{"revision", now.follower.applied_revision}});
        break;
    }
  }

  void StopWatch() {
    {
      std::lock_guard<std::mutex> lock(watch_mu_);
      watch_stopped_ = true;
      watch_changed_.notify_all();
    }
    if (watch_.joinable()) watch_.join();
  }

  const ValidatorServerOptions options_;
  const base::Clock& clock_;
  base::Random& random_;
  net::Address service_;
  std::shared_ptr<grpc::ChannelCredentials> service_credentials_;
  std::function<std::shared_ptr<grpc::Channel>()> make_feed_channel_;

  // Created in this order at a start; destroyed in the reverse, after Drain.
  std::unique_ptr<net::GrpcHost> host_;
  std::shared_ptr<ResolveClient> resolve_;
  std::unique_ptr<Validator> validator_;
  std::shared_ptr<ValidatorRegistry> registry_;
  std::vector<std::unique_ptr<Front>> fronts_;
  std::shared_ptr<Link> link_;

  std::mutex watch_mu_;  // guards watch_stopped_
  std::condition_variable watch_changed_;
  bool watch_stopped_ = false;
  std::thread watch_;

  absl::Mutex drain_mu_;
  bool drained_ ABSL_GUARDED_BY(drain_mu_) = false;
};

}  // namespace

int ValidatorExitCodeFor(const absl::Status& status) {
  if (status.ok()) return kValidatorExitOk;
  const std::string reason = base::ReasonOf(status);
  if (reason == "BAD_FLAG" || reason == "ADDRESS_INVALID" || reason == "TLS_FILES_INVALID" ||
      reason == "VALIDATOR_ID_MALFORMED") {
    return kValidatorExitUsage;
  }
  if (reason == "ADDRESS_IN_USE" || reason == "ADDRESS_DENIED" || reason == "ADDRESS_UNAVAILABLE") {
    return kValidatorExitAddressTaken;
  }
  return kValidatorExitStartFailed;
}

absl::StatusOr<std::unique_ptr<ValidatorServer>> ValidatorServer::Start(
    ValidatorServerOptions options) {
  RETURN_IF_ERROR(CheckOptions(options));
  auto server = std::make_unique<ValidatorServerImpl>(std::move(options));
  RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<ValidatorServer>(std::move(server));
}

}  // namespace tollgate::validator
