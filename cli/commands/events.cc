#include "cli/commands/events.h"

#include <memory>
#include <ostream>

#include "base/proto_time.h"
#include "base/status.h"
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
  tollgate::v1::WaitEnforcedRequest request;
  request.set_revision(options.revision);
  request.set_epoch(options.epoch);
  ASSIGN_OR_RETURN(const absl::Duration timeout, ParseHumanDuration(options.timeout));
  *request.mutable_timeout() = base::ToProto(timeout);
  request.set_holds(options.holds);
  tollgate::v1::Receipt receipt;
  const absl::Time started = context.now();
  RETURN_IF_ERROR(context.Ask(&OperationsService::Stub::WaitEnforced, request, &receipt, timeout));
  const bool enforced = receipt.state() == tollgate::v1::ENFORCEMENT_STATE_ENFORCED;
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(receipt));
  } else {
    context.out() << ReceiptText(receipt, context.now() - started);
    context.out() << (enforced ? HoldsText(receipt) + LastAdmitText(receipt)
                               : WaitingText(receipt));
  }
  const bool open = options.holds && receipt.holds_open() > 0;
  if (!enforced || open) context.exit_code = kNotYetEnforced;
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
