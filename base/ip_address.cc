#include "base/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace tollgate::base {
namespace {

// What stands before an IPv4 address that is mapped into IPv6.
constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool IsMapped(const std::array<uint8_t, IpAddress::kBytes>& bytes) {
  return std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
}

}  // namespace

IpAddress IpAddress::FromText(absl::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  IpAddress address;
  if (text.empty() || text.size() >= sizeof(terminated)) return address;
  // A 0 byte would end the text early.
  if (text.find('\0') != absl::string_view::npos) return address;
  std::memcpy(terminated, text.data(), text.size());
  std::array<uint8_t, kBytes> bytes = {};
  std::copy(kMapped.begin(), kMapped.end(), bytes.begin());
  if (inet_pton(AF_INET, terminated, bytes.data() + kMapped.size()) != 1 &&
      inet_pton(AF_INET6, terminated, bytes.data()) != 1) {
    return address;
  }
  const auto host = bytes.begin() + (IsMapped(bytes) ? kMapped.size() : 0);
  if (std::any_of(host, bytes.end(), [](uint8_t byte) { return byte != 0; })) {
    address.bytes_ = bytes;
  }
  return address;
}

IpAddress IpAddress::FromBytes(const std::array<uint8_t, kBytes>& bytes) {
  IpAddress address;
  address.bytes_ = bytes;
  return address;
}

std::string IpAddress::text() const {
  if (empty()) return "";
  char text[INET6_ADDRSTRLEN] = {};
  if (IsMapped(bytes_)) {
    inet_ntop(AF_INET, bytes_.data() + kMapped.size(), text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, bytes_.data(), text, sizeof(text));
  }
  return text;
}

}  // namespace tollgate::base
