#include "validator/fronts/ext_authz_message.h"

#include <algorithm>
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

// Envoy parses values as UTF-8, and takes neither line ends nor NUL. (Looks at every character,
// which is quicker than to stop at the first.)
bool IsPlain(absl::string_view text) {
  bool plain = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    plain = plain & (byte >= 0x20) & (byte < 0x7f);
  }
  return plain;
}
// A body may have lines.
bool IsText(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isprint(c) || c == '\n'; });
}
bool IsReadable(const std::pair<std::string, std::string>& header) {
  return !header.first.empty() && IsPlain(header.first) && IsPlain(header.second) &&
         !absl::StrContains(header.first, ':') && !absl::StrContains(header.first, ' ') &&
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
  explicit Writer(std::string* out) : out_(*out) {}

  void Number(int field, uint64_t value) {
    if (value == 0) return;
    Tag(field, kVarint);
    Varint(value);
  }
  void Text(int field, absl::string_view text) {
    if (!text.empty()) Element(field, text);
  }
  // Of a list, where an empty one counts.
  void Element(int field, absl::string_view text) {
    Tag(field, kLengthDelimited);
    Varint(text.size());
    out_.append(text.data(), text.size());
  }
  // The same in lower case.
  void LowerElement(int field, absl::string_view text) {
    Element(field, text);
    for (size_t i = out_.size() - text.size(); i < out_.size(); ++i) {
      out_[i] = absl::ascii_tolower(static_cast<unsigned char>(out_[i]));
    }
  }
  // `fill` writes the message's own fields.
  template <class Fill>
  void Message(int field, Fill fill) {
    Tag(field, kLengthDelimited);
    const size_t begin = out_.size();
    out_.push_back('\0');  // its length, which is one byte for most
    fill();
    const size_t length = out_.size() - begin - 1;
    if (length < 0x80) {
      out_[begin] = static_cast<char>(length);
      return;
    }
    std::string prefix;
    Writer(&prefix).Varint(length);
    out_.replace(begin, 1, prefix);
  }

 private:
  enum WireType : uint32_t { kVarint = 0, kLengthDelimited = 2 };

  void Tag(int field, WireType type) { Varint(static_cast<uint32_t>(field) << 3 | type); }
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }

  std::string& out_;
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
  std::string bytes;
  bytes.reserve(1024);
  Writer writer(&bytes);
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
  if (!readable) return bytes;
  writer.Message(CheckResponse::kDynamicMetadataFieldNumber,
                 [&] { WriteMetadata(answer, &writer); });
  return bytes;
}

}  // namespace tollgate::validator
