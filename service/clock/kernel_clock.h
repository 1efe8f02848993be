// What the kernel knows of its clock beyond the time.
#ifndef TOLLGATE_SERVICE_CLOCK_KERNEL_CLOCK_H_
#define TOLLGATE_SERVICE_CLOCK_KERNEL_CLOCK_H_

#include <string>

#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace tollgate::service {

// Thread-safe.
class KernelClock {
 public:
  virtual ~KernelClock() = default;
  // What the kernel's clock shows, where the kernel calls it synchronised (STA_UNSYNC is clear: a
  // time daemon keeps it, and nobody has set it by hand since). Nullopt where it does not, or
  // cannot be asked. One system call.
  virtual absl::optional<absl::Time> Synchronised() const = 0;
  // This boot of this machine, as the kernel names it; empty where it does not.
  virtual std::string BootId() const = 0;
};

// This machine's. Never destroyed.
const KernelClock& SystemKernelClock();

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_CLOCK_KERNEL_CLOCK_H_
