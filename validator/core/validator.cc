#include "validator/core/validator.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/status.h"
#include "token/digest.h"

namespace tollgate {
namespace {

using tollgate::v1::ResolveResponse;
using tollgate::v1::VerdictReason;

constexpr size_t kMostEvidence = 4096;

// A pair of clock readings is worth something only when little time passed between them.
constexpr absl::Duration kPairSlack = absl::Microseconds(500);

// The boot clock first: for a ping that is the earlier, so the lease is the shorter (R1).
std::pair<BootTime, absl::Time> ReadPair(const Clock& clock) {
  for (int attempt = 0;; ++attempt) {
    const BootTime boot = clock.Now();
    const absl::Time wall = clock.WallNow();
    if (attempt == 3 || clock.Now() - boot < kPairSlack) return {boot, wall};
  }
}

// Denied whether or not there is a lease: final never goes stale (I7). A time that has passed is
// not that: an event that this edge has not heard of may have moved it.
bool IsFinal(tollgate::v1::TokenState state) {
  return state == tollgate::v1::TOKEN_STATE_REVOKED || state == tollgate::v1::TOKEN_STATE_EXPIRED;
}

// Accuses the token, so that a client throws it away.
bool Accuses(VerdictReason reason) {
  return reason == tollgate::v1::VERDICT_REASON_REVOKED ||
         reason == tollgate::v1::VERDICT_REASON_EXPIRED ||
         reason == tollgate::v1::VERDICT_REASON_SUSPENDED;
}

ValidatorOptions WithIncarnation(ValidatorOptions options, Random& random) {
  if (options.follower.incarnation.empty()) {
    std::string bytes(16, '\0');
    random.Fill(absl::MakeSpan(reinterpret_cast<uint8_t*>(&bytes[0]), bytes.size()));
    options.follower.incarnation = bytes;
  }
  options.follower.brand = options.format.brand();
  options.resolver.validator_id = options.follower.validator_id;
  return options;
}

int64_t ToMillis(absl::Time t) { return std::max<int64_t>(absl::ToUnixMillis(t), 1); }

}  // namespace

absl::StatusOr<std::unique_ptr<Validator>> Validator::Create(ValidatorOptions options,
                                                             const Clock& clock, Random& random,
                                                             Ask ask) {
  if (options.follower.validator_id.empty()) {
    return RefuseField("VALIDATOR_ID_MALFORMED", "validator_id", "is required");
  }
  if (options.follower.silent_intervals < 1 || options.longest_usage_report == 0) {
    return RefuseField("OUT_OF_RANGE", "follower.silent_intervals", "must be at least 1");
  }
  const bool fail_open = options.follower.stale_policy == tollgate::v1::STALE_POLICY_FAIL_OPEN;
  if (fail_open && options.follower.fail_open_for <= absl::ZeroDuration()) {
    return RefuseField("FAIL_OPEN_FOR_OUT_OF_RANGE", "fail_open_for",
                       "fail-open needs a longest time");
  }
  ASSIGN_OR_RETURN(auto edge_clock, EdgeClock::Create(options.follower.drift_bound,
                                                      fail_open ? options.follower.fail_open_for
                                                                : absl::ZeroDuration()));
  ASSIGN_OR_RETURN(auto cache, DecisionCache::Create(options.cache, random));
  return std::unique_ptr<Validator>(new Validator(WithIncarnation(std::move(options), random),
                                                  clock, random, std::move(ask),
                                                  std::move(edge_clock), std::move(cache)));
}

Validator::Validator(ValidatorOptions options, const Clock& clock, Random& random, Ask ask,
                     std::unique_ptr<EdgeClock> edge_clock, std::unique_ptr<DecisionCache> cache)
    : options_(std::move(options)),
      incarnation_(options_.follower.incarnation),
      clock_(clock),
      ask_(std::move(ask)),
      edge_clock_(std::move(edge_clock)),
      cache_(std::move(cache)),
      follower_(options_.follower, this, &random),
      resolver_(options_.resolver),
      usage_(options_.most_unreported) {}

Validator::~Validator() = default;

// ---- Deciding.

Validator::ReadClocks Validator::Clocks() const {
  ReadClocks c;
  for (int attempt = 0; attempt < 3; ++attempt) {
    // R13: the clocks first, then the lease; the caller reads the entry after both.
    c.boot = clock_.Now();
    c.wall = clock_.WallNow();
    c.lease = edge_clock_->Read();
    c.state = edge_clock_->StateAt(c.lease, c.boot, c.wall);
    if (TOLLGATE_MUTATED("r13_cached_clock") && c.lease.lease_ns > 0) c.state = LeaseState::kLive;
    // A thread that was put aside between the two readings sees clocks that disagree: look again.
    if (c.state == LeaseState::kLive || c.lease.lease_ns == 0) break;
  }
  c.service =
      TOLLGATE_MUTATED("r18_own_clock") ? c.wall : edge_clock_->ServiceTimeAt(c.lease, c.boot);
  return c;
}

void Validator::SetUnavailable(VerdictReason reason, Decision* decision) const {
  decision->verdict = tollgate::v1::VERDICT_UNAVAILABLE;
  decision->reason = reason;
  decision->retry_after = options_.retry_after;
  decision->fail_open = false;
}

bool Validator::RefuseMalformed(absl::string_view token_string, Decision* decision) const {
  TokenFormat::Parsed parsed;
  VerdictReason reason = tollgate::v1::VERDICT_REASON_UNSPECIFIED;
  if (token_string.empty()) {
    reason = tollgate::v1::VERDICT_REASON_NO_TOKEN;
  } else if (options_.format.Parse(token_string, &parsed) != TokenDefect::kNone) {
    if (!brand_agreed_.load(std::memory_order_relaxed)) {
      // With another brand it may be a good token (I7).
      SetUnavailable(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE, decision);
      return true;
    }
    reason = tollgate::v1::VERDICT_REASON_MALFORMED;
  } else {
    return false;
  }
  decision->verdict = tollgate::v1::VERDICT_DENY;
  decision->reason = reason;
  decision->retry_after = absl::ZeroDuration();
  decision->fail_open = false;
  return true;
}

void Validator::DecideOn(const GrantView& grant, const ReadClocks& clocks,
                         const Requirement& requirement, Decision* decision) const {
  const VerdictReason reason = Decide(grant, requirement, clocks.service);
  decision->retry_after = absl::ZeroDuration();
  decision->fail_open = false;
  if (IsFinal(grant.state())) {
    decision->verdict = tollgate::v1::VERDICT_DENY;
    decision->reason = reason;
    return;
  }
  // Without a lease what is held may be out of date: nothing that can change is said of it.
  // Fail-open goes on admitting from it, yet accuses nobody on it: a suspended token may be back,
  // and one whose time has passed may have been given more (I7).
  if (clocks.state == LeaseState::kNone ||
      (clocks.state == LeaseState::kFailOpen && Accuses(reason))) {
    return SetUnavailable(tollgate::v1::VERDICT_REASON_NO_LEASE, decision);
  }
  // A state that this build does not know: neither admitted nor accused.
  if (reason == tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE) {
    return SetUnavailable(reason, decision);
  }
  decision->reason = reason;
  if (reason == tollgate::v1::VERDICT_REASON_UNSPECIFIED) {
    decision->verdict = tollgate::v1::VERDICT_ADMIT;
    decision->fail_open = clocks.state == LeaseState::kFailOpen;
  } else {
    decision->verdict = tollgate::v1::VERDICT_DENY;
  }
}

void Validator::DecideOnUnknown(const ReadClocks& clocks, Decision* decision) const {
  if (clocks.state != LeaseState::kLive) {
    return SetUnavailable(tollgate::v1::VERDICT_REASON_NO_LEASE, decision);
  }
  decision->verdict = tollgate::v1::VERDICT_DENY;
  decision->reason = tollgate::v1::VERDICT_REASON_UNKNOWN;
  decision->retry_after = absl::ZeroDuration();
  decision->fail_open = false;
}

bool Validator::CheckMemory(absl::string_view token_string, const Requirement& requirement,
                            TokenKey* key, Decision* decision) {
  // The string's length tells where its public id would lie. Whether it is well formed is asked
  // only where it is not held: nothing malformed is ever kept (CheckAsync comes here first), and
  // what is held is recognised by the whole string.
  if (token_string.size() != options_.format.length()) {
    return RefuseMalformed(token_string, decision);
  }
  const size_t id_at = token_string.size() - kBodyLength;
  *key = cache_->KeyOf(token_string, token_string.substr(id_at, kPublicIdLength));
  for (int attempt = 0; attempt < 4; ++attempt) {
    const uint64_t collection = cache_->collection();
    const ReadClocks clocks = Clocks();
    DecisionCache::Place place;
    switch (cache_->Find(*key, &decision->grant_, &place)) {
      case DecisionCache::Found::kMiss:
        if (RefuseMalformed(token_string, decision)) return true;
        // Without a lease no answer could be used: do not ask for one.
        if (clocks.state != LeaseState::kNone) return false;
        SetUnavailable(tollgate::v1::VERDICT_REASON_NO_LEASE, decision);
        return true;
      case DecisionCache::Found::kUnknown:
        DecideOnUnknown(clocks, decision);
        return true;
      case DecisionCache::Found::kGrant:
        break;
    }
    GrantView grant;
    if (!GrantView::Over(decision->grant_.bytes(), &grant)) return false;
    DecideOn(grant, clocks, requirement, decision);
    if (!decision->admitted()) return true;
    // Dropped since it was read: what is true now is not held here.
    if (!cache_->RecordAdmit(place, ToMillis(clocks.service))) continue;
    // Use was collected meanwhile: again with a later reading, else this admission would lie
    // before the report's complete_until and be in no report up to it.
    if (cache_->collection() == collection) return true;
  }
  return false;
}

bool Validator::Check(absl::string_view token_string, const Requirement& requirement,
                      Decision* decision) {
  TokenKey key;
  if (!CheckMemory(token_string, requirement, &key, decision)) return false;
  Count(*decision, /*from_memory=*/true);
  return true;
}

void Validator::Count(const Decision& decision, bool from_memory) {
  if (decision.admitted()) {
    counts_.CountAdmit(decision.fail_open, from_memory);
  } else {
    counts_.CountRefusal(decision.reason, from_memory);
  }
}

void Validator::CheckAsync(absl::string_view token_string, const Requirement& requirement,
                           Callback callback) {
  Decision decision;
  TokenKey key;
  if (CheckMemory(token_string, requirement, &key, &decision)) {
    Count(decision, /*from_memory=*/true);
    return callback(decision);
  }
  counts_.CountMiss();
  const EdgeDigest digest = EdgeDigest::Of(token_string);
  Resolver::Waiter waiter{requirement, std::move(callback)};
  Resolver::Question question;
  Resolver::Joined joined = Resolver::Joined::kOverloaded;
  VerdictReason refusal = tollgate::v1::VERDICT_REASON_OVERLOADED;
  {
    absl::MutexLock lock(&mu_);
    if (follower_.epoch().empty()) {
      // Nothing to judge an answer against.
      refusal = tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE;
    } else {
      joined = resolver_.Join(key, digest, follower_.epoch(), follower_.question_revision(), waiter,
                              &question);
    }
  }
  switch (joined) {
    case Resolver::Joined::kWaits:
      return;
    case Resolver::Joined::kAsk:
      return SendQuestion(question);
    case Resolver::Joined::kOverloaded:
      SetUnavailable(refusal, &decision);
      Count(decision, /*from_memory=*/false);
      return waiter.callback(decision);
  }
}

void Validator::SendQuestion(const Resolver::Question& question) {
  ask_(question.request, [this, id = question.id](absl::StatusOr<ResolveResponse> answer) {
    OnAnswer(id, std::move(answer));
  });
}

void Validator::OnAnswer(uint64_t question, absl::StatusOr<ResolveResponse> answer) {
  Decision decision;
  // What differs between the waiters; the grant is the same for all.
  struct Ruling {
    tollgate::v1::Verdict verdict;
    VerdictReason reason;
    absl::Duration retry_after;
    bool fail_open;
  };
  std::vector<Ruling> rulings;
  Resolver::Outcome outcome;
  {
    absl::MutexLock lock(&mu_);
    outcome =
        resolver_.OnAnswer(question, answer, follower_.epoch(), follower_.question_revision());
    const std::string packed =
        outcome.usable && answer->has_grant() ? PackGrant(answer->grant()) : std::string();
    DecisionCache::Place place;
    GrantView grant;
    if (outcome.usable) {
      const int64_t now_ms = ToMillis(Clocks().service);
      std::vector<EntryUse> gone;
      if (answer->has_grant()) {
        outcome.usable =
            cache_->Insert(outcome.key, answer->grant(), packed, now_ms, &place, &gone) &&
            decision.grant_.Assign(packed) && GrantView::Over(decision.grant_.bytes(), &grant);
      } else {
        cache_->InsertUnknown(outcome.key, now_ms, &gone);
      }
      usage_.Add(gone);
    }
    rulings.reserve(outcome.waiters.size());
    for (const Resolver::Waiter& waiter : outcome.waiters) {
      if (!outcome.usable) {
        SetUnavailable(outcome.reason, &decision);
      } else {
        // R13: clock and lease again, now that the answer is here. Events wait for mu_, so
        // what was judged current above is current still; use is collected under mu_ too.
        ReadClocks clocks = Clocks();
        if (TOLLGATE_MUTATED("r13_answer_without_lease")) clocks.state = LeaseState::kLive;
        if (answer->has_grant()) {
          DecideOn(grant, clocks, waiter.requirement, &decision);
          if (decision.admitted()) cache_->RecordAdmit(place, ToMillis(clocks.service));
        } else {
          DecideOnUnknown(clocks, &decision);
        }
      }
      rulings.push_back(
          Ruling{decision.verdict, decision.reason, decision.retry_after, decision.fail_open});
    }
  }
  if (outcome.ask.has_value()) return SendQuestion(*outcome.ask);
  for (size_t i = 0; i < outcome.waiters.size(); ++i) {
    decision.verdict = rulings[i].verdict;
    decision.reason = rulings[i].reason;
    decision.retry_after = rulings[i].retry_after;
    decision.fail_open = rulings[i].fail_open;
    Count(decision, /*from_memory=*/false);
    outcome.waiters[i].callback(decision);
  }
}

// ---- The stream.

FollowerActions Validator::Start() {
  absl::MutexLock lock(&mu_);
  return follower_.Start(clock_.Now());
}

FollowerActions Validator::StreamConnected(uint64_t stream) {
  absl::MutexLock lock(&mu_);
  return follower_.OnConnected(stream, clock_.Now());
}

FollowerActions Validator::StreamMessage(uint64_t stream,
                                         const tollgate::v1::FollowResponse& message) {
  absl::MutexLock lock(&mu_);
  const auto [now, wall_now] = ReadPair(clock_);
  return follower_.OnMessage(stream, message, now, wall_now);
}

FollowerActions Validator::StreamClosed(uint64_t stream) {
  absl::MutexLock lock(&mu_);
  return follower_.OnDisconnected(stream, clock_.Now());
}

FollowerActions Validator::Tick() {
  absl::MutexLock lock(&mu_);
  auto [now, wall_now] = ReadPair(clock_);
  // Ended for good: to set the clock right again does not bring the grant back (R1). Looked at
  // twice, since a thread put aside between two readings sees clocks that disagree.
  if (edge_clock_->ClocksDisagree(now, wall_now)) {
    std::tie(now, wall_now) = ReadPair(clock_);
    if (edge_clock_->ClocksDisagree(now, wall_now)) edge_clock_->EndLive();
  }
  return follower_.OnTick(now, wall_now);
}

void Validator::StopAdmitting() {
  absl::MutexLock lock(&mu_);
  edge_clock_->Close();
}

FollowerActions Validator::Goodbye() {
  absl::MutexLock lock(&mu_);
  const auto [now, wall_now] = ReadPair(clock_);
  return follower_.Goodbye(now, wall_now);
}

ValidatorStatus Validator::Status() const {
  ValidatorStatus s;
  const ReadClocks clocks = Clocks();
  s.lease = clocks.state;
  if (s.lease == LeaseState::kLive) {
    s.lease_left = absl::Nanoseconds(clocks.lease.ping_boot_ns + clocks.lease.lease_ns -
                                     clocks.lease.drift_ns - clocks.boot.nanos());
  }
  s.cached_tokens = cache_->size();
  s.cached_unknown = cache_->unknown_size();
  s.evictions = cache_->evictions();
  absl::MutexLock lock(&mu_);
  s.follower = follower_.status();
  s.questions_in_flight = static_cast<int64_t>(resolver_.in_flight());
  s.overtaken_answers = resolver_.overtaken();
  s.unreported_lost = usage_.lost();
  return s;
}

// ---- What the follower drives; mu_ is held.

void Validator::Reset(const std::string& /*epoch*/, int64_t revision) {
  std::vector<EntryUse> gone;
  resolver_.OnReset(revision);
  cache_->DropAll(&gone);
  usage_.Add(gone);
}

void Validator::DropAll(int64_t revision) {
  std::vector<EntryUse> gone;
  resolver_.OnReset(revision);
  cache_->DropAll(&gone);
  usage_.Add(gone);
}

void Validator::DropToken(absl::string_view workspace, absl::string_view token_id,
                          int64_t revision) {
  std::vector<EntryUse> gone;
  resolver_.OnTokenEvent(token_id, revision);
  cache_->DropToken(token_id, &gone);
  usage_.Add(gone);
  // When it was last admitted here: from the entry, and from use that left the cache before
  // and was not heard of yet. What was reported, the service knows.
  int64_t last_ms = usage_.LastMs(workspace, token_id);
  for (const EntryUse& use : gone) {
    if (use.workspace == workspace && use.token_id == token_id) {
      last_ms = std::max(last_ms, use.last_admit_ms);
    }
  }
  if (last_ms == 0 || evidence_.size() >= kMostEvidence) return;
  auto& dropped = evidence_.emplace_back();
  dropped.set_workspace(std::string(workspace));
  dropped.set_token_id(std::string(token_id));
  dropped.set_revision(revision);
  dropped.mutable_last_admit_time()->set_seconds(last_ms / 1000);
  dropped.mutable_last_admit_time()->set_nanos(static_cast<int32_t>(last_ms % 1000) * 1'000'000);
}

void Validator::Drop(int64_t revision, const tollgate::v1::Event& event) {
  switch (event.subject_case()) {
    case tollgate::v1::Event::kTokenChanged:
      return DropToken(event.token_changed().workspace(), event.token_changed().token_id(),
                       revision);
    case tollgate::v1::Event::kTokenCreated:
      return DropToken(event.token_created().workspace(), event.token_created().token_id(),
                       revision);
    case tollgate::v1::Event::kCohortRevoked: {
      const auto& cohort = event.cohort_revoked();
      std::vector<EntryUse> gone;
      resolver_.OnCohort(cohort.workspace(), cohort.owner(), revision, event.index());
      cache_->DropCohort(cohort.workspace(), cohort.owner(), revision, event.index(), &gone);
      usage_.Add(gone);
      return;
    }
    case tollgate::v1::Event::SUBJECT_NOT_SET:
      return DropAll(revision);
  }
}

void Validator::Grant(const LeaseGrant& grant, BootTime now, absl::Time wall_now) {
  edge_clock_->Grant(grant, now, wall_now);
}

void Validator::SetServiceTime(absl::Time service_time, absl::Duration round_trip, BootTime now) {
  edge_clock_->SetServiceTime(service_time, round_trip, now);
}

void Validator::EndLease() { edge_clock_->EndLease(); }

void Validator::Close() { edge_clock_->Close(); }

void Validator::BrandAgreed(bool agreed) { brand_agreed_.store(agreed, std::memory_order_relaxed); }

void Validator::FillPing(tollgate::v1::Ping* ping) {
  for (auto& dropped : evidence_) *ping->add_dropped() = std::move(dropped);
  evidence_.clear();
  ping->set_cached_tokens(cache_->size());
  ping->set_decisions(counts_.Totals().decisions());
}

std::vector<tollgate::v1::Usage> Validator::TakeUsage(BootTime now) {
  // Read before the collection: an admission that is in none of the entries collected sees the
  // collection and takes a later reading. Stamps are rounded down to the coarse tick; so is this.
  const EdgeClock::Reading reading = edge_clock_->Read();
  absl::Time complete_until = absl::InfinitePast();
  if (reading.service_ns != 0) {
    const int64_t ms = absl::ToUnixMillis(edge_clock_->ServiceTimeAt(reading, now));
    complete_until = absl::FromUnixMillis(ms - ms % DecisionCache::kCoarseTickMs);
  }
  std::vector<EntryUse> uses;
  cache_->CollectUse(&uses);
  usage_.Add(uses);
  return usage_.Take(options_.longest_usage_report, complete_until);
}

void Validator::UsageConfirmed() { usage_.Confirm(); }

void Validator::UsageLost() { usage_.Lost(); }

}  // namespace tollgate
