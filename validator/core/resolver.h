// Questions to the service: one flight a token string; an answer that an event has overtaken is not
// used (R12).
#ifndef TOLLGATE_VALIDATOR_CORE_RESOLVER_H_
#define TOLLGATE_VALIDATOR_CORE_RESOLVER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/ip_address.h"
#include "token/cohort.h"
#include "token/digest.h"
#include "token/grant.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/event.pb.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/decision.h"
#include "validator/core/decision_cache.h"
#include "validator/core/edge_reader.h"

namespace tollgate::validator {

struct ResolverOptions {
  std::string validator_id;      // filled in by Validator::Create
  size_t most_in_flight = 1024;  // questions
  size_t most_waiting = 16384;   // checks that wait for them
  int most_attempts = 4;         // of one question, when events overtake its answers
  absl::Duration longest_wait = absl::Seconds(2);  // of one question, for a stream
};

// Where the follower stands: what an answer is judged against (R12, R19).
struct FollowedPoint {
  std::string epoch;
  std::string term;  // of the service at the other end of the stream; empty: one older than terms
  int64_t applied = 0;    // Follower::question_revision()
  bool following = true;  // there is a stream, and it was welcomed
};

// Pure: sends nothing, knows no time. Not thread-safe; the caller holds the lock under which events
// are applied, so that an event is always either before a question or raises its need.
class Resolver {
 public:
  // What an answer is waited for. A check and an opening are decisions: counted, and an admission
  // is recorded as evidence of the last one. An opening that an event came in between of is decided
  // again: recorded anew, because that is when it lets somebody in, and counted no more. For a hold
  // that is open the answer lets nobody in.
  enum class Purpose { kCheck, kOpening, kOpeningAgain, kHold };
  // Whoever waits.
  struct Waiter {
    token::Requirement requirement;
    std::function<void(const Decision&)> callback;
    Purpose purpose = Purpose::kCheck;
    base::IpAddress client;  // from where it was presented, where that was told

    bool counts() const { return purpose == Purpose::kCheck || purpose == Purpose::kOpening; }
    bool lets_in() const { return purpose != Purpose::kHold; }
    EdgeReader::Of of() const {
      const bool opens = purpose == Purpose::kOpening || purpose == Purpose::kOpeningAgain;
      return opens ? EdgeReader::Of::kOpening : EdgeReader::Of::kCheck;
    }
  };
  // A question to be sent; its answer comes back under `id`.
  struct Question {
    uint64_t id = 0;
    tollgate::v1::ResolveRequest request;
  };
  enum class Joined { kAsk, kWaits, kOverloaded };
  // What to do after an answer.
  struct Outcome {
    // Set: send this question (again); nobody is answered yet.
    absl::optional<Question> ask;
    // The answer is good now: decide for `waiters` from it, under the same lock.
    bool usable = false;
    // The service has begun another term, and there is no stream by which to judge what it says:
    // the question waits for one (WaitForStream); nobody is answered yet.
    bool wait = false;
    // Where none of these is so: answer `waiters` UNAVAILABLE, for this reason.
    tollgate::v1::VerdictReason reason = tollgate::v1::VERDICT_REASON_SERVICE_UNAVAILABLE;
    TokenKey key;
    std::vector<Waiter> waiters;
  };

  explicit Resolver(ResolverOptions options);

  // A check that found nothing, where the follower stands at `at`. kAsk: `*question` is to be sent.
  // kWaits: it joined a flight. kOverloaded: nothing was kept; `waiter` is as it was.
  Joined Join(const TokenKey& key, const token::EdgeDigest& digest, const FollowedPoint& at,
              Waiter& waiter, Question* question);

  // The answer to question `id`, judged where the follower stands now. An unknown id gives an empty
  // outcome.
  Outcome OnAnswer(uint64_t id, const absl::StatusOr<tollgate::v1::ResolveResponse>& answer,
                   const FollowedPoint& at);

  // Keeps question `id`, which OnAnswer said is to wait, until then at the latest.
  void WaitForStream(uint64_t id, base::BootTime until);
  // The questions that waited, to be asked anew (R12) where the follower stands now. There is a
  // stream again.
  std::vector<Question> AskAgain(const FollowedPoint& at);
  // The waiters of the questions that have waited until `now`; of all that wait, with
  // InfiniteFuture. They are answered UNAVAILABLE.
  std::vector<Waiter> LetGo(base::BootTime now);
  // When LetGo is due; InfiniteFuture: nothing waits.
  base::BootTime let_go_at() const;

  // Events, as they are applied. Each raises the need of the questions that it may be about.
  void OnTokenEvent(absl::string_view token_id, int64_t revision);
  // Kept with each question, and judged when the answer comes, by the answer's workspace, owner,
  // and place of creation.
  void OnCohort(const token::CohortWatermark& cohort);
  // A reset, or an event of an unknown kind: raises the need of every question. After a reset to
  // another epoch no answer to an older question is usable, because its epoch does not match.
  void OnReset(int64_t revision);

  size_t in_flight() const { return flights_.size(); }
  size_t waiting() const { return waiting_; }
  int64_t overtaken() const { return overtaken_; }

 private:
  struct Flight {
    TokenKey key;
    std::string digest;
    std::string epoch;  // the epoch in which it was asked
    int64_t need = 0;
    std::vector<token::CohortWatermark>
        cohorts;  // since it was asked; bounded, and those above the bound raise `need`
    int attempts = 1;
    absl::optional<base::BootTime> waits_until;  // for a stream; it is not asked meanwhile
    std::vector<Waiter> waiters;
  };
  struct Hash128 {
    uint64_t lo, hi;
    friend bool operator==(const Hash128&, const Hash128&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Hash128& v) {
      return H::combine(std::move(h), v.lo, v.hi);
    }
  };
  static constexpr size_t kMostCohorts = 16;

  static bool Current(const Flight& flight, const tollgate::v1::ResolveResponse& answer,
                      const FollowedPoint& at);
  Question Ask(uint64_t id, Flight& flight, const FollowedPoint& at) const;
  // The questions that wait for a stream until then, or for less; in the order of their asking.
  std::vector<uint64_t> Waiting(base::BootTime until) const;
  // Ends a flight, whose waiters are the caller's.
  std::vector<Waiter> End(absl::flat_hash_map<uint64_t, Flight>::iterator flight);

  const ResolverOptions options_;
  uint64_t next_id_ = 1;
  absl::flat_hash_map<uint64_t, Flight> flights_;     // by question
  absl::flat_hash_map<Hash128, uint64_t> by_string_;  // to its question
  size_t waiting_ = 0;
  size_t for_stream_ = 0;  // flights that wait for one
  int64_t overtaken_ = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_RESOLVER_H_
