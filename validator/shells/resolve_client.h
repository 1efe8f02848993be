// Carries the core's questions to the service: each is one unary call with a deadline.
#ifndef TOLLGATE_VALIDATOR_SHELLS_RESOLVE_CLIENT_H_
#define TOLLGATE_VALIDATOR_SHELLS_RESOLVE_CLIENT_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "tollgate/v1/edge_service.grpc.pb.h"

namespace tollgate::validator {

// Thread-safe. Held by a shared_ptr; a call under way holds one too.
class ResolveClient : public std::enable_shared_from_this<ResolveClient> {
 public:
  using Callback = std::function<void(absl::StatusOr<tollgate::v1::ResolveResponse>)>;
  // Gets how a call ended, and how long it took.
  using Observer = std::function<void(absl::StatusCode code, absl::Duration took)>;

  // `clock` outlives Stop(); `observer` may be empty and must not block.
  static std::shared_ptr<ResolveClient> Create(std::shared_ptr<grpc::Channel> channel,
                                               absl::Duration deadline, const base::Clock* clock,
                                               Observer observer);

  // Asks the service. `callback` runs exactly once, on a gRPC thread (or here, after Stop), with
  // the answer or with the error (DEADLINE_EXCEEDED, UNAVAILABLE, …). No lock is held meanwhile.
  void Ask(const tollgate::v1::ResolveRequest& request, Callback callback) ABSL_LOCKS_EXCLUDED(mu_);

  // Does not wait out the pause after which its channel would connect again: the service is there.
  // Does not block.
  void Reconnect() ABSL_LOCKS_EXCLUDED(mu_);

  // Cancels the calls under way and waits until each callback has returned. No channel is held
  // afterwards. Idempotent. Must not be called on a gRPC thread.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Call;
  ResolveClient(std::shared_ptr<grpc::Channel> channel, absl::Duration deadline,
                const base::Clock* clock, Observer observer);
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return calls_.empty(); }

  const absl::Duration deadline_;
  const base::Clock* const clock_;
  const Observer observer_;

  absl::Mutex mu_;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mu_);                 // until Stop
  std::unique_ptr<tollgate::v1::EdgeService::Stub> stub_ ABSL_GUARDED_BY(mu_);  // until Stop
  absl::flat_hash_set<Call*> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_RESOLVE_CLIENT_H_
