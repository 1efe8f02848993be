// The token with which a client goes on with a list, and whatever a stranger shows in its place:
// it leads to the key that it was made from, in its own list only, or is refused. The first line of
// the input is what the list is bound to; the rest is a token, and a key to make one from.
#include <algorithm>
#include <string>

#include "absl/strings/string_view.h"
#include "base/status.h"
#include "service/reads/page_token.h"
#include "tests/fuzz/fuzz.h"

namespace tollgate::fuzz {
namespace {

using service::MakePageToken;
using service::ReadPageToken;

// A key of any table has room in a token.
constexpr size_t kLongestKey = 700;

void LookAtRefusal(const absl::Status& status) {
  const std::string reason = base::ReasonOf(status);
  FUZZ_CLAIM(reason == "PAGE_TOKEN_MALFORMED" || reason == "PAGE_TOKEN_MISMATCH");
  FUZZ_CLAIM(status.code() == absl::StatusCode::kInvalidArgument);
}

// A token from outside.
void LookAtToken(absl::string_view binding, absl::string_view token) {
  const absl::StatusOr<std::string> key = ReadPageToken(binding, token);
  if (!key.ok()) return LookAtRefusal(key.status());
  if (token.empty()) {
    FUZZ_CLAIM(key->empty());
    return;
  }
  const absl::StatusOr<std::string> again = ReadPageToken(binding, MakePageToken(binding, *key));
  FUZZ_CLAIM(again.ok() && *again == *key);
  FUZZ_CLAIM(!ReadPageToken(std::string(binding) + "x", token).ok());
}

// A token of ours.
void LookAtKey(absl::string_view binding, absl::string_view key) {
  const std::string token = MakePageToken(binding, key);
  const absl::StatusOr<std::string> read = ReadPageToken(binding, token);
  FUZZ_CLAIM(read.ok() && *read == key);
  const absl::StatusOr<std::string> elsewhere = ReadPageToken(std::string(binding) + "x", token);
  FUZZ_CLAIM(base::ReasonOf(elsewhere.status()) == "PAGE_TOKEN_MISMATCH");
  // One character of it altered, or cut off: never another key. Bits that stand for nothing may
  // differ.
  for (size_t i = key.size() % 7; i < token.size(); i += 7) {
    std::string altered = token;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    const absl::StatusOr<std::string> other = ReadPageToken(binding, altered);
    FUZZ_CLAIM(!other.ok() || *other == key);
    FUZZ_CLAIM(i == 0 || !ReadPageToken(binding, token.substr(0, i)).ok());
  }
}

void Look(absl::string_view input) {
  const size_t line = std::min(input.find('\n'), input.size());
  const absl::string_view binding = input.substr(0, line);
  const absl::string_view rest = input.substr(std::min(line + 1, input.size()));
  LookAtToken(binding, rest);
  LookAtKey(binding, rest.substr(0, kLongestKey));
  if (rest.size() >= 4) {
    int32_t asked = 0;
    for (int i = 0; i < 4; ++i) asked = asked * 64 + (rest[i] & 127) - 32;
    const absl::StatusOr<size_t> size = service::ReadPageSize(asked, 50);
    FUZZ_CLAIM(size.ok() == (asked >= 0));
    FUZZ_CLAIM(!size.ok() || (*size >= 1 && *size <= 1000));
  }
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
