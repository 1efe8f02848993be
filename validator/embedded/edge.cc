// The embedding API: what the host asks in its own words, put to a run of the edge, and what comes
// of it in those words again.
#include "tollgate/edge.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/secret.h"
#include "base/status.h"
#include "base/version.h"
#include "token/grant.h"
#include "validator/core/validator.h"
#include "validator/embedded/decision_words.h"
#include "validator/embedded/edge_holds.h"
#include "validator/embedded/edge_run.h"
#include "validator/embedded/fork_guard.h"
#include "validator/embedded/requirement.h"

namespace tollgate::edge {
namespace {

using Milliseconds = std::chrono::milliseconds;

// A longer string is no token string of any brand; one character too many is enough to tell.
constexpr size_t kLongestTokenString = 256;

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

Verdict VerdictOf(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return Verdict::kAdmit;
    case Reason::kNoToken:
    case Reason::kMalformed:
    case Reason::kUnknown:
    case Reason::kRevoked:
    case Reason::kExpired:
    case Reason::kSuspended:
    case Reason::kInsufficientScope:
    case Reason::kWrongAudience:
    case Reason::kWrongWorkspace:
      return Verdict::kDeny;
    case Reason::kNoLease:
    case Reason::kServiceUnavailable:
    case Reason::kOverloaded:
    case Reason::kTimedOut:
    case Reason::kStopped:
    case Reason::kForked:
      break;
  }
  return Verdict::kUnavailable;
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
    ASSIGN_OR_RETURN(std::shared_ptr<const ForkMark> mark, ForkMark::Create());
    ASSIGN_OR_RETURN(std::unique_ptr<EdgeRun> run, EdgeRun::Start(options, mark));
    return std::unique_ptr<Impl>(new Impl(std::move(mark), std::move(run)));
  }

  ~Impl() { run_->Stop(Milliseconds(2000)); }

  bool forked() const { return mark_->InChild(); }

  bool Check(std::string_view token_string, const Requirement& requirement, Decision* decision) {
    if (Refused(decision)) return true;
    validator::Decision inner;
    if (!run_->validator().Check(Bounded(token_string), CoreRequirementOf(requirement), &inner)) {
      DecisionWords::SetUnavailable(Reason::kServiceUnavailable, decision);
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

  void HoldAsync(std::string_view token_string, const Requirement& requirement, HoldEnd on_end,
                 HoldOpened opened) {
    Decision refused;
    if (Refused(&refused) || HasNoHolds(&refused)) return opened(refused, Hold());
    run_->holds()->HoldAsync(Bounded(token_string), requirement, std::move(on_end),
                             std::move(opened));
  }

  std::pair<Decision, Hold> HoldBlocking(std::string_view token_string,
                                         const Requirement& requirement, HoldEnd on_end,
                                         Milliseconds limit) {
    Decision refused;
    if (Refused(&refused) || HasNoHolds(&refused)) return {std::move(refused), Hold()};
    return run_->holds()->HoldBlocking(Bounded(token_string), requirement, std::move(on_end),
                                       limit);
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
    const validator::HoldTotals holds = run_->validator().holds().Totals();
    out.open_holds = holds.open;
    out.holds_in_doubt = holds.in_doubt;
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
    const validator::HoldTotals holds = run_->validator().holds().Totals();
    out.holds_opened = holds.opened;
    out.holds_closed = holds.closed;
    out.holds_ended = std::accumulate(holds.ended.begin(), holds.ended.end(), int64_t{0});
    return out;
  }

  std::string Metrics() const {
    if (forked()) return std::string();
    return run_->Metrics();
  }

  bool WaitUntilLive(Milliseconds limit) { return !forked() && run_->WaitUntilLive(limit); }
  bool Stop(Milliseconds limit) { return !forked() && run_->Stop(limit); }

 private:
  Impl(std::shared_ptr<const ForkMark> mark, std::unique_ptr<EdgeRun> run)
      : mark_(std::move(mark)), run_(std::move(run)) {}

  // Answers the checks that need no look-up. True: it has answered.
  bool Refused(Decision* decision) const {
    if (forked()) {
      DecisionWords::SetUnavailable(Reason::kForked, decision);
      return true;
    }
    if (run_->stopping()) {
      DecisionWords::SetUnavailable(Reason::kStopped, decision);
      return true;
    }
    return false;
  }

  bool HasNoHolds(Decision* decision) const {
    if (run_->holds() != nullptr) return false;
    DecisionWords::SetUnavailable(Reason::kOverloaded, decision);
    return true;
  }

  void Take(const validator::Decision& inner, Decision* out) const {
    DecisionWords::Set(inner, run_->stopping(), out);
  }

  const std::shared_ptr<const ForkMark> mark_;
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
    DecisionWords::SetUnavailable(Reason::kTimedOut, &decision);
    return decision;
  }
  return std::move(waiting->decision);
}

void Edge::HoldAsync(std::string_view token_string, const Requirement& requirement, HoldEnd on_end,
                     HoldOpened opened) {
  impl_->HoldAsync(token_string, requirement, std::move(on_end), std::move(opened));
}

std::pair<Decision, Hold> Edge::HoldBlocking(std::string_view token_string,
                                             const Requirement& requirement, HoldEnd on_end,
                                             Milliseconds limit) {
  return impl_->HoldBlocking(token_string, requirement, std::move(on_end), limit);
}

bool Edge::WaitUntilLive(Milliseconds limit) { return impl_->WaitUntilLive(limit); }
edge::Status Edge::Status() const { return impl_->Status(); }
edge::Totals Edge::Totals() const { return impl_->Totals(); }
std::string Edge::Metrics() const { return impl_->Metrics(); }
bool Edge::Stop(Milliseconds limit) { return impl_->Stop(limit); }

}  // namespace tollgate::edge
