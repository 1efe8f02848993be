// The pure heart of the sequencer: RunBatch.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/invariant.h"
#include "base/status.h"
#include "storage/overlay_view.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "token/audit_hash.h"

namespace tollgate::storage {
namespace {

using store::v1::AuditChainRecord;
using store::v1::AuditRecord;
using store::v1::HeadRecord;

// Commands leave to the sequencer what is the sequencer's: a command that
// wrote the head, the events or the audit chain itself would break R7 or the chain.
absl::Status CheckEffects(const Command& command, const Effects& effects, const HeadRecord& head) {
  for (const Mutation& mutation : effects.mutations) {
    const bool head_key = mutation.table == Table::kMeta && mutation.key == kHeadKey;
    const bool events = mutation.table == Table::kEvents && mutation.value.has_value();
    if (head_key || events || mutation.table == Table::kAudit) {
      return absl::InternalError(absl::StrCat("command ", command.name(),
                                              " writes what only the sequencer may: table ",
                                              TableName(mutation.table)));
    }
  }
  if (effects.compact_events_to > head.revision()) {
    return absl::InternalError(absl::StrCat("command ", command.name(), " compacts events up to ",
                                            effects.compact_events_to, ", above the head ",
                                            head.revision()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BatchOutcome> RunBatch(const Snapshot& snapshot, const BatchTime& time,
                                      const std::vector<Command*>& commands) {
  ASSIGN_OR_RETURN(absl::optional<HeadRecord> found,
                   GetRecord<HeadRecord>(snapshot, Table::kMeta, kHeadKey));
  if (!found.has_value()) return absl::DataLossError("the store has no HeadRecord");
  HeadRecord head = *std::move(found);
  if (head.revision() != snapshot.revision()) {
    return absl::DataLossError(absl::StrCat("a snapshot at revision ", snapshot.revision(),
                                            " shows the HeadRecord of ", head.revision()));
  }

  const int64_t revision = head.revision() + 1;
  const int64_t now_us = absl::ToUnixMicros(time.now);
  BatchOutcome outcome;
  outcome.request.expected_head = head.revision();
  outcome.results.reserve(commands.size());
  OverlayView view(&snapshot);
  const int64_t jump_us =
      time.jumped_to.has_value() ? absl::ToUnixMicros(*time.jumped_to) : head.time_jump_us();
  if (jump_us > head.time_jump_us()) {
    head.set_time_jump_us(jump_us);
    // This batch's commands must know already: it may be they that would end something.
    view.Apply(Mutation{Table::kMeta, kHeadKey, SerializeRecord(head)});
  }
  std::string audit_hash = head.audit_hash();
  uint32_t audit_index = 0;
  int64_t compacted = head.compacted_revision();
  tollgate::v1::RevisionEvents& events = *outcome.request.events.mutable_events();

  for (size_t i = 0; i < commands.size(); ++i) {
    Slot slot;
    slot.revision = revision;
    slot.index = static_cast<uint32_t>(i);
    slot.now = time.now;
    slot.clock_in_doubt = time.in_doubt;
    Effects effects;
    absl::Status status = commands[i]->Run(view, slot, effects);
    if (status.ok()) status = CheckEffects(*commands[i], effects, head);
    if (!status.ok()) {
      outcome.results.push_back(std::move(status));
      continue;
    }
    if (!effects.empty()) outcome.has_effects = true;
    // Without effects of its own a command may still have seen those of the
    // batch before it: its answer is then only as durable as this commit (R7).
    outcome.results.push_back(
        Committed{outcome.has_effects ? revision : head.revision(), slot.index});

    for (Mutation& mutation : effects.mutations) view.Apply(std::move(mutation));
    for (tollgate::v1::Event& event : effects.events) {
      event.set_index(slot.index);
      *events.add_events() = std::move(event);
    }
    for (AuditRecord& entry : effects.audit) {
      entry.set_revision(revision);
      entry.set_index(audit_index);
      entry.set_time_us(now_us);
      AuditChainRecord link;
      link.set_content(SerializeRecord(entry));
      audit_hash = token::AuditHash(audit_hash, link.content());
      link.set_hash(audit_hash);
      view.Apply(Mutation{Table::kAudit, AuditKey(revision, audit_index), SerializeRecord(link)});
      ++audit_index;
    }
    compacted = std::max(compacted, effects.compact_events_to);
  }
  TOLLGATE_INVARIANT(outcome.results.size() == commands.size(),
                     "each command of a batch has one result");
  if (!outcome.has_effects) {
    outcome.request.events.Clear();
    return outcome;
  }

  TOLLGATE_INVARIANT(compacted <= head.revision(), "no event is compacted before it is committed");
  head.set_revision(revision);
  head.set_time_us(now_us);
  head.set_clock_in_doubt(time.in_doubt);
  head.set_boot_id(time.boot_id);
  head.set_boot_time_us(time.boot.nanos() / 1000);
  head.set_audit_hash(audit_hash);
  head.set_compacted_revision(compacted);
  if (events.events_size() > 0) {
    events.set_revision(revision);
    outcome.request.events.set_time_us(now_us);
    head.set_last_event_revision(revision);
  }
  view.Apply(Mutation{Table::kMeta, kHeadKey, SerializeRecord(head)});
  outcome.request.mutations = view.TakeMutations();
  return outcome;
}

}  // namespace tollgate::storage
