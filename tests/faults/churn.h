// Many changes at once, pipelined: the load for the runs that need a million events.
#ifndef TOLLGATE_TESTS_FAULTS_CHURN_H_
#define TOLLGATE_TESTS_FAULTS_CHURN_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "net/address.h"
#include "nlohmann/json.hpp"
#include "tollgate/v1/token_service.grpc.pb.h"

namespace tollgate::faults {

// One run over one service. Thread-safe.
class Churn {
 public:
  explicit Churn(const net::Address& service);
  // Waits until nothing is in flight.
  ~Churn();

  // Makes `count` tokens in the workspace, waits for them, and returns [{"name", "token_string"}].
  // Tokens that could not be made are left out.
  nlohmann::json Create(const std::string& parent, int count);

  // Suspends and resumes the tokens in turn, one call a token at a time, until `events` changes are
  // done. Returns at once; one run a Churn.
  void Start(std::vector<std::string> tokens, int64_t events);
  // done, errors, running, took_ms
  nlohmann::json Status() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Creation;
  struct Lane;
  void Next(const std::shared_ptr<Lane>& lane);
  void Ended(const std::shared_ptr<Lane>& lane, const grpc::Status& status);

  std::vector<std::unique_ptr<tollgate::v1::TokenService::Stub>> stubs_;
  std::atomic<int64_t> to_do_{0}, done_{0}, errors_{0};
  mutable absl::Mutex mu_;
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  base::BootTime begun_ ABSL_GUARDED_BY(mu_);
  base::BootTime ended_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tollgate::faults

#endif  // TOLLGATE_TESTS_FAULTS_CHURN_H_
