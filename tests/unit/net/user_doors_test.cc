#include "net/user_doors.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "net/credentials.h"

namespace tollgate::net {
namespace {

// Answers every call with its caller's name, as an error's text.
class WhoAmI : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    class Reactor : public grpc::ServerGenericBidiReactor {
      void OnDone() override { delete this; }
    };
    auto* reactor = new Reactor();
    const absl::StatusOr<Caller> caller = CallerOf(*context);
    reactor->Finish(grpc::Status(grpc::StatusCode::ABORTED,
                                 caller.ok() ? absl::StrCat(caller->id, " ", caller->origin)
                                             : std::string(caller.status().message())));
    return reactor;
  }
};

class UserDoorsTest : public testing::Test {
 protected:
  UserDoorsTest() {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(&service_);
    doors_ = std::make_unique<UserDoors>(builder);
    server_ = builder.BuildAndStart();
  }
  ~UserDoorsTest() override { server_->Shutdown(); }

  // A client whose connection the kernel says is that user's.
  std::shared_ptr<grpc::Channel> Connect(absl::optional<uid_t> uid) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
      ADD_FAILURE() << "no socketpair";
      return nullptr;
    }
    AcceptedConnection connection;
    connection.fd = ends[0];
    connection.uid = uid;
    doors_->Take(connection);
    return grpc::CreateInsecureChannelFromFd("test", ends[1]);
  }
  static std::string Ask(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    grpc::CompletionQueue queue;
    const grpc::Slice slice("x");
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    const auto call =
        grpc::GenericStub(channel).PrepareUnaryCall(&context, "/a.B/C", request, &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status.error_message();
  }
  std::string WhoIs(absl::optional<uid_t> uid) { return Ask(Connect(uid)); }

  WhoAmI service_;
  std::unique_ptr<UserDoors> doors_;
  std::unique_ptr<grpc::Server> server_;
};

constexpr uid_t kNameless = 3'456'789;

TEST_F(UserDoorsTest, EachCallIsToldItsConnectionsUser) {
  ASSERT_EQ(getpwuid(kNameless), nullptr);
  EXPECT_EQ(WhoIs(0), "unix:root unix");
  EXPECT_EQ(WhoIs(kNameless), "unix:3456789 unix");
  EXPECT_EQ(WhoIs(0), "unix:root unix");
  const auto one = Connect(kNameless);
  const auto other = Connect(kNameless + 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Ask(one), "unix:3456789 unix");
    EXPECT_EQ(Ask(other), "unix:3456790 unix");
  }
}

// gRPC keeps what is written for as long as the connection lives.
TEST_F(UserDoorsTest, ManyCallsAtOnceOfOneConnectionAreOneUsers) {
  const auto channel = Connect(kNameless);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) EXPECT_EQ(Ask(channel), "unix:3456789 unix");
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(UserDoorsTest, WhomTheKernelDoesNotNameHasNoName) {
  EXPECT_EQ(WhoIs(absl::nullopt), "unix: unix");
}

// Nobody gets another's door.
TEST_F(UserDoorsTest, ThereIsANumberOfUsers) {
  for (size_t i = 0; i < UserDoors::kMostUsers; ++i) {
    const auto uid = static_cast<uid_t>(kNameless + i);
    EXPECT_EQ(WhoIs(uid), absl::StrCat("unix:", uid, " unix"));
  }
  EXPECT_EQ(WhoIs(0), "unix: unix");
  EXPECT_EQ(WhoIs(kNameless), absl::StrCat("unix:", kNameless, " unix"));
}

TEST(NameOfUnixUser, IsTheHostsOwn) {
  EXPECT_EQ(NameOfUnixUser(0).value(), "unix:root");
  EXPECT_EQ(NameOfUnixUser(kNameless).value(), "unix:3456789");
}

}  // namespace
}  // namespace tollgate::net
