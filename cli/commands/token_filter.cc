#include "cli/commands/token_filter.h"

#include <algorithm>
#include <ostream>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "text/label.h"
#include "token/resource_name.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::ListTokensRequest;
using tollgate::v1::Token;
using tollgate::v1::TokenService;
using tollgate::v1::TokenState;

// In a preview, and among candidates.
constexpr size_t kMostShown = 20;

std::string IdOf(const Token& token) {
  return token.token_id().empty() ? token.name().substr(token.name().rfind('/') + 1)
                                  : token.token_id();
}

std::string Tokens(size_t count) { return absl::StrCat(count, count == 1 ? " token" : " tokens"); }

// One line a candidate: enough to tell which it is.
std::string Candidates(const std::vector<Token>& tokens, absl::Time now) {
  std::string text;
  for (size_t i = 0; i < tokens.size() && i < kMostShown; ++i) {
    const Token& token = tokens[i];
    absl::StrAppend(&text, "\n  ", IdOf(token), "  ", token.label(), ", ", StateText(token.state()),
                    ", created ", HumanTime(base::FromProto(token.create_time()), now),
                    ", last used ", LastUsedText(token, now));
  }
  if (tokens.size() > kMostShown) {
    absl::StrAppend(&text, "\n  and ", tokens.size() - kMostShown, " more");
  }
  return text;
}

absl::StatusOr<std::vector<Token>> All(Context& context, const ListTokensRequest& request) {
  TokenPages read;
  RETURN_IF_ERROR(ReadPages(context, request, /*most=*/0, &read));
  std::vector<Token> tokens;
  tokens.reserve(read.tokens.size());
  for (const Token* token : read.tokens) tokens.push_back(*token);
  return tokens;
}

absl::StatusOr<Token> ByLabel(Context& context, const std::string& label,
                              const ListTokensRequest& within) {
  ListTokensRequest request = within;
  request.mutable_filter()->set_label_contains(label);
  ASSIGN_OR_RETURN(const std::vector<Token> near, All(context, request));
  std::vector<Token> same;
  for (const Token& token : near) {
    if (text::ComparedLabel(token.label()) == text::ComparedLabel(label)) same.push_back(token);
  }
  if (same.size() == 1) return same[0];
  if (same.size() > 1) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "LABEL_AMBIGUOUS",
        absl::StrCat(
            Tokens(same.size()), " of ", request.parent(), " have the label \"", label,
            "\"; nothing was changed. Say which, by id:", Candidates(same, context.now())));
  }
  return base::Refuse(absl::StatusCode::kNotFound, "LABEL_NOT_FOUND",
                      absl::StrCat("no token of ", request.parent(),
                                   " that this could be about has "
                                   "the label \"",
                                   label, "\"", near.empty() ? "" : "; these have it in theirs:",
                                   Candidates(near, context.now())));
}

absl::StatusOr<std::vector<Token>> ByName(Context& context, const TokenChoice& choice) {
  std::set<std::string> seen;  // an id given twice is one token
  std::vector<Token> tokens;
  for (const std::string& one : choice.tokens) {
    tollgate::v1::GetTokenRequest get;
    ASSIGN_OR_RETURN(*get.mutable_name(),
                     TokenNameFrom(one, choice.workspace, context.settings().workspace_typed));
    if (!seen.insert(get.name()).second) continue;
    // All are looked at before any is changed: a typo in the last is no reason to change the first.
    tokens.emplace_back();
    RETURN_IF_ERROR(context.Ask(&TokenService::Stub::GetToken, get, &tokens.back()));
  }
  return tokens;
}

void Preview(Context& context, const std::vector<Token>& tokens) {
  Table table({{"TOKEN"}, {"LABEL", 16}, {"STATE"}, {"OWNER", 10, 1}, {"LAST USED"}});
  for (size_t i = 0; i < tokens.size() && i < kMostShown; ++i) {
    const Token& token = tokens[i];
    table.AddRow({IdOf(token), token.label(), StateText(token.state()),
                  token.owner().empty() ? "-" : token.owner(), LastUsedText(token, context.now())});
  }
  table.Print(context.err(), {context.terminal().columns, false});
  if (tokens.size() > kMostShown) {
    context.err() << "… and " << tokens.size() - kMostShown << " more\n";
  }
}

}  // namespace

absl::Status FillAnnotations(const std::vector<std::string>& pairs,
                             google::protobuf::Map<std::string, std::string>* out) {
  for (const std::string& pair : pairs) {
    const std::vector<std::string> parts = absl::StrSplit(pair, absl::MaxSplits('=', 1));
    if (parts.size() != 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("--annotation wants key=value, not '", pair.substr(0, 40), "'"));
    }
    if (!out->insert({parts[0], parts[1]}).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", parts[0].substr(0, 40), "' is given twice, and has one value: give it once"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadPages(Context& context, ListTokensRequest request, size_t most, TokenPages* read) {
  if (request.page_size() == 0) request.set_page_size(1000);
  do {
    auto* const page =
        google::protobuf::Arena::CreateMessage<tollgate::v1::ListTokensResponse>(&read->pages);
    RETURN_IF_ERROR(context.Ask(&TokenService::Stub::ListTokens, request, page));
    read->ended_left_out += page->ended_left_out_count();
    for (const Token& token : page->tokens()) read->tokens.push_back(&token);
    if (most > 0 && read->tokens.size() > most) break;
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

void TokenChoice::AddTo(CLI::App& verb, bool plain_label) {
  verb.add_option("token", tokens, "Tokens' ids, or their full names");
  AddWorkspaceOption(verb, &workspace);
  verb.add_option(plain_label ? "--label,--with-label" : "--with-label", label,
                  "Instead of an id: the one with exactly this label");
  verb.add_option("--where-owner", owner, "All of this owner's");
  verb.add_option("--where-label", label_contains, "All whose label contains this");
  verb.add_option("--where-annotation", annotations, "All with key=value; repeatable");
  verb.add_option("--where-unused-for", unused_for, "All not used for this long, as in 90d");
  verb.add_flag("-y,--yes", yes, "Do not ask");
  verb.add_flag("--dry-run", dry_run, "Only show which it would be");
  verb.add_option("--expect", expected, "Refuse unless it would be exactly so many")
      ->check(CLI::NonNegativeNumber);
}

std::vector<TokenState> LiveStates() {
  return {tollgate::v1::TOKEN_STATE_ACTIVE, tollgate::v1::TOKEN_STATE_SUSPENDED,
          tollgate::v1::TOKEN_STATE_RETIRING};
}

absl::StatusOr<ChosenTokens> ChooseTokens(Context& context, const TokenChoice& choice,
                                          absl::string_view verb, std::vector<TokenState> states,
                                          const std::string& request_id) {
  const int kinds = (choice.tokens.empty() ? 0 : 1) + (choice.label.empty() ? 0 : 1) +
                    (choice.conditions() ? 1 : 0);
  if (kinds != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        kinds == 0 ? "which token?" : "ids, a label and conditions are three ways to say which;",
        " Give ids, or one label, or conditions (--where-…)"));
  }
  if (!request_id.empty() && choice.tokens.empty()) {
    return absl::InvalidArgumentError(
        "--request-id goes with ids: by a label or by conditions a retry would choose anew, and "
        "what was changed is not among it any more. --dry-run prints the names");
  }
  ChosenTokens chosen;
  if (!choice.several() && choice.label.empty() && !choice.dry_run && choice.expected < 0) {
    chosen.tokens.emplace_back();
    ASSIGN_OR_RETURN(
        *chosen.tokens[0].mutable_name(),
        TokenNameFrom(choice.tokens[0], choice.workspace, context.settings().workspace_typed));
    return chosen;
  }
  ListTokensRequest request;
  for (const TokenState state : states) request.mutable_filter()->add_states(state);
  if (!choice.tokens.empty()) {
    ASSIGN_OR_RETURN(chosen.tokens, ByName(context, choice));
  } else {
    ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(choice.workspace));
    if (!choice.label.empty()) {
      chosen.tokens.emplace_back();
      ASSIGN_OR_RETURN(chosen.tokens[0], ByLabel(context, choice.label, request));
    } else {
      tollgate::v1::TokenFilter& filter = *request.mutable_filter();
      filter.set_owner(choice.owner);
      filter.set_label_contains(choice.label_contains);
      RETURN_IF_ERROR(FillAnnotations(choice.annotations, filter.mutable_annotations()));
      if (!choice.unused_for.empty()) {
        ASSIGN_OR_RETURN(const absl::Duration unused, ParseHumanDuration(choice.unused_for));
        *filter.mutable_unused_for() = base::ToProto(unused);
      }
      ASSIGN_OR_RETURN(chosen.tokens, All(context, request));
      if (chosen.tokens.empty()) {
        return base::Refuse(
            absl::StatusCode::kNotFound, "NOTHING_CHOSEN",
            absl::StrCat("no token of ", request.parent(), " meets that; nothing was changed"));
      }
    }
  }
  const auto count = static_cast<int64_t>(chosen.tokens.size());
  if (choice.expected >= 0 && choice.expected != count) {
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "COUNT_MISMATCH",
                        absl::StrCat("it would ", verb, " ", Tokens(chosen.tokens.size()), ", and ",
                                     choice.expected, choice.expected == 1 ? " was" : " were",
                                     " expected; nothing was changed. Look again with --dry-run"));
  }
  if (choice.dry_run) {
    chosen.agreed = false;
    if (context.settings().json()) {
      tollgate::v1::ListTokensResponse would;
      for (Token& token : chosen.tokens) *would.add_tokens() = std::move(token);
      std::vector<const google::protobuf::Message*> list;
      for (const Token& token : would.tokens()) list.push_back(&token);
      std::string json;
      RETURN_IF_ERROR(WriteJsonList("tokens", list, JsonLayout::kIndented, {}, &json));
      context.raw_out() << json << '\n';
    } else {
      for (const Token& token : chosen.tokens)
        context.out() << SafeForTerminal(token.name()) << '\n';
      if (!context.settings().quiet) {
        context.err() << "Dry run, nothing is changed: it would " << verb << " "
                      << Tokens(chosen.tokens.size()) << ".\n";
      }
    }
    return chosen;
  }
  if (!choice.several() || choice.yes) return chosen;
  Preview(context, chosen.tokens);
  std::string capital(verb);
  capital[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(capital[0])));
  ASSIGN_OR_RETURN(
      chosen.agreed,
      context.Confirm(absl::StrCat(capital, " ", Tokens(chosen.tokens.size()), "?"), false));
  if (!chosen.agreed) context.TellNothingChanged();
  return chosen;
}

absl::StatusOr<std::string> RequestIdFor(const std::string& request_id, const std::string& name) {
  constexpr size_t kMostOfService = 64;
  if (request_id.empty()) return std::string();
  const std::string id = absl::StrCat(request_id, ":", name.substr(name.rfind('/') + 1));
  if (id.size() <= kMostOfService) return id;
  return absl::InvalidArgumentError(absl::StrCat("--request-id: for several tokens at most ",
                                                 kMostOfService - (id.size() - request_id.size()),
                                                 " characters"));
}

}  // namespace tollgate::cli
