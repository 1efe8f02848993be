#include "leaks/token_scanner.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::leaks {
namespace {

// Where the next '_' is, from `from` on; text.size(): nowhere.
size_t NextUnderscore(absl::string_view text, size_t from) {
  if (from >= text.size()) return text.size();
  const void* const at = std::memchr(text.data() + from, '_', text.size() - from);
  return at == nullptr ? text.size()
                       : static_cast<size_t>(static_cast<const char*>(at) - text.data());
}

// Blocks of a constant size, which the compiler turns into vector instructions.
uint64_t CountNewlines(absl::string_view bytes) {
  constexpr size_t kBlock = 128;
  uint64_t count = 0;
  size_t i = 0;
  for (; i + kBlock <= bytes.size(); i += kBlock) {
    const char* const block = bytes.data() + i;
    uint8_t sum = 0;
    for (size_t k = 0; k < kBlock; ++k) sum = static_cast<uint8_t>(sum + (block[k] == '\n'));
    count += sum;
  }
  for (; i < bytes.size(); ++i) count += bytes[i] == '\n';
  return count;
}

}  // namespace

absl::StatusOr<TokenScanner> TokenScanner::ForBrands(absl::Span<const std::string> brands) {
  if (brands.empty() || brands.size() > kMostBrands) {
    return base::RefuseField(
        "BRANDS_COUNT", "brand",
        absl::StrCat("give 1 to ", kMostBrands, " brands; these are ", brands.size()));
  }
  std::vector<token::TokenFormat> formats;
  for (const std::string& brand : brands) {
    ASSIGN_OR_RETURN(token::TokenFormat format, token::TokenFormat::ForBrand(brand));
    const bool twice = std::any_of(formats.begin(), formats.end(),
                                   [&](const auto& other) { return other.brand() == brand; });
    if (!twice) formats.push_back(std::move(format));
  }
  return TokenScanner(std::move(formats));
}

TokenScanner::TokenScanner(std::vector<token::TokenFormat> formats) : formats_(std::move(formats)) {
  for (const token::TokenFormat& format : formats_) longest_ = std::max(longest_, format.length());
}

TokenScanner::~TokenScanner() { sodium_memzero(kept_.data(), kept_.size()); }

void TokenScanner::StartOver() {
  sodium_memzero(kept_.data(), kept_.size());
  kept_size_ = 0;
  fed_ = 0;
  line_ = 1;
  line_begin_ = 0;
}

bool TokenScanner::Judge(absl::string_view text, size_t at, FoundToken* found,
                         size_t* length) const {
  // Most underscores are those of other words: these end here.
  if (at < 3) return false;
  const char kind = text[at - 1];
  if (kind != 'w' && kind != 'o' && kind != 'a' && kind != 'r') return false;
  for (const token::TokenFormat& format : formats_) {
    const size_t before = format.brand().size() + 1;
    if (at < before || text.size() - (at - before) < format.length()) continue;
    const absl::string_view candidate = text.substr(at - before, format.length());
    token::TokenFormat::Parsed parsed;
    if (format.Parse(candidate, &parsed) != token::TokenDefect::kNone) continue;
    found->offset = at - before;
    found->kind = parsed.kind;
    found->brand = format.brand();
    found->public_id = std::string(parsed.public_id);
    found->digest = token::EdgeDigest::Of(candidate);
    *length = candidate.size();
    return true;
  }
  return false;
}

void TokenScanner::CountLines(absl::string_view bytes, uint64_t from) {
  const uint64_t newlines = CountNewlines(bytes);
  if (newlines == 0) return;
  line_ += newlines;
  line_begin_ = from + bytes.rfind('\n') + 1;
}

void TokenScanner::Keep(absl::string_view piece) {
  const size_t most = longest_ - 1;
  if (piece.size() >= most) {
    std::memcpy(kept_.data(), piece.data() + piece.size() - most, most);
    kept_size_ = most;
    return;
  }
  const size_t stays = std::min(kept_size_, most - piece.size());
  std::memmove(kept_.data(), kept_.data() + kept_size_ - stays, stays);
  std::copy(piece.begin(), piece.end(), kept_.begin() + stays);
  kept_size_ = stays + piece.size();
}

void TokenScanner::Feed(absl::string_view piece, absl::FunctionRef<void(const FoundToken&)> found) {
  FoundToken token;
  size_t length = 0;
  // What began before this piece and ends in it. It is all on the line that the piece begins on,
  // since no token string has a line end.
  if (kept_size_ > 0) {
    std::array<char, 2 * (kLongest - 1)> seam;
    const size_t taken = std::min(piece.size(), longest_ - 1);
    std::memcpy(seam.data(), kept_.data(), kept_size_);
    std::copy(piece.begin(), piece.begin() + taken, seam.begin() + kept_size_);
    const absl::string_view text(seam.data(), kept_size_ + taken);
    for (size_t at = NextUnderscore(text, 0); at < text.size(); at = NextUnderscore(text, at + 1)) {
      if (!Judge(text, at, &token, &length)) continue;
      // The rest was found in an earlier piece, or will be in this one.
      if (token.offset >= kept_size_ || token.offset + length <= kept_size_) continue;
      token.offset += fed_ - kept_size_;
      token.line = line_;
      token.column = token.offset - line_begin_ + 1;
      found(token);
    }
    sodium_memzero(seam.data(), seam.size());
  }
  size_t counted = 0;
  for (size_t at = NextUnderscore(piece, 0); at < piece.size();
       at = NextUnderscore(piece, at + 1)) {
    if (!Judge(piece, at, &token, &length)) continue;
    // Up to the `_`, which is on the same line: it only grows.
    CountLines(piece.substr(counted, at - counted), fed_ + counted);
    counted = at;
    token.offset += fed_;
    token.line = line_;
    token.column = token.offset - line_begin_ + 1;
    found(token);
  }
  CountLines(piece.substr(counted), fed_ + counted);
  Keep(piece);
  fed_ += piece.size();
}

}  // namespace tollgate::leaks
