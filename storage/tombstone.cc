#include "storage/tombstone.h"

#include <string>

namespace tollgate::storage {

using store::v1::DigestRecord;
using store::v1::TokenRecord;

DigestRecord PurgedDigest(const TokenRecord& record) {
  DigestRecord digest;
  digest.set_workspace(record.workspace());
  digest.set_token_id(record.token_id());
  store::v1::Tombstone* const tombstone = digest.mutable_tombstone();
  *tombstone->mutable_ending() = record.ending();
  tombstone->set_create_revision(record.create_revision());
  tombstone->set_create_index(record.create_index());
  tombstone->set_pepper_id(record.pepper_id());
  return digest;
}

TokenRecord RecordOfPurged(const DigestRecord& digest, absl::string_view stored_digest) {
  const store::v1::Tombstone& tombstone = digest.tombstone();
  TokenRecord record;
  record.set_workspace(digest.workspace());
  record.set_token_id(digest.token_id());
  *record.mutable_ending() = tombstone.ending();
  record.set_create_revision(tombstone.create_revision());
  record.set_create_index(tombstone.create_index());
  record.set_update_revision(tombstone.ending().revision());
  record.set_update_time_us(tombstone.ending().time_us());
  record.set_pepper_id(tombstone.pepper_id());
  record.set_stored_digest(std::string(stored_digest));
  return record;
}

}  // namespace tollgate::storage
