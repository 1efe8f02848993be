#include "base/executor.h"

#include <algorithm>
#include <utility>

namespace tollgate::base {

ThreadPool::ThreadPool(int threads, size_t max_queued) : max_queued_(max_queued) {
  absl::MutexLock lock(&mu_);
  for (int i = 0; i < std::max(threads, 1); ++i) threads_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() { Stop(); }

bool ThreadPool::Submit(std::function<void()> work) {
  absl::MutexLock lock(&mu_);
  if (stopping_ || queue_.size() >= max_queued_) return false;
  queue_.push_back(std::move(work));
  return true;
}

void ThreadPool::After(absl::Duration delay, std::function<void()> work) {
  // A century is as good as never, and cannot overflow the clock's 64 bits.
  delay = std::clamp(delay, absl::ZeroDuration(), absl::Hours(24 * 365 * 100));
  const auto due = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(delay);
  {
    std::lock_guard<std::mutex> lock(timers_mu_);
    if (timers_stopping_) return;
    timers_.emplace(due, std::move(work));
    if (!timer_thread_.joinable()) timer_thread_ = std::thread([this] { Tick(); });
  }
  timers_changed_.notify_one();
}

void ThreadPool::Stop() {
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> dropped;
  // The caller that stops first joins; a second caller finds no threads left.
  std::thread timer_thread;
  {
    std::lock_guard<std::mutex> lock(timers_mu_);
    timers_stopping_ = true;
    dropped.swap(timers_);
    timer_thread.swap(timer_thread_);
  }
  timers_changed_.notify_one();
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    threads.swap(threads_);
  }
  if (timer_thread.joinable()) timer_thread.join();
  for (std::thread& thread : threads) thread.join();
  // `dropped` goes here, outside the locks: a closure's destructor may call back.
}

void ThreadPool::Work() {
  for (;;) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mu_);
      const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return stopping_ || !queue_.empty();
      };
      mu_.Await(absl::Condition(&ready));
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

void ThreadPool::Tick() {
  std::unique_lock<std::mutex> lock(timers_mu_);
  while (!timers_stopping_) {
    if (timers_.empty()) {
      timers_changed_.wait(lock);
      continue;
    }
    const auto next = timers_.begin()->first;
    if (std::chrono::steady_clock::now() < next) {
      // Woken by time, by an earlier timer or by the end; the loop looks again in each case.
      timers_changed_.wait_until(lock, next);
      continue;
    }
    std::function<void()> due = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    lock.unlock();
    {
      absl::MutexLock queue_lock(&mu_);
      if (!stopping_) queue_.push_back(std::move(due));
    }
    lock.lock();
  }
}

}  // namespace tollgate::base
