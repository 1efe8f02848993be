#include "net/address_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
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

  ProbeTarget target(bool use_tls = false) const {
    return {ParseAddress(absl::StrCat("127.0.0.1:", port_)).value(), {}, use_tls, {}};
  }
  int fd() const { return fd_; }

 private:
  const int fd_;
  uint16_t port_ = 0;
};

// Says the same to whoever comes, again and again, for as long as it lives and is listened to; but
// not for ever.
class Flood {
 public:
  // `pause`: between two sayings. `at`: is called once `at_bytes` have been sent to somebody.
  explicit Flood(std::string saying, absl::Duration pause = absl::ZeroDuration(),
                 size_t at_bytes = 0, std::function<void()> at = nullptr)
      : saying_(std::move(saying)),
        pause_(pause),
        at_bytes_(at_bytes),
        at_(std::move(at)),
        thread_([this] { Run(); }) {}
  ~Flood() {
    over_ = true;
    shutdown(port_.fd(), SHUT_RDWR);
    thread_.join();
  }

  const Port& port() const { return port_; }

 private:
  void Run() {
    const absl::Time end = absl::Now() + kTestPatience;
    for (;;) {
      const int peer = accept4(port_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) return;
      size_t sent = 0;
      while (!over_ && absl::Now() < end) {
        const ssize_t bytes = send(peer, saying_.data(), saying_.size(), MSG_NOSIGNAL);
        if (bytes < 0) break;
        sent += static_cast<size_t>(bytes);
        if (at_ && sent >= at_bytes_) std::exchange(at_, nullptr)();
        absl::SleepFor(pause_);
      }
      close(peer);
    }
  }

  const std::string saying_;
  const absl::Duration pause_;
  const size_t at_bytes_;
  std::function<void()> at_;
  std::atomic<bool> over_{false};
  const Port port_{true};
  std::thread thread_;
};

// TLS's HelloRequest, in a record of its own. During a handshake whoever gets it passes it over,
// however often it comes.
std::string HelloRequests(int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all.append("\x16\x03\x03\0\4\0\0\0\0", 9);
  return all;
}

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

TEST(AddressProbe, APeerThatSpeaksWithoutEndInPlaintextIsToldByItsFirstWords) {
  const Flood flood(std::string(1 << 16, 'x'));
  const ProbeFindings found = ProbeAddress(flood.port().target(), kTestPatience);
  EXPECT_EQ(found.step, Step::kGreet);
  EXPECT_EQ(found.first_bytes, std::string(16, 'x'));
  EXPECT_EQ(FaultOf(found, {}).reason, kNotGrpc);
}

TEST(AddressProbe, APeerThatSpeaksWithoutEndInTlsIsLeft) {
  const Flood flood(HelloRequests(1 << 12));
  const ProbeFindings found = ProbeAddress(flood.port().target(/*use_tls=*/true), absl::Hours(1));
  EXPECT_EQ(found.step, Step::kTls);
  EXPECT_FALSE(found.closed || found.timed_out || found.interrupted);
  const ReachFault fault = FaultOf(found, {});
  EXPECT_EQ(fault.reason, "TLS_FAILED");
  EXPECT_EQ(fault.why, "the TLS handshake fails: after 64 KiB it is not done");
}

TEST(AddressProbe, APeerThatNeverMakesItWaitIsLeftAtTheLimit) {
  const Flood flood(HelloRequests(1), absl::Microseconds(200));
  const ProbeFindings found =
      ProbeAddress(flood.port().target(/*use_tls=*/true), absl::Milliseconds(100));
  EXPECT_TRUE(found.timed_out);
  EXPECT_FALSE(found.closed);
  EXPECT_EQ(FaultOf(found, {}).reason, "PEER_SILENT");
}

TEST(AddressProbe, AnInterruptionEndsALookAtAPeerThatNeverStops) {
  Interruption stop;
  const Flood flood(HelloRequests(512), absl::ZeroDuration(), 512 * 9,
                    [&stop] { stop.Interrupt(); });
  const ProbeFindings found =
      ProbeAddress(flood.port().target(/*use_tls=*/true), absl::Hours(1), &stop);
  EXPECT_TRUE(found.interrupted);
  EXPECT_FALSE(FaultOf(found, {}).found());
}

// A Unix socket takes connection and bytes at once: nothing makes the look wait.
TEST(AddressProbe, NothingIsSentOnceTheTimeIsUpOrTheLookIsBrokenOff) {
  TempFolder folder;
  const std::string path = folder / "x.sock";
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 4), 0);
  const ProbeTarget target = {ParseAddress("unix:" + path).value(), {}, false, {}};
  Interruption stop;
  stop.Interrupt();
  EXPECT_TRUE(ProbeAddress(target, absl::Hours(1), &stop).interrupted);
  EXPECT_TRUE(ProbeAddress(target, absl::ZeroDuration()).timed_out);
  for (int look = 0; look < 2; ++look) {
    const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    char byte;
    EXPECT_EQ(recv(peer, &byte, 1, 0), 0) << "look " << look;
    close(peer);
  }
  close(listener);
}

TEST(AddressProbe, ANameThatNobodyKnows) {
  const ProbeFindings found =
      ProbeAddress({ParseAddress("nosuch.invalid:1").value(), {}, false, {}}, kTestPatience);
  EXPECT_EQ(found.step, Step::kLookUp);
  EXPECT_TRUE(found.timed_out || !found.words.empty());
}

}  // namespace
}  // namespace tollgate::net
