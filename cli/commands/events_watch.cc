#include "cli/commands/events_watch.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "cli/interrupt.h"
#include "google/protobuf/struct.pb.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::Event;
using tollgate::v1::ListValidatorsRequest;
using tollgate::v1::ListValidatorsResponse;
using tollgate::v1::OperationsService;
using tollgate::v1::RevisionChange;
using tollgate::v1::RevisionEvents;
using tollgate::v1::WatchEventsRequest;

// Between two tries to reach a service that went away.
constexpr absl::Duration kFirstPause = absl::Milliseconds(200);
constexpr absl::Duration kLongestPause = absl::Seconds(5);

struct ActionWord {
  absl::string_view action;
  absl::string_view word;
};
constexpr ActionWord kActionWords[] = {
    {"token.create", "created"},
    {"token.update", "updated"},
    {"token.rotate", "rotated"},
    {"token.replan", "replanned"},
    {"token.cancel_rotation", "rotation cancelled"},
    {"token.retire", "retired"},
    {"token.suspend", "suspended"},
    {"token.resume", "resumed"},
    {"token.revoke", "revoked"},
    {"token.revoke_leaked", "revoked as leaked"},
    {"token.expire", "expired"},
    {"token.expire_unused", "expired unused"},
    {"cohort.revoke", "all revoked"},
    {"workspace.create", "workspace made"},
    {"workspace.update", "workspace renamed"},
    {"workspace.delete", "workspace deleted"},
    {"policy.update", "policy updated"},
};

std::string WordOf(absl::string_view action) {
  for (const ActionWord& word : kActionWords) {
    if (word.action == action) return std::string(word.word);
  }
  return std::string(action);
}

// A detail, safe; "" where there is none.
std::string Detail(const RevisionChange& change, const char* name) {
  const auto it = change.details().find(name);
  return it == change.details().end() ? "" : SafeForTerminal(it->second);
}

std::string ShortName(absl::string_view name) {
  const size_t slash = name.rfind('/');
  return std::string(slash == absl::string_view::npos ? name : name.substr(slash + 1));
}

std::string ChangeText(const RevisionChange& change) {
  std::string text =
      absl::StrFormat("%s  %-9s  %s",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", base::FromProto(change.time()),
                                       absl::UTCTimeZone()),
                      SafeForTerminal(WordOf(change.action())), SafeForTerminal(change.resource()));
  if (!change.label().empty()) {
    absl::StrAppend(&text, "  \"", SafeForTerminal(change.label()), "\"");
  }
  if (change.action() == "cohort.revoke") {
    const std::string owner = Detail(change, "owner");
    if (!owner.empty()) absl::StrAppend(&text, "  owner ", owner);
    const std::string count = Detail(change, "token_count");
    if (!count.empty()) absl::StrAppend(&text, ", ", count, count == "1" ? " token" : " tokens");
  }
  const std::string replaced_by = Detail(change, "replaced_by");
  if (!replaced_by.empty()) absl::StrAppend(&text, "  replaced by ", ShortName(replaced_by));
  const std::string fields = Detail(change, "fields");
  if (!fields.empty()) absl::StrAppend(&text, "  ", fields);
  absl::StrAppend(&text, "  by ", SafeForTerminal(change.actor()));
  if (!change.reason().empty()) absl::StrAppend(&text, ": ", SafeForTerminal(change.reason()));
  return text;
}

// What a service tells that says no more than its validators are told.
std::string EventText(const Event& event) {
  switch (event.subject_case()) {
    case Event::kTokenChanged:
      return absl::StrCat("token changed   ", "workspaces/", event.token_changed().workspace(),
                          "/tokens/", event.token_changed().token_id());
    case Event::kTokenCreated:
      return absl::StrCat("token created   ", "workspaces/", event.token_created().workspace(),
                          "/tokens/", event.token_created().token_id());
    case Event::kCohortRevoked:
      return absl::StrCat("cohort revoked  workspaces/", event.cohort_revoked().workspace(),
                          event.cohort_revoked().owner().empty()
                              ? ""
                              : absl::StrCat("  owner ", event.cohort_revoked().owner()));
    case Event::kWorkspaceChanged:
      return absl::StrCat("edges told anew ", "workspaces/", event.workspace_changed().workspace());
    case Event::kAccessChanged:
      return "access changed  who may do what";
    default:
      return "an event of a kind that this version does not know";
  }
}

// The service refused, as it will again: another try is no use.
bool IsFinal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

// One run. Work() runs on a thread of its own, while the command's thread waits for a signal.
class Watcher {
 public:
  Watcher(Context& context, const EventsWatched& watched) : context_(context), watched_(watched) {}

  absl::Status Run() {
    if (!watched_.workspace.empty()) {
      ASSIGN_OR_RETURN(parent_, ParentFrom(watched_.workspace));
    }
    Interrupt interrupt;
    ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, context_.ServiceChannel());
    stub_ = OperationsService::NewStub(channel);
    absl::Status ended;
    std::thread working([&] {
      ended = Work();
      interrupt.Notify();
    });
    const bool interrupted =
        interrupt.Wait(absl::InfiniteDuration()) == Interrupt::Woken::kInterrupted;
    if (interrupted) Stop();
    working.join();
    return interrupted ? absl::OkStatus() : ended;
  }

 private:
  absl::Status Work() {
    absl::Duration pause = kFirstPause;
    int64_t seen = 0;
    while (true) {
      absl::Status status = FindPlace();
      if (status.ok()) {
        status = Follow();
        if (status.ok()) return status;  // so many were asked for
      }
      if (stopped()) return absl::OkStatus();
      if (output_failed_) return status;
      if (!reached_ || IsFinal(status)) return status;
      const std::string reason = base::ReasonOf(status);
      if (reason == "COMPACTED" || reason == "REVISION_FROM_THE_FUTURE") {
        // Asked for by --after, it is refused: a script must not take what follows for all.
        if (!shown_or_found_) return status;
        lost_ = true;
      } else if (reason != "OTHER_EPOCH" && !std::exchange(away_, true)) {
        Remark(absl::StrCat("the service is away, and is waited for: ",
                            absl::StripPrefix(status.message(), "refused: ")));
      }
      if (std::exchange(seen, shown_) != shown_) pause = kFirstPause;
      if (Sleep(pause)) return absl::OkStatus();
      pause = std::min(2 * pause, kLongestPause);
    }
  }

  // Asks where the service is, and so which revision to begin after: the last one shown, or, at
  // first and where there is no way on from that, the head.
  absl::Status FindPlace() {
    ListValidatorsRequest request;
    request.set_page_size(1);
    ListValidatorsResponse place;
    RETURN_IF_ERROR(context_.Call([&](grpc::ClientContext* call) {
      if (!Begin(call)) return grpc::Status::CANCELLED;
      const grpc::Status status = stub_->ListValidators(call, request, &place);
      End();
      return status;
    }));
    const int64_t head = place.head_revision();
    if (std::exchange(away_, false)) Remark("the service is back");
    if (!reached_) {
      reached_ = true;
      after_ = watched_.after;
      shown_or_found_ = watched_.after == 0;
      if (after_ == 0) after_ = head;
    } else if (place.epoch() != epoch_) {
      Remark(absl::StrCat(
          "the store was restored from a backup, or given a new epoch, after "
          "revision ",
          after_, ": what happened until revision ", head, " of the new epoch is not shown"));
      after_ = head;
    } else if (lost_) {
      Remark(absl::StrCat("what happened after revision ", after_,
                          " is no longer kept as events; going on after revision ", head,
                          ". For what is between: tollgate audit list --from ", after_ + 1));
      after_ = head;
    }
    lost_ = false;
    epoch_ = place.epoch();
    return absl::OkStatus();
  }

  // Shows what comes. OK: as many as were asked for.
  absl::Status Follow() {
    WatchEventsRequest request;
    request.set_parent(parent_);
    request.set_after_revision(after_);
    request.set_epoch(epoch_);
    grpc::ClientContext call;  // no deadline: a person watches until Ctrl-C
    if (!Begin(&call)) return absl::CancelledError("interrupted");
    const std::unique_ptr<grpc::ClientReader<RevisionEvents>> reader =
        stub_->WatchEvents(&call, request);
    RevisionEvents revision;
    absl::Status shown;
    bool enough = false;
    while (!enough && shown.ok() && reader->Read(&revision)) {
      // Shown once, whatever is sent.
      if (revision.revision() <= after_) continue;
      shown = Show(revision);
      shown_or_found_ = true;
      if (revision.partial()) continue;  // the rest of it follows
      after_ = revision.revision();
      ++shown_;
      enough = watched_.count > 0 && shown_ >= watched_.count;
    }
    if (enough || !shown.ok()) call.TryCancel();
    const grpc::Status ended = reader->Finish();
    End();
    output_failed_ = !shown.ok();
    if (enough || output_failed_) return shown;
    // A stream ends for a reason only.
    if (ended.ok()) return absl::UnavailableError("the service ended the stream");
    return context_.Explain(ended, absl::InfiniteDuration());
  }

  absl::Status Show(const RevisionEvents& revision) {
    if (context_.settings().json()) {
      RETURN_IF_ERROR(context_.ShowJsonLine(revision));
    } else if (context_.settings().quiet) {
      context_.out() << revision.revision() << '\n' << std::flush;
    } else {
      context_.out() << RevisionText(revision) << std::flush;
    }
    // Whoever read it has gone (`| head`): nobody would see what is to come.
    if (!context_.raw_out().flush()) return absl::UnknownError("the output cannot be written");
    return absl::OkStatus();
  }

  void Remark(const std::string& words) {
    if (!context_.settings().json()) {
      context_.err() << "remark: " << SafeForTerminal(words) << '\n' << std::flush;
      return;
    }
    google::protobuf::Struct remark;
    (*remark.mutable_fields())["remark"].set_string_value(Redacted(words));
    (void)PrintJsonLine(remark, context_.err());  // text always has JSON
    context_.err() << std::flush;
  }

  // The call that Stop cancels. False: it has stopped already.
  bool Begin(grpc::ClientContext* call) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (stopped_) return false;
    call_ = call;
    return true;
  }
  void End() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    call_ = nullptr;
  }
  void Stop() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    if (call_ != nullptr) call_->TryCancel();
  }
  bool stopped() ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return stopped_;
  }
  // True: it was stopped meanwhile.
  bool Sleep(absl::Duration pause) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&stopped_), pause);
  }

  Context& context_;
  const EventsWatched& watched_;
  std::string parent_;
  std::unique_ptr<OperationsService::Stub> stub_;
  bool reached_ = false;         // the service has answered once
  bool shown_or_found_ = false;  // after_ is a place of this run's own, not the caller's word
  bool away_ = false;            // told so, and not back since
  bool lost_ = false;            // there is no way on from after_
  bool output_failed_ = false;   // nobody reads any more
  int64_t after_ = 0;
  int64_t shown_ = 0;
  std::string epoch_;
  absl::Mutex mu_;
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

std::string RevisionText(const RevisionEvents& revision) {
  std::string text;
  const auto line = [&](absl::string_view words) {
    absl::StrAppend(&text, revision.revision(), "  ", words, "\n");
  };
  for (const RevisionChange& change : revision.changes()) line(ChangeText(change));
  if (revision.changes_left_out() > 0) {
    line(absl::StrCat("… and ", revision.changes_left_out(), " more: tollgate audit list --from ",
                      revision.revision()));
  }
  if (text.empty()) {
    for (const Event& event : revision.events()) line(SafeForTerminal(EventText(event)));
  }
  return text;
}

absl::Status WatchEvents(Context& context, const EventsWatched& watched) {
  return Watcher(context, watched).Run();
}

}  // namespace tollgate::cli
