#include "service/server.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "net/grpc_host.h"
#include "net/listener_metrics.h"
#include "service/access/access.h"
#include "service/access/authenticator.h"
#include "service/access/change_binding.h"
#include "service/access/operator_tokens.h"
#include "service/built_in_bindings.h"
#include "service/clock/clock_command.h"
#include "service/clock/service_clock.h"
#include "service/feed/hub.h"
#include "service/feed/ledger/fleet.h"
#include "service/first_operator.h"
#include "service/health/health_watch.h"
#include "service/keyring/record_keyring.h"
#include "service/option_parts.h"
#include "service/restore/unfinished_entry.h"
#include "service/rolled_back_end.h"
#include "service/rpc/access_service.h"
#include "service/rpc/edge_service.h"
#include "service/rpc/operations_service.h"
#include "service/rpc/rpc_deps.h"
#include "service/rpc/token_service.h"
#include "service/rpc/workspace_service.h"
#include "service/server_metrics.h"
#include "service/store_home.h"
#include "service/sweep/sweeper.h"
#include "service/use/use_ledger.h"
#include "storage/sequencer.h"
#include "storage/start_command.h"

namespace tollgate::service {
namespace {

// Time for answers that are under way when the process must end.
constexpr absl::Duration kLastWords = absl::Milliseconds(250);

// Old use is folded a thousand rows at a time, all of it about once an hour.
constexpr absl::Duration kBetweenFolds = absl::Milliseconds(250);
constexpr absl::Duration kBetweenRounds = absl::Hours(1);
constexpr size_t kMaxChores = 100;

// How often the clock is looked at; and for how long the store's head keeps a time before it is
// written anew.
constexpr absl::Duration kBetweenClockLooks = absl::Milliseconds(500);
constexpr absl::Duration kOldestHead = absl::Hours(1);

// Counts what it passes on.
class CountingSink : public UseSink {
 public:
  CountingSink(UseSink* next, ServerMetrics* metrics) : next_(next), metrics_(metrics) {}
  void Report(absl::string_view validator_id, absl::string_view incarnation,
              const tollgate::v1::Usage& usage) override {
    metrics_->OnUseReports(usage.uses_size());
    next_->Report(validator_id, incarnation, usage);
  }
  void SessionLive(absl::string_view validator_id, absl::string_view incarnation) override {
    next_->SessionLive(validator_id, incarnation);
  }
  void SessionEnded(absl::string_view validator_id, absl::string_view incarnation,
                    bool said_goodbye) override {
    next_->SessionEnded(validator_id, incarnation, said_goodbye);
  }

 private:
  UseSink* const next_;
  ServerMetrics* const metrics_;
};

class ServerImpl final : public Server {
 public:
  ServerImpl(ServerOptions options, OptionParts parts)
      : options_(std::move(options)),
        parts_(std::move(parts)),
        clock_(options_.clock != nullptr ? *options_.clock : base::SystemClock()),
        random_(options_.random != nullptr ? *options_.random : base::SystemRandom()),
        registry_(std::make_shared<FreshRegistry>()),
        metrics_(*registry_) {}

  ~ServerImpl() override { Drain(absl::ZeroDuration(), absl::ZeroDuration()); }

  absl::Status Start() {
    // First, so that a start that hangs says so.
    StoreHealth::Options health;
    health.hung_after = options_.disk_hang_limit;
    health.slow_after = std::min(health.slow_after, health.hung_after);
    watch_ = HealthWatch::Start(&clock_, health);
    // Bound before the store is touched, so that a taken port has written nothing.
    net::GrpcHost::Options host;
    host.listen = options_.listen;
    host.tls = {options_.tls_cert, options_.tls_key, options_.client_ca,
                options_.client_cert_optional};
    host.allow_plaintext = options_.allow_plaintext;
    host.tell_users = true;
    host.max_connections = options_.max_connections;
    host.limits.max_receive_bytes = options_.max_message_bytes;
    ASSIGN_OR_RETURN(host_, net::GrpcHost::Bind(std::move(host)));
    RETURN_IF_ERROR(StartSequencer());
    RETURN_IF_ERROR(StartAccess());
    RETURN_IF_ERROR(StartFeed());
    return Serve();
  }

  int port() const override { return host_->port(); }
  std::vector<std::string> addresses() const override { return host_->addresses(); }
  std::shared_ptr<prometheus::Registry> registry() const override { return registry_; }
  std::function<bool(const std::string& name)> health() const override {
    return host_->health().Reader();
  }
  std::string epoch() const override { return hub_->epoch(); }
  int64_t head() const override { return hub_->head(); }
  std::function<std::string()> longest_disk_wait() const override {
    return [watch = watch_] { return watch->LongestWait(); };
  }

  void Drain(absl::Duration pause, absl::Duration limit) override {
    absl::MutexLock lock(&drain_mu_);
    if (drained_) return;
    drained_ = true;
    if (watch_ != nullptr) watch_->Unfollow();
    if (host_ == nullptr) return;  // nothing was begun
    if (edge_ != nullptr) base::Log(base::LogLevel::kInfo, "draining", {{"limit", limit}});
    net::DrainPlan plan;
    plan.pause = pause;
    plan.limit = limit;
    plan.end_streams = [this] { operations_->EndStreams(); };
    plan.await_streams = [this](absl::Time deadline) {
      const auto left = [deadline] {
        return std::clamp(deadline - absl::Now(), absl::ZeroDuration(),
                          net::DrainPlan::kStreamPatience);
      };
      hub_->Drain(left());
      operations_->CutStreams(left());
      hub_->Stop();  // answers who waits for enforcement, with the receipt as it stands
    };
    host_->Drain(plan);
    if (sweeper_ != nullptr) sweeper_->Stop();
    registry_->SetRefresh(nullptr);
    if (chores_ != nullptr) chores_->Stop();
    if (scans_ != nullptr) scans_->Stop();
    if (executor_ != nullptr) executor_->Stop();
    if (hub_ != nullptr) hub_->Stop();
    if (use_ != nullptr) use_->Flush();
    if (sequencer_ != nullptr) sequencer_->Stop();
  }

 private:
  // The store and what commits to it.
  absl::Status StartSequencer() {
    StoreHome::Watch watch;
    watch.work = watch_->work();
    watch.on_damage = [health = watch_.get()](const absl::Status& damage) {
      health->OnDamage(damage);
    };
    ASSIGN_OR_RETURN(store_, parts_.home.Open(random_, clock_, watch));
    RETURN_IF_ERROR(StartClock());

    storage::Sequencer::Options sequencer;
    sequencer.engine = store_.engine;
    sequencer.clock = time_.get();
    sequencer.time = [this] { return time_->Batch(); };
    sequencer.on_fatal = [this](const absl::Status& status) { OnWriteFailed(status); };
    sequencer.on_commit = [this](int64_t revision, size_t commands, absl::Duration write) {
      metrics_.OnCommit(revision, commands, write);
    };
    sequencer.on_command = [this](absl::string_view command, absl::StatusCode code) {
      metrics_.OnCommand(command, code);
    };
    ASSIGN_OR_RETURN(sequencer_, storage::Sequencer::Start(std::move(sequencer)));
    const auto keyring =
        std::make_shared<RecordKeyring>(store_.keyring->CheckValues(), parts_.home.keyring());
    RETURN_IF_ERROR(Judge(*keyring));  // a start that is refused begins no term
    // The first commit: all that this process writes is of its term (R19).
    RETURN_IF_ERROR(sequencer_
                        ->Run(std::make_shared<storage::ServiceStarted>(
                            base::kVersion, random_.Hex(16), kernel().BootId(), clock_.Now()))
                        .status());
    if (store_.journaled != nullptr) {
      RETURN_IF_ERROR(FinishJournal(*store_.journaled, *sequencer_));
    }
    // Before a pepper makes its first token, so that a wrong keyring is always known for one (I7).
    return sequencer_->Run(keyring).status();
  }

  // R16: a restart on the same machine need not wait for a predecessor that is dead.
  absl::StatusOr<bool> PredecessorsDead() const {
    if (!OnLocalFileSystem(parts_.home.folder())) return false;
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                     store_.engine->NewSnapshot());
    ASSIGN_OR_RETURN(const History history, ReadHistory(*snapshot));
    // No T is longer than the longest lease, or the bound where that is shorter.
    return history.PredecessorsDead(clock_.Now(), lease::kLongestLease);
  }

  // What the command would answer now; nothing is written.
  absl::Status Judge(storage::Command& command) const {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                     store_.engine->NewSnapshot());
    storage::Slot slot;
    slot.revision = snapshot->revision() + 1;
    slot.now = time_->ServiceNow();
    storage::Effects effects;
    return command.Run(*snapshot, slot, effects);
  }

  // Who may do what, as the store has it now; the feed tells of each change.
  absl::Status StartAccess() {
    authenticator_ = std::make_unique<Authenticator>(&parts_.format, store_.keyring.get(),
                                                     &operator_tokens_, time_.get());
    if (options_.dev_open) {
      base::Log(base::LogLevel::kWarning,
                "--dev-open: whoever reaches this service may do everything");
      access_ = NewOpenAccess();
      return ReadAccess();
    }
    auto bound = std::make_unique<BoundAccess>(BuiltInBindings(options_));
    bound_ = bound.get();
    access_ = std::move(bound);
    if (options_.admin.empty() && !parts_.home.operator_token().empty()) {
      RETURN_IF_ERROR(MakeFirstOperator(
          {store_.engine, sequencer_.get(), &parts_.format, store_.keyring.get(), &random_,
           parts_.home.operator_token(),
           [this](absl::string_view member) { return CanCome(options_, member); }}));
    } else if (options_.admin.empty() && bound_->built_in().empty()) {
      base::Log(base::LogLevel::kWarning,
                "nobody is admin, and a store in no folder gets no operator token: start with "
                "--admin local");
    }
    return ReadAccess();
  }

  // From now on, calls are judged by what the store has now.
  absl::Status ReadAccess() {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                     store_.engine->NewSnapshot());
    ASSIGN_OR_RETURN(std::vector<OperatorToken> tokens, StoredOperatorTokens(*snapshot));
    operator_tokens_.Take(std::move(tokens));
    if (bound_ == nullptr) return absl::OkStatus();
    ASSIGN_OR_RETURN(std::vector<Binding> bindings, StoredBindings(*snapshot));
    bound_->Take(std::move(bindings));
    return absl::OkStatus();
  }

  absl::Status OnAccessChanged() {
    RETURN_IF_ERROR(ReadAccess());
    if (watched_.load(std::memory_order_acquire)) operations_->JudgeStreams();
    return absl::OkStatus();
  }

  absl::Status StartFeed() {
    executor_ = std::make_unique<base::ThreadPool>(options_.read_threads,
                                                   static_cast<size_t>(options_.max_queued_reads));
    scans_ = std::make_unique<base::ThreadPool>(options_.scan_threads,
                                                static_cast<size_t>(options_.max_queued_scans));
    chores_ = std::make_unique<base::ThreadPool>(1, kMaxChores);
    UseLedger::Options use;
    use.engine = store_.engine;
    use.clock = time_.get();
    use.executor = executor_.get();
    use.max_report_lag = 3 * options_.usage_interval;
    use.on_dropped = [](size_t uses, size_t attempts) {
      if (uses > 0) {
        base::LogSummed(base::LogLevel::kWarning,
                        "use reports were dropped: too many wait to be merged", "",
                        {{"uses", static_cast<int64_t>(uses)}});
      }
      if (attempts > 0) {
        base::LogSummed(base::LogLevel::kWarning,
                        "refused attempts were left out: too many wait to be merged", "",
                        {{"attempts", static_cast<int64_t>(attempts)}});
      }
    };
    use.on_attempts = [this](tollgate::v1::VerdictReason reason, int64_t count) {
      metrics_.OnRefusedAttempts(reason, count);
    };
    use.on_write_failed = [this](const absl::Status& status) { OnWriteFailed(status); };
    ASSIGN_OR_RETURN(use_, UseLedger::Create(std::move(use)));
    sink_ = std::make_unique<CountingSink>(use_.get(), &metrics_);

    Hub::Options hub = parts_.feed;
    hub.engine = store_.engine;
    hub.sequencer = sequencer_.get();
    hub.clock = time_.get();
    hub.random = &random_;
    hub.executor = executor_.get();
    hub.use = sink_.get();
    hub.sealer = store_.sealer;
    ASSIGN_OR_RETURN(hub.predecessors_dead, PredecessorsDead());
    hub.on_rolled_back = [this](const std::string& validator, const absl::Status& why) {
      OnRolledBack(validator, why);
    };
    hub.on_fatal = [this](const absl::Status& status) { OnTailGap(status); };
    hub.on_access_changed = [this] { return OnAccessChanged(); };
    hub.may_follow = [this](const std::string& member, const std::string& operator_token_id) {
      RETURN_IF_ERROR(authenticator_->StillStands(member, operator_token_id));
      return access_->Authorize(member, Permission::kFollowFeed, "");
    };
    hub.on_edge_time = [this](const std::string& validator, absl::Time wall) {
      time_->OnEdgeTime(validator, wall);
    };
    hub.on_enforced = [this](absl::Duration since_commit) { metrics_.OnEnforced(since_commit); };
    ASSIGN_OR_RETURN(hub_, Hub::Start(std::move(hub)));
    use_->RosterLoaded();
    registry_->SetRefresh([this] {
      metrics_.SetFeed(hub_->stats());
      if (store_.marked != nullptr) metrics_.SetMarkErrors(store_.marked->failures());
      metrics_.SetClock(time_->Describe());
      metrics_.SetFleet(FleetOf(hub_->Sessions(), /*include_released=*/false));
      std::vector<prometheus::MetricFamily> families = net::ListenerMetrics(host_->listeners());
      std::vector<prometheus::MetricFamily> health = watch_->Metrics();
      std::move(health.begin(), health.end(), std::back_inserter(families));
      return families;
    });
    return absl::OkStatus();
  }

  absl::Status Serve() {
    deps_.engine = store_.engine;
    deps_.sequencer = sequencer_.get();
    deps_.hub = hub_.get();
    deps_.reads = executor_.get();
    deps_.scans = scans_.get();
    deps_.access = access_.get();
    deps_.authenticator = authenticator_.get();
    deps_.clock = time_.get();
    deps_.time = time_.get();
    deps_.note_clock = [this] { NoteClockChanges(); };
    deps_.random = &random_;
    deps_.keyring = store_.keyring.get();
    deps_.format = &parts_.format;
    deps_.metrics = &metrics_;
    deps_.evidence = [this] { return use_->Evidence(); };
    deps_.merge_use = [this] { use_->Flush(); };
    tokens_ = std::make_unique<TokenService>(&deps_);
    workspaces_ = std::make_unique<WorkspaceService>(&deps_);
    operations_ = std::make_unique<OperationsService>(
        &deps_,
        OperationsService::Options{options_.max_watchers, options_.max_queued_watch, Place()});
    edge_ = std::make_unique<EdgeService>(&deps_);
    access_service_ = std::make_unique<AccessService>(&deps_);
    watched_.store(true, std::memory_order_release);
    host_->AddService("tollgate.v1.TokenService", tokens_.get());
    host_->AddService("tollgate.v1.WorkspaceService", workspaces_.get());
    host_->AddService("tollgate.v1.OperationsService", operations_.get());
    host_->AddService("tollgate.v1.EdgeService", edge_.get());
    host_->AddService("tollgate.v1.AccessService", access_service_.get());
    RETURN_IF_ERROR(host_->Build());
    Sweeper::Options sweep;
    sweep.interval = options_.sweep_interval;
    sweep.limits.event_retention = options_.event_retention;
    sweep.limits.event_retention_count = options_.event_retention_count;
    sweep.sequencer = sequencer_.get();
    sweep.timer = chores_.get();
    sweep.clock = time_.get();
    sweep.evidence = deps_.evidence;
    sweep.on_step = [this](absl::Duration lag, int64_t done) { metrics_.OnSweep(lag, done); };
    sweeper_ = Sweeper::Start(std::move(sweep));
    FoldUseAfter(kBetweenFolds, "");
    WatchClock();
    watch_->Follow(&host_->health());
    RETURN_IF_ERROR(host_->Accept());
    for (const std::string& address : addresses()) {
      base::Log(base::LogLevel::kInfo, "serving",
                {{"address", address}, {"epoch", epoch()}, {"revision", head()}});
    }
    return absl::OkStatus();
  }

  StorePlace Place() const {
    StorePlace place;
    place.name = parts_.home.name();
    place.folder = parts_.home.folder();
    place.backup_dir = options_.backup_dir;
    place.holds_store = [driver = &parts_.home.driver()](const std::string& folder) {
      return driver->HoldsStore(folder);
    };
    place.ready = [health = host_->health().Reader()] { return health("readiness"); };
    place.longest_wait = longest_disk_wait();
    return place;
  }

  // What time it is (R20), on the store as it was left.
  const KernelClock& kernel() const {
    return options_.kernel != nullptr ? *options_.kernel : SystemKernelClock();
  }

  absl::Status StartClock() {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                     store_.engine->NewSnapshot());
    ASSIGN_OR_RETURN(const absl::optional<ServiceTime::Stored> stored, ReadStoredTime(*snapshot));
    ServiceClock::Options options;
    options.time.step_bound = options_.clock_step_bound;
    options.time.longest_off = options_.longest_off;
    options.time.edge_bound = options_.clock_edge_bound;
    options.time.edge_life = options_.lease;
    options.time.drift_bound = options_.drift_bound;
    options.machine = &clock_;
    options.kernel = &kernel();
    time_ = std::make_unique<ServiceClock>(options, stored);
    return absl::OkStatus();
  }

  // Looks at the clock now and then; ends with `chores_`.
  void WatchClock() {
    NoteClockChanges();
    if (time_->Now() - sequencer_->last_write_start() > kOldestHead) {
      sequencer_->Submit(std::make_shared<MarkTime>(), [](const auto&) {});
    }
    chores_->After(kBetweenClockLooks, [this] { WatchClock(); });
  }

  void NoteClockChanges() {
    for (const ClockChange& change : time_->Watch()) {
      if (change.in_doubt) {
        base::Log(base::LogLevel::kWarning,
                  "the clock of this machine is in doubt: time goes on from the last that was "
                  "trusted, and what is reckoned from now is refused, until the kernel's clock is "
                  "synchronised, most edges agree, or an operator ends it: tollgate clock accept",
                  {{"why", ExplainDoubt(change.doubt, change.wall, change.to)},
                   {"wall_time", absl::FormatTime(change.wall, absl::UTCTimeZone())},
                   {"service_time", absl::FormatTime(change.to, absl::UTCTimeZone())}});
      } else {
        base::Log(base::LogLevel::kInfo,
                  change.at_once ? "the clock of this machine was set, and is trusted"
                                 : "the clock of this machine is trusted again",
                  {{"how", ClockTrustName(change.trust)},
                   {"service_time_before", absl::FormatTime(change.from, absl::UTCTimeZone())},
                   {"service_time", absl::FormatTime(change.to, absl::UTCTimeZone())}});
      }
      sequencer_->Submit(std::make_shared<NoteClock>(change), [](const auto&) {});
    }
  }

  // Step by step through all use, then again after a while; ends with `chores_`.
  void FoldUseAfter(absl::Duration pause, std::string from) {
    chores_->After(pause, [this, from = std::move(from)] {
      UseFoldLimits limits;
      limits.retention = options_.use_retention;
      absl::StatusOr<std::string> next = use_->Fold(from, limits);
      if (!next.ok()) {
        base::LogSummed(base::LogLevel::kError, "old use could not be folded",
                        base::ReasonOf(next.status()), {{"status", next.status()}});
        next = std::string();
      }
      const absl::Duration pause = next->empty() ? kBetweenRounds : kBetweenFolds;
      FoldUseAfter(pause, *std::move(next));
    });
  }

  void OnWriteFailed(const absl::Status& status) {
    metrics_.OnStoreError();
    base::LogLastWords("a store write failed: the process ends (R7)", {{"status", status}});
    if (options_.on_fatal) {
      options_.on_fatal(status);
      return;
    }
    _exit(kExitStoreWriteFailed);
  }

  // Handled as a failed write: only a start reads what the feed has missed.
  void OnTailGap(const absl::Status& status) {
    base::LogLastWords("validators cannot be told of a change: the process ends",
                       {{"status", status}});
    if (options_.on_fatal) {
      options_.on_fatal(status);
      return;
    }
    _exit(kExitStoreWriteFailed);
  }

  // R11, R19: the store was put back to an older state under its old epoch, or is a copy. What is
  // granted from here on would contradict what validators hold, so nothing is, and nothing is
  // written: the process ends. The mark keeps a supervisor from starting it again.
  void OnRolledBack(const std::string& validator, const absl::Status& why) {
    const absl::Status refusal = base::Refuse(
        absl::StatusCode::kFailedPrecondition, "STORE_ROLLED_BACK",
        absl::StrCat("nothing was written: validator ", validator,
                     " proves that this service told it of changes that the store does not hold, "
                     "so the store was put back to an older state, or is a copy. Begin a new "
                     "history on it: tollgated new-epoch --store DIR; or restore a backup"));
    sequencer_->Halt(refusal);
    watch_->Unfollow();
    host_->health().SetServing(false);
    base::Log(
        base::LogLevel::kError,
        "a validator proves that the store was put back to an older state, or is a copy. Nothing "
        "is "
        "written or granted any more. Begin a new history on it, with what the journal knows: "
        "tollgated new-epoch --store DIR",
        {{"validator", validator},
         {"proof", why},
         {"head", head()},
         {"store", parts_.home.name()}});
    // On a thread of its own, which may wait for the disk, while this one tells the validators that
    // made it known.
    rolled_back_.Begin(parts_.home, store_.epoch, [told = options_.on_rolled_back, refusal] {
      if (told) {
        told(refusal);
        return;
      }
      absl::SleepFor(kLastWords);
      base::FlushLog();
      _exit(kExitRolledBack);
    });
  }

  const ServerOptions options_;
  const OptionParts parts_;
  const base::Clock& clock_;
  base::Random& random_;
  const std::shared_ptr<FreshRegistry> registry_;
  ServerMetrics metrics_;

  // In the order of a start; destroyed in the reverse, after Drain.
  std::shared_ptr<HealthWatch> watch_;
  std::unique_ptr<net::GrpcHost> host_;
  OpenStore store_;
  std::unique_ptr<const Access> access_;
  BoundAccess* bound_ = nullptr;  // access_, where it goes by bindings
  OperatorTokens operator_tokens_;
  std::unique_ptr<const Authenticator> authenticator_;
  std::unique_ptr<ServiceClock> time_;
  std::unique_ptr<storage::Sequencer> sequencer_;
  std::unique_ptr<base::ThreadPool> executor_;
  std::unique_ptr<base::ThreadPool> scans_;
  // Has its own thread, so that no waiting read delays the changes that time brings.
  std::unique_ptr<base::ThreadPool> chores_;
  std::unique_ptr<UseLedger> use_;
  std::unique_ptr<CountingSink> sink_;
  std::unique_ptr<Hub> hub_;
  RpcDeps deps_;
  std::unique_ptr<TokenService> tokens_;
  std::unique_ptr<WorkspaceService> workspaces_;
  std::unique_ptr<OperationsService> operations_;
  std::unique_ptr<EdgeService> edge_;
  std::unique_ptr<AccessService> access_service_;
  std::atomic<bool> watched_ = false;  // operations_ is there
  std::unique_ptr<Sweeper> sweeper_;
  RolledBackEnd rolled_back_;

  absl::Mutex drain_mu_;
  bool drained_ ABSL_GUARDED_BY(drain_mu_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  ASSIGN_OR_RETURN(OptionParts parts, PartsOf(options));
  auto server = std::make_unique<ServerImpl>(std::move(options), std::move(parts));
  RETURN_IF_ERROR(server->Start());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace tollgate::service
