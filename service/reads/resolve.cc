#include "service/reads/resolve.h"

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/mutation.h"
#include "base/status.h"
#include "storage/schema.h"
#include "storage/tombstone.h"
#include "token/digest.h"
#include "token/edge_annotations.h"
#include "token/field_rules.h"
#include "token/life_cycle.h"
#include "token/resource_name.h"

namespace tollgate::service {

using store::v1::CohortRecord;
using store::v1::DigestRecord;
using store::v1::TokenRecord;
using store::v1::WorkspaceRecord;
using v1::ResolveRequest;
using v1::ResolveResponse;

absl::StatusOr<ResolveResponse> ResolveFrom(const storage::Snapshot& snapshot,
                                            const token::Keyring& keyring, const History& history,
                                            const ResolveRequest& request) {
  RETURN_IF_ERROR(token::CheckValidatorId(request.validator_id(), "validator_id"));
  const absl::optional<token::EdgeDigest> edge =
      token::EdgeDigest::FromBytes(request.edge_digest());
  if (!edge.has_value()) {
    return base::RefuseField("DIGEST_MALFORMED", "edge_digest",
                             "must be the 32 bytes of the token string's BLAKE2b-256");
  }
  if (request.applied_revision() < 0) {
    return base::RefuseField("REVISION_MALFORMED", "applied_revision", "must not be negative");
  }
  // Of another epoch it is answered all the same: the answer's epoch tells the validator (R12).
  if (request.epoch() == history.epoch && snapshot.revision() < request.applied_revision() &&
      !TOLLGATE_MUTATED("r12_need_from_applied")) {
    return base::RefuseForNow(
        "BEHIND",
        absl::StrCat("refused: this service is at revision ", snapshot.revision(), ", below ",
                     request.applied_revision(), ", which the validator has applied"),
        absl::Milliseconds(100));
  }
  ResolveResponse response;
  response.set_epoch(history.epoch);
  response.set_term(history.term());
  response.set_revision(snapshot.revision());
  for (const auto& [pepper, digest] : keyring.Candidates(*edge)) {
    ASSIGN_OR_RETURN(
        absl::optional<DigestRecord> found,
        storage::GetRecord<DigestRecord>(snapshot, storage::Table::kDigests, digest.bytes()));
    if (!found.has_value()) continue;
    absl::optional<TokenRecord> token;
    if (found->has_tombstone()) {
      token = storage::RecordOfPurged(*found, digest.bytes());
    } else {
      ASSIGN_OR_RETURN(token, storage::GetRecord<TokenRecord>(
                                  snapshot, storage::Table::kTokens,
                                  storage::TokenKey(found->workspace(), found->token_id())));
    }
    // I7: this is not "unknown". The store is broken, and no token may be accused for that.
    if (!token.has_value()) return absl::DataLossError("a digest has no token");
    // To an edge it is no token at all: what it gives access to is here.
    if (token->workspace() == token::kOperatorWorkspace) break;
    token::Cohorts cohorts;
    ASSIGN_OR_RETURN(cohorts.workspace,
                     storage::GetRecord<CohortRecord>(snapshot, storage::Table::kCohorts,
                                                      storage::CohortKey(token->workspace(), "")));
    if (!token->owner().empty()) {
      ASSIGN_OR_RETURN(cohorts.owner, storage::GetRecord<CohortRecord>(
                                          snapshot, storage::Table::kCohorts,
                                          storage::CohortKey(token->workspace(), token->owner())));
    }
    ASSIGN_OR_RETURN(const absl::optional<WorkspaceRecord> workspace,
                     storage::GetRecord<WorkspaceRecord>(snapshot, storage::Table::kWorkspaces,
                                                         token->workspace()));
    *response.mutable_grant() = token::ToGrant(*token, cohorts);
    if (workspace.has_value()) {
      // What the workspace's policy has edges told besides.
      const store::v1::PolicyRecord& policy = workspace->policy();
      tollgate::v1::Grant* grant = response.mutable_grant();
      *grant->mutable_annotations() =
          token::EdgeAnnotations(token->annotations(), policy.edge_annotations());
      grant->set_report_attempt_addresses(policy.report_attempt_addresses());
    }
    return response;
  }
  response.set_unknown(true);
  return response;
}

}  // namespace tollgate::service
