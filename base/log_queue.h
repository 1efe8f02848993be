// Lines on their way to a descriptor that may take none: a pipe whose reader sleeps, a terminal
// that was stopped, a file on a disk that hangs.
#ifndef TOLLGATE_BASE_LOG_QUEUE_H_
#define TOLLGATE_BASE_LOG_QUEUE_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/time/time.h"

namespace tollgate::base {

// A bounded queue and the thread that empties it, the only one that ever waits for the descriptor.
// What does not fit is dropped and counted, and the count is told in a line of its own, at the
// place of what is missing, once half the queue is free. Thread-safe.
//
// Never destroyed: its thread may hang in a write for as long as the process lives, and ends with
// it.
class LogQueue {
 public:
  struct Options {
    int fd = 2;
    // What may wait, whichever is reached first.
    size_t most_lines = 8192;
    size_t most_bytes = 4 << 20;
    // So many lines more are for what must not be lost: a process's last words.
    size_t important_lines = 64;
    // The line, with its newline, that tells how many lines are missing.
    std::function<std::string(int64_t lines)> dropped_line;
  };

  // Starts the thread, which takes no signals. Null where the process may start none.
  static LogQueue* Start(Options options);
  LogQueue(const LogQueue&) = delete;
  LogQueue& operator=(const LogQueue&) = delete;

  // `line` is written as it is, by one call of write where the descriptor takes it whole. Waits for
  // nothing but other callers' pushes.
  void Push(std::string line, bool important = false);
  // As an important line, and the last one: what is pushed later is not written, unless it is
  // important, too. What is missing is told before it.
  void PushLast(std::string line);
  // Returns once every line pushed before was written or given up, and after `limit` at the latest.
  // False: something is left.
  bool Flush(absl::Duration limit);
  // Lines that were not written: there was no room, or the descriptor refused them.
  int64_t dropped() const;

 private:
  explicit LogQueue(Options options) : options_(std::move(options)) {}
  ~LogQueue() = default;

  static void* Run(void* queue);
  void WriteAll();
  // With mu_ held.
  bool HasRoom(size_t bytes, bool important) const;
  void Append(std::string line);
  bool IsHalfFree() const;
  void TellDropped();

  const Options options_;

  mutable std::mutex mu_;  // guards all below
  std::condition_variable pushed_;
  std::condition_variable written_;
  std::deque<std::string> lines_;
  size_t bytes_ = 0;            // of lines_
  uint64_t lines_pushed_ = 0;   // since the start
  uint64_t lines_written_ = 0;  // of those, in their order; also what the descriptor refused
  int64_t dropped_ = 0;
  int64_t untold_ = 0;   // of them, not told yet
  bool ending_ = false;  // the last line was pushed
};

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_LOG_QUEUE_H_
