// What the audit log is told of the clock.
#ifndef TOLLGATE_SERVICE_CLOCK_CLOCK_COMMAND_H_
#define TOLLGATE_SERVICE_CLOCK_CLOCK_COMMAND_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "service/clock/service_time.h"
#include "storage/command.h"

namespace tollgate::service {

// A doubt about the wall clock began (`clock.doubt`) or ended (`clock.trust`). Written also so that
// the store knows before a crash: a start on the same store goes on from there.
class NoteClock : public storage::Command {
 public:
  explicit NoteClock(const ClockChange& change) : change_(change) {}
  absl::string_view name() const override { return "note_clock"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

 private:
  const ClockChange change_;
};

// An operator says that the wall clock, which shows `wall`, is to be trusted (`clock.accept`). What
// comes of it is noted by NoteClock.
class NoteClockAccepted : public storage::Command {
 public:
  NoteClockAccepted(std::string actor, std::string origin, absl::Time wall)
      : actor_(std::move(actor)), origin_(std::move(origin)), wall_(wall) {}
  absl::string_view name() const override { return "accept_clock"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;

 private:
  const std::string actor_;
  const std::string origin_;
  const absl::Time wall_;
};

// Keeps the time of the store's head young, so that a start can compare its wall clock with it
// though nothing has been changed for long. Changes nothing else.
class MarkTime : public storage::Command {
 public:
  absl::string_view name() const override { return "mark_time"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override;
};

// Why the clock is in doubt, in words, as of a reading: "the wall clock was set …". Empty where it
// is not.
std::string ExplainDoubt(tollgate::v1::ClockDoubt doubt, absl::Time wall, absl::Time service_time);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_CLOCK_CLOCK_COMMAND_H_
