#include "service/keyring/record_keyring.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::service {

using ::tollgate::store::v1::MetaRecord;
using ::tollgate::store::v1::TokenRecord;

namespace {

// Whether a token that has not ended was made with the pepper. May read every token, so it is asked
// only about a pepper that is gone.
absl::StatusOr<bool> IsNeeded(const storage::View& view, uint32_t pepper_id) {
  constexpr size_t kPage = 1000;
  std::string begin;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<storage::Entry> page,
                     view.Scan(storage::Table::kTokens, begin, "", kPage));
    for (const storage::Entry& entry : page) {
      TokenRecord token;
      if (!token.ParseFromString(entry.value)) {
        return absl::DataLossError("a token's record cannot be parsed");
      }
      if (token.pepper_id() == pepper_id && !token.has_ending()) return true;
    }
    if (page.size() < kPage) return false;
    begin = storage::KeyAfter(page.back().key);
  }
}

}  // namespace

absl::Status RecordKeyring::Run(const storage::View& view, const storage::Slot&,
                                storage::Effects& effects) {
  ASSIGN_OR_RETURN(auto meta,
                   storage::GetRecord<MetaRecord>(view, storage::Table::kMeta, storage::kMetaKey));
  if (!meta.has_value()) return absl::DataLossError("the store has no meta record");
  for (const auto& check : meta->keyring_checks()) {
    const auto same_id = std::find_if(checks_.begin(), checks_.end(), [&](const auto& ours) {
      return ours.first == check.pepper_id();
    });
    if (same_id != checks_.end() && same_id->second == check.value()) continue;
    ASSIGN_OR_RETURN(const bool needed, IsNeeded(view, check.pepper_id()));
    if (!needed) continue;
    return base::Refuse(
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
  if (storage::SerializeRecord(next) != storage::SerializeRecord(*meta))
    effects.Put(storage::Table::kMeta, storage::kMetaKey, next);
  return absl::OkStatus();
}

}  // namespace tollgate::service
