#include "cli/output.h"

#include <algorithm>
#include <ostream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "cli/human.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"

namespace tollgate {
namespace {

// The code point that begins at text[*i], which is moved past it; bytes that are no UTF-8 count one
// each.
uint32_t NextCodePoint(absl::string_view text, size_t* i) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  const uint8_t first = byte(*i);
  size_t length = first < 0x80         ? 1
                  : (first >> 5) == 6  ? 2
                  : (first >> 4) == 14 ? 3
                  : (first >> 3) == 30 ? 4
                                       : 1;
  if (*i + length > text.size()) length = 1;
  uint32_t point = length == 1 ? first : first & (0x7F >> length);
  for (size_t k = 1; k < length; ++k) point = (point << 6) | (byte(*i + k) & 0x3F);
  *i += length;
  return point;
}

bool IsWide(uint32_t point) {
  return (point >= 0x1100 && point <= 0x115F) || (point >= 0x2E80 && point <= 0xA4CF) ||
         (point >= 0xAC00 && point <= 0xD7A3) || (point >= 0xF900 && point <= 0xFAFF) ||
         (point >= 0xFE30 && point <= 0xFE6F) || (point >= 0xFF00 && point <= 0xFF60) ||
         (point >= 0x1F300 && point <= 0x1FAFF);
}

bool IsCombining(uint32_t point) { return point >= 0x300 && point <= 0x36F; }

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size();) {
    const uint32_t point = NextCodePoint(text, &i);
    width += IsCombining(point) ? 0 : IsWide(point) ? 2 : 1;
  }
  return width;
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
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - DisplayWidth(row[i]) + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out << line << '\n';
  }
}

std::string SafeForTerminal(absl::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const uint32_t point = NextCodePoint(text, &i);
    const bool control = point < 0x20 || (point >= 0x7F && point < 0xA0) ||
                         (point >= 0x200B && point <= 0x200F) ||
                         (point >= 0x202A && point <= 0x202E) ||
                         (point >= 0x2066 && point <= 0x2069) || point == 0xFEFF;
    if (control) {
      safe += '?';
    } else {
      safe.append(text.data() + begin, i - begin);
    }
  }
  return safe;
}

void PrintJson(const google::protobuf::Message& message, std::ostream& out) {
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, JsonOptions(true)).ok()) {
    json = "{}";
  }
  out << json;
  if (json.empty() || json.back() != '\n') out << '\n';
}

void PrintJsonLine(const google::protobuf::Message& message, std::ostream& out) {
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, JsonOptions(false)).ok()) {
    json = "{}";
  }
  out << json << '\n';
  out.flush();
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

void PrintError(const absl::Status& status, std::ostream& err) {
  const ErrorDetails details = DetailsOf(status);
  const int code = ExitCodeFor(status);
  err << (code == kUnavailable ? "unavailable: "
          : code == kNotFound  ? "not found: "
                               : "refused: ")
      << SafeLines(status.message()) << '\n';
  for (const FieldViolation& field : details.fields) {
    // A single violation is often the message itself, said once.
    if (absl::StrContains(status.message(), field.description)) continue;
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
  const ErrorDetails details = DetailsOf(status);
  nlohmann::json error = {{"code", absl::StatusCodeToString(status.code())},
                          {"reason", details.reason},
                          {"message", std::string(status.message())}};
  for (const FieldViolation& field : details.fields) {
    error["fields"].push_back({{"field", field.field}, {"description", field.description}});
  }
  for (const auto& [name, value] : details.metadata) error["metadata"][name] = value;
  if (details.retry_after.has_value()) {
    error["retry_after_seconds"] = absl::ToDoubleSeconds(*details.retry_after);
  }
  const nlohmann::json document = {{"error", error}};
  err << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

}  // namespace tollgate
