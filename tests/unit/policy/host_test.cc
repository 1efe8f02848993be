// Hosts: case, ports, and what is no host.
#include "policy/host.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace tollgate::policy {
namespace {

struct HostCase {
  std::string text;
  std::string name;
  int port = 0;
  std::string reason;
};
std::ostream& operator<<(std::ostream& out, const HostCase& c) { return out << c.text; }

class Hosts : public testing::TestWithParam<HostCase> {};

TEST_P(Hosts, AreReadOnce) {
  Host host;
  const Refused refused = ReadHost(GetParam().text, &host);
  EXPECT_EQ(refused.has_value() ? std::string(refused->reason) : "", GetParam().reason);
  if (refused.has_value()) return;
  EXPECT_EQ(host.name, GetParam().name);
  EXPECT_EQ(host.port, GetParam().port);
  EXPECT_TRUE(IsHostName(host.name));
}

INSTANTIATE_TEST_SUITE_P(
    Taken, Hosts,
    testing::Values(HostCase{"api.example", "api.example"}, HostCase{"API.Example", "api.example"},
                    HostCase{"a_b-c.example:8443", "a_b-c.example", 8443},
                    HostCase{"127.0.0.1:80", "127.0.0.1", 80}, HostCase{"[::1]", "[::1]"},
                    HostCase{"[FE80::1]:65535", "[fe80::1]", 65535},
                    HostCase{"localhost", "localhost"},
                    HostCase{std::string(63, 'a') + ".b", std::string(63, 'a') + ".b"}));

INSTANTIATE_TEST_SUITE_P(
    Refused, Hosts,
    testing::Values(
        HostCase{"", "", 0, "HOST_MALFORMED"}, HostCase{".", "", 0, "HOST_MALFORMED"},
        HostCase{"api.example.", "", 0, "HOST_AMBIGUOUS"},
        HostCase{"api.example.:80", "", 0, "HOST_AMBIGUOUS"},
        HostCase{"api..example", "", 0, "HOST_MALFORMED"},
        HostCase{".example", "", 0, "HOST_MALFORMED"}, HostCase{"a b", "", 0, "HOST_MALFORMED"},
        HostCase{"u@h", "", 0, "HOST_MALFORMED"}, HostCase{"h@", "", 0, "HOST_MALFORMED"},
        HostCase{"h:", "", 0, "HOST_MALFORMED"}, HostCase{"h:0", "", 0, "HOST_MALFORMED"},
        HostCase{"h:65536", "", 0, "HOST_MALFORMED"}, HostCase{"h:+80", "", 0, "HOST_MALFORMED"},
        HostCase{"h: 80", "", 0, "HOST_MALFORMED"}, HostCase{"h:80:80", "", 0, "HOST_MALFORMED"},
        HostCase{"h:000080", "", 0, "HOST_MALFORMED"}, HostCase{"::1", "", 0, "HOST_MALFORMED"},
        HostCase{"[::1", "", 0, "HOST_MALFORMED"}, HostCase{"[::1]x", "", 0, "HOST_MALFORMED"},
        HostCase{"[fe80::1%25eth0]", "", 0, "HOST_MALFORMED"},
        HostCase{"h,i", "", 0, "HOST_MALFORMED"}, HostCase{"h/i", "", 0, "HOST_MALFORMED"},
        HostCase{"h%2ei", "", 0, "HOST_MALFORMED"}, HostCase{"h\xc3\xa9", "", 0, "HOST_MALFORMED"},
        HostCase{std::string("h\0", 2), "", 0, "HOST_MALFORMED"},
        HostCase{std::string(64, 'a'), "", 0, "HOST_MALFORMED"},
        HostCase{std::string(300, 'a'), "", 0, "HOST_MALFORMED"}));

}  // namespace
}  // namespace tollgate::policy
