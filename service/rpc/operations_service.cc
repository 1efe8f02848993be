#include "service/rpc/operations_service.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/invariant.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "base/version.h"
#include "service/clock/clock_command.h"
#include "service/reads/check_store.h"
#include "service/reads/read_audit.h"
#include "service/records/field_time.h"
#include "service/rpc/backup.h"
#include "service/rpc/enforced_wait.h"
#include "service/rpc/identify_caller.h"
#include "service/rpc/last_admits.h"
#include "service/rpc/validator_list.h"
#include "token/field_rules.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

using tollgate::v1::AcceptClockRequest;
using tollgate::v1::AcceptClockResponse;
using tollgate::v1::CheckStoreRequest;
using tollgate::v1::CheckStoreResponse;
using tollgate::v1::Clock;
using tollgate::v1::CreateBackupRequest;
using tollgate::v1::CreateBackupResponse;
using tollgate::v1::ForgetValidatorRequest;
using tollgate::v1::ForgetValidatorResponse;
using tollgate::v1::GetClockRequest;
using tollgate::v1::GetEnforcementRequest;
using tollgate::v1::GetStatusRequest;
using tollgate::v1::ListAuditEntriesRequest;
using tollgate::v1::ListAuditEntriesResponse;
using tollgate::v1::ListValidatorsRequest;
using tollgate::v1::ListValidatorsResponse;
using tollgate::v1::Receipt;
using tollgate::v1::ServiceStatus;
using tollgate::v1::WaitEnforcedRequest;
using tollgate::v1::WatchEventsRequest;

// Of the token, where no workspace is named: it is in one.
const std::string& AuditParent(const ListAuditEntriesRequest& request) {
  return request.parent().empty() ? request.filter().token() : request.parent();
}
const std::string& ForgottenValidator(const ForgetValidatorRequest& request) {
  return request.validator_id();
}
absl::Status CheckEpoch(const Hub& hub, int64_t revision, const std::string& epoch) {
  if (epoch.empty() || epoch == hub.epoch()) return absl::OkStatus();
  return base::Refuse(absl::StatusCode::kFailedPrecondition, "OTHER_EPOCH",
                      absl::StrCat("refused: revision ", revision, " is of epoch ", epoch,
                                   ", and the store is now at epoch ", hub.epoch(),
                                   ": it was restored from a backup since. Look at the audit log "
                                   "for what is still true."));
}

absl::Status CheckRevision(const Hub& hub, int64_t revision, const std::string& epoch) {
  if (revision <= 0) {
    return base::RefuseField("REVISION_REQUIRED", "revision",
                             "must be above 0: the one a change gave");
  }
  RETURN_IF_ERROR(CheckEpoch(hub, revision, epoch));
  if (revision > hub.head()) {
    return base::Refuse(absl::StatusCode::kOutOfRange, "REVISION_UNKNOWN",
                        absl::StrCat("refused: there is no revision ", revision,
                                     " yet; the head is ", hub.head(), "."));
  }
  return absl::OkStatus();
}

// The question of a request: a revision of this store, and the token that it changed, if named.
template <typename Request>
absl::StatusOr<ReceiptQuestion> QuestionOf(const Hub& hub,
                                           const TypedCall<Request, Receipt>& call) {
  const Request& request = call.request;
  RETURN_IF_ERROR(CheckRevision(hub, request.revision(), request.epoch()));
  ReceiptQuestion question;
  question.revision = request.revision();
  if (!request.token().empty()) {
    // A receipt tells of nobody's workspace; where a token was admitted last does.
    RETURN_IF_ERROR(call.MayAlso(Permission::kReadTokens, request.token()));
    ASSIGN_OR_RETURN(token::TokenName name, token::ParseTokenName(request.token(), "token"));
    question.workspace = std::move(name.workspace);
    question.token_id = std::move(name.token_id);
  }
  if constexpr (requires { request.holds(); }) question.holds = request.holds();
  return question;
}

// The fleet and the head that it follows, as they stand.
absl::StatusOr<ListValidatorsResponse> FleetNow(const RpcDeps& deps,
                                                const ListValidatorsRequest& request) {
  FleetHead head;
  head.enforced = deps.hub->enforced_revision();
  std::vector<SessionView> sessions = deps.hub->Sessions();
  head.head = deps.hub->head();
  head.epoch = deps.hub->epoch();
  head.now = deps.clock->ServiceNow();
  return ListFleet(std::move(sessions), request, head);
}

// How many of those that somebody should look at a status names.
constexpr int kNamedInStatus = 20;

constexpr size_t kLongestInstance = 32;
constexpr absl::Duration kLookAgain = absl::Milliseconds(5);

absl::Status Draining() {
  return base::RefuseForNow("DRAINING", "the service is shutting down; connect again",
                            absl::Seconds(1));
}

}  // namespace

OperationsService::OperationsService(const RpcDeps* deps, Options options)
    : deps_(deps),
      options_(std::move(options)),
      watch_metrics_(deps->metrics->Method("WatchEvents")),
      audit_{deps->metrics->Method("ListAuditEntries"), Permission::kReadAudit, &AuditParent},
      enforcement_{deps->metrics->Method("GetEnforcement"), Permission::kReadReceipts,
                   &NoResource<GetEnforcementRequest>},
      wait_{deps->metrics->Method("WaitEnforced"), Permission::kReadReceipts,
            &NoResource<WaitEnforcedRequest>},
      list_{deps->metrics->Method("ListValidators"), Permission::kReadOperations,
            &NoResource<ListValidatorsRequest>},
      backup_{deps->metrics->Method("CreateBackup"), Permission::kCreateBackup,
              &NoResource<CreateBackupRequest>},
      clock_{deps->metrics->Method("GetClock"), Permission::kReadOperations,
             &NoResource<GetClockRequest>},
      accept_{deps->metrics->Method("AcceptClock"), Permission::kAcceptClock,
              &NoResource<AcceptClockRequest>},
      check_{deps->metrics->Method("CheckStore"), Permission::kReadOperations,
             &NoResource<CheckStoreRequest>},
      status_{deps->metrics->Method("GetStatus"), Permission::kReadOperations,
              &NoResource<GetStatusRequest>},
      started_(deps->clock->Now()),
      forget_{deps->metrics->Method("ForgetValidator"), Permission::kForgetValidator,
              &ForgottenValidator},
      backups_(deps->scans, options_.max_waiting_backups) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* OperationsService::WatchEvents(Context* context,
                                                                           const Bytes* request) {
  absl::StatusOr<std::shared_ptr<WatchStream>> stream = OpenWatch(context, *request);
  watch_metrics_->Count(stream.status().code(), absl::ZeroDuration());
  if (!stream.ok()) return net::RefuseStream<grpc::ServerWriteReactor<Bytes>>(stream.status());
  return (*stream)->Start();
}

absl::StatusOr<std::shared_ptr<WatchStream>> OperationsService::OpenWatch(Context* context,
                                                                          const Bytes& bytes) {
  WatchEventsRequest request;
  RETURN_IF_ERROR(ParseRequest(bytes, &request));
  ASSIGN_OR_RETURN(const Identity caller, IdentifyCaller(*deps_, *context));
  const auto may = [deps = deps_, caller, parent = request.parent()] {
    return MayCaller(*deps, caller, Permission::kWatchEvents, parent);
  };
  RETURN_IF_ERROR(may());
  WatchStream::Options options;
  options.may_watch = may;
  options.as_it_is = [deps = deps_, caller] {
    return !MayCaller(*deps, caller, Permission::kWatchEvents, "").ok();
  };
  options.tells_of_service = [deps = deps_, caller] {
    return MayCaller(*deps, caller, Permission::kReadAudit, "").ok();
  };
  if (!request.parent().empty()) {
    ASSIGN_OR_RETURN(options.workspace, token::ParseWorkspaceName(request.parent(), "parent"));
  }
  if (request.after_revision() < 0) {
    return base::RefuseField("REVISION_NEGATIVE", "after_revision",
                             "is below 0; leave it at 0 to begin with what happens next");
  }
  options.max_queued = static_cast<size_t>(options_.max_queued);
  RETURN_IF_ERROR(CheckEpoch(*deps_->hub, request.after_revision(), request.epoch()));
  options.executor = deps_->reads;
  options.engine = deps_->engine;
  options.epoch = deps_->hub->epoch();
  std::shared_ptr<WatchStream> stream;
  {
    absl::MutexLock lock(&mu_);
    if (draining_) return Draining();
    if (watchers_.size() >= static_cast<size_t>(options_.max_watchers)) {
      base::ErrorDetails details;
      details.reason = "TOO_MANY_WATCHERS";
      details.retry_after = absl::Seconds(10);
      return base::Refuse(absl::StatusCode::kResourceExhausted,
                          absl::StrCat("refused: ", watchers_.size(),
                                       " watch the events already. End one of them."),
                          details);
    }
    const int64_t id = next_watcher_++;
    options.on_ended = [this, id] {
      absl::MutexLock ended(&mu_);
      watchers_.erase(id);
    };
    stream = std::make_shared<WatchStream>(context, std::move(options));
    watchers_[id] = stream;
  }
  const absl::Status subscribed = stream->Subscribe(
      deps_->hub, request.after_revision() == 0 ? deps_->hub->head() : request.after_revision());
  if (!subscribed.ok()) {
    absl::MutexLock lock(&mu_);
    for (auto it = watchers_.begin(); it != watchers_.end(); ++it) {
      if (it->second.lock() == stream) {
        watchers_.erase(it);
        break;
      }
    }
    return subscribed;
  }
  return stream;
}

grpc::ServerUnaryReactor* OperationsService::ListAuditEntries(Context* context,
                                                              const Bytes* request,
                                                              Bytes* response) {
  return TypedCall<ListAuditEntriesRequest, ListAuditEntriesResponse>::Serve(
      deps_, audit_, context, request, response, [](auto call) {
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          const bool everywhere = raw->MayAlso(Permission::kReadAudit, "").ok();
          ASSIGN_OR_RETURN(
              raw->response,
              ReadAuditEntries(snapshot, raw->request, raw->deps().clock->ServiceNow(),
                               everywhere ? AuditReach::kAll : AuditReach::kWorkspaceAsItIs));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* OperationsService::GetEnforcement(Context* context, const Bytes* request,
                                                            Bytes* response) {
  return TypedCall<GetEnforcementRequest, Receipt>::Serve(
      deps_, enforcement_, context, request, response, [](auto call) {
        Hub* const hub = call->deps().hub;
        const absl::StatusOr<ReceiptQuestion> question = QuestionOf(*hub, *call);
        if (!question.ok()) {
          call->FinishWith(question.status());
          return;
        }
        WithLastAdmits(call->deps(), *question, hub->ReceiptFor(*question),
                       [call](Receipt receipt) {
                         HideHolders(*call, &receipt);
                         call->response = std::move(receipt);
                         call->FinishWith(absl::OkStatus());
                       });
      });
}

grpc::ServerUnaryReactor* OperationsService::WaitEnforced(Context* context, const Bytes* request,
                                                          Bytes* response) {
  return TypedCall<WaitEnforcedRequest, Receipt>::Serve(
      deps_, wait_, context, request, response, [](auto call) {
        const absl::StatusOr<ReceiptQuestion> question = QuestionOf(*call->deps().hub, *call);
        absl::Status known = question.status();
        absl::Duration wait = absl::Seconds(60);
        if (known.ok() && call->request.has_timeout()) {
          absl::StatusOr<absl::Duration> asked = CheckWait(call->request.timeout(), "timeout");
          if (asked.ok()) wait = *asked;
          known = asked.status();
        }
        if (!known.ok()) {
          call->FinishWith(known);
          return;
        }
        auto* const raw = call.get();
        WaitThenFinish(std::move(call), *question, wait,
                       [raw](Receipt receipt) { raw->response = std::move(receipt); });
      });
}

grpc::ServerUnaryReactor* OperationsService::ListValidators(Context* context, const Bytes* request,
                                                            Bytes* response) {
  return TypedCall<ListValidatorsRequest, ListValidatorsResponse>::Serve(
      deps_, list_, context, request, response, [](auto call) {
        // Nothing is read from the store, but a large fleet is too much work for a gRPC thread.
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot&) {
          ASSIGN_OR_RETURN(raw->response, FleetNow(raw->deps(), raw->request));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* OperationsService::CreateBackup(Context* context, const Bytes* request,
                                                          Bytes* response) {
  return TypedCall<CreateBackupRequest, CreateBackupResponse>::Serve(
      deps_, backup_, context, request, response, [this](auto call) {
        const bool taken = backups_.Submit([this, call] {
          const RpcDeps& deps = call->deps();
          BackupPlace place;
          place.engine = deps.engine;
          place.sequencer = deps.sequencer;
          place.backup_dir = options_.place.backup_dir;
          place.epoch = deps.hub->epoch();
          place.now = deps.clock->ServiceNow();
          place.actor = call->actor();
          place.origin = call->origin();
          place.wanted = [raw = call.get()] {
            RETURN_IF_ERROR(raw->Wanted());
            return raw->StillMay();
          };
          absl::Status status = place.wanted();
          if (status.ok()) {
            absl::StatusOr<CreateBackupResponse> made = service::CreateBackup(place, call->request);
            status = made.status();
            if (made.ok()) call->response = *std::move(made);
          }
          call->FinishWith(status);
        });
        if (!taken) call->FinishWith(Overloaded("too many backups are waiting"));
      });
}

grpc::ServerUnaryReactor* OperationsService::GetClock(Context* context, const Bytes* request,
                                                      Bytes* response) {
  return TypedCall<GetClockRequest, Clock>::Serve(deps_, clock_, context, request, response,
                                                  [](auto call) {
                                                    call->response = call->deps().time->Describe();
                                                    call->FinishWith(absl::OkStatus());
                                                  });
}

grpc::ServerUnaryReactor* OperationsService::AcceptClock(Context* context, const Bytes* request,
                                                         Bytes* response) {
  return TypedCall<AcceptClockRequest, AcceptClockResponse>::Serve(
      deps_, accept_, context, request, response, [](auto call) {
        const RpcDeps& deps = call->deps();
        if (!call->request.has_wall_time()) {
          call->FinishWith(base::RefuseField(
              "WALL_TIME_REQUIRED", "wall_time",
              "is not set: name the time that is accepted, as GetClock shows it"));
          return;
        }
        const absl::StatusOr<absl::Time> wall =
            TimeFromField(call->request.wall_time(), "wall_time");
        const absl::Status may = wall.ok() ? deps.time->CheckAccept(*wall) : wall.status();
        if (!may.ok()) {
          call->FinishWith(may);
          return;
        }
        // Who did it is in the log before it is done.
        deps.sequencer->Submit(
            std::make_shared<NoteClockAccepted>(call->actor(), call->origin(), *wall),
            [call, wall = *wall](absl::StatusOr<storage::Committed> committed) {
              const RpcDeps& deps = call->deps();
              absl::Status done = committed.status();
              if (done.ok()) done = deps.time->Accept(wall);
              if (done.ok()) {
                deps.note_clock();
                *call->response.mutable_clock() = deps.time->Describe();
                call->response.set_revision(committed->revision);
              }
              call->FinishWith(done);
            });
      });
}

grpc::ServerUnaryReactor* OperationsService::CheckStore(Context* context, const Bytes* request,
                                                        Bytes* response) {
  return TypedCall<CheckStoreRequest, CheckStoreResponse>::Serve(
      deps_, check_, context, request, response, [](auto call) {
        ScanThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          ASSIGN_OR_RETURN(raw->response, service::CheckStore(snapshot));
          raw->response.set_revision(snapshot.revision());
          return absl::OkStatus();
        });
      });
}

ServiceStatus OperationsService::StatusNow() const {
  ServiceStatus status;
  status.set_version(base::kVersion);
  *status.mutable_start_time() =
      base::ToProto(deps_->clock->ServiceNow() - (deps_->clock->Now() - started_));
  status.set_epoch(deps_->hub->epoch());
  status.set_ready(!options_.place.ready || options_.place.ready());
  status.mutable_store()->set_name(options_.place.name);
  status.mutable_backup()->set_configured(!options_.place.backup_dir.empty());
  ListValidatorsRequest problems;
  problems.set_problems_only(true);
  problems.set_page_size(kNamedInStatus);
  absl::StatusOr<ListValidatorsResponse> fleet = FleetNow(*deps_, problems);
  TOLLGATE_INVARIANT(fleet.ok(), "a question about the fleet that is whole is answered");
  status.set_head_revision(fleet->head_revision());
  status.set_enforced_revision(fleet->enforced_revision());
  fleet->clear_next_page_token();  // the list has its own pages
  *status.mutable_fleet() = *std::move(fleet);
  *status.mutable_clock() = deps_->time->Describe();
  return status;
}

grpc::ServerUnaryReactor* OperationsService::GetStatus(Context* context, const Bytes* request,
                                                       Bytes* response) {
  return TypedCall<GetStatusRequest, ServiceStatus>::Serve(
      deps_, status_, context, request, response, [this](auto call) {
        const auto without_store = [this, raw = call.get()](std::string trouble) {
          raw->response = StatusNow();
          raw->response.mutable_store()->set_trouble(std::move(trouble));
        };
        // A store that does not answer now would hold up the answer that says so. Its readers may
        // all wait for it, so the fleet is listed on this thread then.
        const std::string trouble = TroubleOf(options_.place);
        if (!trouble.empty()) {
          without_store(trouble);
          call->FinishWith(absl::OkStatus());
          return;
        }
        // Little is read: not among the scans, which may take minutes.
        const bool taken = deps_->reads->Submit([this, call, without_store] {
          absl::Status wanted = call->Wanted();
          if (wanted.ok()) wanted = call->StillMay();
          if (!wanted.ok()) {
            call->FinishWith(wanted);
            return;
          }
          call->response = StatusNow();
          const auto snapshot = deps_->engine->NewSnapshot();
          const absl::Status read = snapshot.ok()
                                        ? AddStored(**snapshot, options_.place, &call->response)
                                        : snapshot.status();
          if (!read.ok()) without_store(std::string(read.message()));
          call->FinishWith(absl::OkStatus());
        });
        if (!taken) call->FinishWith(Overloaded("too many reads are waiting"));
      });
}

grpc::ServerUnaryReactor* OperationsService::ForgetValidator(Context* context, const Bytes* request,
                                                             Bytes* response) {
  return TypedCall<ForgetValidatorRequest, ForgetValidatorResponse>::Serve(
      deps_, forget_, context, request, response, [](auto call) {
        absl::Status shape = token::CheckValidatorId(call->request.validator_id(), "validator_id");
        if (shape.ok() && call->request.instance().size() > kLongestInstance) {
          shape = base::RefuseField("INSTANCE_MALFORMED", "instance",
                                    "is longer than an instance is: 32 hexadecimal digits");
        }
        if (!shape.ok()) {
          call->FinishWith(shape);
          return;
        }
        ForgetQuestion question;
        question.validator_id = call->request.validator_id();
        question.instance = call->request.instance();
        question.actor = call->actor();
        question.origin = call->origin();
        call->deps().hub->ForgetValidator(question,
                                          [call](absl::StatusOr<storage::Committed> committed) {
                                            if (committed.ok())
                                              call->response.set_revision(committed->revision);
                                            call->FinishWith(committed.status());
                                          });
      });
}

std::vector<std::shared_ptr<WatchStream>> OperationsService::Watchers() {
  std::vector<std::shared_ptr<WatchStream>> streams;
  absl::MutexLock lock(&mu_);
  for (const auto& [id, weak] : watchers_) {
    if (std::shared_ptr<WatchStream> stream = weak.lock()) streams.push_back(std::move(stream));
  }
  return streams;
}

void OperationsService::EndStreams() {
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
  }
  for (const std::shared_ptr<WatchStream>& stream : Watchers()) stream->Close(Draining());
}

void OperationsService::JudgeStreams() {
  for (const std::shared_ptr<WatchStream>& stream : Watchers()) stream->Judge();
}

void OperationsService::CutStreams(absl::Duration patience) {
  // Looked at anew, not waited for: absl's timed waits follow the wall clock.
  for (; patience > absl::ZeroDuration(); patience -= kLookAgain) {
    if (Watchers().empty()) return;
    absl::SleepFor(kLookAgain);
  }
  for (const std::shared_ptr<WatchStream>& stream : Watchers()) stream->Abort(Draining());
}

}  // namespace tollgate::service
