// Answers as JSON, of one shape in every command. docs/json.md tells users.
#ifndef TOLLGATE_CLI_JSON_H_
#define TOLLGATE_CLI_JSON_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace tollgate::cli {

enum class JsonLayout {
  kIndented,  // by two spaces a level, for one document
  kLine,      // on one line, for streams
};

// Members that a command adds behind those of the message: the name, and its value as JSON.
using JsonMembers = std::vector<std::pair<std::string, std::string>>;

// Writes a message, without a newline at its end:
// * the fields by the names of the protos, in their order, and there also where they are zero or
//   empty; a time, a duration, an object or a choice that is not set is left out;
// * numbers as numbers, whatever their size; an enum as EnumWord; bytes as base64; times as in
//   RFC 3339, durations in seconds ("1.5s");
// * characters that drive a terminal, or hide what it shows, escaped; bytes that are no UTF-8 as
//   U+FFFD.
// Left out where they are empty: `next_page_token`, because commands read all pages, and a token's
// `edge_uses`, which not every command asks for.
// INTERNAL (ANSWER_NOT_JSON), and nothing is written: a time or a duration is out of bounds. Keeps
// no copy of what it writes into `out`, which may be a secret.
absl::Status WriteJson(const google::protobuf::Message& message, JsonLayout layout,
                       const JsonMembers& more, std::string* out);

// The same of an object with one list of messages: {"results": [...]}, and `more`.
absl::Status WriteJsonList(absl::string_view name,
                           const std::vector<const google::protobuf::Message*>& messages,
                           JsonLayout layout, const JsonMembers& more, std::string* out);

// The word of an enum's value, as flags take it: "retiring" for TOKEN_STATE_RETIRING,
// "fail-closed" for STALE_POLICY_FAIL_CLOSED; "" for what is not specified, "unknown-7" for what
// only a newer service knows.
std::string EnumWord(const google::protobuf::EnumDescriptor& type, int value);

// `text` as a JSON string, quoted and escaped as above.
std::string JsonString(absl::string_view text);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_JSON_H_
