#include "storage/address_records.h"

#include <algorithm>

#include "storage/engine.h"

namespace tollgate::storage {
namespace {

using Addresses = google::protobuf::RepeatedPtrField<tollgate::store::v1::AddressRecord>;

// The latest come first. Of two that were seen at one moment the order is that of their text, so
// that every order of merges keeps the same ones.
bool Later(const tollgate::store::v1::AddressRecord& a,
           const tollgate::store::v1::AddressRecord& b) {
  return a.last_us() != b.last_us() ? a.last_us() > b.last_us() : a.address() < b.address();
}

}  // namespace

void MergeAddressRecords(const Addresses& delta, Addresses* base) {
  for (const auto& one : delta) {
    const auto same = std::find_if(base->begin(), base->end(), [&one](const auto& held) {
      return held.address() == one.address();
    });
    if (same == base->end()) {
      *base->Add() = one;
    } else {
      same->set_last_us(std::max(same->last_us(), one.last_us()));
      same->set_count(AddUseCounts(same->count(), one.count()));
    }
  }
  std::sort(base->begin(), base->end(), Later);
  if (base->size() > kMaxAttemptAddresses) {
    base->DeleteSubrange(kMaxAttemptAddresses, base->size() - kMaxAttemptAddresses);
  }
}

}  // namespace tollgate::storage
