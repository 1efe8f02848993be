// The embedding API: what the host asks in its own words, put to a run of the edge, and what comes
// of it in those words again.
#include "tollgate/edge.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/secret.h"
#include "base/status.h"
#include "base/version.h"
#include "token/grant.h"
#include "validator/core/validator.h"
#include "validator/embedded/edge_run.h"
#include "validator/embedded/fork_guard.h"
#include "validator/embedded/requirement.h"

namespace tollgate::edge {
namespace {

using Milliseconds = std::chrono::milliseconds;

// A longer string is no token string of any brand; one character too many is enough to tell.
constexpr size_t kLongestTokenString = 256;
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

absl::string_view Bounded(std::string_view text) {
  const std::string_view cut = text.substr(0, kLongestTokenString + 1);
  return absl::string_view(cut.data(), cut.size());
}
std::string_view Std(absl::string_view text) { return std::string_view(text.data(), text.size()); }

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

}  // namespace

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
  static absl::StatusOr<std::unique_ptr<Impl>> Start(const Options& options) {
    // Before anything of gRPC's is touched.
    if (ForkedFromRunningGrpc()) {
      return base::Refuse(
          absl::StatusCode::kFailedPrecondition, "FORKED_AFTER_START",
          "this process was forked from one in which an edge had been started, or gRPC "
          "ran, and gRPC does not outlive a fork. Start the edge after the fork, in each "
          "child, and none in the parent.");
    }
    base::InitSecrets();
    ASSIGN_OR_RETURN(std::unique_ptr<ForkMark> mark, ForkMark::Create());
    ASSIGN_OR_RETURN(std::unique_ptr<EdgeRun> run, EdgeRun::Start(options));
    return std::unique_ptr<Impl>(new Impl(std::move(mark), std::move(run)));
  }

  ~Impl() { run_->Stop(Milliseconds(2000)); }

  bool forked() const { return mark_->InChild(); }

  bool Check(std::string_view token_string, const Requirement& requirement, Decision* decision) {
    if (Refused(decision)) return true;
    validator::Decision inner;
    if (!run_->validator().Check(Bounded(token_string), CoreRequirementOf(requirement), &inner)) {
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
    run_->validator().CheckAsync(
        Bounded(token_string), CoreRequirementOf(requirement),
        [this, callback = std::move(callback)](const validator::Decision& inner) {
          Decision decision;
          Take(inner, &decision);
          callback(decision);
        });
  }

  edge::Status Status() const {
    edge::Status out;
    if (forked()) {
      out.state = State::kForked;
      return out;
    }
    const validator::ValidatorStatus s = run_->validator().Status();
    switch (s.lease) {
      case validator::LeaseState::kLive:
        out.state = State::kLive;
        break;
      case validator::LeaseState::kFailOpen:
        out.state = State::kFailOpen;
        break;
      case validator::LeaseState::kNone:
        out.state = run_->had_lease() ? State::kNoLease : State::kConnecting;
        break;
    }
    if (run_->stopping()) out.state = State::kStopped;
    out.lease_left = absl::ToChronoMilliseconds(std::max(s.lease_left, absl::ZeroDuration()));
    out.following = s.follower.phase == validator::FollowerStatus::Phase::kFollowing;
    out.epoch = s.follower.epoch;
    out.applied_revision = s.follower.applied_revision;
    out.cached_tokens = s.cached_tokens;
    out.cached_unknown = s.cached_unknown;
    out.questions_in_flight = s.questions_in_flight;
    out.resets = s.follower.resets;
    out.reconnects = std::max<int64_t>(s.follower.streams - 1, 0);
    validator::ServiceReach::Trouble trouble = run_->trouble();
    out.unreached_reason = std::move(trouble.reason);
    out.unreached_why = std::move(trouble.why);
    return out;
  }

  edge::Totals Totals() const {
    edge::Totals out;
    if (forked()) return out;
    const validator::DecisionTotals totals = run_->validator().Totals();
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
    return run_->Metrics();
  }

  bool WaitUntilLive(Milliseconds limit) { return !forked() && run_->WaitUntilLive(limit); }
  bool Stop(Milliseconds limit) { return !forked() && run_->Stop(limit); }

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
  Impl(std::unique_ptr<ForkMark> mark, std::unique_ptr<EdgeRun> run)
      : mark_(std::move(mark)), run_(std::move(run)) {}

  // Answers the checks that need no look-up. True: it has answered.
  bool Refused(Decision* decision) const {
    if (forked()) {
      SetUnavailable(Reason::kForked, decision);
      return true;
    }
    if (run_->stopping()) {
      SetUnavailable(Reason::kStopped, decision);
      return true;
    }
    return false;
  }

  void Take(const validator::Decision& inner, Decision* out) const {
    if (inner.verdict != tollgate::v1::VERDICT_ADMIT &&
        inner.verdict != tollgate::v1::VERDICT_DENY) {
      const bool stopped = run_->stopping();
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
    for (size_t i = 0; i < grant.annotation_count(); ++i) {
      const absl::string_view pair[] = {grant.annotation_key(i), grant.annotation_value(i)};
      // No service of ours lets a 0 byte in.
      if (absl::StrContains(pair[0], '\0') || absl::StrContains(pair[1], '\0')) continue;
      for (const absl::string_view text : pair) {
        out->text_.append(text.data(), text.size());
        out->text_.push_back('\0');
      }
    }
    if (grant.expire_time_us() != 0) {
      out->expire_time_ = WallTimeOf(grant.expire_time_us());
    }
  }

  const std::unique_ptr<ForkMark> mark_;
  const std::unique_ptr<EdgeRun> run_;
};

Edge::Edge(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Edge::~Edge() {
  // In a forked child the threads are the parent's, and the locks are as the fork found them, so
  // nothing is destroyed.
  if (impl_->forked()) static_cast<void>(impl_.release());
}

Result<std::unique_ptr<Edge>> Edge::Start(Options options) {
  absl::StatusOr<std::unique_ptr<Impl>> impl = Impl::Start(options);
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
bool Edge::Stop(Milliseconds limit) { return impl_->Stop(limit); }

}  // namespace tollgate::edge
