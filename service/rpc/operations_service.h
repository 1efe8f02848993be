// tollgate.v1.OperationsService: past changes, and how far each is enforced.
#ifndef TOLLGATE_SERVICE_RPC_OPERATIONS_SERVICE_H_
#define TOLLGATE_SERVICE_RPC_OPERATIONS_SERVICE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "service/rpc/backup.h"
#include "service/rpc/rpc_call.h"
#include "service/rpc/rpc_deps.h"
#include "service/rpc/service_status.h"
#include "service/rpc/watch_stream.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::service {

namespace internal {
using OperationsStub = tollgate::v1::OperationsService;
using RawOperationsService = OperationsStub::WithRawCallbackMethod_WatchEvents<
    OperationsStub::WithRawCallbackMethod_ListAuditEntries<
        OperationsStub::WithRawCallbackMethod_GetEnforcement<
            OperationsStub::WithRawCallbackMethod_WaitEnforced<
                OperationsStub::WithRawCallbackMethod_ListValidators<
                    OperationsStub::WithRawCallbackMethod_CreateBackup<
                        OperationsStub::WithRawCallbackMethod_GetClock<
                            OperationsStub::WithRawCallbackMethod_AcceptClock<
                                OperationsStub::WithRawCallbackMethod_CheckStore<
                                    OperationsStub::WithRawCallbackMethod_GetStatus<
                                        OperationsStub::WithRawCallbackMethod_ForgetValidator<
                                            OperationsStub::Service>>>>>>>>>>>;
}  // namespace internal

// As TokenService. A revision in a question must exist (REVISION_UNKNOWN, OUT_OF_RANGE) and be of
// this store's epoch (OTHER_EPOCH, FAILED_PRECONDITION).
class OperationsService final : public internal::RawOperationsService {
 public:
  struct Options {
    int max_watchers = 64;           // streams at once; more are refused (TOO_MANY_WATCHERS)
    int max_queued = 1000;           // revisions that wait for a slow watcher
    StorePlace place;                // without a backup_dir backups are refused
    size_t max_waiting_backups = 8;  // backups that wait for the one under way
  };
  // `deps` outlives the service.
  OperationsService(const RpcDeps* deps, Options options);

  using Context = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  using Reactor = grpc::ServerUnaryReactor;
  grpc::ServerWriteReactor<Bytes>* WatchEvents(Context* context, const Bytes* request) override;
  Reactor* ListAuditEntries(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* GetEnforcement(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* WaitEnforced(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ListValidators(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* CreateBackup(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* GetClock(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* AcceptClock(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* CheckStore(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* GetStatus(Context* context, const Bytes* request, Bytes* response) override;
  Reactor* ForgetValidator(Context* context, const Bytes* request, Bytes* response) override;

  // Bindings have changed: ends each watcher who may no longer watch. Does not wait.
  void JudgeStreams() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends all watchers (UNAVAILABLE, DRAINING) and refuses new ones. Does not wait.
  void EndStreams() ABSL_LOCKS_EXCLUDED(mu_);
  // Then: waits until the watchers have ended, for at most `patience`, and cuts those that have not
  // taken their end.
  void CutStreams(absl::Duration patience) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // What is known without the store.
  tollgate::v1::ServiceStatus StatusNow() const;
  std::vector<std::shared_ptr<WatchStream>> Watchers() ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::shared_ptr<WatchStream>> OpenWatch(Context* context, const Bytes& request)
      ABSL_LOCKS_EXCLUDED(mu_);

  const RpcDeps* const deps_;
  const Options options_;
  MethodMetrics* const watch_metrics_;
  const Method<tollgate::v1::ListAuditEntriesRequest, tollgate::v1::ListAuditEntriesResponse>
      audit_;
  const Method<tollgate::v1::GetEnforcementRequest, tollgate::v1::Receipt> enforcement_;
  const Method<tollgate::v1::WaitEnforcedRequest, tollgate::v1::Receipt> wait_;
  const Method<tollgate::v1::ListValidatorsRequest, tollgate::v1::ListValidatorsResponse> list_;
  const Method<tollgate::v1::CreateBackupRequest, tollgate::v1::CreateBackupResponse> backup_;
  const Method<tollgate::v1::GetClockRequest, tollgate::v1::Clock> clock_;
  const Method<tollgate::v1::AcceptClockRequest, tollgate::v1::AcceptClockResponse> accept_;
  const Method<tollgate::v1::CheckStoreRequest, tollgate::v1::CheckStoreResponse> check_;
  const Method<tollgate::v1::GetStatusRequest, tollgate::v1::ServiceStatus> status_;
  const base::BootTime started_;
  const Method<tollgate::v1::ForgetValidatorRequest, tollgate::v1::ForgetValidatorResponse> forget_;

  BackupLine backups_;
  absl::Mutex mu_;
  std::map<int64_t, std::weak_ptr<WatchStream>> watchers_ ABSL_GUARDED_BY(mu_);
  int64_t next_watcher_ ABSL_GUARDED_BY(mu_) = 0;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_OPERATIONS_SERVICE_H_
