#include "cli/output.h"

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
#include "nlohmann/json.hpp"
#include "text/invisible.h"
#include "token/characters.h"

namespace tollgate::cli {
namespace {

// Our own messages run over several lines; each is made safe by itself.
std::string SafeLines(absl::string_view text) {
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) lines.push_back(SafeForTerminal(line));
  return absl::StrJoin(lines, "\n");
}

absl::Status PrintAsJson(const google::protobuf::Message& message, JsonLayout layout,
                         const JsonMembers& more, std::ostream& out) {
  std::string json;
  json.reserve(1 << 16);  // no copy of a secret is left behind by growing
  RETURN_IF_ERROR(WriteJson(message, layout, more, &json));
  out << json << '\n';
  base::WipeString(&json);  // a fresh token's answer holds its secret
  return absl::OkStatus();
}

// What shows the names that there are. Empty: nothing does, or the message gives advice itself.
std::string WhereToLook(const absl::Status& status, const base::ErrorDetails& details) {
  if (absl::StrContains(status.message(), '\n')) return "";
  if (details.reason == "WORKSPACE_NOT_FOUND")
    return "To see what there is: tollgate workspace list";
  if (details.reason != "TOKEN_NOT_FOUND") return "";
  std::string workspace;
  bool purged = false;
  for (const auto& [key, value] : details.metadata) {
    if (key == "workspace") workspace = absl::StrCat(" -w ", value);
    purged = purged || key == "purged";
  }
  return purged ? "To see what became of it: tollgate token history"
                : absl::StrCat("To see what there is: tollgate token list --all", workspace);
}

}  // namespace

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
    if (DrivesOrDeceives(points[k]) && !text::InvisibleHasEffect(points, k)) {
      safe += '?';
    } else {
      safe.append(text.data() + begin, ends[k] - begin);
    }
  }
  return safe;
}

bool DrivesOrDeceives(uint32_t point) {
  return point == token::kNoCodePoint || point < 0x20 || (point >= 0x7F && point < 0xA0) ||
         point == 0x61C || (point >= 0x200B && point <= 0x200F) ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2060 && point <= 0x206F) ||
         point == 0xFEFF || (point >= 0xE0000 && point <= 0xE0FFF);
}

absl::Status PrintJson(const google::protobuf::Message& message, std::ostream& out,
                       const JsonMembers& more) {
  return PrintAsJson(message, JsonLayout::kIndented, more, out);
}

absl::Status PrintJsonLine(const google::protobuf::Message& message, std::ostream& out) {
  RETURN_IF_ERROR(PrintAsJson(message, JsonLayout::kLine, {}, out));
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
  if (const std::string where = WhereToLook(status, details); !where.empty()) {
    err << "  " << SafeForTerminal(where) << '\n';
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
                          {"message", std::string(status.message())},
                          {"fields", nlohmann::json::array()},
                          {"metadata", nlohmann::json::object()}};
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
