// The sweep's part for ended tokens: their records go, and leave a tombstone.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "service/records/cohorts_entry.h"
#include "service/records/field_time.h"
#include "service/records/held_token.h"
#include "service/records/retention.h"
#include "service/sweep/sweep.h"
#include "service/use/replacements.h"
#include "storage/schema.h"
#include "storage/tombstone.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::Ending;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::store::v1::WorkspaceRecord;

// When to look again at an ended token whose record is still needed.
constexpr absl::Duration kPurgeAgain = absl::Hours(1);

// Finds whether tokens that are alive are judged by what is known of an ended one: a rotated token
// retires when it is silent and what replaced it was used, at whatever remove.
class Need {
 public:
  Need(const storage::View& view, absl::Time now) : view_(view), now_(now) {}

  absl::StatusOr<bool> Of(const TokenRecord& ended) {
    ASSIGN_OR_RETURN(bool needed, OfAny(ended.given_up_token_ids(), ended));
    TokenRecord at = ended;
    for (size_t up = 0; up < kMostReplacements && !needed; ++up) {
      // What is purged, now or before, was needed by nobody above it.
      if (at.replaces_token_id().empty() || purged_.count(at.replaces_token_id()) != 0) break;
      ASSIGN_OR_RETURN(auto above, Find(ended.workspace(), at.replaces_token_id()));
      if (!above.has_value()) break;
      needed = !token::IsFinal(above->StateAt(now_));
      // What was given up for it retires by this one's use, too.
      if (!needed) {
        ASSIGN_OR_RETURN(needed, OfAny(above->record.given_up_token_ids(), ended));
      }
      at = std::move(above->record);
    }
    return needed;
  }
  void OnPurged(const TokenRecord& record) { purged_.insert(record.token_id()); }
  // How many tokens were read.
  size_t read() const { return read_; }

 private:
  absl::StatusOr<absl::optional<HeldToken>> Find(const std::string& workspace,
                                                 const std::string& id) {
    ++read_;
    return FindToken(view_, workspace, id);
  }
  absl::StatusOr<bool> OfAny(const google::protobuf::RepeatedPtrField<std::string>& ids,
                             const TokenRecord& ended) {
    for (const std::string& id : ids) {
      if (id == ended.token_id()) continue;
      ASSIGN_OR_RETURN(const auto other, Find(ended.workspace(), id));
      if (other.has_value() && !token::IsFinal(other->StateAt(now_))) return true;
    }
    return false;
  }

  const storage::View& view_;
  const absl::Time now_;
  std::set<std::string> purged_;  // in this step
  size_t read_ = 0;
};

// Without its record nobody would know which watermark ended the token: its history keeps that
// one's entry as one of its own.
absl::Status KeepCohortsEntry(const storage::View& view, const TokenRecord& record,
                              storage::Effects& effects) {
  if (record.ending().kind() != Ending::KIND_COHORT) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string entry, CohortsEntry(view, record.workspace(), record.owner(),
                                                         record.ending().revision()));
  if (!entry.empty()) effects.KeepInHistory(record.workspace(), record.token_id(), entry);
  return absl::OkStatus();
}

// Takes up to `most` rows of the token's use away; how many.
absl::StatusOr<size_t> TakeUses(const storage::View& view, const TokenRecord& record, size_t most,
                                storage::Effects& effects) {
  const storage::KeyRange range = storage::UsesOfToken(record.workspace(), record.token_id());
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> uses,
                   view.Scan(storage::Table::kUse, range.begin, range.end, most));
  for (const storage::Entry& use : uses) effects.Delete(storage::Table::kUse, use.key);
  return uses.size();
}

// Leaves a tombstone of an ended token. Its use went before.
absl::Status Purge(const storage::View& view, const TokenRecord& record,
                   storage::Effects& effects) {
  RETURN_IF_ERROR(KeepCohortsEntry(view, record, effects));
  effects.Delete(storage::Table::kTokens, storage::TokenKey(record.workspace(), record.token_id()));
  effects.Put(storage::Table::kDigests, record.stored_digest(), storage::PurgedDigest(record));
  return absl::OkStatus();
}

}  // namespace

absl::Status SweepCommand::ReachPurge(const storage::View& view, const storage::Slot& slot,
                                      storage::Effects& effects) {
  constexpr size_t kAtATime = 100;
  const std::string first = storage::DueKey(0, storage::DueKind::kReachPurge, "");
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> reaches,
                   view.Scan(storage::Table::kDue, first, storage::PrefixEnd(first), kAtATime));
  if (reaches.empty()) return absl::OkStatus();
  if (reaches.size() == kAtATime) result_.more = true;
  size_t left = limits_.max_purged;
  // Workspaces take turns, or one whose policy changes all the time would hold the others up.
  for (size_t i = 0; i < reaches.size(); ++i) {
    if (left == 0) {
      result_.more = true;
      break;
    }
    const size_t turn = (static_cast<size_t>(slot.revision) + i) % reaches.size();
    RETURN_IF_ERROR(ReachPurgeOf(view, slot, reaches[turn].key, &left, effects));
  }
  return absl::OkStatus();
}

absl::Status SweepCommand::ReachPurgeOf(const storage::View& view, const storage::Slot& slot,
                                        const std::string& key, size_t* left,
                                        storage::Effects& effects) {
  ASSIGN_OR_RETURN(const storage::Due due, storage::ParseDueKey(key));
  ASSIGN_OR_RETURN(const storage::TokenKeyParts from, storage::ParseTokenKey(due.subject));
  effects.Delete(storage::Table::kDue, key);
  ASSIGN_OR_RETURN(const auto owning, storage::GetRecord<WorkspaceRecord>(
                                          view, storage::Table::kWorkspaces, from.workspace));
  if (!owning.has_value()) return absl::OkStatus();  // it was deleted
  const size_t most = *left;
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                   view.Scan(storage::Table::kTokens, storage::KeyAfter(due.subject),
                             storage::WorkspaceTokens(from.workspace).end, most));
  *left -= entries.size();
  TokenRecord record;
  std::map<std::string, token::Cohorts> by_owner;
  int64_t unwritten = 0;
  for (const storage::Entry& entry : entries) {
    if (!record.ParseFromString(entry.value)) {
      return absl::DataLossError("a token's record cannot be parsed");
    }
    if (record.has_ending()) {
      PlacePurge(record, owning->policy(), slot.now, effects);
      continue;
    }
    auto it = by_owner.find(record.owner());
    if (it == by_owner.end()) {
      ASSIGN_OR_RETURN(token::Cohorts cohorts, LoadCohorts(view, from.workspace, record.owner()));
      it = by_owner.emplace(record.owner(), std::move(cohorts)).first;
    }
    const auto* cohort = token::CoveringCohort(record, it->second);
    if (cohort != nullptr) unwritten = std::max(unwritten, cohort->revision());
  }
  // A service that did not write them has ended some by a watermark: they are written now, and the
  // purge is planned as that is done.
  if (unwritten > 0) RETURN_IF_ERROR(PlanEndWalk(view, from.workspace, unwritten, effects));
  if (entries.size() >= most) {
    effects.PutRaw(storage::Table::kDue, storage::DueKey(0, due.kind, entries.back().key), "");
    result_.more = true;
  }
  return absl::OkStatus();
}

absl::Status SweepCommand::RunPurge(const storage::View& view, const storage::Slot& slot,
                                    storage::Effects& effects) {
  ASSIGN_OR_RETURN(
      const std::vector<storage::Entry> entries,
      view.Scan(storage::Table::kDue, storage::PurgeKey(0, ""),
                storage::PurgeKey(ToRecordMicros(slot.now) + 1, ""), limits_.max_purged));
  size_t rows = 0;
  Need need(view, slot.now);
  std::set<std::string> done;  // a token may have more than one plan
  for (const storage::Entry& entry : entries) {
    if (rows + need.read() >= limits_.max_uses) {
      result_.more = true;
      break;
    }
    effects.Delete(storage::Table::kDue, entry.key);
    ASSIGN_OR_RETURN(const std::string key, storage::ParsePurgeKey(entry.key));
    if (!done.insert(key).second) continue;
    ASSIGN_OR_RETURN(const storage::TokenKeyParts parts, storage::ParseTokenKey(key));
    ASSIGN_OR_RETURN(auto token, FindToken(view, parts.workspace, parts.token_id));
    if (!token.has_value() || !token->record.has_ending()) continue;
    const auto look_again_at = [&](absl::Time at) {
      effects.PutRaw(storage::Table::kDue, storage::PurgeKey(ToRecordMicros(at), key), "");
    };
    const absl::Time at = PurgeTime(token->record, token->policy);
    if (at == absl::InfiniteFuture()) continue;
    if (at > slot.now) {  // the policy has changed
      look_again_at(at);
      continue;
    }
    ASSIGN_OR_RETURN(const bool needed, need.Of(token->record));
    TokenRecord ended = token->record;
    // How a cohort ended it first may still have to be written.
    if (needed || token::WriteCohortsEnd(token->cohorts, &ended)) {
      look_again_at(slot.now + kPurgeAgain);
      continue;
    }
    // Its chain may have been longer than what was left; one row a step it goes on with all the
    // same.
    const size_t done_with = std::min(limits_.max_uses, rows + need.read());
    const size_t left = std::max<size_t>(limits_.max_uses - done_with, 1);
    ASSIGN_OR_RETURN(const size_t uses, TakeUses(view, token->record, left, effects));
    rows += uses;
    if (uses == left) {  // the next step goes on with it
      look_again_at(at);
      result_.more = true;
      continue;
    }
    RETURN_IF_ERROR(Purge(view, token->record, effects));
    need.OnPurged(token->record);
    ++result_.purged;
  }
  if (!entries.empty() && entries.size() >= limits_.max_purged) result_.more = true;
  return absl::OkStatus();
}

}  // namespace tollgate::service
