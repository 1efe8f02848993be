// How fast TokenScanner (leaks/token_scanner.h) reads what is already in memory.
#include <benchmark/benchmark.h>

#include <random>
#include <string>

#include "base/secret.h"
#include "leaks/token_scanner.h"

namespace {

using tollgate::leaks::FoundToken;
using tollgate::leaks::TokenScanner;

constexpr size_t kSize = 32 << 20;
constexpr size_t kPiece = 256 << 10;  // what the command reads at once

std::string Repeated(absl::string_view text) {
  std::string all;
  all.reserve(kSize + text.size());
  while (all.size() < kSize) all.append(text.data(), text.size());
  return all;
}

std::string Bytes() {
  std::mt19937_64 random(1);
  std::string all(kSize, '\0');
  for (char& c : all) c = static_cast<char>(random());
  return all;
}

void Scan(benchmark::State& state, const std::string& text) {
  tollgate::base::InitSecrets();
  auto scanner = TokenScanner::ForBrands({"tg"});
  size_t count = 0;
  for (auto _ : state) {
    scanner->StartOver();
    for (size_t at = 0; at < text.size(); at += kPiece) {
      scanner->Feed(absl::string_view(text).substr(at, kPiece),
                    [&](const FoundToken&) { ++count; });
    }
  }
  benchmark::DoNotOptimize(count);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}

const std::string kLog = Repeated(
    "2027-02-22T09:30:00.123Z INFO request_id=4mXp81Qz path=/v1/items status=200 took=3ms\n");
const std::string kCode = Repeated(
    "  for (const auto& [name_of_it, its_value] : options_.values()) {\n"
    "    if (!check_value(name_of_it, its_value)) return refuse(\"wrong_value\");\n  }\n");
const std::string kBinary = Bytes();
const std::string kUnderscores = Repeated("_");
const std::string kPrefixes = Repeated("tgw_");
// All of a token string but its checksum.
const std::string kNearly =
    Repeated("tgw_4mXp81QzR0aYc7Ld003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf000000");

BENCHMARK_CAPTURE(Scan, log, kLog);
BENCHMARK_CAPTURE(Scan, code, kCode);
BENCHMARK_CAPTURE(Scan, binary, kBinary);
BENCHMARK_CAPTURE(Scan, only_underscores, kUnderscores);
BENCHMARK_CAPTURE(Scan, only_prefixes, kPrefixes);
BENCHMARK_CAPTURE(Scan, only_wrong_checksums, kNearly);

}  // namespace

BENCHMARK_MAIN();
