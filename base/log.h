// Structured logs: one JSON object a line, to stderr.
//   Log(LogLevel::kInfo, "session opened", {{"validator", id}, {"revision", 7}});
// gives {"time":"…","level":"info","message":"session opened","validator":"edge-1","revision":7}.
// Never a token string: only public ids.
#ifndef TOLLGATE_BASE_LOG_H_
#define TOLLGATE_BASE_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/variant.h"

namespace tollgate::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// The value of a field. A duration is written in seconds.
class LogValue {
 public:
  LogValue(absl::string_view v) : value_(std::string(v)) {}
  LogValue(const std::string& v) : value_(v) {}
  LogValue(const char* v) : value_(std::string(v)) {}
  LogValue(bool v) : value_(v) {}
  LogValue(double v) : value_(v) {}
  LogValue(int v) : value_(static_cast<int64_t>(v)) {}
  LogValue(int64_t v) : value_(v) {}
  LogValue(uint64_t v) : value_(static_cast<int64_t>(v)) {}
  LogValue(absl::Duration v) : value_(absl::ToDoubleSeconds(v)) {}
  LogValue(const absl::Status& v)
      : value_(v.ToString(absl::StatusToStringMode::kWithNoExtraData)) {}
  const absl::variant<std::string, bool, double, int64_t>& value() const { return value_; }

 private:
  absl::variant<std::string, bool, double, int64_t> value_;
};

using LogFields = std::initializer_list<std::pair<absl::string_view, LogValue>>;

// Writes one line. Thread-safe. Invalid UTF-8 in a value is replaced. Waits for stderr, unless
// QueueLogLines was called.
void Log(LogLevel level, absl::string_view message, LogFields fields = {});

// A line that somebody else writes: what a class without I/O wants told.
struct LogRecord {
  LogLevel level = LogLevel::kInfo;
  std::string message;
  std::vector<std::pair<std::string, LogValue>> fields;
};
// Writes it, as above.
void Log(const LogRecord& record);

// As Log, for a line that a fault or an outsider can cause again and again: of those of one message
// and reason the first of a minute is written, and the others are one line with a count (LineSums).
// `reason` is a stable word (base::ReasonOf), or empty. Thread-safe.
void LogSummed(LogLevel level, absl::string_view message, absl::string_view reason,
               LogFields fields = {});
// Writes the counts of minutes that have passed. For whoever has a timer, to call now and then;
// without it a count is written with the next line of LogSummed, and by FlushLog. Thread-safe.
void LogDueSums();

// The least level written; kInfo at first. Thread-safe.
void SetLogLevel(LogLevel level);
// "debug", "info", "warning", "error"; false for anything else.
bool ParseLogLevel(absl::string_view name, LogLevel* level);
// Takes each line, without its newline. Returns true: the line is not written to stderr. Called on
// any thread; must neither log nor block.
using LogSink = bool (*)(LogLevel level, absl::string_view line);
// Sets the sink that is offered each line first: for a library, whose host decides where lines go.
// nullptr, the initial value: lines go to stderr alone. Thread-safe; a line under way may still go
// to the former sink.
void SetLogSink(LogSink sink);
// From here on no caller waits for stderr: lines are queued for a thread of their own, in their
// order; those that find the queue full are dropped, counted, and told of in one line once there is
// room. At exit what is left gets FlushLog's limit. A child forked later writes its lines itself.
// Where the process may start no thread, nothing changes. Idempotent, thread-safe.
void QueueLogLines();
// The line, as an error, of what ends the process next by _exit: it finds room in a full queue, and
// is given kLastLines to be written. Where lines are queued it is the last: what other threads log
// after it is not written. Thread-safe.
void LogLastWords(absl::string_view message, LogFields fields = {});
// Returns once the lines so far have been written, where stderr takes them, and after `limit` at
// the latest: before _exit. What LogSummed has counted is written first. Thread-safe.
inline constexpr absl::Duration kLastLines = absl::Milliseconds(250);
void FlushLog(absl::Duration limit = kLastLines);
// Lines that were dropped, since the start. Thread-safe.
int64_t DroppedLogLines();
// Words for a person, with their newlines, in the order of the log's lines. Thread-safe.
void WriteToStderr(absl::string_view words);
// The program's name, put into every line. Call before the first Log.
void SetLogProgram(absl::string_view program);

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_LOG_H_
