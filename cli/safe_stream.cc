#include "cli/safe_stream.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "base/secret.h"
#include "cli/output.h"
#include "token/token_string.h"

namespace tollgate::cli {
namespace {

constexpr size_t kMostBrand = 8;
constexpr size_t kLeastBrand = 2;
// Longer than any line with a secret in it: no copy is left behind by growing.
constexpr size_t kRoom = 512;

bool IsKind(char c) { return c == 'w' || c == 'o' || c == 'a' || c == 'r'; }

}  // namespace

std::string Redacted(absl::string_view text) {
  std::string redacted;
  size_t kept = 0;  // up to here `text` is in `redacted`, or left out
  for (size_t at = text.find('_'); at != absl::string_view::npos; at = text.find('_', at + 1)) {
    if (at < kept + kLeastBrand + 1 || !IsKind(text[at - 1])) continue;
    size_t begin = at - 1;
    while (begin > kept && at - 1 - begin < kMostBrand && absl::ascii_islower(text[begin - 1])) {
      --begin;
    }
    size_t end = at + 1;
    while (end < text.size() && absl::ascii_isalnum(text[end])) ++end;
    if (at - 1 - begin < kLeastBrand || end - at - 1 < token::kPublicIdLength) continue;
    redacted.append(text.data() + kept, begin - kept);
    redacted += "(a token string)";
    kept = end;
  }
  redacted.append(text.data() + kept, text.size() - kept);
  return redacted;
}

SafeStream::Buffer::Buffer(std::ostream* to, Secrets secrets) : to_(to), secrets_(secrets) {
  line_.reserve(kRoom);
}

SafeStream::Buffer::int_type SafeStream::Buffer::overflow(int_type c) {
  if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
  const char one = traits_type::to_char_type(c);
  return xsputn(&one, 1) == 1 ? c : traits_type::eof();
}

std::streamsize SafeStream::Buffer::xsputn(const char* s, std::streamsize n) {
  for (const char* at = s; at != s + n;) {
    const char* const end = std::find(at, s + n, '\n');
    line_.append(at, end);
    at = end;
    if (at == s + n) break;
    Emit();
    to_->put('\n');
    if (!*to_) return 0;
    ++at;
  }
  return n;
}

int SafeStream::Buffer::sync() {
  Emit();
  to_->flush();
  return *to_ ? 0 : -1;
}

void SafeStream::Buffer::Emit() {
  if (line_.empty()) return;
  std::string safe = SafeForTerminal(secrets_ == Secrets::kRedact ? Redacted(line_) : line_);
  *to_ << safe;
  base::WipeString(&safe);
  base::WipeString(&line_);
  line_.reserve(kRoom);
}

SafeStream::SafeStream(std::ostream* to, Secrets secrets)
    : std::ostream(nullptr), buffer_(to, secrets) {
  rdbuf(&buffer_);
}

SafeStream::~SafeStream() { flush(); }

}  // namespace tollgate::cli
