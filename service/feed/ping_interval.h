// How often validators ping, so that pings stay a small share of the service's work. Pure.
#ifndef TOLLGATE_SERVICE_FEED_PING_INTERVAL_H_
#define TOLLGATE_SERVICE_FEED_PING_INTERVAL_H_

#include <cstddef>

#include "absl/time/time.h"

namespace tollgate::service {

// What a Welcome says of how often to ping: `configured`, and longer where `followers` validators
// that ping so often would be more than `max_pings_per_second` (> 0; the acknowledgements that come
// at once after events are not in it). Never above a third of the lease, so that a lost ping or two
// costs no validator its lease: where that bounds it, the rate of pings does grow with the fleet.
//
// A follower learns it with its Welcome and keeps it for as long as its stream lives: those that
// were there before the fleet grew ping as often as they were told until their stream's age sends
// them round again (Feed::Options::max_stream_age).
absl::Duration PingIntervalFor(absl::Duration configured, absl::Duration lease, size_t followers,
                               double max_pings_per_second);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_PING_INTERVAL_H_
