// The state of this edge, as the feed and the service's answers change it. Events drop entries and
// never set them (R10); answers set entries. Both count for what a question under way needs (R12).
#ifndef TOLLGATE_VALIDATOR_CORE_EDGE_STATE_H_
#define TOLLGATE_VALIDATOR_CORE_EDGE_STATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "token/cohort.h"
#include "tollgate/v1/edge_service.pb.h"
#include "tollgate/v1/event.pb.h"
#include "validator/core/attempt_table.h"
#include "validator/core/decision_cache.h"
#include "validator/core/decision_counts.h"
#include "validator/core/edge_clock.h"
#include "validator/core/followed_holds.h"
#include "validator/core/follower.h"
#include "validator/core/outbox.h"
#include "validator/core/resolver.h"

namespace tollgate::validator {

// The one writer of the table and of the lease. Not thread-safe: the caller holds one lock around
// events, answers and leases, so that no event comes between the judgement of an answer and its use
// (R12, R13). Readers of the table and of the lease need no lock.
class EdgeState final : public FollowedState {
 public:
  // All of these outlive the state. All but the attempts and the holds, which have locks of their
  // own, are written only under the same lock. `holds` null: there are none.
  EdgeState(DecisionCache* table, EdgeClock* lease, Resolver* resolver, Outbox* outbox,
            const DecisionCounts* counts, AttemptTable* attempts, FollowedHolds* holds = nullptr)
      : table_(*table),
        lease_(*lease),
        resolver_(*resolver),
        outbox_(*outbox),
        counts_(*counts),
        attempts_(*attempts),
        holds_(holds) {}

  // Keeps the grant of a current answer (Resolver::Outcome::usable), at `service_ms` of the
  // service's time. `packed` is the packed grant. False: the grant is too large, and is not kept.
  // `*place` is set to where it lies.
  bool Keep(const TokenKey& key, const tollgate::v1::Grant& grant, absl::string_view packed,
            int64_t service_ms, DecisionCache::Place* place);
  // The same for the answer "the store holds no such token".
  void KeepUnknown(const TokenKey& key, int64_t service_ms);

  // ---- FollowedState.
  void Reset(const std::string& epoch, int64_t revision) override;
  void Drop(int64_t revision, const tollgate::v1::Event& event) override;
  void DropAll(int64_t revision) override;
  void LeaseGranted(const lease::HeldLease& lease, base::BootTime now,
                    absl::Time wall_now) override;
  void SetServiceTime(absl::Time service_time, absl::Duration round_trip,
                      base::BootTime now) override;
  void EndLease() override;
  void Close() override;
  void BrandAgreed(bool agreed) override;
  void FillCounts(tollgate::v1::Ping* ping) override;
  bool HoldsHaveNews() const override;
  bool FillHolds(tollgate::v1::Ping* ping) override;
  void StreamEnded() override;
  absl::Time CollectUse(base::BootTime now) override;

 private:
  void DropToken(absl::string_view workspace, absl::string_view token_id, int64_t revision);
  // What a workspace wants to know of attempts may have changed; of every workspace, where it is
  // empty: the addresses that are not told yet are told no more.
  void ForgetAddresses(absl::string_view workspace);
  // Drops the grants of a cohort, and has the questions under way judged by it (R12).
  void DropGrants(const token::CohortWatermark& cohort);

  DecisionCache& table_;
  EdgeClock& lease_;
  Resolver& resolver_;
  Outbox& outbox_;
  const DecisionCounts& counts_;
  AttemptTable& attempts_;
  FollowedHolds* const holds_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_EDGE_STATE_H_
