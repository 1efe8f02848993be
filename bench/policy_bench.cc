// What it costs to judge a request by a policy of 10 and of 1,000 routes: the index by path
// segments makes the number of routes matter little (docs/performance.md).
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "policy/policy.h"

namespace tollgate::bench {
namespace {

// Routes of three kinds in turns: exact, template, prefix. No two take the same path.
std::shared_ptr<const policy::Policy> PolicyOf(int routes) {
  std::string text = "version: 1\nroutes:\n";
  for (int i = 0; i < routes; ++i) {
    const std::string path = i % 3 == 0   ? absl::StrCat("path: /v1/kind", i, "/list")
                             : i % 3 == 1 ? absl::StrCat("path: /v1/{workspace}/kind", i, "/{id}")
                                          : absl::StrCat("prefix: /v1/kind", i);
    absl::StrAppend(&text, "  - methods: [GET, POST]\n    ", path, "\n    needs: {any: [kind", i,
                    ":read, admin]}\n");
  }
  return policy::Policy::Parse(text, "bench.yaml").value();
}

// A target of each route, the last ones first: those are what a walk through the list pays for.
std::vector<std::string> TargetsOf(int routes) {
  std::vector<std::string> targets;
  for (int i = routes - 1; i >= 0; --i) {
    targets.push_back(i % 3 == 0   ? absl::StrCat("/v1/kind", i, "/list")
                      : i % 3 == 1 ? absl::StrCat("/v1/acme/kind", i, "/4711?page=2")
                                   : absl::StrCat("/v1/kind", i, "/a/b"));
  }
  return targets;
}

// What a browser's request brings, and one token.
std::vector<policy::Header> Headers() {
  static const std::string bearer = absl::StrCat("Bearer tgw_", std::string(65, 'a'));
  return {{"host", "api.example"},
          {"user-agent", "Mozilla/5.0 (X11; Linux x86_64)"},
          {"accept", "application/json"},
          {"accept-encoding", "gzip, br"},
          {"accept-language", "en"},
          {"authorization", bearer},
          {"x-request-id", "7e3f9c52-9f0b-4a52-8d0e-3f6a1d8c7b10"},
          {"x-forwarded-for", "10.0.3.7"},
          {"cookie", "theme=dark"}};
}

void Judge(benchmark::State& state, int routes) {
  const std::shared_ptr<const policy::Policy> policy = PolicyOf(routes);
  const std::vector<std::string> targets = TargetsOf(routes);
  const std::vector<policy::Header> headers = Headers();
  policy::Request request;
  request.method = "GET";
  request.host = "api.example";
  request.headers = headers;
  size_t i = 0;
  int64_t guarded = 0;
  for (auto _ : state) {
    request.target = targets[i++ % targets.size()];
    const policy::Judgement judgement = policy->Judge(request);
    guarded += judgement.kind == policy::Judgement::Kind::kGuarded;
  }
  // A benchmark of refusals would flatter.
  if (guarded != state.iterations()) state.SkipWithError("a request was not taken by its route");
}
BENCHMARK_CAPTURE(Judge, routes_10, 10);
BENCHMARK_CAPTURE(Judge, routes_100, 100);
BENCHMARK_CAPTURE(Judge, routes_1000, 1000);
BENCHMARK_CAPTURE(Judge, routes_10000, 10000);

void Refuse(benchmark::State& state, int routes) {
  const std::shared_ptr<const policy::Policy> policy = PolicyOf(routes);
  const std::vector<policy::Header> headers = Headers();
  policy::Request request;
  request.method = "GET";
  request.host = "api.example";
  request.headers = headers;
  request.target = "/v2/acme/items/4711";
  int64_t refused = 0;
  for (auto _ : state) {
    refused += policy->Judge(request).kind == policy::Judgement::Kind::kRefused;
  }
  if (refused != state.iterations()) state.SkipWithError("a request was taken");
}
BENCHMARK_CAPTURE(Refuse, routes_10, 10);
BENCHMARK_CAPTURE(Refuse, routes_1000, 1000);

}  // namespace
}  // namespace tollgate::bench

BENCHMARK_MAIN();
