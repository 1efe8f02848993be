// From where the client of an asking service comes, read from the wire.
#ifndef TOLLGATE_VALIDATOR_FRONTS_CLIENT_ADDRESS_H_
#define TOLLGATE_VALIDATOR_FRONTS_CLIENT_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "base/ip_address.h"

namespace tollgate::validator {

// Reads `text`, which is what the service was told or saw; empty: none. `path` leads to the message
// that holds it ("requests[3]."). INVALID_ARGUMENT, CLIENT_ADDRESS_MALFORMED, with the field's
// path: it is no IP address.
absl::Status ReadClientAddress(const std::string& text, const std::string& path,
                               base::IpAddress* client);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_CLIENT_ADDRESS_H_
