// The identity of the holder of a lease.
#ifndef TOLLGATE_LEASE_SESSION_ID_H_
#define TOLLGATE_LEASE_SESSION_ID_H_

#include <compare>
#include <string>
#include <utility>

namespace tollgate::lease {

// A session: one incarnation of one validator (R3). Leases, acknowledgements and the roster are
// kept by session; a session outlives the streams on which it speaks.
struct SessionId {
  std::string validator_id;
  std::string incarnation;  // kIncarnationBytes of them

  friend bool operator==(const SessionId&, const SessionId&) = default;
  friend auto operator<=>(const SessionId&, const SessionId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SessionId& key) {
    return H::combine(std::move(h), key.validator_id, key.incarnation);
  }
};

}  // namespace tollgate::lease

#endif  // TOLLGATE_LEASE_SESSION_ID_H_
