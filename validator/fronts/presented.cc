#include "validator/fronts/presented.h"

#include <sodium.h>

#include <climits>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "base/status.h"
#include "net/wire.h"

namespace tollgate::validator {

Presented Presented::TakeFrom(std::string* from) {
  Presented presented;
  presented.bytes_.swap(*from);
  base::WipeString(from);  // short strings lie in the object itself, and a swap leaves them there
  return presented;
}

Presented Presented::CopyOf(absl::string_view bytes) {
  Presented presented;
  presented.bytes_.assign(bytes.data(), bytes.size());
  return presented;
}

Presented::Presented(Presented&& other) noexcept { *this = std::move(other); }

Presented& Presented::operator=(Presented&& other) noexcept {
  if (this == &other) return *this;
  Wipe();
  bytes_.swap(other.bytes_);
  other.Wipe();  // as in TakeFrom
  return *this;
}

void Presented::Wipe() { base::WipeString(&bytes_); }

void WipeBytes(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Valid() || !bytes.Dump(&slices).ok()) return;
  for (const grpc::Slice& slice : slices) {
    sodium_memzero(const_cast<uint8_t*>(slice.begin()), slice.size());
  }
}

RequestBytes::RequestBytes(const grpc::ByteBuffer& buffer) {
  // Most come in one piece, which is read where it lies.
  if (!buffer.Valid() || buffer.TrySingleSlice(&piece_).ok()) return;
  if (!buffer.DumpToSingleSlice(&piece_).ok()) piece_ = grpc::Slice();
  WipeBytes(buffer);
}

RequestBytes::~RequestBytes() {
  sodium_memzero(const_cast<uint8_t*>(piece_.begin()), piece_.size());
}

absl::Status ParseAndWipe(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message) {
  bool parsed = false;
  // Most come in one piece, which is read where it lies.
  grpc::Slice piece;
  if (bytes.Valid() && bytes.TrySingleSlice(&piece).ok()) {
    parsed = piece.size() <= INT_MAX &&
             message->ParseFromArray(piece.begin(), static_cast<int>(piece.size()));
    sodium_memzero(const_cast<uint8_t*>(piece.begin()), piece.size());
  } else {
    parsed = net::FromByteBuffer(bytes, message);
    WipeBytes(bytes);
  }
  if (parsed) return absl::OkStatus();
  return base::Refuse(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
                      "The request is no such message, or has text that is not UTF-8.");
}

}  // namespace tollgate::validator
