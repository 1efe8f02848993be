#include "cli/commands/validators.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "cli/commands/validators_text.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "cli/interruptible_call.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::ListValidatorsRequest;
using tollgate::v1::ListValidatorsResponse;
using tollgate::v1::OperationsService;

struct ListOptions {
  bool problems = false;
  bool all = false;
  bool wide = false;
};

struct WatchOptions : ListOptions {
  std::string interval = "1s";
  int64_t count = 0;
};

ListValidatorsRequest RequestFor(const ListOptions& options) {
  ListValidatorsRequest request;
  request.set_page_size(5000);
  request.set_problems_only(options.problems);
  request.set_include_released(options.all);
  return request;
}

// Adds one page to the pages before; the counts of the newest page stand.
void AddPage(ListValidatorsResponse page, ListValidatorsResponse* fleet) {
  google::protobuf::RepeatedPtrField<tollgate::v1::ValidatorStatus> all;
  all.Swap(fleet->mutable_validators());
  for (tollgate::v1::ValidatorStatus& validator : *page.mutable_validators()) {
    all.Add()->Swap(&validator);
  }
  fleet->Swap(&page);
  fleet->mutable_validators()->Swap(&all);
}

FleetShown ShownFor(Context& context, const ListOptions& options) {
  FleetShown shown;
  shown.columns = context.screen().columns;
  shown.problems_only = options.problems;
  shown.wide = options.wide || context.settings().wide();
  return shown;
}

absl::Status List(Context& context, const ListOptions& options) {
  ListValidatorsRequest request = RequestFor(options);
  ListValidatorsResponse fleet;
  do {
    ListValidatorsResponse page;
    RETURN_IF_ERROR(context.Ask(&OperationsService::Stub::ListValidators, request, &page));
    request.set_page_token(page.next_page_token());
    AddPage(std::move(page), &fleet);
  } while (!request.page_token().empty());
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(fleet));
  } else if (context.settings().quiet) {
    for (const tollgate::v1::ValidatorStatus& validator : fleet.validators()) {
      context.out() << SafeForTerminal(validator.validator_id()) << '\n';
    }
  } else {
    std::vector<std::string> left_out;
    context.out() << FleetText(fleet, ShownFor(context, options), context.now(), &left_out);
    context.TellLeftOut(left_out);
  }
  return absl::OkStatus();
}

struct ForgetOptions {
  std::string validator;
  std::string instance;
};

absl::Status Forget(Context& context, const ForgetOptions& options) {
  tollgate::v1::ForgetValidatorRequest request;
  request.set_validator_id(options.validator);
  request.set_instance(options.instance);
  tollgate::v1::ForgetValidatorResponse response;
  RETURN_IF_ERROR(context.Ask(&OperationsService::Stub::ForgetValidator, request, &response));
  if (context.settings().json()) return context.ShowJson(response);
  if (!context.settings().quiet) {
    context.out() << "forgotten    " << SafeForTerminal(options.validator) << "   revision "
                  << response.revision() << '\n';
  }
  return absl::OkStatus();
}

class Watcher {
 public:
  Watcher(Context& context, const WatchOptions& options) : context_(context), options_(options) {}

  absl::Status Run() {
    ASSIGN_OR_RETURN(const absl::Duration interval, ParseHumanDuration(options_.interval));
    ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, context_.ServiceChannel());
    stub_ = OperationsService::NewStub(channel);
    bool reached = false;
    for (int64_t shown = 0;;) {
      ListValidatorsResponse fleet;
      absl::Status fetched = Fetch(&fleet);
      if (interrupted_) break;
      // A service that is away for a moment does not end the watch; a service that was never
      // reached does.
      if (!fetched.ok() && !reached) return fetched;
      reached = true;
      RETURN_IF_ERROR(Show(fetched, fleet));
      if (options_.count > 0 && ++shown >= options_.count) return fetched;
      if (interrupt_.Wait(interval) == Interrupt::Woken::kInterrupted) break;
    }
    return absl::OkStatus();
  }

 private:
  // All pages. A call under way is cancelled by Ctrl-C.
  absl::Status Fetch(ListValidatorsResponse* fleet) {
    ListValidatorsRequest request = RequestFor(options_);
    do {
      ListValidatorsResponse page;
      RETURN_IF_ERROR(context_.Call([&](grpc::ClientContext* call) {
        return AwaitCall(interrupt_, call, &interrupted_, [&](auto at_end) {
          stub_->async()->ListValidators(call, &request, &page, std::move(at_end));
        });
      }));
      request.set_page_token(page.next_page_token());
      AddPage(std::move(page), fleet);
    } while (!request.page_token().empty());
    return absl::OkStatus();
  }

  absl::Status Show(const absl::Status& fetched, const ListValidatorsResponse& fleet) {
    if (context_.settings().json()) {
      if (fetched.ok()) return context_.ShowJsonLine(fleet);
      context_.Say(fetched);
      return absl::OkStatus();
    }
    const bool in_place = context_.terminal().out_is_terminal;
    FleetShown shown = ShownFor(context_, options_);
    // One line is kept for the heading, one for the cursor, one for "and n more".
    if (in_place) shown.most_rows = std::max(ScreenLines(), 8) - 4;
    std::string frame = absl::StrCat(
        absl::FormatTime("%H:%M:%S UTC", context_.now(), absl::UTCTimeZone()), "  ",
        fetched.ok() ? FleetLine(fleet)
                     : absl::StrCat("no answer: ",
                                    Redacted(absl::StripPrefix(fetched.message(), "refused: "))),
        "\n");
    if (fetched.ok()) absl::StrAppend(&frame, FleetText(fleet, shown, context_.now()));
    if (!in_place) {
      context_.out() << frame << '\n' << std::flush;
      return absl::OkStatus();
    }
    // In place: the cursor goes home, and the rest of the frame before is cleared after this one,
    // so that nothing flickers. The output holds no other escape sequences.
    std::ostream& out = context_.raw_out();
    out << "\x1b[H";
    for (absl::string_view line : absl::StrSplit(absl::StripSuffix(frame, "\n"), '\n')) {
      out << SafeForTerminal(line) << "\x1b[K\n";
    }
    out << "\x1b[J" << std::flush;
    return absl::OkStatus();
  }

  static int ScreenLines() {
    winsize size{};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
  }

  Context& context_;
  const WatchOptions& options_;
  Interrupt interrupt_;
  bool interrupted_ = false;
  std::unique_ptr<OperationsService::Stub> stub_;
};

}  // namespace

void AddValidatorsCommands(CLI::App& app, Context& context) {
  CLI::App* noun =
      app.add_subcommand("validators", "Who decides at the edges, and how far behind each is");
  noun->require_subcommand(1);
  const auto add_options = [](CLI::App* verb, ListOptions* options) {
    verb->add_flag("--problems", options->problems, "Only those that somebody should look at");
    verb->add_flag("--all", options->all, "Also those that said goodbye");
    verb->add_flag("--wide", options->wide,
                   "Also instance, address, revision, lag, cache, holds and decisions a second");
  };
  {
    auto options = std::make_shared<ListOptions>();
    CLI::App* verb = noun->add_subcommand("list", "The fleet as it stands");
    add_options(verb, options.get());
    context.AlsoPrints(verb, {"wide"});
    verb->callback([&context, options] { context.Fail(List(context, *options)); });
  }
  {
    auto options = std::make_shared<ForgetOptions>();
    CLI::App* verb = noun->add_subcommand(
        "forget", "Forget a lapsed validator that does not come back: it is listed no longer");
    verb->add_option("validator", options->validator, "Its id")->required();
    verb->add_option("--instance", options->instance,
                     "Its instance, or how that begins, as the list shows it");
    verb->callback([&context, options] { context.Fail(Forget(context, *options)); });
  }
  auto options = std::make_shared<WatchOptions>();
  CLI::App* verb = noun->add_subcommand("watch", "The fleet, live, until Ctrl-C");
  add_options(verb, options.get());
  verb->add_option("--interval", options->interval, "Look so often")->capture_default_str();
  verb->add_option("--count", options->count, "End after so many looks; 0: never")
      ->check(CLI::NonNegativeNumber);
  verb->callback([&context, options] { context.Fail(Watcher(context, *options).Run()); });
}

}  // namespace tollgate::cli
