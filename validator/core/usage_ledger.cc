#include "validator/core/usage_ledger.h"

#include <algorithm>

#include "base/proto_time.h"

namespace tollgate::validator {
namespace {

google::protobuf::Timestamp FromMillis(int64_t ms) {
  return base::ToProto(absl::FromUnixMillis(ms));
}

}  // namespace

void UsageLedger::Use::Add(const Use& more) {
  last_ms = std::max(last_ms, more.last_ms);
  count += more.count;
  held_ms = std::max(held_ms, more.held_ms);
}

void UsageLedger::Merge(const Key& key, const Use& use) {
  auto found = unreported_.find(key);
  if (found == unreported_.end()) {
    if (size() >= most_) {
      lost_ += use.count;
      incomplete_ = true;
      return;
    }
    found = unreported_.emplace(key, Use()).first;
  }
  found->second.Add(use);
}

void UsageLedger::Add(const std::vector<EntryUse>& uses) {
  for (const EntryUse& use : uses) {
    // Evidence whose use was reported, or use from before the service's time was heard: there is
    // nothing to report.
    if (use.last_admit_ms == 0 || use.uses == 0) continue;
    Merge(Key(use.workspace, use.token_id), Use{use.last_admit_ms, use.uses, 0});
  }
}

void UsageLedger::AddHeld(const std::vector<HeldUse>& held, int64_t at_ms) {
  for (const HeldUse& token : held) {
    Merge(Key(token.workspace, token.token_id), Use{0, 0, at_ms});
  }
}

void UsageLedger::Attempts::Add(const Attempts& more) {
  first_ms = count == 0 ? more.first_ms : std::min(first_ms, more.first_ms);
  last_ms = std::max(last_ms, more.last_ms);
  count += more.count;
  MergeAttemptsFrom(more.from, &from);
}

void UsageLedger::ForgetAddresses(absl::string_view workspace) {
  for (auto* map : {&unreported_attempts_, &sent_attempts_}) {
    for (auto& [key, attempts] : *map) {
      if (workspace.empty() || std::get<0>(key) == workspace) attempts.from.clear();
    }
  }
}

void UsageLedger::MergeAttempts(const AttemptsKey& key, const Attempts& attempts) {
  auto found = unreported_attempts_.find(key);
  if (found == unreported_attempts_.end()) {
    if (unreported_attempts_.size() + sent_attempts_.size() >= most_attempts_) {
      attempts_left_out_ += attempts.count;
      return;
    }
    found = unreported_attempts_.emplace(key, Attempts()).first;
  }
  found->second.Add(attempts);
}

void UsageLedger::AddAttempts(const std::vector<TokenAttempts>& attempts) {
  for (const TokenAttempts& one : attempts) {
    MergeAttempts(AttemptsKey(one.workspace, one.token_id, one.reason),
                  Attempts{one.first_ms, one.last_ms, one.count, one.from});
  }
}

std::vector<tollgate::v1::Usage> UsageLedger::Take(size_t longest, absl::Time complete_until) {
  std::vector<tollgate::v1::Usage> reports(1);
  for (const auto& [key, use] : unreported_) {
    if (static_cast<size_t>(reports.back().uses_size()) >= longest) reports.emplace_back();
    auto* entry = reports.back().add_uses();
    entry->set_workspace(key.first);
    entry->set_token_id(key.second);
    *entry->mutable_last_used_time() = FromMillis(std::max(use.last_ms, use.held_ms));
    entry->set_count(use.count);
    sent_[key].Add(use);
  }
  unreported_.clear();
  for (const auto& [key, attempts] : unreported_attempts_) {
    if (static_cast<size_t>(reports.back().uses_size()) +
            static_cast<size_t>(reports.back().attempts_size()) >=
        longest) {
      reports.emplace_back();
    }
    auto* entry = reports.back().add_attempts();
    entry->set_workspace(std::get<0>(key));
    entry->set_token_id(std::get<1>(key));
    entry->set_reason(static_cast<tollgate::v1::VerdictReason>(std::get<2>(key)));
    *entry->mutable_first_attempt_time() = FromMillis(attempts.first_ms);
    *entry->mutable_last_attempt_time() = FromMillis(attempts.last_ms);
    entry->set_count(attempts.count);
    for (const AttemptsFrom& from : attempts.from) {
      tollgate::v1::AttemptAddress* address = entry->add_addresses();
      address->set_address(from.address.text());
      address->set_count(from.count);
      *address->mutable_last_time() = FromMillis(from.last_ms);
    }
    sent_attempts_[key].Add(attempts);
  }
  unreported_attempts_.clear();
  if (!incomplete_ && complete_until > absl::UnixEpoch()) {
    *reports.back().mutable_complete_until() = FromMillis(absl::ToUnixMillis(complete_until));
  }
  return reports;
}

void UsageLedger::Confirm() {
  sent_.clear();
  for (const auto& [key, attempts] : sent_attempts_) attempts_reported_ += attempts.count;
  sent_attempts_.clear();
}

void UsageLedger::Lost() {
  auto sent = std::move(sent_);
  sent_.clear();
  for (const auto& [key, use] : sent) Merge(key, use);
  auto sent_attempts = std::move(sent_attempts_);
  sent_attempts_.clear();
  for (const auto& [key, attempts] : sent_attempts) MergeAttempts(key, attempts);
}

int64_t UsageLedger::LastMs(absl::string_view workspace, absl::string_view token_id) const {
  const Key key{std::string(workspace), std::string(token_id)};
  int64_t last = 0;
  for (const auto* map : {&unreported_, &sent_}) {
    auto found = map->find(key);
    if (found != map->end()) last = std::max(last, found->second.last_ms);
  }
  return last;
}

}  // namespace tollgate::validator
