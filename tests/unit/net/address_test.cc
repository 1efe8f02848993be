#include "net/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/status.h"

namespace tollgate::net {
namespace {

struct Good {
  const char* text;
  const char* normal;
  const char* target;
  bool loopback;
};

class GoodAddress : public testing::TestWithParam<Good> {};

TEST_P(GoodAddress, Parses) {
  const absl::StatusOr<Address> address = ParseAddress(GetParam().text);
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(address->ToString(), GetParam().normal);
  EXPECT_EQ(address->ToGrpcTarget(), GetParam().target);
  EXPECT_EQ(address->IsLoopback(), GetParam().loopback);
  // What it writes, it reads.
  EXPECT_EQ(ParseAddress(address->ToString())->ToString(), address->ToString());
}

INSTANTIATE_TEST_SUITE_P(
    All, GoodAddress,
    testing::Values(
        Good{"127.0.0.1:7411", "127.0.0.1:7411", "dns:///127.0.0.1:7411", true},
        Good{"127.9.0.1:0", "127.9.0.1:0", "dns:///127.9.0.1:0", true},
        Good{"0.0.0.0:7411", "0.0.0.0:7411", "dns:///0.0.0.0:7411", false},
        Good{"localhost:1", "localhost:1", "dns:///localhost:1", true},
        Good{"LocalHost:1", "LocalHost:1", "dns:///LocalHost:1", true},
        Good{"localhost.evil.example:1", "localhost.evil.example:1",
             "dns:///localhost.evil.example:1", false},
        Good{"127.0.0.1.evil.example:1", "127.0.0.1.evil.example:1",
             "dns:///127.0.0.1.evil.example:1", false},
        Good{"tollgated.tollgate.svc:65535", "tollgated.tollgate.svc:65535",
             "dns:///tollgated.tollgate.svc:65535", false},
        Good{"dns:///tollgated:7411", "tollgated:7411", "dns:///tollgated:7411", false},
        Good{"[::1]:7411", "[::1]:7411", "dns:///[::1]:7411", true},
        Good{"[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", "dns:///[::ffff:127.0.0.1]:1", true},
        Good{"[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1", "dns:///[::ffff:10.0.0.1]:1", false},
        Good{"[::]:7411", "[::]:7411", "dns:///[::]:7411", false},
        Good{"unix:/run/x.sock", "unix:/run/x.sock", "unix:/run/x.sock", true},
        Good{"unix:///run/x.sock", "unix:/run/x.sock", "unix:/run/x.sock", true},
        Good{"unix:./@x", "unix:./@x", "unix:./@x", true},
        Good{"unix:x.sock", "unix:x.sock", "unix:x.sock", true}));

struct Bad {
  const char* text;
  const char* says;
};

class BadAddress : public testing::TestWithParam<Bad> {};

TEST_P(BadAddress, SaysWhyAndWhatToDo) {
  const absl::StatusOr<Address> address = ParseAddress(GetParam().text);
  ASSERT_FALSE(address.ok());
  EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(address.status()), "ADDRESS_INVALID");
  const std::string message(address.status().message());
  EXPECT_THAT(message, testing::HasSubstr(GetParam().says));
  EXPECT_THAT(message, testing::HasSubstr("Write HOST:PORT"));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadAddress,
    testing::Values(
        Bad{"", "empty"}, Bad{":7411", "host is missing"}, Bad{"127.0.0.1", "port is missing"},
        Bad{"[::1]", "port is missing"}, Bad{"[::1:1", "\"]\" is missing"},
        Bad{"::1:7411", "brackets"}, Bad{"[localhost]:1", "no IPv6"}, Bad{"h:", "port is no"},
        Bad{"h:65536", "port is no"}, Bad{"h:-1", "port is no"}, Bad{"h:+1", "port is no"},
        Bad{"h: 1", "port is no"}, Bad{"h:000001", "port is no"}, Bad{"a b:1", "character"},
        Bad{"user@h:1", "character"}, Bad{"http://h:1", "scheme"},
        Bad{"/run/x.sock", "unix:/run/x.sock"}, Bad{"unix:", "path is missing"},
        Bad{"unix:@name", "unix:./@name"}, Bad{"unix-abstract:name", "abstract"},
        Bad{"unix://x", "absolute"}, Bad{"unix:/run/", "directory"},
        Bad{"unix:/"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaa",
            "at most 107"}));

}  // namespace
}  // namespace tollgate::net
