// List: sorted, fitted to the terminal, and in the forms that programs and spreadsheets take.
#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/token.h"
#include "cli/commands/token_filter.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "text/label.h"
#include "token/resource_name.h"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::Token;

constexpr char kEveryWorkspace[] = "workspaces/-";

struct TokenListOptions {
  std::string workspace, label, owner, unused_for, expiring_within, rotation_due_within;
  std::string tried_within;
  std::string sort = "label";
  std::vector<std::string> states, annotations;
  bool full = false, still_tried = false, all = false, reverse = false, everywhere = false;
  int limit = 0;
};

absl::Status FillFilter(const TokenListOptions& options, tollgate::v1::TokenFilter* filter) {
  for (const std::string& word : options.states) {
    ASSIGN_OR_RETURN(const tollgate::v1::TokenState state, StateFromText(word));
    filter->add_states(state);
  }
  filter->set_still_tried(options.still_tried || !options.tried_within.empty());
  if (options.states.empty()) {
    // Only those that have ended are still tried.
    const bool ended = options.all || filter->still_tried();
    for (const tollgate::v1::TokenState state : LiveStates()) filter->add_states(state);
    if (ended) {
      filter->add_states(tollgate::v1::TOKEN_STATE_REVOKED);
      filter->add_states(tollgate::v1::TOKEN_STATE_EXPIRED);
    }
  }
  filter->set_label_contains(options.label);
  filter->set_owner(options.owner);
  RETURN_IF_ERROR(FillAnnotations(options.annotations, filter->mutable_annotations()));
  if (!options.unused_for.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration unused, ParseHumanDuration(options.unused_for));
    *filter->mutable_unused_for() = base::ToProto(unused);
  }
  if (!options.expiring_within.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration within, ParseHumanDuration(options.expiring_within));
    *filter->mutable_expiring_within() = base::ToProto(within);
  }
  if (!options.rotation_due_within.empty()) {
    absl::Duration within = absl::ZeroDuration();
    if (options.rotation_due_within != "now") {
      ASSIGN_OR_RETURN(within, ParseHumanDuration(options.rotation_due_within));
    }
    *filter->mutable_rotation_due_within() = base::ToProto(within);
  }
  if (!options.tried_within.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration within, ParseHumanDuration(options.tried_within));
    *filter->mutable_tried_within() = base::ToProto(within);
  }
  return absl::OkStatus();
}

std::string WorkspaceOf(const Token& token) {
  absl::string_view name = token.name();
  absl::ConsumePrefix(&name, "workspaces/");
  return std::string(name.substr(0, name.find('/')));
}

// By what a token is sorted: text first, then time; both from small to large.
struct SortKey {
  std::string text;
  absl::Time time;

  friend bool operator<(const SortKey& a, const SortKey& b) {
    return a.text != b.text ? a.text < b.text : a.time < b.time;
  }
};

struct Order {
  const char* name;
  SortKey (*key)(const Token&);
};

// As the eye looks for them: upper and lower case together.
std::string LabelKey(const Token& token) {
  return absl::AsciiStrToLower(text::ComparedLabel(token.label()));
}

SortKey KeyOfLabel(const Token& token) { return SortKey{LabelKey(token), {}}; }

constexpr Order kOrders[] = {
    {"label", &KeyOfLabel},
    {"created",
     [](const Token& token) { return SortKey{"", base::FromProto(token.create_time())}; }},
    {"last-used",  // never comes first: it is older than any use
     [](const Token& token) {
       return SortKey{"", token.has_last_used_time() ? base::FromProto(token.last_used_time())
                                                     : absl::InfinitePast()};
     }},
    {"expires",  // never comes last
     [](const Token& token) {
       return SortKey{"", token.has_expire_time() ? base::FromProto(token.expire_time())
                                                  : absl::InfiniteFuture()};
     }},
    {"owner",  // none comes last
     [](const Token& token) {
       return SortKey{token.owner().empty() ? "1" : "0" + token.owner(), {}};
     }},
    {"id", nullptr},  // as the service lists them
};

struct Sorting {
  const Order* order = nullptr;
  bool descending = false;
};

absl::StatusOr<Sorting> ReadSorting(const TokenListOptions& options) {
  Sorting sorting;
  absl::string_view word = options.sort;
  sorting.descending = absl::ConsumePrefix(&word, "-") != options.reverse;
  for (const Order& order : kOrders) {
    if (word == order.name) sorting.order = &order;
  }
  if (sorting.order != nullptr) return sorting;
  return absl::InvalidArgumentError(
      absl::StrCat("--sort: '", word.substr(0, 40),
                   "' is none of label, created, last-used, expires, owner, id; a - before it, or "
                   "--reverse, turns it round"));
}

// Sorts what was read in order of ids. Each key is made once.
void Sort(const Sorting& sorting, std::vector<const Token*>* tokens) {
  if (sorting.order->key == nullptr) {
    if (sorting.descending) std::reverse(tokens->begin(), tokens->end());
    return;
  }
  struct Keyed {
    SortKey key;
    std::string label;
    const Token* token;
  };
  const bool by_label = sorting.order->key == &KeyOfLabel;
  std::vector<Keyed> keyed;
  keyed.reserve(tokens->size());
  for (const Token* token : *tokens) {
    keyed.push_back(
        {sorting.order->key(*token), by_label ? std::string() : LabelKey(*token), token});
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    if (a.key < b.key || b.key < a.key) return (a.key < b.key) != sorting.descending;
    return a.label < b.label;
  });
  for (size_t i = 0; i < keyed.size(); ++i) (*tokens)[i] = keyed[i].token;
}

Tone StateTone(tollgate::v1::TokenState state) {
  switch (state) {
    case tollgate::v1::TOKEN_STATE_ACTIVE:
      return Tone::kGood;
    case tollgate::v1::TOKEN_STATE_SUSPENDED:
    case tollgate::v1::TOKEN_STATE_RETIRING:
      return Tone::kWarning;
    default:
      return Tone::kFaint;
  }
}

std::string OrDash(std::string text) { return text.empty() ? "-" : text; }

std::string AnnotationsText(const Token& token) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : token.annotations()) {
    pairs.push_back(absl::StrCat(key, "=", value));
  }
  std::sort(pairs.begin(), pairs.end());
  return absl::StrJoin(pairs, ",");
}

// A column: how it is called, how it fits, and what is in it.
struct ListColumn {
  Column column;
  std::function<Cell(const Token&)> cell;
};

std::vector<ListColumn> ColumnsFor(const TokenListOptions& options, bool still_tried, bool wide,
                                   absl::Time now) {
  std::vector<ListColumn> columns;
  const auto add = [&](Column column, std::function<Cell(const Token&)> cell) {
    columns.push_back({std::move(column), std::move(cell)});
  };
  if (options.everywhere) {
    add({"WORKSPACE", 10}, [](const Token& token) { return WorkspaceOf(token); });
  }
  add("TOKEN", [](const Token& token) { return token.token_id(); });
  add({"LABEL", 16}, [](const Token& token) { return token.label(); });
  add("STATE",
      [](const Token& token) { return Cell(StateText(token.state()), StateTone(token.state())); });
  add({"OWNER", 10, 3}, [](const Token& token) { return OrDash(token.owner()); });
  add({"SCOPES", 10, 4},
      [](const Token& token) { return OrDash(absl::StrJoin(token.scopes(), ",")); });
  add({"CREATED", 0, 5},
      [now](const Token& token) { return HumanTime(base::FromProto(token.create_time()), now); });
  add("LAST USED", [now](const Token& token) { return LastUsedText(token, now); });
  add({"EXPIRES", 0, 1}, [now](const Token& token) { return ExpiresText(token, now); });
  if (still_tried) {
    add("LAST TRIED", [now](const Token& token) {
      return Cell(LastTriedText(token, now),
                  token.has_last_tried_time() ? Tone::kBad : Tone::kPlain);
    });
  } else {  // no rotation of a dead token is of interest
    add({"ROTATION", 10, 2}, [now](const Token& token) {
      const std::string text = RotationText(token, now);
      return Cell(text, absl::StartsWith(text, "overdue") ? Tone::kBad : Tone::kPlain);
    });
  }
  if (wide) {
    add("AUDIENCES",
        [](const Token& token) { return OrDash(absl::StrJoin(token.audiences(), ",")); });
    add("CREATOR", [](const Token& token) { return OrDash(token.creator()); });
    add("ANNOTATIONS", [](const Token& token) { return OrDash(AnnotationsText(token)); });
    add("REASON", [](const Token& token) { return OrDash(token.reason()); });
  }
  return columns;
}

void ShowList(Context& context, const TokenListOptions& options, bool still_tried,
              const std::vector<const Token*>& tokens) {
  const absl::Time now = context.now();
  const std::vector<ListColumn> columns =
      ColumnsFor(options, still_tried, context.settings().wide(), now);
  std::vector<Column> header;
  header.reserve(columns.size());
  for (const ListColumn& column : columns) header.push_back(column.column);
  Table table(std::move(header));
  for (const Token* each : tokens) {
    const Token& token = *each;
    std::vector<Cell> row;
    row.reserve(columns.size());
    for (const ListColumn& column : columns) row.push_back(column.cell(token));
    table.AddRow(std::move(row));
    if (!options.full) continue;
    for (const std::string& edge : EdgeLines(token, now)) {
      std::vector<Cell> below(options.everywhere ? 2 : 1, Cell(""));
      below.push_back("  at " + edge);
      table.AddRow(std::move(below));
    }
  }
  context.ShowTable(table);
}

std::string TimeText(bool has, const google::protobuf::Timestamp& time) {
  return has ? absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", base::FromProto(time), absl::UTCTimeZone())
             : "";
}

void ShowCsv(Context& context, const std::vector<const Token*>& tokens) {
  std::ostream& out = context.raw_out();
  out << CsvRecord({"name", "token_id", "label", "state", "owner", "scopes", "audiences", "creator",
                    "annotations", "create_time", "expire_time", "last_used_time",
                    "rotation_due_time", "last_tried_time", "replaces", "replaced_by", "reason"});
  for (const Token* each : tokens) {
    const Token& token = *each;
    std::vector<std::string> fields = {
        token.name(),
        token.token_id(),
        token.label(),
        StateText(token.state()),
        token.owner(),
        absl::StrJoin(token.scopes(), " "),
        absl::StrJoin(token.audiences(), " "),
        token.creator(),
        AnnotationsText(token),
        TimeText(token.has_create_time(), token.create_time()),
        TimeText(token.has_expire_time(), token.expire_time()),
        TimeText(token.has_last_used_time(), token.last_used_time()),
        TimeText(token.has_rotation_due_time(), token.rotation_due_time()),
        TimeText(token.has_last_tried_time(), token.last_tried_time()),
        token.replaces(),
        token.replaced_by(),
        token.reason()};
    for (std::string& field : fields) field = SafeForTerminal(field);
    out << CsvRecord(fields);
  }
}

// What is not among what was shown.
void TellLeftOut(Context& context, const TokenListOptions& options, bool cut, int64_t ended) {
  if (context.settings().quiet) return;
  if (cut) context.err() << "… and more: these are the first " << options.limit << " (--limit).\n";
  if (ended > 0) {
    context.err() << ended << (ended == 1 ? " has ended, and is" : " have ended, and are")
                  << " not shown: --all\n";
  }
}

absl::Status List(Context& context, const TokenListOptions& options, const CLI::App& verb) {
  if (options.everywhere && context.settings().workspace_typed) {
    return absl::InvalidArgumentError("-A is for all workspaces, -w for one: give one of the two");
  }
  if (options.all && !options.states.empty()) {
    return absl::InvalidArgumentError("--all is for every state, --state for some: give one");
  }
  ASSIGN_OR_RETURN(Sorting sorting, ReadSorting(options));
  tollgate::v1::ListTokensRequest request;
  if (options.everywhere) {
    request.set_parent(kEveryWorkspace);
  } else {
    ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(options.workspace));
  }
  RETURN_IF_ERROR(FillFilter(options, request.mutable_filter()));
  request.set_view(options.full ? tollgate::v1::TOKEN_VIEW_FULL : tollgate::v1::TOKEN_VIEW_BASIC);
  // Where the order is the service's own, no more is read than is shown, and one more to know that.
  const bool as_listed = sorting.order->key == nullptr && !sorting.descending;
  const auto most = static_cast<size_t>(options.limit);
  if (as_listed && most > 0 && most < 1000) request.set_page_size(options.limit + 1);

  TokenPages read;
  RETURN_IF_ERROR(ReadPages(context, request, as_listed ? most : 0, &read));
  std::vector<const Token*>& tokens = read.tokens;
  int64_t ended = read.ended_left_out;
  Sort(sorting, &tokens);
  const bool cut = most > 0 && tokens.size() > most;
  if (cut) tokens.resize(most);
  if (cut && as_listed) ended = 0;  // not all were counted

  if (context.settings().json()) {
    const std::vector<const google::protobuf::Message*> list(tokens.begin(), tokens.end());
    std::string json;
    RETURN_IF_ERROR(WriteJsonList(
        "tokens", list, JsonLayout::kIndented,
        {{"truncated", cut ? "true" : "false"}, {"ended_left_out_count", absl::StrCat(ended)}},
        &json));
    context.raw_out() << json << '\n';
    return absl::OkStatus();
  }
  if (context.settings().names() || context.settings().quiet) {
    const bool full = context.settings().names() || options.everywhere;
    for (const Token* token : tokens) {
      context.out() << SafeForTerminal(full ? token->name() : token->token_id()) << '\n';
    }
  } else if (context.settings().csv()) {
    ShowCsv(context, tokens);
  } else if (!tokens.empty()) {
    ShowList(context, options, request.filter().still_tried(), tokens);
  } else {
    // The states are always in the filter, and no condition that somebody gave.
    bool given = false;
    for (const char* flag :
         {"--state", "--label", "--owner", "--annotation", "--unused-for", "--expiring-within",
          "--rotation-due-within", "--still-tried", "--tried-within"}) {
      given = given || verb.count(flag) > 0;
    }
    context.err() << "No tokens" << (given ? " match" : "") << " in "
                  << (options.everywhere ? "any workspace" : request.parent()) << ".\n";
  }
  TellLeftOut(context, options, cut, ended);
  return absl::OkStatus();
}

}  // namespace

void AddTokenListCommand(CLI::App& token, Context& context) {
  auto options = std::make_shared<TokenListOptions>();
  CLI::App* verb = token.add_subcommand("list", "List the tokens of a workspace, by their labels");
  AddWorkspaceOption(*verb, &options->workspace);
  verb->add_flag("-A,--all-workspaces", options->everywhere, "Of every workspace");
  verb->add_flag("--all", options->all, "Also those that have ended");
  verb->add_option("--state", options->states,
                   "active, suspended, retiring, revoked, expired; repeatable");
  verb->add_option("--label", options->label, "The label contains this");
  verb->add_option("--owner", options->owner, "Exactly this owner");
  verb->add_option("--annotation", options->annotations, "key=value; repeatable");
  verb->add_option("--unused-for", options->unused_for, "Not used for this long, as in 30d");
  verb->add_option("--expiring-within", options->expiring_within, "Expires within, as in 7d");
  verb->add_option("--rotation-due-within", options->rotation_due_within,
                   "Rotation is due within, as in 7d; 'now': overdue");
  verb->add_flag("--still-tried", options->still_tried,
                 "Revoked, expired or suspended, and still presented at an edge");
  verb->add_option("--tried-within", options->tried_within,
                   "Still tried, and within this long before now, as in 7d");
  verb->add_flag("--edges", options->full, "Also where each was used");
  verb->add_option("--sort", options->sort,
                   "label, created, last-used, expires, owner or id; -created and its like turn it "
                   "round. With --limit, id reads no more than it shows")
      ->capture_default_str();
  verb->add_flag("--reverse", options->reverse, "The other way round");
  verb->add_option("--limit", options->limit, "At most so many; 0: all")
      ->check(CLI::Range(0, 1000000));
  context.AlsoPrints(verb, {"wide", "name", "csv"});
  verb->callback([&context, options, verb] { context.Fail(List(context, *options, *verb)); });
}

}  // namespace tollgate::cli
