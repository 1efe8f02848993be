#include "cli/commands/token_text.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/human.h"
#include "cli/output.h"
#include "token/resource_name.h"
#include "token/token_string.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::Token;
using tollgate::v1::TokenState;

struct StateWord {
  TokenState state;
  const char* word;
};
constexpr StateWord kStateWords[] = {
    {tollgate::v1::TOKEN_STATE_ACTIVE, "active"},
    {tollgate::v1::TOKEN_STATE_SUSPENDED, "suspended"},
    {tollgate::v1::TOKEN_STATE_RETIRING, "retiring"},
    {tollgate::v1::TOKEN_STATE_REVOKED, "revoked"},
    {tollgate::v1::TOKEN_STATE_EXPIRED, "expired"},
};

std::string Named(std::vector<std::string> names, size_t total) {
  constexpr size_t kMost = 5;
  if (names.size() > kMost) names.resize(kMost);
  for (std::string& name : names) name = SafeForTerminal(name);
  std::string text = absl::StrJoin(names, ", ");
  if (total > names.size()) absl::StrAppend(&text, " and ", total - names.size(), " more");
  return text;
}

constexpr absl::string_view kWorkspaceIdRule =
    "1 to 63 of a-z, 0-9 and '-', not beginning or ending with '-'";

// What was typed, for an error. What is longer than any id may be a part of a token string, and is
// not said again.
std::string Quoted(const std::string& typed) {
  constexpr size_t kLongestQuoted = 24;
  if (typed.size() > kLongestQuoted) return "what was given";
  return absl::StrCat("'", SafeForTerminal(typed), "'");
}

absl::Status NoTokenId(const std::string& typed, absl::string_view workspace) {
  const std::vector<std::string> parts = absl::StrSplit(typed, '/');
  if (parts.size() == 2 && token::IsTokenWorkspace(parts[0]) && token::IsPublicId(parts[1])) {
    return absl::InvalidArgumentError(absl::StrCat("write ", parts[1], " -w ", parts[0],
                                                   ", or the full name, ",
                                                   token::FormatTokenName(parts[0], parts[1])));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(typed), " is no token's id: that is 16 letters and digits. 'tollgate token list",
      workspace.empty() ? "" : " -w ", workspace, "' shows those that there are"));
}

absl::StatusOr<std::string> FullTokenName(const std::string& typed) {
  if (token::ParseTokenName(typed, "").ok()) return typed;
  // Said in the words of whoever typed it.
  const std::vector<std::string> parts = absl::StrSplit(typed, '/');
  if (parts.size() != 4 || parts[2] != "tokens") {
    return absl::InvalidArgumentError("a token's full name is workspaces/WORKSPACE/tokens/ID");
  }
  RETURN_IF_ERROR(ParentFrom(parts[1]).status());
  return NoTokenId(parts[3], parts[1]);
}

}  // namespace

std::string StateText(TokenState state) {
  for (const StateWord& word : kStateWords) {
    if (word.state == state) return word.word;
  }
  return "unknown";
}

absl::StatusOr<TokenState> StateFromText(absl::string_view text) {
  for (const StateWord& word : kStateWords) {
    if (absl::EqualsIgnoreCase(word.word, text)) return word.state;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", text.substr(0, 40),
                   "' is no state; one of active, suspended, retiring, revoked, expired"));
}

std::string ExpiresText(const Token& token, absl::Time now) {
  return token.has_expire_time() ? HumanTime(base::FromProto(token.expire_time()), now) : "-";
}

std::string RotationText(const Token& token, absl::Time now) {
  const bool ended = token.state() == tollgate::v1::TOKEN_STATE_REVOKED ||
                     token.state() == tollgate::v1::TOKEN_STATE_EXPIRED;
  if (!ended && token.has_retire_plan()) {
    if (token.retire_plan().has_at_time()) {
      return absl::StrCat("retires ",
                          HumanTime(base::FromProto(token.retire_plan().at_time()), now));
    }
    if (token.retire_plan().has_when_silent()) {
      return absl::StrCat("retires when silent for ",
                          HumanDuration(base::FromProto(token.retire_plan().when_silent())));
    }
    return "retires by hand";
  }
  if (!token.has_rotation_due_time()) return "-";
  const absl::Time due = base::FromProto(token.rotation_due_time());
  if (due > now) return absl::StrCat("due ", HumanTime(due, now));
  return absl::StrCat("overdue ", HumanDuration(now - due));
}

bool IsOperatorToken(const Token& token) {
  return absl::StartsWith(token.name(),
                          absl::StrCat(token::WorkspaceName(token::kOperatorWorkspace), "/"));
}

std::string LastUsedText(const Token& token, absl::Time now) {
  if (IsOperatorToken(token)) return "not recorded";
  return token.has_last_used_time() ? HumanTime(base::FromProto(token.last_used_time()), now)
                                    : "never";
}

std::string LastTriedText(const Token& token, absl::Time now) {
  return token.has_last_tried_time() ? HumanTime(base::FromProto(token.last_tried_time()), now)
                                     : "-";
}

std::string SinceText(const Token& token, absl::Time now) {
  const bool known = token.has_end() || token.has_suspend_time();
  const std::string& by = token.has_end() ? token.end().actor() : token.suspended_by();
  std::string text;
  if (known) {
    const absl::Time since =
        base::FromProto(token.has_end() ? token.end().time() : token.suspend_time());
    text = HumanTime(std::min(since, now), now);
  }
  if (!by.empty()) absl::StrAppend(&text, text.empty() ? "" : ", ", "by ", SafeForTerminal(by));
  return text;
}

std::string AlreadyText(const Token& token, absl::Time now) {
  std::string what;
  bool for_a_reason = true;
  switch (token.state()) {
    case tollgate::v1::TOKEN_STATE_SUSPENDED:
      what = "was suspended already";
      break;
    case tollgate::v1::TOKEN_STATE_REVOKED:
      what = "was revoked already";
      if (token.end().cause() == tollgate::v1::END_CAUSE_RETIRED) what = "was retired already";
      if (token.end().cause() == tollgate::v1::END_CAUSE_COHORT) {
        absl::StrAppend(&what, ", with others");
      }
      break;
    case tollgate::v1::TOKEN_STATE_EXPIRED:
      what = "had expired already";
      if (token.end().cause() == tollgate::v1::END_CAUSE_UNUSED) {
        absl::StrAppend(&what, ", unused");
      }
      for_a_reason = false;  // the one it has is that of a suspension before
      break;
    default:
      return absl::StrCat("was not suspended: it is ", StateText(token.state()));
  }
  const std::string since = SinceText(token, now);
  if (!since.empty()) absl::StrAppend(&what, ", ", since);
  if (for_a_reason && !token.reason().empty()) {
    absl::StrAppend(&what, ": ", SafeForTerminal(token.reason()));
  }
  return what;
}

std::string NoChangeText(const Token& token, int64_t revision, absl::string_view reason,
                         absl::Time now) {
  std::string text =
      absl::StrCat("no change    revision ", revision, "   ", AlreadyText(token, now), "\n");
  if (!reason.empty() && reason != token.reason()) {
    absl::StrAppend(&text, "noted        the reason given now, in the audit log\n");
  }
  return text;
}

std::vector<std::string> EdgeLines(const Token& token, absl::Time now) {
  std::vector<std::string> lines;
  for (const tollgate::v1::EdgeUse& use : token.edge_uses()) {
    lines.push_back(absl::StrCat(
        SafeForTerminal(use.edge()), "  ", HumanTime(base::FromProto(use.last_used_time()), now),
        ", ", use.use_count_today(), use.use_count_today() == 1 ? " time today" : " times today"));
  }
  return lines;
}

std::string RefusalText(tollgate::v1::VerdictReason reason) {
  // Of a newer service: its number is better than nothing.
  if (!tollgate::v1::VerdictReason_IsValid(reason)) {
    return absl::StrCat("reason ", static_cast<int>(reason));
  }
  const std::string& name = tollgate::v1::VerdictReason_Name(reason);
  return absl::StrReplaceAll(absl::AsciiStrToLower(absl::StripPrefix(name, "VERDICT_REASON_")),
                             {{"_", " "}});
}

std::string StillTriedText(const tollgate::v1::ListTokenAttemptsResponse& attempts,
                           absl::Time now) {
  int64_t times = 0;
  const tollgate::v1::EdgeAttempts* latest = nullptr;
  for (const tollgate::v1::EdgeAttempts& row : attempts.attempts()) {
    if (row.reason() != tollgate::v1::VERDICT_REASON_REVOKED || row.count() <= 0) continue;
    times = row.count() > std::numeric_limits<int64_t>::max() - times
                ? std::numeric_limits<int64_t>::max()
                : times + row.count();
    if (latest == nullptr ||
        base::FromProto(row.last_time()) > base::FromProto(latest->last_time())) {
      latest = &row;
    }
  }
  if (latest == nullptr) return "";
  const std::string last = HumanTime(std::min(base::FromProto(latest->last_time()), now), now);
  return absl::StrCat("still tried  ", times, times == 1 ? " time" : " times", " since, last ",
                      last, " at ", SafeForTerminal(latest->edge()), "\n");
}

absl::StatusOr<std::string> TokenNameFrom(const std::string& id_or_name,
                                          const std::string& workspace, bool typed) {
  // A whole token string where an id belongs is a secret on a command line: do not echo it.
  if (id_or_name.size() > 40 && !absl::StartsWith(id_or_name, "workspaces/")) {
    return absl::InvalidArgumentError(
        "that is no token id (16 characters, the part after the underscore). If it was a token "
        "string, it is now in this shell's history: revoke it with 'tollgate token revoke "
        "--leaked'");
  }
  if (absl::StartsWith(id_or_name, "workspaces/")) {
    if (typed && !absl::StartsWith(id_or_name, ParentFrom(workspace).value_or("") + "/")) {
      return absl::InvalidArgumentError(absl::StrCat("which workspace: that of ", id_or_name,
                                                     ", or that of -w, ", workspace, "?"));
    }
    return FullTokenName(id_or_name);
  }
  if (!token::IsPublicId(id_or_name)) return NoTokenId(id_or_name, workspace);
  if (workspace.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("which workspace is ", id_or_name,
                                                   " of? Add -w WORKSPACE, or write the full name, "
                                                   "workspaces/WORKSPACE/tokens/",
                                                   id_or_name));
  }
  ASSIGN_OR_RETURN(const std::string parent, ParentFrom(workspace));
  return absl::StrCat(parent, "/tokens/", id_or_name);
}

absl::StatusOr<std::string> ParentFrom(const std::string& workspace) {
  if (workspace.empty()) {
    return absl::InvalidArgumentError(
        "which workspace? Add -w WORKSPACE, or set TOLLGATE_WORKSPACE");
  }
  absl::string_view id = workspace;
  absl::ConsumePrefix(&id, "workspaces/");
  if (!token::IsTokenWorkspace(id)) {
    const std::string meant = absl::AsciiStrToLower(id);
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(workspace), " is no workspace's name: that is ", kWorkspaceIdRule,
        token::IsWorkspaceId(meant) ? absl::StrCat(". Did you mean ", meant, "?") : ""));
  }
  return token::WorkspaceName(id);
}

std::string ReceiptText(const tollgate::v1::Receipt& receipt, absl::Duration elapsed) {
  std::string text;
  // Also those that were gone before: they admit nothing either.
  const int lapsed = receipt.lapsed() + receipt.missing_count();
  if (receipt.state() == tollgate::v1::ENFORCEMENT_STATE_ENFORCED) {
    text = absl::StrCat("enforced     everywhere: ", receipt.acknowledged(), " acknowledged");
    if (lapsed > 0) {
      absl::StrAppend(&text, ", ", lapsed, " lapsed");
      std::vector<std::string> names(receipt.lapsed_validators().begin(),
                                     receipt.lapsed_validators().end());
      names.insert(names.end(), receipt.missing_validators().begin(),
                   receipt.missing_validators().end());
      // A service of before they were named names none.
      if (!names.empty()) absl::StrAppend(&text, " (", Named(names, lapsed), ")");
    }
    if (receipt.released() > 0) absl::StrAppend(&text, ", ", receipt.released(), " gone");
  } else {
    const int all = receipt.acknowledged() + receipt.pending_count() + lapsed;
    text = absl::StrCat("enforced     ", receipt.acknowledged() + lapsed, " of ", all, " edges");
  }
  absl::StrAppend(&text, "   ", HumanElapsed(elapsed), "\n");
  if (receipt.not_covered_size() > 0) {
    absl::StrAppend(&text, "not covered  fail-open: ",
                    Named({receipt.not_covered().begin(), receipt.not_covered().end()},
                          receipt.not_covered_size()),
                    "\n");
  }
  return text;
}

std::string WaitingText(const tollgate::v1::Receipt& receipt) {
  if (!receipt.hold().empty()) {
    return absl::StrCat("waiting      ", SafeForTerminal(receipt.hold()), ", ",
                        HumanElapsed(base::FromProto(receipt.hold_left())), " more\n");
  }
  if (receipt.pending_count() == 0) return "";
  std::vector<std::string> names;
  absl::Duration heard = absl::ZeroDuration();
  absl::Duration left = absl::ZeroDuration();
  bool all_heard = true;
  for (const tollgate::v1::PendingValidator& pending : receipt.pending()) {
    names.push_back(pending.validator());
    left = std::max(left, base::FromProto(pending.lease_left()));
    if (pending.has_last_heard()) {
      heard = std::max(heard, base::FromProto(pending.last_heard()));
    } else {
      all_heard = false;
    }
  }
  return absl::StrCat("waiting      ", Named(names, receipt.pending_count()), ": ",
                      all_heard ? absl::StrCat("not heard from for ", HumanElapsed(heard))
                                : std::string("not heard from since the service started"),
                      ", admit nothing after ", HumanElapsed(left), " more\n");
}

namespace {

// Where holds are that `counts` picks: " (chat/web-7 at payments/edge-3; edge-9, which is gone)".
std::string HoldersText(const tollgate::v1::Receipt& receipt,
                        const std::function<bool(const tollgate::v1::EdgeHolds&)>& counts) {
  constexpr size_t kMost = 5;
  std::vector<std::string> places;
  size_t more = 0;
  for (const tollgate::v1::EdgeHolds& row : receipt.edge_holds()) {
    if (!counts(row)) continue;
    if (places.size() >= kMost) {
      ++more;
      continue;
    }
    const std::string names =
        Named({row.unanswered().begin(), row.unanswered().end()}, row.unanswered_size());
    places.push_back(absl::StrCat(names, names.empty() ? "" : " at ", SafeForTerminal(row.edge()),
                                  row.gone() ? ", which is gone" : ""));
  }
  if (places.empty()) return "";
  return absl::StrCat(
      " (", absl::StrJoin(places, "; "),
      more > 0 ? absl::StrCat("; and ", more, more == 1 ? " more edge" : " more edges") : "", ")");
}

}  // namespace

std::string HoldsText(const tollgate::v1::Receipt& receipt, absl::optional<absl::Duration> waited) {
  using tollgate::v1::EdgeHolds;
  const auto told = [](const EdgeHolds& row) { return row.gone() ? 0 : row.told(); };
  const auto in_doubt = [](const EdgeHolds& row) { return row.gone() ? 0 : row.in_doubt(); };
  const auto silent = [](const EdgeHolds& row) {
    return row.silent() + (row.gone() ? row.told() + row.in_doubt() : 0);
  };
  // Of the edges that are named. With more than those, the rest of the open holds has no kind.
  int64_t all_told = 0, all_in_doubt = 0;
  for (const EdgeHolds& row : receipt.edge_holds()) {
    all_told += told(row);
    all_in_doubt += in_doubt(row);
  }
  const int64_t rest = receipt.holds_open() - all_told - all_in_doubt;
  std::vector<std::string> parts;
  if (receipt.holds_closed() > 0) parts.push_back(absl::StrCat(receipt.holds_closed(), " closed"));
  if (all_in_doubt > 0) {
    parts.push_back(
        absl::StrCat(all_in_doubt, " not decided yet",
                     HoldersText(receipt, [&](auto& row) { return in_doubt(row) > 0; })));
  }
  if (all_told > 0) {
    parts.push_back(absl::StrCat(all_told, " told and not answered",
                                 HoldersText(receipt, [&](auto& row) { return told(row) > 0; })));
  }
  if (rest > 0) parts.push_back(absl::StrCat(rest, " more open"));
  if (receipt.holds_silent() > 0) {
    parts.push_back(absl::StrCat(receipt.holds_silent(), " silent, ",
                                 receipt.holds_silent() == 1 ? "its" : "their", " word has run out",
                                 HoldersText(receipt, [&](auto& row) { return silent(row) > 0; })));
  }
  std::string text;
  if (!parts.empty()) {
    text = absl::StrCat("holds        ", absl::StrJoin(parts, ", "),
                        waited.has_value() ? absl::StrCat("   ", HumanElapsed(*waited)) : "", "\n");
  }
  if (receipt.holds_not_covered_size() > 0) {
    absl::StrAppend(&text, "not covered  holds kept past the lease: ",
                    Named({receipt.holds_not_covered().begin(), receipt.holds_not_covered().end()},
                          receipt.holds_not_covered_size()),
                    "\n");
  }
  return text;
}

std::string LastAdmitText(const tollgate::v1::Receipt& receipt) {
  std::vector<std::string> unknown;
  const tollgate::v1::LastAdmit* latest = nullptr;
  for (const tollgate::v1::LastAdmit& admit : receipt.last_admits()) {
    if (admit.unknown()) {
      unknown.push_back(admit.edge());
    } else if (admit.has_last_admit_time() &&
               (latest == nullptr || base::FromProto(admit.last_admit_time()) >
                                         base::FromProto(latest->last_admit_time()))) {
      latest = &admit;
    }
  }
  std::string text;
  if (latest != nullptr) {
    text = absl::StrCat(
        "last admitted ",
        absl::FormatTime("%Y-%m-%d %H:%M:%E3S", base::FromProto(latest->last_admit_time()),
                         absl::UTCTimeZone()),
        " UTC at ", SafeForTerminal(latest->edge()));
  } else if (receipt.last_admits_size() > 0 &&
             receipt.last_admits_size() > static_cast<int>(unknown.size())) {
    text = "last admitted at no edge that has said";
  }
  if (!unknown.empty()) {
    absl::StrAppend(&text, text.empty() ? "last admitted: " : "; ", "unknown for ",
                    Named(unknown, unknown.size()));
  }
  if (!text.empty()) text += '\n';
  return text;
}

}  // namespace tollgate::cli
