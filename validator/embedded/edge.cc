// The embedding API over the parts of a validator: here the host's own calls take the place of
// ValidatorServer's listeners.
#include "tollgate/edge.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"
#include "base/version.h"
#include "lease/limits.h"
#include "lease/span.h"
#include "net/address.h"
#include "net/credentials.h"
#include "prometheus/text_serializer.h"
#include "token/field_rules.h"
#include "token/grant.h"
#include "token/token_string.h"
#include "validator/core/validator.h"
#include "validator/embedded/fork_guard.h"
#include "validator/embedded/host_log.h"
#include "validator/shells/edge_metrics.h"
#include "validator/shells/link.h"
#include "validator/shells/resolve_client.h"

namespace tollgate::edge {

struct Requirement::Held {
  token::Requirement requirement;
};

namespace {

using Milliseconds = std::chrono::milliseconds;

// A longer string is no token string of any brand; one character too many is enough to tell.
constexpr size_t kLongestTokenString = 256;
// How late the log may report that a lease has begun or ended. Decisions read the lease themselves.
constexpr Milliseconds kWatchInterval(100);
constexpr Milliseconds kRetryAfter(1000);

// A token may expire in the year 9999, but a system_clock of nanoseconds ends in 2262. A time
// beyond either end of the host's clock becomes that end, so that it never wraps into the past.
std::chrono::system_clock::time_point WallTimeOf(int64_t unix_micros) {
  using Wall = std::chrono::system_clock::time_point;
  using Micros = std::chrono::microseconds;
  const int64_t first = std::chrono::ceil<Micros>(Wall::min().time_since_epoch()).count();
  const int64_t last = std::chrono::floor<Micros>(Wall::max().time_since_epoch()).count();
  return Wall(Micros(std::clamp(unix_micros, first, last)));
}

// `limit` from now, at most a day, because "for ever" would not fit into the clock.
std::chrono::steady_clock::time_point AtMostUntil(Milliseconds limit) {
  return std::chrono::steady_clock::now() +
         std::clamp(limit, Milliseconds(0), Milliseconds(std::chrono::hours(24)));
}

absl::string_view Bounded(std::string_view text) {
  const std::string_view cut = text.substr(0, kLongestTokenString + 1);
  return absl::string_view(cut.data(), cut.size());
}
std::string_view Std(absl::string_view text) { return std::string_view(text.data(), text.size()); }

const token::Requirement& Needed(const Requirement& requirement) {
  static const token::Requirement* const nothing = new token::Requirement;
  return requirement.held() != nullptr ? requirement.held()->requirement : *nothing;
}

absl::Status CheckRange(absl::string_view field, bool good, absl::string_view bounds) {
  if (good) return absl::OkStatus();
  return base::RefuseField("OUT_OF_RANGE", field, bounds);
}

absl::Status CheckOptions(const Options& o) {
  RETURN_IF_ERROR(token::CheckValidatorId(o.id, "id"));
  RETURN_IF_ERROR(
      CheckRange("fail_open_for",
                 !o.fail_open || (o.fail_open_for > Milliseconds(0) &&
                                  absl::FromChrono(o.fail_open_for) <= lease::kLongestFailOpen),
                 "must be above 0, and at most 24 hours"));
  RETURN_IF_ERROR(
      CheckRange("drift_bound", lease::IsDriftBound(o.drift_bound), "must be 0 to 0.1"));
  for (const auto& [field, value] :
       {std::pair<absl::string_view, int64_t>("cache_entries", o.cache_entries),
        std::pair<absl::string_view, int64_t>("unknown_entries", o.unknown_entries)}) {
    RETURN_IF_ERROR(CheckRange(field, value >= 1 && value <= (1 << 24), "must be 1 to 16777216"));
  }
  RETURN_IF_ERROR(CheckRange("max_questions", o.max_questions >= 1, "must be at least 1"));
  RETURN_IF_ERROR(CheckRange("max_waiting", o.max_waiting >= 1, "must be at least 1"));
  RETURN_IF_ERROR(
      CheckRange("resolve_timeout", o.resolve_timeout > Milliseconds(0), "must be above 0"));
  return CheckRange("longest_backoff", o.longest_backoff > Milliseconds(0), "must be above 0");
}

absl::Status CheckPlaintext(const net::Address& service, bool tls, bool allowed) {
  if (tls || allowed || service.IsLoopback()) return absl::OkStatus();
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "PLAINTEXT_REFUSED",
      absl::StrCat("refusing to follow ", service.ToString(),
                   " in plaintext: it is on another host. Set service_tls or service_ca, "
                   "or, knowing the risk, allow_plaintext."));
}

validator::ValidatorOptions CoreOptions(const Options& o, token::TokenFormat format) {
  validator::ValidatorOptions core;
  core.follower.validator_id = o.id;
  core.follower.version = base::kVersion;
  if (o.fail_open) {
    core.follower.stale_policy = tollgate::v1::STALE_POLICY_FAIL_OPEN;
    core.follower.fail_open_for = absl::FromChrono(o.fail_open_for);
  }
  core.follower.drift_bound = o.drift_bound;
  core.follower.backoff_longest = absl::FromChrono(o.longest_backoff);
  core.follower.backoff_first =
      std::min(core.follower.backoff_first, core.follower.backoff_longest);
  core.cache.entries = static_cast<size_t>(o.cache_entries);
  core.cache.unknown_entries = static_cast<size_t>(o.unknown_entries);
  core.resolver.most_in_flight = static_cast<size_t>(o.max_questions);
  core.resolver.most_waiting = static_cast<size_t>(o.max_waiting);
  core.format = std::move(format);
  return core;
}

Error ErrorFrom(const absl::Status& status) {
  Error error;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      error.code = ErrorCode::kInvalidArgument;
      break;
    case absl::StatusCode::kFailedPrecondition:
      error.code = ErrorCode::kFailedPrecondition;
      break;
    case absl::StatusCode::kResourceExhausted:
      error.code = ErrorCode::kResourceExhausted;
      break;
    default:
      error.code = ErrorCode::kInternal;
  }
  error.reason = base::ReasonOf(status);
  error.message = std::string(status.message());
  return error;
}

HostLog::Callback ForHost(LogCallback callback) {
  if (!callback) return nullptr;
  return [callback = std::move(callback)](base::LogLevel level, absl::string_view line) {
    callback(static_cast<LogLevel>(level), Std(line));
  };
}

}  // namespace

// ---- What is asked for.

Requirement::Requirement() = default;
Requirement::~Requirement() = default;
Requirement::Requirement(const Requirement&) = default;
Requirement& Requirement::operator=(const Requirement&) = default;
Requirement::Requirement(Requirement&&) noexcept = default;
Requirement& Requirement::operator=(Requirement&&) noexcept = default;

// A copy is made before the change, because others may read what they share.
Requirement::Held& Requirement::Mine() {
  auto mine = held_ != nullptr ? std::make_shared<Held>(*held_) : std::make_shared<Held>();
  Held& changed = *mine;
  held_ = std::move(mine);
  return changed;
}

Requirement& Requirement::AllOf(std::vector<std::string> scopes) {
  Mine().requirement.all_scopes = std::move(scopes);
  return *this;
}

Requirement& Requirement::AnyOf(std::vector<std::string> scopes) {
  Mine().requirement.any_scopes = std::move(scopes);
  return *this;
}

Requirement& Requirement::Audience(std::string audience) {
  Mine().requirement.audience = std::move(audience);
  return *this;
}

std::string_view Describe(Reason reason) {
  switch (reason) {
    case Reason::kTimedOut:
      return "the answer did not come in time";
    case Reason::kStopped:
      return "the edge has been stopped";
    case Reason::kForked:
      return "this process was forked after its edge was started";
    default:
      return Std(token::Describe(static_cast<tollgate::v1::VerdictReason>(reason)));
  }
}

std::string_view Version() { return base::kVersion; }

void Wipe(std::string* text) { base::WipeString(text); }

// ---- The edge.

class Edge::Impl {
 public:
  static absl::StatusOr<std::unique_ptr<Impl>> Start(Options options) {
    // Checked before gRPC is touched.
    if (ForkedFromRunningGrpc()) {
      return base::Refuse(
          absl::StatusCode::kFailedPrecondition, "FORKED_AFTER_START",
          "this process was forked from one in which an edge had been started, or gRPC "
          "ran, and gRPC does not outlive a fork. Start the edge after the fork, in each "
          "child, and none in the parent.");
    }
    RETURN_IF_ERROR(CheckOptions(options));
    base::InitSecrets();
    ASSIGN_OR_RETURN(std::unique_ptr<ForkMark> mark, ForkMark::Create());
    NoteGrpcRuns();
    std::unique_ptr<Impl> impl(new Impl(std::move(options), std::move(mark)));
    RETURN_IF_ERROR(impl->Begin());
    return impl;
  }

  ~Impl() { Stop(Milliseconds(2000)); }

  bool forked() const { return mark_->InChild(); }

  bool Check(std::string_view token_string, const Requirement& requirement, Decision* decision) {
    if (Refused(decision)) return true;
    validator::Decision inner;
    if (!validator_->Check(Bounded(token_string), Needed(requirement), &inner)) {
      SetUnavailable(Reason::kServiceUnavailable, decision);
      return false;
    }
    Take(inner, decision);
    return true;
  }

  void CheckAsync(std::string_view token_string, const Requirement& requirement,
                  Callback callback) {
    Decision refused;
    if (Refused(&refused)) return callback(refused);
    validator_->CheckAsync(
        Bounded(token_string), Needed(requirement),
        [this, callback = std::move(callback)](const validator::Decision& inner) {
          Decision decision;
          Take(inner, &decision);
          callback(decision);
        });
  }

  bool WaitUntilLive(Milliseconds limit) {
    if (forked()) return false;
    std::unique_lock<std::mutex> lock(watch_mu_);
    ++waiting_;
    watch_changed_.notify_all();
    watch_changed_.wait_until(lock, AtMostUntil(limit), [this] { return live_ || watch_stopped_; });
    --waiting_;
    return live_ && !watch_stopped_;
  }

  edge::Status Status() const {
    edge::Status out;
    if (forked()) {
      out.state = State::kForked;
      return out;
    }
    const validator::ValidatorStatus s = validator_->Status();
    switch (s.lease) {
      case validator::LeaseState::kLive:
        out.state = State::kLive;
        break;
      case validator::LeaseState::kFailOpen:
        out.state = State::kFailOpen;
        break;
      case validator::LeaseState::kNone:
        out.state =
            had_lease_.load(std::memory_order_relaxed) ? State::kNoLease : State::kConnecting;
        break;
    }
    if (stopping_.load(std::memory_order_acquire)) out.state = State::kStopped;
    out.lease_left = absl::ToChronoMilliseconds(std::max(s.lease_left, absl::ZeroDuration()));
    out.following = s.follower.phase == validator::FollowerStatus::Phase::kFollowing;
    out.epoch = s.follower.epoch;
    out.applied_revision = s.follower.applied_revision;
    out.cached_tokens = s.cached_tokens;
    out.cached_unknown = s.cached_unknown;
    out.questions_in_flight = s.questions_in_flight;
    out.resets = s.follower.resets;
    out.reconnects = std::max<int64_t>(s.follower.streams - 1, 0);
    return out;
  }

  edge::Totals Totals() const {
    edge::Totals out;
    if (forked()) return out;
    const validator::DecisionTotals totals = validator_->Totals();
    out.admitted = totals.admitted;
    out.admitted_fail_open = totals.admitted_fail_open;
    out.from_memory = totals.from_memory;
    out.misses = totals.misses;
    static_assert(std::tuple_size<decltype(totals.refused)>::value <=
                  std::tuple_size<decltype(out.by_reason)>::value);
    for (size_t i = 0; i < totals.refused.size(); ++i) {
      out.by_reason[i] = totals.refused[i];
      const Reason reason = static_cast<Reason>(i);
      const bool unavailable = reason == Reason::kNoLease ||
                               reason == Reason::kServiceUnavailable ||
                               reason == Reason::kOverloaded;
      (unavailable ? out.unavailable : out.denied) += totals.refused[i];
    }
    return out;
  }

  std::string Metrics() const {
    if (forked()) return std::string();
    return prometheus::TextSerializer().Serialize(metrics_->Collect());
  }

  bool Stop(Milliseconds limit) {
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
    if (validator_ != nullptr) validator_->StopAdmitting();
    // Every answer that still comes finds a validator that admits nothing.
    if (resolve_ != nullptr) resolve_->Stop();
    bool taken = false;
    if (link_ != nullptr) {
      // R4: no decision is under way here any more.
      taken = link_->Goodbye(absl::FromChrono(limit));
      base::Log(base::LogLevel::kInfo,
                taken ? "said goodbye" : "left without the service hearing a goodbye");
      link_->Stop();
    }
    log_.reset();
    return taken;
  }

  static void SetUnavailable(Reason reason, Decision* decision) {
    decision->verdict_ = Verdict::kUnavailable;
    decision->reason_ = reason;
    decision->fail_open_ = false;
    decision->retry_after_ = kRetryAfter;
    decision->expire_time_.reset();
    decision->text_.clear();
    decision->ends_.clear();
  }

 private:
  Impl(Options options, std::unique_ptr<ForkMark> mark)
      : options_(std::move(options)), mark_(std::move(mark)) {}

  absl::Status Begin() {
    const base::Clock& clock = base::SystemClock();
    ASSIGN_OR_RETURN(const net::Address service, net::ParseAddress(options_.service));
    const net::TlsFiles tls{options_.service_cert, options_.service_key, options_.service_ca};
    const bool use_tls = options_.service_tls || !tls.empty();
    RETURN_IF_ERROR(CheckPlaintext(service, use_tls, options_.allow_plaintext));
    ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials,
                     net::ClientCredentialsFor(tls, use_tls,
                                               net::ServerIdentity{options_.service_spiffe_id,
                                                                   options_.service_host_name}));
    ASSIGN_OR_RETURN(token::TokenFormat format, token::TokenFormat::ForBrand(options_.brand));
    ASSIGN_OR_RETURN(validator_,
                     validator::Validator::Create(
                         CoreOptions(options_, std::move(format)), clock, base::SystemRandom(),
                         [this](const tollgate::v1::ResolveRequest& request,
                                validator::ResolveClient::Callback callback) {
                           resolve_->Ask(request, std::move(callback));
                         }));
    log_ = std::make_unique<HostLog>(ForHost(options_.log));
    metrics_ = std::make_shared<validator::EdgeMetrics>(validator_.get());
    // Two connections, so that a flood of questions cannot delay a ping.
    net::ChannelOptions channel;
    channel.own_connection = true;
    channel.max_reconnect_backoff = absl::FromChrono(options_.longest_backoff);
    // A connection whose bytes vanish must be found and replaced well within a lease, also by the
    // questions, which have no pings of their own. Not below the service's
    // ServerLimits::min_ping_interval.
    channel.keepalive_time = absl::Seconds(11);
    channel.keepalive_timeout = absl::Seconds(4);
    resolve_ = validator::ResolveClient::Create(
        net::MakeChannel(service, credentials, channel), absl::FromChrono(options_.resolve_timeout),
        &clock, [metrics = metrics_](absl::StatusCode code, absl::Duration took) {
          metrics->OnResolve(code, took);
        });
    link_ = validator::Link::Start({validator_.get(), &clock,
                                    [service, credentials, channel] {
                                      return net::MakeChannel(service, credentials, channel);
                                    },
                                    service.ToString()});
    watch_ = std::thread([this] { Watch(); });
    return absl::OkStatus();
  }

  // Answers the checks that need no look-up. True: it has answered.
  bool Refused(Decision* decision) const {
    if (forked()) {
      SetUnavailable(Reason::kForked, decision);
      return true;
    }
    if (stopping_.load(std::memory_order_acquire)) {
      SetUnavailable(Reason::kStopped, decision);
      return true;
    }
    return false;
  }

  void Take(const validator::Decision& inner, Decision* out) const {
    if (inner.verdict != tollgate::v1::VERDICT_ADMIT &&
        inner.verdict != tollgate::v1::VERDICT_DENY) {
      const bool stopped = stopping_.load(std::memory_order_acquire);
      SetUnavailable(stopped ? Reason::kStopped : static_cast<Reason>(inner.reason), out);
      if (!stopped) out->retry_after_ = absl::ToChronoMilliseconds(inner.retry_after);
      return;
    }
    out->verdict_ = inner.admitted() ? Verdict::kAdmit : Verdict::kDeny;
    out->reason_ = static_cast<Reason>(inner.reason);
    out->fail_open_ = inner.fail_open;
    out->retry_after_ = Milliseconds(0);
    out->expire_time_.reset();
    out->text_.clear();
    out->ends_.clear();
    token::GrantView grant;
    if (!inner.ReadIdentity(&grant)) return;
    const auto add = [out](absl::string_view text) {
      out->text_.append(text.data(), text.size());
      out->ends_.push_back(static_cast<uint32_t>(out->text_.size()));
    };
    add(grant.token());
    add(grant.workspace());
    add(grant.token_id());
    add(grant.owner());
    for (size_t i = 0; i < grant.scope_count(); ++i) add(grant.scope(i));
    if (grant.expire_time_us() != 0) {
      out->expire_time_ = WallTimeOf(grant.expire_time_us());
    }
  }

  // Tells the log, and the waiting callers, of each change of the lease, once.
  void Watch() {
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
      // More often while a caller waits.
      watch_changed_.wait_until(
          lock, std::chrono::steady_clock::now() +
                    (waiting_ > 0 && !live_ ? kWatchInterval / 20 : kWatchInterval));
    }
  }

  void TellLease(const validator::ValidatorStatus& now) const {
    switch (now.lease) {
      case validator::LeaseState::kLive:
        base::Log(base::LogLevel::kInfo, "in sync: decisions are covered by a lease",
                  {{"validator", options_.id},
                   {"epoch", now.follower.epoch},
                   {"revision", now.follower.applied_revision}});
        break;
      case validator::LeaseState::kFailOpen:
        base::Log(
            base::LogLevel::kWarning,
            "the lease has run out: going on from memory (fail-open); receipts do not cover this "
            "edge",
            {{"validator", options_.id}, {"revision", now.follower.applied_revision}});
        break;
      case validator::LeaseState::kNone:
        base::Log(base::LogLevel::kWarning,
                  "the lease has run out: nothing is admitted until it is renewed",
                  {{"validator", options_.id}, {"revision", now.follower.applied_revision}});
        break;
    }
  }

  const Options options_;
  const std::unique_ptr<ForkMark> mark_;

  // Created in this order at a start; destroyed in the reverse, after Stop. `validator_` outlives
  // its callers, because checks may come until the destructor.
  std::unique_ptr<HostLog> log_;
  std::shared_ptr<validator::ResolveClient> resolve_;
  std::unique_ptr<validator::Validator> validator_;
  std::shared_ptr<validator::EdgeMetrics> metrics_;
  std::shared_ptr<validator::Link> link_;

  std::atomic<bool> had_lease_{false};
  std::atomic<bool> stopping_{false};

  std::mutex watch_mu_;  // guards live_, waiting_, watch_stopped_
  std::condition_variable watch_changed_;
  bool live_ = false;
  int waiting_ = 0;  // in WaitUntilLive
  bool watch_stopped_ = false;
  std::thread watch_;

  absl::Mutex stop_mu_;
  bool stopped_ ABSL_GUARDED_BY(stop_mu_) = false;
};

Edge::Edge(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Edge::~Edge() {
  // In a forked child the threads are the parent's, and the locks are as the fork found them, so
  // nothing is destroyed.
  if (impl_->forked()) static_cast<void>(impl_.release());
}

Result<std::unique_ptr<Edge>> Edge::Start(Options options) {
  absl::StatusOr<std::unique_ptr<Impl>> impl = Impl::Start(std::move(options));
  if (!impl.ok()) return ErrorFrom(impl.status());
  return std::unique_ptr<Edge>(new Edge(*std::move(impl)));
}

bool Edge::Check(std::string_view token_string, const Requirement& requirement,
                 Decision* decision) {
  return impl_->Check(token_string, requirement, decision);
}

void Edge::CheckAsync(std::string_view token_string, const Requirement& requirement,
                      Callback callback) {
  impl_->CheckAsync(token_string, requirement, std::move(callback));
}

Decision Edge::CheckBlocking(std::string_view token_string, const Requirement& requirement,
                             Milliseconds limit) {
  Decision decision;
  if (impl_->Check(token_string, requirement, &decision)) return decision;
  // Held by both sides: the answer may come after the wait has ended.
  struct Waiting {
    std::mutex mu;
    std::condition_variable answered;
    bool done = false;
    Decision decision;
  };
  auto waiting = std::make_shared<Waiting>();
  impl_->CheckAsync(token_string, requirement, [waiting](const Decision& answer) {
    std::lock_guard<std::mutex> lock(waiting->mu);
    waiting->decision = answer;
    waiting->done = true;
    waiting->answered.notify_all();
  });
  std::unique_lock<std::mutex> lock(waiting->mu);
  if (!waiting->answered.wait_until(lock, AtMostUntil(limit), [&] { return waiting->done; })) {
    Impl::SetUnavailable(Reason::kTimedOut, &decision);
    return decision;
  }
  return std::move(waiting->decision);
}

bool Edge::WaitUntilLive(Milliseconds limit) { return impl_->WaitUntilLive(limit); }
edge::Status Edge::Status() const { return impl_->Status(); }
edge::Totals Edge::Totals() const { return impl_->Totals(); }
std::string Edge::Metrics() const { return impl_->Metrics(); }
bool Edge::Stop(Milliseconds limit) { return !impl_->forked() && impl_->Stop(limit); }

}  // namespace tollgate::edge
