// Entries of the audit log as text for people.
#ifndef TOLLGATE_CLI_COMMANDS_AUDIT_TEXT_H_
#define TOLLGATE_CLI_COMMANDS_AUDIT_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::cli {

// The actions that entries name, for help and completion; `token.*` and its like among them.
const std::vector<std::string>& AuditActions();

// "2026-11-24 14:02:05 UTC (4 days ago)".
std::string WhenText(absl::Time time, absl::Time now);
// Who asked, and from where: "local (127.0.0.1)", "spiffe://acme/ci (10.0.3.7)", "tollgated".
std::string WhoText(const tollgate::v1::AuditEntry& entry);
// What an entry changed: "scopes deploy:read -> deploy:read, deploy:write; owner none -> team-a";
// of a creation what it was made with: "label "CI"; scopes deploy:read".
std::string ChangesText(const tollgate::v1::AuditEntry& entry);
// What became of the token of this name, in words: "rotated: replaced by 9sVb02KqT5eWx1Nf, retires
// when silent for 24 h", "revoked, with all 312 of owner team-a: the team is gone".
std::string WhatText(const tollgate::v1::AuditEntry& entry, absl::string_view token_name);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_AUDIT_TEXT_H_
