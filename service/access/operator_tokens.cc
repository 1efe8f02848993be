#include "service/access/operator_tokens.h"

#include "base/status.h"
#include "service/records/held_token.h"
#include "storage/schema.h"
#include "token/resource_name.h"
#include "token/token_state.h"

namespace tollgate::service {

bool LetsIn(tollgate::v1::TokenState state) {
  return token::IsLive(state) && state != tollgate::v1::TOKEN_STATE_SUSPENDED;
}

absl::StatusOr<std::vector<OperatorToken>> StoredOperatorTokens(const storage::View& view) {
  constexpr size_t kAtATime = 1000;
  const storage::KeyRange range = storage::WorkspaceTokens(token::kOperatorWorkspace);
  std::vector<OperatorToken> tokens;
  std::string from = range.begin;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                     view.Scan(storage::Table::kTokens, from, range.end, kAtATime));
    for (const storage::Entry& entry : entries) {
      OperatorToken token;
      if (!token.record.ParseFromString(entry.value)) {
        return absl::DataLossError("an operator token's record cannot be parsed");
      }
      ASSIGN_OR_RETURN(token.cohorts,
                       LoadCohorts(view, token::kOperatorWorkspace, token.record.owner()));
      tokens.push_back(std::move(token));
    }
    if (entries.size() < kAtATime) return tokens;
    from = storage::KeyAfter(entries.back().key);
  }
}

absl::StatusOr<std::set<std::string>> LiveOperators(const storage::View& view, absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<OperatorToken> tokens, StoredOperatorTokens(view));
  std::set<std::string> names;
  for (const OperatorToken& token : tokens) {
    if (LetsIn(token::StateAt(token.record, token.cohorts, now))) {
      names.insert(token.record.owner());
    }
  }
  return names;
}

void OperatorTokens::Take(std::vector<OperatorToken> tokens) {
  auto set = std::make_shared<Set>();
  set->tokens = std::move(tokens);
  for (const OperatorToken& token : set->tokens) {
    set->by_digest[token.record.stored_digest()] = &token;
    set->by_id[token.record.token_id()] = &token;
  }
  std::shared_ptr<const Set> next = std::move(set);
  absl::MutexLock lock(&mu_);
  in_force_.swap(next);
}

namespace {

OperatorTokens::Found FoundOf(const OperatorToken& token, absl::Time now) {
  return {token.record.token_id(), token.record.owner(),
          token::StateAt(token.record, token.cohorts, now)};
}

}  // namespace

absl::optional<OperatorTokens::Found> OperatorTokens::FindByDigest(
    const std::vector<std::pair<uint32_t, token::StoredDigest>>& candidates, absl::Time now) const {
  const std::shared_ptr<const Set> set = InForce();
  for (const auto& [pepper, digest] : candidates) {
    const auto found = set->by_digest.find(digest.bytes());
    if (found != set->by_digest.end()) return FoundOf(*found->second, now);
  }
  return absl::nullopt;
}

absl::optional<OperatorTokens::Found> OperatorTokens::FindById(absl::string_view id,
                                                               absl::Time now) const {
  const std::shared_ptr<const Set> set = InForce();
  const auto found = set->by_id.find(id);
  if (found == set->by_id.end()) return absl::nullopt;
  return FoundOf(*found->second, now);
}

}  // namespace tollgate::service
