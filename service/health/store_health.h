// Whether a store does what it should: what its disks let it wait for, and what was found damaged.
#ifndef TOLLGATE_SERVICE_HEALTH_STORE_HEALTH_H_
#define TOLLGATE_SERVICE_HEALTH_STORE_HEALTH_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "storage/disk_job.h"

namespace tollgate::service {

// Judges; says nothing itself and reads no clock. Not thread-safe.
//
// What is to be said is bounded, whatever the disk does: of each job (of which there are few) a
// line when it turns slow, again after twice the time since, up to once in `longest_silence`, and
// for each of those at most one line that it has ended. A disk that is slow again and again counts
// as one trouble, until it has kept up for `longest_silence`.
class StoreHealth {
 public:
  struct Options {
    // From here on a piece of work is told of. A sound disk answers in milliseconds, and one that
    // is only busy within a second.
    absl::Duration slow_after = absl::Seconds(2);
    // A read or a write that takes longer than this: the service is not ready. The edges' leases
    // are still good then, so that whoever watches can act before they lapse.
    absl::Duration hung_after = absl::Seconds(5);
    // The longest that a trouble that lasts goes unmentioned.
    absl::Duration longest_silence = absl::Minutes(1);
  };

  // Something to tell people.
  struct Told {
    enum class What {
      kSlow,         // `job` has taken `took` so far; `waiting` pieces of it wait
      kEnded,        // of what kSlow was told of: it took `took`
      kNotReady,     // `job` has taken so long that the service is no longer ready
      kReady,        // every disk answers again
      kDamaged,      // `damage` was found, the first of its kind
      kStillDamaged  // `damage` was found `count` times since it was told last
    };
    What what = What::kSlow;
    const storage::DiskJob* job = nullptr;
    absl::Duration took;
    int64_t count = 0;
    absl::Status damage;
  };

  explicit StoreHealth(Options options) : options_(options) {}

  // All that is under way at `now`, which never goes back. Asked several times a second.
  std::vector<Told> Watch(base::BootTime now,
                          const std::vector<storage::DiskWorkUnderWay>& under_way);
  // Something of the store cannot be read as it was written. Told by the next Watch. For good: only
  // another start, on a store that was put right, ends it.
  void OnDamage(const absl::Status& damage);

  // Whether reads and writes are answered in time, and nothing was found damaged.
  bool ready() const { return !hung_ && damage_.ok(); }
  bool damaged() const { return !damage_.ok(); }

 private:
  // A piece of work, by what tells it from every other.
  struct Piece {
    uint32_t slot = 0;
    base::BootTime since;
    friend bool operator==(const Piece&, const Piece&) = default;
  };
  // One job's trouble.
  struct Trouble {
    absl::optional<Piece> told;  // and not yet told of that it has ended
    absl::Duration pause;        // until the next line
    base::BootTime next_line = base::BootTime::InfinitePast();
    base::BootTime last_slow = base::BootTime::InfinitePast();
  };
  void WatchJob(base::BootTime now, const storage::DiskJob* job,
                const std::vector<storage::DiskWorkUnderWay>& pieces, std::vector<Told>* told);
  void WatchReadiness(base::BootTime now, const std::vector<storage::DiskWorkUnderWay>& under_way,
                      std::vector<Told>* told);
  void WatchDamage(base::BootTime now, std::vector<Told>* told);

  const Options options_;
  std::map<const storage::DiskJob*, Trouble> troubles_;
  bool hung_ = false;
  bool told_hung_ = false;
  base::BootTime next_hung_line_ = base::BootTime::InfinitePast();
  absl::Status damage_;  // the first
  int64_t untold_damage_ = 0;
  bool told_damage_ = false;
  base::BootTime next_damage_line_ = base::BootTime::InfinitePast();
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_HEALTH_STORE_HEALTH_H_
