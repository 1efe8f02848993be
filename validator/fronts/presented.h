// The token string that a caller presented: bounded before it is read, and wiped afterwards (I6).
#ifndef TOLLGATE_VALIDATOR_FRONTS_PRESENTED_H_
#define TOLLGATE_VALIDATOR_FRONTS_PRESENTED_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tollgate::validator {

// A longer string is no token string of any brand: it is MALFORMED, and not read further.
inline constexpr size_t kLongestTokenString = 256;

// A token string, taken out of a request. Wiped when it is destroyed, or before. Move-only; a
// moved-from one is empty.
class Presented {
 public:
  Presented() = default;
  // Takes the string out of `*from`, which is then empty and keeps no copy.
  static Presented TakeFrom(std::string* from);
  // Copies `bytes`. The caller still has to wipe the source.
  static Presented CopyOf(absl::string_view bytes);
  ~Presented() { Wipe(); }
  Presented(Presented&& other) noexcept;
  Presented& operator=(Presented&& other) noexcept;

  // The string to judge. Of a longer string only its first kLongestTokenString + 1 characters: one
  // character too many makes it malformed, whatever follows.
  absl::string_view token_string() const {
    return absl::string_view(bytes_).substr(0, kLongestTokenString + 1);
  }
  // Idempotent.
  void Wipe();

 private:
  std::string bytes_;
};

// Overwrites the bytes that gRPC's transport read. The slices share the transport's memory, and
// nobody reads the message again. (Pieces of up to 23 bytes are copied, not shared; such a piece is
// too short for a whole token string.)
void WipeBytes(const grpc::ByteBuffer& bytes);

// A request's bytes in one piece, for as long as they are read in place: wiped when it is
// destroyed, whatever was read of them. Empty where the buffer holds none. Neither copied nor
// moved.
class RequestBytes {
 public:
  explicit RequestBytes(const grpc::ByteBuffer& buffer);
  ~RequestBytes();
  RequestBytes(const RequestBytes&) = delete;
  RequestBytes& operator=(const RequestBytes&) = delete;

  absl::string_view view() const {
    return absl::string_view(reinterpret_cast<const char*>(piece_.begin()), piece_.size());
  }

 private:
  // The transport's own piece, or, where it has several, a copy of them: they are wiped by then.
  grpc::Slice piece_;
};

// Parses a request and wipes its bytes, so that no copy of a token string stays in the transport's
// buffer. INVALID_ARGUMENT (MALFORMED_REQUEST): the bytes are not such a message; `*message` may
// then hold a part of it, which the caller must wipe.
absl::Status ParseAndWipe(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_PRESENTED_H_
