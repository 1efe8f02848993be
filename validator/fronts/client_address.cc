#include "validator/fronts/client_address.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::validator {

absl::Status ReadClientAddress(const std::string& text, const std::string& path,
                               base::IpAddress* client) {
  if (text.empty()) return absl::OkStatus();
  *client = base::IpAddress::FromText(text);
  if (!client->empty()) return absl::OkStatus();
  return base::RefuseField("CLIENT_ADDRESS_MALFORMED", absl::StrCat(path, "client_address"),
                           "must be an IP address without a port, as in 192.0.2.7 or 2001:db8::1; "
                           "leave it out where it is not known");
}

}  // namespace tollgate::validator
