// What a change changed, field by field, for its audit entry. Pure.
#ifndef TOLLGATE_SERVICE_RECORDS_AUDIT_CHANGES_H_
#define TOLLGATE_SERVICE_RECORDS_AUDIT_CHANGES_H_

#include <cstddef>

#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {

// The longest value that is kept, in bytes of its text, and the most of an entry. The audit log is
// kept for ever, and a page of it must stay small.
inline constexpr size_t kMostOfValue = 4 << 10;
inline constexpr size_t kMostOfEntry = 16 << 10;

// Adds to `entry` each field of the token that differs: label, scopes, audiences, owner,
// annotations, expire_time and retire_plan, as the resource's JSON has them. Never a digest.
void NoteChanges(const tollgate::store::v1::TokenRecord& before,
                 const tollgate::store::v1::TokenRecord& after,
                 tollgate::store::v1::AuditRecord* entry);
// As above, of a policy, all its fields.
void NoteChanges(const tollgate::store::v1::PolicyRecord& before,
                 const tollgate::store::v1::PolicyRecord& after,
                 tollgate::store::v1::AuditRecord* entry);

// As above, of a workspace: display_name, and its policy's fields. Of one that is deleted, `after`
// is an empty record.
void NoteChanges(const tollgate::store::v1::WorkspaceRecord& before,
                 const tollgate::store::v1::WorkspaceRecord& after,
                 tollgate::store::v1::AuditRecord* entry);

// As above, of a binding: `workspaces`, in which the role holds; `workspaces/-` for everywhere.
// `before` is an empty record where there was none.
void NoteChanges(const tollgate::store::v1::BindingRecord& before,
                 const tollgate::store::v1::BindingRecord& after,
                 tollgate::store::v1::AuditRecord* entry);

// Adds what a new token or workspace was made with, or what a policy is of which nothing is known
// from before: the fields that are set, without a value before.
void NoteMade(const tollgate::store::v1::TokenRecord& made,
              tollgate::store::v1::AuditRecord* entry);
void NoteMade(const tollgate::store::v1::PolicyRecord& made,
              tollgate::store::v1::AuditRecord* entry);
void NoteMade(const tollgate::store::v1::WorkspaceRecord& made,
              tollgate::store::v1::AuditRecord* entry);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RECORDS_AUDIT_CHANGES_H_
