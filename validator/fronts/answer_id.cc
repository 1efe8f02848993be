#include "validator/fronts/answer_id.h"

#include <sodium.h>

#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tollgate::validator {

static_assert(crypto_shorthash_siphashx24_KEYBYTES == 16);

AnswerIds::AnswerIds(base::Random& random) { random.Fill(absl::MakeSpan(key_)); }

std::string AnswerIds::Next() {
  const uint64_t count = count_.fetch_add(1, std::memory_order_relaxed);
  unsigned char input[sizeof(count)];
  std::memcpy(input, &count, sizeof(count));
  unsigned char id[crypto_shorthash_siphashx24_BYTES];
  crypto_shorthash_siphashx24(id, input, sizeof(input), key_.data());
  return absl::BytesToHexString({reinterpret_cast<const char*>(id), sizeof(id)});
}

}  // namespace tollgate::validator
