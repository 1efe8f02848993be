#include "policy/route_index.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace tollgate::policy {
namespace {

// Takes the first segment off a path without its leading slash.
absl::string_view TakeSegment(absl::string_view* rest) {
  const absl::string_view segment = rest->substr(0, rest->find('/'));
  rest->remove_prefix(std::min(rest->size(), segment.size() + 1));
  return segment;
}

template <class Tree>
Tree* TreeOf(absl::flat_hash_map<std::string, std::unique_ptr<Tree>>* trees,
             const std::string& host) {
  std::unique_ptr<Tree>& tree = (*trees)[host];
  if (tree == nullptr) tree = std::make_unique<Tree>();
  return tree.get();
}

}  // namespace

absl::string_view SegmentOf(absl::string_view path, size_t i) {
  if (path.empty()) return "";
  path.remove_prefix(1);
  absl::string_view segment = TakeSegment(&path);
  while (i-- > 0) segment = TakeSegment(&path);
  return segment;
}

RouteIndex::RouteIndex(std::vector<Pattern> patterns, bool fold_case)
    : patterns_(std::move(patterns)), fold_case_(fold_case) {
  for (size_t route = 0; route < patterns_.size(); ++route) {
    const HostPattern& host = patterns_[route].host;
    switch (host.kind) {
      case HostPattern::Kind::kAny:
        Add(route, &any_host_);
        break;
      case HostPattern::Kind::kExact:
        Add(route, TreeOf(&hosts_, host.name));
        break;
      case HostPattern::Kind::kSuffix:
        Add(route, TreeOf(&suffixes_, host.name));
        break;
    }
  }
}

void RouteIndex::Add(size_t route, Tree* tree) {
  const PathPattern& path = patterns_[route].path;
  if (path.kind == PathPattern::Kind::kAny) {
    tree->pathless.push_back(route);
    return;
  }
  Node* node = &tree->root;
  node->first = std::min(node->first, route);
  for (const PathPattern::Segment& segment : path.segments) {
    std::unique_ptr<Node>& next =
        segment.variable
            ? node->variable
            : node->literals[fold_case_ ? absl::AsciiStrToLower(segment.text) : segment.text];
    if (next == nullptr) next = std::make_unique<Node>();
    node = next.get();
    node->first = std::min(node->first, route);
  }
  (path.kind == PathPattern::Kind::kPrefix ? node->prefix : node->exact).push_back(route);
}

void RouteIndex::Take(const std::vector<size_t>& routes, absl::string_view method,
                      size_t* best) const {
  for (const size_t route : routes) {
    if (route >= *best) return;
    const std::vector<std::string>& methods = patterns_[route].methods;
    if (methods.empty() || std::find(methods.begin(), methods.end(), method) != methods.end()) {
      *best = route;
      return;
    }
  }
}

// As deep as the deepest pattern at most, whatever the path's length.
void RouteIndex::Descend(const Node& node, absl::string_view method, absl::string_view rest,
                         size_t* best) const {
  if (node.first >= *best) return;
  Take(node.prefix, method, best);
  if (rest.empty()) {
    Take(node.exact, method, best);
    return;
  }
  const absl::string_view segment = TakeSegment(&rest);
  if (const auto literal = node.literals.find(segment); literal != node.literals.end()) {
    Descend(*literal->second, method, rest, best);
  }
  if (node.variable != nullptr) Descend(*node.variable, method, rest, best);
}

void RouteIndex::Search(const Tree& tree, const Destination& destination, absl::string_view path,
                        size_t* best) const {
  Take(tree.pathless, destination.method, best);
  if (!path.empty()) Descend(tree.root, destination.method, path.substr(1), best);
}

bool RouteIndex::SameCase(const PathPattern& pattern, absl::string_view path) const {
  if (!path.empty()) path.remove_prefix(1);
  for (const PathPattern::Segment& segment : pattern.segments) {
    const absl::string_view here = TakeSegment(&path);
    if (!segment.variable && here != segment.text) return false;
  }
  return true;
}

RouteIndex::Found RouteIndex::Find(const Destination& destination) const {
  std::string folded;
  absl::string_view path = destination.path;
  if (fold_case_) {
    folded = absl::AsciiStrToLower(path);
    path = folded;
  }
  Found found;
  Search(any_host_, destination, path, &found.route);
  if (!destination.host.empty()) {
    if (const auto tree = hosts_.find(destination.host); tree != hosts_.end()) {
      Search(*tree->second, destination, path, &found.route);
    }
    if (!suffixes_.empty()) {
      for (size_t dot = destination.host.find('.'); dot != absl::string_view::npos;
           dot = destination.host.find('.', dot + 1)) {
        const auto tree = suffixes_.find(destination.host.substr(dot + 1));
        if (tree != suffixes_.end()) Search(*tree->second, destination, path, &found.route);
      }
    }
  }
  if (found.route != kNone && fold_case_) {
    found.other_case = !SameCase(patterns_[found.route].path, destination.path);
  }
  return found;
}

}  // namespace tollgate::policy
