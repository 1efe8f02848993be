// A policy's text, whatever it holds: it is refused with its place, or what was read can be asked.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "policy/lint.h"
#include "policy/policy.h"
#include "policy/policy_file.h"
#include "tests/fuzz/fuzz.h"

namespace tollgate::fuzz {
namespace {

void Look(absl::string_view text) {
  const absl::StatusOr<policy::PolicyFile> file = policy::ReadPolicyFile(text, "edge.yaml");
  if (!file.ok()) {
    FUZZ_CLAIM(base::ReasonOf(file.status()) == "POLICY_INVALID");
    FUZZ_CLAIM(absl::StartsWith(file.status().message(), "edge.yaml:"));
    FUZZ_CLAIM(!policy::Policy::Parse(text, "edge.yaml").ok());
    return;
  }
  for (const policy::Finding& finding : policy::Lint(*file)) FUZZ_CLAIM(!finding.text.empty());
  const auto parsed = policy::Policy::Parse(text, "edge.yaml");
  FUZZ_CLAIM(parsed.ok());
  FUZZ_CLAIM((*parsed)->routes().size() == file->rules.size());
  // Every rule's own pattern leads to it, or to one before it, where it has a path to ask for.
  for (const policy::Rule& rule : file->rules) {
    if (rule.pattern.path.kind == policy::PathPattern::Kind::kAny) continue;
    std::string path;
    for (const auto& segment : rule.pattern.path.segments) {
      path += "/" + (segment.variable ? "x" : segment.text);
    }
    for (const char c : path) {
      if (c <= ' ' || c >= 0x7F) return;  // it would have to be encoded
    }
    policy::Request request;
    const std::string host = rule.pattern.host.kind == policy::HostPattern::Kind::kSuffix
                                 ? "x." + rule.pattern.host.name
                                 : rule.pattern.host.name;
    request.method = "GET";
    if (!rule.pattern.methods.empty()) request.method = rule.pattern.methods[0];
    request.host = host.empty() ? "h" : absl::string_view(host);
    request.target = path.empty() ? "/" : absl::string_view(path);
    const policy::Judgement judgement = (*parsed)->Judge(request);
    if (judgement.kind == policy::Judgement::Kind::kRefused) {
      FUZZ_CLAIM(judgement.status == 400);
    } else {
      FUZZ_CLAIM(judgement.route->number >= 1 && judgement.route->number <= rule.route.number);
    }
  }
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
