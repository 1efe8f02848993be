// Time, injected. There are two clocks, and their readings are never mixed (R1, R18): the boot
// clock measures spans (leases, timeouts), the wall clock names moments (creation, expiry). Only a
// main.cc names SystemClock().
#ifndef TOLLGATE_BASE_CLOCK_H_
#define TOLLGATE_BASE_CLOCK_H_

#include <compare>
#include <cstdint>

#include "absl/time/time.h"

namespace tollgate::base {

// A reading of the boot clock (CLOCK_BOOTTIME). This clock goes on while the machine is suspended,
// so a lease cannot be slept through. Only differences mean anything, and only on one machine
// between two boots.
class BootTime {
 public:
  constexpr BootTime() = default;
  static constexpr BootTime FromNanos(int64_t ns) { return BootTime(ns); }
  constexpr int64_t nanos() const { return ns_; }
  // Before every reading.
  static constexpr BootTime InfinitePast() { return BootTime(INT64_MIN / 2); }
  // After every reading.
  static constexpr BootTime InfiniteFuture() { return BootTime(INT64_MAX / 2); }

  friend constexpr auto operator<=>(BootTime, BootTime) = default;
  friend BootTime operator+(BootTime t, absl::Duration d) {
    return BootTime(t.ns_ + absl::ToInt64Nanoseconds(d));
  }
  friend BootTime operator-(BootTime t, absl::Duration d) {
    return BootTime(t.ns_ - absl::ToInt64Nanoseconds(d));
  }
  friend absl::Duration operator-(BootTime a, BootTime b) {
    return absl::Nanoseconds(a.ns_ - b.ns_);
  }

 private:
  explicit constexpr BootTime(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

// Both clocks. Thread-safe; a reading is a vDSO call, no system call.
class Clock {
 public:
  virtual ~Clock() = default;
  // The boot clock, now: never a cached reading (R1, R13).
  virtual BootTime Now() const = 0;
  // The wall clock, now.
  virtual absl::Time WallNow() const = 0;
  // The time that all which time decides goes by (R20): the wall clock, unless this is a clock that
  // knows when not to trust it (service/clock).
  virtual absl::Time ServiceNow() const { return WallNow(); }
};

// The machine's clocks. Never destroyed.
const Clock& SystemClock();

}  // namespace tollgate::base

#endif  // TOLLGATE_BASE_CLOCK_H_
