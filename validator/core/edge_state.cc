#include "validator/core/edge_state.h"

namespace tollgate::validator {

bool EdgeState::Keep(const TokenKey& key, const tollgate::v1::Grant& grant,
                     absl::string_view packed, int64_t service_ms, DecisionCache::Place* place) {
  std::vector<EntryUse> gone;
  const bool kept = table_.Insert(key, grant, packed, service_ms, place, &gone);
  outbox_.AddUse(gone);
  return kept;
}

void EdgeState::KeepUnknown(const TokenKey& key, int64_t service_ms) {
  std::vector<EntryUse> gone;
  table_.InsertUnknown(key, service_ms, &gone);
  outbox_.AddUse(gone);
}

void EdgeState::Reset(const std::string& epoch, int64_t revision) {
  if (holds_ != nullptr) holds_->OnReset(epoch, revision);
  DropAll(revision);
}

void EdgeState::DropAll(int64_t revision) {
  std::vector<EntryUse> gone;
  resolver_.OnReset(revision);
  table_.DropAll(&gone);
  outbox_.AddUse(gone);
  ForgetAddresses("");
  if (holds_ != nullptr) holds_->OnAny(revision);
}

void EdgeState::ForgetAddresses(absl::string_view workspace) {
  attempts_.ForgetAddresses(workspace);
  outbox_.ForgetAddresses(workspace);
}

void EdgeState::DropToken(absl::string_view workspace, absl::string_view token_id,
                          int64_t revision) {
  std::vector<EntryUse> gone;
  resolver_.OnTokenEvent(token_id, revision);
  table_.DropToken(token_id, &gone);
  outbox_.TokenDropped(workspace, token_id, revision, gone);
  if (holds_ != nullptr) holds_->OnTokenEvent(token_id, revision);
}

void EdgeState::DropGrants(const token::CohortWatermark& cohort) {
  std::vector<EntryUse> gone;
  resolver_.OnCohort(cohort);
  table_.DropCohort(cohort, &gone);
  outbox_.AddUse(gone);
}

void EdgeState::Drop(int64_t revision, const tollgate::v1::Event& event) {
  switch (event.subject_case()) {
    case tollgate::v1::Event::kTokenChanged:
      return DropToken(event.token_changed().workspace(), event.token_changed().token_id(),
                       revision);
    case tollgate::v1::Event::kTokenCreated:
      return DropToken(event.token_created().workspace(), event.token_created().token_id(),
                       revision);
    case tollgate::v1::Event::kCohortRevoked: {
      const token::CohortWatermark cohort{event.cohort_revoked().workspace(),
                                          event.cohort_revoked().owner(), revision, event.index()};
      DropGrants(cohort);
      if (holds_ != nullptr) holds_->OnCohort(cohort);
      return;
    }
    case tollgate::v1::Event::kWorkspaceChanged:
      ForgetAddresses(event.workspace_changed().workspace());
      // All tokens of the workspace, for one that was created later was read later. Holds stay as
      // they are: no permission has changed, and a holder is told of a token's identity once.
      return DropGrants(
          {event.workspace_changed().workspace(), /*owner=*/"", revision, event.index()});
    case tollgate::v1::Event::kAccessChanged:
      return;  // is about callers of the service
    case tollgate::v1::Event::SUBJECT_NOT_SET:
      return DropAll(revision);
  }
}

void EdgeState::LeaseGranted(const lease::HeldLease& lease, base::BootTime now,
                             absl::Time wall_now) {
  lease_.Renew(lease, now, wall_now);
}

void EdgeState::SetServiceTime(absl::Time service_time, absl::Duration round_trip,
                               base::BootTime now) {
  lease_.SetServiceTime(service_time, round_trip, now);
}

void EdgeState::EndLease() {
  lease_.EndLease();
  if (holds_ != nullptr) holds_->OnHistoryEnded();
}

void EdgeState::Close() { lease_.Close(); }

void EdgeState::BrandAgreed(bool agreed) { table_.SetBrandAgreed(agreed); }

void EdgeState::FillCounts(tollgate::v1::Ping* ping) {
  ping->set_cached_tokens(table_.size());
  ping->set_decisions(counts_.Totals().decisions());
  if (holds_ != nullptr) ping->set_open_holds(holds_->open());
}

bool EdgeState::HoldsHaveNews() const { return holds_ != nullptr && holds_->has_news(); }

bool EdgeState::FillHolds(tollgate::v1::Ping* ping) {
  return holds_ != nullptr && holds_->FillPing(ping);
}

void EdgeState::StreamEnded() {
  if (holds_ != nullptr) holds_->StreamEnded();
}

absl::Time EdgeState::CollectUse(base::BootTime now) {
  // Read before the collection: an admission that is in none of the collected entries sees the
  // collection, and takes a later reading. Stamps are rounded down to the coarse tick, so this time
  // is too.
  const EdgeClock::Reading reading = lease_.Read();
  absl::Time complete_until = absl::InfinitePast();
  if (reading.service_ns != 0) {
    const int64_t ms = absl::ToUnixMillis(lease_.ServiceTimeAt(reading, now));
    complete_until = absl::FromUnixMillis(ms - ms % DecisionCache::kCoarseTickMs);
    if (holds_ != nullptr) {
      std::vector<HeldUse> held;
      holds_->CollectHeld(&held);
      outbox_.AddHeld(held, ms);
    }
  }
  std::vector<EntryUse> uses;
  table_.CollectUse(&uses);
  outbox_.AddUse(uses);
  std::vector<TokenAttempts> attempts;
  attempts_.Collect(&attempts);
  outbox_.AddAttempts(attempts);
  return complete_until;
}

}  // namespace tollgate::validator
