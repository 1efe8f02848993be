#include "service/reads/page_token.h"

#include <sodium.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::service {
namespace {

constexpr size_t kSumSize = 16;
constexpr size_t kMaxTokenLength = 4096;  // a member has up to 2048 bytes
constexpr size_t kMaxPageSize = 1000;
constexpr char kVersion = '\1';

std::string Sum(absl::string_view purpose, absl::string_view bytes) {
  const std::string all = absl::StrCat(purpose, bytes);
  std::string sum(kSumSize, '\0');
  crypto_generichash(reinterpret_cast<unsigned char*>(&sum[0]), sum.size(),
                     reinterpret_cast<const unsigned char*>(all.data()), all.size(), nullptr, 0);
  return sum;
}

}  // namespace

std::string MakePageToken(absl::string_view binding, absl::string_view key) {
  const std::string body =
      absl::StrCat(std::string(1, kVersion), Sum("tollgate list\n", binding), key);
  return absl::WebSafeBase64Escape(absl::StrCat(Sum("tollgate page token\n", body), body));
}

absl::StatusOr<std::string> ReadPageToken(absl::string_view binding, absl::string_view token) {
  if (token.empty()) return std::string();
  std::string bytes;
  const absl::string_view field = "page_token";
  if (token.size() > kMaxTokenLength || !absl::WebSafeBase64Unescape(token, &bytes) ||
      bytes.size() < 2 * kSumSize + 1) {
    return base::RefuseField("PAGE_TOKEN_MALFORMED", field,
                             "is none that a list has given out; begin without one");
  }
  const absl::string_view body = absl::string_view(bytes).substr(kSumSize);
  if (Sum("tollgate page token\n", body) != bytes.substr(0, kSumSize) || body[0] != kVersion) {
    return base::RefuseField("PAGE_TOKEN_MALFORMED", field,
                             "is none that a list has given out; begin without one");
  }
  if (Sum("tollgate list\n", binding) != body.substr(1, kSumSize)) {
    return base::RefuseField(
        "PAGE_TOKEN_MISMATCH", field,
        "belongs to a list of something else or with another filter; repeat the "
        "request it came from, or begin without one");
  }
  return std::string(body.substr(1 + kSumSize));
}

absl::StatusOr<size_t> ReadPageSize(int32_t page_size, size_t usual) {
  if (page_size < 0) {
    return base::RefuseField("PAGE_SIZE_NEGATIVE", "page_size", "is below 0");
  }
  if (page_size == 0) return usual;
  return std::min(static_cast<size_t>(page_size), kMaxPageSize);
}

}  // namespace tollgate::service
