#include "token/scope_expression.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "token/field_rules.h"
#include "token/scope.h"

namespace tollgate::token {
namespace {

absl::Status Malformed(absl::string_view what) {
  return base::Refuse(absl::StatusCode::kInvalidArgument, "SCOPE_EXPRESSION_MALFORMED", what);
}

// Words and parentheses, in their order. White space separates, and means nothing else.
std::vector<absl::string_view> Words(absl::string_view text) {
  std::vector<absl::string_view> words;
  size_t begin = 0;
  const auto end_word = [&](size_t end) {
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const bool parenthesis = text[i] == '(' || text[i] == ')';
    if (!parenthesis && !absl::ascii_isspace(text[i])) continue;
    end_word(i);
    if (parenthesis) words.push_back(text.substr(i, 1));
  }
  end_word(text.size());
  return words;
}

// What to write in place of a word that looks like an operator and is none; empty for others.
absl::string_view MeantOperator(absl::string_view word) {
  const std::string upper = absl::AsciiStrToUpper(word);
  if (upper == "AND" || word == "&&" || word == "&" || word == ",") return "AND";
  if (upper == "OR" || word == "||" || word == "|") return "OR";
  return "";
}

}  // namespace

// Recursive descent: expression = operand {"AND" operand} | operand {"OR" operand};
// operand = scope | "(" expression ")".
class ScopeExpressionParser {
 public:
  using Node = ScopeExpression::Node;

  explicit ScopeExpressionParser(std::vector<absl::string_view> words) : words_(std::move(words)) {}

  absl::StatusOr<std::vector<Node>> Parse() {
    ASSIGN_OR_RETURN(std::vector<Node> nodes, Expression(0));
    if (!AtEnd()) {
      if (Here() == ")") return Malformed("a `)` closes nothing");
      return Malformed(absl::StrCat("an AND or OR is missing before `", Here(), "`"));
    }
    return nodes;
  }

 private:
  bool AtEnd() const { return at_ == words_.size(); }
  absl::string_view Here() const { return words_[at_]; }

  absl::StatusOr<std::vector<Node>> Expression(int depth) {
    ASSIGN_OR_RETURN(std::vector<Node> nodes, Operand(depth));
    absl::string_view operation;
    while (!AtEnd() && Here() != ")") {
      const absl::string_view word = Here();
      const absl::string_view meant = MeantOperator(word);
      if (word != "AND" && word != "OR") {
        if (!meant.empty()) return Malformed(absl::StrCat("for `", word, "` write ", meant));
        return Malformed(absl::StrCat("an AND or OR is missing before `", word, "`"));
      }
      if (!operation.empty() && word != operation) {
        return Malformed("AND beside OR wants parentheses, as in `a AND (b OR c)`");
      }
      operation = word;
      ++at_;
      ASSIGN_OR_RETURN(std::vector<Node> more, Operand(depth));
      std::move(more.begin(), more.end(), std::back_inserter(nodes));
    }
    if (!operation.empty()) {
      Node joined;
      joined.kind = operation == "AND" ? Node::Kind::kAll : Node::Kind::kAny;
      joined.size = nodes.size() + 1;
      nodes.insert(nodes.begin(), std::move(joined));
    }
    return nodes;
  }

  absl::StatusOr<std::vector<Node>> Operand(int depth) {
    if (AtEnd()) return Malformed("a scope is missing at the end");
    const absl::string_view word = Here();
    if (word == "(") {
      if (depth == ScopeExpression::kMaxDepth) {
        return Malformed(absl::StrCat("more than ", ScopeExpression::kMaxDepth,
                                      " parentheses within each other"));
      }
      ++at_;
      ASSIGN_OR_RETURN(std::vector<Node> nodes, Expression(depth + 1));
      if (AtEnd()) return Malformed("a `)` is missing at the end");
      ++at_;
      return nodes;
    }
    if (word == "NOT" || word == "not" || word[0] == '!') {
      return Malformed("there is no NOT: a token that may more is never refused for it");
    }
    if (word == ")" || !MeantOperator(word).empty()) {
      return Malformed(absl::StrCat("a scope is missing before `", word, "`"));
    }
    if (!IsScope(word)) {
      return Malformed(absl::StrCat("`", word.substr(0, 160), "` is no scope: 1 to ",
                                    kMaxScopeLength, " of A-Z a-z 0-9 . _ : / * -"));
    }
    if (!StarIsPlaced(word)) return Malformed(absl::StrCat("`", word, "`: ", kStarRule));
    if (++scopes_ > kMaxScopes) return Malformed(absl::StrCat("more than ", kMaxScopes, " scopes"));
    ++at_;
    Node node;
    node.scope = std::string(word);
    std::vector<Node> nodes;
    nodes.push_back(std::move(node));
    return nodes;
  }

  const std::vector<absl::string_view> words_;
  size_t at_ = 0;
  size_t scopes_ = 0;
};

absl::StatusOr<ScopeExpression> ScopeExpression::Parse(absl::string_view text) {
  if (text.size() > kMaxLength) {
    return Malformed(absl::StrCat("longer than ", kMaxLength, " characters"));
  }
  const std::vector<absl::string_view> words = Words(text);
  if (words.empty()) return Malformed("it is empty: leave it out where no scope is needed");
  ASSIGN_OR_RETURN(std::vector<Node> nodes, ScopeExpressionParser(words).Parse());
  auto parsed = std::make_shared<Parsed>();
  parsed->nodes = std::move(nodes);
  for (size_t i = 0; i < words.size(); ++i) {
    const bool joined = i == 0 || words[i - 1] == "(" || words[i] == ")";
    absl::StrAppend(&parsed->text, joined ? "" : " ", words[i]);
  }
  ScopeExpression expression;
  expression.parsed_ = std::move(parsed);
  return expression;
}

bool ScopeExpression::Holds(const Node* node,
                            absl::FunctionRef<bool(absl::string_view scope)> has) {
  if (node->kind == Node::Kind::kScope) return has(node->scope);
  const bool all = node->kind == Node::Kind::kAll;
  for (const Node* operand = node + 1; operand < node + node->size; operand += operand->size) {
    if (Holds(operand, has) != all) return !all;
  }
  return all;
}

bool ScopeExpression::HoldsFor(absl::FunctionRef<bool(absl::string_view scope)> has) const {
  return parsed_ == nullptr || Holds(parsed_->nodes.data(), has);
}

void ScopeExpression::Collect(const Node* node, std::vector<absl::string_view>* scopes) {
  if (node->kind == Node::Kind::kScope) {
    if (std::find(scopes->begin(), scopes->end(), node->scope) == scopes->end()) {
      scopes->push_back(node->scope);
    }
    return;
  }
  for (const Node* operand = node + 1; operand < node + node->size; operand += operand->size) {
    Collect(operand, scopes);
    if (node->kind == Node::Kind::kAny) return;
  }
}

std::vector<absl::string_view> ScopeExpression::Sufficient() const {
  std::vector<absl::string_view> scopes;
  if (parsed_ != nullptr) Collect(parsed_->nodes.data(), &scopes);
  return scopes;
}

absl::string_view ScopeExpression::text() const {
  return parsed_ == nullptr ? absl::string_view() : absl::string_view(parsed_->text);
}

}  // namespace tollgate::token
