#include "base/secret.h"

#include <sodium.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace tollgate::base {

SecretBytes SecretBytes::CopyOf(absl::string_view bytes) {
  SecretBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.bytes_.data(), bytes.data(), bytes.size());
  return copy;
}

SecretBytes::~SecretBytes() { Wipe(); }

SecretBytes::SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) {
  // A moved-from vector may keep its contents as far as the standard goes.
  other.bytes_.clear();
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    Wipe();
    bytes_ = std::move(other.bytes_);
    other.bytes_.clear();
  }
  return *this;
}

bool SecretBytes::EqualsConstantTime(absl::string_view other) const {
  if (bytes_.size() != other.size()) return false;
  return sodium_memcmp(bytes_.data(), other.data(), bytes_.size()) == 0;
}

void SecretBytes::Wipe() {
  if (!bytes_.empty()) sodium_memzero(bytes_.data(), bytes_.size());
  bytes_.clear();
}

void WipeString(std::string* s) {
  // Growing to the capacity never allocates, and makes every byte of it
  // writable by right: a longer secret may have lain behind the present end.
  s->resize(s->capacity());
  sodium_memzero(s->data(), s->size());
  s->clear();
}

void WipeBytes(absl::Span<uint8_t> bytes) {
  if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());
}

void InitSecrets() {
  // 0 the first time, 1 thereafter, -1 on failure; thread-safe by its contract.
  if (sodium_init() < 0) {
    std::fputs("libsodium cannot start: no source of randomness\n", stderr);
    std::abort();
  }
}

}  // namespace tollgate::base
