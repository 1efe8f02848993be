#include "service/clock/kernel_clock.h"

#include <sys/timex.h>

#include <fstream>

namespace tollgate::service {
namespace {

class LinuxClock : public KernelClock {
 public:
  absl::optional<absl::Time> Synchronised() const override {
    struct timex state = {};  // modes 0: only asks
    if (adjtimex(&state) < 0 || (state.status & STA_UNSYNC) != 0) return absl::nullopt;
    absl::Time time = absl::FromUnixSeconds(state.time.tv_sec);
    // With STA_NANO the field holds nanoseconds.
    return time + ((state.status & STA_NANO) != 0 ? absl::Nanoseconds(state.time.tv_usec)
                                                  : absl::Microseconds(state.time.tv_usec));
  }
  std::string BootId() const override {
    std::string id;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
    return id;
  }
};

}  // namespace

const KernelClock& SystemKernelClock() {
  static const LinuxClock* const clock = new LinuxClock;
  return *clock;
}

}  // namespace tollgate::service
