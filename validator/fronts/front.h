// A front: one protocol in which callers ask, turned into one question to the core.
//
// A front lies in this folder (or in one of its own below it), and is named in all_fronts.cc;
// nothing else knows it. It reads a request into a token string (presented.h) and a requirement,
// asks the validator, and tells the answer in its protocol's words (answer.h).
#ifndef TOLLGATE_VALIDATOR_FRONTS_FRONT_H_
#define TOLLGATE_VALIDATOR_FRONTS_FRONT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tollgate/v1/validation_service.pb.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace tollgate::validator {

class Validator;

// What one front has answered since the start.
struct FrontTotals {
  int64_t admitted = 0;
  int64_t denied = 0;
  int64_t unavailable = 0;
  int64_t refused = 0;  // requests that were refused before anything was decided
};

// Thread-safe. An answer is counted once, when it is told.
class FrontCounts {
 public:
  void CountAnswer(tollgate::v1::Verdict verdict);
  void CountRefused() { refused_.fetch_add(1, std::memory_order_relaxed); }
  FrontTotals Totals() const;

 private:
  std::atomic<int64_t> admitted_{0};
  std::atomic<int64_t> denied_{0};
  std::atomic<int64_t> unavailable_{0};
  std::atomic<int64_t> refused_{0};
};

// What a front registers itself on, before the host starts.
class FrontHost {
 public:
  virtual ~FrontHost() = default;
  // A gRPC service, which outlives the host. Its health is told under `health_name`, the service's
  // full name.
  virtual void AddGrpcService(grpc::Service* service, const std::string& health_name) = 0;
};

// Thread-safe once registered.
class Front {
 public:
  virtual ~Front() = default;
  // The name in metrics and logs: lower-case letters, digits and underscores.
  virtual absl::string_view name() const = 0;
  // Once, before the host starts; the front outlives the host's calls.
  virtual void RegisterOn(FrontHost* host) = 0;

  FrontTotals totals() const { return counts_.Totals(); }

 protected:
  FrontCounts counts_;
};

// All fronts of a validator, which outlives them.
std::vector<std::unique_ptr<Front>> MakeFronts(Validator* validator);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_FRONT_H_
