#include "storage/migration.h"

#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "storage/audit_index.h"
#include "storage/live_count.h"
#include "storage/overlay_view.h"
#include "storage/schema.h"
#include "token/fingerprint.h"
#include "token/life_cycle.h"

namespace tollgate::storage {
namespace {

using store::v1::FingerprintRecord;
using store::v1::HeadRecord;
using store::v1::MetaRecord;

constexpr size_t kStoreIdBytes = 16;

std::string DerivedStoreId(int64_t create_time_us) {
  const std::string created = absl::StrCat(create_time_us);
  return absl::BytesToHexString(
      token::Fingerprint("tollgate store id", {created}).substr(0, kStoreIdBytes));
}

// Format 2 has an id of the store, and fingerprints from the head on.
absl::StatusOr<std::vector<Mutation>> FromFormat1(const View& view, MetaRecord meta) {
  ASSIGN_OR_RETURN(auto head, GetRecord<HeadRecord>(view, Table::kMeta, kHeadKey));
  if (!head.has_value()) return absl::DataLossError("it has no HeadRecord");
  // Of what tells this head from another, so that two copies of one store agree: the audit chain.
  const std::string created = absl::StrCat(meta.create_time_us());
  const std::string revision = absl::StrCat(head->revision());
  const std::string time_us = absl::StrCat(head->time_us());
  FingerprintRecord fingerprint;
  fingerprint.set_fingerprint(token::Fingerprint(
      "tollgate head of format 1", {created, meta.epoch(), revision, time_us, head->audit_hash()}));
  head->set_fingerprint(fingerprint.fingerprint());
  meta.set_store_id(StoreIdOf(meta));
  meta.set_format(2);
  return std::vector<Mutation>{
      Mutation{Table::kMeta, kMetaKey, SerializeRecord(meta)},
      Mutation{Table::kMeta, kHeadKey, SerializeRecord(*head)},
      Mutation{Table::kFingerprints, RevisionKey(head->revision()), SerializeRecord(fingerprint)}};
}

// Format 3 has rows of use that are no use: attempts alone. A program of format 2 would take them
// for one, and a token that was only tried for one that was used. No record changes.
absl::StatusOr<std::vector<Mutation>> FromFormat2(const View&, MetaRecord meta) {
  meta.set_format(3);
  return std::vector<Mutation>{Mutation{Table::kMeta, kMetaKey, SerializeRecord(meta)}};
}

// In meta, while format 3 is left: the key of the last token that is counted.
constexpr char kCountedTo[] = "counted";
// What one part of a migration reads, or deletes.
constexpr size_t kInOnePart = 5000;

// Format 4 counts live tokens (CountRecord), in place of a mark of their latest change.
absl::StatusOr<std::vector<Mutation>> FromFormat3(const View& view, MetaRecord meta) {
  std::vector<Mutation> part;
  const std::string marks = std::string("live\0", 5);
  ASSIGN_OR_RETURN(const std::vector<Entry> old,
                   view.Scan(Table::kMeta, marks, PrefixEnd(marks), kInOnePart));
  part.reserve(old.size());
  for (const Entry& entry : old) part.push_back({Table::kMeta, entry.key, absl::nullopt});
  if (!part.empty()) return part;

  ASSIGN_OR_RETURN(const auto counted_to, view.Get(Table::kMeta, kCountedTo));
  ASSIGN_OR_RETURN(
      const std::vector<Entry> tokens,
      view.Scan(Table::kTokens, counted_to.has_value() ? KeyAfter(*counted_to) : std::string(), "",
                kInOnePart));
  std::vector<LiveChange> live;
  for (const Entry& entry : tokens) {
    store::v1::TokenRecord record;
    if (!record.ParseFromString(entry.value)) {
      return absl::DataLossError("a token's record cannot be parsed");
    }
    token::Cohorts cohorts;
    ASSIGN_OR_RETURN(cohorts.workspace,
                     GetRecord<store::v1::CohortRecord>(view, Table::kCohorts,
                                                        CohortKey(record.workspace(), "")));
    if (!record.owner().empty()) {
      ASSIGN_OR_RETURN(cohorts.owner,
                       GetRecord<store::v1::CohortRecord>(
                           view, Table::kCohorts, CohortKey(record.workspace(), record.owner())));
    }
    if (record.has_ending() || token::CoveringCohort(record, cohorts) != nullptr) continue;
    live.push_back({record.workspace(), record.owner(), 1, /*cohort=*/false});
  }
  OverlayView counts(&view);
  RETURN_IF_ERROR(ApplyLiveChanges(live, &counts));
  part = counts.TakeMutations();
  if (tokens.size() == kInOnePart) {
    part.push_back({Table::kMeta, kCountedTo, tokens.back().key});
    return part;
  }
  meta.set_format(4);
  part.push_back({Table::kMeta, kCountedTo, absl::nullopt});
  part.push_back({Table::kMeta, kMetaKey, SerializeRecord(meta)});
  return part;
}

// In meta, while format 4 is left: the last key of labels that was looked at.
constexpr char kRelabelledTo[] = "relabelled";

// Format 5 has labels under the form that they are compared by.
absl::StatusOr<std::vector<Mutation>> FromFormat4(const View& view, MetaRecord meta) {
  ASSIGN_OR_RETURN(const auto relabelled_to, view.Get(Table::kMeta, kRelabelledTo));
  ASSIGN_OR_RETURN(const std::vector<Entry> labels,
                   view.Scan(Table::kLabels,
                             relabelled_to.has_value() ? KeyAfter(*relabelled_to) : std::string(),
                             "", kInOnePart));
  std::vector<Mutation> part;
  for (const Entry& entry : labels) {
    const std::vector<absl::string_view> parts = absl::StrSplit(entry.key, '\0');
    if (parts.size() != 3) return absl::DataLossError("a label's key cannot be parsed");
    std::string key = LabelKey(parts[0], parts[1], parts[2]);
    if (key == entry.key) continue;
    part.push_back({Table::kLabels, entry.key, absl::nullopt});
    part.push_back({Table::kLabels, std::move(key), entry.value});
  }
  if (labels.size() == kInOnePart) {
    part.push_back({Table::kMeta, kRelabelledTo, labels.back().key});
    return part;
  }
  meta.set_format(5);
  part.push_back({Table::kMeta, kRelabelledTo, absl::nullopt});
  part.push_back({Table::kMeta, kMetaKey, SerializeRecord(meta)});
  return part;
}

// In meta, while format 5 is left: the last audit entry that was looked at.
constexpr char kIndexedTo[] = "indexed";

// Format 6 knows which audit entries are about a token (audit_by_token), and remembers missing
// validators among the sessions (SessionRecord.lapsed_time_us): a program of format 5 would hold up
// its receipts for each of them.
absl::StatusOr<std::vector<Mutation>> FromFormat5(const View& view, MetaRecord meta) {
  ASSIGN_OR_RETURN(const auto indexed_to, view.Get(Table::kMeta, kIndexedTo));
  ASSIGN_OR_RETURN(
      const std::vector<Entry> entries,
      view.Scan(Table::kAudit, indexed_to.has_value() ? KeyAfter(*indexed_to) : std::string(), "",
                kInOnePart));
  std::vector<Mutation> part;
  for (const Entry& entry : entries) {
    store::v1::AuditChainRecord link;
    store::v1::AuditRecord record;
    if (!link.ParseFromString(entry.value) || !record.ParseFromString(link.content())) {
      return absl::DataLossError("an audit entry cannot be parsed");
    }
    for (std::string& key : AuditIndexKeys(record)) {
      part.push_back({Table::kAuditByToken, std::move(key), ""});
    }
  }
  if (entries.size() == kInOnePart) {
    part.push_back({Table::kMeta, kIndexedTo, entries.back().key});
    return part;
  }
  meta.set_format(6);
  part.push_back({Table::kMeta, kIndexedTo, absl::nullopt});
  part.push_back({Table::kMeta, kMetaKey, SerializeRecord(meta)});
  return part;
}

// In meta, while format 6 is left: the last workspace that was looked at.
constexpr char kReachedTo[] = "reached";

// Format 7 purges the records of tokens that ended long ago: the sweep goes through those that had
// ended before. A program of format 6 would find a digest without a token.
absl::StatusOr<std::vector<Mutation>> FromFormat6(const View& view, MetaRecord meta) {
  ASSIGN_OR_RETURN(const auto reached_to, view.Get(Table::kMeta, kReachedTo));
  ASSIGN_OR_RETURN(
      const std::vector<Entry> workspaces,
      view.Scan(Table::kWorkspaces, reached_to.has_value() ? KeyAfter(*reached_to) : std::string(),
                "", kInOnePart));
  std::vector<Mutation> part;
  part.reserve(workspaces.size() + 2);
  for (const Entry& entry : workspaces) {
    part.push_back(
        {Table::kDue, DueKey(0, DueKind::kReachPurge, TokenKey(entry.key, "")), std::string()});
  }
  if (workspaces.size() == kInOnePart) {
    part.push_back({Table::kMeta, kReachedTo, workspaces.back().key});
    return part;
  }
  meta.set_format(7);
  part.push_back({Table::kMeta, kReachedTo, absl::nullopt});
  part.push_back({Table::kMeta, kMetaKey, SerializeRecord(meta)});
  return part;
}

// Format 8 has bindings: a program of format 7 would let everybody do everything. None are made
// here, and no record changes.
absl::StatusOr<std::vector<Mutation>> FromFormat7(const View&, MetaRecord meta) {
  meta.set_format(8);
  return std::vector<Mutation>{Mutation{Table::kMeta, kMetaKey, SerializeRecord(meta)}};
}

// The step from format i + 1 to the one after it: its next part, never empty.
using Step = absl::StatusOr<std::vector<Mutation>> (*)(const View& view, MetaRecord meta);
constexpr std::array<Step, kStoreFormat - 1> kSteps = {&FromFormat1, &FromFormat2, &FromFormat3,
                                                       &FromFormat4, &FromFormat5, &FromFormat6,
                                                       &FromFormat7};

}  // namespace

std::string StoreIdOf(const MetaRecord& meta) {
  return meta.store_id().empty() ? DerivedStoreId(meta.create_time_us()) : meta.store_id();
}

absl::StatusOr<std::vector<Mutation>> NextMigration(const View& view) {
  ASSIGN_OR_RETURN(auto meta, GetRecord<MetaRecord>(view, Table::kMeta, kMetaKey));
  if (!meta.has_value()) return absl::DataLossError("it has no MetaRecord");
  if (meta->format() == kStoreFormat) return std::vector<Mutation>();
  if (meta->format() < 1 || meta->format() > kStoreFormat) {
    return absl::DataLossError(absl::StrCat("there is no way from format ", meta->format()));
  }
  const Step step = kSteps[meta->format() - 1];
  return step(view, *std::move(meta));
}

}  // namespace tollgate::storage
