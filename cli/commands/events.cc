#include "cli/commands/events.h"

#include <memory>
#include <ostream>

#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/enforcement_wait.h"
#include "cli/commands/events_watch.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::OperationsService;

struct EventsWaitOptions {
  int64_t revision = 0;
  std::string epoch;
  std::string timeout = "60s";
  bool holds = false;
};

absl::Status Wait(Context& context, const EventsWaitOptions& options) {
  WaitGoal goal;
  goal.revision = options.revision;
  goal.epoch = options.epoch;
  goal.holds = options.holds;
  ASSIGN_OR_RETURN(goal.at_most, ParseHumanDuration(options.timeout));
  goal.started = context.now();
  goal.patient = false;  // who asks for a revision wants to know that nobody answers
  tollgate::v1::Receipt receipt;
  Interrupt interrupt;
  absl::Status failure;
  const WaitEnd end = WaitForEnforcement(context, interrupt, goal, &receipt, &failure);
  RETURN_IF_ERROR(failure);
  if (context.settings().json()) RETURN_IF_ERROR(context.ShowJson(receipt));
  if (end != WaitEnd::kDone) context.exit_code = kNotYetEnforced;
  if (end == WaitEnd::kInterrupted) {
    const std::string told = absl::StrCat(
        "Not waited for any longer; enforcement goes on. Ask again: tollgate events wait ",
        options.holds ? "--holds " : "", options.revision,
        receipt.epoch().empty() ? "" : " --epoch ", SafeForTerminal(receipt.epoch()));
    if (context.settings().json()) {
      context.Say(base::Refuse(absl::StatusCode::kCancelled, "WAIT_INTERRUPTED", told));
    } else {
      context.err() << told << '\n';
    }
  }
  return absl::OkStatus();
}

}  // namespace

void AddEventsCommands(CLI::App& app, Context& context) {
  CLI::App* noun =
      app.add_subcommand("events", "Watch what happens to tokens, and wait until it is enforced");
  noun->require_subcommand(1);
  {
    auto options = std::make_shared<EventsWatched>();
    CLI::App* verb = noun->add_subcommand(
        "watch",
        "Show what happens to tokens as it does, until Ctrl-C; waits for a service that is away");
    verb->add_option("-w,--workspace", options->workspace, "Only this workspace's");
    verb->add_option("--after", options->after,
                     "Begin after this revision; 0: with what happens next")
        ->check(CLI::NonNegativeNumber);
    verb->add_option("--count", options->count, "End after so many revisions; 0: never")
        ->check(CLI::NonNegativeNumber);
    verb->callback([&context, options] { context.Fail(WatchEvents(context, *options)); });
  }
  auto options = std::make_shared<EventsWaitOptions>();
  CLI::App* verb = noun->add_subcommand("wait", "Wait until a revision is enforced at every edge");
  verb->add_option("revision", options->revision, "The revision")->required();
  verb->add_option("--epoch", options->epoch,
                   "The epoch it was given in, as a receipt tells it; default: the present one. A "
                   "restore begins another, whose revisions are not these");
  verb->add_option("--timeout", options->timeout, "At most this long")->capture_default_str();
  verb->add_flag("--holds", options->holds,
                 "Also until nothing is open any more that the revision ended");
  verb->callback([&context, options] { context.Fail(Wait(context, *options)); });
}

}  // namespace tollgate::cli
