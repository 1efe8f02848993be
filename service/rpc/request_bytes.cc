#include "service/rpc/request_bytes.h"

#include <string.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/proto_buffer_writer.h"

namespace tollgate::service {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

// Deeper than any of our messages; protobuf itself stops at 100.
constexpr int kMaxDepth = 20;

// Whether `text` is UTF-8 without surrogates and overlong forms (RFC 3629).
bool IsUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const uint8_t lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    size_t length;
    uint32_t least, code;
    if ((lead & 0xE0) == 0xC0) {
      length = 2, least = 0x80, code = lead & 0x1F;
    } else if ((lead & 0xF0) == 0xE0) {
      length = 3, least = 0x800, code = lead & 0x0F;
    } else if ((lead & 0xF8) == 0xF0) {
      length = 4, least = 0x10000, code = lead & 0x07;
    } else {
      return false;
    }
    if (text.size() - i < length) return false;
    for (size_t k = 1; k < length; ++k) {
      const uint8_t next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3F);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    i += length;
  }
  return true;
}

absl::Status Malformed(absl::string_view what) {
  return base::Refuse(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
                      absl::StrCat("the request cannot be parsed: ", what));
}

// Walks the wire format beside the descriptor, and finds the first string that is no UTF-8: the
// parser would refuse the whole message without saying where.
absl::Status CheckText(const Descriptor& type, absl::string_view bytes, const std::string& path,
                       int depth) {
  if (depth > kMaxDepth) return Malformed("nested too deeply");
  google::protobuf::io::ArrayInputStream array(bytes.data(), static_cast<int>(bytes.size()));
  google::protobuf::io::CodedInputStream in(&array);
  while (const uint32_t tag = in.ReadTag()) {
    const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED ||
        field == nullptr ||
        (field->type() != FieldDescriptor::TYPE_STRING &&
         field->type() != FieldDescriptor::TYPE_MESSAGE)) {
      if (!WireFormatLite::SkipField(&in, tag)) return Malformed(type.name());
      continue;
    }
    uint32_t length = 0;
    if (!in.ReadVarint32(&length)) return Malformed(type.name());
    const size_t at = static_cast<size_t>(in.CurrentPosition());
    if (length > bytes.size() - at || !in.Skip(static_cast<int>(length))) {
      return Malformed(type.name());
    }
    const absl::string_view value = bytes.substr(at, length);
    // A map's entry is a message with `key` and `value`; its path is the map's own.
    const std::string here = type.options().map_entry() ? path
                             : path.empty()             ? field->name()
                                                        : absl::StrCat(path, ".", field->name());
    if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
      RETURN_IF_ERROR(CheckText(*field->message_type(), value, here, depth + 1));
    } else if (!IsUtf8(value)) {
      return base::RefuseField("NOT_UTF8", here, "is not UTF-8 text");
    }
  }
  if (!in.ConsumedEntireMessage()) return Malformed(type.name());
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseRequest(const grpc::ByteBuffer& bytes, google::protobuf::Message* request) {
  if (!bytes.Valid()) return Malformed("no message");
  grpc::Slice whole;
  const bool copied = !bytes.TrySingleSlice(&whole).ok();
  if (copied && !bytes.DumpToSingleSlice(&whole).ok()) return Malformed("no message");
  const absl::string_view view(reinterpret_cast<const char*>(whole.begin()), whole.size());
  absl::Status parsed = CheckText(*request->GetDescriptor(), view, "", 0);
  if (parsed.ok() && !request->ParseFromArray(view.data(), static_cast<int>(view.size()))) {
    parsed = Malformed(request->GetDescriptor()->name());
  }
  if (copied) explicit_bzero(const_cast<uint8_t*>(whole.begin()), whole.size());
  return parsed;
}

void WriteResponse(const google::protobuf::Message& response, grpc::ByteBuffer* bytes) {
  grpc::Slice slice(response.ByteSizeLong());
  response.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  *bytes = grpc::ByteBuffer(&slice, 1);
}

grpc::Slice SecretSlice(size_t size, void (*free_bytes)(uint8_t* bytes, size_t size)) {
  struct Owned {
    uint8_t* bytes;
    size_t size;
    void (*free_bytes)(uint8_t* bytes, size_t size);
  };
  auto* const owned = new Owned{new uint8_t[size], size, free_bytes};
  return grpc::Slice(
      owned->bytes, size,
      [](void* data) {
        auto* const held = static_cast<Owned*>(data);
        explicit_bzero(held->bytes, held->size);
        held->free_bytes(held->bytes, held->size);
        delete held;
      },
      owned);
}

void WriteSecretResponse(const google::protobuf::Message& response, grpc::ByteBuffer* bytes) {
  grpc::Slice slice =
      SecretSlice(response.ByteSizeLong(), [](uint8_t* freed, size_t) { delete[] freed; });
  response.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  *bytes = grpc::ByteBuffer(&slice, 1);
}

void WipeRequest(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Valid() || !bytes.Dump(&slices).ok()) return;
  for (const grpc::Slice& slice : slices) {
    // The slices share the transport's memory, and nobody reads the message again.
    explicit_bzero(const_cast<uint8_t*>(slice.begin()), slice.size());
  }
}

}  // namespace tollgate::service
