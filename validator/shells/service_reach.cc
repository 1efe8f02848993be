#include "validator/shells/service_reach.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/log.h"

namespace tollgate::validator {
namespace {

// The thread looks at the boot clock at least this often while it waits for a time: the steady
// clock stands still while the machine is suspended.
constexpr absl::Duration kLongestWait = absl::Seconds(1);

// "21 s", for a person.
std::string Seconds(absl::Duration d) {
  return absl::StrCat(absl::ToInt64Seconds(d + absl::Milliseconds(500)), " s");
}

// "5 tries in 2 s".
std::string TriesIn(const Outage::Figures& figures) {
  if (figures.tries == 0) return absl::StrCat("for ", Seconds(figures.lasted));
  return absl::StrCat(figures.tries, figures.tries == 1 ? " try in " : " tries in ",
                      Seconds(figures.lasted));
}

}  // namespace

ServiceReach::ServiceReach(Options options)
    : options_(std::move(options)),
      outage_(options_.outage, options_.random, options_.clock->Now()) {
  thread_ = std::thread([this] { Run(); });
}

ServiceReach::~ServiceReach() { Stop(); }

void ServiceReach::Stop() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopped_ = true;
    changed_.notify_all();
  }
  stop_look_.Interrupt();
  if (thread_.joinable()) thread_.join();
}

void ServiceReach::Opening() {
  std::lock_guard<std::mutex> lock(mu_);
  outage_.Tried(options_.clock->Now());
  changed_.notify_all();
}

void ServiceReach::Followed() {
  Outage::Figures figures;
  bool told = false;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (stopped_) return;
    refusal_ = {};
    fault_ = {};
    ended_ = absl::OkStatus();
    if (!outage_.Heard(options_.clock->Now(), &figures, &told)) return;
  }
  if (told) {
    base::Log(
        base::LogLevel::kInfo,
        absl::StrCat("following the service again, after ", Seconds(figures.lasted)),
        {{"service", options_.service}, {"tries", figures.tries}, {"seconds", figures.lasted}});
  } else {
    base::Log(base::LogLevel::kInfo, "following the service", {{"service", options_.service}});
  }
}

void ServiceReach::Ended(const absl::Status& status, absl::string_view why, bool in_order) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (stopped_) return;
    if (!outage_.reached()) {
      // What this side cancelled says nothing about the peer.
      if (status.code() != absl::StatusCode::kCancelled) refusal_ = {};
      ended_ = status;
    }
    const bool tell = outage_.Lost(options_.clock->Now());
    changed_.notify_all();
    if (!tell) return;
  }
  if (in_order) {
    base::Log(base::LogLevel::kInfo, "the service ended the stream in order; following anew",
              {{"service", options_.service}, {"why", why}});
  } else if (why.empty()) {
    base::Log(base::LogLevel::kWarning, "not following the service; trying again",
              {{"service", options_.service}, {"status", status}});
  } else {  // the status is that of a cancelled call
    base::Log(base::LogLevel::kWarning, "not following the service; trying again",
              {{"service", options_.service}, {"why", why}});
  }
}

void ServiceReach::Refused(absl::string_view reason, absl::string_view why) {
  std::lock_guard<std::mutex> lock(mu_);
  if (stopped_) return;
  const base::BootTime now = options_.clock->Now();
  if (outage_.reached()) outage_.Lost(now);
  refusal_.code = absl::StatusCode::kFailedPrecondition;
  refusal_.reason = std::string(reason);
  refusal_.why = std::string(why);
  fault_ = refusal_;
  outage_.Found(fault_.reason, now);
  changed_.notify_all();
}

ServiceReach::Trouble ServiceReach::trouble() const {
  std::lock_guard<std::mutex> lock(mu_);
  if (outage_.reached() || outage_.reason().empty()) return {};
  return {outage_.reason(), fault_.why};
}

void ServiceReach::Run() {
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopped_) {
    const Outage::Next next = outage_.Ask(options_.clock->Now());
    if (next.tell) {
      const net::ReachFault fault = fault_;
      lock.unlock();
      Tell(fault, next.figures);
      lock.lock();
    }
    if (next.look) {
      const int64_t number = outage_.number();
      const absl::Status ended = ended_;
      net::ReachFault fault = refusal_;
      lock.unlock();
      if (!fault.found()) fault = options_.look(ended, stop_look_);
      lock.lock();
      if (stopped_) return;
      if (outage_.number() != number || outage_.reached()) continue;
      if (refusal_.found()) fault = refusal_;
      outage_.Found(fault.reason, options_.clock->Now());
      if (!fault.found() && outage_.reason() == Outage::kUnexplained) {
        fault.reason = Outage::kUnexplained;
        fault.why = "it takes the connection, and no stream comes about";
        if (!ended.ok() && ended.code() != absl::StatusCode::kCancelled) {
          absl::StrAppend(&fault.why, " (", ended.message(), ")");
        }
        fault.advice = "Its log may say more";
      }
      if (fault.found()) fault_ = std::move(fault);
      continue;
    }
    if (next.tell) continue;
    if (next.wake_at == base::BootTime::InfiniteFuture()) {
      changed_.wait(lock);
    } else {
      const absl::Duration wait =
          std::clamp(next.wake_at - options_.clock->Now(), absl::ZeroDuration(), kLongestWait);
      changed_.wait_until(lock, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(wait));
    }
  }
}

void ServiceReach::Tell(const net::ReachFault& fault, const Outage::Figures& figures) const {
  // What waiting does not mend is an error.
  const bool passes = fault.code == absl::StatusCode::kUnavailable;
  base::Log(passes ? base::LogLevel::kWarning : base::LogLevel::kError,
            absl::StrCat("cannot reach the service at ", options_.service, ": ", fault.why, " (",
                         TriesIn(figures), "); ", Consequence(),
                         fault.advice.empty() ? "" : absl::StrCat(". ", fault.advice)),
            {{"service", options_.service},
             {"reason", fault.reason},
             {"tries", figures.tries},
             {"seconds", figures.lasted},
             {"left_out", figures.left_out}});
}

std::string ServiceReach::Consequence() const {
  const ValidatorStatus now = options_.validator->Status();
  switch (now.lease) {
    case LeaseState::kLive:
      return absl::StrCat("admitting from memory for ", Seconds(now.lease_left),
                          " more, then nothing until it answers");
    case LeaseState::kFailOpen:
      return "going on from memory (fail-open)";
    case LeaseState::kNone:
      break;
  }
  return "admitting nothing until it answers";
}

}  // namespace tollgate::validator
