#include "net/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tollgate::net {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(Error, OkStaysOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(Error, EverythingSurvivesTheWayThereAndBack) {
  base::ErrorDetails details;
  details.reason = "TOKEN_IN_USE";
  details.metadata = {{"edge", "payments/edge-3"}, {"token_id", "4mXp81QzR0aYc7Ld"}};
  details.fields = {{"token.label", "too long"}, {"token.scopes[1]", "bad"}};
  details.retry_after = absl::Milliseconds(1500);
  const absl::Status sent =
      base::Refuse(absl::StatusCode::kFailedPrecondition, "still in use", details);

  const grpc::Status wire = ToGrpcStatus(sent);
  EXPECT_EQ(wire.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(wire.error_message(), "still in use");
  google::rpc::Status parsed;
  ASSERT_TRUE(parsed.ParseFromString(wire.error_details()));
  EXPECT_EQ(parsed.code(), 9);
  EXPECT_EQ(parsed.message(), "still in use");
  ASSERT_EQ(parsed.details_size(), 3);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(parsed.details(0).UnpackTo(&info)) << "ErrorInfo stands first";
  EXPECT_EQ(info.reason(), "TOKEN_IN_USE");
  EXPECT_EQ(info.domain(), "tollgate");
  EXPECT_EQ(parsed.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");

  const absl::Status back = FromGrpcStatus(wire);
  EXPECT_EQ(back.code(), sent.code());
  EXPECT_EQ(back.message(), sent.message());
  const base::ErrorDetails got = base::DetailsOf(back);
  EXPECT_EQ(got.reason, "TOKEN_IN_USE");
  EXPECT_THAT(got.metadata,
              ElementsAre(Pair("edge", "payments/edge-3"), Pair("token_id", "4mXp81QzR0aYc7Ld")));
  ASSERT_EQ(got.fields.size(), 2u);
  EXPECT_EQ(got.fields[0].field, "token.label");
  EXPECT_EQ(got.fields[1].description, "bad");
  EXPECT_EQ(got.retry_after, absl::Milliseconds(1500));
}

class EveryCode : public testing::TestWithParam<int> {};

TEST_P(EveryCode, KeepsItsNumberAndHasAReason) {
  const absl::Status sent(static_cast<absl::StatusCode>(GetParam()), "why");
  const grpc::Status wire = ToGrpcStatus(sent);
  EXPECT_EQ(static_cast<int>(wire.error_code()), GetParam());
  const absl::Status back = FromGrpcStatus(wire);
  EXPECT_EQ(static_cast<int>(back.code()), GetParam());
  EXPECT_FALSE(base::ReasonOf(back).empty());
}

INSTANTIATE_TEST_SUITE_P(All, EveryCode, testing::Range(1, 17));

TEST(Error, ForeignStatusesKeepWhatTheyHave) {
  const absl::Status plain =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::UNAVAILABLE, "no route"));
  EXPECT_EQ(plain.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(plain.message(), "no route");
  const absl::Status garbage =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "x", std::string("\xff\xff\xff", 3)));
  EXPECT_EQ(garbage.code(), absl::StatusCode::kInternal);
}

TEST(Error, TrailersStayBoundedAndValid) {
  base::ErrorDetails details;
  details.reason = "BAD";
  for (int i = 0; i < 500; ++i)
    details.fields.push_back({"tokens[" + std::to_string(i) + "]", "too long"});
  details.metadata = {{"big", std::string(100000, 'x')}};
  const grpc::Status wire = ToGrpcStatus(
      base::Refuse(absl::StatusCode::kInvalidArgument, std::string(100000, 'm'), details));
  EXPECT_LE(wire.error_message().size(), 1024u);
  EXPECT_LE(wire.error_details().size(), 6000u);
  EXPECT_GT(base::DetailsOf(FromGrpcStatus(wire)).fields.size(), 10u);
  // Bytes that are no UTF-8 would make the message unreadable to every other language.
  const grpc::Status mended = ToGrpcStatus(
      absl::InternalError(std::string("a\xff\xc0\xaf\xed\xa0\x80 gr\xc3\xbc\xc3\x9f", 14)));
  EXPECT_EQ(mended.error_message().substr(0, 1), "a");
  EXPECT_THAT(mended.error_message(), testing::EndsWith("gr\xc3\xbc\xc3\x9f"));
  EXPECT_THAT(mended.error_message(), testing::Not(testing::HasSubstr("\xff")));
}

}  // namespace
}  // namespace tollgate::net
