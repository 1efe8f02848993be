#include "validator/core/resolver.h"

#include <algorithm>
#include <utility>

#include "base/mutation.h"

namespace tollgate::validator {

using tollgate::v1::ResolveResponse;

Resolver::Resolver(ResolverOptions options) : options_(std::move(options)) {}

Resolver::Question Resolver::Ask(uint64_t id, Flight& flight, const FollowedPoint& at) const {
  flight.epoch = at.epoch;
  // R12: raised by what is applied from now on.
  flight.need = TOLLGATE_MUTATED("r12_need_from_applied") ? 0 : at.applied;
  flight.cohorts.clear();
  Question question;
  question.id = id;
  question.request.set_edge_digest(flight.digest);
  question.request.set_epoch(at.epoch);
  question.request.set_applied_revision(at.applied);
  question.request.set_validator_id(options_.validator_id);
  return question;
}

Resolver::Joined Resolver::Join(const TokenKey& key, const token::EdgeDigest& digest,
                                const FollowedPoint& at, Waiter& waiter, Question* question) {
  if (waiting_ >= options_.most_waiting) return Joined::kOverloaded;
  const Hash128 hash{key.hash[0], key.hash[1]};
  auto found = by_string_.find(hash);
  if (found != by_string_.end()) {
    // The answer that this check may use is judged when it comes, with every event up to then
    // counted against it. That its question left earlier therefore makes the answer no older.
    flights_.find(found->second)->second.waiters.push_back(std::move(waiter));
    ++waiting_;
    return Joined::kWaits;
  }
  if (flights_.size() >= options_.most_in_flight) return Joined::kOverloaded;
  const uint64_t id = next_id_++;
  Flight& flight = flights_[id];
  flight.key = key;
  flight.digest = std::string(digest.bytes());
  flight.waiters.push_back(std::move(waiter));
  ++waiting_;
  by_string_[hash] = id;
  *question = Ask(id, flight, at);
  return Joined::kAsk;
}

bool Resolver::Current(const Flight& flight, const ResolveResponse& answer,
                       const FollowedPoint& at) {
  const bool same_epoch = answer.epoch() == at.epoch && flight.epoch == at.epoch;
  if (!same_epoch && !TOLLGATE_MUTATED("r12_epoch")) return false;
  // R19: the service behind the other connection may run on a copy of the store.
  if (answer.term() != at.term) return false;
  int64_t need = flight.need;
  if (answer.has_grant()) {
    const auto& grant = answer.grant();
    for (const token::CohortWatermark& cohort : flight.cohorts) {
      if (!cohort.Covers(grant.workspace(), grant.owner(), grant.create_revision(),
                         grant.create_index())) {
        continue;
      }
      if (!TOLLGATE_MUTATED("r12_cohort")) need = std::max(need, cohort.revision);
    }
  }
  return answer.revision() >= need;
}

Resolver::Outcome Resolver::OnAnswer(uint64_t id, const absl::StatusOr<ResolveResponse>& answer,
                                     const FollowedPoint& at) {
  Outcome outcome;
  auto found = flights_.find(id);
  if (found == flights_.end()) return outcome;
  Flight& flight = found->second;

  if (answer.ok()) {
    const bool sound =
        answer->result_case() == ResolveResponse::kUnknown ||
        (answer->result_case() == ResolveResponse::kGrant &&
         // An event names the token id; an answer under another id would never be dropped.
         answer->grant().token_id() == flight.key.id() &&
         tollgate::v1::TokenState_IsValid(answer->grant().state()) &&
         answer->grant().state() != tollgate::v1::TOKEN_STATE_UNSPECIFIED);
    if (sound && Current(flight, *answer, at)) {
      outcome.usable = true;
    } else if (sound) {
      ++overtaken_;
      // Without a stream every answer of the new term would be refused. A wait counts as an
      // attempt, so that a question lasts no longer for it.
      if (!at.following && answer->term() != at.term &&
          flight.attempts + 2 <= options_.most_attempts) {
        ++flight.attempts;
        outcome.wait = true;
        return outcome;
      }
      if (flight.attempts < options_.most_attempts && !at.epoch.empty()) {
        ++flight.attempts;
        outcome.ask = Ask(id, flight, at);
        return outcome;
      }
    }
  } else if (answer.status().code() == absl::StatusCode::kResourceExhausted) {
    outcome.reason = tollgate::v1::VERDICT_REASON_OVERLOADED;
  }
  // Any failure is UNAVAILABLE, and is not kept: only proof denies (I7).
  outcome.key = flight.key;
  outcome.waiters = End(found);
  return outcome;
}

std::vector<Resolver::Waiter> Resolver::End(absl::flat_hash_map<uint64_t, Flight>::iterator at) {
  Flight& flight = at->second;
  std::vector<Waiter> waiters = std::move(flight.waiters);
  waiting_ -= waiters.size();
  if (flight.waits_until.has_value()) --for_stream_;
  by_string_.erase(Hash128{flight.key.hash[0], flight.key.hash[1]});
  flights_.erase(at);
  return waiters;
}

void Resolver::WaitForStream(uint64_t id, base::BootTime until) {
  const auto found = flights_.find(id);
  if (found == flights_.end() || found->second.waits_until.has_value()) return;
  found->second.waits_until = until;
  ++for_stream_;
}

std::vector<Resolver::Question> Resolver::AskAgain(const FollowedPoint& at) {
  std::vector<Question> questions;
  if (for_stream_ == 0) return questions;
  for (const uint64_t id : Waiting(base::BootTime::InfiniteFuture())) {
    Flight& flight = flights_.find(id)->second;
    flight.waits_until.reset();
    ++flight.attempts;
    questions.push_back(Ask(id, flight, at));
  }
  for_stream_ = 0;
  return questions;
}

std::vector<Resolver::Waiter> Resolver::LetGo(base::BootTime now) {
  std::vector<Waiter> waiters;
  if (for_stream_ == 0) return waiters;
  for (const uint64_t id : Waiting(now)) {
    for (Waiter& waiter : End(flights_.find(id))) waiters.push_back(std::move(waiter));
  }
  return waiters;
}

std::vector<uint64_t> Resolver::Waiting(base::BootTime until) const {
  std::vector<uint64_t> ids;
  for (const auto& [id, flight] : flights_) {
    if (flight.waits_until.has_value() && *flight.waits_until <= until) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

base::BootTime Resolver::let_go_at() const {
  base::BootTime at = base::BootTime::InfiniteFuture();
  if (for_stream_ == 0) return at;
  for (const auto& [id, flight] : flights_) {
    if (flight.waits_until.has_value()) at = std::min(at, *flight.waits_until);
  }
  return at;
}

void Resolver::OnTokenEvent(absl::string_view token_id, int64_t revision) {
  for (auto& [id, flight] : flights_) {
    if (flight.key.id() != token_id || TOLLGATE_MUTATED("r12_token_event")) continue;
    flight.need = std::max(flight.need, revision);
  }
}

void Resolver::OnCohort(const token::CohortWatermark& cohort) {
  for (auto& [id, flight] : flights_) {
    if (flight.cohorts.size() < kMostCohorts) {
      flight.cohorts.push_back(cohort);
    } else {
      flight.need = std::max(flight.need, cohort.revision);  // may cover it: that is enough
    }
  }
}

void Resolver::OnReset(int64_t revision) {
  if (TOLLGATE_MUTATED("r12_reset")) return;
  for (auto& [id, flight] : flights_) flight.need = std::max(flight.need, revision);
}

}  // namespace tollgate::validator
