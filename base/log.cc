#include "base/log.h"

#include <pthread.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/line_sums.h"
#include "base/log_queue.h"

namespace tollgate::base {
namespace {

std::atomic<LogLevel> least_level{LogLevel::kInfo};
std::atomic<LogSink> log_sink{nullptr};
// Null: whoever logs writes.
std::atomic<LogQueue*> log_queue{nullptr};

struct Output {
  Output() : logger("tollgate", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    // The line is whole already: JSON, escaped by its own rules.
    logger.set_pattern("%v");
    logger.set_level(spdlog::level::trace);
    logger.flush_on(spdlog::level::trace);
  }
  spdlog::logger logger;
};

// Never destroyed: threads may log until the process ends.
Output& TheOutput() {
  static Output* const output = new Output;
  return *output;
}

std::string& Program() {
  static std::string* const program = new std::string;
  return *program;
}

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

// A line without its newline.
template <typename Fields>
std::string LineOf(LogLevel level, absl::string_view message, const Fields& fields) {
  // Ordered: time, level and message come first on every line.
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone());
  line["level"] = LevelName(level);
  if (!Program().empty()) line["program"] = Program();
  line["message"] = std::string(message);
  for (const auto& [name, value] : fields) {
    std::string key(name);
    // A field never hides one of the line's own, nor an earlier field.
    while (line.contains(key)) key.push_back('_');
    absl::visit([&](const auto& v) { line[key] = v; }, value.value());
  }
  return line.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

std::string DroppedLine(int64_t lines) {
  return absl::StrCat(LineOf(LogLevel::kWarning, "log lines were dropped: stderr was not read",
                             LogFields{{"lines", lines}}),
                      "\n");
}

void Write(LogLevel level, std::string line, bool last) {
  const LogSink sink = log_sink.load(std::memory_order_acquire);
  if (sink != nullptr && sink(level, line)) return;
  if (LogQueue* const queue = log_queue.load(std::memory_order_acquire)) {
    line.push_back('\n');
    if (last) {
      queue->PushLast(std::move(line));
    } else {
      queue->Push(std::move(line));
    }
  } else {
    TheOutput().logger.log(spdlog::level::info, "{}", line);
  }
}

// What LogSummed has counted. Never destroyed: threads may log until the process ends.
struct Summed {
  std::mutex mu;
  LineSums sums{LineSums::Options()};  // guarded by mu
};
Summed& TheSummed() {
  static Summed* const summed = new Summed;
  return *summed;
}

void WriteSums(const std::vector<LineSums::Sum>& sums) {
  for (const LineSums::Sum& sum : sums) {
    Log(sum.kind.level, sum.kind.message,
        {{"reason", sum.kind.reason}, {"more_times", sum.lines}, {"within_seconds", sum.within}});
  }
}

void LogAllSums() {
  std::vector<LineSums::Sum> sums;
  {
    Summed& summed = TheSummed();
    std::lock_guard<std::mutex> lock(summed.mu);
    sums = summed.sums.All(SystemClock().Now());
  }
  WriteSums(sums);
}

}  // namespace

void Log(LogLevel level, absl::string_view message, LogFields fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  Write(level, LineOf(level, message, fields), /*last=*/false);
}

void Log(const LogRecord& record) {
  if (record.level < least_level.load(std::memory_order_relaxed)) return;
  Write(record.level, LineOf(record.level, record.message, record.fields), /*last=*/false);
}

void LogSummed(LogLevel level, absl::string_view message, absl::string_view reason,
               LogFields fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  std::vector<LineSums::Sum> sums;
  bool write = false;
  {
    Summed& summed = TheSummed();
    std::lock_guard<std::mutex> lock(summed.mu);
    write = summed.sums.Take(level, message, reason, SystemClock().Now(), &sums);
  }
  WriteSums(sums);
  if (write) Log(level, message, fields);
}

void LogDueSums() {
  std::vector<LineSums::Sum> sums;
  {
    Summed& summed = TheSummed();
    std::lock_guard<std::mutex> lock(summed.mu);
    sums = summed.sums.Due(SystemClock().Now());
  }
  WriteSums(sums);
}

void LogLastWords(absl::string_view message, LogFields fields) {
  LogAllSums();  // before the last words
  Write(LogLevel::kError, LineOf(LogLevel::kError, message, fields), /*last=*/true);
  FlushLog();
}

void QueueLogLines() {
  static std::once_flag once;
  std::call_once(once, [] {
    LogQueue::Options options;
    options.dropped_line = DroppedLine;
    log_queue.store(LogQueue::Start(std::move(options)), std::memory_order_release);
    // The child has no such thread, and what was queued is its parent's to write.
    pthread_atfork(nullptr, nullptr, [] { log_queue.store(nullptr, std::memory_order_release); });
    std::atexit([] { FlushLog(); });
  });
}

void FlushLog(absl::Duration limit) {
  LogAllSums();
  if (LogQueue* const queue = log_queue.load(std::memory_order_acquire)) queue->Flush(limit);
}

int64_t DroppedLogLines() {
  const LogQueue* const queue = log_queue.load(std::memory_order_acquire);
  return queue == nullptr ? 0 : queue->dropped();
}

void WriteToStderr(absl::string_view words) {
  if (LogQueue* const queue = log_queue.load(std::memory_order_acquire)) {
    queue->Push(std::string(words), /*important=*/true);
  } else {
    std::fwrite(words.data(), 1, words.size(), stderr);
  }
}

void SetLogLevel(LogLevel level) { least_level.store(level, std::memory_order_relaxed); }

void SetLogSink(LogSink sink) { log_sink.store(sink, std::memory_order_release); }

bool ParseLogLevel(absl::string_view name, LogLevel* level) {
  for (LogLevel candidate :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (name == LevelName(candidate)) {
      *level = candidate;
      return true;
    }
  }
  return false;
}

void SetLogProgram(absl::string_view program) { Program() = std::string(program); }

}  // namespace tollgate::base
