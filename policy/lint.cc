#include "policy/lint.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "policy/pattern.h"

namespace tollgate::policy {
namespace {

std::string Called(const Rule& rule) {
  return absl::StrCat("rule ", rule.route.number, " (line ", rule.route.line, ")");
}

bool TakesMethod(const Pattern& pattern, absl::string_view method) {
  return pattern.methods.empty() ||
         std::find(pattern.methods.begin(), pattern.methods.end(), method) != pattern.methods.end();
}

// Looks at one file.
class Linter {
 public:
  explicit Linter(const PolicyFile& file) : file_(file) {}

  std::vector<Finding> Run() {
    for (const Rule& rule : file_.rules) {
      if (LookForShadow(rule)) continue;
      LookAtWorkspace(rule);
      LookAtPublic(rule);
      LookAtOtherMethods(rule);
    }
    if (file_.otherwise.has_value() && !file_.otherwise->needs.token) {
      Add("otherwise-public", file_.otherwise->route.line,
          "whatever no rule takes is public: a path that is forgotten here is open to all");
    }
    if (!file_.places.query.empty()) {
      Add("credential-in-query", 0,
          absl::StrCat("the query parameter ", absl::StrJoin(file_.places.query, ", "),
                       " carries tokens: URLs are written to logs, histories and referrers on "
                       "their way to this edge"));
    }
    if (file_.upstream.keep_credential) {
      Add("credential-kept", 0,
          "token strings go on to the services behind, and into whatever they write; they have "
          "the identity headers instead");
    }
    std::stable_sort(findings_.begin(), findings_.end(),
                     [](const Finding& a, const Finding& b) { return a.line < b.line; });
    return std::move(findings_);
  }

  std::vector<int> ShadowOf(const Rule& rule) const {
    // A rule for all methods can only be covered by another one for all methods.
    std::vector<std::string> methods = rule.pattern.methods;
    if (methods.empty()) methods.push_back("");
    std::vector<int> by;
    for (const std::string& method : methods) {
      const Rule* first = FirstThatCovers(rule, method);
      if (first == nullptr) return {};
      if (std::find(by.begin(), by.end(), first->route.number) == by.end()) {
        by.push_back(first->route.number);
      }
    }
    std::sort(by.begin(), by.end());
    return by;
  }

 private:
  void Add(absl::string_view check, int line, std::string text) {
    findings_.push_back(Finding{check, line, std::move(text)});
  }
  const Rule& Numbered(int number) const { return file_.rules[static_cast<size_t>(number) - 1]; }

  // The first rule before `rule` that takes all its hosts and paths with that method (empty: with
  // all methods); nullptr: there is none.
  const Rule* FirstThatCovers(const Rule& rule, absl::string_view method) const {
    for (const Rule& earlier : file_.rules) {
      if (earlier.route.number >= rule.route.number) return nullptr;
      if (method.empty() ? !earlier.pattern.methods.empty()
                         : !TakesMethod(earlier.pattern, method)) {
        continue;
      }
      if (HostCovers(earlier.pattern.host, rule.pattern.host) &&
          PathCovers(earlier.pattern.path, rule.pattern.path, file_.guard_case)) {
        return &earlier;
      }
    }
    return nullptr;
  }

  bool LookForShadow(const Rule& rule) {
    const std::vector<int> by = ShadowOf(rule);
    if (by.empty()) return false;
    const std::string names = absl::StrJoin(by, " and ", [this](std::string* out, int number) {
      absl::StrAppend(out, Called(Numbered(number)));
    });
    const bool by_case = std::any_of(by.begin(), by.end(), [&](int number) {
      return !PathCovers(Numbered(number).pattern.path, rule.pattern.path, false);
    });
    Add("never-matches", rule.route.line,
        absl::StrCat("rule ", rule.route.number, " can never match: ", names,
                     by.size() == 1 ? " takes" : " take", " all that it would",
                     by_case ? "; its path differs in the case of letters only, which is refused "
                               "unless `path_case: sensitive` says that the services tell it"
                             : "; put it before, or drop it"));
    return true;
  }

  void LookAtWorkspace(const Rule& rule) {
    const Needs& needs = rule.needs;
    if (!needs.token || !needs.workspace_variable.empty() || !needs.requirement.workspace.empty()) {
      return;
    }
    if (!rule.pattern.path.IndexOf("workspace").has_value()) return;
    Add("workspace-unchecked", rule.route.line,
        absl::StrCat("rule ", rule.route.number,
                     " has {workspace} in its path and lets in tokens of every workspace; it wants "
                     "`workspace: \"{workspace}\"`"));
  }

  void LookAtPublic(const Rule& rule) {
    const Pattern& pattern = rule.pattern;
    const bool all_paths =
        pattern.path.kind == PathPattern::Kind::kAny ||
        (pattern.path.kind == PathPattern::Kind::kPrefix && pattern.path.segments.empty());
    if (rule.needs.token || !all_paths || pattern.host.kind != HostPattern::Kind::kAny ||
        !pattern.methods.empty()) {
      return;
    }
    Add("all-public", rule.route.line,
        absl::StrCat("rule ", rule.route.number,
                     " makes public whatever no rule before it takes: a path that is forgotten "
                     "there is open to all"));
  }

  // A guarded path whose other methods fall to a public rule.
  void LookAtOtherMethods(const Rule& rule) {
    if (!rule.needs.token || rule.pattern.methods.empty()) return;
    const Rule* next = nullptr;
    for (const Rule& later : file_.rules) {
      if (later.route.number == rule.route.number || !later.pattern.methods.empty()) continue;
      if (HostCovers(later.pattern.host, rule.pattern.host) &&
          PathCovers(later.pattern.path, rule.pattern.path, file_.guard_case)) {
        next = &later;
        break;
      }
    }
    if (next == nullptr && file_.otherwise.has_value()) next = &*file_.otherwise;
    if (next == nullptr || next->needs.token) return;
    Add("other-methods-public", rule.route.line,
        absl::StrCat("rule ", rule.route.number, " guards ",
                     absl::StrJoin(rule.pattern.methods, ", "), " only; other methods on its path ",
                     "fall to ", next->route.number == 0 ? "`otherwise`" : Called(*next),
                     ", which is public"));
  }

  const PolicyFile& file_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> Lint(const PolicyFile& file) { return Linter(file).Run(); }

std::vector<int> ShadowedBy(const PolicyFile& file, int number) {
  return Linter(file).ShadowOf(file.rules[static_cast<size_t>(number) - 1]);
}

}  // namespace tollgate::policy
