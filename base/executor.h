// Work that may wait runs on an executor and never on a gRPC thread: the callback pool of gRPC 1.51
// has two threads on two cores.
#ifndef TOLLGATE_BASE_EXECUTOR_H_
#define TOLLGATE_BASE_EXECUTOR_H_

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tollgate::base {

// Runs closures later, elsewhere. Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `work` soon. False: the queue is full or the executor has stopped, and `work` never runs;
  // the caller answers RESOURCE_EXHAUSTED.
  virtual bool Submit(std::function<void()> work) = 0;
};

// A bounded pool of threads with a timer. Thread-safe.
class ThreadPool : public Executor {
 public:
  // `threads` >= 1; at most `max_queued` closures wait.
  ThreadPool(int threads, size_t max_queued);
  // Stop()s.
  ~ThreadPool() override;

  bool Submit(std::function<void()> work) override;
  // Runs `work` on the pool, no sooner than `delay` from now. Timers do not count towards the
  // queue's bound. Stop() drops them. The first one starts a thread that keeps them.
  void After(absl::Duration delay, std::function<void()> work);
  // Takes no more work, finishes what is queued, drops timers, joins the threads. Idempotent. Must
  // not be called on a thread of the pool.
  void Stop();

 private:
  void Work();
  void Tick();

  const size_t max_queued_;
  absl::Mutex mu_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);

  // Timers wait on the steady clock. absl::Mutex cannot: its deadlines are on the wall clock, and
  // would be late by as much as somebody sets that clock back. timers_mu_ guards timers_,
  // timers_stopping_ and timer_thread_; no thread holds it together with mu_.
  std::mutex timers_mu_;
  std::condition_variable timers_changed_;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> timers_;
  bool timers_stopping_ = false;
  std::thread timer_thread_;
};

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_EXECUTOR_H_
