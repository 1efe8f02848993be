#include "validator/shells/resolve_client.h"

#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "net/address.h"
#include "net/credentials.h"
#include "tests/unit/validator/shells/scripted_service.h"

namespace tollgate::validator {
namespace {

class ResolveClientTest : public ScriptedServiceTest {
 protected:
  void SetUp() override { service_.Start(address_); }
  std::shared_ptr<grpc::Channel> Channel() const {
    net::ChannelOptions options;
    options.own_connection = true;
    return net::MakeChannel(net::ParseAddress(address_).value(), grpc::InsecureChannelCredentials(),
                            options);
  }
  static v1::ResolveRequest Question() {
    v1::ResolveRequest request;
    request.set_edge_digest(std::string(32, 'd'));
    return request;
  }
};

TEST_F(ResolveClientTest, StopAnswersWhatIsUnderWayAndHoldsNoChannel) {
  service_.Set([](auto& script) { script.resolve = false; });
  for (size_t round = 1; round <= 30; ++round) {
    std::weak_ptr<grpc::Channel> channel;
    std::shared_ptr<ResolveClient> client;
    {
      std::shared_ptr<grpc::Channel> made = Channel();
      channel = made;
      client = ResolveClient::Create(std::move(made), kPatience, &base::SystemClock(), nullptr);
    }
    absl::Status status;
    client->Ask(Question(), [&](const auto& answer) { status = answer.status(); });
    if (round % 2 == 0) {
      ASSERT_TRUE(service_.Wait([&](const auto& s) { return s.questions.size() >= round / 2; }));
    }
    client->Stop();
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    ASSERT_TRUE(channel.expired()) << round;
    client->Ask(Question(), [&](const auto& answer) { status = answer.status(); });
    EXPECT_EQ(base::ReasonOf(status), "SHUTTING_DOWN");
  }
}

TEST_F(ResolveClientTest, TellsHowEachCallEnded) {
  absl::StatusCode told = absl::StatusCode::kUnknown;
  auto client = ResolveClient::Create(Channel(), kPatience, &base::SystemClock(),
                                      [&](absl::StatusCode code, absl::Duration) { told = code; });
  absl::Notification answered;
  client->Ask(Question(), [&](const auto& answer) {
    EXPECT_TRUE(answer.ok() && answer->unknown());
    answered.Notify();
  });
  ASSERT_TRUE(answered.WaitForNotificationWithTimeout(kPatience));
  client->Stop();
  EXPECT_EQ(told, absl::StatusCode::kOk);
}

}  // namespace
}  // namespace tollgate::validator
