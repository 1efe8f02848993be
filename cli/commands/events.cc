#include "cli/commands/events.h"

#include <memory>
#include <ostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::OperationsService;

struct WatchOptions {
  std::string workspace;
  int64_t after = 0;
  int64_t count = 0;
};

std::string EventText(const tollgate::v1::Event& event) {
  switch (event.subject_case()) {
    case tollgate::v1::Event::kTokenChanged:
      return absl::StrCat("token changed   ", "workspaces/", event.token_changed().workspace(),
                          "/tokens/", event.token_changed().token_id());
    case tollgate::v1::Event::kTokenCreated:
      return absl::StrCat("token created   ", "workspaces/", event.token_created().workspace(),
                          "/tokens/", event.token_created().token_id());
    case tollgate::v1::Event::kCohortRevoked:
      return absl::StrCat("cohort revoked  workspaces/", event.cohort_revoked().workspace(),
                          event.cohort_revoked().owner().empty()
                              ? ""
                              : absl::StrCat("  owner ", event.cohort_revoked().owner()));
    case tollgate::v1::Event::kWorkspaceChanged:
      return absl::StrCat("edges told anew ", "workspaces/", event.workspace_changed().workspace());
    default:
      return "an event of a kind that this version does not know";
  }
}

// Shows events as they come, until the stream ends or --count of them were shown.
absl::Status Show(Context& context, const WatchOptions& options, grpc::ClientContext& call,
                  grpc::ClientReader<tollgate::v1::RevisionEvents>& reader) {
  tollgate::v1::RevisionEvents revision;
  int64_t seen = 0;
  absl::Status shown;
  while (reader.Read(&revision)) {
    if (context.settings().json()) {
      shown = context.ShowJsonLine(revision);
    } else {
      for (const tollgate::v1::Event& event : revision.events()) {
        context.out() << revision.revision() << "  " << SafeForTerminal(EventText(event)) << '\n'
                      << std::flush;
      }
    }
    if (!shown.ok() || (options.count > 0 && ++seen >= options.count)) {
      call.TryCancel();
      reader.Finish();
      return shown;
    }
  }
  return context.Explain(reader.Finish(), absl::InfiniteDuration());
}

absl::Status Watch(Context& context, const WatchOptions& options) {
  tollgate::v1::WatchEventsRequest request;
  request.set_after_revision(options.after);
  if (!options.workspace.empty()) {
    ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(options.workspace));
  }
  Interrupt interrupt;  // before the channel: see there
  ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, context.ServiceChannel());
  std::unique_ptr<OperationsService::Stub> stub = OperationsService::NewStub(channel);
  grpc::ClientContext call;  // no deadline: a person watches until Ctrl-C
  std::unique_ptr<grpc::ClientReader<tollgate::v1::RevisionEvents>> reader =
      stub->WatchEvents(&call, request);
  absl::Status ended;
  // This thread writes, while the caller's waits for a signal.
  std::thread reading([&] {
    ended = Show(context, options, call, *reader);
    interrupt.Notify();
  });
  const bool stopped = interrupt.Wait(absl::InfiniteDuration()) == Interrupt::Woken::kInterrupted;
  if (stopped) call.TryCancel();
  reading.join();
  return stopped ? absl::OkStatus() : ended;
}

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
  CLI::App* noun = app.add_subcommand("events", "Watch what validators are told");
  noun->require_subcommand(1);
  {
    auto options = std::make_shared<WatchOptions>();
    CLI::App* verb = noun->add_subcommand("watch", "Show events as they happen, until Ctrl-C");
    verb->add_option("-w,--workspace", options->workspace, "Only this workspace's");
    verb->add_option("--after", options->after,
                     "Begin after this revision; 0: with what happens next")
        ->check(CLI::NonNegativeNumber);
    verb->add_option("--count", options->count, "End after so many revisions; 0: never")
        ->check(CLI::NonNegativeNumber);
    verb->callback([&context, options] { context.Fail(Watch(context, *options)); });
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
