// The end of a service whose store was shown to be an old copy (R11, R19).
#ifndef TOLLGATE_SERVICE_ROLLED_BACK_END_H_
#define TOLLGATE_SERVICE_ROLLED_BACK_END_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "service/store_home.h"

namespace tollgate::service {

// The mark that keeps a supervisor from starting the service again has to be synced, and whoever
// finds the roll-back out is on a thread that must not wait for that. So it is done on a thread of
// this object's own. Not thread-safe.
class RolledBackEnd {
 public:
  // A disk that has hung for so long gets no mark. The process ends all the same: the next start
  // serves until a validator has shown the roll-back again.
  static constexpr absl::Duration kMarkPatience = absl::Seconds(5);

  RolledBackEnd() = default;
  // Waits until `end` has returned.
  ~RolledBackEnd();
  RolledBackEnd(const RolledBackEnd&) = delete;
  RolledBackEnd& operator=(const RolledBackEnd&) = delete;

  // Marks the store of this epoch, or gives that up, aloud; then calls `end`. Returns at once.
  // Once.
  void Begin(StoreHome home, std::string epoch, std::function<void()> end);

 private:
  std::thread thread_;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ROLLED_BACK_END_H_
