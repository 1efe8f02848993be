#include "validator/fronts/ext_authz_reader.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/ip_address.h"
#include "base/status.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "policy/utf8.h"

namespace tollgate::validator {
namespace {

using envoy::config::core::v3::Address;
using envoy::config::core::v3::HeaderMap;
using envoy::config::core::v3::HeaderValue;
using envoy::config::core::v3::SocketAddress;
using envoy::service::auth::v3::AttributeContext;
using envoy::service::auth::v3::CheckRequest;

constexpr absl::string_view kOurExtensions = "tollgate_";

// Most requests have fewer headers.
constexpr size_t kUsualHeaders = 24;

constexpr size_t kLongestVarint = 10;
// Of a tag, and of a length: 32 bits.
constexpr size_t kLongestShortVarint = 5;

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

absl::Status Malformed(absl::string_view message) {
  return base::Refuse(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST", message);
}
absl::Status NoMessage() {
  return Malformed("The request is no such message, or has text that is not UTF-8.");
}

// One field of a message. Only of a length-delimited one the bytes are read.
struct Field {
  int number = 0;
  bool delimited = false;
  absl::string_view bytes;
};

// The fields of a message, one after the other, where they lie.
class Fields {
 public:
  explicit Fields(absl::string_view message)
      : next_(message.data()), end_(message.data() + message.size()) {}

  bool empty() const { return next_ == end_; }

  // Takes the next one. False: none begins there, or it is a group, of which Envoy's contract has
  // none.
  bool Take(Field* field) {
    uint64_t tag = 0;
    if (!TakeVarint(kLongestShortVarint, &tag)) return false;
    if (tag > std::numeric_limits<uint32_t>::max()) return false;
    field->number = static_cast<int>(tag >> 3);
    if (field->number == 0) return false;
    const uint64_t type = tag & 7;
    field->delimited = type == kLengthDelimited;
    uint64_t size = 0;
    switch (type) {
      case kLengthDelimited:
        if (!TakeVarint(kLongestShortVarint, &size)) return false;
        break;
      case kVarint:
        return TakeVarint(kLongestVarint, &size);
      case kFixed64:
        size = 8;
        break;
      case kFixed32:
        size = 4;
        break;
      default:
        return false;
    }
    if (size > left()) return false;
    field->bytes = absl::string_view(next_, size);
    next_ += size;
    return true;
  }

 private:
  size_t left() const { return static_cast<size_t>(end_ - next_); }

  // Of at most `longest` bytes. False: none is there.
  bool TakeVarint(size_t longest, uint64_t* value) {
    // Most have one byte.
    if (next_ != end_ && static_cast<unsigned char>(*next_) < 0x80) {
      *value = static_cast<unsigned char>(*next_++);
      return true;
    }
    return TakeLongVarint(longest, value);
  }
  bool TakeLongVarint(size_t longest, uint64_t* value) {
    const size_t most = std::min(longest, left());
    *value = 0;
    for (size_t i = 0; i < most; ++i) {
      const uint64_t byte = static_cast<unsigned char>(*next_++);
      *value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return true;
    }
    return false;
  }

  const char* next_;
  const char* end_;
};

// Calls `take(field)` for each field of a message, until one is not OK.
template <class Take>
absl::Status ForEachField(absl::string_view message, Take take) {
  Field field;
  for (Fields fields(message); !fields.empty();) {
    if (!fields.Take(&field)) return NoMessage();
    RETURN_IF_ERROR(take(field));
  }
  return absl::OkStatus();
}

// A field that a message has at most once: of two, protobuf would read the last, or both as one.
class Single {
 public:
  absl::Status Take(const Field& field) {
    if (!field.delimited) return Malformed("A field is not of the contract's type.");
    if (told_) return Malformed("A field that is there once is told twice.");
    told_ = true;
    bytes_ = field.bytes;
    return absl::OkStatus();
  }
  bool told() const { return told_; }
  absl::string_view bytes() const { return bytes_; }

 private:
  bool told_ = false;
  absl::string_view bytes_;
};

bool IsUtf8(absl::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return true;
  uint32_t point = 0;
  for (size_t i = 0; i < text.size();) {
    if (!policy::NextCodePoint(text, &i, &point)) return false;
  }
  return true;
}

// An entry of a map, or a header of a list of them, whose value may be a raw one.
struct Line {
  Single key;
  Single value;
  Single raw_value;
};

// Their numbers are the same.
static_assert(int{AttributeContext::Entry::kKeyFieldNumber} == int{HeaderValue::kKeyFieldNumber});
static_assert(int{AttributeContext::Entry::kValueFieldNumber} ==
              int{HeaderValue::kValueFieldNumber});

absl::Status ReadLine(const Field& message, bool may_be_raw, Line* line) {
  if (!message.delimited) return Malformed("A field is not of the contract's type.");
  RETURN_IF_ERROR(ForEachField(message.bytes, [&](const Field& field) {
    switch (field.number) {
      case HeaderValue::kKeyFieldNumber:
        return line->key.Take(field);
      case HeaderValue::kValueFieldNumber:
        return line->value.Take(field);
      case HeaderValue::kRawValueFieldNumber:
        return may_be_raw ? line->raw_value.Take(field) : absl::OkStatus();
      default:
        return absl::OkStatus();
    }
  }));
  return IsUtf8(line->key.bytes()) ? absl::OkStatus() : NoMessage();
}

// As Envoy tells gRPC from what only begins like it, such as gRPC-Web.
bool IsGrpc(absl::string_view content_type) {
  if (!absl::ConsumePrefix(&content_type, "application/grpc")) return false;
  return content_type.empty() || content_type.front() == '+' || content_type.front() == ';';
}

// Whether a key begins as ours do, in any case, with dashes for underscores, or after a space.
bool LooksLikeOurs(absl::string_view key) {
  std::string folded = absl::AsciiStrToLower(absl::StripAsciiWhitespace(key));
  std::replace(folded.begin(), folded.end(), '-', '_');
  return absl::StartsWith(folded, kOurExtensions);
}

// One question. Each message of it has a function of its own, so the depth is the contract's.
class Reading {
 public:
  absl::StatusOr<CheckedRequest> Read(absl::string_view bytes) {
    RETURN_IF_ERROR(ForEachField(bytes, [this](const Field& field) {
      if (field.number != CheckRequest::kAttributesFieldNumber) return absl::OkStatus();
      return attributes_.Take(field);
    }));
    RETURN_IF_ERROR(ReadAttributes());
    RETURN_IF_ERROR(ReadRequest());
    if (!http_.told()) return Malformed("No request of HTTP is in it.");
    RETURN_IF_ERROR(ReadHttp());
    RETURN_IF_ERROR(ReadSource());
    read_.request.headers = read_.headers;
    return std::move(read_);
  }

 private:
  absl::Status ReadAttributes() {
    return ForEachField(attributes_.bytes(), [this](const Field& field) {
      switch (field.number) {
        case AttributeContext::kSourceFieldNumber:
          return source_.Take(field);
        case AttributeContext::kRequestFieldNumber:
          return request_.Take(field);
        case AttributeContext::kContextExtensionsFieldNumber:
          return ReadExtension(field);
        default:
          return absl::OkStatus();
      }
    });
  }

  absl::Status ReadRequest() {
    return ForEachField(request_.bytes(), [this](const Field& field) {
      if (field.number != AttributeContext::Request::kHttpFieldNumber) return absl::OkStatus();
      return http_.Take(field);
    });
  }

  // Bodies are not looked at.
  absl::Status ReadHttp() {
    using Http = AttributeContext::HttpRequest;
    Single method;
    Single path;
    Single host;
    Single query;
    Single header_map;
    read_.headers.reserve(kUsualHeaders);
    RETURN_IF_ERROR(ForEachField(http_.bytes(), [&](const Field& field) {
      switch (field.number) {
        case Http::kMethodFieldNumber:
          return method.Take(field);
        case Http::kHeadersFieldNumber:
          return ReadMapped(field);
        case Http::kPathFieldNumber:
          return path.Take(field);
        case Http::kHostFieldNumber:
          return host.Take(field);
        case Http::kQueryFieldNumber:
          return query.Take(field);
        case Http::kHeaderMapFieldNumber:
          return header_map.Take(field);
        default:
          return absl::OkStatus();
      }
    }));
    const bool mapped = count_ > 0;
    RETURN_IF_ERROR(ForEachField(header_map.bytes(), [&](const Field& field) {
      if (field.number != HeaderMap::kHeadersFieldNumber) return absl::OkStatus();
      if (mapped) {
        return Malformed("The request tells its headers twice: in `headers` and in `header_map`.");
      }
      return ReadHeader(field);
    }));
    if (!query.bytes().empty()) return Malformed("A query is told beside the path.");
    read_.request.method = method.bytes();
    read_.request.host = host.bytes();
    read_.request.target = path.bytes();
    return absl::OkStatus();
  }

  absl::Status ReadMapped(const Field& message) {
    Line line;
    RETURN_IF_ERROR(ReadLine(message, /*may_be_raw=*/false, &line));
    return AddHeader(line.key.bytes(), line.value.bytes());
  }

  absl::Status ReadHeader(const Field& message) {
    Line line;
    RETURN_IF_ERROR(ReadLine(message, /*may_be_raw=*/true, &line));
    const absl::string_view value = line.value.bytes();
    const absl::string_view raw_value = line.raw_value.bytes();
    if (!value.empty() && !raw_value.empty()) {
      return Malformed("A header has both `value` and `raw_value`.");
    }
    return AddHeader(line.key.bytes(), raw_value.empty() ? value : raw_value);
  }

  absl::Status AddHeader(absl::string_view name, absl::string_view value) {
    if (++count_ > kMostCheckHeaders) {
      return Malformed(absl::StrCat("The request has more than ", kMostCheckHeaders, " headers."));
    }
    // A pseudo header is told by method, host and path.
    if (!name.empty() && name.front() == ':') return absl::OkStatus();
    if (absl::EqualsIgnoreCase(name, "content-type") && IsGrpc(value)) read_.grpc = true;
    read_.headers.emplace_back(name, value);
    return absl::OkStatus();
  }

  // A mistyped extension must not leave a route with less than its configuration asks for.
  absl::Status ReadExtension(const Field& message) {
    Line line;
    RETURN_IF_ERROR(ReadLine(message, /*may_be_raw=*/false, &line));
    const absl::string_view key = line.key.bytes();
    const absl::string_view value = line.value.bytes();
    if (!LooksLikeOurs(key)) return absl::OkStatus();
    if (key != kRequirementExtension) {
      return Malformed(absl::StrCat("The context extension is not known here; write `",
                                    kRequirementExtension, "`."));
    }
    if (value.empty() || !read_.request.requirement.empty()) {
      return Malformed(absl::StrCat("The context extension `", kRequirementExtension,
                                    "` must name one requirement."));
    }
    read_.request.requirement = value;
    return absl::OkStatus();
  }

  absl::Status ReadSource() {
    Single address;
    Single socket;
    Single text;
    RETURN_IF_ERROR(ForEachField(source_.bytes(), [&](const Field& field) {
      if (field.number != AttributeContext::Peer::kAddressFieldNumber) return absl::OkStatus();
      return address.Take(field);
    }));
    RETURN_IF_ERROR(ForEachField(address.bytes(), [&](const Field& field) {
      if (field.number != Address::kSocketAddressFieldNumber) return absl::OkStatus();
      return socket.Take(field);
    }));
    RETURN_IF_ERROR(ForEachField(socket.bytes(), [&](const Field& field) {
      if (field.number != SocketAddress::kAddressFieldNumber) return absl::OkStatus();
      return text.Take(field);
    }));
    read_.request.client = base::IpAddress::FromText(text.bytes());
    return absl::OkStatus();
  }

  CheckedRequest read_;
  size_t count_ = 0;  // of headers, pseudo headers among them
  Single attributes_;
  Single source_;
  Single request_;
  Single http_;
};

}  // namespace

absl::StatusOr<CheckedRequest> ReadCheck(absl::string_view bytes) { return Reading().Read(bytes); }

}  // namespace tollgate::validator
