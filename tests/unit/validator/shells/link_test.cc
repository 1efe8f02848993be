// The link alone, on a scripted service.
#include "validator/shells/link.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "net/address.h"
#include "net/credentials.h"
#include "tests/unit/validator/shells/scripted_service.h"

namespace tollgate::validator {
namespace {

class LinkTest : public ScriptedServiceTest {
 protected:
  void SetUp() override { service_.Start(address_); }

  // With a validator of its own; those before it must have been stopped.
  std::shared_ptr<Link> Start() {
    ValidatorOptions options;
    options.follower.validator_id = "test/edge-1";
    options.follower.backoff_first = absl::Milliseconds(1);
    options.follower.backoff_longest = absl::Milliseconds(20);
    auto validator = Validator::Create(options, base::SystemClock(), base::SystemRandom(),
                                       [](const v1::ResolveRequest&, const auto& answer) {
                                         answer(absl::UnimplementedError("nothing is asked here"));
                                       });
    EXPECT_TRUE(validator.ok()) << validator.status();
    reach_.reset();
    validator_ = *std::move(validator);
    reach_ = std::make_unique<ServiceReach>(ServiceReach::Options{
        [](const absl::Status&, const net::Interruption&) { return net::ReachFault(); },
        validator_.get(), &base::SystemClock(), &base::SystemRandom(), address_, OutageOptions()});
    return Link::Start({validator_.get(), &base::SystemClock(),
                        [this] {
                          net::ChannelOptions options;
                          options.own_connection = true;
                          auto channel =
                              net::MakeChannel(net::ParseAddress(address_).value(),
                                               grpc::InsecureChannelCredentials(), options);
                          absl::MutexLock lock(&mu_);
                          channels_.push_back(channel);
                          return channel;
                        },
                        nullptr, reach_.get()});
  }
  size_t ChannelsMade() {
    absl::MutexLock lock(&mu_);
    return channels_.size();
  }
  bool NoChannelIsHeld() {
    absl::MutexLock lock(&mu_);
    for (const auto& channel : channels_) {
      if (!channel.expired()) return false;
    }
    return true;
  }

  std::unique_ptr<Validator> validator_;
  std::unique_ptr<ServiceReach> reach_;
  absl::Mutex mu_;
  std::vector<std::weak_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mu_);
};

// A channel that outlived Stop went on gRPC's own thread: at times a double free, at the end of the
// process.
TEST_F(LinkTest, HoldsNoChannelOnceStopped) {
  for (int round = 0; round < 30; ++round) {
    const size_t before = service_.seen().hellos.size();
    std::shared_ptr<Link> link = Start();
    if (round % 2 == 0) {
      ASSERT_TRUE(service_.Wait([&](const auto& seen) { return seen.hellos.size() > before; }));
    }
    link->Stop();
    ASSERT_TRUE(NoChannelIsHeld()) << round;
  }
}

TEST_F(LinkTest, AStreamThatWasGivenUpIsFollowedByOneOnAnotherConnection) {
  service_.Set([](auto& script) { script.pong = false; });
  std::shared_ptr<Link> link = Start();
  ASSERT_TRUE(service_.Wait([](const auto& seen) { return seen.hellos.size() >= 3; }));
  EXPECT_GE(ChannelsMade(), 3u);
  link->Stop();
  EXPECT_TRUE(NoChannelIsHeld());
}

TEST_F(LinkTest, AStreamThatTheServiceEndedIsFollowedByOneOnTheSameConnection) {
  std::shared_ptr<Link> link = Start();
  for (size_t streams = 1; streams <= 3; ++streams) {
    ASSERT_TRUE(service_.Wait([&](const auto& seen) { return seen.hellos.size() >= streams; }));
    service_.Disconnect();
  }
  ASSERT_TRUE(service_.Wait([](const auto& seen) { return seen.hellos.size() >= 4; }));
  EXPECT_EQ(ChannelsMade(), 1u);
  link->Stop();
}

TEST_F(LinkTest, AGoodbyeIsNotWaitedForWhereNobodyCouldHearIt) {
  service_.Stop();
  std::shared_ptr<Link> link = Start();
  EXPECT_FALSE(link->Goodbye(absl::InfiniteDuration())) << "and comes back";
  link->Stop();
}

}  // namespace
}  // namespace tollgate::validator
