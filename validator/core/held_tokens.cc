#include "validator/core/held_tokens.h"

#include <algorithm>

#include "base/invariant.h"

namespace tollgate::validator {
namespace {

// When the grant ends by time, in microseconds of service time; 0: never.
int64_t EndOf(const token::GrantView& grant) {
  const int64_t expire = grant.expire_time_us();
  const int64_t retire = grant.retire_time_us();
  if (expire == 0 || retire == 0) return std::max(expire, retire);
  return std::min(expire, retire);
}

}  // namespace

token::GrantView HeldToken::view() const {
  token::GrantView grant_view;
  TOLLGATE_INVARIANT(token::GrantView::Over(grant, &grant_view), "a held token has a grant");
  return grant_view;
}

HeldToken* HeldTokens::Find(absl::string_view token_id) const {
  const auto found = by_id_.find(token_id);
  return found == by_id_.end() ? nullptr : found->second.get();
}

HeldToken* HeldTokens::Add(const TokenKey& key, const token::EdgeDigest& digest) {
  auto made = std::make_unique<HeldToken>();
  HeldToken* const token = made.get();
  token->key = key;
  token->digest = digest;
  token->number = ++last_number_;
  token->turn = turns_.insert(turns_.end(), token);
  by_id_[token->key.id()] = std::move(made);
  return token;
}

void HeldTokens::SetGrant(HeldToken* token, absl::string_view packed) {
  token->grant.assign(packed.data(), packed.size());
  token->grant.shrink_to_fit();
  const token::GrantView grant = token->view();
  if (token->home == nullptr || token->workspace() != grant.workspace()) {
    LeaveHome(token);
    token->home = &*workspaces_.try_emplace(std::string(grant.workspace())).first;
    token->at_home = token->home->second.insert(token->home->second.end(), token);
  }
  SetEnd(token, EndOf(grant));
}

void HeldTokens::SetEnd(HeldToken* token, int64_t ends_us) {
  if (token->ends_us != 0) by_end_.erase({token->ends_us, token->number});
  token->ends_us = ends_us;
  if (ends_us != 0) by_end_.insert({{ends_us, token->number}, token});
}

void HeldTokens::LeaveHome(HeldToken* token) {
  if (token->home == nullptr) return;
  token->home->second.erase(token->at_home);
  if (token->home->second.empty()) workspaces_.erase(token->home->first);
  token->home = nullptr;
}

void HeldTokens::Remove(HeldToken* token) {
  SetEnd(token, 0);
  LeaveHome(token);
  turns_.erase(token->turn);
  by_id_.erase(token->key.id());
}

void HeldTokens::ForEach(const std::function<void(HeldToken*)>& visit) const {
  for (HeldToken* const token : turns_) visit(token);
}

void HeldTokens::ForEachIn(absl::string_view workspace,
                           const std::function<void(HeldToken*)>& visit) const {
  const auto found = workspaces_.find(workspace);
  if (found == workspaces_.end()) return;
  for (HeldToken* const token : found->second) visit(token);
}

absl::optional<int64_t> HeldTokens::next_end_us() const {
  if (by_end_.empty()) return absl::nullopt;
  return by_end_.begin()->first.first;
}

HeldToken* HeldTokens::TakeEnded(int64_t service_us) {
  if (by_end_.empty() || by_end_.begin()->first.first > service_us) return nullptr;
  HeldToken* const token = by_end_.begin()->second;
  SetEnd(token, 0);
  return token;
}

HeldToken* HeldTokens::NextInTurn() {
  turns_.splice(turns_.end(), turns_, turns_.begin());
  return turns_.back();
}

}  // namespace tollgate::validator
