#include "service/tokens/update_token.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "google/protobuf/descriptor.h"
#include "service/records/audit_changes.h"
#include "service/records/held_token.h"
#include "service/records/token_shape.h"
#include "service/workspaces/policy_rules.h"
#include "storage/schema.h"
#include "text/label.h"
#include "token/edge_annotations.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::TokenRecord;

bool IsChangeable(absl::string_view path) {
  return path == "label" || path == "scopes" || path == "audiences" || path == "owner" ||
         path == "annotations" || path == "expire_time";
}

absl::Status CheckMask(const tollgate::v1::UpdateTokenRequest& request) {
  if (request.update_mask().paths().empty()) {
    return base::RefuseField("MASK_REQUIRED", "update_mask",
                             "is empty; name the fields to change, as in label,scopes");
  }
  for (const std::string& path : request.update_mask().paths()) {
    if (IsChangeable(path)) continue;
    const std::string head = path.substr(0, path.find('.'));
    // Quoted only where it names a field, because a path is a stranger's bytes.
    if (tollgate::v1::Token::descriptor()->FindFieldByName(head) != nullptr &&
        !IsChangeable(head)) {
      return base::RefuseField("IMMUTABLE_FIELD", absl::StrCat("token.", head),
                               "cannot be changed");
    }
    return base::RefuseField(
        "UNKNOWN_FIELD", "update_mask",
        "names what is no field; use label, scopes, audiences, owner, annotations "
        "and expire_time, whole");
  }
  return absl::OkStatus();
}

bool Names(const tollgate::v1::UpdateTokenRequest& request, absl::string_view path) {
  const auto& paths = request.update_mask().paths();
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

bool SameAnnotations(const google::protobuf::Map<std::string, std::string>& a,
                     const google::protobuf::Map<std::string, std::string>& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&](const auto& pair) {
    const auto it = b.find(pair.first);
    return it != b.end() && it->second == pair.second;
  });
}

bool Same(const google::protobuf::RepeatedPtrField<std::string>& a,
          const google::protobuf::RepeatedPtrField<std::string>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

absl::StatusOr<std::shared_ptr<UpdateTokenCommand>> UpdateTokenCommand::Make(
    const tollgate::v1::UpdateTokenRequest& request, absl::string_view actor) {
  ASSIGN_OR_RETURN(token::TokenName name,
                   token::ParseTokenName(request.token().name(), "token.name"));
  RETURN_IF_ERROR(token::CheckRequestId(request.request_id(), "request_id"));
  RETURN_IF_ERROR(CheckMask(request));
  tollgate::v1::UpdateTokenRequest compared = request;
  compared.mutable_token()->clear_etag();
  if (name.workspace == token::kOperatorWorkspace) {
    if (Names(request, "owner")) {
      return base::RefuseField("OPERATOR_NAME_FIXED", "token.owner",
                               "cannot be changed: it is whom the operator token speaks for. Make "
                               "a token for the other one, and revoke this one");
    }
    tollgate::v1::Token changed;
    changed.set_owner("unchanged");
    if (Names(request, "scopes")) *changed.mutable_scopes() = request.token().scopes();
    if (Names(request, "audiences")) *changed.mutable_audiences() = request.token().audiences();
    RETURN_IF_ERROR(CheckOperatorToken(name.workspace, changed));
  }
  Context context{"update_token", std::move(name.workspace), std::string(actor),
                  request.request_id(), RequestFingerprint(compared)};
  std::shared_ptr<UpdateTokenCommand> command(
      new UpdateTokenCommand(std::move(context), std::move(name.token_id), request));
  const tollgate::v1::Token& token = request.token();
  if (command->Sets("label")) RETURN_IF_ERROR(text::CheckLabel(token.label(), "token.label"));
  if (command->Sets("scopes")) RETURN_IF_ERROR(token::CheckScopes(token.scopes(), "token.scopes"));
  if (command->Sets("audiences")) {
    RETURN_IF_ERROR(token::CheckAudiences(token.audiences(), "token.audiences"));
  }
  if (command->Sets("owner")) RETURN_IF_ERROR(token::CheckOwner(token.owner(), "token.owner"));
  if (command->Sets("annotations")) {
    RETURN_IF_ERROR(token::CheckAnnotations(token.annotations(), "token.annotations"));
  }
  if (command->Sets("expire_time") && token.has_expire_time()) {
    RETURN_IF_ERROR(TimeFromField(token.expire_time(), "token.expire_time").status());
  }
  if (request.has_lifetime()) {
    if (token.has_expire_time()) {
      return base::RefuseField("LIFETIME_AND_EXPIRE_TIME", "lifetime",
                               "and token.expire_time both say when it ends; give one");
    }
    if (!command->Sets("expire_time")) {
      return base::RefuseField("LIFETIME_NOT_IN_MASK", "lifetime",
                               "is given, and update_mask does not name expire_time");
    }
    RETURN_IF_ERROR(LifetimeFromField(request.lifetime()).status());
  }
  return command;
}

bool UpdateTokenCommand::Sets(absl::string_view path) const { return Names(request_, path); }

absl::Status UpdateTokenCommand::Apply(const storage::View& view, const storage::Slot& slot,
                                       storage::Effects& effects) {
  ASSIGN_OR_RETURN(HeldToken token, LoadToken(view, workspace(), token_id_));
  RETURN_IF_ERROR(RefuseFinal(token, slot.now));
  const tollgate::v1::Token& asked = request_.token();
  RETURN_IF_ERROR(CheckEtag(asked.etag(), ToResource(token, slot.now).etag(), "token.etag"));
  const TokenRecord before = token.record;
  TokenRecord& record = token.record;
  const std::string key = storage::TokenKey(workspace(), token_id_);
  bool changed = false;
  bool tell = false;  // an edge could notice
  std::string what;   // for the audit log
  const auto note = [&](absl::string_view field, bool edge_notices) {
    changed = true;
    tell = tell || edge_notices;
    absl::StrAppend(&what, what.empty() ? "" : ",", field);
  };

  if (Sets("label") && asked.label() != record.label()) {
    RETURN_IF_ERROR(CheckLabelUnderPolicy(token.policy, asked.label(), "token.label"));
    RETURN_IF_ERROR(
        CheckLabelFree(view, token.policy, workspace(), asked.label(),
                       {token_id_, record.replaces_token_id(), record.replaced_by_token_id()},
                       slot.now, "token.label"));
    effects.Delete(storage::Table::kLabels,
                   storage::LabelKey(workspace(), record.label(), token_id_));
    effects.PutRaw(storage::Table::kLabels,
                   storage::LabelKey(workspace(), asked.label(), token_id_), "");
    record.set_label(asked.label());
    note("label", false);
  }
  if (Sets("scopes") && !Same(asked.scopes(), record.scopes())) {
    RETURN_IF_ERROR(token::CheckScopeStars(asked.scopes(), record.scopes(), "token.scopes"));
    RETURN_IF_ERROR(
        CheckScopesUnderPolicy(token.policy, asked.scopes(), record.scopes(), "token.scopes"));
    *record.mutable_scopes() = asked.scopes();
    note("scopes", true);
  }
  if (Sets("audiences") && !Same(asked.audiences(), record.audiences())) {
    *record.mutable_audiences() = asked.audiences();
    note("audiences", true);
  }
  if (Sets("owner") && asked.owner() != record.owner()) {
    ASSIGN_OR_RETURN(token.cohorts, LoadCohorts(view, workspace(), asked.owner()));
    // Otherwise a change of owner would revoke the token, and changing the owner back would make a
    // final token good again.
    if (token::CoveringCohort(record, token.cohorts) != nullptr) {
      base::ErrorDetails details;
      details.reason = "OWNER_REVOKED";
      details.fields.push_back({"token.owner", "its tokens issued until then are revoked"});
      return base::Refuse(
          absl::StatusCode::kFailedPrecondition,
          "token.owner: all tokens of this owner issued before a later moment than this "
          "one are revoked; create a new token for it instead",
          details);
    }
    effects.CountLive(workspace(), record.owner(), -1);
    effects.CountLive(workspace(), asked.owner(), +1);
    record.set_owner(asked.owner());
    note("owner", true);
  }
  if (Sets("annotations") && !SameAnnotations(asked.annotations(), record.annotations())) {
    const token::Annotations told =
        token::EdgeAnnotations(record.annotations(), token.policy.edge_annotations());
    *record.mutable_annotations() = asked.annotations();
    const bool edge_notices = !SameAnnotations(
        told, token::EdgeAnnotations(record.annotations(), token.policy.edge_annotations()));
    note("annotations", edge_notices && !TOLLGATE_MUTATED("annotation_untold"));
  }
  if (Sets("expire_time")) {
    ASSIGN_OR_RETURN(int64_t expire_us, ExpireTimeMicros(asked, slot.now));
    if (request_.has_lifetime()) {
      RETURN_IF_ERROR(RefuseInDoubt(slot, "a lifetime"));
      ASSIGN_OR_RETURN(const absl::Duration lifetime, LifetimeFromField(request_.lifetime()));
      expire_us = ToRecordMicros(slot.now + lifetime);
    }
    if (expire_us != record.expire_time_us()) {
      const absl::Time expires = record.expire_time_us() == 0
                                     ? absl::InfiniteFuture()
                                     : FromRecordMicros(record.expire_time_us());
      const absl::Time after =
          expire_us == 0 ? absl::InfiniteFuture() : FromRecordMicros(expire_us);
      if (after > expires) {  // what was granted before stays granted
        RETURN_IF_ERROR(CheckLifetimeUnderPolicy(
            token.policy, FromRecordMicros(record.create_time_us()), after, "token.expire_time"));
      }
      if (record.expire_time_us() != 0) {
        effects.Delete(storage::Table::kDue,
                       storage::DueKey(record.expire_time_us(), storage::DueKind::kExpire, key));
      }
      if (expire_us != 0) {
        effects.PutRaw(storage::Table::kDue,
                       storage::DueKey(expire_us, storage::DueKind::kExpire, key), "");
      }
      SetExpiry(after, slot.now, &record);
      note("expire_time", true);
    }
  }

  if (changed) {
    PutChanged(token, slot, tell, effects);
    auto entry = AuditOf(actor(), "token.update", record);
    (*entry.mutable_details())["fields"] = what;
    NoteChanges(before, record, &entry);
    effects.Audit(std::move(entry));
  }
  response_.set_unchanged(!changed);
  *response_.mutable_token() = ToResource(token, slot.now);
  response_.set_revision(record.update_revision());
  return absl::OkStatus();
}

}  // namespace tollgate::service
