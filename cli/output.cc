#include "cli/output.h"

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/secret.h"
#include "base/status.h"
#include "cli/human.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include "text/display_width.h"
#include "text/invisible.h"
#include "token/characters.h"

namespace tollgate::cli {
namespace {

// Whether the code point drives a terminal, or turns or hides what it shows.
bool IsUnsafe(uint32_t point) {
  return point == token::kNoCodePoint || point < 0x20 || (point >= 0x7F && point < 0xA0) ||
         point == 0x61C || (point >= 0x200B && point <= 0x200F) ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2060 && point <= 0x206F) ||
         point == 0xFEFF || (point >= 0xE0000 && point <= 0xE0FFF);
}

// Our own messages run over several lines; each is made safe by itself.
std::string SafeLines(absl::string_view text) {
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) lines.push_back(SafeForTerminal(line));
  return absl::StrJoin(lines, "\n");
}

google::protobuf::util::JsonPrintOptions JsonOptions(bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = false;
  return options;
}

}  // namespace

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(rows_.front().size());
  for (std::string& cell : cells) cell = SafeForTerminal(cell);
  rows_.push_back(std::move(cells));
}

void Table::Print(std::ostream& out) const {
  if (empty()) return;
  std::vector<size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], text::DisplayWidth(row[i]));
  }
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - text::DisplayWidth(row[i]) + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out << line << '\n';
  }
}

std::string SafeForTerminal(absl::string_view text) {
  std::vector<uint32_t> points;
  std::vector<size_t> ends;  // of each in `text`
  points.reserve(text.size());
  ends.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    points.push_back(token::NextCodePoint(text, &i));
    ends.push_back(i);
  }
  std::string safe;
  safe.reserve(text.size());
  for (size_t k = 0; k < points.size(); ++k) {
    const size_t begin = k == 0 ? 0 : ends[k - 1];
    if (IsUnsafe(points[k]) && !text::InvisibleHasEffect(points, k)) {
      safe += '?';
    } else {
      safe.append(text.data() + begin, ends[k] - begin);
    }
  }
  return safe;
}

namespace {

// "tokens" of ListTokensResponse: the first field of whatever answers a list (AIP-132). Empty: it
// is none, or has elements.
absl::string_view EmptyList(const google::protobuf::Message& message) {
  const auto* first = message.GetDescriptor()->FindFieldByNumber(1);
  const bool empty = first != nullptr && first->is_repeated() && !first->is_map() &&
                     message.GetReflection()->FieldSize(message, first) == 0;
  return empty ? absl::string_view(first->name()) : absl::string_view();
}

absl::Status PrintAsJson(const google::protobuf::Message& message, bool pretty, std::ostream& out) {
  std::string json;
  const auto made =
      google::protobuf::util::MessageToJsonString(message, &json, JsonOptions(pretty));
  if (made.ok()) {
    // protobuf leaves an empty list out, and a program that goes over it would find none.
    if (const absl::string_view list = EmptyList(message); !list.empty() && !json.empty()) {
      const bool alone = absl::StripSuffix(json, "\n") == "{}";
      json.insert(1, absl::StrCat(pretty ? "\n \"" : "\"", list, pretty ? "\": []" : "\":[]",
                                  alone ? (pretty ? "\n" : "") : ","));
    }
    out << json;
    if (json.empty() || json.back() != '\n') out << '\n';
  }
  base::WipeString(&json);  // a fresh token's answer holds its secret
  if (made.ok()) return absl::OkStatus();
  return base::Refuse(
      absl::StatusCode::kInternal, "ANSWER_NOT_JSON",
      absl::StrCat("the service has done what was asked, and its answer, a ",
                   message.GetDescriptor()->name(),
                   ", cannot be written as JSON: a value in it is out of bounds, as a "
                   "time after the year 9999. Leave out -o json to see it"));
}

}  // namespace

absl::Status PrintJson(const google::protobuf::Message& message, std::ostream& out) {
  return PrintAsJson(message, true, out);
}

absl::Status PrintJsonLine(const google::protobuf::Message& message, std::ostream& out) {
  RETURN_IF_ERROR(PrintAsJson(message, false, out));
  out.flush();
  return absl::OkStatus();
}

int ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kDone;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return kBadUsage;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kRefused;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return kUnavailable;
    case absl::StatusCode::kCancelled:
      return kAborted;
    default:
      return kFailed;
  }
}

absl::Status WithAdvice(const absl::Status& status, absl::string_view advice) {
  return base::Refuse(status.code(), absl::StrCat(status.message(), "\n  ", advice),
                      base::DetailsOf(status));
}

void PrintError(const absl::Status& status, std::ostream& err) {
  const base::ErrorDetails details = base::DetailsOf(status);
  const int code = ExitCodeFor(status);
  err << (code == kUnavailable ? "unavailable: "
          : code == kNotFound  ? "not found: "
          : code == kFailed    ? "failed: "
                               : "refused: ")
      // Some messages of the service's begin so themselves.
      << SafeLines(absl::StripPrefix(status.message(), "refused: ")) << '\n';
  for (const base::FieldViolation& field : details.fields) {
    // A single violation is often the message itself, said once.
    if (absl::StrContains(status.message(), field.description)) continue;
    if (details.fields.size() == 1 &&
        absl::StartsWith(status.message(), absl::StrCat(field.field, ": "))) {
      continue;
    }
    err << "  " << SafeForTerminal(field.field) << ": " << SafeForTerminal(field.description)
        << '\n';
  }
  if (details.retry_after.has_value()) {
    err << "  Try again in " << HumanDuration(*details.retry_after + absl::Milliseconds(999))
        << ".\n";
  }
  if (!details.reason.empty()) err << "  (reason " << SafeForTerminal(details.reason) << ")\n";
}

void PrintErrorJson(const absl::Status& status, std::ostream& err) {
  const base::ErrorDetails details = base::DetailsOf(status);
  nlohmann::json error = {{"code", absl::StatusCodeToString(status.code())},
                          {"reason", details.reason},
                          {"message", std::string(status.message())}};
  for (const base::FieldViolation& field : details.fields) {
    error["fields"].push_back({{"field", field.field}, {"description", field.description}});
  }
  for (const auto& [name, value] : details.metadata) error["metadata"][name] = value;
  if (details.retry_after.has_value()) {
    error["retry_after_seconds"] = absl::ToDoubleSeconds(*details.retry_after);
  }
  const nlohmann::json document = {{"error", error}};
  err << document.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) << '\n';
}

}  // namespace tollgate::cli
