// Questions to many edges at a steady rate, each decision recorded with the boot clock.
#ifndef TOLLGATE_TESTS_FAULTS_EDGE_TRAFFIC_H_
#define TOLLGATE_TESTS_FAULTS_EDGE_TRAFFIC_H_

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "net/address.h"
#include "nlohmann/json.hpp"
#include "tollgate/v1/validation_service.grpc.pb.h"

namespace tollgate::faults {

// A history file: one JSON array a decision,
//   ["d", edge, token number, begin, end, verdict, reason]
// with both times in microseconds of CLOCK_BOOTTIME: `begin` read before the request was handed to
// gRPC, `end` after its answer came. A call that got no answer is only counted. Thread-safe.
class History {
 public:
  explicit History(std::FILE* file) : file_(file) {}
  ~History() { std::fclose(file_); }

  void Add(const std::string& edge, int token, int64_t begin_us, int64_t end_us,
           const tollgate::v1::ValidateResponse& answer) ABSL_LOCKS_EXCLUDED(mu_);
  void AddError() { ++errors_; }
  // Everything recorded so far is in the file when it returns.
  void Flush() ABSL_LOCKS_EXCLUDED(mu_);
  // decisions, admits, denials, unavailable, errors
  nlohmann::json Counts() const;

 private:
  absl::Mutex mu_;
  std::FILE* const file_ ABSL_GUARDED_BY(mu_);
  std::atomic<int64_t> admits_{0}, denials_{0}, unavailable_{0}, errors_{0};
};

// Chooses the token to present: every other time one in focus (a token that is about to be, or was
// just, revoked), otherwise the next of all. Thread-safe.
class TokenChoice {
 public:
  struct Chosen {
    int number = -1;
    std::string token_string;
  };
  void Add(int number, std::string token_string) ABSL_LOCKS_EXCLUDED(mu_);
  // The newest 32 stay.
  void Focus(int number) ABSL_LOCKS_EXCLUDED(mu_);
  // `turn`: the caller's own counter.
  bool Choose(uint64_t turn, Chosen* chosen) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  mutable absl::Mutex mu_;
  std::vector<Chosen> tokens_ ABSL_GUARDED_BY(mu_);
  std::map<int, size_t> place_ ABSL_GUARDED_BY(mu_);
  std::deque<size_t> focus_ ABSL_GUARDED_BY(mu_);
};

// Traffic to one edge from its start to its end. Open loop: an edge that hangs holds up only the
// calls to itself, of which a bounded number is in flight.
class EdgeTraffic {
 public:
  struct Options {
    std::string edge;
    net::Address address;
    double per_second = 200;
    int most_in_flight = 512;
    absl::Duration deadline = absl::Seconds(2);
  };
  // `tokens` and `history` outlive it.
  EdgeTraffic(Options options, const TokenChoice* tokens, History* history);
  // Waits until nothing is in flight.
  ~EdgeTraffic();

 private:
  struct Call;
  void Run();
  void Send(uint64_t turn);

  const Options options_;
  const TokenChoice* const tokens_;
  History* const history_;
  const std::unique_ptr<tollgate::v1::ValidationService::Stub> stub_;
  std::atomic<bool> stopped_{false};
  absl::Mutex mu_;
  int in_flight_ ABSL_GUARDED_BY(mu_) = 0;
  std::thread thread_;
};

}  // namespace tollgate::faults

#endif  // TOLLGATE_TESTS_FAULTS_EDGE_TRAFFIC_H_
