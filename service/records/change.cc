#include "service/records/change.h"

#include <sodium.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "google/protobuf/descriptor.h"
#include "service/records/field_time.h"
#include "storage/schema.h"
#include "token/resource_name.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::RequestRecord;

constexpr size_t kFingerprintSize = 32;

}  // namespace

absl::Status CheckEtag(absl::string_view given, absl::string_view current,
                       absl::string_view field) {
  if (given.empty() || given == current) return absl::OkStatus();
  base::ErrorDetails details;
  details.reason = "ETAG_MISMATCH";
  details.fields.push_back({std::string(field), "is that of an earlier state"});
  return base::Refuse(absl::StatusCode::kAborted,
                      absl::StrCat(field,
                                   ": it was changed since it was read, and nothing was "
                                   "changed now; read it again"),
                      details);
}

std::string RequestFingerprint(const google::protobuf::Message& request) {
  std::unique_ptr<google::protobuf::Message> copy(request.New());
  copy->CopyFrom(request);
  for (const char* name : {"request_id", "wait_enforced", "etag", "expected_count", "validate_only",
                           "create_workspace"}) {
    const auto* field = copy->GetDescriptor()->FindFieldByName(name);
    if (field != nullptr) copy->GetReflection()->ClearField(copy.get(), field);
  }
  const std::string bytes = storage::SerializeRecord(*copy);
  std::string fingerprint(kFingerprintSize, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(&fingerprint[0]), fingerprint.size(),
                     reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), nullptr,
                     0);
  return fingerprint;
}

absl::Status RefuseInDoubt(const storage::Slot& slot, absl::string_view what) {
  if (!slot.clock_in_doubt) return absl::OkStatus();
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "CLOCK_IN_DOUBT",
      absl::StrCat(
          "refused: the clock of the service's machine is in doubt, and ", what,
          " is reckoned from now. See it with: tollgate clock status. Set that clock right "
          "(a time daemon does), or end the doubt with: tollgate clock accept. Revoking "
          "always works."));
}

namespace {

std::string KeyOfRequest(const ChangeContext& context) {
  std::string actor = context.actor;
  std::replace(actor.begin(), actor.end(), '\0', '?');  // keys are parted by 0 bytes
  return storage::RequestKey(absl::StrCat(context.method, "/", context.workspace, "/", actor),
                             context.request_id);
}

// Whether the answer was given for a workspace of this name that was deleted since: what is asked
// for now is asked of another. A deletion that is asked for again is not meant for that one.
absl::StatusOr<bool> IsOfFormerWorkspace(const storage::View& view, const ChangeContext& context,
                                         int64_t revision) {
  if (context.method == "delete_workspace") return false;
  ASSIGN_OR_RETURN(const auto now, storage::GetRecord<store::v1::WorkspaceRecord>(
                                       view, storage::Table::kWorkspaces, context.workspace));
  return now.has_value() && revision < now->create_revision();
}

}  // namespace

absl::StatusOr<absl::optional<std::string>> FirstAnswer(const storage::View& view,
                                                        const ChangeContext& context) {
  ASSIGN_OR_RETURN(const auto first, storage::GetRecord<RequestRecord>(
                                         view, storage::Table::kRequests, KeyOfRequest(context)));
  if (!first.has_value()) return absl::nullopt;
  ASSIGN_OR_RETURN(const bool former, IsOfFormerWorkspace(view, context, first->revision()));
  if (former) return absl::nullopt;
  if (first->fingerprint() != context.fingerprint) {
    base::ErrorDetails details;
    details.reason = "REQUEST_ID_REUSED";
    details.fields.push_back({"request_id", "was used for another request"});
    return base::Refuse(
        absl::StatusCode::kAlreadyExists,
        "request_id: was used for another request; give every request an id of its own", details);
  }
  return first->response();
}

absl::Status Change::ApplyAudited(const storage::View& view, const storage::Slot& slot,
                                  storage::Effects& effects) {
  RETURN_IF_ERROR(Apply(view, slot, effects));
  for (store::v1::AuditRecord& entry : effects.audit) {
    entry.set_origin(origin_);
    if (!operator_token_id_.empty()) {
      (*entry.mutable_details())[kOperatorTokenDetail] = operator_token_id_;
    }
  }
  audited_ = effects.audit;
  return absl::OkStatus();
}

bool Change::ends_batch() const { return context_.workspace == token::kOperatorWorkspace; }

absl::Status Change::Run(const storage::View& view, const storage::Slot& slot,
                         storage::Effects& effects) {
  replayed_ = false;
  audited_.clear();
  mutable_answer()->Clear();
  if (may_) RETURN_IF_ERROR(may_());
  if (context_.request_id.empty()) {
    return ApplyAudited(view, slot, effects);
  }

  ASSIGN_OR_RETURN(const absl::optional<std::string> first, FirstAnswer(view, context_));
  if (first.has_value()) {
    if (!mutable_answer()->ParseFromString(*first)) {
      return absl::DataLossError("the first answer to this request_id cannot be read");
    }
    replayed_ = true;
    OnReplay();
    return absl::OkStatus();
  }

  RETURN_IF_ERROR(ApplyAudited(view, slot, effects));
  // The record is kept even where nothing had to change: otherwise a retry of a suspension that
  // changed nothing could suspend a token that was resumed in between.
  RequestRecord record;
  record.set_method(context_.method);
  record.set_fingerprint(context_.fingerprint);
  record.set_response(storage::SerializeRecord(*mutable_answer()));
  record.set_revision(slot.revision);
  record.set_expire_time_us(ToRecordMicros(slot.now + kRequestLifetime));
  const std::string key = KeyOfRequest(context_);
  effects.Put(storage::Table::kRequests, key, record);
  effects.PutRaw(storage::Table::kDue,
                 storage::DueKey(record.expire_time_us(), storage::DueKind::kForgetRequest, key),
                 "");
  return absl::OkStatus();
}

}  // namespace tollgate::service
