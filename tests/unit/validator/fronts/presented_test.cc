#include "validator/fronts/presented.h"

#include <grpcpp/support/slice.h>

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "gtest/gtest.h"
#include "net/wire.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::validator {
namespace {

TEST(PresentedTest, OneCharacterTooManyIsKeptAndNoMore) {
  for (const size_t length : {size_t{0}, size_t{1}, kLongestTokenString, kLongestTokenString + 1}) {
    EXPECT_EQ(Presented::CopyOf(std::string(length, 'x')).token_string().size(), length);
  }
  EXPECT_EQ(Presented::CopyOf(std::string(1 << 20, 'x')).token_string().size(),
            kLongestTokenString + 1);
}

TEST(PresentedTest, TakesAndLeavesNothing) {
  for (const size_t length : {size_t{8}, size_t{70}}) {  // in the string object, and outside it
    const std::string secret(length, 's');
    std::string from = secret;
    const Presented presented = Presented::TakeFrom(&from);
    EXPECT_EQ(presented.token_string(), secret);
    EXPECT_TRUE(from.empty());
    from.resize(from.capacity());
    EXPECT_EQ(from.find('s'), std::string::npos);
  }
}

TEST(PresentedTest, AMovedFromOneIsEmptyAndAWipedOneToo) {
  Presented first = Presented::CopyOf("secret");
  Presented second = std::move(first);
  EXPECT_EQ(first.token_string(), "");  // NOLINT(bugprone-use-after-move): that is the claim
  EXPECT_EQ(second.token_string(), "secret");
  first = std::move(second);
  EXPECT_EQ(first.token_string(), "secret");
  first.Wipe();
  first.Wipe();
  EXPECT_EQ(first.token_string(), "");
}

TEST(PresentedTest, ARequestsBytesAreWipedWhetherOrNotTheyParse) {
  v1::ValidateRequest request;
  request.set_token_string(std::string(70, 's'));
  for (const bool whole : {true, false}) {
    const std::string bytes = request.SerializeAsString() + (whole ? "" : "\xff");
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer buffer(&slice, 1);
    v1::ValidateRequest parsed;
    const absl::Status status = ParseAndWipe(buffer, &parsed);
    EXPECT_EQ(status.ok(), whole);
    if (whole) {
      EXPECT_EQ(parsed.token_string(), request.token_string());
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(base::ReasonOf(status), "MALFORMED_REQUEST");
    }
    for (const uint8_t byte : slice) ASSERT_EQ(byte, 0);
  }
}

TEST(RequestBytesTest, OnePieceIsReadWhereItLiesAndWipedAfterwards) {
  const grpc::Slice slice(std::string(70, 's'));
  const grpc::ByteBuffer buffer(&slice, 1);
  {
    const RequestBytes held(buffer);
    EXPECT_EQ(held.view(), std::string(70, 's'));
    EXPECT_EQ(held.view().data(), reinterpret_cast<const char*>(slice.begin()));
  }
  for (const uint8_t byte : slice) ASSERT_EQ(byte, 0);
}

TEST(RequestBytesTest, SeveralPiecesAreReadAsOneAndWiped) {
  const grpc::Slice slices[] = {grpc::Slice(std::string(70, 's')),
                                grpc::Slice(std::string(50, 't'))};
  const grpc::ByteBuffer buffer(slices, 2);
  const RequestBytes held(buffer);
  EXPECT_EQ(held.view(), std::string(70, 's') + std::string(50, 't'));
  for (const grpc::Slice& slice : slices) {
    for (const uint8_t byte : slice) ASSERT_EQ(byte, 0);
  }
}

TEST(RequestBytesTest, OfNothingThereIsNothing) {
  EXPECT_EQ(RequestBytes(grpc::ByteBuffer()).view(), "");
  EXPECT_EQ(RequestBytes(grpc::ByteBuffer(nullptr, 0)).view(), "");
}

}  // namespace
}  // namespace tollgate::validator
