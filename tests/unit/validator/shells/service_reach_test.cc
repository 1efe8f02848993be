// What the shell adds to the outage's pace: whose look it is, and what is logged.
#include "validator/shells/service_reach.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace tollgate::validator {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::Duration kPatience = absl::Seconds(30);

// The log's lines, while a test runs.
class Lines {
 public:
  Lines() {
    absl::MutexLock lock(&mu);
    lines.clear();
    base::SetLogSink(Take);
  }
  ~Lines() { base::SetLogSink(nullptr); }

  // The first line whose message begins so.
  static nlohmann::json Await(const std::string& beginning) {
    nlohmann::json found;
    const auto come = [&] {
      for (const nlohmann::json& line : lines) {
        if (line["message"].get<std::string>().rfind(beginning, 0) == 0) {
          found = line;
          return true;
        }
      }
      return false;
    };
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(mu.AwaitWithTimeout(absl::Condition(&come), kPatience)) << beginning;
    return found;
  }

 private:
  static bool Take(base::LogLevel, absl::string_view line) {
    absl::MutexLock lock(&mu);
    lines.push_back(nlohmann::json::parse(line.begin(), line.end()));
    return true;
  }
  static absl::Mutex mu;
  static std::vector<nlohmann::json> lines;
};
absl::Mutex Lines::mu;
std::vector<nlohmann::json> Lines::lines;

class ServiceReachTest : public ::testing::Test {
 protected:
  void Start(decltype(ServiceReach::Options::look) look) {
    ValidatorOptions options;
    options.follower.validator_id = "test/edge-1";
    auto validator = Validator::Create(options, base::SystemClock(), base::SystemRandom(),
                                       [](const v1::ResolveRequest&, const auto& answer) {
                                         answer(absl::UnimplementedError("nothing is asked here"));
                                       });
    ASSERT_TRUE(validator.ok()) << validator.status();
    validator_ = *std::move(validator);
    OutageOptions pace;
    pace.look_after = pace.tell_after = pace.look_twice = absl::Milliseconds(1);
    pace.look_again = absl::Milliseconds(20);
    reach_ = std::make_unique<ServiceReach>(
        ServiceReach::Options{std::move(look), validator_.get(), &base::SystemClock(),
                              &base::SystemRandom(), "svc:1", pace});
  }

  Lines lines_;
  std::unique_ptr<Validator> validator_;
  std::unique_ptr<ServiceReach> reach_;
};

net::ReachFault Fault(const std::string& reason) {
  return {absl::StatusCode::kUnavailable, reason, "why it is so", "Do this", ""};
}

TEST_F(ServiceReachTest, TellsWhatTheLookCameUponAndThenThatItIsBack) {
  Start([](const absl::Status&, const net::Interruption&) { return Fault("A_REASON"); });
  reach_->Opening();
  const nlohmann::json line = Lines::Await("cannot reach");
  EXPECT_THAT(line["message"].get<std::string>(),
              StartsWith("cannot reach the service at svc:1: why it is so ("));
  EXPECT_THAT(line["message"].get<std::string>(),
              HasSubstr("; admitting nothing until it answers. Do this"));
  EXPECT_EQ(line["service"], "svc:1");
  EXPECT_EQ(line["reason"], "A_REASON");
  EXPECT_EQ(line["level"], "warning");
  EXPECT_TRUE(line.contains("tries") && line.contains("seconds"));
  EXPECT_EQ(reach_->trouble().reason, "A_REASON");
  reach_->Followed();
  Lines::Await("following the service again, after ");
  EXPECT_EQ(reach_->trouble().reason, "");
}

TEST_F(ServiceReachTest, TheLookIsToldHowTheStreamEnded) {
  Start([](const absl::Status& ended, const net::Interruption&) {
    net::ReachFault fault;
    if (ended.code() == absl::StatusCode::kUnimplemented) fault = Fault("IS_ANOTHER");
    return fault;
  });
  reach_->Opening();
  reach_->Ended(absl::UnimplementedError(""), "", false);
  Lines::Await("cannot reach");
  EXPECT_EQ(reach_->trouble().reason, "IS_ANOTHER");
}

TEST_F(ServiceReachTest, WhereNothingIsFoundTheLastStatusIsTold) {
  Start([](const absl::Status&, const net::Interruption&) { return net::ReachFault(); });
  reach_->Opening();
  reach_->Ended(absl::UnavailableError("gRPC's words"), "", false);
  reach_->Opening();
  const nlohmann::json line = Lines::Await("cannot reach");
  EXPECT_EQ(line["reason"], "NO_ANSWER");
  EXPECT_THAT(line["message"].get<std::string>(), HasSubstr("(gRPC's words)"));
}

TEST_F(ServiceReachTest, WhatTheValidatorMayNotFollowStandsUntilSomethingElseHappens) {
  Start([](const absl::Status&, const net::Interruption&) { return Fault("REFUSED_LATER"); });
  reach_->Followed();
  reach_->Refused("BRAND_DIFFERS", "another brand");
  reach_->Ended(absl::CancelledError("CANCELLED"), "another brand", false);
  const nlohmann::json line = Lines::Await("cannot reach");
  EXPECT_EQ(line["reason"], "BRAND_DIFFERS");
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(reach_->trouble().reason, "BRAND_DIFFERS");
  // The service is stopped: that is news.
  reach_->Opening();
  reach_->Ended(absl::UnavailableError("failed to connect"), "", false);
  const absl::Time end = absl::Now() + kPatience;
  while (reach_->trouble().reason != "REFUSED_LATER") {
    ASSERT_LT(absl::Now(), end);
    absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST_F(ServiceReachTest, AStopBreaksALookOff) {
  absl::Notification looking;
  Start([&looking](const absl::Status&, const net::Interruption& stop) {
    if (!looking.HasBeenNotified()) looking.Notify();
    while (!stop.interrupted()) absl::SleepFor(absl::Milliseconds(1));
    return net::ReachFault();
  });
  reach_->Opening();
  looking.WaitForNotification();
  reach_->Stop();
  reach_->Followed();  // says nothing any more
}

}  // namespace
}  // namespace tollgate::validator
