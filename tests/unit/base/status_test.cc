#include "base/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tollgate::base {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(StatusTest, CarriesAReason) {
  const absl::Status status = Refuse(absl::StatusCode::kNotFound, "TOKEN_NOT_FOUND", "no such");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no such");
  EXPECT_EQ(ReasonOf(status), "TOKEN_NOT_FOUND");
}

TEST(StatusTest, CarriesAllDetails) {
  ErrorDetails details;
  details.reason = "STILL_IN_USE";
  details.metadata = {{"edge", "payments/edge-3"}, {"edge", "twice"}};
  details.fields = {{"name", "used 40 s ago"}, {"force", "unset"}};
  details.retry_after = absl::Milliseconds(1500);
  const ErrorDetails back =
      DetailsOf(Refuse(absl::StatusCode::kFailedPrecondition, "refused", details));
  EXPECT_EQ(back.reason, "STILL_IN_USE");
  EXPECT_THAT(back.metadata, ElementsAre(Pair("edge", "payments/edge-3"), Pair("edge", "twice")));
  ASSERT_EQ(back.fields.size(), 2u);
  EXPECT_EQ(back.fields[0].field, "name");
  EXPECT_EQ(back.fields[1].description, "unset");
  EXPECT_EQ(back.retry_after, absl::Milliseconds(1500));
}

TEST(StatusTest, AFieldIsNamedInMessageAndDetails) {
  const absl::Status status = RefuseField("LABEL_REQUIRED", "token.label", "required");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "token.label: required");
  const ErrorDetails details = DetailsOf(status);
  ASSERT_EQ(details.fields.size(), 1u);
  EXPECT_EQ(details.fields[0].field, "token.label");
  EXPECT_FALSE(details.retry_after.has_value());
}

TEST(StatusTest, ForNow) {
  const absl::Status status = RefuseForNow("DRAINING", "going", absl::Seconds(2));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DetailsOf(status).retry_after, absl::Seconds(2));
}

TEST(StatusTest, BytesThatAreNoTextAreReplacedNotThrownAt) {
  const ErrorDetails details = DetailsOf(RefuseField("R", "f\xff", "d\xfe"));
  EXPECT_EQ(details.reason, "R");
  EXPECT_EQ(details.fields[0].field, "f\xEF\xBF\xBD");
}

TEST(StatusTest, AReasonWhereNoneWasGiven) {
  EXPECT_EQ(ReasonOf(absl::ResourceExhaustedError("full")), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(ReasonOf(absl::OkStatus()), "");
  absl::Status odd = absl::InternalError("x");
  odd.SetPayload("tollgate/error-details", absl::Cord("{not json"));
  EXPECT_EQ(ReasonOf(odd), "INTERNAL");
}

TEST(StatusTest, ARefusalIsNeverOk) { EXPECT_FALSE(Refuse(absl::StatusCode::kOk, "R", "m").ok()); }

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}
absl::StatusOr<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  ASSIGN_OR_RETURN(int quarter, Half(half));
  RETURN_IF_ERROR(absl::OkStatus());
  return quarter;
}
TEST(StatusTest, Macros) {
  EXPECT_EQ(Quarter(8).value(), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
}

}  // namespace
}  // namespace tollgate::base
