#include "cli/commands/enforcement_wait.h"

#include <algorithm>
#include <memory>
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "cli/interruptible_call.h"
#include "cli/live_lines.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::OperationsService;
using tollgate::v1::Receipt;

// The wait before the first line of progress: a healthy fleet needs only milliseconds, and then
// shows no progress.
constexpr absl::Duration kQuickWait = absl::Milliseconds(300);
// Between two lines of progress: written behind each other, or in place.
constexpr absl::Duration kStep = absl::Seconds(5);
constexpr absl::Duration kStepInPlace = absl::Seconds(1);
// Extra time for the answer to arrive after a wait has ended.
constexpr absl::Duration kAnswerGrace = absl::Seconds(2);
// The pause between two questions to a service that is away.
constexpr absl::Duration kBeforeAsking = absl::Milliseconds(200);

bool IsAway(const absl::Status& asked) {
  return absl::IsUnavailable(asked) || absl::IsDeadlineExceeded(asked) ||
         absl::IsCancelled(asked);  // what a server that stops does to a call in it
}

class Waiter {
 public:
  Waiter(Context& context, Interrupt& interrupt, const WaitGoal& goal)
      : context_(context), interrupt_(interrupt), goal_(goal), lines_(context) {}

  WaitEnd Run(Receipt* receipt, absl::Status* failure) {
    tollgate::v1::WaitEnforcedRequest request;
    request.set_revision(goal_.revision);
    request.set_epoch(goal_.epoch);
    request.set_token(goal_.token);
    const absl::Time deadline = goal_.started + goal_.at_most;
    absl::Duration step = std::min(kQuickWait, goal_.at_most);
    bool said_away = false;
    bool enforced = false;
    const auto ended = [&] {
      if (enforced) return WaitEnd::kHoldsOpen;
      return WaitEnd::kNotEnforced;
    };
    while (true) {
      *request.mutable_timeout() = base::ToProto(step);
      Receipt newest;
      *failure = Ask(request, step, &newest);
      const absl::Time now = context_.now();
      if (interrupted_) {
        lines_.Keep();
        *failure = absl::OkStatus();
        return WaitEnd::kInterrupted;
      }
      if (failure->ok()) {
        *receipt = std::move(newest);
        // A revision means something only with its epoch (R17): after a restore in between, this
        // number belongs to another change, and the service says so.
        if (request.epoch().empty()) request.set_epoch(receipt->epoch());
        const bool first = !enforced;
        enforced = receipt->state() == tollgate::v1::ENFORCEMENT_STATE_ENFORCED;
        const bool open = goal_.holds && receipt->holds_open() > 0;
        if (enforced && first) {
          lines_.Clear();
          Say(ReceiptText(*receipt, now - goal_.started));
        }
        if (enforced && !open) {
          lines_.Clear();
          Say(HoldsText(*receipt,
                        goal_.holds ? absl::make_optional(now - goal_.started) : absl::nullopt) +
              LastAdmitText(*receipt));
          return WaitEnd::kDone;
        }
        // The holds are waited for apart, so that the line before tells when it was enforced.
        if (!enforced) {
          Show(ReceiptText(*receipt, now - goal_.started) + WaitingText(*receipt));
        } else if (request.holds() || now >= deadline) {
          Show(HoldsText(*receipt, now - goal_.started));
        }
        if (enforced && !request.holds() && now < deadline) {
          request.set_holds(true);
          step = std::min(kQuickWait, deadline - now);
          continue;
        }
      } else if (!goal_.patient || !IsAway(*failure)) {
        break;
      } else if (now < deadline) {
        if (!said_away || lines_.in_place()) {
          Show("waiting      no answer from the service; asking again\n");
        }
        said_away = true;
        if (interrupt_.Wait(std::min(kBeforeAsking, deadline - now)) ==
            Interrupt::Woken::kInterrupted) {
          lines_.Keep();
          *failure = absl::OkStatus();
          return WaitEnd::kInterrupted;
        }
      }
      if (now >= deadline) break;
      // As long as the last lease may run, in steps short enough to show progress.
      step = std::min(deadline - now, lines_.in_place() ? kStepInPlace : kStep);
    }
    lines_.Keep();
    return ended();
  }

 private:
  bool talks() const { return !context_.settings().json() && !context_.settings().quiet; }
  void Say(const std::string& text) {
    if (talks()) context_.out() << text << std::flush;
  }
  void Show(const std::string& text) {
    if (talks()) lines_.Show(text);
  }

  // One question, which Ctrl-C cancels.
  absl::Status Ask(const tollgate::v1::WaitEnforcedRequest& request, absl::Duration step,
                   Receipt* newest) {
    ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, context_.AskedChannel());
    OperationsService::Stub stub(channel);
    CallOptions options;
    if (goal_.patient) {
      options.patience = step + kAnswerGrace;
    } else {
      options.extra = step;
    }
    return context_.Call(
        [&](grpc::ClientContext* call) {
          return AwaitCall(interrupt_, call, &interrupted_, [&](auto at_end) {
            stub.async()->WaitEnforced(call, &request, newest, std::move(at_end));
          });
        },
        options);
  }

  Context& context_;
  Interrupt& interrupt_;
  const WaitGoal& goal_;
  LiveLines lines_;
  bool interrupted_ = false;
};

}  // namespace

WaitEnd WaitForEnforcement(Context& context, Interrupt& interrupt, const WaitGoal& goal,
                           Receipt* receipt, absl::Status* failure) {
  return Waiter(context, interrupt, goal).Run(receipt, failure);
}

WaitEnd WaitAfterChange(Context& context, Interrupt& interrupt, const WaitGoal& goal,
                        absl::string_view done, Receipt* receipt) {
  absl::Status failure;
  const WaitEnd end = WaitForEnforcement(context, interrupt, goal, receipt, &failure);
  if (end == WaitEnd::kDone) return end;
  // A change that failed beside this one is the worse news.
  if (context.exit_code == kDone) context.exit_code = kNotYetEnforced;
  const std::string epoch = goal.epoch.empty() ? receipt->epoch() : goal.epoch;
  const std::string again =
      absl::StrCat("Ask again: tollgate events wait ", goal.holds ? "--holds " : "", goal.revision,
                   epoch.empty() ? "" : absl::StrCat(" --epoch ", SafeForTerminal(epoch)));
  std::string told;
  std::string reason = "NOT_YET_ENFORCED";
  if (end == WaitEnd::kHoldsOpen) {
    told = absl::StrCat("It is ", done,
                        ", and enforced; what it held open is not closed "
                        "everywhere. ",
                        again);
    reason = "HOLDS_STILL_OPEN";
  } else if (end == WaitEnd::kInterrupted) {
    told = absl::StrCat("Not waited for any longer. It stays ", done, ", in revision ",
                        goal.revision, "; enforcement goes on. ", again);
    reason = "WAIT_INTERRUPTED";
  } else if (base::ReasonOf(failure) == "OTHER_EPOCH") {
    told = absl::StrCat("It was ", done, ", in revision ", goal.revision, " of epoch ",
                        SafeForTerminal(epoch),
                        ", and the store was put back since: look whether it still is.");
  } else {
    told = absl::StrCat("It stays ", done, "; enforcement goes on. ", again);
  }
  if (!failure.ok()) {
    context.Say(WithAdvice(failure, told));
  } else if (context.settings().json()) {
    context.Say(base::Refuse(end == WaitEnd::kInterrupted ? absl::StatusCode::kCancelled
                                                          : absl::StatusCode::kDeadlineExceeded,
                             reason, told));
  } else {
    context.err() << told << '\n';
  }
  return end;
}

}  // namespace tollgate::cli
