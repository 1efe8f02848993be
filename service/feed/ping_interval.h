// How often validators ping, so that pings stay a small share of the service's work. Pure.
#ifndef TOLLGATE_SERVICE_FEED_PING_INTERVAL_H_
#define TOLLGATE_SERVICE_FEED_PING_INTERVAL_H_

#include <cstddef>

#include "absl/time/time.h"

namespace tollgate::service {

// The ping interval that a Welcome tells. It is `configured`, or longer where `followers`
// validators pinging that often would send more than `max_pings_per_second` (> 0) pings. The
// acknowledgements that follow events at once are not counted. The interval is never above a third
// of the lease, so that a validator does not lose its lease over a lost ping or two; where that
// bound applies, the rate of pings does grow with the fleet.
//
// A follower keeps the interval of its Welcome for as long as its stream lives. Followers from
// before the fleet grew thus ping at their old interval until the age of their stream makes them
// reconnect (Feed::Options::max_stream_age).
absl::Duration PingIntervalFor(absl::Duration configured, absl::Duration lease, size_t followers,
                               double max_pings_per_second);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FEED_PING_INTERVAL_H_
