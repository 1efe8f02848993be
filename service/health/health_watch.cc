#include "service/health/health_watch.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "net/metric_page.h"

namespace tollgate::service {
namespace {

using storage::DiskJobKind;
using storage::DiskWorkUnderWay;
using What = StoreHealth::Told::What;

// A fraction of what is slow (StoreHealth::Options), so that it is told in time.
constexpr std::chrono::milliseconds kBetweenLooks(100);

constexpr char kDamageAdvice[] =
    "stop the service, keep a copy of the folder, look at the disk, and restore a backup: "
    "docs/backup.md";

void Say(const StoreHealth::Told& told) {
  using base::Log;
  using base::LogLevel;
  switch (told.what) {
    case What::kSlow:
      if (told.job->kind == DiskJobKind::kLong) {
        Log(LogLevel::kInfo, "the disk is at work: this may take long",
            {{"what", told.job->doing}, {"where", told.job->place}, {"for_seconds", told.took}});
      } else {
        Log(LogLevel::kWarning, "the disk is slow: what waits for it is not answered",
            {{"what", told.job->doing},
             {"where", told.job->place},
             {"for_seconds", told.took},
             {"waiting", told.count}});
      }
      break;
    case What::kEnded:
      Log(LogLevel::kInfo,
          told.job->kind == DiskJobKind::kLong ? "the disk is done" : "the disk has answered",
          {{"what", told.job->doing}, {"where", told.job->place}, {"took_seconds", told.took}});
      break;
    case What::kNotReady:
      Log(LogLevel::kError,
          "the disk hangs: not ready (NOT_SERVING) until it answers. Edges go on inside their "
          "leases, and then admit nothing",
          {{"what", told.job->doing}, {"where", told.job->place}, {"for_seconds", told.took}});
      break;
    case What::kReady:
      Log(LogLevel::kInfo, "every disk answers again");
      break;
    case What::kDamaged:
      Log(LogLevel::kError,
          "the store is damaged: not ready (NOT_SERVING) from here on. What can be read is served",
          {{"status", told.damage}, {"advice", kDamageAdvice}});
      break;
    case What::kStillDamaged:
      Log(LogLevel::kError, "the store is damaged",
          {{"status", told.damage}, {"times", told.count}, {"advice", kDamageAdvice}});
      break;
  }
}

}  // namespace

HealthWatch::HealthWatch(const base::Clock* clock, StoreHealth::Options options)
    : clock_(clock), work_(clock), judge_(options) {}

std::unique_ptr<HealthWatch> HealthWatch::Start(const base::Clock* clock,
                                                StoreHealth::Options options) {
  std::unique_ptr<HealthWatch> watch(new HealthWatch(clock, options));
  watch->thread_ = std::thread([raw = watch.get()] { raw->LookUntilStopped(); });
  return watch;
}

HealthWatch::~HealthWatch() {
  Unfollow();
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
    stopped_.notify_all();
  }
  thread_.join();
}

void HealthWatch::OnDamage(const absl::Status& damage) {
  std::lock_guard<std::mutex> lock(mu_);
  judge_.OnDamage(damage);
}

void HealthWatch::Follow(net::Health* health) {
  std::lock_guard<std::mutex> lock(mu_);
  health_ = health;
  serving_ = judge_.ready();
  health_->SetServing(serving_);
}

void HealthWatch::Unfollow() {
  std::lock_guard<std::mutex> lock(mu_);
  health_ = nullptr;
}

void HealthWatch::Look() {
  std::vector<StoreHealth::Told> told;
  {
    std::lock_guard<std::mutex> lock(mu_);
    const std::vector<DiskWorkUnderWay> under_way = work_.UnderWay();
    told = judge_.Watch(clock_->Now(), under_way);
    if (health_ != nullptr && serving_ != judge_.ready()) {
      serving_ = judge_.ready();
      health_->SetServing(serving_);  // wakes watchers, and waits for nothing
    }
  }
  for (const StoreHealth::Told& one : told) Say(one);
}

void HealthWatch::LookUntilStopped() {
  while (true) {
    Look();
    base::LogDueSums();
    std::unique_lock<std::mutex> lock(mu_);
    if (stopped_.wait_until(lock, std::chrono::steady_clock::now() + kBetweenLooks,
                            [this] { return stopping_; })) {
      return;
    }
  }
}

std::vector<prometheus::MetricFamily> HealthWatch::Metrics() const {
  const std::vector<DiskWorkUnderWay> under_way = work_.UnderWay();
  const base::BootTime now = clock_->Now();
  std::map<DiskJobKind, absl::Duration> longest;
  for (const DiskWorkUnderWay& piece : under_way) {
    absl::Duration& found = longest[piece.job->kind];
    found = std::max(found, now - piece.since);
  }
  bool healthy = false;
  {
    std::lock_guard<std::mutex> lock(mu_);
    healthy = judge_.ready();
  }
  std::vector<prometheus::MetricFamily> families;
  net::MetricPage page(&families);
  page.Gauge("tollgate_store_healthy",
             "1 while the store's disks answer in time and nothing of it was found damaged",
             healthy ? 1 : 0);
  page.Family("tollgate_disk_wait_seconds",
              "For how long the oldest work on the store's disks that is under way has waited",
              prometheus::MetricType::Gauge);
  const std::pair<DiskJobKind, const char*> kinds[] = {
      {DiskJobKind::kWrite, "write"}, {DiskJobKind::kRead, "read"}, {DiskJobKind::kLong, "long"}};
  for (const auto& [kind, name] : kinds) {
    page.Value(absl::ToDoubleSeconds(longest[kind]), {{"work", name}});
  }
  return families;
}

std::string HealthWatch::LongestWait() const {
  const base::BootTime now = clock_->Now();
  DiskWorkUnderWay oldest;
  for (const DiskWorkUnderWay& piece : work_.UnderWay()) {
    if (oldest.job == nullptr || piece.since < oldest.since) oldest = piece;
  }
  if (oldest.job == nullptr || now - oldest.since < absl::Seconds(1)) return "";
  return absl::StrCat(oldest.job->doing, " in ", oldest.job->place, " for ",
                      absl::FormatDuration(absl::Trunc(now - oldest.since, absl::Seconds(1))));
}

}  // namespace tollgate::service
