// The decision of an edge on one token.
#ifndef TOLLGATE_VALIDATOR_CORE_DECISION_H_
#define TOLLGATE_VALIDATOR_CORE_DECISION_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "token/grant.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::validator {

// The longest packed grant that fits: 64 scopes and 16 audiences of 128 bytes, with names.
inline constexpr size_t kLongestGrant = 12 * 1024 - 128;

// Room for one packed grant. Allocates nothing; its bytes are not initialised.
class GrantBuffer {
 public:
  GrantBuffer() {}
  GrantBuffer(const GrantBuffer& other) { *this = other; }
  GrantBuffer& operator=(const GrantBuffer& other) {
    if (this == &other) return *this;
    size_ = other.size_;
    std::memcpy(words_, other.words_, size_);
    return *this;
  }
  // False (and empty): the bytes are too long.
  bool Assign(absl::string_view bytes) {
    size_ = bytes.size() <= kLongestGrant ? bytes.size() : 0;
    if (size_ > 0) std::memcpy(words_, bytes.data(), size_);
    return size_ == bytes.size();
  }
  absl::string_view bytes() const {
    return absl::string_view(reinterpret_cast<const char*>(words_), size_);
  }
  uint64_t* words() { return words_; }
  void set_size(size_t size) { size_ = size; }

 private:
  size_t size_ = 0;
  uint64_t words_[kLongestGrant / 8];
};

// May this token pass? About 12 KB, most of it untouched: keep it on the stack and pass it by
// reference.
class Decision {
 public:
  tollgate::v1::Verdict verdict = tollgate::v1::VERDICT_UNAVAILABLE;
  // Why the token was not admitted; UNSPECIFIED when it was.
  tollgate::v1::VerdictReason reason = tollgate::v1::VERDICT_REASON_UNSPECIFIED;
  // With UNAVAILABLE: when to try again.
  absl::Duration retry_after;
  // Admitted without a lease, by a fail-open validator.
  bool fail_open = false;

  bool admitted() const { return verdict == tollgate::v1::VERDICT_ADMIT; }
  // Reads who the token speaks for. True when admitted, and when refused for scope, audience or
  // workspace; in every other case a stranger would learn something. The view is valid until this
  // decision is changed or destroyed.
  bool ReadIdentity(token::GrantView* grant) const {
    using namespace tollgate::v1;
    if (!admitted() && reason != VERDICT_REASON_INSUFFICIENT_SCOPE &&
        reason != VERDICT_REASON_WRONG_AUDIENCE && reason != VERDICT_REASON_WRONG_WORKSPACE) {
      return false;
    }
    return !grant_.bytes().empty() && token::GrantView::Over(grant_.bytes(), grant);
  }
  // Reads which token was refused, where the service knows it: it is revoked, expired or suspended,
  // or good and not for this request. For the report to the service, and never for whoever
  // presented it. The view is valid as long as ReadIdentity's.
  bool ReadRefused(token::GrantView* grant) const {
    using namespace tollgate::v1;
    switch (reason) {
      case VERDICT_REASON_REVOKED:
      case VERDICT_REASON_EXPIRED:
      case VERDICT_REASON_SUSPENDED:
      case VERDICT_REASON_INSUFFICIENT_SCOPE:
      case VERDICT_REASON_WRONG_AUDIENCE:
      case VERDICT_REASON_WRONG_WORKSPACE:
        return !grant_.bytes().empty() && token::GrantView::Over(grant_.bytes(), grant);
      default:
        return false;
    }
  }
  // The grant, packed, as it was when the decision was made. Only where ReadIdentity is true.
  absl::string_view packed_grant() const { return grant_.bytes(); }

 private:
  friend class EdgeReader;
  GrantBuffer grant_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_DECISION_H_
