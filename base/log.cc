#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/time/clock.h"

namespace tollgate::base {
namespace {

std::atomic<LogLevel> least_level{LogLevel::kInfo};
std::atomic<LogSink> log_sink{nullptr};

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

}  // namespace

void Log(LogLevel level, absl::string_view message, LogFields fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
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
  const std::string text =
      line.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
  const LogSink sink = log_sink.load(std::memory_order_acquire);
  if (sink != nullptr && sink(level, text)) return;
  TheOutput().logger.log(spdlog::level::info, "{}", text);
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
