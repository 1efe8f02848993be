// A clock, an executor and evidence of use that a test controls.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_STAND_INS_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_STAND_INS_H_

#include <deque>
#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "service/use/silence.h"

namespace tollgate::service {

// Both clocks show the value of the test's own variable.
class StandingClock : public base::Clock {
 public:
  explicit StandingClock(absl::Time* now) : now_(now) {}
  base::BootTime Now() const override {
    return base::BootTime::FromNanos(absl::ToUnixNanos(*now_));
  }
  absl::Time WallNow() const override { return *now_; }

 private:
  absl::Time* now_;
};

// Evidence that every edge has reported everything until `now`.
inline SilenceEvidence AllHeard(absl::Time now) { return {now, {}, {}}; }

// Runs its work when the test says so.
class HeldExecutor : public base::Executor {
 public:
  bool Submit(std::function<void()> work) override {
    if (full) return false;
    held.push_back(std::move(work));
    return true;
  }
  void RunOne() {
    auto work = std::move(held.front());
    held.pop_front();
    work();
  }
  void RunAll() {
    while (!held.empty()) RunOne();
  }
  bool full = false;
  std::deque<std::function<void()>> held;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_STAND_INS_H_
