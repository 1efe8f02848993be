#include "validator/shells/server.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/bad_flag.h"
#include "base/log.h"
#include "base/status.h"
#include "net/address.h"
#include "net/credentials.h"
#include "net/grpc_host.h"
#include "net/http_host.h"
#include "policy/policy.h"
#include "validator/fronts/front.h"
#include "validator/fronts/gate.h"
#include "validator/shells/grpc_front_host.h"
#include "validator/shells/link.h"
#include "validator/shells/policy_file.h"
#include "validator/shells/resolve_client.h"
#include "validator/shells/service_reach.h"
#include "validator/shells/service_route.h"
#include "validator/shells/validator_metrics.h"
#include "validator/shells/witness_file.h"

namespace tollgate::validator {
namespace {

constexpr char kLeaseHealth[] = "tollgate.lease";
constexpr char kPolicyHealth[] = "tollgate.policy";
// How late health and log may report that a lease has begun or ended. Decisions read the lease
// themselves.
constexpr std::chrono::milliseconds kWatchInterval(100);

// What a proxy may ask in one message. The front for Envoy answers longer ones than it reads: what
// the transport refuses is a failed call, which a proxy may let pass.
constexpr int kMostReceivedForProxies = 16 << 20;

// What HTTP requests under way get, once gRPC's have been answered.
constexpr absl::Duration kLastHttpAnswers = absl::Seconds(1);

// How the flags are called (flags.cc).
RouteWords Flags() {
  return {
      .ways_out =
          "\n  Use TLS:                --service-tls, with --service-ca FILE and, for mutual TLS, "
          "--service-cert FILE --service-key FILE\n"
          "  or, knowing the risk:   --allow-plaintext",
      .address = "--service",
      .trust = "--service-ca FILE",
      .certificate = "--service-cert FILE --service-key FILE",
      .name = "--service-host-name or --service-spiffe-id",
  };
}

// An option that a flag gives has the flag's name, but for the dashes.
absl::Status AsBadFlag(const absl::Status& refused) {
  const base::ErrorDetails details = base::DetailsOf(refused);
  if (details.reason != "OUT_OF_RANGE") return refused;
  return base::BadFlagOf(refused);
}

// For proxies, which keep many connections, pass on what browsers send, and are near.
net::HttpLimits ProxyLimits(int max_connections) {
  net::HttpLimits limits;
  limits.request.max_header_bytes = 64 << 10;
  limits.request.max_headers = 200;
  limits.max_connections = max_connections > 0 ? max_connections : 512;
  limits.request_timeout = absl::Seconds(5);
  limits.idle_timeout = absl::Minutes(3);  // longer than proxies keep a connection: they end it
  limits.write_timeout = absl::Seconds(5);
  return limits;
}

class ValidatorServerImpl final : public ValidatorServer {
 public:
  explicit ValidatorServerImpl(ValidatorServerOptions options)
      : options_(std::move(options)),
        clock_(options_.clock != nullptr ? *options_.clock : base::SystemClock()),
        random_(options_.random != nullptr ? *options_.random : base::SystemRandom()) {}

  ~ValidatorServerImpl() override { Drain(absl::ZeroDuration(), absl::ZeroDuration()); }

  absl::Status Start() {
    if (options_.listen.empty()) {
      return base::BadFlag("listen", "at least one address is needed");
    }
    const absl::Status made = MakeCore();
    if (!made.ok()) return AsBadFlag(made);
    ASSIGN_OR_RETURN(const ServiceRoute route, ServiceRoute::For(options_, Flags()));
    // Before anything runs: a port that is taken connects to nothing.
    net::GrpcHost::Options host;
    host.listen = options_.listen;
    host.tls = {options_.tls_cert, options_.tls_key, options_.client_ca};
    host.allow_plaintext = options_.allow_plaintext;
    host.max_connections = options_.max_connections;
    host.socket_mode = options_.socket_mode;
    // No certificate bounds how long a plaintext connection is good for, and the streams of holders
    // are as long as what they hold open.
    if (options_.tls_cert.empty()) host.limits.max_connection_age = absl::ZeroDuration();
    if (!options_.policy.empty()) host.limits.max_receive_bytes = kMostReceivedForProxies;
    RETURN_IF_ERROR(ReadPolicy());
    ASSIGN_OR_RETURN(host_, net::GrpcHost::Bind(std::move(host)));
    RETURN_IF_ERROR(BindHttp());
    return Serve(route);
  }

  std::vector<std::string> addresses() const override { return host_->addresses(); }
  std::vector<std::string> http_addresses() const override {
    std::vector<std::string> addresses;
    addresses.reserve(addresses.size() + http_.size());
    for (const auto& host : http_) addresses.push_back(host->address().ToString());
    return addresses;
  }
  void ReloadPolicy() override {
    if (policy_ != nullptr) policy_->Reload();
  }
  std::shared_ptr<prometheus::Registry> registry() const override { return registry_; }
  std::function<bool(const std::string& name)> health() const override {
    return host_->health().Reader();
  }
  ValidatorStatus status() const override { return validator_->Status(); }
  DecisionTotals totals() const override { return validator_->Totals(); }

  void Drain(absl::Duration pause, absl::Duration limit) override {
    absl::MutexLock lock(&drain_mu_);
    if (drained_) return;
    drained_ = true;
    StopWatch();
    if (policy_ != nullptr) policy_->Stop();
    if (!fronts_.empty()) {
      base::Log(base::LogLevel::kInfo, "draining", {{"limit", limit}});
      host_->health().SetServing(kLeaseHealth, false);
    }
    if (host_ != nullptr) {
      net::DrainPlan plan;
      plan.pause = pause;
      plan.limit = limit;
      plan.end_streams = [this] { validator_->StopAdmitting(); };
      // For longer than other streams, as long as answers come: what they are worth is a goodbye.
      plan.await_streams = [this, limit](absl::Time /*deadline*/) {
        validator_->holds().AwaitAnswers(limit, net::DrainPlan::kStreamPatience);
      };
      host_->Drain(plan);
    }
    // They have gone on answering, of late that nothing is admitted.
    for (const auto& host : http_) host->Stop(std::min(limit, kLastHttpAnswers));
    // Every answer that still comes finds a validator that admits nothing.
    if (resolve_ != nullptr) resolve_->Stop();
    if (reach_ != nullptr) reach_->Stop();  // whoever leaves looks for nobody
    if (link_ != nullptr) {
      TellWhoHoldsOn();
      // R4: the last decision has been answered.
      const bool taken = link_->Goodbye(limit);
      base::Log(base::LogLevel::kInfo,
                taken ? "said goodbye" : "left without the service hearing a goodbye");
      link_->Stop();
    }
    if (registry_ != nullptr) registry_->Detach();
  }

 private:
  absl::Status MakeCore() {
    ASSIGN_OR_RETURN(ValidatorOptions core, CoreOptionsOf(options_));
    if (!options_.state_dir.empty()) {
      ASSIGN_OR_RETURN(witness_, WitnessFile::Open(options_.state_dir));
      core.follower.keeper = witness_.get();
      core.follower.proof = witness_->found();
    }
    ASSIGN_OR_RETURN(validator_,
                     Validator::Create(std::move(core), clock_, random_,
                                       [this](const tollgate::v1::ResolveRequest& request,
                                              ResolveClient::Callback callback) {
                                         resolve_->Ask(request, std::move(callback));
                                       }));
    return absl::OkStatus();
  }

  absl::Status ReadPolicy() {
    if (options_.policy.empty()) {
      if (options_.http_listen.empty()) return absl::OkStatus();
      return base::BadFlag("http-listen",
                           "a proxy is answered by a policy, and there is none: add --policy FILE");
    }
    PolicyFile::Options file;
    file.path = options_.policy;
    file.parse = policy::Policy::Parse;
    file.clock = &clock_;
    ASSIGN_OR_RETURN(policy_, PolicyFile::Open(std::move(file)));
    gate_ = std::make_unique<Gate>(validator_.get(), policy_.get(), random_);
    return absl::OkStatus();
  }

  absl::Status BindHttp() {
    std::vector<net::Address> addresses;
    for (const std::string& text : options_.http_listen) {
      ASSIGN_OR_RETURN(net::Address address, net::ParseAddress(text));
      if (!options_.allow_plaintext && !address.IsLoopback()) {
        return base::Refuse(
            absl::StatusCode::kFailedPrecondition, "PLAINTEXT_REFUSED",
            absl::StrCat(
                "refusing to serve HTTP on ", address.ToString(),
                ", which other hosts can reach: tokens would be readable on the way.\n"
                "  Keep it beside the proxy: --http-listen unix:/run/tollgate/http.sock or "
                "--http-listen 127.0.0.1:",
                address.port, "\n  or, knowing the risk:    --allow-plaintext"));
      }
      addresses.push_back(std::move(address));
    }
    for (net::Address& address : addresses) {
      net::HttpHost::Options http;
      http.address = std::move(address);
      http.socket_mode = static_cast<mode_t>(options_.socket_mode);
      http.limits = ProxyLimits(options_.max_connections);
      ASSIGN_OR_RETURN(http_.emplace_back(), net::HttpHost::Bind(std::move(http)));
    }
    return absl::OkStatus();
  }

  absl::Status Serve(const ServiceRoute& route) {
    registry_ = std::make_shared<ValidatorRegistry>(validator_.get(), &host_->listeners());
    resolve_ =
        ResolveClient::Create(route.NewChannel(), options_.resolve_timeout, &clock_,
                              [registry = registry_](absl::StatusCode code, absl::Duration took) {
                                registry->OnResolve(code, took);
                              });
    fronts_ = MakeFronts(validator_.get(), gate_.get());
    GrpcFrontHost fronts(host_.get(), &http_);
    for (const std::unique_ptr<Front>& front : fronts_) front->RegisterOn(&fronts);
    registry_->AddFronts(&fronts_, &http_);
    if (policy_ != nullptr) registry_->AddPolicy(policy_.get());
    RETURN_IF_ERROR(host_->Build());
    host_->health().SetServing(kLeaseHealth, false);
    if (policy_ != nullptr) {
      host_->health().SetServing(kPolicyHealth, true);
      RETURN_IF_ERROR(
          policy_->Watch([this](bool ok) { host_->health().SetServing(kPolicyHealth, ok); }));
    }
    reach_ = std::make_unique<ServiceReach>(ServiceReach::Options{
        [route](const absl::Status& ended, const net::Interruption& stop) {
          return route.Look(ended, stop);
        },
        validator_.get(), &clock_, &random_, route.service(), OutageOptions()});
    link_ = Link::Start({validator_.get(), &clock_, [route] { return route.NewChannel(); },
                         [this] { resolve_->Reconnect(); }, reach_.get()});
    watch_ = std::thread([this] { Watch(); });
    RETURN_IF_ERROR(host_->Accept());
    for (const auto& host : http_) RETURN_IF_ERROR(host->Start());
    for (const std::string& address : http_addresses()) {
      base::Log(base::LogLevel::kInfo, "serving proxies over HTTP", {{"address", address}});
    }
    for (const std::string& address : addresses()) {
      base::Log(base::LogLevel::kInfo, "serving",
                {{"address", address}, {"validator", options_.id}, {"service", route.service()}});
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
        TellUncovered();
        if (told == LeaseState::kLive && !ready) {
          ready = true;
          host_->health().SetServing(true);
        }
      }
      base::LogDueSums();
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

  void TellUncovered() const {
    const int64_t uncovered = validator_->holds().Totals().uncovered;
    if (uncovered == 0) return;
    base::Log(base::LogLevel::kWarning,
              "the lease has run out: what is held open is kept for now (--holds-outlive-lease); "
              "receipts do not cover it",
              {{"holds", uncovered}, {"at_most", options_.holds_outlive_lease}});
  }

  void TellWhoHoldsOn() const {
    const absl::Duration word = validator_->holds().LongestWord();
    if (word <= absl::ZeroDuration()) return;
    base::Log(base::LogLevel::kWarning,
              "holders have not answered that they have closed, so no goodbye is said: receipts "
              "wait until this validator's lease has run out",
              {{"holders", absl::StrJoin(validator_->holds().Unanswered(), ", ")},
               {"longest_word", word}});
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

  // Created in this order at a start; destroyed in the reverse, after Drain.
  std::unique_ptr<net::GrpcHost> host_;
  std::vector<std::unique_ptr<net::HttpHost>> http_;
  std::shared_ptr<ResolveClient> resolve_;
  std::unique_ptr<WitnessFile> witness_;  // null without a state folder
  std::unique_ptr<Validator> validator_;
  std::unique_ptr<PolicyFile> policy_;  // null without a policy, and so is the next
  std::unique_ptr<Gate> gate_;
  std::shared_ptr<ValidatorRegistry> registry_;
  std::vector<std::unique_ptr<Front>> fronts_;
  std::unique_ptr<ServiceReach> reach_;
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
      reason == "VALIDATOR_ID_MALFORMED" || reason == "POLICY_UNREADABLE" ||
      reason == "POLICY_INVALID") {
    return kValidatorExitUsage;
  }
  if (reason == "ADDRESS_IN_USE" || reason == "ADDRESS_DENIED" || reason == "ADDRESS_UNAVAILABLE") {
    return kValidatorExitAddressTaken;
  }
  return kValidatorExitStartFailed;
}

absl::StatusOr<std::unique_ptr<ValidatorServer>> ValidatorServer::Start(
    ValidatorServerOptions options) {
  auto server = std::make_unique<ValidatorServerImpl>(std::move(options));
  RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<ValidatorServer>(std::move(server));
}

}  // namespace tollgate::validator
