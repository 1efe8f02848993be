// A keyring's file, whatever it holds: it is refused, and the refusal tells no digits of a key; or
// it is JSON, and its peppers are those that a general parser finds there.

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/secret.h"
#include "base/status.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz.h"
#include "token/keyring.h"

namespace tollgate::fuzz {
namespace {

using token::EdgeDigest;
using token::Keyring;

// A key has 64 digits; no 11 of them that stand in the file may be told. (An id has 10 at most, and
// is.)
void LookAtRefusal(const absl::Status& status, absl::string_view text) {
  FUZZ_CLAIM(base::ReasonOf(status) == "KEYRING_MALFORMED");
  const absl::string_view message = status.message();
  size_t digits = 0;
  for (size_t i = 0; i < message.size(); ++i) {
    digits = absl::ascii_isxdigit(static_cast<unsigned char>(message[i])) ? digits + 1 : 0;
    if (digits < 11) continue;
    FUZZ_CLAIM(text.find(message.substr(i + 1 - digits, digits)) == absl::string_view::npos);
  }
}

void Look(absl::string_view text) {
  const MemoryFile file(text);
  const absl::StatusOr<Keyring> keyring =
      Keyring::Load(file.path(), token::SecretReaders::kOwnerAndGroup);
  if (!keyring.ok()) return LookAtRefusal(keyring.status(), text);

  const auto json = nlohmann::json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false);
  FUZZ_CLAIM(json.is_object() && json.size() == 3 && json["format"] == 1);
  FUZZ_CLAIM(json["primary"] == keyring->primary_id());
  const EdgeDigest edge = EdgeDigest::Of("a token string");
  const auto candidates = keyring->Candidates(edge);
  FUZZ_CLAIM(!candidates.empty() && candidates.size() <= 16);
  FUZZ_CLAIM(candidates.size() == json["peppers"].size());
  FUZZ_CLAIM(candidates[0].first == keyring->primary_id());
  FUZZ_CLAIM(candidates[0].second == keyring->Digest(edge));
  FUZZ_CLAIM(keyring->CheckValues().size() == candidates.size());
  std::set<uint32_t> ids;
  for (const auto& pepper : json["peppers"]) {
    const uint32_t id = pepper["id"];
    FUZZ_CLAIM(pepper.size() == 2 && id > 0 && ids.insert(id).second);
    const auto found = std::find_if(candidates.begin(), candidates.end(),
                                    [id](const auto& candidate) { return candidate.first == id; });
    FUZZ_CLAIM(found != candidates.end());
    const std::string key = absl::HexStringToBytes(std::string(pepper["key"]));
    FUZZ_CLAIM(found->second == token::StoredDigest::Of(edge, key));
  }
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool started = [] {
    tollgate::base::InitSecrets();
    return true;
  }();
  (void)started;
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
