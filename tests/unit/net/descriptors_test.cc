// A process of its own: it runs itself out of descriptors.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/log.h"
#include "tests/unit/net/edge_server.h"

namespace tollgate::net {
namespace {

TEST(OutOfDescriptors, ShedsWhileOutAndAnswersAgainAfterwards) {
  EdgeServer edge;
  ASSERT_TRUE(edge.Start().ok());
  const Acceptor& acceptor = *edge.listeners.acceptors()[0];
  v1::ResolveResponse response;
  auto before = edge.Stub();
  ASSERT_TRUE(Ask(*before, &response).ok());

  base::Log(base::LogLevel::kInfo,
            "about to run out of descriptors");  // for the same reason as below
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(edge.address.port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Sockets of the client are made while there still are descriptors: connect needs none.
  constexpr int kStrangers = 40;
  std::vector<int> strangers;
  for (int i = 0; i < kStrangers; ++i)
    strangers.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit low = old;
  low.rlim_cur = 256;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  std::vector<int> fill;
  for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) fill.push_back(fd);
  ASSERT_EQ(errno, EMFILE);

  for (const int fd : strangers) {
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  }
  // Each is closed, not left to wait in the backlog; or served, where a thread of gRPC's has given
  // a descriptor back.
  int served = 0;
  for (const int fd : strangers) {
    pollfd p{fd, POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 20000), 1);
    char c;
    if (recv(fd, &c, 1, 0) > 0) ++served;
  }
  EXPECT_LT(served, kStrangers / 4);
  // Counted a moment after it was closed.
  const absl::Time until = absl::Now() + kTestPatience;
  const auto shed = static_cast<uint64_t>(kStrangers - served);
  while (acceptor.stats().refused_descriptors < shed && absl::Now() < until) {
    std::this_thread::yield();
  }
  EXPECT_EQ(acceptor.stats().refused_descriptors, shed);
#ifndef __SANITIZE_ADDRESS__  // UBSan's look at a type opens a pipe; without one it accuses
  EXPECT_TRUE(Ask(*before, &response).ok()) << "an established connection is not harmed";
#endif

  for (const int fd : fill) close(fd);
  auto after = edge.Stub();
  const grpc::Status status = Ask(*after, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_GE(acceptor.stats().accepted, 2u);
  setrlimit(RLIMIT_NOFILE, &old);
  for (const int fd : strangers) close(fd);
}

}  // namespace
}  // namespace tollgate::net
