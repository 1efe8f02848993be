// Durations as people write them.
#include "absl/strings/string_view.h"
#include "base/duration.h"
#include "tests/fuzz/fuzz.h"

namespace tollgate::fuzz {
namespace {

void Look(absl::string_view text) {
  const absl::optional<absl::Duration> duration = base::DurationFromText(text);
  if (!duration.has_value()) return;
  FUZZ_CLAIM(*duration >= absl::ZeroDuration());
  FUZZ_CLAIM(*duration != absl::InfiniteDuration());
  // What we write of it is read as the same.
  const absl::optional<absl::Duration> again =
      base::DurationFromText(base::TextFromDuration(*duration));
  FUZZ_CLAIM(again.has_value());
  FUZZ_CLAIM(*again == *duration);
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
