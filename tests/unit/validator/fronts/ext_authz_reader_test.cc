// Envoy's question, read off the wire.
#include "validator/fronts/ext_authz_reader.h"

#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/fronts/check_by_protobuf.h"

namespace tollgate::validator {
namespace {

using envoy::service::auth::v3::CheckRequest;
using ::testing::ElementsAre;
using ::testing::Pair;

auto* HttpOf(CheckRequest* message) {
  return message->mutable_attributes()->mutable_request()->mutable_http();
}
void AddHeader(CheckRequest* message, const std::string& key, const std::string& value) {
  auto* entry = HttpOf(message)->add_headers();
  entry->set_key(key);
  entry->set_value(value);
}
void AddRaw(CheckRequest* message, const std::string& key, const std::string& value) {
  auto* line = HttpOf(message)->mutable_header_map()->add_headers();
  line->set_key(key);
  line->set_raw_value(value);
}
void AddExtension(CheckRequest* message, const std::string& key, const std::string& value) {
  auto* entry = message->mutable_attributes()->add_context_extensions();
  entry->set_key(key);
  entry->set_value(value);
}

CheckRequest Get(const std::string& path) {
  CheckRequest message;
  auto* http = HttpOf(&message);
  http->set_method("GET");
  http->set_host("api.example:8443");
  http->set_path(path);
  return message;
}

// A question as it comes over the wire, and what is read of it.
struct Question {
  explicit Question(const CheckRequest& message) : Question(message.SerializeAsString()) {}
  explicit Question(const std::string& text)
      : bytes(text.begin(), text.end()), read(ReadCheck(view())) {}

  absl::string_view view() const { return absl::string_view(bytes.data(), bytes.size()); }

  // Of exactly its size, so that asan sees the first byte read past it.
  const std::vector<char> bytes;
  const absl::StatusOr<CheckedRequest> read;
};

std::string ReasonOf(const Question& question) { return base::ReasonOf(question.read.status()); }

// How a request's headers come: as a map, and where the proxy encodes raw headers.
class ReadCheckTest : public ::testing::TestWithParam<bool> {
 protected:
  void Add(CheckRequest* message, const std::string& key, const std::string& value) {
    GetParam() ? AddRaw(message, key, value) : AddHeader(message, key, value);
  }
};
INSTANTIATE_TEST_SUITE_P(Headers, ReadCheckTest, ::testing::Values(false, true),
                         [](const auto& i) { return i.param ? "Raw" : "Map"; });

TEST_P(ReadCheckTest, TheRequestIsAsTheClientSentIt) {
  CheckRequest message = Get("/v1/a%2fb?x=1&y");
  Add(&message, ":authority", "other.example");
  Add(&message, ":path", "/other");
  Add(&message, ":method", "POST");
  Add(&message, "authorization", "Bearer tgw_x");
  Add(&message, "x-note", "caf\xe9");
  const Question question(message);
  const auto& read = question.read;
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request.method, "GET");
  EXPECT_EQ(read->request.host, "api.example:8443");
  EXPECT_EQ(read->request.target, "/v1/a%2fb?x=1&y");
  EXPECT_EQ(read->request.requirement, "");
  EXPECT_FALSE(read->grpc);
  EXPECT_THAT(ValuesOf(*read).headers,
              ElementsAre(Pair("authorization", "Bearer tgw_x"), Pair("x-note", "caf\xe9")));
}

TEST_P(ReadCheckTest, TheClientIsWhoIsConnectedAndNoHeaderSaysOtherwise) {
  CheckRequest message = Get("/");
  Add(&message, "x-forwarded-for", "198.51.100.1");
  Add(&message, "x-envoy-external-address", "198.51.100.2");
  EXPECT_TRUE(Question(message).read->request.client.empty());
  auto* socket =
      message.mutable_attributes()->mutable_source()->mutable_address()->mutable_socket_address();
  socket->set_address("::ffff:192.0.2.7");
  EXPECT_EQ(Question(message).read->request.client.text(), "192.0.2.7");
  socket->set_address("edge.example\xff");
  EXPECT_TRUE(Question(message).read->request.client.empty());
}

TEST_P(ReadCheckTest, ALineThatComesTwiceIsSeenTwice) {
  CheckRequest message = Get("/");
  Add(&message, "authorization", "Bearer a");
  Add(&message, "authorization", "Bearer b");
  const Question question(message);
  const auto& read = question.read;
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(ValuesOf(*read).headers,
              ElementsAre(Pair("authorization", "Bearer a"), Pair("authorization", "Bearer b")));
}

TEST_P(ReadCheckTest, NothingIsCopied) {
  CheckRequest message = Get("/a-path");
  Add(&message, "authorization", "Bearer a-token");
  AddExtension(&message, "tollgate_requirement", "admin");
  const Question question(message);
  const auto& read = question.read;
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(LiesIn(question.view(), *read));
  EXPECT_FALSE(LiesIn(question.view().substr(0, question.bytes.size() / 2), *read));
}

TEST_P(ReadCheckTest, GrpcIsToldByItsType) {
  for (const auto& [type, grpc] : std::map<std::string, bool>{{"application/grpc", true},
                                                              {"application/grpc+proto", true},
                                                              {"application/grpc;x", true},
                                                              {"application/grpc-web", false},
                                                              {"application/json", false},
                                                              {"", false}}) {
    CheckRequest message = Get("/a.B/C");
    Add(&message, "content-type", type);
    const Question question(message);
    const auto& read = question.read;
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->grpc, grpc) << type;
  }
}

TEST_P(ReadCheckTest, HeadersAreBounded) {
  CheckRequest message = Get("/");
  for (size_t i = 0; i < kMostCheckHeaders; ++i) Add(&message, absl::StrCat("h", i), "v");
  EXPECT_TRUE(Question(message).read.ok());
  Add(&message, "one-more", "v");
  EXPECT_EQ(ReasonOf(Question(message)), "MALFORMED_REQUEST");
}

TEST(ReadExtensionsTest, ARequirementComesFromTheProxysConfiguration) {
  CheckRequest message = Get("/");
  AddExtension(&message, "someone_elses", "x");
  AddExtension(&message, "tollgate_requirement", "admin");
  const Question question(message);
  const auto& read = question.read;
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->request.requirement, "admin");
}

struct BadCase {
  std::string name;
  void (*spoil)(CheckRequest*);
};
class BadCheckTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadCheckTest, IsRefused) {
  CheckRequest message = Get("/");
  ASSERT_TRUE(Question(message).read.ok());
  GetParam().spoil(&message);
  EXPECT_EQ(ReasonOf(Question(message)), "MALFORMED_REQUEST");
}
INSTANTIATE_TEST_SUITE_P(
    Ways, BadCheckTest,
    ::testing::Values(
        BadCase{"Nothing", [](CheckRequest* m) { m->Clear(); }},
        BadCase{"NoHttp",
                [](CheckRequest* m) { m->mutable_attributes()->mutable_request()->Clear(); }},
        BadCase{"HeadersInBothForms",
                [](CheckRequest* m) {
                  AddHeader(m, "a", "b");
                  AddRaw(m, "a", "b");
                }},
        BadCase{"BothValues",
                [](CheckRequest* m) {
                  AddRaw(m, "a", "b");
                  HttpOf(m)->mutable_header_map()->mutable_headers(0)->set_value("b");
                }},
        BadCase{"AQueryBesideThePath", [](CheckRequest* m) { HttpOf(m)->set_query("x=1"); }},
        BadCase{"AMistypedExtension",
                [](CheckRequest* m) { AddExtension(m, "tollgate_requirment", "admin"); }},
        BadCase{"AnExtensionWithDashes",
                [](CheckRequest* m) { AddExtension(m, "tollgate-requirement", "admin"); }},
        BadCase{"AnExtensionInAnotherCase",
                [](CheckRequest* m) { AddExtension(m, " Tollgate_Requirement", "admin"); }},
        BadCase{"AnEmptyRequirement",
                [](CheckRequest* m) { AddExtension(m, "tollgate_requirement", ""); }},
        BadCase{"TwoRequirements",
                [](CheckRequest* m) {
                  AddExtension(m, "tollgate_requirement", "admin");
                  AddExtension(m, "tollgate_requirement", "reader");
                }}),
    [](const auto& i) { return i.param.name; });

// ---- the wire

enum WireType : uint32_t { kVarint, kFixed64, kText, kGroup, kEndGroup, kFixed32 };

// `length`: of at least so many bytes, as no writer writes it.
std::string Varint(uint64_t value, size_t length = 1) {
  std::string bytes;
  for (; value >= 0x80 || bytes.size() + 1 < length; value >>= 7) {
    bytes.push_back(static_cast<char>(value | 0x80));
  }
  bytes.push_back(static_cast<char>(value));
  return bytes;
}
std::string Tag(uint64_t field, WireType type) { return Varint(field << 3 | type); }
std::string Text(uint64_t field, const std::string& text) {
  return Tag(field, kText) + Varint(text.size()) + text;
}
std::string Number(uint64_t field, uint64_t value) { return Tag(field, kVarint) + Varint(value); }

// By the contract's numbers: what a message holds, wrapped in those that hold it.
std::string InAttributes(const std::string& fields) { return Text(1, fields); }
std::string InRequest(const std::string& fields) { return InAttributes(Text(4, fields)); }
std::string InHttp(const std::string& fields) { return InRequest(Text(2, fields)); }
std::string InHeader(const std::string& fields) { return InHttp(Text(13, Text(1, fields))); }
std::string InEntry(const std::string& fields) { return InHttp(Text(3, fields)); }
std::string InExtension(const std::string& fields) {
  return InAttributes(Text(4, Text(2, "")) + Text(10, fields));
}
std::string InPeer(const std::string& fields) {
  return InAttributes(Text(4, Text(2, "")) + Text(1, fields));
}

struct WireCase {
  std::string name;
  std::string bytes;
  bool protobuf_reads_it;
};
class RefusedWireTest : public ::testing::TestWithParam<WireCase> {};

TEST_P(RefusedWireTest, IsRefused) {
  const WireCase& c = GetParam();
  const google::protobuf::LogSilencer quiet;
  CheckRequest message;
  EXPECT_EQ(message.ParseFromString(c.bytes), c.protobuf_reads_it);
  EXPECT_EQ(ReasonOf(Question(c.bytes)), "MALFORMED_REQUEST");
  EXPECT_EQ(DifferenceFromProtobuf(c.bytes), "");
}

const std::string kGet = Text(2, "GET");
const std::string kTooLong = Tag(7, kText) + Varint(100);

INSTANTIATE_TEST_SUITE_P(
    NoMessage, RefusedWireTest,
    ::testing::Values(
        WireCase{"FieldZero", InHttp(kGet + Text(0, "")), false},
        WireCase{"ATagThatEnds", InHttp("") + "\xf8", false},
        WireCase{"ATagOfSixBytes", InHttp(Varint(20 << 3 | kVarint, 6) + "x"), false},
        WireCase{"AnEndlessVarint", InHttp(Tag(20, kVarint) + Varint(1, 11)), false},
        WireCase{"AVarintThatEnds", InHttp(Tag(20, kVarint) + "\x80"), false},
        WireCase{"ALengthOfSixBytes", InHttp(Tag(2, kText) + Varint(1, 6) + "G"), false},
        WireCase{"ALengthThatEnds", InHttp(Tag(2, kText) + "\x80"), false},
        WireCase{"ALengthOfAll", InHttp(Tag(2, kText) + Varint(0xffffffff) + "GET"), false},
        WireCase{"AShortFixed64", InHttp(Tag(20, kFixed64) + "1234567"), false},
        WireCase{"AShortFixed32", InHttp(Tag(20, kFixed32) + "123"), false},
        WireCase{"WireTypeSix", InHttp(Varint(20 << 3 | 6)), false},
        WireCase{"WireTypeSeven", InHttp(Varint(20 << 3 | 7)), false},
        WireCase{"AGroupsEnd", InHttp(Tag(20, kEndGroup)), false},
        // Longer than what it is in, though not than all.
        WireCase{"PastTheMessages", kTooLong + std::string(99, 'x'), false},
        WireCase{"PastTheAttributes", InAttributes(kTooLong) + Text(9, std::string(200, 'x')),
                 false},
        WireCase{"PastTheRequests", InRequest(kTooLong) + Text(9, std::string(200, 'x')), false},
        WireCase{"PastTheHttps", InHttp(kTooLong) + Text(9, std::string(200, 'x')), false},
        WireCase{"PastTheEntrys", InEntry(kTooLong) + Text(9, std::string(200, 'x')), false},
        WireCase{"PastTheHeaders", InHeader(kTooLong) + Text(9, std::string(200, 'x')), false},
        WireCase{"PastThePeers", InPeer(kTooLong) + Text(9, std::string(200, 'x')), false},
        WireCase{"AHeadersNameIsNoText", InHeader(Text(1, "caf\xe9")), false},
        WireCase{"AnEntrysNameIsNoText", InEntry(Text(1, "\xed\xa0\x80")), false},
        WireCase{"AnExtensionsNameIsNoText", InExtension(Text(1, "\xc0\x80")), false}),
    [](const auto& i) { return i.param.name; });

// What protobuf would merge, or pass over.
INSTANTIATE_TEST_SUITE_P(
    Ambiguous, RefusedWireTest,
    ::testing::Values(
        WireCase{"AttributesTwice", InHttp(kGet) + InHttp(""), true},
        WireCase{"RequestTwice", InAttributes(Text(4, Text(2, kGet)) + Text(4, "")), true},
        WireCase{"HttpTwice", InRequest(Text(2, kGet) + Text(2, "")), true},
        WireCase{"MethodTwice", InHttp(kGet + Text(2, "POST")), true},
        WireCase{"PathTwice", InHttp(Text(4, "/a") + Text(4, "/b")), true},
        WireCase{"HostTwice", InHttp(Text(5, "a") + Text(5, "a")), true},
        WireCase{"QueryTwice", InHttp(Text(7, "a") + Text(7, "")), true},
        WireCase{"HeaderMapTwice", InHttp(Text(13, "") + Text(13, "")), true},
        WireCase{"KeyTwice", InHeader(Text(1, "a") + Text(1, "b")), true},
        WireCase{"ValueTwice", InHeader(Text(2, "a") + Text(2, "b")), true},
        WireCase{"RawValueTwice", InHeader(Text(3, "a") + Text(3, "")), true},
        WireCase{"EntrysKeyTwice", InEntry(Text(1, "a") + Text(1, "b")), true},
        WireCase{"EntrysValueTwice", InEntry(Text(2, "a") + Text(2, "b")), true},
        WireCase{"ExtensionsValueTwice", InExtension(Text(2, "a") + Text(2, "b")), true},
        WireCase{"SourceTwice", InAttributes(Text(4, Text(2, "")) + Text(1, "") + Text(1, "")),
                 true},
        WireCase{"AddressTwice", InPeer(Text(1, "") + Text(1, "")), true},
        WireCase{"SocketAddressTwice", InPeer(Text(1, Text(1, "") + Text(1, ""))), true},
        WireCase{"IpAddressTwice", InPeer(Text(1, Text(1, Text(2, "a") + Text(2, "b")))), true},
        WireCase{"AttributesAsANumber", InHttp(kGet) + Number(1, 1), true},
        WireCase{"MethodAsANumber", InHttp(Number(2, 1)), true},
        WireCase{"HeadersAsANumber", InHttp(Number(3, 1)), true},
        WireCase{"AHeaderAsANumber", InHttp(Text(13, Number(1, 1))), true},
        WireCase{"AnExtensionAsANumber", InAttributes(Text(4, Text(2, "")) + Number(10, 1)), true},
        WireCase{"AnUnknownGroup", InHttp(kGet + Tag(20, kGroup) + Tag(20, kEndGroup)), true},
        WireCase{"AKnownGroup", InHttp(Tag(2, kGroup) + Tag(2, kEndGroup)), true},
        WireCase{"ATagOfMoreThan32Bits",
                 InHttp(Varint(uint64_t{1} << 32 | 2 << 3 | kText) + "\3GET"), true}),
    [](const auto& i) { return i.param.name; });

class ReadWireTest : public ::testing::TestWithParam<WireCase> {};

TEST_P(ReadWireTest, IsReadAsByProtobuf) {
  const Question question(GetParam().bytes);
  EXPECT_TRUE(question.read.ok()) << question.read.status();
  EXPECT_EQ(DifferenceFromProtobuf(question.view()), "");
}
INSTANTIATE_TEST_SUITE_P(
    Ways, ReadWireTest,
    ::testing::Values(
        WireCase{"EmptyHttp", InHttp(""), true},
        WireCase{"UnknownFields",
                 InHttp(kGet + Number(20, ~uint64_t{0}) + Text(21, "x") + Tag(22, kFixed64) +
                        "12345678" + Tag(23, kFixed32) + "1234"),
                 true},
        WireCase{"TheHighestField", InHttp(Number((1 << 29) - 1, 1)), true},
        WireCase{"LongVarints", InHttp(Varint(2 << 3 | kText, 5) + Varint(3, 5) + "GET"), true},
        WireCase{"ALongNumber", InHttp(Tag(20, kVarint) + Varint(1, 10)), true},
        WireCase{"ValuesThatAreNoText", InHeader(Text(1, "a") + Text(3, "caf\xe9")), true},
        WireCase{"ANameInUtf8", InEntry(Text(1, "\xf0\x9f\x8c\x8d") + Text(2, "v")), true},
        WireCase{"EmptyBesideRaw", InHeader(Text(2, "") + Text(3, "raw")), true},
        WireCase{"AMapsThirdField", InEntry(Text(1, "a") + Text(3, "b") + Text(3, "c")), true},
        WireCase{"AnEmptyHeaderMapBesideHeaders", InHttp(Text(3, Text(1, "a")) + Text(13, "")),
                 true},
        WireCase{"BodiesAreNotLookedAt", InHttp(Text(11, "a") + Text(11, "b") + Number(12, 1)),
                 true}),
    [](const auto& i) { return i.param.name; });

TEST(WireTest, WhateverIsTornIsReadAsByProtobuf) {
  CheckRequest message = Get("/v1/a?b=c");
  AddRaw(&message, "authorization", std::string(200, 'x'));
  AddExtension(&message, "tollgate_requirement", "admin");
  message.mutable_attributes()->mutable_source()->mutable_address()->mutable_socket_address();
  const std::string whole = message.SerializeAsString();
  for (size_t size = 0; size <= whole.size(); ++size) {
    const Question torn(whole.substr(0, size));
    EXPECT_EQ(DifferenceFromProtobuf(torn.view()), "") << size;
  }
}

// ---- many questions, by seed

// Makes questions as Envoy makes them, and now and then as nobody does.
class Questions {
 public:
  explicit Questions(uint32_t seed) : random_(seed) {}

  std::string Next() {
    // Of some nothing is odd, of some a little, of some a lot.
    odds_ = OneOf<uint32_t>({0, 0, 60, 60, 12});
    std::string bytes = Sub(1, [this] { return Attributes(); });
    for (uint32_t i = Below(4); i > 1; --i) Spoil(&bytes);
    return bytes;
  }

 private:
  uint32_t Below(uint32_t end) { return static_cast<uint32_t>(random_() % end); }
  bool Odd() { return odds_ != 0 && Below(odds_) == 0; }
  template <class T>
  T OneOf(const std::vector<T>& values) {
    return values[Below(static_cast<uint32_t>(values.size()))];
  }

  std::string OddVarint(uint64_t value) { return Varint(value, Odd() ? 1 + Below(11) : 1); }

  // A field of text or of a message, by what `fill` returns: once, but for odd ones.
  template <class Fill>
  std::string Sub(uint64_t field, Fill fill) {
    if (Odd()) return "";
    if (Odd()) return Number(field, Below(300));
    std::string bytes;
    do {
      const std::string held = fill();
      const uint64_t above = Odd() ? uint64_t{1} << 32 : 0;
      bytes += OddVarint(above | field << 3 | kText);
      bytes += OddVarint(held.size() + (Odd() ? Below(9) : 0)) + held;
    } while (Odd());
    return bytes;
  }
  std::string Words(uint64_t field, const std::vector<std::string>& words) {
    return Sub(field,
               [&] { return Odd() ? OneOf<std::string>({"", "\xff", ":a"}) : OneOf(words); });
  }
  // What the contract does not name.
  std::string Unknown() {
    const uint64_t field = 14 + Below(200);
    switch (Below(odds_ == 0 ? 4 : 6)) {
      case 0:
        return Number(field, random_());
      case 1:
        return Text(field, std::string(Below(200), 'u'));
      case 2:
        return Tag(field, kFixed64) + "12345678";
      case 3:
        return Tag(field, kFixed32) + "1234";
      case 4:
        return Tag(field, kGroup) + Number(1, 1) + Tag(field, kEndGroup);
      default:
        return Varint(Below(400)) + "x";
    }
  }
  // In any order.
  std::string Mixed(std::vector<std::string> fields) {
    if (Below(3) == 0) fields.push_back(Unknown());
    std::shuffle(fields.begin(), fields.end(), random_);
    std::string bytes;
    for (const std::string& field : fields) bytes += field;
    return bytes;
  }

  std::string Attributes() {
    std::vector<std::string> fields = {
        Sub(4, [this] { return Mixed({Sub(2, [this] { return Http(); })}); })};
    if (Below(2) == 0) fields.push_back(Sub(1, [this] { return Source(); }));
    for (uint32_t i = Below(3); i > 1; --i) {
      fields.push_back(Sub(10, [this] {
        return Mixed({Words(1, {"tollgate_requirement", "route", " Tollgate-x"}),
                      Words(2, {"admin", "reader"})});
      }));
    }
    return Mixed(std::move(fields));
  }
  std::string Source() {
    return Mixed({Sub(1, [this] {
      return Mixed({Sub(1, [this] { return Mixed({Words(2, {"192.0.2.1", "::1", "pipe"})}); })});
    })});
  }
  std::string Http() {
    std::vector<std::string> fields = {Words(2, {"GET", "POST"}), Words(4, {"/", "/a?b", "*"}),
                                       Words(5, {"api.example", "[::1]:80"})};
    if (Odd()) fields.push_back(Words(7, {"x=1"}));
    if (Below(3) == 0) fields.push_back(Words(11, {"body", "\xfe"}));
    const bool raw = Below(2) == 0;
    if (!raw || Odd()) {
      for (uint32_t i = Below(5); i > 0; --i) {
        fields.push_back(Sub(3, [this] { return Mixed({Key(), Words(2, Values())}); }));
      }
    }
    if (raw || Odd()) {
      fields.push_back(Sub(13, [this] {
        std::vector<std::string> lines;
        for (uint32_t i = Below(5); i > 0; --i) {
          lines.push_back(Sub(1, [this] {
            std::vector<std::string> line = {Key(), Words(3, Values())};
            if (Odd()) line.push_back(Words(2, Values()));
            return Mixed(std::move(line));
          }));
        }
        return Mixed(std::move(lines));
      }));
    }
    return Mixed(std::move(fields));
  }
  std::string Key() {
    return Words(1, {"authorization", ":path", "content-type", "x-\xc3\xa9", "Content-Type"});
  }
  static std::vector<std::string> Values() {
    return {"Bearer tgw_x",       "application/grpc", "application/grpc-web", "caf\xe9", "",
            std::string(300, 'v')};
  }

  void Spoil(std::string* bytes) {
    if (odds_ == 0 || bytes->empty()) return;
    const size_t at = Below(static_cast<uint32_t>(bytes->size()));
    switch (Below(5)) {
      case 0:
        bytes->resize(at);
        return;
      case 1:
        bytes->erase(at, 1);
        return;
      case 2:
        bytes->insert(at, 1, static_cast<char>(Below(256)));
        return;
      case 3:
        (*bytes)[at] = static_cast<char>((*bytes)[at] ^ 1 << Below(8));
        return;
      default:
        (*bytes)[at] = static_cast<char>(Below(256));
    }
  }

  std::mt19937 random_;
  uint32_t odds_ = 0;  // of each choice, one in so many; 0: none
};

TEST(ManyQuestionsTest, AreReadAsByProtobuf) {
  constexpr uint32_t kSeed = 20261201;
  const google::protobuf::LogSilencer quiet;
  Questions questions(kSeed);
  int read = 0;
  int refused = 0;
  int refused_here_only = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Question question(questions.Next());
    ASSERT_EQ(DifferenceFromProtobuf(question.view()), "")
        << "seed " << kSeed << ", question " << i << ": "
        << absl::BytesToHexString(question.view());
    CheckRequest message;
    const bool by_protobuf =
        message.ParseFromArray(question.bytes.data(), static_cast<int>(question.bytes.size())) &&
        ReadByProtobuf(message).ok();
    (question.read.ok() ? read : by_protobuf ? refused_here_only : refused)++;
  }
  EXPECT_GT(read, 5'000);
  EXPECT_GT(refused, 1'000);
  EXPECT_GT(refused_here_only, 1'000);
}

}  // namespace
}  // namespace tollgate::validator
