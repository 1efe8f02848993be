// ListValidators: the fleet by pages. Pure.
#ifndef TOLLGATE_SERVICE_RPC_VALIDATOR_LIST_H_
#define TOLLGATE_SERVICE_RPC_VALIDATOR_LIST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "service/feed/ledger/enforcement.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::service {

// The service's part of the answer.
struct FleetHead {
  int64_t head = 0;
  int64_t enforced = 0;
  std::string epoch;
  absl::Time now;  // by the wall clock
};

// `sessions` as Hub::Sessions gives them, in order. INVALID_ARGUMENT: PAGE_SIZE_NEGATIVE,
// PAGE_TOKEN_MALFORMED, PAGE_TOKEN_MISMATCH. A page begins after the last key of the page before,
// so validators that come and go between two pages make no other one be left out or shown twice.
absl::StatusOr<tollgate::v1::ListValidatorsResponse> ListFleet(
    std::vector<SessionView> sessions, const tollgate::v1::ListValidatorsRequest& request,
    const FleetHead& head);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_VALIDATOR_LIST_H_
