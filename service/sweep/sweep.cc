#include "service/sweep/sweep.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/duration.h"
#include "base/status.h"
#include "service/records/change.h"
#include "service/records/field_time.h"
#include "service/records/unused_watch.h"
#include "service/use/replacements.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::Ending;
using ::tollgate::store::v1::EndWalkRecord;
using ::tollgate::store::v1::EventsRecord;
using ::tollgate::store::v1::HeadRecord;
using ::tollgate::store::v1::RequestRecord;

// When to look at an unused token again whose edges have not all been heard.
constexpr absl::Duration kLookAgain = absl::Minutes(1);
// How many tokens one step looks at for a policy that reaches them.
constexpr size_t kReachedAtATime = 200;
// No kind: before all entries of a time.
constexpr storage::DueKind kFirstKind = static_cast<storage::DueKind>(0);

}  // namespace

SweepCommand::SweepCommand(Limits limits, SilenceEvidence evidence, std::string watch_cursor,
                           std::string walk_cursor)
    : limits_(limits),
      evidence_(std::move(evidence)),
      first_cursor_(std::move(watch_cursor)),
      first_walk_(std::move(walk_cursor)) {}

absl::Status SweepCommand::Run(const storage::View& view, const storage::Slot& slot,
                               storage::Effects& effects) {
  result_ = Result();
  ended_.clear();
  reached_ = false;
  RETURN_IF_ERROR(RunDue(view, slot, effects));
  RETURN_IF_ERROR(RunWatched(view, slot, effects));
  RETURN_IF_ERROR(RunEndWalk(view, slot, effects));
  RETURN_IF_ERROR(ReachPurge(view, slot, effects));
  RETURN_IF_ERROR(RunPurge(view, slot, effects));
  RETURN_IF_ERROR(Compact(view, slot, effects));
  return CompactFingerprints(view, slot, effects);
}

absl::Status SweepCommand::RunDue(const storage::View& view, const storage::Slot& slot,
                                  storage::Effects& effects) {
  const std::string end = storage::DueKey(ToRecordMicros(slot.now) + 1, kFirstKind, "");
  ASSIGN_OR_RETURN(
      const std::vector<storage::Entry> entries,
      view.Scan(storage::Table::kDue, storage::DueKey(1, kFirstKind, ""), end, limits_.max_due));
  for (const storage::Entry& entry : entries) {
    ASSIGN_OR_RETURN(const storage::Due due, storage::ParseDueKey(entry.key));
    if (due.kind == storage::DueKind::kReachUnused && reached_) {  // one is enough for a step
      result_.more = true;
      continue;
    }
    if (!result_.first_due.has_value()) result_.first_due = FromRecordMicros(due.time_us);
    // Whatever the entry asked for is done, moved on, or no longer wanted.
    effects.Delete(storage::Table::kDue, entry.key);
    if (due.kind == storage::DueKind::kForgetRequest) {
      RETURN_IF_ERROR(ForgetRequest(view, due, effects));
    } else if (due.kind == storage::DueKind::kReachUnused) {
      reached_ = true;
      RETURN_IF_ERROR(ReachUnused(view, slot, due, effects));
    } else {
      RETURN_IF_ERROR(RunToken(view, slot, due, effects));
    }
  }
  if (!entries.empty() && entries.size() >= limits_.max_due) result_.more = true;
  return absl::OkStatus();
}

absl::Status SweepCommand::ForgetRequest(const storage::View& view, const storage::Due& due,
                                         storage::Effects& effects) {
  ASSIGN_OR_RETURN(const auto record,
                   storage::GetRecord<RequestRecord>(view, storage::Table::kRequests, due.subject));
  if (record.has_value() && record->expire_time_us() == due.time_us) {
    effects.Delete(storage::Table::kRequests, due.subject);
    ++result_.forgotten_requests;
  }
  return absl::OkStatus();
}

absl::Status SweepCommand::RunToken(const storage::View& view, const storage::Slot& slot,
                                    const storage::Due& due, storage::Effects& effects) {
  if (due.kind == storage::DueKind::kWatchUnused) {
    ASSIGN_OR_RETURN(const auto watched_us, UnusedWatchMicros(view, due.subject));
    // Another policy has had it looked at at another time.
    if (watched_us.has_value() && *watched_us != due.time_us) return absl::OkStatus();
    DropUnusedMark(due.subject, effects);
  }
  if (ended_.count(due.subject) != 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const storage::TokenKeyParts parts, storage::ParseTokenKey(due.subject));
  ASSIGN_OR_RETURN(auto token, FindToken(view, parts.workspace, parts.token_id));
  if (!token.has_value()) return absl::OkStatus();
  // The record's present state decides, not the entry: a stale entry ends nothing.
  const Ending::Kind by_time = EndedByTime(*token, slot.now);
  if (by_time != Ending::KIND_UNSPECIFIED) {
    End(*token, by_time, slot, effects);
    return absl::OkStatus();
  }
  if (token::IsFinal(token->StateAt(slot.now))) {
    // A cohort has ended the token, so its label is free.
    effects.Delete(storage::Table::kLabels,
                   storage::LabelKey(token->record.workspace(), token->record.label(),
                                     token->record.token_id()));
    return absl::OkStatus();
  }
  if (due.kind == storage::DueKind::kWatchUnused) return WatchUnused(view, slot, *token, effects);
  return absl::OkStatus();
}

absl::Status SweepCommand::ReachUnused(const storage::View& view, const storage::Slot& slot,
                                       const storage::Due& due, storage::Effects& effects) {
  ASSIGN_OR_RETURN(const storage::TokenKeyParts from, storage::ParseTokenKey(due.subject));
  ASSIGN_OR_RETURN(const auto owning, storage::GetRecord<tollgate::store::v1::WorkspaceRecord>(
                                          view, storage::Table::kWorkspaces, from.workspace));
  // A policy that came later has an entry of its own.
  if (!owning.has_value() || owning->policy().max_unused_us() == 0 ||
      absl::Microseconds(owning->policy().max_unused_since_us()) +
              absl::Microseconds(owning->policy().max_unused_us()) !=
          absl::Microseconds(due.time_us)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                   view.Scan(storage::Table::kTokens, storage::KeyAfter(due.subject),
                             storage::WorkspaceTokens(from.workspace).end, kReachedAtATime));
  for (const storage::Entry& entry : entries) {
    if (ended_.count(entry.key) != 0) continue;
    ASSIGN_OR_RETURN(const storage::TokenKeyParts parts, storage::ParseTokenKey(entry.key));
    ASSIGN_OR_RETURN(auto token, FindToken(view, parts.workspace, parts.token_id));
    if (!token.has_value() || token::IsFinal(token->StateAt(slot.now))) continue;
    ASSIGN_OR_RETURN(const auto watched_us, UnusedWatchMicros(view, entry.key));
    // One that is looked at soon, or in this step, finds the policy as it is.
    if (watched_us.has_value() && *watched_us <= ToRecordMicros(slot.now)) continue;
    RETURN_IF_ERROR(WatchUnused(view, slot, *token, effects));
  }
  if (entries.size() == kReachedAtATime) {
    effects.PutRaw(storage::Table::kDue, storage::DueKey(due.time_us, due.kind, entries.back().key),
                   "");
    result_.more = true;
  }
  return absl::OkStatus();
}

absl::Status SweepCommand::WatchUnused(const storage::View& view, const storage::Slot& slot,
                                       HeldToken& token, storage::Effects& effects) {
  auto& record = token.record;
  const std::string key = storage::TokenKey(record.workspace(), record.token_id());
  // What the policy says now, of every token: one that is unset spares all.
  const absl::Duration limit = UnusedLimit(record, token.policy);
  if (limit == absl::ZeroDuration()) return absl::OkStatus();
  const auto look_again_at = [&](absl::Time next) {
    return PlaceUnusedWatch(view, key, next, effects);
  };
  // A suspended token cannot be used, and is not ended for that. It is not due before `limit` after
  // its resumption, which is not before now.
  if (record.suspended()) {
    return look_again_at(slot.now + limit);
  }
  ASSIGN_OR_RETURN(const auto uses,
                   ReadUses(view, record.workspace(), record.token_id(), slot.now));
  ASSIGN_OR_RETURN(const absl::Time jump, LastTimeJump(view));
  absl::Time last = std::max({FromRecordMicros(record.create_time_us()), LastResumed(record), jump,
                              FromRecordMicros(token.policy.max_unused_since_us())});
  if (!uses.empty()) last = std::max(last, uses.front().last_used);
  // An edge that ended without a report may have used the token until then.
  for (const SilenceEvidence::Gap& gap : evidence_.gaps) last = std::max(last, gap.until);
  const bool heard = evidence_.unheard.empty() && last + limit <= evidence_.heard_until;
  if (last + limit <= slot.now && heard) {
    record.set_reason(absl::StrCat("not used for ", base::TextFromDuration(limit),
                                   " (max_unused of the workspace's policy)"));
    End(token, Ending::KIND_UNUSED, slot, effects);
    return absl::OkStatus();
  }
  return look_again_at(last + limit <= slot.now ? slot.now + kLookAgain : last + limit);
}

void SweepCommand::End(HeldToken& token, Ending::Kind kind, const storage::Slot& slot,
                       storage::Effects& effects, const AuditFacts& facts) {
  EndToken(token, kind, /*actor=*/"", slot, effects);
  ended_.insert(storage::TokenKey(token.record.workspace(), token.record.token_id()));
  absl::string_view action = "token.expire";
  if (kind == Ending::KIND_RETIRED) {
    action = "token.retire";
    ++result_.retired;
  } else if (kind == Ending::KIND_UNUSED) {
    action = "token.expire_unused";
    ++result_.unused;
  } else {
    ++result_.expired;
  }
  auto entry = AuditOf(kServiceActor, action, token.record);
  if (kind == Ending::KIND_UNUSED) entry.set_reason(token.record.reason());
  for (const auto& [name, value] : facts) (*entry.mutable_details())[name] = value;
  effects.Audit(std::move(entry));
}

absl::Status SweepCommand::RunWatched(const storage::View& view, const storage::Slot& slot,
                                      storage::Effects& effects) {
  const std::string begin = storage::DueKey(0, storage::DueKind::kWatchSilent, "");
  const std::string end = storage::PrefixEnd(begin);
  // A cursor from outside the range is no cursor.
  const bool resumes = first_cursor_ >= begin && (end.empty() || first_cursor_ < end);
  ASSIGN_OR_RETURN(
      const std::vector<storage::Entry> entries,
      view.Scan(storage::Table::kDue, resumes ? storage::KeyAfter(first_cursor_) : begin, end,
                limits_.max_watched));
  for (const storage::Entry& entry : entries) {
    ASSIGN_OR_RETURN(const storage::Due due, storage::ParseDueKey(entry.key));
    if (ended_.count(due.subject) != 0) continue;
    ASSIGN_OR_RETURN(const storage::TokenKeyParts parts, storage::ParseTokenKey(due.subject));
    ASSIGN_OR_RETURN(auto token, FindToken(view, parts.workspace, parts.token_id));
    if (!token.has_value() || token->record.retirement().quiet_period_us() == 0 ||
        token::IsFinal(token->StateAt(slot.now))) {
      effects.Delete(storage::Table::kDue, entry.key);
      continue;
    }
    ASSIGN_OR_RETURN(const auto uses, ReadUses(view, parts.workspace, parts.token_id, slot.now));
    // What was before the service's time was moved forward may have been a moment ago.
    ASSIGN_OR_RETURN(const absl::Time jump, LastTimeJump(view));
    const int64_t unless_used_us = token->record.retirement().unless_used_us();
    if (unless_used_us != 0 &&
        KnownUnused(uses, evidence_, FromRecordMicros(token->record.create_time_us()),
                    FromRecordMicros(unless_used_us), jump)) {
      End(*token, Ending::KIND_RETIRED, slot, effects, {{"because", "given_up"}});
      continue;
    }
    // A suspended token is silent because it is suspended, which proves nothing about who still
    // holds it.
    if (token->record.suspended()) continue;
    const auto judge = [&](const std::vector<EdgeUseRow>& replacement_uses) {
      return JudgeSilence(
                 uses, replacement_uses, evidence_, std::max(LastResumed(token->record), jump),
                 absl::Microseconds(token->record.retirement().quiet_period_us()), slot.now)
          .kind;
    };
    // Most rotated tokens are in use still; of those the replacements, a chain of them perhaps, are
    // not read.
    if (judge({}) == SilenceVerdict::Kind::kInUse) continue;
    ASSIGN_OR_RETURN(auto replacement_uses, ReadAnyReplacementUses(view, token->record, slot.now));
    if (replacement_uses.empty() && unless_used_us != 0) {
      // What it was given up for may be purged: nobody can be seen to have moved on to that.
      ASSIGN_OR_RETURN(const auto instead,
                       FindToken(view, parts.workspace, token->record.replaced_by_token_id()));
      if (!instead.has_value()) replacement_uses.emplace_back();
    }
    if (judge(replacement_uses) != SilenceVerdict::Kind::kSilent) continue;
    AuditFacts facts = LastUseFacts(uses);
    facts.emplace_back("because", "silent");
    End(*token, Ending::KIND_RETIRED, slot, effects, facts);
  }
  // The last page was reached: the next step begins anew.
  if (!entries.empty() && entries.size() >= limits_.max_watched) {
    result_.watch_cursor = entries.back().key;
  }
  return absl::OkStatus();
}

absl::Status SweepCommand::RunEndWalk(const storage::View& view, const storage::Slot& slot,
                                      storage::Effects& effects) {
  const std::string first = storage::DueKey(0, storage::DueKind::kWriteEnds, "");
  const std::string end = storage::PrefixEnd(first);
  // Workspaces take turns, or one that has new cohorts all the time would hold the others up.
  const bool resumes = first_walk_ >= first && first_walk_ < end;
  ASSIGN_OR_RETURN(std::vector<storage::Entry> walks,
                   view.Scan(storage::Table::kDue, resumes ? storage::KeyAfter(first_walk_) : first,
                             end, /*limit=*/2));
  if (walks.empty() && resumes) {
    ASSIGN_OR_RETURN(walks, view.Scan(storage::Table::kDue, first, end, /*limit=*/2));
  }
  if (walks.empty() || limits_.max_walked == 0) return absl::OkStatus();
  result_.walk_cursor = walks.front().key;
  ASSIGN_OR_RETURN(const storage::Due due, storage::ParseDueKey(walks.front().key));
  const std::string& workspace = due.subject;
  EndWalkRecord walk;
  if (!walk.ParseFromString(walks.front().value)) {
    return absl::DataLossError("a record of the sweep's walk cannot be parsed");
  }
  if (walk.up_to_revision() == 0) {
    // A watermark of this very commit is left to the next step: the journal is told of every token
    // that changes with it.
    if (walk.newest_revision() >= slot.revision) return absl::OkStatus();
    walk.set_up_to_revision(slot.revision - 1);
  }

  const storage::KeyRange range = storage::WorkspaceTokens(workspace);
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                   view.Scan(storage::Table::kTokens,
                             walk.after_token_id().empty() ? range.begin
                                                           : storage::KeyAfter(storage::TokenKey(
                                                                 workspace, walk.after_token_id())),
                             range.end, limits_.max_walked));
  ASSIGN_OR_RETURN(auto owning, LoadWorkspace(view, workspace));
  std::map<std::string, token::Cohorts> by_owner;  // read once each
  for (const storage::Entry& entry : entries) {
    HeldToken token;
    token.policy = owning.policy();
    if (!token.record.ParseFromString(entry.value)) {
      return absl::DataLossError("a token's record cannot be parsed");
    }
    walk.set_after_token_id(token.record.token_id());
    auto it = by_owner.find(token.record.owner());
    if (it == by_owner.end()) {
      ASSIGN_OR_RETURN(token::Cohorts read, LoadCohorts(view, workspace, token.record.owner()));
      it = by_owner.emplace(token.record.owner(), std::move(read)).first;
    }
    token.cohorts = it->second;
    const auto* cohort = token::CoveringCohort(token.record, token.cohorts);
    if (cohort == nullptr || cohort->revision() > walk.up_to_revision()) continue;
    if (WriteCohortsEnd(token, slot.now, effects)) ++result_.ends_written;
  }
  if (entries.size() >= limits_.max_walked) {
    result_.more = true;
    effects.Put(storage::Table::kDue, walks.front().key, walk);
    return absl::OkStatus();
  }

  owning.set_ends_written_to(walk.up_to_revision());
  effects.Put(storage::Table::kWorkspaces, workspace, owning);
  if (walk.newest_revision() > walk.up_to_revision()) {
    walk.clear_after_token_id();
    walk.clear_up_to_revision();
    effects.Put(storage::Table::kDue, walks.front().key, walk);
  } else {
    effects.Delete(storage::Table::kDue, walks.front().key);
    if (walks.size() > 1) result_.more = true;
  }
  return absl::OkStatus();
}

absl::Status SweepCommand::Compact(const storage::View& view, const storage::Slot& slot,
                                   storage::Effects& effects) {
  const int64_t beyond_count = slot.revision - limits_.event_retention_count;
  const auto is_old = [&](const storage::Entry& entry) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const int64_t revision, storage::ParseRevisionKey(entry.key));
    if (revision < beyond_count) return true;
    EventsRecord record;
    if (!record.ParseFromString(entry.value)) {
      return absl::DataLossError("a record of events cannot be parsed");
    }
    return absl::FromUnixMicros(record.time_us()) + limits_.event_retention <= slot.now;
  };
  // The oldest alone is read first, because most steps have nothing to drop.
  ASSIGN_OR_RETURN(std::vector<storage::Entry> entries,
                   view.Scan(storage::Table::kEvents, "", "", 1));
  if (entries.empty() || limits_.max_compacted == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool any, is_old(entries.front()));
  if (!any) return absl::OkStatus();
  ASSIGN_OR_RETURN(entries, view.Scan(storage::Table::kEvents, "", "", limits_.max_compacted));
  int64_t dropped_to = 0;
  for (const storage::Entry& entry : entries) {
    ASSIGN_OR_RETURN(const bool old, is_old(entry));
    if (!old) break;
    ASSIGN_OR_RETURN(dropped_to, storage::ParseRevisionKey(entry.key));
    effects.Delete(storage::Table::kEvents, entry.key);
    ++result_.compacted_revisions;
  }
  if (dropped_to > 0) effects.CompactEventsTo(dropped_to);
  if (result_.compacted_revisions >= limits_.max_compacted) result_.more = true;
  return absl::OkStatus();
}

// Fingerprints go where events have gone, so that what was compacted is compared by term alone
// (R19). A store without events keeps the newest so many all the same.
absl::Status SweepCommand::CompactFingerprints(const storage::View& view, const storage::Slot& slot,
                                               storage::Effects& effects) {
  if (limits_.max_compacted == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const HeadRecord head, storage::ReadHead(view));
  const int64_t last = std::min(std::max({head.compacted_revision(), effects.compact_events_to,
                                          slot.revision - limits_.event_retention_count - 1}),
                                head.revision() - 1);
  if (last <= 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> entries,
                   view.Scan(storage::Table::kFingerprints, "", storage::RevisionKey(last + 1),
                             limits_.max_compacted));
  const bool full = entries.size() >= limits_.max_compacted;
  // Each step that has effects adds a fingerprint: were one worth a step, sweeps would never end.
  if (!full && effects.compact_events_to == 0) return absl::OkStatus();
  for (const storage::Entry& entry : entries) {
    effects.Delete(storage::Table::kFingerprints, entry.key);
  }
  if (full) result_.more = true;
  return absl::OkStatus();
}

}  // namespace tollgate::service
