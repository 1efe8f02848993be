#include "cli/commands/clock.h"

#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/human.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::Clock;
using tollgate::v1::OperationsService;

struct AcceptOptions {
  std::string time;
};

bool InDoubt(const Clock& clock) { return clock.doubt() != tollgate::v1::CLOCK_DOUBT_UNSPECIFIED; }

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

std::string EdgesText(const Clock& clock) {
  if (clock.edge_count() == 0) return "none tells what its clock says";
  const absl::Duration largest = base::FromProto(clock.largest_edge_difference());
  return absl::StrCat(
      clock.agreeing_edge_count(), " of ", clock.edge_count(), " agree with the wall clock",
      clock.has_largest_edge_difference()
          ? absl::StrCat(
                " (largest difference ",
                largest < absl::Minutes(1) ? HumanElapsed(largest) : HumanDuration(largest), ")")
          : "");
}

absl::Status Fetch(Context& context, Clock* clock) {
  return context.Ask(&OperationsService::Stub::GetClock, tollgate::v1::GetClockRequest(), clock);
}

absl::Status Status(Context& context) {
  Clock clock;
  RETURN_IF_ERROR(Fetch(context, &clock));
  if (context.settings().json()) return context.ShowJson(clock);
  if (context.settings().quiet) {
    context.out() << (InDoubt(clock) ? "in doubt" : "trusted") << '\n';
  } else {
    context.out() << ClockText(clock);
  }
  return absl::OkStatus();
}

absl::Status Accept(Context& context, const AcceptOptions& options) {
  tollgate::v1::AcceptClockRequest request;
  if (!options.time.empty()) {
    ASSIGN_OR_RETURN(const absl::Time time, ParseHumanTime(options.time));
    *request.mutable_wall_time() = base::ToProto(time);
  } else {
    Clock clock;
    RETURN_IF_ERROR(Fetch(context, &clock));
    *request.mutable_wall_time() = clock.wall_time();
    if (InDoubt(clock)) {  // else the service says that there is nothing to accept
      const std::string wall = TimeText(base::FromProto(clock.wall_time()));
      if (!context.terminal().in_is_terminal) {
        return absl::InvalidArgumentError(
            absl::StrCat("Nobody is there to look at it: name the time that is accepted, as in "
                         "--time 2027-02-22T14:03:00Z. The service's wall clock says ",
                         wall));
      }
      context.err() << ClockText(clock) << '\n';
      ASSIGN_OR_RETURN(
          const bool sure,
          context.Confirm(
              absl::StrCat("Is it ", wall, "? What has ended by that time ends, for good."),
              /*yes=*/false));
      if (!sure) {
        context.exit_code = kAborted;
        return absl::OkStatus();
      }
    }
  }
  tollgate::v1::AcceptClockResponse response;
  RETURN_IF_ERROR(context.Ask(&OperationsService::Stub::AcceptClock, request, &response));
  if (context.settings().json()) return context.ShowJson(response);
  if (!context.settings().quiet) {
    context.out() << "accepted     " << TimeText(base::FromProto(response.clock().service_time()))
                  << " is the service's time   revision " << response.revision() << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

std::string ClockText(const Clock& clock) {
  const absl::Time service = base::FromProto(clock.service_time());
  const absl::Time wall = base::FromProto(clock.wall_time());
  std::string text;
  if (InDoubt(clock)) {
    absl::StrAppend(&text, "clock        in doubt for ",
                    HumanDuration(base::FromProto(clock.doubted_for())), ": ", clock.explanation(),
                    "\n");
  } else {
    absl::StrAppend(&text, "clock        trusted\n");
  }
  const absl::Duration ahead = wall - service;
  absl::StrAppend(&text, "service time ", TimeText(service),
                  "   what expiry, lists, edges and the audit log go by\n");
  absl::StrAppend(&text, "wall clock   ", TimeText(wall));
  if (absl::AbsDuration(ahead) >= absl::Seconds(1)) {
    absl::StrAppend(&text, "   ", HumanDuration(absl::AbsDuration(ahead)),
                    ahead > absl::ZeroDuration() ? " ahead" : " behind");
  }
  absl::StrAppend(&text, "\nkernel       ",
                  clock.kernel_synchronised() ? "synchronised" : "does not call it synchronised",
                  "\nedges        ", EdgesText(clock), "\n");
  if (InDoubt(clock)) {
    absl::StrAppend(&text,
                    "\nMeanwhile nothing is given an end that is reckoned from now, as a lifetime "
                    "is, and nothing ends early; revoking works.\n"
                    "It ends by itself once the kernel's clock is synchronised, or most edges "
                    "(two at least) agree.\n"
                    "If the wall clock is right:  tollgate clock accept\n");
  }
  return text;
}

std::string ClockLine(const Clock& clock) {
  if (!InDoubt(clock)) return absl::StrCat("trusted; edges: ", EdgesText(clock));
  return absl::StrCat("IN DOUBT for ", HumanDuration(base::FromProto(clock.doubted_for())), ": ",
                      clock.explanation(), "   tollgate clock status");
}

void AddClockCommands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("clock", "What time the service goes by");
  noun->require_subcommand(1);
  noun->add_subcommand("status", "Whether the service trusts its machine's clock, and why not")
      ->callback([&context] { context.Fail(Status(context)); });
  auto options = std::make_shared<AcceptOptions>();
  CLI::App* verb = noun->add_subcommand(
      "accept", "End a doubt: the wall clock of the service's machine is right");
  verb->add_option("--time", options->time,
                   "What that clock says, to within 5 minutes, as in 2027-02-22T14:03:00Z; at a "
                   "terminal you are shown it and asked");
  verb->callback([&context, options] { context.Fail(Accept(context, *options)); });
}

}  // namespace tollgate::cli
