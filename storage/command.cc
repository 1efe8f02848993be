#include "storage/command.h"

#include "storage/schema.h"

namespace tollgate::storage {

void Effects::Put(Table table, absl::string_view key, const google::protobuf::MessageLite& record) {
  mutations.push_back(Mutation{table, std::string(key), SerializeRecord(record)});
}

void Effects::PutRaw(Table table, absl::string_view key, absl::string_view value) {
  mutations.push_back(Mutation{table, std::string(key), std::string(value)});
}

void Effects::Delete(Table table, absl::string_view key) {
  mutations.push_back(Mutation{table, std::string(key), absl::nullopt});
}

void Effects::CountLive(absl::string_view workspace, absl::string_view owner, int delta) {
  live_changes.push_back({std::string(workspace), std::string(owner), delta, /*cohort=*/false});
}

void Effects::CountCohort(absl::string_view workspace, absl::string_view owner) {
  live_changes.push_back({std::string(workspace), std::string(owner), 0, /*cohort=*/true});
}

void Effects::KeepInHistory(absl::string_view workspace, absl::string_view token_id,
                            absl::string_view audit_key) {
  history.push_back(AuditByTokenKey(workspace, token_id, audit_key));
}

void Effects::Tell(tollgate::v1::Event event) { events.push_back(std::move(event)); }

void Effects::Audit(tollgate::store::v1::AuditRecord entry) { audit.push_back(std::move(entry)); }

}  // namespace tollgate::storage
