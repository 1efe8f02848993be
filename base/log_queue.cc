#include "base/log_queue.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace tollgate::base {
namespace {

// False: the descriptor has refused it, or its rest.
bool WriteWhole(int fd, const std::string& line) {
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = write(fd, line.data() + done, line.size() - done);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n < 0 && errno == EAGAIN) {  // whoever shares the descriptor made it non-blocking
      pollfd writable{fd, POLLOUT, 0};
      poll(&writable, 1, -1);
    } else if (n == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

LogQueue* LogQueue::Start(Options options) {
  auto* const queue = new LogQueue(std::move(options));
  // Not std::thread, which cannot be asked whether it may be started.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const bool started = pthread_create(&thread, nullptr, Run, queue) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!started) {
    delete queue;
    return nullptr;
  }
  pthread_detach(thread);
  return queue;
}

void* LogQueue::Run(void* queue) {
  static_cast<LogQueue*>(queue)->WriteAll();
  return nullptr;
}

void LogQueue::Push(std::string line, bool important) {
  std::lock_guard<std::mutex> lock(mu_);
  if (ending_ && !important) {
    ++dropped_;
    return;
  }
  // Where lines are missing, nothing follows before that is told, but what must not be lost.
  if (untold_ > 0 && IsHalfFree()) TellDropped();
  const bool waits_to_tell = untold_ > 0 && !important;
  if (waits_to_tell || !HasRoom(line.size(), important)) {
    ++dropped_;
    ++untold_;
    return;
  }
  Append(std::move(line));
}

void LogQueue::PushLast(std::string line) {
  std::lock_guard<std::mutex> lock(mu_);
  ending_ = true;
  if (untold_ > 0) TellDropped();
  if (HasRoom(line.size(), /*important=*/true)) {
    Append(std::move(line));
  } else {
    ++dropped_;
  }
}

bool LogQueue::HasRoom(size_t bytes, bool important) const {
  const size_t lines = options_.most_lines + (important ? options_.important_lines : 0);
  return lines_.size() < lines && (important || bytes_ + bytes <= options_.most_bytes);
}

bool LogQueue::IsHalfFree() const {
  return lines_.size() <= options_.most_lines / 2 && bytes_ <= options_.most_bytes / 2;
}

void LogQueue::Append(std::string line) {
  bytes_ += line.size();
  lines_.push_back(std::move(line));
  ++lines_pushed_;
  pushed_.notify_one();
}

void LogQueue::TellDropped() { Append(options_.dropped_line(std::exchange(untold_, 0))); }

bool LogQueue::Flush(absl::Duration limit) {
  std::unique_lock<std::mutex> lock(mu_);
  const uint64_t last = lines_pushed_;
  // A wait on the steady clock.
  return written_.wait_until(
      lock,
      std::chrono::steady_clock::now() +
          absl::ToChronoNanoseconds(std::clamp(limit, absl::ZeroDuration(), absl::Hours(24))),
      [&] { return lines_written_ >= last; });
}

int64_t LogQueue::dropped() const {
  std::lock_guard<std::mutex> lock(mu_);
  return dropped_;
}

void LogQueue::WriteAll() {
  std::unique_lock<std::mutex> lock(mu_);
  while (true) {
    pushed_.wait(lock, [this] { return !lines_.empty(); });
    const std::string line = std::move(lines_.front());
    lines_.pop_front();
    bytes_ -= line.size();
    lock.unlock();
    const bool written = WriteWhole(options_.fd, line);
    lock.lock();
    ++lines_written_;
    if (!written) {
      ++dropped_;
      ++untold_;
    } else if (lines_.empty() && untold_ > 0 && !ending_) {
      // Nobody may log for long. Not after a refusal: the descriptor would refuse this line, too.
      TellDropped();
    }
    written_.notify_all();
  }
}

}  // namespace tollgate::base
