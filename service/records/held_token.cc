#include "service/records/held_token.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/mutation.h"
#include "base/status.h"
#include "service/records/field_time.h"
#include "service/records/near_names.h"
#include "service/records/retention.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::CohortRecord;
using ::tollgate::store::v1::Ending;
using ::tollgate::store::v1::EndWalkRecord;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::store::v1::WorkspaceRecord;

// "REVOKED", as refusals and the audit log have it.
std::string StateName(tollgate::v1::TokenState state) {
  return std::string(absl::StripPrefix(tollgate::v1::TokenState_Name(state), "TOKEN_STATE_"));
}

// Deletes the sweep's entries for a token, where the record tells their times.
void DeleteDue(const TokenRecord& record, absl::string_view key, storage::Effects& effects) {
  if (record.expire_time_us() != 0) {
    effects.Delete(storage::Table::kDue,
                   storage::DueKey(record.expire_time_us(), storage::DueKind::kExpire, key));
  }
  if (record.retirement().at_time_us() != 0) {
    effects.Delete(storage::Table::kDue, storage::DueKey(record.retirement().at_time_us(),
                                                         storage::DueKind::kRetire, key));
  }
  if (record.retirement().quiet_period_us() != 0) {
    effects.Delete(storage::Table::kDue, storage::DueKey(0, storage::DueKind::kWatchSilent, key));
  }
  // A kWatchUnused entry moves on by itself; the sweep drops it when it comes to it.
}

// Removes what a token that has ended needs no more.
void FreeEnded(const TokenRecord& record, absl::string_view key, storage::Effects& effects) {
  effects.Delete(storage::Table::kLabels,
                 storage::LabelKey(record.workspace(), record.label(), record.token_id()));
  DeleteDue(record, key, effects);
}

absl::Status NoSuchToken(const storage::View& view, absl::string_view workspace,
                         absl::string_view token_id) {
  ASSIGN_OR_RETURN(const WorkspaceRecord owning, LoadWorkspace(view, workspace));
  base::ErrorDetails details;
  details.reason = "TOKEN_NOT_FOUND";
  details.metadata = {{"workspace", std::string(workspace)}};
  std::string message = absl::StrCat("there is no ", token::FormatTokenName(workspace, token_id));
  // What a former workspace of this name had is nothing of this one's.
  const std::string since = storage::AuditKey(owning.create_revision(), 0);
  ASSIGN_OR_RETURN(
      const std::vector<storage::Entry> told,
      view.Scan(storage::Table::kAuditByToken, storage::AuditByTokenKey(workspace, token_id, since),
                storage::PrefixEnd(storage::AuditByTokenKey(workspace, token_id, "")),
                /*limit=*/1));
  if (!told.empty()) {
    absl::StrAppend(&message, " any more: it ended, and was purged. Its history is kept");
    details.metadata.push_back({"purged", "true"});
  }
  return base::Refuse(absl::StatusCode::kNotFound, message, details);
}

}  // namespace

std::string HeldToken::name() const {
  return token::FormatTokenName(record.workspace(), record.token_id());
}

absl::StatusOr<token::Cohorts> LoadCohorts(const storage::View& view, absl::string_view workspace,
                                           absl::string_view owner) {
  token::Cohorts cohorts;
  ASSIGN_OR_RETURN(cohorts.workspace,
                   storage::GetRecord<CohortRecord>(view, storage::Table::kCohorts,
                                                    storage::CohortKey(workspace, "")));
  if (!owner.empty()) {
    ASSIGN_OR_RETURN(cohorts.owner,
                     storage::GetRecord<CohortRecord>(view, storage::Table::kCohorts,
                                                      storage::CohortKey(workspace, owner)));
  }
  return cohorts;
}

absl::Status PlanEndWalk(const storage::View& view, const std::string& workspace,
                         int64_t newest_revision, storage::Effects& effects) {
  const std::string due = storage::DueKey(0, storage::DueKind::kWriteEnds, workspace);
  // A walk that is under way goes on, and another follows it: walks always come to an end.
  ASSIGN_OR_RETURN(auto walk, storage::GetRecord<EndWalkRecord>(view, storage::Table::kDue, due));
  if (!walk.has_value()) walk.emplace();
  walk->set_newest_revision(std::max(walk->newest_revision(), newest_revision));
  effects.Put(storage::Table::kDue, due, *walk);
  return absl::OkStatus();
}

absl::Status PutCohort(const storage::View& view, CohortRecord cohort, storage::Effects& effects) {
  const std::string key = storage::CohortKey(cohort.workspace(), cohort.owner());
  cohort.clear_earlier();
  ASSIGN_OR_RETURN(const auto owning, storage::GetRecord<WorkspaceRecord>(
                                          view, storage::Table::kWorkspaces, cohort.workspace()));
  const int64_t written_to = owning.has_value() ? owning->ends_written_to() : 0;
  const auto keep = [&](CohortRecord&& earlier) {
    // What it ended has its end in its own record.
    if (earlier.revision() <= written_to || earlier.ended_none()) return;
    *cohort.add_earlier() = std::move(earlier);
  };
  ASSIGN_OR_RETURN(auto before,
                   storage::GetRecord<CohortRecord>(view, storage::Table::kCohorts, key));
  if (before.has_value()) {
    auto before_that = std::move(*before->mutable_earlier());
    before->clear_earlier();
    for (CohortRecord& earlier : before_that) keep(std::move(earlier));
    keep(*std::move(before));
  }
  if (!cohort.ended_none()) {
    RETURN_IF_ERROR(PlanEndWalk(view, cohort.workspace(), cohort.revision(), effects));
  }
  effects.Put(storage::Table::kCohorts, key, cohort);
  effects.CountCohort(cohort.workspace(), cohort.owner());
  return absl::OkStatus();
}

absl::Time LastResumed(const TokenRecord& record) {
  return record.resume_time_us() == 0 ? absl::InfinitePast()
                                      : FromRecordMicros(record.resume_time_us());
}

absl::StatusOr<absl::Time> LastTimeJump(const storage::View& view) {
  ASSIGN_OR_RETURN(auto head, storage::GetRecord<tollgate::store::v1::HeadRecord>(
                                  view, storage::Table::kMeta, storage::kHeadKey));
  if (!head.has_value() || head->time_jump_us() == 0) return absl::InfinitePast();
  return FromRecordMicros(head->time_jump_us());
}

absl::StatusOr<WorkspaceRecord> LoadWorkspace(const storage::View& view,
                                              absl::string_view workspace) {
  ASSIGN_OR_RETURN(auto record, storage::GetRecord<WorkspaceRecord>(
                                    view, storage::Table::kWorkspaces, workspace));
  if (!record.has_value()) return NoSuchWorkspace(view, workspace);
  return *std::move(record);
}

absl::StatusOr<absl::optional<HeldToken>> FindToken(const storage::View& view,
                                                    absl::string_view workspace,
                                                    absl::string_view token_id) {
  ASSIGN_OR_RETURN(auto record,
                   storage::GetRecord<TokenRecord>(view, storage::Table::kTokens,
                                                   storage::TokenKey(workspace, token_id)));
  if (!record.has_value()) return absl::optional<HeldToken>();
  HeldToken token;
  token.record = *std::move(record);
  ASSIGN_OR_RETURN(token.cohorts, LoadCohorts(view, workspace, token.record.owner()));
  ASSIGN_OR_RETURN(auto owning, storage::GetRecord<WorkspaceRecord>(
                                    view, storage::Table::kWorkspaces, workspace));
  if (owning.has_value()) token.policy = owning->policy();
  return absl::optional<HeldToken>(std::move(token));
}

absl::StatusOr<HeldToken> LoadToken(const storage::View& view, absl::string_view workspace,
                                    absl::string_view token_id) {
  ASSIGN_OR_RETURN(auto token, FindToken(view, workspace, token_id));
  if (!token.has_value()) return NoSuchToken(view, workspace, token_id);
  return *std::move(token);
}

tollgate::v1::Token ToResource(const HeldToken& token, absl::Time now) {
  return token::ToToken(token.record, token.cohorts,
                        absl::Microseconds(token.policy.rotation_period_us()), now);
}

absl::Status RefuseFinal(const HeldToken& token, absl::Time now) {
  const tollgate::v1::TokenState state = token.StateAt(now);
  if (!token::IsFinal(state)) return absl::OkStatus();
  const bool expired = state == tollgate::v1::TOKEN_STATE_EXPIRED;
  base::ErrorDetails details;
  details.reason = "TOKEN_FINAL";
  details.metadata = {{"token", token.name()}, {"state", expired ? "EXPIRED" : "REVOKED"}};
  return base::Refuse(absl::StatusCode::kFailedPrecondition,
                      absl::StrCat(token.name(), " is ", expired ? "expired" : "revoked",
                                   ", which is final; create another token instead"),
                      details);
}

void TellChanged(absl::string_view workspace, absl::string_view token_id,
                 storage::Effects& effects) {
  tollgate::v1::Event event;
  event.mutable_token_changed()->set_workspace(std::string(workspace));
  event.mutable_token_changed()->set_token_id(std::string(token_id));
  effects.Tell(std::move(event));
}

void PutChanged(HeldToken& token, const storage::Slot& slot, bool tell, storage::Effects& effects) {
  TokenRecord& record = token.record;
  record.set_update_time_us(ToRecordMicros(slot.now));
  record.set_update_revision(slot.revision);
  effects.Put(storage::Table::kTokens, storage::TokenKey(record.workspace(), record.token_id()),
              record);
  if (tell) TellChanged(record.workspace(), record.token_id(), effects);
}

Ending::Kind EndedByTime(const HeldToken& token, absl::Time now) {
  if (token.record.has_ending() || token::CoveringCohort(token.record, token.cohorts) != nullptr) {
    return Ending::KIND_UNSPECIFIED;
  }
  switch (token.StateAt(now)) {
    case tollgate::v1::TOKEN_STATE_EXPIRED:
      return Ending::KIND_EXPIRED;
    case tollgate::v1::TOKEN_STATE_REVOKED:
      return Ending::KIND_RETIRED;
    default:
      return Ending::KIND_UNSPECIFIED;
  }
}

void EndToken(HeldToken& token, Ending::Kind kind, absl::string_view actor,
              const storage::Slot& slot, storage::Effects& effects) {
  TokenRecord& record = token.record;
  const std::string key = storage::TokenKey(record.workspace(), record.token_id());
  if (!record.has_ending() && token::CoveringCohort(record, token.cohorts) == nullptr) {
    effects.CountLive(record.workspace(), record.owner(), -1);
  }
  record.mutable_ending()->set_kind(kind);
  record.mutable_ending()->set_time_us(ToRecordMicros(slot.now));
  record.mutable_ending()->set_revision(slot.revision);
  record.mutable_ending()->set_actor(std::string(actor));
  FreeEnded(record, key, effects);
  PlacePurge(record, token.policy, slot.now, effects);
  // R18: an end that time has made is told like any other.
  const bool untold = TOLLGATE_MUTATED("r18_sweep_untold") && kind != Ending::KIND_REVOKED;
  PutChanged(token, slot, /*tell=*/!untold, effects);
}

bool WriteCohortsEnd(HeldToken& token, absl::Time now, storage::Effects& effects) {
  if (!token::WriteCohortsEnd(token.cohorts, &token.record)) return false;
  const std::string key = storage::TokenKey(token.record.workspace(), token.record.token_id());
  effects.Put(storage::Table::kTokens, key, token.record);
  FreeEnded(token.record, key, effects);
  PlacePurge(token.record, token.policy, now, effects);
  return true;
}

absl::Status CheckUnused(const storage::View& view, const TokenRecord& record) {
  ASSIGN_OR_RETURN(
      const auto token,
      view.Get(storage::Table::kTokens, storage::TokenKey(record.workspace(), record.token_id())));
  ASSIGN_OR_RETURN(const auto digest, view.Get(storage::Table::kDigests, record.stored_digest()));
  if (!token.has_value() && !digest.has_value()) return absl::OkStatus();
  return base::Refuse(absl::StatusCode::kAborted, "TOKEN_ID_TAKEN",
                      "the new token's id is taken already; try again");
}

void PutNew(const TokenRecord& record, storage::Effects& effects) {
  const std::string key = storage::TokenKey(record.workspace(), record.token_id());
  effects.Put(storage::Table::kTokens, key, record);
  tollgate::store::v1::DigestRecord digest;
  digest.set_workspace(record.workspace());
  digest.set_token_id(record.token_id());
  effects.Put(storage::Table::kDigests, record.stored_digest(), digest);
  effects.PutRaw(storage::Table::kLabels,
                 storage::LabelKey(record.workspace(), record.label(), record.token_id()), "");
  if (record.expire_time_us() != 0) {
    effects.PutRaw(storage::Table::kDue,
                   storage::DueKey(record.expire_time_us(), storage::DueKind::kExpire, key), "");
  }
  effects.CountLive(record.workspace(), record.owner(), +1);
  tollgate::v1::Event event;
  event.mutable_token_created()->set_workspace(record.workspace());
  event.mutable_token_created()->set_token_id(record.token_id());
  if (TOLLGATE_MUTATED("r13_creation_untold")) return;
  effects.Tell(std::move(event));
}

AuditRecord AuditOfWorkspace(absl::string_view actor, absl::string_view action,
                             absl::string_view workspace) {
  AuditRecord entry;
  entry.set_actor(std::string(actor));
  entry.set_action(std::string(action));
  entry.set_resource(token::WorkspaceName(workspace));
  entry.set_workspace(std::string(workspace));
  return entry;
}

AuditRecord AuditOf(absl::string_view actor, absl::string_view action, const TokenRecord& record) {
  AuditRecord entry;
  entry.set_actor(std::string(actor));
  entry.set_action(std::string(action));
  entry.set_resource(token::FormatTokenName(record.workspace(), record.token_id()));
  entry.set_workspace(record.workspace());
  // Of a token that was purged it is not known.
  if (!record.label().empty()) (*entry.mutable_details())["label"] = record.label();
  return entry;
}

void AuditAgain(const HeldToken& token, absl::string_view actor, absl::string_view action,
                absl::string_view reason, const storage::Slot& slot, storage::Effects& effects) {
  const tollgate::v1::Token told = ToResource(token, slot.now);
  if (reason.empty() || reason == told.reason()) return;
  AuditRecord entry = AuditOf(actor, absl::StrCat(action, kAgain), token.record);
  entry.set_reason(std::string(reason));
  (*entry.mutable_details())["state"] = StateName(told.state());
  effects.Audit(std::move(entry));
}

Revocation Revoke(HeldToken& token, absl::string_view actor, absl::string_view action,
                  absl::string_view reason, const storage::Slot& slot, storage::Effects& effects) {
  if (!token::IsFinal(token.StateAt(slot.now))) {
    token.record.set_reason(std::string(reason));
    EndToken(token, Ending::KIND_REVOKED, actor, slot, effects);
    AuditRecord entry = AuditOf(actor, action, token.record);
    entry.set_reason(std::string(reason));
    effects.Audit(std::move(entry));
    return {slot.revision, false};
  }
  // Time has ended the token, and no sweep has committed that yet: commit it, so that there is a
  // revision for whose enforcement a caller can wait (R18). The token stays expired: final is
  // final.
  const Ending::Kind by_time = EndedByTime(token, slot.now);
  if (by_time != Ending::KIND_UNSPECIFIED) {
    EndToken(token, by_time, "", slot, effects);
    effects.Audit(AuditOf(actor, by_time == Ending::KIND_EXPIRED ? "token.expire" : "token.retire",
                          token.record));
  }
  AuditAgain(token, actor, action, reason, slot, effects);
  return {ToResource(token, slot.now).end().revision(), true};
}

}  // namespace tollgate::service
