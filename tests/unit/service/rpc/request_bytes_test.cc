#include "service/rpc/request_bytes.h"

#include <string>
#include <vector>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::service {
namespace {

using tollgate::v1::CreateTokenRequest;

grpc::ByteBuffer Bytes(const std::string& text) {
  grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

// A length-delimited field on the wire.
std::string Field(int number, const std::string& value) {
  EXPECT_LT(value.size(), 128u);
  return std::string(1, static_cast<char>(number << 3 | 2)) +
         std::string(1, static_cast<char>(value.size())) + value;
}

struct BadText {
  std::string wire;
  std::string field;
};

class NotUtf8Test : public testing::TestWithParam<BadText> {};

TEST_P(NotUtf8Test, NamesTheField) {
  CreateTokenRequest request;
  absl::Status status = ParseRequest(Bytes(GetParam().wire), &request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(status), "NOT_UTF8");
  ASSERT_EQ(base::DetailsOf(status).fields.size(), 1u);
  EXPECT_EQ(base::DetailsOf(status).fields[0].field, GetParam().field);
}

INSTANTIATE_TEST_SUITE_P(
    Table, NotUtf8Test,
    testing::Values(BadText{Field(1, "\xff"), "parent"},
                    BadText{Field(2, Field(3, "a\xc3")), "token.label"},         // cut off
                    BadText{Field(2, Field(3, "\xc0\xaf")), "token.label"},      // overlong
                    BadText{Field(2, Field(3, "\xed\xa0\x80")), "token.label"},  // a surrogate
                    BadText{Field(2, Field(3, "\xf5\x80\x80\x80")), "token.label"},
                    BadText{Field(2, Field(3, "good") + Field(4, "\x80")), "token.scopes"},
                    BadText{Field(2, Field(8, Field(1, "k") + Field(2, "\xfe"))),
                            "token.annotations"}));

TEST(ParseRequestTest, TakesUtf8OfEveryLength) {
  CreateTokenRequest in, out;
  in.mutable_token()->set_label("plain \u00e9 \u20ac \U0001F600");
  (*in.mutable_token()->mutable_annotations())["k"] = "\u00fc";
  ASSERT_TRUE(ParseRequest(Bytes(in.SerializeAsString()), &out).ok());
  EXPECT_EQ(out.SerializeAsString(), in.SerializeAsString());
}

TEST(ParseRequestTest, TakesAMessageInPieces) {
  CreateTokenRequest in, out;
  in.mutable_token()->set_label(std::string(150, 'x'));
  const std::string wire = in.SerializeAsString();
  std::vector<grpc::Slice> slices = {grpc::Slice(wire.substr(0, 60)), grpc::Slice(wire.substr(60))};
  ASSERT_TRUE(ParseRequest(grpc::ByteBuffer(slices.data(), slices.size()), &out).ok());
  EXPECT_EQ(out.token().label(), in.token().label());
}

TEST(ParseRequestTest, RefusesGarbage) {
  CreateTokenRequest request;
  for (const std::string& wire :
       {std::string("\x0a\x7fshort"), std::string("\x07"), std::string("\x0a"),
        std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Field(2, "\x0a\x7f")}) {
    absl::Status status = ParseRequest(Bytes(wire), &request);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(base::ReasonOf(status), "MALFORMED_REQUEST");
  }
}

// What SecretSlice gave back: freed after it was looked at.
struct GivenBack {
  int times = 0;
  bool wiped = true;
};
GivenBack given_back;

TEST(WriteSecretResponseTest, ItsBytesAreWipedWhenTheTransportLetsGo) {
  given_back = GivenBack();
  {
    grpc::Slice slice = SecretSlice(64, [](uint8_t* bytes, size_t size) {
      ++given_back.times;
      given_back.wiped = size == 64 && std::count(bytes, bytes + size, 0) == 64;
      delete[] bytes;
    });
    std::fill_n(const_cast<uint8_t*>(slice.begin()), slice.size(), 'x');
    const grpc::ByteBuffer bytes(&slice, 1);
    slice = grpc::Slice();
    EXPECT_EQ(given_back.times, 0) << "the transport still has it";
  }
  EXPECT_EQ(given_back.times, 1);
  EXPECT_TRUE(given_back.wiped);

  CreateTokenRequest in, out;
  in.mutable_token()->set_label("as any other");
  grpc::ByteBuffer bytes;
  WriteSecretResponse(in, &bytes);
  ASSERT_TRUE(ParseRequest(bytes, &out).ok());
  EXPECT_EQ(out.token().label(), "as any other");
}

TEST(WipeRequestTest, OverwritesTheTransportsOwnBytes) {
  static char memory[100];
  std::fill(std::begin(memory), std::end(memory), 'x');
  grpc::Slice slice(memory, sizeof(memory), grpc::Slice::STATIC_SLICE);
  grpc::ByteBuffer bytes(&slice, 1);
  WipeRequest(bytes);
  EXPECT_EQ(std::count(std::begin(memory), std::end(memory), 0), 100);
}

}  // namespace
}  // namespace tollgate::service
