// The token string's parser: what stands first where a stranger's bytes come in.
#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz.h"
#include "token/token_string.h"

namespace tollgate {
namespace {

void Look(const TokenFormat& format, absl::string_view text) {
  TokenFormat::Parsed parsed;
  const TokenDefect defect = format.Parse(text, &parsed);
  FUZZ_CLAIM(!TokenDefectName(defect).empty());
  if (defect != TokenDefect::kNone) return;
  FUZZ_CLAIM(text.size() == format.length());
  FUZZ_CLAIM(IsPublicId(parsed.public_id));
  FUZZ_CLAIM(parsed.public_id.data() > text.data() &&
             parsed.public_id.data() + parsed.public_id.size() < text.data() + text.size());
  // Whoever scans a text for secrets finds whatever an edge would look up.
  FUZZ_CLAIM(HoldsTokenString(text));
}

void LookAtAll(absl::string_view text) {
  static const TokenFormat* const ours = new TokenFormat;
  Look(*ours, text);
  HoldsTokenString(text);
  const absl::StatusOr<TokenFormat> other = TokenFormat::ForBrand(text.substr(0, text.find('_')));
  if (other.ok()) Look(*other, text);
}

}  // namespace
}  // namespace tollgate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::LookAtAll(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
