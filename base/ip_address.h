// An address of a machine, as text and as a value.
#ifndef TOLLGATE_BASE_IP_ADDRESS_H_
#define TOLLGATE_BASE_IP_ADDRESS_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace tollgate::base {

// An IPv6 address, or an IPv4 address as the IPv6 address that maps it: both ways of writing one
// IPv4 address are one value. All zero (`::`): no address. A value; thread-safe for reading.
class IpAddress {
 public:
  static constexpr size_t kBytes = 16;

  IpAddress() = default;
  // Of text as in `192.0.2.7`, `2001:db8::1` or `::ffff:192.0.2.7`: no port, no brackets, no zone.
  // Any other text, and an address that is nobody's (`0.0.0.0`, `::`), gives no address. Reads no
  // more than 45 bytes; allocates nothing.
  static IpAddress FromText(absl::string_view text);
  // Of bytes().
  static IpAddress FromBytes(const std::array<uint8_t, kBytes>& bytes);

  bool empty() const { return *this == IpAddress(); }
  // The one way of writing it (RFC 5952; IPv4 as `192.0.2.7`); empty where there is none.
  std::string text() const;
  const std::array<uint8_t, kBytes>& bytes() const { return bytes_; }

  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<uint8_t, kBytes> bytes_ = {};
};

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_IP_ADDRESS_H_
