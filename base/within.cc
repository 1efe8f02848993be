#include "base/within.h"

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/thread.h"

namespace tollgate::base {

bool Within(absl::Duration limit, std::function<void()> work) {
  struct State {
    std::mutex mu;
    std::condition_variable changed;
    bool done = false;  // guarded by mu
  };
  const auto state = std::make_shared<State>();
  auto run = [state, work = std::move(work)]() mutable {
    work();
    work = nullptr;
    std::lock_guard<std::mutex> lock(state->mu);
    state->done = true;
    state->changed.notify_all();
  };
  absl::StatusOr<std::thread> thread = StartThread(run);
  if (!thread.ok()) {
    run();  // late rather than never
    return true;
  }
  thread->detach();
  std::unique_lock<std::mutex> lock(state->mu);
  return state->changed.wait_until(
      lock, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(limit),
      [&] { return state->done; });
}

}  // namespace tollgate::base
