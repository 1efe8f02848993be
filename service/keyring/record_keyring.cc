#include "service/keyring/record_keyring.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate {

using ::tollgate::store::v1::MetaRecord;
using ::tollgate::store::v1::TokenRecord;

namespace {

// Whether a token that has not ended was made with the pepper. Reads every token at worst: asked
// only of a pepper that is not there any more.
absl::StatusOr<bool> IsNeeded(const View& view, uint32_t pepper_id) {
  constexpr size_t kPage = 1000;
  std::string begin;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<Entry> page, view.Scan(Table::kTokens, begin, "", kPage));
    for (const Entry& entry : page) {
      TokenRecord token;
      if (!token.ParseFromString(entry.value)) {
        return absl::DataLossError("a token's record cannot be parsed");
      }
      if (token.pepper_id() == pepper_id && !token.has_ending()) return true;
    }
    if (page.size() < kPage) return false;
    begin = KeyAfter(page.back().key);
  }
}

}  // namespace

absl::Status RecordKeyring::Run(const View& view, const Slot&, Effects& effects) {
  ASSIGN_OR_RETURN(auto meta, GetRecord<MetaRecord>(view, Table::kMeta, kMetaKey));
  if (!meta.has_value()) return absl::DataLossError("the store has no meta record");
  for (const auto& check : meta->keyring_checks()) {
    const auto same_id = std::find_if(checks_.begin(), checks_.end(), [&](const auto& ours) {
      return ours.first == check.pepper_id();
    });
    if (same_id != checks_.end() && same_id->second == check.value()) continue;
    ASSIGN_OR_RETURN(const bool needed, IsNeeded(view, check.pepper_id()));
    if (!needed) continue;
    return Refuse(
        absl::StatusCode::kFailedPrecondition, "KEYRING_MISMATCH",
        absl::StrCat(
            "refusing to start with the keyring ", path_, ": it is not this store's, or an ",
            "old copy. The store holds tokens made with pepper ", check.pepper_id(),
            same_id == checks_.end() ? ", which it lacks"
                                     : ", and the pepper it has under that id is another",
            ": each of them would be called unknown.\n  Put the store's own back from where ",
            "it is kept:  ", path_,
            "\n  or say where it is:                          --keyring FILE"));
  }
  MetaRecord next = *meta;
  next.clear_keyring_checks();
  for (const auto& [id, value] : checks_) {
    auto* check = next.add_keyring_checks();
    check->set_pepper_id(id);
    check->set_value(value);
  }
  if (SerializeRecord(next) != SerializeRecord(*meta)) effects.Put(Table::kMeta, kMetaKey, next);
  return absl::OkStatus();
}

}  // namespace tollgate
