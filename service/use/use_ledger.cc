#include "service/use/use_ledger.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/ip_address.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "service/use/address_wish.h"
#include "service/use/attempts.h"
#include "storage/schema.h"
#include "token/field_rules.h"
#include "token/resource_name.h"
#include "token/token_string.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::UseRecord;

constexpr absl::Duration kShortestLag = absl::Seconds(5);
// Items that hold no uses are small, and still bounded.
constexpr size_t kMaxQueuedItems = 100'000;

// As many as edge_service.proto lets an entry have.
constexpr int kMostReportedAddresses = 4;

using UseRow = std::pair<std::string, UseRecord>;

// Adds the addresses of an entry that are addresses, in the one way of writing them. `last` is the
// entry's latest attempt.
void AddAddresses(const google::protobuf::RepeatedPtrField<tollgate::v1::AttemptAddress>& from,
                  absl::Time last, tollgate::store::v1::RefusedRecord* refused) {
  for (const tollgate::v1::AttemptAddress& one : from) {
    if (refused->addresses_size() == kMostReportedAddresses) return;
    const base::IpAddress address = base::IpAddress::FromText(one.address());
    if (address.empty() || one.count() <= 0 || !one.has_last_time()) continue;
    const absl::Time seen = std::min(base::FromProto(one.last_time()), last);
    if (seen <= absl::UnixEpoch()) continue;
    tollgate::store::v1::AddressRecord* record = refused->add_addresses();
    record->set_address(address.text());
    record->set_count(std::min(one.count(), refused->count()));
    record->set_last_us(absl::ToUnixMicros(seen));
  }
}

// Adds the refused attempts of a report to its rows, each in a row of its own; the merge brings
// rows of one key together. A validator's mistake writes nothing. Returns how many entries there
// were beyond `most`.
size_t AddAttempts(absl::string_view validator_id, const tollgate::v1::Usage& usage, absl::Time now,
                   size_t most, std::vector<UseRow>* rows) {
  size_t taken = 0;
  size_t too_many = 0;
  int64_t countable = kMostUsesCounted;
  for (const auto& attempts : usage.attempts()) {
    if (!token::IsWorkspaceId(attempts.workspace()) || !token::IsPublicId(attempts.token_id()) ||
        attempts.count() <= 0 || !IsReportedReason(attempts.reason()) ||
        !attempts.has_last_attempt_time()) {
      continue;
    }
    if (taken >= most) {
      ++too_many;
      continue;
    }
    const absl::Time last = std::min(base::FromProto(attempts.last_attempt_time()), now);
    if (last <= absl::UnixEpoch()) continue;
    absl::Time first = last;
    if (attempts.has_first_attempt_time()) {
      first = std::min(first, base::FromProto(attempts.first_attempt_time()));
      if (first <= absl::UnixEpoch()) first = last;
    }
    UseRecord record;
    auto* refused = record.add_refused();
    refused->set_reason(attempts.reason());
    refused->set_count(std::min(attempts.count(), countable));
    countable -= refused->count();
    refused->set_first_us(absl::ToUnixMicros(first));
    refused->set_last_us(absl::ToUnixMicros(last));
    AddAddresses(attempts.addresses(), last, refused);
    rows->emplace_back(storage::UseKey(attempts.workspace(), attempts.token_id(), validator_id),
                       std::move(record));
    ++taken;
  }
  return too_many;
}

}  // namespace

struct UseLedger::Link {
  absl::Mutex mu;
  UseLedger* ledger ABSL_GUARDED_BY(mu) = nullptr;
};

absl::StatusOr<std::unique_ptr<UseLedger>> UseLedger::Create(Options options) {
  if (options.engine == nullptr || options.executor == nullptr || options.clock == nullptr) {
    return absl::InvalidArgumentError("a use ledger needs an engine, an executor and a clock");
  }
  return std::unique_ptr<UseLedger>(new UseLedger(std::move(options)));
}

UseLedger::UseLedger(Options options)
    : options_(std::move(options)),
      link_(std::make_shared<Link>()),
      coverage_({std::max(options_.max_report_lag, kShortestLag)}) {
  absl::MutexLock lock(&link_->mu);
  link_->ledger = this;
}

UseLedger::~UseLedger() {
  absl::MutexLock lock(&link_->mu);  // work under way holds it
  link_->ledger = nullptr;
}

void UseLedger::Report(absl::string_view validator_id, absl::string_view incarnation,
                       const tollgate::v1::Usage& usage) {
  const absl::Time now = options_.clock->ServiceNow();
  Item item;
  item.kind = Item::Kind::kReport;
  item.validator_id = std::string(validator_id);
  item.incarnation = std::string(incarnation);
  item.at = now;
  if (usage.has_complete_until())
    item.complete_until = std::min(base::FromProto(usage.complete_until()), now);
  size_t too_many = 0;
  int64_t countable = kMostUsesCounted;
  for (const auto& use : usage.uses()) {
    // A validator's mistake writes nothing, and costs the other uses of its report nothing.
    if (!token::IsWorkspaceId(use.workspace()) || !token::IsPublicId(use.token_id()) ||
        use.count() < 0 || !use.has_last_used_time()) {
      continue;
    }
    if (item.uses.size() >= options_.max_uses_per_report) {
      ++too_many;
      continue;
    }
    const absl::Time last = std::min(base::FromProto(use.last_used_time()), now);
    if (last <= absl::UnixEpoch()) continue;
    UseRecord record;
    record.set_last_used_us(absl::ToUnixMicros(last));
    record.set_count(std::min(use.count(), countable));
    countable -= record.count();
    record.set_day(UseDayOf(last));
    record.set_count_today(record.count());
    item.uses.emplace_back(storage::UseKey(use.workspace(), use.token_id(), validator_id),
                           std::move(record));
  }
  size_t dropped = too_many;
  size_t dropped_attempts =
      AddAttempts(validator_id, usage, now, options_.max_uses_per_report, &item.attempts);
  {
    absl::MutexLock lock(&mu_);
    if (queued_uses_ + item.uses.size() > options_.max_queued_uses ||
        queue_.size() >= kMaxQueuedItems) {
      dropped += item.uses.size();
      dropped_attempts += item.attempts.size();
      coverage_.Lost(validator_id, incarnation, now);
    } else {
      // They say nothing of use, so the report stays as complete as it is where some are left out.
      const size_t room = RoomForAttempts(item.validator_id);
      if (item.attempts.size() > room) {
        dropped_attempts += item.attempts.size() - room;
        item.attempts.resize(room);
      }
      if (too_many > 0) coverage_.Lost(validator_id, incarnation, now);
      Queue(std::move(item));
    }
  }
  if (dropped + dropped_attempts > 0) Dropped(dropped, dropped_attempts);
  Schedule();
}

void UseLedger::SessionLive(absl::string_view validator_id, absl::string_view incarnation) {
  Item item;
  item.kind = Item::Kind::kLive;
  item.validator_id = std::string(validator_id);
  item.incarnation = std::string(incarnation);
  item.at = options_.clock->ServiceNow();
  {
    absl::MutexLock lock(&mu_);
    item.told_until = roster_loaded_ ? item.at : absl::InfinitePast();
    Queue(std::move(item));
  }
  Schedule();
}

void UseLedger::SessionEnded(absl::string_view validator_id, absl::string_view incarnation,
                             bool said_goodbye) {
  Item item;
  item.kind = Item::Kind::kEnded;
  item.validator_id = std::string(validator_id);
  item.incarnation = std::string(incarnation);
  item.at = options_.clock->ServiceNow();
  item.said_goodbye = said_goodbye;
  {
    absl::MutexLock lock(&mu_);
    Queue(std::move(item));
  }
  Schedule();
}

size_t UseLedger::RoomForAttempts(const std::string& validator_id) const {
  const size_t most = options_.max_queued_attempts;
  const auto beyond = [](size_t limit, size_t has) { return limit > has ? limit - has : 0; };
  const auto found = attempts_of_edge_.find(validator_id);
  const size_t has = found == attempts_of_edge_.end() ? 0 : found->second;
  const size_t of_its_own = beyond(std::max<size_t>(most / 8, 1), has);
  const size_t of_the_half = beyond(most / 2, queued_attempts_);
  return std::min(beyond(most, queued_attempts_), std::max(of_its_own, of_the_half));
}

void UseLedger::Queue(Item item) {
  // The order of a session's calls is kept: an item that needs no merge is applied at once only
  // where nothing waits before it.
  if (queue_.empty() && !draining_ && item.kind != Item::Kind::kReport) {
    Apply(item, true);
    return;
  }
  queued_uses_ += item.uses.size();
  queued_attempts_ += item.attempts.size();
  if (!item.attempts.empty()) attempts_of_edge_[item.validator_id] += item.attempts.size();
  if (item.kind == Item::Kind::kLive) ++queued_lives_;
  queue_.push_back(std::move(item));
}

void UseLedger::RosterLoaded() {
  Flush();
  const absl::Time now = options_.clock->ServiceNow();
  absl::MutexLock lock(&mu_);
  roster_loaded_ = true;
  coverage_.RosterLoaded(now);
}

SilenceEvidence UseLedger::Evidence() const {
  const absl::Time now = options_.clock->ServiceNow();
  absl::MutexLock lock(&mu_);
  // A session whose item is still queued may be admitting, so at this moment nothing is known.
  if (queued_lives_ > 0) return SilenceEvidence();
  return coverage_.Evidence(now);
}

void UseLedger::Schedule() {
  {
    absl::MutexLock lock(&mu_);
    if (scheduled_ || queue_.empty()) return;
    scheduled_ = true;
  }
  const bool taken = options_.executor->Submit([link = link_] {
    absl::MutexLock lock(&link->mu);
    if (link->ledger != nullptr) link->ledger->Drain();
  });
  if (!taken) {  // full, or stopping: the next call tries again
    absl::MutexLock lock(&mu_);
    scheduled_ = false;
  }
}

void UseLedger::Drain() {
  Flush();
  bool more;
  {
    absl::MutexLock lock(&mu_);
    scheduled_ = false;
    more = !queue_.empty();
  }
  if (more) Schedule();
}

void UseLedger::Flush() {
  absl::MutexLock drain(&drain_mu_);
  while (true) {
    std::deque<Item> batch;
    {
      absl::MutexLock lock(&mu_);
      size_t rows = 0;
      while (!queue_.empty()) {
        rows += queue_.front().uses.size() + queue_.front().attempts.size();
        if (!batch.empty() && rows > options_.max_uses_per_merge) break;
        batch.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
      draining_ = !batch.empty();
      if (batch.empty()) return;
    }
    const absl::Status merged = Merge(batch);
    size_t lost = 0;
    size_t lost_attempts = 0;
    {
      absl::MutexLock lock(&mu_);
      for (const Item& item : batch) {
        queued_uses_ -= item.uses.size();
        queued_attempts_ -= item.attempts.size();
        if (!item.attempts.empty()) {
          const auto of_edge = attempts_of_edge_.find(item.validator_id);
          of_edge->second -= item.attempts.size();
          if (of_edge->second == 0) attempts_of_edge_.erase(of_edge);
        }
        if (item.kind == Item::Kind::kLive) --queued_lives_;
        Apply(item, merged.ok());
        if (merged.ok()) continue;
        lost += item.uses.size();
        lost_attempts += item.attempts.size();
      }
    }
    if (!merged.ok()) {
      base::LogSummed(base::LogLevel::kWarning, "use reports were lost", base::ReasonOf(merged),
                      {{"uses", static_cast<int64_t>(lost)},
                       {"attempts", static_cast<int64_t>(lost_attempts)},
                       {"error", merged}});
      Dropped(lost, lost_attempts);
    }
  }
}

void UseLedger::Apply(const Item& item, bool merged) {
  switch (item.kind) {
    case Item::Kind::kLive:
      coverage_.Opened(item.validator_id, item.incarnation, item.told_until);
      break;
    case Item::Kind::kEnded:
      coverage_.Ended(item.validator_id, item.incarnation, item.at, item.said_goodbye);
      break;
    case Item::Kind::kReport:
      if (!merged && !item.uses.empty()) {
        coverage_.Lost(item.validator_id, item.incarnation, item.at);
      } else if (item.complete_until > absl::InfinitePast()) {
        coverage_.Reported(item.validator_id, item.incarnation, item.complete_until, item.at);
      } else {
        coverage_.Incomplete(item.validator_id, item.incarnation);
      }
      break;
  }
}

absl::Status UseLedger::Merge(const std::deque<Item>& batch) {
  // One record a key: uses of one token at one edge that were reported twice are merged here.
  std::map<std::string, UseRecord> merged;
  for (const Item& item : batch) {
    for (const auto* rows : {&item.uses, &item.attempts}) {
      for (const auto& row : *rows) storage::MergeUseRecord(row.second, &merged[row.first]);
    }
  }
  if (merged.empty()) return absl::OkStatus();
  // Only tokens that exist get records: a validator cannot fill the store with made-up names.
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                   options_.engine->NewSnapshot());
  std::vector<std::pair<std::string, UseRecord>> uses;
  std::string token_key;
  bool exists = false;
  AddressWish wish(*snapshot);
  for (auto& entry : merged) {
    ASSIGN_OR_RETURN(const storage::UseKeyParts parts, storage::ParseUseKey(entry.first));
    const std::string key = storage::TokenKey(parts.workspace, parts.token_id);
    if (key != token_key) {
      token_key = key;
      ASSIGN_OR_RETURN(const auto record, snapshot->Get(storage::Table::kTokens, key));
      exists = record.has_value();
    }
    if (!exists) continue;
    RETURN_IF_ERROR(wish.Apply(parts.workspace, &entry.second).status());
    uses.emplace_back(entry.first, std::move(entry.second));
  }
  if (uses.empty()) return absl::OkStatus();
  absl::Status written = options_.engine->MergeUse(uses);
  if (!written.ok() && options_.on_write_failed) options_.on_write_failed(written);
  if (!written.ok() || !options_.on_attempts) return written;
  for (const auto& [key, record] : uses) {
    for (const auto& refused : record.refused()) {
      options_.on_attempts(static_cast<tollgate::v1::VerdictReason>(refused.reason()),
                           refused.count());
    }
  }
  return written;
}

absl::StatusOr<std::string> UseLedger::Fold(const std::string& from, const UseFoldLimits& limits) {
  absl::MutexLock drain(&drain_mu_);
  UseFoldStep step;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot,
                     options_.engine->NewSnapshot());
    ASSIGN_OR_RETURN(step, PlanUseFold(*snapshot, from, limits, options_.clock->ServiceNow()));
  }
  if (!step.removed.empty()) {
    const absl::Status written = options_.engine->FoldUse(step.removed, step.folded);
    if (!written.ok()) {
      if (options_.on_write_failed) options_.on_write_failed(written);
      return written;
    }
  }
  return std::move(step.next);
}

void UseLedger::Dropped(size_t uses, size_t attempts) const {
  if (options_.on_dropped) options_.on_dropped(uses, attempts);
}

}  // namespace tollgate::service
