#include "validator/core/outbox.h"

#include <algorithm>
#include <string>

#include "base/proto_time.h"
#include "lease/limits.h"

namespace tollgate::validator {
namespace {

constexpr size_t kMostEvidence = 4096;

bool HasArrived(uint64_t sent_in, uint64_t sequence) { return sent_in != 0 && sent_in <= sequence; }

}  // namespace

Outbox::Outbox(const OutboxOptions& options)
    : longest_report_(options.longest_report),
      usage_(options.most_unreported, options.most_attempts) {}

void Outbox::AddUse(const std::vector<EntryUse>& uses) { usage_.Add(uses); }

void Outbox::AddHeld(const std::vector<HeldUse>& held, int64_t at_ms) {
  usage_.AddHeld(held, at_ms);
}

void Outbox::AddAttempts(const std::vector<TokenAttempts>& attempts) {
  usage_.AddAttempts(attempts);
}

void Outbox::TokenDropped(absl::string_view workspace, absl::string_view token_id, int64_t revision,
                          const std::vector<EntryUse>& gone) {
  usage_.Add(gone);
  int64_t last_ms = usage_.LastMs(workspace, token_id);
  for (const EntryUse& use : gone) {
    if (use.workspace == workspace && use.token_id == token_id) {
      last_ms = std::max(last_ms, use.last_admit_ms);
    }
  }
  if (last_ms == 0) return;
  if (evidence_.size() >= kMostEvidence) {
    const int64_t oldest = evidence_.front().dropped.revision();
    LoseEvidence(oldest, oldest);
    evidence_.pop_front();
  }
  tollgate::v1::DroppedAdmit& dropped = evidence_.emplace_back().dropped;
  dropped.set_workspace(std::string(workspace));
  dropped.set_token_id(std::string(token_id));
  dropped.set_revision(revision);
  *dropped.mutable_last_admit_time() = base::ToProto(absl::FromUnixMillis(last_ms));
}

void Outbox::LoseEvidence(int64_t first, int64_t last) {
  lost_to_ = lost_from_ == 0 ? last : std::max(lost_to_, last);
  lost_from_ = lost_from_ == 0 ? first : std::min(lost_from_, first);
  lost_sent_in_ = 0;
}

void Outbox::ForgetEvidence() {
  evidence_.clear();
  lost_from_ = lost_to_ = 0;
  lost_sent_in_ = 0;
}

bool Outbox::FillPing(uint64_t sequence, int64_t applied, tollgate::v1::Ping* ping) {
  int64_t acknowledged = applied;
  bool more = false;
  for (Evidence& e : evidence_) {
    if (e.sent_in != 0) continue;
    if (ping->dropped_size() < lease::kMaxDroppedInPing) {
      e.sent_in = sequence;
      *ping->add_dropped() = e.dropped;
    } else {
      more = true;
      acknowledged = std::min(acknowledged, std::max<int64_t>(0, e.dropped.revision() - 1));
    }
  }
  ping->set_applied_revision(acknowledged);
  if (lost_from_ != 0 && lost_sent_in_ == 0) {
    lost_sent_in_ = sequence;
    ping->set_lost_from_revision(lost_from_);
    ping->set_lost_to_revision(lost_to_);
  }
  if (report_is_out_ && report_before_ == 0) report_before_ = sequence;
  return more;
}

std::vector<tollgate::v1::Usage> Outbox::TakeUsage(absl::Time complete_until) {
  report_is_out_ = true;
  report_before_ = 0;
  return usage_.Take(longest_report_, complete_until);
}

void Outbox::Arrived(uint64_t sequence) {
  if (report_is_out_ && HasArrived(report_before_, sequence)) {
    report_is_out_ = false;
    usage_.Confirm();
  }
  std::erase_if(evidence_, [&](const Evidence& e) { return HasArrived(e.sent_in, sequence); });
  if (HasArrived(lost_sent_in_, sequence)) {
    lost_from_ = lost_to_ = 0;
    lost_sent_in_ = 0;
  }
}

void Outbox::StreamEnded() {
  for (Evidence& e : evidence_) e.sent_in = 0;
  lost_sent_in_ = 0;
  if (!report_is_out_) return;
  report_is_out_ = false;
  usage_.Lost();
}

int64_t Outbox::FirstUntold(int64_t otherwise) const {
  int64_t first = otherwise;
  if (lost_from_ != 0) first = std::min(first, lost_from_);
  for (const Evidence& e : evidence_) first = std::min(first, e.dropped.revision());
  return first;
}

}  // namespace tollgate::validator
