// Bytes that wipe themselves.
#ifndef TOLLGATE_BASE_SECRET_H_
#define TOLLGATE_BASE_SECRET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tollgate::base {

// A secret: move-only, wiped when it is destroyed (sodium_memzero), compared in constant time,
// impossible to print by accident. Not thread-safe to mutate.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(size_t size) : bytes_(size) {}
  // Copies `bytes`. The caller still has to wipe the source (WipeString).
  static SecretBytes CopyOf(absl::string_view bytes);
  ~SecretBytes();
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;

  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  // Raw access, named so that a reviewer can grep for every use of it.
  absl::string_view RevealSecret() const {
    return absl::string_view(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  }
  absl::Span<uint8_t> MutableSecret() { return absl::MakeSpan(bytes_); }

  // Constant time in the contents; lengths are not secret.
  bool EqualsConstantTime(absl::string_view other) const;

 private:
  void Wipe();
  std::vector<uint8_t> bytes_;
};

// Overwrites a string's bytes (its whole capacity) and empties it. For buffers of others that held
// a secret, such as a request's field.
void WipeString(std::string* s);
// Overwrites the bytes.
void WipeBytes(absl::Span<uint8_t> bytes);

// Starts libsodium. Every program calls this first. Idempotent, thread-safe. Ends the process when
// libsodium cannot start, because nothing is safe without it.
void InitSecrets();

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_SECRET_H_
