// From where attempts on a token came, as it is merged.
#ifndef TOLLGATE_STORAGE_ADDRESS_RECORDS_H_
#define TOLLGATE_STORAGE_ADDRESS_RECORDS_H_

#include "google/protobuf/repeated_field.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::storage {

// The most addresses that are kept of one edge's attempts on one token, for one reason.
inline constexpr int kMaxAttemptAddresses = 8;

// Merges addresses into others: the kMaxAttemptAddresses latest stay, latest first. A count is at
// least what came while its address was among them.
void MergeAddressRecords(
    const google::protobuf::RepeatedPtrField<tollgate::store::v1::AddressRecord>& delta,
    google::protobuf::RepeatedPtrField<tollgate::store::v1::AddressRecord>* base);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ADDRESS_RECORDS_H_
