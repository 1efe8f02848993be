#include "validator/fronts/ext_authz_message.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "envoy/service/auth/v3/external_auth.pb.h"

namespace tollgate::validator {
namespace {

using envoy::config::core::v3::HeaderValue;
using envoy::config::core::v3::HeaderValueOption;
using envoy::service::auth::v3::CheckResponse;
using envoy::service::auth::v3::DeniedHttpResponse;
using envoy::service::auth::v3::OkHttpResponse;
using google::protobuf::Struct;
using google::protobuf::Value;

// The fields of a map's entry.
constexpr int kMapKey = 1;
constexpr int kMapValue = 2;

// The gRPC status of a refusal's HTTP status; UNKNOWN: no refusal has it.
absl::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 400:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 500:
      return absl::StatusCode::kInternal;
    case 503:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kUnknown;
  }
}

// Where a byte must not stand. Envoy parses values as UTF-8, and takes neither line ends nor NUL; a
// name has no space either, and a colon would make it a pseudo header's.
constexpr uint8_t kNotInText = 1;
constexpr uint8_t kNotInName = 2;

constexpr std::array<uint8_t, 256> MakeBans() {
  std::array<uint8_t, 256> bans = {};
  for (size_t byte = 0; byte < bans.size(); ++byte) {
    if (byte < 0x20 || byte > 0x7e) bans[byte] = kNotInText | kNotInName;
  }
  bans[' '] = kNotInName;
  bans[':'] = kNotInName;
  return bans;
}
constexpr std::array<uint8_t, 256> kBans = MakeBans();

// Looks at every byte, which is quicker than to stop at the first.
uint8_t BansOf(absl::string_view text) {
  uint8_t bans = 0;
  for (const char c : text) bans |= kBans[static_cast<unsigned char>(c)];
  return bans;
}
bool IsPlain(absl::string_view text) { return (BansOf(text) & kNotInText) == 0; }
bool IsName(absl::string_view text) { return !text.empty() && (BansOf(text) & kNotInName) == 0; }
// A body may have lines.
bool IsText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isprint(c) || c == '\n'; });
}
bool IsReadable(const std::pair<std::string, std::string>& header) {
  return IsName(header.first) && IsPlain(header.second) &&
         !absl::EqualsIgnoreCase(header.first, "host");  // by which the proxy may route
}
bool IsReadable(const GateAnswer::Headers& headers) {
  return std::all_of(headers.begin(), headers.end(),
                     [](const auto& header) { return IsReadable(header); });
}

// Writes a message in its wire format, field by field, in the order of their numbers. An answer has
// some fifty small parts: as objects of protobuf they would cost three times what all else does.
// Like protobuf it leaves out what is empty, but for a message.
class Writer {
 public:
  // `expected`: bytes, of which there may be more.
  explicit Writer(size_t expected) : bytes_(expected, '\0') {}

  void Number(int field, uint64_t value) {
    if (value == 0) return;
    char* end = RoomFor(2 * kLongestVarint);
    end = PutTag(field, kVarint, end);
    SetEnd(PutVarint(value, end));
  }
  void Text(int field, absl::string_view text) {
    if (!text.empty()) Element(field, text);
  }
  // Of a list, where an empty one counts.
  void Element(int field, absl::string_view text) {
    char* const begin = BeginElement(field, text.size());
    SetEnd(std::copy(text.begin(), text.end(), begin));
  }
  // The same in lower case.
  void LowerElement(int field, absl::string_view text) {
    char* const begin = BeginElement(field, text.size());
    SetEnd(std::transform(text.begin(), text.end(), begin, [](char c) {
      return absl::ascii_tolower(static_cast<unsigned char>(c));
    }));
  }
  // `fill` writes the message's own fields.
  template <class Fill>
  void Message(int field, Fill fill) {
    // Its length takes one byte for most; room is for more.
    SetEnd(PutTag(field, kLengthDelimited, RoomFor(2 * kLongestVarint)) + 1);
    const size_t begin = size_;
    fill();
    const size_t length = size_ - begin;
    if (length < 0x80) {
      bytes_[begin - 1] = static_cast<char>(length);
      return;
    }
    char prefix[kLongestVarint];
    const auto longer = static_cast<size_t>(PutVarint(length, prefix) - prefix) - 1;
    RoomFor(longer);
    char* const message = bytes_.data() + begin;
    std::copy_backward(message, message + length, message + length + longer);
    std::copy(prefix, prefix + longer + 1, message - 1);
    size_ += longer;
  }

  // What was written. Once, at the end.
  std::string Take() {
    bytes_.resize(size_);
    return std::move(bytes_);
  }

 private:
  enum WireType : uint32_t { kVarint = 0, kLengthDelimited = 2 };

  static constexpr size_t kLongestVarint = 10;

  // Where the next byte goes, with room for `more` of them: asked for once for each field, so that
  // its bytes are written without a look at what room there is.
  char* RoomFor(size_t more) {
    if (bytes_.size() - size_ < more) bytes_.resize(2 * bytes_.size() + more);
    return bytes_.data() + size_;
  }
  void SetEnd(const char* end) { size_ = static_cast<size_t>(end - bytes_.data()); }

  // Writes tag and length; `length` bytes must follow where it returns.
  char* BeginElement(int field, size_t length) {
    char* const end = RoomFor(2 * kLongestVarint + length);
    return PutVarint(length, PutTag(field, kLengthDelimited, end));
  }

  // Each returns where the next byte goes.
  static char* PutTag(int field, WireType type, char* end) {
    return PutVarint(static_cast<uint32_t>(field) << 3 | type, end);
  }
  static char* PutVarint(uint64_t value, char* end) {
    for (; value >= 0x80; value >>= 7) *end++ = static_cast<char>(value | 0x80);
    *end++ = static_cast<char>(value);
    return end;
  }

  std::string bytes_;
  size_t size_ = 0;  // of what is written; behind it there is room
};

// Both forms, because what Envoy does where one is not set has changed between its versions.
void SetHeader(int field, absl::string_view name, absl::string_view value, Writer* writer) {
  writer->Message(field, [&] {
    writer->Message(HeaderValueOption::kHeaderFieldNumber, [&] {
      writer->LowerElement(HeaderValue::kKeyFieldNumber, name);
      writer->Text(HeaderValue::kValueFieldNumber, value);
    });
    writer->Message(HeaderValueOption::kAppendFieldNumber, [] {});  // false
    writer->Number(HeaderValueOption::kAppendActionFieldNumber,
                   HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD);
  });
}

// Of the client's headers these are the answer's alone: on an admitted request they would speak for
// the service behind.
bool IsOfRefusals(absl::string_view name) {
  for (const absl::string_view of_refusals :
       {"cache-control", "content-length", "content-type", "retry-after", "www-authenticate"}) {
    if (absl::EqualsIgnoreCase(name, of_refusals)) return true;
  }
  return false;
}

void WriteOk(const GateAnswer& answer, Writer* writer) {
  absl::InlinedVector<absl::string_view, 16> told;  // set, or removed
  const auto is_told = [&told](absl::string_view name) {
    return std::any_of(told.begin(), told.end(), [name](absl::string_view other) {
      return absl::EqualsIgnoreCase(name, other);
    });
  };
  for (const auto& [name, value] : answer.upstream_headers) {
    if (value.empty()) continue;
    SetHeader(OkHttpResponse::kHeadersFieldNumber, name, value, writer);
    told.push_back(name);
  }
  const auto remove = [&](absl::string_view name) {
    // Envoy removes after it has set, and never these.
    if (name.empty() || name.front() == ':' || absl::EqualsIgnoreCase(name, "host")) return;
    if (is_told(name)) return;
    writer->LowerElement(OkHttpResponse::kHeadersToRemoveFieldNumber, name);
    told.push_back(name);
  };
  // Envoy drops a header without a value, and would leave the client's in its place.
  for (const auto& [name, value] : answer.upstream_headers) {
    if (value.empty()) remove(name);
  }
  for (const std::string& name : answer.drop_headers) remove(name);
  for (const auto& [name, value] : answer.client_headers) {
    if (IsOfRefusals(name) || value.empty()) continue;
    SetHeader(OkHttpResponse::kResponseHeadersToAddFieldNumber, name, value, writer);
  }
  for (const std::string& name : answer.drop_query) {
    writer->Element(OkHttpResponse::kQueryParametersToRemoveFieldNumber, name);
  }
}

void WriteDenied(const GateAnswer& answer, int status, bool grpc, Writer* writer) {
  constexpr int kHeaders = DeniedHttpResponse::kHeadersFieldNumber;
  writer->Message(DeniedHttpResponse::kStatusFieldNumber, [&] {
    writer->Number(envoy::type::v3::HttpStatus::kCodeFieldNumber, static_cast<uint64_t>(status));
  });
  bool typed = false;
  for (const auto& [name, value] : answer.client_headers) {
    const bool type = absl::EqualsIgnoreCase(name, "content-type");
    // A gRPC status has a type of its own, which not every proxy would keep.
    if (value.empty() || (type && grpc)) continue;
    typed = typed || type;
    SetHeader(kHeaders, name, value, writer);
  }
  if (!grpc && !typed) SetHeader(kHeaders, "content-type", "application/problem+json", writer);
  // With gRPC it is the status's message.
  writer->Text(DeniedHttpResponse::kBodyFieldNumber, grpc ? answer.reason : answer.body);
}

// Adds to the Struct that is being written.
template <class Fill>
void SetField(absl::string_view key, Writer* writer, Fill fill_value) {
  writer->Message(Struct::kFieldsFieldNumber, [&] {
    writer->Element(kMapKey, key);
    writer->Message(kMapValue, fill_value);
  });
}
void SetText(absl::string_view key, absl::string_view text, Writer* writer) {
  if (text.empty()) return;
  SetField(key, writer, [&] { writer->Element(Value::kStringValueFieldNumber, text); });
}

// What Envoy's later filters and its access log may know: a Struct.
void WriteMetadata(const GateAnswer& answer, Writer* writer) {
  const tollgate::v1::Identity& identity = answer.identity;
  const absl::string_view token = identity.token();
  SetText("workspace", identity.workspace(), writer);
  SetText("token_id", token.substr(token.rfind('/') + 1), writer);
  SetText("owner", identity.owner(), writer);
  SetText("reason", answer.reason, writer);
  if (!identity.annotations().empty()) {
    SetField("annotations", writer, [&] {
      writer->Message(Value::kStructValueFieldNumber, [&] {
        for (const auto& [key, value] : identity.annotations()) SetText(key, value, writer);
      });
    });
  }
  if (identity.scopes().empty()) return;
  SetField("scopes", writer, [&] {
    writer->Message(Value::kListValueFieldNumber, [&] {
      for (const std::string& scope : identity.scopes()) {
        writer->Message(google::protobuf::ListValue::kValuesFieldNumber,
                        [&] { writer->Element(Value::kStringValueFieldNumber, scope); });
      }
    });
  });
}

bool IsReadable(const GateAnswer& answer) {
  return IsReadable(answer.upstream_headers) && IsReadable(answer.client_headers) &&
         std::all_of(answer.drop_headers.begin(), answer.drop_headers.end(), IsPlain) &&
         std::all_of(answer.drop_query.begin(), answer.drop_query.end(), IsPlain) &&
         IsText(answer.body) && IsPlain(answer.reason);
}

}  // namespace

std::string WriteCheckResponse(const GateAnswer& answer, bool grpc) {
  Writer writer(1024);
  const bool readable = IsReadable(answer);
  const bool passes = answer.passes && readable;
  const bool known = !answer.passes && CodeOf(answer.status) != absl::StatusCode::kUnknown;
  const int status = passes ? 200 : known ? answer.status : 503;
  writer.Message(CheckResponse::kStatusFieldNumber, [&] {
    if (passes) return;  // OK
    writer.Number(google::rpc::Status::kCodeFieldNumber, static_cast<uint64_t>(CodeOf(status)));
    if (readable) writer.Text(google::rpc::Status::kMessageFieldNumber, answer.reason);
  });
  if (passes) {
    writer.Message(CheckResponse::kOkResponseFieldNumber, [&] { WriteOk(answer, &writer); });
  } else {
    writer.Message(CheckResponse::kDeniedResponseFieldNumber,
                   [&] { WriteDenied(readable ? answer : GateAnswer(), status, grpc, &writer); });
  }
  if (readable) {
    writer.Message(CheckResponse::kDynamicMetadataFieldNumber,
                   [&] { WriteMetadata(answer, &writer); });
  }
  return writer.Take();
}

}  // namespace tollgate::validator
