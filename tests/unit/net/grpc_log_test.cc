#include "net/grpc_log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/log.h"
#include "nlohmann/json.hpp"

namespace tollgate::net {
namespace {

std::string Captured(void (*say)()) {
  testing::internal::CaptureStderr();
  say();
  return testing::internal::GetCapturedStderr();
}

// Back to gRPC's own way, for the tests that follow.
class GrpcLogTest : public testing::Test {
 protected:
  void TearDown() override { gpr_set_log_function(nullptr); }
};

TEST_F(GrpcLogTest, IsOneJsonObjectALineAndBounded) {
  LogWhatGrpcSays();
  const std::string text = Captured([] {
    for (int i = 0; i < 10000; ++i) gpr_log(GPR_ERROR, "handshake \"failed\"\n%d", i);
  });
  const auto lines = std::count(text.begin(), text.end(), '\n');
  ASSERT_GE(lines, 1);
  EXPECT_LE(lines, 50 * kMostGrpcLinesASecond) << "the loop takes less than 50 s";
  const nlohmann::json first = nlohmann::json::parse(text.substr(0, text.find('\n')));
  EXPECT_EQ(first["level"], "warning");
  EXPECT_EQ(first["message"], "handshake \"failed\"\n0");
  EXPECT_THAT(first["grpc"].get<std::string>(), testing::StartsWith("grpc_log_test.cc:"));
}

TEST_F(GrpcLogTest, IsNotOnACommandsStderr) {
  SilenceGrpc();
  EXPECT_EQ(Captured([] { gpr_log(GPR_ERROR, "handshake failed"); }), "");
}

}  // namespace
}  // namespace tollgate::net
