// Finds the first of many routes that takes a request, in time that depends on the path's length
// and not on their number.
#ifndef TOLLGATE_POLICY_ROUTE_INDEX_H_
#define TOLLGATE_POLICY_ROUTE_INDEX_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "policy/pattern.h"

namespace tollgate::policy {

// Where a request goes, canonical.
struct Destination {
  absl::string_view host;  // empty: it names none, and only routes for all hosts take it
  absl::string_view method;
  absl::string_view path;  // empty: the `*` of OPTIONS, which only routes for all paths take
};

// One tree of path segments for each host that the routes name. Constant, thread-safe.
class RouteIndex {
 public:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  struct Found {
    size_t route = kNone;  // the place in the list
    // The route's path and the request's differ in the case of letters, and in nothing else.
    bool other_case = false;
  };

  // With `fold_case` a route's path takes paths in any case.
  RouteIndex(std::vector<Pattern> patterns, bool fold_case);
  RouteIndex(const RouteIndex&) = delete;
  RouteIndex& operator=(const RouteIndex&) = delete;

  Found Find(const Destination& destination) const;

  const std::vector<Pattern>& patterns() const { return patterns_; }

 private:
  // Routes whose paths begin alike.
  struct Node {
    size_t first = kNone;  // the first route here or below: what comes later need not be looked at
    absl::flat_hash_map<std::string, std::unique_ptr<Node>> literals;
    std::unique_ptr<Node> variable;
    std::vector<size_t> exact;   // routes that end here, in order
    std::vector<size_t> prefix;  // routes that take whatever lies below
  };
  // The routes of one host pattern.
  struct Tree {
    std::vector<size_t> pathless;
    Node root;
  };

  void Add(size_t route, Tree* tree);
  // Each lowers `*best` to the first route that takes the request, where that is earlier.
  void Search(const Tree& tree, const Destination& destination, absl::string_view path,
              size_t* best) const;
  void Descend(const Node& node, absl::string_view method, absl::string_view rest,
               size_t* best) const;
  void Take(const std::vector<size_t>& routes, absl::string_view method, size_t* best) const;
  bool SameCase(const PathPattern& pattern, absl::string_view path) const;

  const std::vector<Pattern> patterns_;
  const bool fold_case_;
  Tree any_host_;
  absl::flat_hash_map<std::string, std::unique_ptr<Tree>> hosts_;
  absl::flat_hash_map<std::string, std::unique_ptr<Tree>> suffixes_;
};

// The i-th segment of a canonical path; empty where it has fewer.
absl::string_view SegmentOf(absl::string_view path, size_t i);

}  // namespace tollgate::policy

#endif  // TOLLGATE_POLICY_ROUTE_INDEX_H_
