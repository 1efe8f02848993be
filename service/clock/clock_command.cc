#include "service/clock/clock_command.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "service/records/change.h"
#include "service/records/field_time.h"
#include "storage/schema.h"

namespace tollgate::service {

using tollgate::store::v1::AuditRecord;
using tollgate::store::v1::MetaRecord;
using tollgate::v1::ClockDoubt;

namespace {

std::string ForLog(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

// "2 days behind", "40 s ahead of".
std::string Apart(absl::Time wall, absl::Time service_time) {
  return wall < service_time ? absl::StrCat(RoughDuration(service_time - wall), " behind")
                             : absl::StrCat(RoughDuration(wall - service_time), " ahead of");
}

}  // namespace

absl::Status NoteClock::Run(const storage::View&, const storage::Slot&, storage::Effects& effects) {
  AuditRecord entry;
  entry.set_actor(kServiceActor);
  entry.set_action(change_.in_doubt ? "clock.doubt" : "clock.trust");
  auto& details = *entry.mutable_details();
  details["wall_time"] = ForLog(change_.wall);
  if (change_.in_doubt) {
    details["service_time"] = ForLog(change_.to);
    entry.set_reason(ExplainDoubt(change_.doubt, change_.wall, change_.to));
  } else {
    details["service_time_before"] = ForLog(change_.from);
    details["service_time"] = ForLog(change_.to);
    entry.set_reason(std::string(ClockTrustName(change_.trust)));
  }
  effects.Audit(std::move(entry));
  return absl::OkStatus();
}

absl::Status NoteClockAccepted::Run(const storage::View&, const storage::Slot& slot,
                                    storage::Effects& effects) {
  AuditRecord entry;
  entry.set_actor(actor_);
  entry.set_origin(origin_);
  entry.set_action("clock.accept");
  (*entry.mutable_details())["wall_time"] = ForLog(wall_);
  (*entry.mutable_details())["service_time"] = ForLog(slot.now);
  effects.Audit(std::move(entry));
  return absl::OkStatus();
}

absl::Status MarkTime::Run(const storage::View& view, const storage::Slot&,
                           storage::Effects& effects) {
  // It has to put something for there to be a commit, whose head record has the time.
  ASSIGN_OR_RETURN(const auto meta,
                   storage::GetRecord<MetaRecord>(view, storage::Table::kMeta, storage::kMetaKey));
  if (!meta.has_value()) return absl::DataLossError("the store has no meta record");
  effects.Put(storage::Table::kMeta, storage::kMetaKey, *meta);
  return absl::OkStatus();
}

std::string ExplainDoubt(ClockDoubt doubt, absl::Time wall, absl::Time service_time) {
  const std::string apart = Apart(wall, service_time);
  switch (doubt) {
    case tollgate::v1::CLOCK_DOUBT_STEPPED:
      return absl::StrCat(
          "the wall clock was set, or its machine was resumed from a snapshot: it is ", apart,
          " the service's time");
    case tollgate::v1::CLOCK_DOUBT_BEHIND_STORE:
      return absl::StrCat("at the start the wall clock was behind the store's last commit: it is ",
                          apart, " the service's time");
    case tollgate::v1::CLOCK_DOUBT_AHEAD_OF_STORE:
      return absl::StrCat(
          "at the start the wall clock was further ahead of the store's last commit than a service "
          "is off for (--longest-off): it is ",
          apart, " the service's time");
    case tollgate::v1::CLOCK_DOUBT_SINCE_BEFORE_START:
      return absl::StrCat(
          "the wall clock was in doubt before the machine was booted, and is still: it is ", apart,
          " the service's time");
    case tollgate::v1::CLOCK_DOUBT_EDGES_DISAGREE:
      return "the wall clocks of most edges contradict this machine's";
    default:
      return "";
  }
}

}  // namespace tollgate::service
