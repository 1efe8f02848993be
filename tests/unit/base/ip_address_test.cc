#include "base/ip_address.h"

#include <string>

#include "gtest/gtest.h"

namespace tollgate::base {
namespace {

TEST(IpAddressTest, IsWrittenInOneWay) {
  const std::pair<absl::string_view, absl::string_view> table[] = {
      {"192.0.2.7", "192.0.2.7"},
      {"::ffff:192.0.2.7", "192.0.2.7"},
      {"::FFFF:c000:0207", "192.0.2.7"},
      {"0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"},
      {"2001:DB8:0:0::0001", "2001:db8::1"},
      {"2001:db8::1", "2001:db8::1"},
      {"::1", "::1"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& [text, written] : table) {
    EXPECT_EQ(IpAddress::FromText(text).text(), written) << text;
    EXPECT_FALSE(IpAddress::FromText(text).empty()) << text;
  }
  EXPECT_EQ(IpAddress::FromText("::ffff:192.0.2.7"), IpAddress::FromText("192.0.2.7"));
  EXPECT_NE(IpAddress::FromText("192.0.2.8"), IpAddress::FromText("192.0.2.7"));
  EXPECT_EQ(IpAddress::FromBytes(IpAddress::FromText("2001:db8::1").bytes()).text(), "2001:db8::1");
}

TEST(IpAddressTest, OtherTextIsNone) {
  for (const std::string& text :
       {std::string(), std::string("unknown"), std::string("192.0.2"), std::string("192.0.2.256"),
        std::string("192.0.2.07"), std::string("192.0.2.7 "), std::string("192.0.2.7:80"),
        std::string("[2001:db8::1]"), std::string("[2001:db8::1]:80"), std::string("fe80::1%eth0"),
        std::string("0xC0000207"), std::string("192.0.2.7\0", 10), std::string("::1\0x", 5),
        std::string("0.0.0.0"), std::string("::"), std::string("::ffff:0.0.0.0"),
        std::string(1 << 20, '1'), std::string("_hidden"), std::string("\xff")}) {
    EXPECT_TRUE(IpAddress::FromText(text).empty()) << text.substr(0, 50);
    EXPECT_EQ(IpAddress::FromText(text).text(), "") << text.substr(0, 50);
  }
}

}  // namespace
}  // namespace tollgate::base
