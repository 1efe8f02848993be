// An edge inside a C++ program: reads token strings, a line each, and says what may be done with
// them. usage: embed-cpp SERVICE [SCOPE]
#include <tollgate/edge.h>

#include <future>
#include <iostream>
#include <memory>
#include <string>

namespace te = tollgate::edge;

namespace {

// From memory; else asks, and here waits. An event loop would go on from the callback instead.
te::Decision Check(te::Edge& edge, const std::string& token_string,
                   const te::Requirement& requirement) {
  te::Decision decision;
  if (edge.Check(token_string, requirement, &decision)) return decision;
  std::promise<te::Decision> answer;
  edge.CheckAsync(token_string, requirement,
                  [&answer](const te::Decision& decision) { answer.set_value(decision); });
  return answer.get_future().get();  // bounded: see Edge::CheckAsync
}

void Tell(const te::Decision& decision) {
  switch (decision.verdict()) {
    case te::Verdict::kAdmit:
      std::cout << "admit " << decision.workspace() << ' ' << decision.token_id() << std::endl;
      break;
    case te::Verdict::kDeny:  // 401, or 403 where the token is good
      std::cout << "deny " << te::Describe(decision.reason()) << std::endl;
      break;
    case te::Verdict::kUnavailable:  // 503: nobody can say now
      std::cout << "unavailable " << te::Describe(decision.reason()) << std::endl;
      break;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: embed-cpp SERVICE [SCOPE]\n";
    return 2;
  }
  te::Options options;
  options.id = "examples/embed-cpp";
  options.service = argv[1];
  auto started = te::Edge::Start(options);
  if (!started.ok()) {
    std::cerr << started.error().reason << ": " << started.error().message << '\n';
    return 1;
  }
  const std::unique_ptr<te::Edge> edge = std::move(*started);
  te::Requirement requirement;
  if (argc > 2) requirement.AllOf({argv[2]});

  std::cout << (edge->WaitUntilLive(std::chrono::seconds(30)) ? "live" : "not live") << std::endl;
  for (std::string line; std::getline(std::cin, line); te::Wipe(&line)) {
    Tell(Check(*edge, line, requirement));
  }
  return edge->Stop() ? 0 : 1;  // says goodbye
}
