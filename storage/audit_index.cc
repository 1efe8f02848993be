#include "storage/audit_index.h"

#include "absl/strings/string_view.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate::storage {

std::vector<std::string> AuditIndexKeys(const tollgate::store::v1::AuditRecord& entry) {
  const std::string audit_key = AuditKey(entry.revision(), entry.index());
  std::vector<std::string> keys;
  const auto add = [&](absl::string_view name) {
    const absl::StatusOr<token::TokenName> token = token::ParseTokenName(name, "");
    if (token.ok()) keys.push_back(AuditByTokenKey(token->workspace, token->token_id, audit_key));
  };
  add(entry.resource());
  for (const char* detail : {kReplacedBy, kGivenUp}) {
    const auto it = entry.details().find(detail);
    if (it != entry.details().end()) add(it->second);
  }
  return keys;
}

}  // namespace tollgate::storage
