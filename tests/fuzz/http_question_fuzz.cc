// A stranger's bytes on the port where proxies ask: what the parser lets through, read in each
// convention.
#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "net/http_parser.h"
#include "tests/fuzz/fuzz.h"
#include "validator/fronts/forward_auth.h"

namespace tollgate::fuzz {
namespace {

using validator::Convention;

// The parser has seen to it that one reading is left.
void LookAtRequest(const net::HttpRequest& request) {
  FUZZ_CLAIM(!request.method.empty() && !request.target.empty());
  FUZZ_CLAIM(request.CountHeader("Host") == 1 || request.minor_version == 0);
  FUZZ_CLAIM(request.CountHeader("Transfer-Encoding") == 0);
  FUZZ_CLAIM(request.body.empty());
  for (const auto& [name, value] : request.headers) {
    FUZZ_CLAIM(!name.empty());
    FUZZ_CLAIM(value.find_first_of(absl::string_view("\r\n\0", 3)) == absl::string_view::npos);
  }
}

void LookAtQuestion(const net::HttpRequest& question) {
  std::vector<policy::Header> headers;
  for (const auto convention : {Convention::kNginx, Convention::kForwarded, Convention::kItself}) {
    const auto request = validator::ReadQuestion(question, convention, question.target, &headers);
    const char* const prefix = convention == Convention::kNginx ? "X-Original-" : "X-Forwarded-";
    const auto only = [&](absl::string_view name) {
      const std::string header = absl::StrCat(prefix, name);
      return question.CountHeader(header) == 1 ? question.Header(header) : absl::string_view();
    };
    if (convention == Convention::kItself) {
      FUZZ_CLAIM(request.ok() == !question.Header("Host").empty());
      continue;
    }
    FUZZ_CLAIM(request.ok() ==
               !(only("Method").empty() || only("URI").empty() || only("Host").empty()));
    if (!request.ok()) continue;
    FUZZ_CLAIM(request->method == only("Method"));
    FUZZ_CLAIM(request->target == only("URI"));
    FUZZ_CLAIM(request->host == only("Host"));
    // All of the client's headers, and none of the proxy's.
    const auto is_control = [&](absl::string_view name) {
      return absl::EqualsIgnoreCase(name, "Host") ||
             (absl::StartsWithIgnoreCase(name, prefix) &&
              (absl::EndsWithIgnoreCase(name, "-Method") ||
               absl::EndsWithIgnoreCase(name, "-URI") || absl::EndsWithIgnoreCase(name, "-Host")) &&
              std::count(name.begin(), name.end(), '-') == 2);
    };
    size_t clients = 0;
    for (const auto& [name, value] : question.headers) clients += is_control(name) ? 0 : 1;
    FUZZ_CLAIM(headers.size() == clients);
  }
}

void Look(absl::string_view input) {
  net::HttpRequestLimits limits;
  limits.max_header_bytes = 4096;
  net::HttpParser parser(limits);
  auto state = net::HttpParser::State::kNeedMore;
  while (state != net::HttpParser::State::kRefused) {
    if (state == net::HttpParser::State::kRequest) {
      LookAtRequest(parser.request());
      LookAtQuestion(parser.request());
      state = parser.Next();
      continue;
    }
    if (input.empty()) return;
    const absl::Span<char> room = parser.Room();
    const size_t bytes = std::min(room.size(), input.size());
    std::memcpy(room.data(), input.data(), bytes);
    input.remove_prefix(bytes);
    state = parser.Took(bytes);
  }
  FUZZ_CLAIM(parser.refusal().status >= 400);
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
