// Looks after a store's health: tells people of it, and makes the server's health follow it.
#ifndef TOLLGATE_SERVICE_HEALTH_HEALTH_WATCH_H_
#define TOLLGATE_SERVICE_HEALTH_HEALTH_WATCH_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "net/health.h"
#include "prometheus/metric_family.h"
#include "service/health/store_health.h"
#include "storage/disk_work.h"

namespace tollgate::service {

// Has a thread of its own, which waits for no disk. It looks several times a second at what is
// under way, from before the store is opened, so that a start that hangs says so too. Thread-safe.
class HealthWatch {
 public:
  // `clock` outlives it.
  static std::unique_ptr<HealthWatch> Start(const base::Clock* clock, StoreHealth::Options options);
  // Unfollow()s, and ends the thread.
  ~HealthWatch();
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // Where what works on disks says so. Lives as long as this.
  storage::DiskWork* work() { return &work_; }
  // As StoreHealth::OnDamage. Waits for nothing.
  void OnDamage(const absl::Status& damage);

  // From now on `health` is SERVING exactly while the store is ready.
  void Follow(net::Health* health);
  // Touches the health no more once this returns.
  void Unfollow();

  // The health's metrics, as of now.
  std::vector<prometheus::MetricFamily> Metrics() const;
  // What has waited longest for a disk, for last words: "a commit in /data for 12 s"; empty:
  // nothing waits for as long as a second.
  std::string LongestWait() const;

 private:
  HealthWatch(const base::Clock* clock, StoreHealth::Options options);
  void Look();
  void LookUntilStopped();

  const base::Clock* const clock_;
  storage::DiskWork work_;

  // A std::mutex: absl::Mutex would wait by the wall clock.
  mutable std::mutex mu_;  // guards all below
  std::condition_variable stopped_;
  StoreHealth judge_;
  net::Health* health_ = nullptr;
  bool serving_ = false;
  bool stopping_ = false;
  std::thread thread_;  // const once started
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_HEALTH_HEALTH_WATCH_H_
