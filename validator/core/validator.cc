#include "validator/core/validator.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/status.h"
#include "lease/limits.h"
#include "token/digest.h"
#include "token/field_rules.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::ResolveResponse;
using tollgate::v1::VerdictReason;

// A pair of clock readings is useful only when little time passed between the two.
constexpr absl::Duration kPairSlack = absl::Microseconds(500);

// The boot clock is read first: for a ping that is the earlier time, so the lease is the shorter
// (R1).
std::pair<base::BootTime, absl::Time> ReadPair(const base::Clock& clock) {
  for (int attempt = 0;; ++attempt) {
    const base::BootTime boot = clock.Now();
    const absl::Time wall = clock.WallNow();
    if (attempt == 3 || clock.Now() - boot < kPairSlack) return {boot, wall};
  }
}

ValidatorOptions WithIncarnation(ValidatorOptions options, base::Random& random) {
  if (options.follower.incarnation.empty()) {
    std::string bytes(16, '\0');
    random.Fill(absl::MakeSpan(reinterpret_cast<uint8_t*>(&bytes[0]), bytes.size()));
    options.follower.incarnation = bytes;
  }
  options.follower.brand = options.format.brand();
  options.resolver.validator_id = options.follower.validator_id;
  options.holds.drift_bound = options.follower.drift_bound;
  if (options.holds.most > 0) options.follower.holds_outlive_lease = options.holds.outlive_lease;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Validator>> Validator::Create(ValidatorOptions options,
                                                             const base::Clock& clock,
                                                             base::Random& random, Ask ask) {
  RETURN_IF_ERROR(token::CheckValidatorId(options.follower.validator_id, "id"));
  if (options.follower.silent_intervals < 1) {
    return base::RefuseField("OUT_OF_RANGE", "follower.silent_intervals", "must be at least 1");
  }
  if (options.outbox.longest_report < 1) {
    return base::RefuseField("OUT_OF_RANGE", "outbox.longest_report", "must be at least 1");
  }
  if (options.holds.outlive_lease < absl::ZeroDuration() ||
      options.holds.outlive_lease > lease::kLongestFailOpen) {
    return base::RefuseField("OUT_OF_RANGE", "holds_outlive_lease", "must be 0 to 24h");
  }
  const bool fail_open = options.follower.stale_policy == tollgate::v1::STALE_POLICY_FAIL_OPEN;
  if (fail_open && options.follower.fail_open_for <= absl::ZeroDuration()) {
    return base::RefuseField("OUT_OF_RANGE", "fail_open_for", "must be above 0, and at most 24h");
  }
  ASSIGN_OR_RETURN(auto lease, EdgeClock::Create(options.follower.drift_bound,
                                                 fail_open ? options.follower.fail_open_for
                                                           : absl::ZeroDuration()));
  ASSIGN_OR_RETURN(auto table, DecisionCache::Create(options.cache, random));
  return std::unique_ptr<Validator>(new Validator(WithIncarnation(std::move(options), random),
                                                  clock, random, std::move(ask), std::move(lease),
                                                  std::move(table)));
}

Validator::Validator(ValidatorOptions options, const base::Clock& clock, base::Random& random,
                     Ask ask, std::unique_ptr<EdgeClock> lease,
                     std::unique_ptr<DecisionCache> table)
    : incarnation_(options.follower.incarnation),
      clock_(clock),
      ask_(std::move(ask)),
      longest_wait_(options.resolver.longest_wait),
      lease_(std::move(lease)),
      table_(std::move(table)),
      reader_(options.format, options.retry_after, table_.get(), lease_.get(), &clock),
      attempts_(options.attempt_slots),
      holds_(options.holds, &reader_, &clock,
             [this] {
               if (hurry_) hurry_();
             }),
      resolver_(options.resolver),
      outbox_(options.outbox),
      state_(table_.get(), lease_.get(), &resolver_, &outbox_, &counts_, &attempts_, &holds_),
      follower_(options.follower, &state_, &outbox_, &random) {}

// ---- Deciding.

void Validator::Count(const Decision& decision, bool from_memory, const base::IpAddress& client) {
  if (decision.admitted()) {
    counts_.CountAdmit(decision.fail_open, from_memory);
  } else {
    counts_.CountRefusal(decision.reason, from_memory);
    CountAttempt(decision, client);
  }
}

void Validator::CountAttempt(const Decision& decision, const base::IpAddress& client) {
  token::GrantView grant;
  if (!decision.ReadRefused(&grant)) return;
  // The service's time was heard before any grant was; where it was not, there is nothing to say.
  const int64_t now_ms = reader_.ReadMoment().service_ms();
  if (now_ms <= 1) return;
  attempts_.Add(grant.workspace(), grant.token_id(), decision.reason, now_ms,
                grant.report_attempt_addresses() ? client : base::IpAddress());
}

bool Validator::Check(absl::string_view token_string, const token::Requirement& requirement,
                      Decision* decision, Miss* miss, const base::IpAddress& client) {
  Miss unwanted;
  TokenKey* key = miss != nullptr ? &miss->key : &unwanted.key;
  if (!reader_.Decide(token_string, requirement, EdgeReader::Of::kCheck, key, decision))
    return false;
  Count(*decision, /*from_memory=*/true, client);
  return true;
}

void Validator::CheckAsync(absl::string_view token_string, const token::Requirement& requirement,
                           Callback callback) {
  Miss miss;
  Decision decision;
  if (Check(token_string, requirement, &decision, &miss)) return callback(decision);
  AskAbout(miss, token_string, requirement, std::move(callback));
}

void Validator::AskAbout(const Miss& miss, absl::string_view token_string,
                         const token::Requirement& requirement, Callback callback,
                         const base::IpAddress& client) {
  AskAbout(miss, token::EdgeDigest::Of(token_string),
           Resolver::Waiter{requirement, std::move(callback), Resolver::Purpose::kCheck, client});
}

void Validator::AskAbout(const Miss& miss, const token::EdgeDigest& digest,
                         Resolver::Waiter waiter) {
  counts_.CountMiss();
  Resolver::Question question;
  Resolver::Joined joined = Resolver::Joined::kOverloaded;
  VerdictReason refusal = tollgate::v1::VERDICT_REASON_OVERLOADED;
  {
    absl::MutexLock lock(&mu_);
    // Without an epoch there is nothing to judge an answer against.
    if (follower_.epoch().empty() || pause_.Pauses(miss.key, clock_.Now())) {
      refusal = tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE;
    } else {
      joined = resolver_.Join(miss.key, digest, follower_.point(), waiter, &question);
    }
  }
  switch (joined) {
    case Resolver::Joined::kWaits:
      return;
    case Resolver::Joined::kAsk:
      return SendQuestion(question);
    case Resolver::Joined::kOverloaded:
      break;
  }
  Decision decision;
  reader_.SetUnavailable(refusal, &decision);
  Count(decision, /*from_memory=*/false);
  waiter.callback(decision);
}

void Validator::SendQuestion(const Resolver::Question& question) {
  ask_(question.request, [this, id = question.id](absl::StatusOr<ResolveResponse> answer) {
    OnAnswer(id, std::move(answer));
  });
}

void Validator::OnAnswer(uint64_t question, absl::StatusOr<ResolveResponse> answer) {
  Decision decision;
  // The part of a ruling that differs between the waiters; the grant is the same for all.
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
    FollowedPoint at = follower_.point();
    if (closed_) at.following = true;  // no stream will come that is worth a wait
    outcome = resolver_.OnAnswer(question, answer, at);
    if (outcome.wait) {
      const base::BootTime now = clock_.Now();
      resolver_.WaitForStream(question, now + longest_wait_);
      follower_.HeardOfTerm(answer->term(), now);
    }
    if (answer.ok()) {
      pause_.OnAnswered(outcome.key);
    } else if (absl::IsDataLoss(answer.status())) {
      pause_.OnDamaged(outcome.key, clock_.Now());
    }
    DecisionCache::Place place;
    token::GrantView grant;
    if (outcome.usable) {
      const int64_t now_ms = reader_.ReadMoment().service_ms();
      if (answer->has_grant()) {
        const std::string packed = token::PackGrant(answer->grant());
        outcome.usable = state_.Keep(outcome.key, answer->grant(), packed, now_ms, &place) &&
                         EdgeReader::HoldGrant(packed, &decision, &grant);
      } else {
        state_.KeepUnknown(outcome.key, now_ms);
      }
      follower_.OnAnswerHeld(answer->revision());
    }
    rulings.reserve(outcome.waiters.size());
    for (const Resolver::Waiter& waiter : outcome.waiters) {
      if (!outcome.usable) {
        reader_.SetUnavailable(outcome.reason, &decision);
      } else {
        // R13: clock and lease are read again, now that the answer is here. Events wait for mu_, so
        // an answer that was judged current above is current still; use is collected under mu_ too.
        EdgeReader::Moment moment = reader_.ReadMoment();
        if (TOLLGATE_MUTATED("r13_answer_without_lease")) moment.state = LeaseState::kLive;
        if (answer->has_grant()) {
          reader_.DecideOnGrant(grant, moment, waiter.requirement, waiter.of(), &decision);
          if (decision.admitted() && waiter.lets_in()) {
            table_->RecordAdmit(place, moment.service_ms());
          }
        } else {
          reader_.DecideOnUnknown(moment, &decision);
        }
      }
      rulings.push_back(
          Ruling{decision.verdict, decision.reason, decision.retry_after, decision.fail_open});
    }
  }
  if (outcome.wait) {
    if (hurry_) hurry_();
    return;
  }
  if (outcome.ask.has_value()) return SendQuestion(*outcome.ask);
  for (size_t i = 0; i < outcome.waiters.size(); ++i) {
    decision.verdict = rulings[i].verdict;
    decision.reason = rulings[i].reason;
    decision.retry_after = rulings[i].retry_after;
    decision.fail_open = rulings[i].fail_open;
    if (outcome.waiters[i].counts()) {
      Count(decision, /*from_memory=*/false, outcome.waiters[i].client);
    }
    outcome.waiters[i].callback(decision);
  }
}

// ---- Holds.

// What is to stay open, until its verdict is told.
struct Validator::Opening {
  Holds::HolderRef holder;
  Holds::Verdict verdict;
  HoldWords words;
  int again = 3;  // so often more it may be decided
};

absl::Status Validator::OpenHold(const Holds::HolderRef& holder, uint64_t hold_id,
                                 absl::string_view token_string,
                                 const SharedRequirements::Shared& requirement, HoldWords words,
                                 const base::IpAddress& client) {
  ASSIGN_OR_RETURN(const bool has_place, holds_.Begin(holder, hold_id));
  const bool room = has_place && requirement != nullptr;
  if (has_place && !room) RETURN_IF_ERROR(holds_.Close(holder, hold_id));
  auto told = std::make_unique<tollgate::v1::ValidateResponse>();
  Decision decision;
  if (!room) {
    reader_.SetUnavailable(tollgate::v1::VERDICT_REASON_OVERLOADED, &decision);
    Count(decision, /*from_memory=*/true);
    words(decision, told.get());
    holds_.Refuse(holder, hold_id, std::move(told));
    return absl::OkStatus();
  }
  Holds::Verdict verdict;
  verdict.hold_id = hold_id;
  verdict.as_of = holds_.events();  // before the decision
  verdict.digest = token::EdgeDigest::Of(token_string);
  verdict.requirement = requirement;
  verdict.words = std::move(told);
  Miss miss;
  const bool from_memory =
      reader_.Decide(token_string, *requirement, EdgeReader::Of::kOpening, &miss.key, &decision);
  if (from_memory) Count(decision, /*from_memory=*/true, client);
  verdict.key = miss.key;
  // Shared, because a callback has to be copyable.
  const auto opening = std::make_shared<Opening>();
  opening->holder = holder;
  opening->verdict = std::move(verdict);
  opening->words = std::move(words);
  if (from_memory) {
    TellVerdict(opening, decision);
  } else {
    AskAbout(miss, opening->verdict.digest,
             Resolver::Waiter{*requirement,
                              [this, opening](const Decision& made) { TellVerdict(opening, made); },
                              Resolver::Purpose::kOpening, client});
  }
  return absl::OkStatus();
}

void Validator::TellVerdict(const std::shared_ptr<Opening>& opening, const Decision& made) {
  Holds::Verdict& verdict = opening->verdict;
  // What was applied since may be about this token, and has found no hold of it; its revision may
  // be acknowledged by now. So it is decided once more, and what an event has ended is not opened.
  if (made.admitted() && opening->again > 0 && holds_.events() != verdict.as_of) {
    --opening->again;
    verdict.as_of = holds_.events();
    Decision again;
    if (reader_.DecideOpeningAgain(verdict.key, *verdict.requirement, &again)) {
      return TellVerdict(opening, again);
    }
    return AskForHold(verdict.key, verdict.digest,
                      {*verdict.requirement,
                       [this, opening](const Decision& asked) { TellVerdict(opening, asked); },
                       Resolver::Purpose::kOpeningAgain});
  }
  opening->words(made, verdict.words.get());
  holds_.Decided(opening->holder, std::move(verdict), made);
  AskForHolds();  // an event may have come meanwhile
}

void Validator::AskForHolds() {
  if (holds_.BeginAsking()) {
    while (const absl::optional<Holds::Question> next = holds_.NextQuestion()) {
      AskForHold(next->key, next->digest,
                 {/*requirement=*/{},
                  [this, question = *next](const Decision& decision) {
                    holds_.Answered(question, decision);
                    AskForHolds();
                  },
                  Resolver::Purpose::kHold});
    }
  }
  if (hurry_ && holds_.DueSooner()) hurry_();
}

void Validator::AskForHold(const TokenKey& key, const token::EdgeDigest& digest,
                           Resolver::Waiter waiter) {
  Resolver::Question sent;
  Resolver::Joined joined = Resolver::Joined::kOverloaded;
  {
    absl::MutexLock lock(&mu_);
    if (!closed_ && !follower_.epoch().empty() && !pause_.Pauses(key, clock_.Now())) {
      joined = resolver_.Join(key, digest, follower_.point(), waiter, &sent);
    }
  }
  if (joined == Resolver::Joined::kAsk) return SendQuestion(sent);
  if (joined == Resolver::Joined::kWaits) return;
  Decision decision;
  reader_.SetUnavailable(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE, &decision);
  waiter.callback(decision);
}

// ---- The stream.

FollowerActions Validator::Start() {
  absl::MutexLock lock(&mu_);
  return WithWaits(follower_.Start(clock_.Now()));
}

FollowerActions Validator::StreamConnected(uint64_t stream) {
  absl::MutexLock lock(&mu_);
  return WithWaits(follower_.OnConnected(stream, clock_.Now()));
}

FollowerActions Validator::StreamMessage(uint64_t stream,
                                         const tollgate::v1::FollowResponse& message) {
  absl::MutexLock lock(&mu_);
  const auto [now, wall_now] = ReadPair(clock_);
  return WithWaits(follower_.OnMessage(stream, message, now, wall_now));
}

FollowerActions Validator::StreamClosed(uint64_t stream) {
  absl::MutexLock lock(&mu_);
  return WithWaits(follower_.OnDisconnected(stream, clock_.Now()));
}

FollowerActions Validator::Tick() {
  absl::MutexLock lock(&mu_);
  auto [now, wall_now] = ReadPair(clock_);
  // Ends the lease for good: setting the clock right again does not bring it back (R1). The clocks
  // are read twice, because a thread that was suspended between two readings sees clocks that
  // disagree.
  if (lease_->ClocksDisagree(now, wall_now)) {
    std::tie(now, wall_now) = ReadPair(clock_);
    if (lease_->ClocksDisagree(now, wall_now)) {
      lease_->EndLive();
      holds_.OnLeaseEnded();
    }
  }
  return WithWaits(follower_.OnTick(now, wall_now));
}

FollowerActions Validator::WithWaits(FollowerActions actions) {
  actions.wake_at = std::min({actions.wake_at, resolver_.let_go_at(), holds_.TickAt()});
  return actions;
}

void Validator::Settle() {
  std::vector<Resolver::Question> questions;
  std::vector<Resolver::Waiter> late;
  {
    absl::MutexLock lock(&mu_);
    late = resolver_.LetGo(clock_.Now());
    const FollowedPoint at = follower_.point();
    if (at.following) questions = resolver_.AskAgain(at);
  }
  for (const Resolver::Question& question : questions) SendQuestion(question);
  Disappoint(std::move(late));
  holds_.Tick();
  AskForHolds();
}

void Validator::Disappoint(std::vector<Resolver::Waiter> waiters) {
  if (waiters.empty()) return;
  Decision decision;
  reader_.SetUnavailable(tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE, &decision);
  for (const Resolver::Waiter& waiter : waiters) {
    if (waiter.counts()) Count(decision, /*from_memory=*/false);
    waiter.callback(decision);
  }
}

void Validator::StopAdmitting() {
  std::vector<Resolver::Waiter> waiters;
  {
    absl::MutexLock lock(&mu_);
    lease_->Close();
    closed_ = true;
    waiters = resolver_.LetGo(base::BootTime::InfiniteFuture());
  }
  holds_.CloseAll();
  Disappoint(std::move(waiters));
}

FollowerActions Validator::Goodbye() {
  holds_.CloseAll();
  std::vector<Resolver::Waiter> waiters;
  FollowerActions actions;
  {
    absl::MutexLock lock(&mu_);
    const auto [now, wall_now] = ReadPair(clock_);
    closed_ = true;
    waiters = resolver_.LetGo(base::BootTime::InfiniteFuture());
    // What a holder may go on believing is a decision that is not over (R4).
    const bool held =
        holds_.LongestWord() > absl::ZeroDuration() && !TOLLGATE_MUTATED("r4_holders_forgotten");
    actions = follower_.Goodbye(now, wall_now, held);
  }
  Disappoint(std::move(waiters));
  return actions;
}

absl::Time Validator::ServiceNow() const {
  const base::BootTime now = clock_.Now();
  return lease_->ServiceTimeAt(lease_->Read(), now);
}

ValidatorStatus Validator::Status() const {
  ValidatorStatus s;
  const EdgeReader::Moment now = reader_.ReadMoment();
  s.lease = now.state;
  if (s.lease == LeaseState::kLive) {
    s.lease_left = absl::Nanoseconds(now.lease.ping_boot_ns + now.lease.lease_ns -
                                     now.lease.drift_ns - now.boot.nanos());
  }
  s.cached_tokens = table_->size();
  s.cached_unknown = table_->unknown_size();
  s.evictions = table_->evictions();
  absl::MutexLock lock(&mu_);
  s.follower = follower_.status();
  s.silence = std::max(absl::ZeroDuration(), now.boot - s.follower.heard_at);
  s.questions_in_flight = static_cast<int64_t>(resolver_.in_flight());
  s.overtaken_answers = resolver_.overtaken();
  s.unreported_lost = outbox_.uses_lost();
  s.attempts_reported = outbox_.attempts_reported();
  s.attempts_left_out = outbox_.attempts_left_out() + attempts_.left_out();
  return s;
}

}  // namespace tollgate::validator
