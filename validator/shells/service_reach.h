// Tells that the service cannot be reached, and why: a thread that looks into an outage (core's
// Outage says when) and logs it. gRPC's threads, which bring the news of streams, never wait for
// it.
#ifndef TOLLGATE_VALIDATOR_SHELLS_SERVICE_REACH_H_
#define TOLLGATE_VALIDATOR_SHELLS_SERVICE_REACH_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/random.h"
#include "net/address_probe.h"
#include "net/reach_fault.h"
#include "validator/core/outage.h"
#include "validator/core/validator.h"

namespace tollgate::validator {

// Thread-safe.
class ServiceReach {
 public:
  struct Options {
    // Finds what keeps the service from being reached, where a stream ended so; may block for about
    // a second. Runs on this object's thread.
    std::function<net::ReachFault(const absl::Status& ended, const net::Interruption& stop)> look;
    // What becomes of decisions meanwhile. Outlives Stop.
    const Validator* validator = nullptr;
    const base::Clock* clock = nullptr;  // outlives Stop
    base::Random* random = nullptr;      // outlives Stop; thread-safe
    std::string service;                 // its address, for the log
    OutageOptions outage;
  };

  // What an operator sees.
  struct Trouble {
    std::string reason;  // docs/errors.md; empty: the service is reached, or it is not known yet
    std::string why;     // in words
  };

  // Begins: unreached.
  explicit ServiceReach(Options options);
  // Stop()s.
  ~ServiceReach();
  ServiceReach(const ServiceReach&) = delete;
  ServiceReach& operator=(const ServiceReach&) = delete;

  // News of the link's streams. None of these blocks.
  void Opening();
  // The service is followed.
  void Followed();
  // The stream ended with this status, be it that it came to nothing. `why`: what made the
  // validator leave it, if it did. `in_order`: the service had asked it to.
  void Ended(const absl::Status& status, absl::string_view why, bool in_order);
  // The validator gave the stream up, since it may not follow what it heard.
  void Refused(absl::string_view reason, absl::string_view why);

  Trouble trouble() const;

  // From here on nothing is told. Waits for the thread, which breaks a look off. Idempotent.
  void Stop();

 private:
  void Run();
  void Tell(const net::ReachFault& fault, const Outage::Figures& figures) const;
  std::string Consequence() const;

  const Options options_;
  net::Interruption stop_look_;

  mutable std::mutex mu_;  // guards all that follows
  std::condition_variable changed_;
  Outage outage_;
  absl::Status ended_;       // of the last stream that came to nothing
  net::ReachFault refusal_;  // by this validator; stands until something else happens
  net::ReachFault fault_;    // that the last look came upon
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_SHELLS_SERVICE_REACH_H_
