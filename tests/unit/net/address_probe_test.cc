#include "net/address_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/net/edge_server.h"

namespace tollgate::net {
namespace {

using Step = ProbeFindings::Step;

// A TCP port of the loopback that is bound, and listened to where asked.
class Port {
 public:
  explicit Port(bool listens) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    EXPECT_EQ(listens ? listen(fd_, 16) : 0, 0);
    port_ = ntohs(address.sin_port);
  }
  ~Port() { close(fd_); }

  ProbeTarget target() const {
    return {ParseAddress(absl::StrCat("127.0.0.1:", port_)).value(), {}, false, {}};
  }

 private:
  const int fd_;
  uint16_t port_ = 0;
};

TEST(AddressProbe, AServerGreets) {
  EdgeServer server;
  ASSERT_TRUE(server.Start().ok());
  const ProbeFindings found = ProbeAddress({server.address, {}, false, {}}, kTestPatience);
  EXPECT_EQ(found.step, Step::kGreeted);
  EXPECT_FALSE(FaultOf(found, {}).found());
}

TEST(AddressProbe, AServerOnASocketGreets) {
  TempFolder folder;
  EdgeServer server;
  ASSERT_TRUE(server.Start("unix:" + folder / "x.sock").ok());
  EXPECT_EQ(ProbeAddress({server.address, {}, false, {}}, kTestPatience).step, Step::kGreeted);
}

TEST(AddressProbe, NobodyListens) {
  const Port port(false);
  const ProbeFindings found = ProbeAddress(port.target(), kTestPatience);
  EXPECT_EQ(found.step, Step::kConnect);
  EXPECT_EQ(found.error, ECONNREFUSED);
}

TEST(AddressProbe, TheLimitEndsAWait) {
  const Port port(true);
  const ProbeFindings found = ProbeAddress(port.target(), absl::Milliseconds(50));
  EXPECT_EQ(found.step, Step::kGreet);
  EXPECT_TRUE(found.timed_out);
}

TEST(AddressProbe, AnInterruptionEndsAWait) {
  const Port port(true);
  Interruption stop;
  std::thread stopping([&stop] { stop.Interrupt(); });
  const ProbeFindings found = ProbeAddress(port.target(), absl::Hours(1), &stop);
  stopping.join();
  EXPECT_TRUE(found.interrupted);
  EXPECT_TRUE(ProbeAddress(port.target(), absl::Hours(1), &stop).interrupted);
}

TEST(AddressProbe, ANameThatNobodyKnows) {
  const ProbeFindings found =
      ProbeAddress({ParseAddress("nosuch.invalid:1").value(), {}, false, {}}, kTestPatience);
  EXPECT_EQ(found.step, Step::kLookUp);
  EXPECT_TRUE(found.timed_out || !found.words.empty());
}

}  // namespace
}  // namespace tollgate::net
