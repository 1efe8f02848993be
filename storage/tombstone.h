// What stays of a token whose record was purged: its digest, and how it ended (I7). Pure.
#ifndef TOLLGATE_STORAGE_TOMBSTONE_H_
#define TOLLGATE_STORAGE_TOMBSTONE_H_

#include "absl/strings/string_view.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::storage {

// What stays of an ended token, under its stored digest.
store::v1::DigestRecord PurgedDigest(const store::v1::TokenRecord& record);

// A token's record as far as it is left: its name, where it was created, and how it ended; changed
// last by that. REQUIRES: `digest` has a tombstone.
store::v1::TokenRecord RecordOfPurged(const store::v1::DigestRecord& digest,
                                      absl::string_view stored_digest);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_TOMBSTONE_H_
