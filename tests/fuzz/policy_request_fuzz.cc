// A stranger's request, judged by a policy: its target, host and headers. The first line of the
// input is the target, the second the host, the third the method; each further one is a header.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "policy/canonical_path.h"
#include "policy/policy.h"
#include "tests/fuzz/fuzz.h"

namespace tollgate::fuzz {
namespace {

using policy::Judgement;

const policy::Policy& ThePolicy() {
  static const auto* const policy =
      new std::shared_ptr<const policy::Policy>(policy::Policy::Parse(R"(version: 1
credentials: [bearer, basic, {header: x-api-key}, {query: t}]
routes:
  - {prefix: /public, needs: public}
  - {prefix: /Admin, needs: {any: admin}}
  - {host: "*.example", path: "/{workspace}/x", needs: {workspace: "{workspace}"}}
  - {prefix: /, needs: token}
)",
                                                                      "edge.yaml")
                                                    .value());
  return **policy;
}

void LookAtTarget(absl::string_view text) {
  policy::Target target;
  if (policy::ReadTarget(text, "GET", &target).has_value()) return;
  FUZZ_CLAIM(!target.path.empty() && target.path[0] == '/');
  FUZZ_CLAIM(target.path.size() == 1 || target.path.back() != '/');
  FUZZ_CLAIM(!absl::StrContains(target.path, "//"));
  FUZZ_CLAIM(target.path.find_first_of("\\;?#") == std::string::npos);
  FUZZ_CLAIM(!policy::CheckPath(target.path).has_value());
  for (const absl::string_view segment : absl::StrSplit(target.path, '/')) {
    FUZZ_CLAIM(segment != "." && segment != "..");
  }
  for (const char c : target.path) {
    FUZZ_CLAIM(static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) != 0x7F);
  }
}

void Look(absl::string_view input) {
  std::vector<absl::string_view> lines = absl::StrSplit(input, '\n');
  LookAtTarget(lines[0]);
  lines.resize(std::max<size_t>(lines.size(), 3));
  policy::Request request;
  request.target = lines[0];
  request.host = lines[1];
  request.method = lines[2].empty() ? "GET" : lines[2];
  std::vector<policy::Header> headers;
  int authorizations = 0;
  for (size_t i = 3; i < lines.size() && i < 64; ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == absl::string_view::npos) continue;
    headers.emplace_back(lines[i].substr(0, colon), lines[i].substr(colon + 1));
    authorizations += absl::EqualsIgnoreCase(headers.back().first, "authorization");
  }
  request.headers = headers;
  const Judgement judgement = ThePolicy().Judge(request);
  if (judgement.kind == Judgement::Kind::kRefused) {
    FUZZ_CLAIM(judgement.status == 400 || judgement.status == 403);
    FUZZ_CLAIM(!judgement.reason.empty() && !judgement.description.empty());
    FUZZ_CLAIM(judgement.credential.empty());
    return;
  }
  FUZZ_CLAIM(judgement.route != nullptr);
  if (judgement.kind == Judgement::Kind::kOpen) {
    FUZZ_CLAIM(judgement.route->number == 1);
  } else {
    FUZZ_CLAIM(authorizations < 2);
    FUZZ_CLAIM(judgement.route->number != 3 || !judgement.requirement.workspace.empty());
  }
  // Whatever header states an identity, in any spelling, goes no further.
  for (const policy::Header& header : headers) {
    if (!absl::EqualsIgnoreCase(header.first, "x-tollgate-owner")) continue;
    bool dropped = false;
    for (const std::string& name : judgement.drop_headers) dropped |= name == "x-tollgate-owner";
    FUZZ_CLAIM(dropped);
  }
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
