#include "service/clock/service_clock.h"

#include <algorithm>

#include "base/proto_time.h"
#include "base/status.h"
#include "service/clock/clock_command.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

using tollgate::store::v1::HeadRecord;

constexpr absl::Duration kOneMoment = absl::Milliseconds(10);
constexpr int kTries = 4;

}  // namespace

absl::StatusOr<absl::optional<ServiceTime::Stored>> ReadStoredTime(const storage::View& view) {
  ASSIGN_OR_RETURN(const absl::optional<HeadRecord> head,
                   storage::GetRecord<HeadRecord>(view, storage::Table::kMeta, storage::kHeadKey));
  if (!head.has_value() || head->time_us() == 0) return absl::optional<ServiceTime::Stored>();
  ServiceTime::Stored stored;
  stored.time = absl::FromUnixMicros(head->time_us());
  stored.boot_id = head->boot_id();
  // No boot clock was there yet, or gets that far, where a damaged disk says so.
  stored.boot = std::clamp(base::BootTime() + absl::Microseconds(head->boot_time_us()),
                           base::BootTime(), base::BootTime::InfiniteFuture());
  stored.in_doubt = head->clock_in_doubt();
  return absl::optional<ServiceTime::Stored>(stored);
}

ServiceClock::ServiceClock(const Options& options,
                           const absl::optional<ServiceTime::Stored>& stored)
    : ServiceClock(options, stored, ReadBoth(*options.machine)) {}

ServiceClock::ServiceClock(const Options& options,
                           const absl::optional<ServiceTime::Stored>& stored,
                           const ClockReading& now)
    : options_(options),
      boot_id_(options.kernel->BootId()),
      state_(options.time, stored, boot_id_, now) {
  absl::MutexLock lock(&mu_);
  if (state_.in_doubt()) state_.OnKernel(now, options_.kernel->Synchronised());
}

ClockReading ServiceClock::ReadBoth(const base::Clock& machine) {
  ClockReading reading;
  for (int i = 0; i < kTries; ++i) {
    reading.boot = machine.Now();
    reading.wall = machine.WallNow();
    if (machine.Now() - reading.boot < kOneMoment) break;
  }
  return reading;
}

absl::Time ServiceClock::ReadLocked(const ClockReading& now) const {
  const bool before = state_.in_doubt();
  const absl::Time time = state_.Read(now);
  if (before || !state_.in_doubt()) return time;
  // It has just been set: by a time daemon that knows it right, or else.
  state_.OnKernel(now, options_.kernel->Synchronised());
  return state_.Read(now);
}

absl::Time ServiceClock::ServiceNow() const {
  absl::MutexLock lock(&mu_);
  return ReadLocked(ReadBoth());
}

storage::BatchTime ServiceClock::Batch() const {
  storage::BatchTime batch;
  absl::MutexLock lock(&mu_);
  const ClockReading now = ReadBoth();
  batch.now = ReadLocked(now);
  batch.in_doubt = state_.in_doubt();
  batch.boot_id = boot_id_;
  batch.boot = now.boot;
  batch.jumped_to = state_.jumped_to();
  return batch;
}

void ServiceClock::OnEdgeTime(absl::string_view validator_id, absl::Time wall) {
  absl::MutexLock lock(&mu_);
  state_.OnEdge(validator_id, wall, options_.machine->Now());
}

std::vector<ClockChange> ServiceClock::Watch() {
  absl::MutexLock lock(&mu_);
  const ClockReading now = ReadBoth();
  ReadLocked(now);
  state_.JudgeEdges(now);
  if (state_.in_doubt()) state_.OnKernel(now, options_.kernel->Synchronised());
  return state_.TakeChanges();
}

absl::Status ServiceClock::CheckAccept(absl::Time wall) const {
  absl::MutexLock lock(&mu_);
  const ClockReading now = ReadBoth();
  ReadLocked(now);
  return state_.Accept(now, wall, /*apply=*/false);
}

absl::Status ServiceClock::Accept(absl::Time wall) {
  absl::MutexLock lock(&mu_);
  const ClockReading now = ReadBoth();
  ReadLocked(now);
  return state_.Accept(now, wall, /*apply=*/true);
}

tollgate::v1::Clock ServiceClock::Describe() const {
  tollgate::v1::Clock clock;
  absl::MutexLock lock(&mu_);
  const ClockReading now = ReadBoth();
  const absl::Time time = ReadLocked(now);
  *clock.mutable_service_time() = base::ToProto(time);
  *clock.mutable_wall_time() = base::ToProto(now.wall);
  clock.set_doubt(state_.doubt());
  clock.set_explanation(ExplainDoubt(state_.doubt(), now.wall, time));
  if (state_.in_doubt()) *clock.mutable_doubted_for() = base::ToProto(now.boot - state_.since());
  const absl::optional<absl::Time> synchronised = options_.kernel->Synchronised();
  clock.set_kernel_synchronised(synchronised.has_value() &&
                                absl::AbsDuration(*synchronised - now.wall) <=
                                    options_.time.kernel_bound);
  const ServiceTime::Edges edges = state_.WeighEdges(now);
  clock.set_edge_count(static_cast<int>(edges.told));
  clock.set_agreeing_edge_count(static_cast<int>(edges.agree));
  if (edges.largest_difference.has_value()) {
    *clock.mutable_largest_edge_difference() = base::ToProto(*edges.largest_difference);
  }
  return clock;
}

}  // namespace tollgate::service
