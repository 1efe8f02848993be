#include "token/keyring.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/invariant.h"
#include "base/status.h"
#include "token/secret_file.h"

namespace tollgate::token {
namespace {

constexpr size_t kKeySize = 32;
constexpr size_t kMaxPeppers = 16;
// Larger numbers are left to ids that a rotation adds.
constexpr uint64_t kMaxId = 0x7FFFFFFF;
// Sixteen peppers take 2 KiB; the rest is room for white space.
constexpr size_t kMaxFileSize = 64 * 1024;

SecretFile FileAt(const std::string& path, SecretReaders readers) {
  return SecretFile(path, "keyring", "KEYRING", readers);
}

// A strict reader of the one shape of JSON that a keyring has. A general parser
// would leave copies of the keys in buffers that nobody wipes.
class Reader {
 public:
  explicit Reader(absl::string_view text) : rest_(text) {}

  // Takes `c`, after white space; false: another character is next.
  bool Take(char c) {
    SkipSpace();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool AtEnd() {
    SkipSpace();
    return rest_.empty();
  }
  // A string without escapes: neither a name nor a key here needs one.
  bool String(absl::string_view* out) {
    if (!Take('"')) return false;
    const size_t end = rest_.find_first_of("\"\\");
    if (end == absl::string_view::npos || rest_[end] != '"') return false;
    *out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
  }
  // 1 to kMaxId, without sign, fraction or leading zero.
  bool Number(uint32_t* out) {
    SkipSpace();
    uint64_t value = 0;
    size_t n = 0;
    for (; n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9'; ++n) {
      value = value * 10 + static_cast<uint64_t>(rest_[n] - '0');
      if (value == 0 || value > kMaxId) return false;
    }
    if (n == 0) return false;
    rest_.remove_prefix(n);
    *out = static_cast<uint32_t>(value);
    return true;
  }
  // Reads an object. `member` is called with each name, at its value, and reads the value; false:
  // it does not know the name, or the value is wrong.
  template <typename Member>
  bool Object(Member member) {
    if (!Take('{')) return false;
    if (Take('}')) return true;
    do {
      absl::string_view name;
      if (!String(&name) || !Take(':') || !member(name)) return false;
    } while (Take(','));
    return Take('}');
  }
  template <typename Element>
  bool Array(Element element) {
    if (!Take('[')) return false;
    if (Take(']')) return true;
    do {
      if (!element()) return false;
    } while (Take(','));
    return Take(']');
  }

 private:
  void SkipSpace() {
    const size_t n = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(n, rest_.size()));
  }
  absl::string_view rest_;
};

bool ReadKey(absl::string_view hex, base::SecretBytes* key) {
  if (hex.size() != 2 * kKeySize) return false;
  base::SecretBytes bytes(kKeySize);
  size_t length = 0;
  if (sodium_hex2bin(bytes.MutableSecret().data(), kKeySize, hex.data(), hex.size(), nullptr,
                     &length, nullptr) != 0 ||
      length != kKeySize) {
    return false;
  }
  *key = std::move(bytes);
  return true;
}

}  // namespace

Keyring Keyring::Generate(base::Random& random) {
  Keyring keyring;
  keyring.primary_id_ = 1;
  keyring.peppers_.push_back({1, base::SecretBytes(kKeySize)});
  random.Fill(keyring.peppers_.back().key.MutableSecret());
  return keyring;
}

absl::StatusOr<Keyring> Keyring::Load(const std::string& path, SecretReaders readers) {
  const SecretFile file = FileAt(path, readers);
  ASSIGN_OR_RETURN(const base::SecretBytes text, file.Read(kMaxFileSize));
  absl::StatusOr<Keyring> keyring = FromText(text.RevealSecret());
  if (!keyring.ok()) return file.Refused("MALFORMED", keyring.status().message());
  return keyring;
}

absl::StatusOr<Keyring> Keyring::LoadOrCreate(const std::string& path, base::Random& random,
                                              SecretReaders readers) {
  auto loaded = Load(path, readers);
  if (loaded.ok()) {
    FileAt(path, readers).SyncName();
    return loaded;
  }
  if (loaded.status().code() != absl::StatusCode::kNotFound) return loaded;

  Keyring keyring = Generate(random);
  ASSIGN_OR_RETURN(const bool created,
                   FileAt(path, readers).Create(keyring.ToText().RevealSecret()));
  // Another was quicker, and its keyring is the one: it may have digests already.
  if (!created) return Load(path, readers);
  return keyring;
}

StoredDigest Keyring::Digest(const EdgeDigest& edge) const {
  const auto primary = std::find_if(peppers_.begin(), peppers_.end(), [this](const Pepper& pepper) {
    return pepper.id == primary_id_;
  });
  // No factory makes a keyring without its primary pepper.
  TOLLGATE_INVARIANT(primary != peppers_.end(), "a keyring has its primary pepper");
  return StoredDigest::Of(edge, primary->key.RevealSecret());
}

std::vector<std::pair<uint32_t, StoredDigest>> Keyring::Candidates(const EdgeDigest& edge) const {
  std::vector<std::pair<uint32_t, StoredDigest>> candidates;
  candidates.reserve(peppers_.size());
  for (const Pepper& pepper : peppers_) {
    candidates.emplace_back(pepper.id, StoredDigest::Of(edge, pepper.key.RevealSecret()));
    // The primary first: most tokens lie there.
    if (pepper.id == primary_id_) std::swap(candidates.front(), candidates.back());
  }
  return candidates;
}

std::vector<std::pair<uint32_t, std::string>> Keyring::CheckValues() const {
  constexpr absl::string_view kText = "tollgate keyring check";
  std::vector<std::pair<uint32_t, std::string>> values;
  for (const Pepper& pepper : peppers_) {
    std::string value(kKeySize, '\0');
    crypto_generichash(reinterpret_cast<unsigned char*>(value.data()), value.size(),
                       reinterpret_cast<const unsigned char*>(kText.data()), kText.size(),
                       reinterpret_cast<const unsigned char*>(pepper.key.RevealSecret().data()),
                       kKeySize);
    values.emplace_back(pepper.id, std::move(value));
  }
  return values;
}

absl::StatusOr<Keyring> Keyring::FromText(absl::string_view text) {
  Reader reader(text);
  Keyring keyring;
  uint32_t format = 0;
  std::string problem;
  const auto say = [&problem](absl::string_view what) {
    problem = std::string(what);
    return false;
  };
  const auto pepper = [&] {
    Pepper read{0, base::SecretBytes()};
    const bool well_formed = reader.Object([&](absl::string_view name) {
      if (name == "id" && read.id == 0) return reader.Number(&read.id);
      absl::string_view hex;
      if (name == "key" && read.key.empty()) {
        return reader.String(&hex) &&
               (ReadKey(hex, &read.key) || say("a key must be 64 hexadecimal digits"));
      }
      return say("a pepper has an id and a key, each once, and nothing else");
    });
    if (!well_formed) return false;
    if (read.id == 0 || read.key.empty()) return say("a pepper lacks its id or its key");
    for (const Pepper& other : keyring.peppers_) {
      if (other.id == read.id) return say(absl::StrCat("two peppers have the id ", read.id));
    }
    if (keyring.peppers_.size() == kMaxPeppers) return say("there are more than 16 peppers");
    keyring.peppers_.push_back(std::move(read));
    return true;
  };
  const bool well_formed = reader.Object([&](absl::string_view name) {
    if (name == "format" && format == 0) return reader.Number(&format);
    if (name == "primary" && keyring.primary_id_ == 0) return reader.Number(&keyring.primary_id_);
    if (name == "peppers" && keyring.peppers_.empty()) return reader.Array(pepper);
    return say("it has format, primary and peppers, each once, and nothing else");
  }) && reader.AtEnd();
  if (well_formed && format > 1) {
    say(absl::StrCat("its format is ", format, ", and this program knows format 1 only"));
  } else if (well_formed && format == 0) {
    say("it lacks its format");
  } else if (well_formed && keyring.peppers_.empty()) {
    say("it has no pepper");
  } else if (well_formed &&
             std::none_of(keyring.peppers_.begin(), keyring.peppers_.end(),
                          [&](const Pepper& p) { return p.id == keyring.primary_id_; })) {
    say("its primary is none of its peppers");
  } else if (well_formed) {
    return keyring;
  }
  if (problem.empty()) {
    problem = "it is not JSON of the form {\"format\":1,\"primary\":1,\"peppers\":[…]}";
  }
  return absl::InvalidArgumentError(problem);
}

base::SecretBytes Keyring::ToText() const {
  const std::string head =
      absl::StrCat("{\"format\":1,\"primary\":", primary_id_, ",\"peppers\":[");
  constexpr absl::string_view kTail = "]}\n";
  // A pepper takes at most {"id":4294967295,"key":"…"} and a comma.
  base::SecretBytes text(head.size() + peppers_.size() * (2 * kKeySize + 32) + kTail.size());
  char* out = reinterpret_cast<char*>(text.MutableSecret().data());
  const char* const begin = out;
  const auto put = [&out](absl::string_view s) {
    std::memcpy(out, s.data(), s.size());
    out += s.size();
  };
  put(head);
  for (size_t i = 0; i < peppers_.size(); ++i) {
    put(absl::StrCat(i == 0 ? "" : ",", "{\"id\":", peppers_[i].id, ",\"key\":\""));
    // sodium_bin2hex writes a NUL behind the digits, where the quote goes next.
    sodium_bin2hex(out, 2 * kKeySize + 1,
                   reinterpret_cast<const unsigned char*>(peppers_[i].key.RevealSecret().data()),
                   kKeySize);
    out += 2 * kKeySize;
    put("\"}");
  }
  put(kTail);
  return base::SecretBytes::CopyOf(text.RevealSecret().substr(0, static_cast<size_t>(out - begin)));
}

}  // namespace tollgate::token
