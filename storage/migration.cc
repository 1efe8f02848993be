#include "storage/migration.h"

#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/schema.h"
#include "token/fingerprint.h"

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

// The step from format i + 1 to the one after it: its next part, never empty.
using Step = absl::StatusOr<std::vector<Mutation>> (*)(const View& view, MetaRecord meta);
constexpr std::array<Step, kStoreFormat - 1> kSteps = {&FromFormat1, &FromFormat2};

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
