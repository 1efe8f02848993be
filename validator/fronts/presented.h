// What a caller presented as its token: bounded before it is looked at, and wiped after (I6).
#ifndef TOLLGATE_VALIDATOR_FRONTS_PRESENTED_H_
#define TOLLGATE_VALIDATOR_FRONTS_PRESENTED_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tollgate::validator {

// What is longer is no token string of any brand: MALFORMED, and not looked at further.
inline constexpr size_t kLongestTokenString = 256;

// A token string, taken out of a request. Wiped when it goes, or before. Move-only; a moved-from
// one is empty.
class Presented {
 public:
  Presented() = default;
  // Takes the string out of `*from`, which is empty afterwards and keeps no copy.
  static Presented TakeFrom(std::string* from);
  // Copies; the source stays the caller's to wipe.
  static Presented CopyOf(absl::string_view bytes);
  ~Presented() { Wipe(); }
  Presented(Presented&& other) noexcept;
  Presented& operator=(Presented&& other) noexcept;

  // What is to be judged: of a longer one its first kLongestTokenString + 1 characters, since one
  // too many is enough to be malformed, whatever follows it.
  absl::string_view token_string() const {
    return absl::string_view(bytes_).substr(0, kLongestTokenString + 1);
  }
  // Idempotent.
  void Wipe();

 private:
  std::string bytes_;
};

// Overwrites what gRPC's transport read: the slices share its memory, and nobody reads the message
// again. (Pieces of up to 23 bytes are copied, not shared; they hold no whole token string.)
void WipeBytes(const grpc::ByteBuffer& bytes);

// Parses a request and wipes its bytes, so that no copy of a token string stays behind in the
// transport's buffer. INVALID_ARGUMENT (MALFORMED_REQUEST): no such message; `*message` may then
// hold a part of it, which is the caller's to wipe.
absl::Status ParseAndWipe(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_PRESENTED_H_
