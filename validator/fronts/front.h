// A front: one protocol in which callers ask. It turns a request into one question to the core.
//
// A front lies in this folder (or in a folder of its own below it), and is named in all_fronts.cc;
// nothing else knows it. It reads a request into a token string (presented.h) and a requirement,
// asks the validator, and puts the answer into its protocol's words (answer.h).
#ifndef TOLLGATE_VALIDATOR_FRONTS_FRONT_H_
#define TOLLGATE_VALIDATOR_FRONTS_FRONT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "net/http_host.h"
#include "tollgate/v1/validation_service.pb.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace tollgate::validator {

class Gate;
class Validator;

// What one front has answered since the start.
struct FrontTotals {
  int64_t admitted = 0;
  int64_t denied = 0;
  int64_t unavailable = 0;
  int64_t refused = 0;  // requests refused before any decision
};

// Thread-safe. Each answer is counted once, when it is given.
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

// The host on which a front registers itself, before the host starts.
class FrontHost {
 public:
  virtual ~FrontHost() = default;
  // Adds a gRPC service, which outlives the host. `health_name`, the service's full name, is its
  // name for health.
  virtual void AddGrpcService(grpc::Service* service, const std::string& health_name) = 0;
  // Serves HTTP requests for `path`, of every method (HttpHost::Handle), on each address where
  // HTTP is served; on none, nothing happens.
  virtual void AddHttpHandler(const std::string& /*path*/, const net::HttpHandler& /*handler*/) {}
};

// Thread-safe once registered.
class Front {
 public:
  virtual ~Front() = default;
  // The name in metrics and logs: lower-case letters, digits and underscores.
  virtual absl::string_view name() const = 0;
  // Registers the front. Called once, before the host starts. The front outlives the host's calls.
  virtual void RegisterOn(FrontHost* host) = 0;

  FrontTotals totals() const { return counts_.Totals(); }

 protected:
  FrontCounts counts_;
};

// Makes all fronts of a validator. It outlives them, and so does the gate; without a gate (nullptr:
// there is no policy) the fronts for proxies are left out.
std::vector<std::unique_ptr<Front>> MakeFronts(Validator* validator, Gate* gate);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_FRONT_H_
