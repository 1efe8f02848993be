// The command's output: tables for people, JSON for programs, errors that say what to do.
#ifndef TOLLGATE_CLI_OUTPUT_H_
#define TOLLGATE_CLI_OUTPUT_H_

#include <iosfwd>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace tollgate::cli {

// A table in columns, padded by what the eye sees (text/display_width.h).
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  // `cells` has as many cells as the header; more is a bug of the caller.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.size() == 1; }
  // Prints nothing for an empty table: the caller says in words that there is nothing.
  void Print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Makes other people's text safe for a terminal: control characters (escape sequences), characters
// that turn or hide text, and bytes that are not UTF-8 become `?`.
std::string SafeForTerminal(absl::string_view text);

// Prints a message as one JSON document, with proto field names, and a newline. A list is there
// when it is empty, too. INTERNAL (ANSWER_NOT_JSON), and nothing is written: the message has no
// JSON. Keeps no copy of the text.
absl::Status PrintJson(const google::protobuf::Message& message, std::ostream& out);
// The same on one line, for streams.
absl::Status PrintJsonLine(const google::protobuf::Message& message, std::ostream& out);

// The exit codes; stable, listed by `tollgate --help`.
enum ExitCode {
  kDone = 0,
  kFailed = 1,    // an error of none of the other kinds
  kBadUsage = 2,  // the command line, or a field that the service refused
  kNotFound = 3,
  kRefused = 4,         // the state does not allow it: still in use, already final, count mismatch
  kUnavailable = 5,     // the service cannot be reached, or does not answer in time
  kNotYetEnforced = 6,  // done, but what was waited for did not come within --wait-timeout
  kAborted = 7,         // the person said no
  kDenied = 10,         // token check: refused; policy test: denied; policy lint: findings
  kNoAnswer = 11,       // token check: unavailable
};
int ExitCodeFor(const absl::Status& status);

// The same error with one more line that says what to do.
absl::Status WithAdvice(const absl::Status& status, absl::string_view advice);

// Prints "refused: …" to `err`, with the fields and what to do.
void PrintError(const absl::Status& status, std::ostream& err);
// The same for programs: {"error":{"code":…,"reason":…,"message":…,"fields":[…]}}; ASCII only.
void PrintErrorJson(const absl::Status& status, std::ostream& err);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_OUTPUT_H_
