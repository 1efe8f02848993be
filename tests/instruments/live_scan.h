// Counts live tokens by reading all of them: what the counts of every commit (storage/live_count.h)
// must say.
#ifndef TOLLGATE_TESTS_INSTRUMENTS_LIVE_SCAN_H_
#define TOLLGATE_TESTS_INSTRUMENTS_LIVE_SCAN_H_

#include <string>

#include "storage/engine.h"

namespace tollgate::instruments {

// What the counts say that reading does not, one line each, as in `acme/team-a: counted 3, there
// are 2`; empty: they agree, for every workspace and owner of the store.
std::string LiveCountFaults(const storage::View& view);

}  // namespace tollgate::instruments

#endif  // TOLLGATE_TESTS_INSTRUMENTS_LIVE_SCAN_H_
