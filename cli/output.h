// The command's output: text that is safe to show, JSON for programs, errors that say what to do.
#ifndef TOLLGATE_CLI_OUTPUT_H_
#define TOLLGATE_CLI_OUTPUT_H_

#include <cstdint>
#include <iosfwd>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "cli/json.h"
#include "google/protobuf/message.h"

namespace tollgate::cli {

// Makes other people's text safe for a terminal: control characters (escape sequences), characters
// that turn or hide text, and bytes that are not UTF-8 become `?`.
std::string SafeForTerminal(absl::string_view text);

// Whether the code point drives a terminal, or turns or hides what it shows; true for what is no
// code point (token::kNoCodePoint).
bool DrivesOrDeceives(uint32_t point);

// Prints a message as one JSON document (json.h), with `more` members behind its own, and a
// newline. INTERNAL (ANSWER_NOT_JSON), and nothing is written: the message has no JSON. Keeps no
// copy of the text.
absl::Status PrintJson(const google::protobuf::Message& message, std::ostream& out,
                       const JsonMembers& more = {});
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
  kDenied = 10,    // token check: refused; policy test: denied; policy lint, doctor, scan: findings
  kNoAnswer = 11,  // token check: unavailable
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
