// The token string's parser: what stands first where a stranger's bytes come in.
#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz.h"
#include "token/token_string.h"

namespace tollgate::fuzz {
namespace {

void Look(const token::TokenFormat& format, absl::string_view text) {
  token::TokenFormat::Parsed parsed;
  const token::TokenDefect defect = format.Parse(text, &parsed);
  FUZZ_CLAIM(!token::TokenDefectName(defect).empty());
  if (defect != token::TokenDefect::kNone) return;
  FUZZ_CLAIM(text.size() == format.length());
  FUZZ_CLAIM(token::IsPublicId(parsed.public_id));
  FUZZ_CLAIM(parsed.public_id.data() > text.data() &&
             parsed.public_id.data() + parsed.public_id.size() < text.data() + text.size());
  // Whoever scans a text for secrets finds whatever an edge would look up.
  FUZZ_CLAIM(token::HoldsTokenString(text));
}

void LookAtAll(absl::string_view text) {
  static const token::TokenFormat* const ours = new token::TokenFormat;
  Look(*ours, text);
  token::HoldsTokenString(text);
  const absl::StatusOr<token::TokenFormat> other =
      token::TokenFormat::ForBrand(text.substr(0, text.find('_')));
  if (other.ok()) Look(*other, text);
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::LookAtAll(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
