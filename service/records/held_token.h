// A token as the commands hold it: its record with everything that decides its state, and the few
// ways in which a change may write it.
#ifndef TOLLGATE_SERVICE_RECORDS_HELD_TOKEN_H_
#define TOLLGATE_SERVICE_RECORDS_HELD_TOKEN_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "storage/command.h"
#include "storage/engine.h"
#include "token/life_cycle.h"
#include "tollgate/store/v1/records.pb.h"
#include "tollgate/v1/token.pb.h"

namespace tollgate::service {

struct HeldToken {
  tollgate::store::v1::TokenRecord record;
  token::Cohorts cohorts;
  tollgate::store::v1::PolicyRecord policy;  // empty: the workspace has none

  tollgate::v1::TokenState StateAt(absl::Time now) const {
    return token::StateAt(record, cohorts, now);
  }
  std::string name() const;
};

// NOT_FOUND, TOKEN_NOT_FOUND. Of a token that was purged the message says so, and its metadata has
// `purged`: `true`.
absl::StatusOr<HeldToken> LoadToken(const storage::View& view, absl::string_view workspace,
                                    absl::string_view token_id);
// nullopt: there is no such token.
absl::StatusOr<absl::optional<HeldToken>> FindToken(const storage::View& view,
                                                    absl::string_view workspace,
                                                    absl::string_view token_id);
absl::StatusOr<token::Cohorts> LoadCohorts(const storage::View& view, absl::string_view workspace,
                                           absl::string_view owner);
// Writes a watermark as the latest of its key, and says that none of its tokens is live any more.
// The watermark before it goes among the `earlier` ones, so that the tokens which that one ended
// keep their end, until the sweep has written that into their records: it is asked to.
absl::Status PutCohort(const storage::View& view, tollgate::store::v1::CohortRecord cohort,
                       storage::Effects& effects);
// Has the sweep write into the tokens' records how watermarks up to this revision ended them.
absl::Status PlanEndWalk(const storage::View& view, const std::string& workspace,
                         int64_t newest_revision, storage::Effects& effects);
// NOT_FOUND, WORKSPACE_NOT_FOUND (near_names.h).
absl::StatusOr<tollgate::store::v1::WorkspaceRecord> LoadWorkspace(const storage::View& view,
                                                                   absl::string_view workspace);

// When the token was last resumed; InfinitePast: never, as far as the record knows.
absl::Time LastResumed(const tollgate::store::v1::TokenRecord& record);

// The service's time was last moved forward to this moment, by the end of a doubt (R20): how long
// ago anything before it was is not known. InfinitePast: never.
absl::StatusOr<absl::Time> LastTimeJump(const storage::View& view);

// The resource at `now`, without use.
tollgate::v1::Token ToResource(const HeldToken& token, absl::Time now);

// FAILED_PRECONDITION, TOKEN_FINAL: the token has ended, and final is final.
absl::Status RefuseFinal(const HeldToken& token, absl::Time now);

// Writes the record as changed by this slot; with `tell`, also an event.
void PutChanged(HeldToken& token, const storage::Slot& slot, bool tell, storage::Effects& effects);
// Writes the token's end and an event, and removes the token's entries for the sweep and its label.
// `actor`: who ended it; empty: time did.
void EndToken(HeldToken& token, tollgate::store::v1::Ending::Kind kind, absl::string_view actor,
              const storage::Slot& slot, storage::Effects& effects);
// Writes into the token's record how a cohort has ended it, and removes its entries for the sweep
// and its label. Tells nobody, because the cohort's commit did. False, and nothing done, where that
// is written, or no cohort has ended the token.
bool WriteCohortsEnd(HeldToken& token, absl::Time now, storage::Effects& effects);
// How time has ended the token, where no commit has done so yet; KIND_UNSPECIFIED: time has not.
tollgate::store::v1::Ending::Kind EndedByTime(const HeldToken& token, absl::Time now);

// ABORTED, TOKEN_ID_TAKEN: the store already holds the new token's id or digest; the caller mints
// another. Ids are random, so this happens only when the random source is broken; overwriting a
// token would be worse.
absl::Status CheckUnused(const storage::View& view, const tollgate::store::v1::TokenRecord& record);
// Writes a new token's record with its digest, label and due entries, and an event.
void PutNew(const tollgate::store::v1::TokenRecord& record, storage::Effects& effects);
void TellChanged(absl::string_view workspace, absl::string_view token_id,
                 storage::Effects& effects);

// Facts about a change, by name, beside what its audit entry says of every change.
using AuditFacts = std::vector<std::pair<std::string, std::string>>;
// An audit entry about a workspace.
tollgate::store::v1::AuditRecord AuditOfWorkspace(absl::string_view actor, absl::string_view action,
                                                  absl::string_view workspace);
// An audit entry about a token, with its label.
tollgate::store::v1::AuditRecord AuditOf(absl::string_view actor, absl::string_view action,
                                         const tollgate::store::v1::TokenRecord& record);
// Keeps, in the audit log alone, the reason that was given for making a token what it is already:
// as `action` with kAgain behind it. Nothing where the reason is empty, or is the one that stands.
inline constexpr char kAgain[] = "_again";
void AuditAgain(const HeldToken& token, absl::string_view actor, absl::string_view action,
                absl::string_view reason, const storage::Slot& slot, storage::Effects& effects);

// Revokes one token: ends it as revoked, with an event and an audit entry. A token that has ended
// already stays as it is (AuditAgain keeps the reason).
struct Revocation {
  int64_t revision = 0;       // of the token's end
  bool ended_before = false;  // the token had ended, by time at least
};
Revocation Revoke(HeldToken& token, absl::string_view actor, absl::string_view action,
                  absl::string_view reason, const storage::Slot& slot, storage::Effects& effects);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_HELD_TOKEN_H_
