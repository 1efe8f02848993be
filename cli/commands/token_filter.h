// Which tokens: the options that pick them, and the reading of what they pick.
#ifndef TOLLGATE_CLI_COMMANDS_TOKEN_FILTER_H_
#define TOLLGATE_CLI_COMMANDS_TOKEN_FILTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/context.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/map.h"
#include "tollgate/v1/token_service.pb.h"

namespace tollgate::cli {

// "key=value" pairs, as --annotation takes them. INVALID_ARGUMENT.
absl::Status FillAnnotations(const std::vector<std::string>& pairs,
                             google::protobuf::Map<std::string, std::string>* out);

// Tokens in the pages that they came in, which own them: reading many copies and moves none.
struct TokenPages {
  google::protobuf::Arena pages;
  std::vector<const tollgate::v1::Token*> tokens;  // as they were listed
  int64_t ended_left_out = 0;
};
// Adds the pages of a list to `*read` until there are more tokens than `most`; 0: all of them.
// Errors: the service's; what was read before one stays.
absl::Status ReadPages(Context& context, tollgate::v1::ListTokensRequest request, size_t most,
                       TokenPages* read);

// The tokens that a change is about: ids, one label, or conditions. An option of every verb that
// can change several.
struct TokenChoice {
  std::vector<std::string> tokens;  // ids, or full names
  std::string workspace;
  std::string label;  // of one live token
  // Conditions; all that are given must hold. Only live tokens meet them.
  std::string owner, label_contains, unused_for;
  std::vector<std::string> annotations;
  bool yes = false, dry_run = false;
  int64_t expected = -1;

  // The options of which token, and --yes, --dry-run and --expect. Each condition is called
  // --where-…; `plain_label`: the verb has no other --label, so that is the short name of
  // --with-label.
  void AddTo(CLI::App& verb, bool plain_label);
  bool conditions() const {
    return !owner.empty() || !label_contains.empty() || !unused_for.empty() || !annotations.empty();
  }
  // Whether the answer is a list, whatever its length: that depends on the words alone.
  bool several() const { return tokens.size() > 1 || conditions(); }
  bool any() const { return !tokens.empty() || !label.empty() || conditions(); }
};

// What was chosen.
struct ChosenTokens {
  // Where one id was given only its name is filled: it was not read.
  std::vector<tollgate::v1::Token> tokens;
  bool agreed = true;  // false: the person said no, or it was a dry run; all is told
};

// Finds the tokens. Of several it shows a preview, and asks, unless --yes says so; with --dry-run
// it only shows it. `verb` as in "revoke". Errors: INVALID_ARGUMENT, none or too much was given;
// NOT_FOUND (TOKEN_NOT_FOUND, LABEL_NOT_FOUND, NOTHING_CHOSEN), FAILED_PRECONDITION
// (LABEL_AMBIGUOUS, COUNT_MISMATCH); then nothing is changed.
// `states`: those a token may be in to meet a label or a condition. With a request id only ids will
// do, because a retry must find the same tokens, and the change itself moves them out of `states`.
absl::StatusOr<ChosenTokens> ChooseTokens(Context& context, const TokenChoice& choice,
                                          absl::string_view verb,
                                          std::vector<tollgate::v1::TokenState> states,
                                          const std::string& request_id);

// The states in which a token is not final.
std::vector<tollgate::v1::TokenState> LiveStates();

// The request id of one of several changes under one --request-id: the same tokens again have the
// same ids. INVALID_ARGUMENT: it is too long for that. "" for "".
absl::StatusOr<std::string> RequestIdFor(const std::string& request_id, const std::string& name);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_TOKEN_FILTER_H_
