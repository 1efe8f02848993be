#include "service/restore/replay_command.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "service/records/audit_changes.h"
#include "service/records/binding_record.h"
#include "service/records/change.h"
#include "service/records/held_token.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

using store::v1::AuditRecord;
using store::v1::BindingRecord;
using store::v1::CohortRecord;
using store::v1::Ending;
using store::v1::HeadRecord;
using store::v1::MetaRecord;
using store::v1::TokenRecord;

std::string WhenText(int64_t time_us) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::FromUnixMicros(time_us),
                          absl::UTCTimeZone());
}

// Strings that are in both, in the order of `a`.
template <typename Strings>
Strings InBoth(const Strings& a, const Strings& b) {
  Strings both;
  for (const std::string& one : a) {
    if (std::find(b.begin(), b.end(), one) != b.end()) both.Add()->assign(one);
  }
  return both;
}

// What Narrow took away.
struct Narrowed {
  bool suspended = false;
  std::string fields;  // for the audit log
};

// Takes from `record` what the lost history no longer allowed.
void Narrow(const TokenRecord& lost, const std::string& key, TokenRecord* record,
            storage::Effects& effects, Narrowed* narrowed) {
  const auto note = [&](absl::string_view field) {
    absl::StrAppend(&narrowed->fields, narrowed->fields.empty() ? "" : ",", field);
  };
  if (lost.suspended() && !record->suspended()) {
    record->set_suspended(true);
    record->set_suspend_time_us(lost.suspend_time_us());
    record->set_suspended_by(lost.suspended_by());
    record->set_reason(lost.reason());
    narrowed->suspended = true;
  }
  const auto scopes = InBoth(record->scopes(), lost.scopes());
  if (scopes.size() != record->scopes_size()) {
    *record->mutable_scopes() = scopes;
    note("scopes");
  }
  if (lost.audiences_size() > 0 && record->audiences_size() == 0) {
    *record->mutable_audiences() = lost.audiences();
    note("audiences");
  } else if (lost.audiences_size() > 0) {
    const auto audiences = InBoth(record->audiences(), lost.audiences());
    if (audiences.empty()) {
      // An empty list of audiences would allow every audience. The token is suspended until
      // somebody names one.
      if (!record->suspended()) {
        record->set_suspended(true);
        record->set_reason("restored: the audiences of the backup were all taken away after it");
        narrowed->suspended = true;
      }
    } else if (audiences.size() != record->audiences_size()) {
      *record->mutable_audiences() = audiences;
      note("audiences");
    }
  }
  if (lost.expire_time_us() != 0 &&
      (record->expire_time_us() == 0 || lost.expire_time_us() < record->expire_time_us())) {
    if (record->expire_time_us() != 0) {
      effects.Delete(storage::Table::kDue,
                     storage::DueKey(record->expire_time_us(), storage::DueKind::kExpire, key));
    }
    record->set_expire_time_us(lost.expire_time_us());
    effects.PutRaw(storage::Table::kDue,
                   storage::DueKey(lost.expire_time_us(), storage::DueKind::kExpire, key), "");
    note("expire_time");
  }
  // Of a rotation's plans only a time takes something away by itself. The replacement is lost with
  // the history, so no plan may wait for its use.
  const int64_t retire_us = lost.retirement().at_time_us();
  const int64_t planned_us = record->retirement().at_time_us();
  if (retire_us != 0 && (planned_us == 0 || retire_us < planned_us)) {
    if (planned_us != 0) {
      effects.Delete(storage::Table::kDue,
                     storage::DueKey(planned_us, storage::DueKind::kRetire, key));
    }
    if (record->retirement().quiet_period_us() != 0) {
      effects.Delete(storage::Table::kDue, storage::DueKey(0, storage::DueKind::kWatchSilent, key));
    }
    record->clear_retirement();
    record->mutable_retirement()->set_at_time_us(retire_us);
    effects.PutRaw(storage::Table::kDue, storage::DueKey(retire_us, storage::DueKind::kRetire, key),
                   "");
    note("retire_time");
  }
}

// Takes from `record` where the lost history no longer granted the role.
void NarrowBinding(const BindingRecord& lost, BindingRecord* record) {
  if (record->withdrawn()) return;
  if (lost.withdrawn()) {
    WithdrawAll(record);
  } else if (lost.workspaces_size() > 0 && record->workspaces_size() == 0) {
    *record->mutable_workspaces() = lost.workspaces();
  } else if (lost.workspaces_size() > 0) {
    KeepWorkspaces({lost.workspaces().begin(), lost.workspaces().end()}, record);
  }
}

void AddPastEpoch(const std::string& epoch, MetaRecord* meta) {
  const auto& past = meta->past_epochs();
  if (std::find(past.begin(), past.end(), epoch) == past.end()) meta->add_past_epochs(epoch);
}

}  // namespace

absl::Status ReplayCommand::Run(const storage::View& view, const storage::Slot& slot,
                                storage::Effects& effects) {
  report_ = ReplayReport();
  report_.revision = slot.revision;
  ASSIGN_OR_RETURN(auto meta,
                   storage::GetRecord<MetaRecord>(view, storage::Table::kMeta, storage::kMetaKey));
  ASSIGN_OR_RETURN(const auto head,
                   storage::GetRecord<HeadRecord>(view, storage::Table::kMeta, storage::kHeadKey));
  if (!meta.has_value() || !head.has_value()) {
    return absl::DataLossError("the store has no meta record, or no head");
  }
  if (anew_) return ReplayAll(view, slot, effects);
  if (plan_ != nullptr && (plan_->epoch() != meta->epoch() || plan_->head() != head->revision())) {
    return absl::InternalError("the plan is another store's, or of another revision");
  }
  RETURN_IF_ERROR(TakeEpoch(*head, *std::move(meta), effects));
  return plan_ == nullptr ? absl::OkStatus() : ReplayAll(view, slot, effects);
}

absl::Status ReplayCommand::TakeEpoch(const HeadRecord& head, MetaRecord meta,
                                      storage::Effects& effects) const {
  // The audit log says first what happened, then what came of it.
  AuditRecord entry;
  entry.set_actor(kServiceActor);
  entry.set_action(action_);
  auto& details = *entry.mutable_details();
  details["from"] = source_;
  details["epoch_before"] = meta.epoch();
  details["epoch"] = new_epoch_;
  details["revision_before"] = absl::StrCat(head.revision());
  details["time_before"] = WhenText(head.time_us());
  details["journal"] =
      plan_ == nullptr ? "none" : absl::StrCat("to revision ", plan_->last_revision());
  effects.Audit(std::move(entry));

  // Whoever comes from one of them is reset; from any other epoch, refused (R19).
  AddPastEpoch(meta.epoch(), &meta);
  if (plan_ != nullptr) {
    for (const std::string& epoch : plan_->later_epochs()) AddPastEpoch(epoch, &meta);
  }
  for (const std::string& epoch : accepted_) AddPastEpoch(epoch, &meta);
  meta.set_epoch(new_epoch_);
  meta.set_restored(true);
  effects.Put(storage::Table::kMeta, storage::kMetaKey, meta);
  return absl::OkStatus();
}

absl::Status ReplayCommand::ReplayAll(const storage::View& view, const storage::Slot& slot,
                                      storage::Effects& effects) {
  for (const auto& [name, lost] : plan_->tokens()) {
    RETURN_IF_ERROR(ReplayToken(name.first, name.second, lost, view, slot, effects));
  }
  for (const auto& [name, lost] : plan_->cohorts()) {
    RETURN_IF_ERROR(ReplayCohort(lost, view, slot, effects));
  }
  const int64_t before = report_.bindings;
  for (const auto& [name, lost] : plan_->bindings()) {
    RETURN_IF_ERROR(ReplayBinding(name.first, name.second, lost, view, slot, effects));
  }
  if (report_.bindings > before) TellAccessChanged(effects);
  return absl::OkStatus();
}

absl::Status ReplayCommand::ReplayBinding(const std::string& member, const std::string& role,
                                          const ReplayPlan::LostBinding& lost,
                                          const storage::View& view, const storage::Slot& slot,
                                          storage::Effects& effects) {
  ASSIGN_OR_RETURN(const auto before,
                   storage::GetRecord<BindingRecord>(view, storage::Table::kBindings,
                                                     storage::BindingKey(member, role)));
  if (!before.has_value() || before->withdrawn()) {
    ++report_.already;  // what was granted after the backup is not given back
    return absl::OkStatus();
  }
  BindingRecord record = *before;
  if (lost.latest.has_value()) NarrowBinding(*lost.latest, &record);
  if (lost.perhaps.has_value()) NarrowBinding(*lost.perhaps, &record);
  if (record.withdrawn() == before->withdrawn() &&
      record.workspaces_size() == before->workspaces_size()) {
    ++report_.already;
    return absl::OkStatus();
  }
  AuditRecord entry = AuditOfBinding(kServiceActor, change_action(), record);
  auto& details = *entry.mutable_details();
  details["change"] = record.withdrawn() ? "WITHDRAWN" : "NARROWED";
  details["lost_revision"] = absl::StrCat(
      lost.perhaps.has_value() ? lost.perhaps->update_revision() : lost.latest->update_revision());
  PutBinding(*before, std::move(record), slot, std::move(entry), effects);
  ++report_.bindings;
  return absl::OkStatus();
}

absl::Status ReplayCommand::ReplayToken(const std::string& workspace, const std::string& token_id,
                                        const ReplayPlan::LostToken& lost,
                                        const storage::View& view, const storage::Slot& slot,
                                        storage::Effects& effects) {
  ASSIGN_OR_RETURN(auto token, FindToken(view, workspace, token_id));
  if (!token.has_value()) {
    ++report_.unknown;
    return absl::OkStatus();
  }
  const TokenRecord before = token->record;
  TokenRecord& record = token->record;
  if (record.has_ending() || token::CoveringCohort(record, token->cohorts) != nullptr) {
    ++report_.already;  // final is final
    return absl::OkStatus();
  }
  const std::string key = storage::TokenKey(workspace, token_id);
  AuditRecord entry = AuditOf(kServiceActor, change_action(), record);
  auto& details = *entry.mutable_details();

  if (lost.ended.has_value()) {
    const Ending& ending = lost.ended->ending();
    record.set_reason(lost.ended->reason());
    EndToken(*token, ending.kind(), ending.actor(), slot, effects);
    // The time of the real end; the revision is this commit's, because the lost one will be used
    // again.
    record.mutable_ending()->set_time_us(ending.time_us());
    effects.Put(storage::Table::kTokens, key, record);
    ++report_.ended;
    details["change"] = Ending::Kind_Name(ending.kind());
    details["lost_revision"] = absl::StrCat(ending.revision());
    details["lost_time"] = WhenText(ending.time_us());
    entry.set_reason(record.reason());
    effects.Audit(std::move(entry));
    return absl::OkStatus();
  }

  // The last entry may have given the token to an owner whose cohort was revoked, before or in the
  // same commit. Whether the owner changed is unknown; the token counts as revoked because it may
  // have been.
  const std::string& known_owner = lost.latest.has_value() ? lost.latest->owner() : record.owner();
  if (lost.perhaps.has_value() && lost.perhaps->owner() != known_owner) {
    ASSIGN_OR_RETURN(const absl::optional<CohortRecord> cohort,
                     CohortOfUncertainOwner(record, lost.perhaps->owner(), view));
    if (cohort.has_value()) {
      effects.CountLive(workspace, record.owner(), -1);
      effects.CountLive(workspace, lost.perhaps->owner(), +1);  // until EndToken, below
      record.set_owner(lost.perhaps->owner());
      record.set_reason(cohort->reason());
      EndToken(*token, Ending::KIND_COHORT, cohort->actor(), slot, effects);
      record.mutable_ending()->set_time_us(cohort->time_us());
      effects.Put(storage::Table::kTokens, key, record);
      ++report_.ended;
      details["change"] = Ending::Kind_Name(Ending::KIND_COHORT);
      details["owner"] = record.owner();
      details["lost_revision"] = absl::StrCat(cohort->revision());
      details["lost_time"] = WhenText(cohort->time_us());
      entry.set_reason(record.reason());
      effects.Audit(std::move(entry));
      return absl::OkStatus();
    }
  }

  Narrowed narrowed;
  int64_t lost_revision = 0;
  bool owner = false;
  TokenRecord perhaps = lost.perhaps.value_or(TokenRecord());
  // Without the replacement nothing is to end what it was to replace.
  const bool rotated = perhaps.replaced_by_token_id() != record.replaced_by_token_id();
  if (anew_ && rotated) perhaps.clear_retirement();
  if (lost.latest.has_value()) {
    // An owner gives and takes nothing by itself, but decides which cohorts cover the token.
    owner = lost.latest->owner() != record.owner();
    if (owner) {
      effects.CountLive(workspace, record.owner(), -1);
      record.set_owner(lost.latest->owner());
      ASSIGN_OR_RETURN(token->cohorts, LoadCohorts(view, workspace, record.owner()));
      const bool live = token::CoveringCohort(record, token->cohorts) == nullptr;
      if (live) effects.CountLive(workspace, record.owner(), +1);
    }
    Narrow(*lost.latest, key, &record, effects, &narrowed);
    lost_revision = lost.latest->update_revision();
  }
  if (lost.perhaps.has_value()) {
    Narrow(perhaps, key, &record, effects, &narrowed);
    lost_revision = perhaps.update_revision();
  }
  if (!owner && !narrowed.suspended && narrowed.fields.empty()) {
    ++report_.already;
    return absl::OkStatus();
  }
  PutChanged(*token, slot, /*tell=*/true, effects);
  if (narrowed.suspended) ++report_.suspended;
  if (!narrowed.fields.empty()) ++report_.narrowed;
  details["change"] = narrowed.suspended ? "SUSPENDED" : "NARROWED";
  if (!narrowed.fields.empty()) details["fields"] = narrowed.fields;
  if (owner) details["owner"] = record.owner();
  details["lost_revision"] = absl::StrCat(lost_revision);
  NoteChanges(before, record, &entry);
  if (narrowed.suspended) entry.set_reason(record.reason());
  effects.Audit(std::move(entry));
  return absl::OkStatus();
}

absl::StatusOr<absl::optional<CohortRecord>> ReplayCommand::CohortOfUncertainOwner(
    const TokenRecord& record, const std::string& owner, const storage::View& view) const {
  if (owner.empty()) return absl::optional<CohortRecord>();
  // A lost cohort was set after the backup, so after the token was created.
  const auto lost = plan_->cohorts().find({record.workspace(), owner});
  if (lost != plan_->cohorts().end()) return absl::optional<CohortRecord>(lost->second);
  TokenRecord given = record;
  given.set_owner(owner);
  ASSIGN_OR_RETURN(const token::Cohorts cohorts, LoadCohorts(view, record.workspace(), owner));
  const CohortRecord* covering = token::CoveringCohort(given, cohorts);
  return covering == nullptr ? absl::optional<CohortRecord>() : *covering;
}

absl::Status ReplayCommand::ReplayCohort(const CohortRecord& lost, const storage::View& view,
                                         const storage::Slot& slot, storage::Effects& effects) {
  ASSIGN_OR_RETURN(const auto workspace, view.Get(storage::Table::kWorkspaces, lost.workspace()));
  if (!workspace.has_value()) {
    ++report_.unknown;
    return absl::OkStatus();
  }
  CohortRecord cohort = lost;
  cohort.set_revision(slot.revision);
  cohort.set_index(slot.index);
  cohort.set_ended_none(false);  // it may end here what it did not find there
  RETURN_IF_ERROR(PutCohort(view, std::move(cohort), effects));
  tollgate::v1::Event event;
  event.mutable_cohort_revoked()->set_workspace(lost.workspace());
  event.mutable_cohort_revoked()->set_owner(lost.owner());
  effects.Tell(std::move(event));
  AuditRecord entry;
  entry.set_actor(kServiceActor);
  entry.set_action(change_action());
  entry.set_resource(token::WorkspaceName(lost.workspace()));
  entry.set_workspace(lost.workspace());
  entry.set_reason(lost.reason());
  auto& details = *entry.mutable_details();
  details["change"] = "COHORT";
  if (!lost.owner().empty()) details["owner"] = lost.owner();
  details["lost_revision"] = absl::StrCat(lost.revision());
  details["lost_time"] = WhenText(lost.time_us());
  effects.Audit(std::move(entry));
  ++report_.cohorts;
  return absl::OkStatus();
}

}  // namespace tollgate::service
