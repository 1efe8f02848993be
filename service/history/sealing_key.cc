#include "service/history/sealing_key.h"

#include <sodium.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/secret.h"
#include "base/status.h"
#include "token/secret_file.h"

namespace tollgate::service {
namespace {

constexpr absl::string_view kHead = "tollgate-seal-1 ";
constexpr size_t kDigits = 2 * lease::kSealingKeyBytes;
// A line takes about 115 bytes.
constexpr size_t kMaxFileSize = 1024;

token::SecretFile FileAt(const std::string& path, token::SecretReaders readers) {
  return token::SecretFile(path, "sealing key", "SEALING_KEY", readers);
}

base::SecretBytes FreshKey(base::Random& random) {
  base::SecretBytes key(lease::kSealingKeyBytes);
  random.Fill(key.MutableSecret());
  return key;
}

base::SecretBytes LineOf(const std::string& epoch, const base::SecretBytes& key) {
  const std::string head = absl::StrCat(kHead, epoch, " ");
  base::SecretBytes line(head.size() + kDigits + 1);
  char* const out = reinterpret_cast<char*>(line.MutableSecret().data());
  head.copy(out, head.size());
  // The NUL behind the digits is where the newline goes.
  sodium_bin2hex(out + head.size(), kDigits + 1,
                 reinterpret_cast<const unsigned char*>(key.RevealSecret().data()), key.size());
  out[head.size() + kDigits] = '\n';
  return line;
}

// The line's parts; false where it is none.
bool Parse(absl::string_view text, absl::string_view* epoch, base::SecretBytes* key) {
  if (!absl::StartsWith(text, kHead)) return false;
  text.remove_prefix(kHead.size());
  text = absl::StripTrailingAsciiWhitespace(text);
  const size_t space = text.find(' ');
  if (space == absl::string_view::npos) return false;
  *epoch = text.substr(0, space);
  const absl::string_view digits = text.substr(space + 1);
  base::SecretBytes bytes(lease::kSealingKeyBytes);
  size_t size = 0;
  if (digits.size() != kDigits ||
      sodium_hex2bin(bytes.MutableSecret().data(), bytes.size(), digits.data(), digits.size(),
                     nullptr, &size, nullptr) != 0 ||
      size != bytes.size()) {
    return false;
  }
  *key = std::move(bytes);
  return true;
}

SealingKey Use(base::SecretBytes key, SealingKeyOrigin origin) {
  return {std::make_shared<const lease::Sealer>(std::move(key)), origin};
}

}  // namespace

absl::StatusOr<SealingKey> OpenSealingKey(const std::string& path, const std::string& epoch,
                                          base::Random& random, token::SecretReaders readers) {
  if (path.empty()) return Use(FreshKey(random), SealingKeyOrigin::kMade);
  const token::SecretFile file = FileAt(path, readers);
  const absl::StatusOr<base::SecretBytes> text = file.Read(kMaxFileSize);
  if (text.ok()) {
    absl::string_view of_epoch;
    base::SecretBytes key;
    if (!Parse(text->RevealSecret(), &of_epoch, &key)) {
      return file.Refused("MALFORMED",
                          "is not one line of `tollgate-seal-1 EPOCH KEY`. Put it back from where "
                          "it is kept, or take it away: a new one is made, and validators that "
                          "follow now cannot prove their past");
    }
    if (of_epoch == epoch) return Use(std::move(key), SealingKeyOrigin::kFound);
  } else if (text.status().code() != absl::StatusCode::kNotFound) {
    return text.status();
  }
  base::SecretBytes fresh = FreshKey(random);
  RETURN_IF_ERROR(file.Replace(LineOf(epoch, fresh).RevealSecret()));
  return Use(std::move(fresh), text.ok() ? SealingKeyOrigin::kReplaced : SealingKeyOrigin::kMade);
}

}  // namespace tollgate::service
