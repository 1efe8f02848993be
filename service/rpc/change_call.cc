#include "service/rpc/change_call.h"

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "base/log.h"
#include "service/records/held_token.h"

namespace tollgate::service {

void LogChange(const Change& change, int64_t revision) {
  for (const store::v1::AuditRecord& entry : change.audited()) {
    const absl::string_view action = entry.action();
    // These give permission, or change words: the audit log has them, and there are many.
    if (action == "token.create" || action == "token.update" || action == "token.rotate") continue;
    if (absl::EndsWith(action, kAgain)) continue;  // changed nothing
    base::Log(base::LogLevel::kInfo, "changed",
              {{"action", action},
               {"resource", entry.resource()},
               {"actor", entry.actor()},
               {"revision", revision}});
  }
}

}  // namespace tollgate::service
