// One expression over scopes: `items:read AND (items:write OR admin)`.
#ifndef TOLLGATE_TOKEN_SCOPE_EXPRESSION_H_
#define TOLLGATE_TOKEN_SCOPE_EXPRESSION_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tollgate::token {

// Scopes joined by AND and OR, with parentheses. Constant and thread-safe; a copy shares what was
// parsed, so it is cheap.
class ScopeExpression {
 public:
  // The longest text, and the deepest parentheses, that Parse takes.
  static constexpr size_t kMaxLength = 4096;
  static constexpr int kMaxDepth = 8;

  // The empty expression: no scope is needed.
  ScopeExpression() = default;

  // Reads an expression of 1 to kMaxScopes scopes. AND beside OR wants parentheses, because readers
  // differ on which of the two binds tighter. INVALID_ARGUMENT (SCOPE_EXPRESSION_MALFORMED)
  // otherwise; the message says what is wrong and what would be right.
  static absl::StatusOr<ScopeExpression> Parse(absl::string_view text);

  bool empty() const { return parsed_ == nullptr; }

  // Whether the expression holds for whoever `has` these scopes; true when it is empty. Allocates
  // nothing.
  bool HoldsFor(absl::FunctionRef<bool(absl::string_view scope)> has) const;

  // Scopes with which it holds: of alternatives the first. Views live as long as this object.
  std::vector<absl::string_view> Sufficient() const;

  // As it was written, with single spaces; empty when the expression is.
  absl::string_view text() const;

 private:
  friend class ScopeExpressionParser;
  // In prefix order: a node, then its operands, each with its own. `size` counts all of them.
  struct Node {
    enum class Kind { kScope, kAll, kAny };
    Kind kind = Kind::kScope;
    size_t size = 1;
    std::string scope;  // kScope
  };
  struct Parsed {
    std::vector<Node> nodes;
    std::string text;
  };

  static bool Holds(const Node* node, absl::FunctionRef<bool(absl::string_view scope)> has);
  static void Collect(const Node* node, std::vector<absl::string_view>* scopes);

  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_SCOPE_EXPRESSION_H_
