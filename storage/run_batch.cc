// The pure core of the sequencer: RunBatch.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/invariant.h"
#include "base/status.h"
#include "storage/audit_index.h"
#include "storage/live_count.h"
#include "storage/overlay_view.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "token/audit_hash.h"
#include "token/fingerprint.h"

namespace tollgate::storage {
namespace {

using store::v1::AuditChainRecord;
using store::v1::AuditRecord;
using store::v1::HeadRecord;

// Commands leave to the sequencer what is the sequencer's: a command that
// wrote the head, the events or a chain itself would break R7 or the chain.
absl::Status CheckEffects(const Command& command, const Effects& effects, const HeadRecord& head) {
  for (const Mutation& mutation : effects.mutations) {
    const bool head_key = mutation.table == Table::kMeta && mutation.key == kHeadKey;
    const bool by_revision =
        (mutation.table == Table::kEvents || mutation.table == Table::kFingerprints) &&
        mutation.value.has_value();
    if (head_key || by_revision || mutation.table == Table::kAudit ||
        mutation.table == Table::kAuditByToken) {
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

// The fingerprint of a commit (R19): of all that it writes but for its HeadRecord, on top of the
// fingerprint before, so that equal ones tell of equal histories. `head` is the new one; `previous`
// is empty for the first commit of a store, or after format 1.
std::string FingerprintOf(absl::string_view previous, const HeadRecord& head,
                          const CommitRequest& request) {
  const std::string revision = absl::StrCat(head.revision());
  const std::string time_us = absl::StrCat(head.time_us());
  const std::string count = absl::StrCat(request.mutations.size());
  const std::string events =
      request.events.events().events_size() > 0 ? SerializeRecord(request.events) : std::string();
  std::vector<absl::string_view> parts = {previous, revision, time_us, events, count};
  parts.reserve(parts.size() + 4 * request.mutations.size());
  for (const Mutation& mutation : request.mutations) {
    parts.push_back(TableName(mutation.table));
    parts.push_back(mutation.key);
    parts.push_back(mutation.value.has_value() ? "put" : "delete");
    parts.push_back(mutation.value.has_value() ? absl::string_view(*mutation.value)
                                               : absl::string_view());
  }
  return token::Fingerprint("tollgate commit", parts);
}

}  // namespace

absl::StatusOr<BatchOutcome> RunBatch(const Snapshot& snapshot, const BatchTime& time,
                                      const std::vector<Command*>& commands) {
  ASSIGN_OR_RETURN(HeadRecord head, ReadHead(snapshot));
  if (head.revision() != snapshot.revision()) {
    return base::Refuse(absl::StatusCode::kDataLoss, "STORE_CORRUPT",
                        absl::StrCat("a snapshot at revision ", snapshot.revision(),
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
    // A command without effects may still have seen the effects of earlier commands of the batch;
    // its answer is then durable only with this commit (R7).
    outcome.results.push_back(
        Committed{outcome.has_effects ? revision : head.revision(), slot.index});

    for (Mutation& mutation : effects.mutations) view.Apply(std::move(mutation));
    RETURN_IF_ERROR(ApplyLiveChanges(effects.live_changes, &view));
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
      for (std::string& key : AuditIndexKeys(entry)) {
        view.Apply(Mutation{Table::kAuditByToken, std::move(key), ""});
      }
      ++audit_index;
    }
    for (std::string& key : effects.history) {
      view.Apply(Mutation{Table::kAuditByToken, std::move(key), std::string(kEndedWithOthers)});
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
  outcome.request.mutations = view.TakeMutations();
  // The head is written once, below, and is no part of what its own fingerprint covers.
  std::erase_if(outcome.request.mutations, [](const Mutation& mutation) {
    return mutation.table == Table::kMeta && mutation.key == kHeadKey;
  });
  store::v1::FingerprintRecord fingerprint;
  fingerprint.set_fingerprint(FingerprintOf(head.fingerprint(), head, outcome.request));
  head.set_fingerprint(fingerprint.fingerprint());
  outcome.request.mutations.push_back(Mutation{Table::kMeta, kHeadKey, SerializeRecord(head)});
  outcome.request.mutations.push_back(
      Mutation{Table::kFingerprints, RevisionKey(revision), SerializeRecord(fingerprint)});
  return outcome;
}

}  // namespace tollgate::storage
