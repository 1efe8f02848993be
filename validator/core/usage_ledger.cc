#include "validator/core/usage_ledger.h"

#include <algorithm>

#include "base/proto_time.h"

namespace tollgate::validator {
namespace {

google::protobuf::Timestamp FromMillis(int64_t ms) {
  return base::ToProto(absl::FromUnixMillis(ms));
}

}  // namespace

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
  found->second.last_ms = std::max(found->second.last_ms, use.last_ms);
  found->second.count += use.count;
}

void UsageLedger::Add(const std::vector<EntryUse>& uses) {
  for (const EntryUse& use : uses) {
    // Evidence whose use was reported, or use from before the service's time was heard: there is
    // nothing to report.
    if (use.last_admit_ms == 0 || use.uses == 0) continue;
    Merge(Key(use.workspace, use.token_id), Use{use.last_admit_ms, use.uses});
  }
}

std::vector<tollgate::v1::Usage> UsageLedger::Take(size_t longest, absl::Time complete_until) {
  std::vector<tollgate::v1::Usage> reports(1);
  for (const auto& [key, use] : unreported_) {
    if (static_cast<size_t>(reports.back().uses_size()) >= longest) reports.emplace_back();
    auto* entry = reports.back().add_uses();
    entry->set_workspace(key.first);
    entry->set_token_id(key.second);
    *entry->mutable_last_used_time() = FromMillis(use.last_ms);
    entry->set_count(use.count);
    Use& sent = sent_[key];
    sent.last_ms = std::max(sent.last_ms, use.last_ms);
    sent.count += use.count;
  }
  unreported_.clear();
  if (!incomplete_ && complete_until > absl::UnixEpoch()) {
    *reports.back().mutable_complete_until() = FromMillis(absl::ToUnixMillis(complete_until));
  }
  return reports;
}

void UsageLedger::Confirm() { sent_.clear(); }

void UsageLedger::Lost() {
  auto sent = std::move(sent_);
  sent_.clear();
  for (const auto& [key, use] : sent) Merge(key, use);
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
