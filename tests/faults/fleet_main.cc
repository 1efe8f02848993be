// tollgate-fleet: many followers in one process, for the fault runs. Each is the real thing below
// the fronts: a Validator with a small cache, its own id, its own connection, its own link.
// Besides them, followers that never read.
//
// One JSON command a line on stdin, one JSON answer a line on stdout, in order:
//   {"do":"start","service":"host:port","prefix":"fleet/edge-","from":0,"count":1000}
//   {"do":"await","count":1000,"revision":0,"timeout_ms":60000}
//       until so many hold a live lease and have applied the revision; with "following": also an
//       open stream. Answers how long the first, half of them and the last took.
//   {"do":"status"}     live, following, streams opened since the start, the lowest applied
//   revision
//   {"do":"track","ms":20000}  samples how far each is behind the foremost; answers the figures
//   {"do":"deaf","service":"host:port","id":"deaf/1","pings":true}
//       a follower that reads its Welcome and nothing after it; opens a new stream when cut
//   {"do":"stop","goodbye":true}
// The end of stdin ends it, without a goodbye.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"
#include "net/address.h"
#include "net/credentials.h"
#include "nlohmann/json.hpp"
#include "tollgate/v1/edge_service.grpc.pb.h"
#include "validator/core/validator.h"
#include "validator/shells/link.h"
#include "validator/shells/resolve_client.h"

namespace tollgate::faults {
namespace {

using nlohmann::json;
using tollgate::v1::EdgeService;
using tollgate::v1::FollowRequest;
using tollgate::v1::FollowResponse;

constexpr std::chrono::milliseconds kPoll(5);

std::shared_ptr<grpc::Channel> ChannelTo(const net::Address& service) {
  net::ChannelOptions options;
  options.own_connection = true;
  return net::MakeChannel(service, grpc::InsecureChannelCredentials(), options);
}

class Edge {
 public:
  static absl::StatusOr<std::unique_ptr<Edge>> Start(const std::string& id,
                                                     const net::Address& service) {
    auto edge = std::make_unique<Edge>();
    validator::ValidatorOptions options;
    options.follower.validator_id = id;
    options.follower.version = "fleet";
    options.cache.entries = 8;
    options.cache.large_entries = 8;
    options.cache.unknown_entries = 8;
    ASSIGN_OR_RETURN(options.format, token::TokenFormat::ForBrand("tg"));
    edge->resolve_ =
        validator::ResolveClient::Create(ChannelTo(service), absl::Seconds(2), &base::SystemClock(),
                                         validator::ResolveClient::Observer());
    ASSIGN_OR_RETURN(edge->validator_,
                     validator::Validator::Create(
                         std::move(options), base::SystemClock(), base::SystemRandom(),
                         [resolve = edge->resolve_](const tollgate::v1::ResolveRequest& request,
                                                    validator::ResolveClient::Callback callback) {
                           resolve->Ask(request, std::move(callback));
                         }));
    edge->reach_ = std::make_unique<validator::ServiceReach>(validator::ServiceReach::Options{
        [](const absl::Status&, const net::Interruption&) { return net::ReachFault(); },
        edge->validator_.get(), &base::SystemClock(), &base::SystemRandom(), service.ToString(),
        validator::OutageOptions()});
    edge->link_ = validator::Link::Start({edge->validator_.get(), &base::SystemClock(),
                                          [service] { return ChannelTo(service); }, nullptr,
                                          edge->reach_.get()});
    return edge;
  }

  ~Edge() {
    if (resolve_ != nullptr) resolve_->Stop();
    if (link_ != nullptr) link_->Stop();
  }

  bool Goodbye() {
    validator_->StopAdmitting();
    return link_->Goodbye(absl::Seconds(5));
  }

  validator::ValidatorStatus Status() const { return validator_->Status(); }

 private:
  std::shared_ptr<validator::ResolveClient> resolve_;
  std::unique_ptr<validator::Validator> validator_;
  std::unique_ptr<validator::ServiceReach> reach_;
  std::shared_ptr<validator::Link> link_;
};

// Says hello, reads the Welcome, and reads no more: what the service sends fills the windows and
// then the service's own queue. With `pings` it goes on pinging, at the revision of its Welcome.
class Deaf {
 public:
  Deaf(std::string id, const net::Address& service, bool pings)
      : id_(std::move(id)), pings_(pings), stub_(EdgeService::NewStub(ChannelTo(service))) {
    uint8_t incarnation[16];
    base::SystemRandom().Fill(absl::MakeSpan(incarnation));
    incarnation_.assign(reinterpret_cast<const char*>(incarnation), sizeof(incarnation));
    thread_ = std::thread([this] { Run(); });
  }

  ~Deaf() {
    {
      std::lock_guard<std::mutex> lock(mu_);
      stopped_ = true;
      if (context_ != nullptr) context_->TryCancel();
      changed_.notify_all();
    }
    thread_.join();
  }

  int streams() const { return streams_; }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mu_);
    while (!stopped_) {
      grpc::ClientContext context;
      context_ = &context;
      lock.unlock();
      OneStream(context);
      lock.lock();
      context_ = nullptr;
      changed_.wait_for(lock, std::chrono::milliseconds(200), [this] { return stopped_; });
    }
  }

  void OneStream(grpc::ClientContext& context) {
    auto stream = stub_->Follow(&context);
    FollowRequest hello;
    hello.mutable_hello()->set_validator_id(id_);
    hello.mutable_hello()->set_incarnation(incarnation_);
    hello.mutable_hello()->set_stale_policy(tollgate::v1::STALE_POLICY_FAIL_CLOSED);
    hello.mutable_hello()->set_version("deaf");
    FollowResponse welcome;
    if (stream->Write(hello) && stream->Read(&welcome) && welcome.has_welcome()) {
      ++streams_;
      for (uint64_t sequence = 1;; ++sequence) {
        if (pings_ || sequence == 1) {
          FollowRequest ping;
          ping.mutable_ping()->set_sequence(sequence);
          ping.mutable_ping()->set_applied_revision(welcome.welcome().revision());
          if (!stream->Write(ping)) break;
        }
        std::unique_lock<std::mutex> lock(mu_);
        if (changed_.wait_for(lock, std::chrono::milliseconds(500), [this] { return stopped_; })) {
          break;
        }
        // A silent one learns of its cut by no write; a write that is not sent tells nothing new.
        if (!pings_ && sequence % 80 == 0) break;
      }
    }
    context.TryCancel();
    stream->Finish();
  }

  const std::string id_;
  const bool pings_;
  std::string incarnation_;  // one process, one incarnation, over all its streams
  const std::unique_ptr<EdgeService::Stub> stub_;
  std::atomic<int> streams_{0};
  std::mutex mu_;
  std::condition_variable changed_;
  bool stopped_ = false;
  grpc::ClientContext* context_ = nullptr;  // the open stream's, under mu_
  std::thread thread_;
};

double Millis(absl::Duration d) { return absl::ToDoubleMilliseconds(d); }

class Fleet {
 public:
  json Do(const json& command) {
    const std::string what = command.at("do");
    if (what == "start") return Start(command);
    if (what == "await") return Await(command);
    if (what == "status") return Status();
    if (what == "track") return Track(command);
    if (what == "deaf") return AddDeaf(command);
    if (what == "stop") return Stop(command);
    return {{"error", absl::StrCat("no such command: ", what)}};
  }

 private:
  json Start(const json& command) {
    absl::StatusOr<net::Address> service =
        net::ParseAddress(command.at("service").get<std::string>());
    if (!service.ok()) return {{"error", service.status().ToString()}};
    const base::BootTime begun = base::SystemClock().Now();
    const int from = command.value("from", 0);
    const int count = command.at("count");
    for (int i = from; i < from + count; ++i) {
      auto edge = Edge::Start(absl::StrFormat("%s%03d", command.at("prefix").get<std::string>(), i),
                              *service);
      if (!edge.ok()) return {{"error", edge.status().ToString()}};
      edges_.push_back(*std::move(edge));
    }
    return {{"started", count}, {"took_ms", Millis(base::SystemClock().Now() - begun)}};
  }

  json Await(const json& command) {
    const int64_t count = command.at("count");
    const int64_t revision = command.value("revision", int64_t{0});
    const bool following = command.value("following", true);
    const absl::Duration timeout = absl::Milliseconds(command.value("timeout_ms", 60000));
    const base::BootTime begun = base::SystemClock().Now();
    absl::Duration first = absl::InfiniteDuration(), half = absl::InfiniteDuration();
    while (true) {
      int64_t ready = 0;
      for (const auto& edge : edges_) {
        const validator::ValidatorStatus status = edge->Status();
        ready +=
            status.lease == validator::LeaseState::kLive &&
            status.follower.applied_revision >= revision &&
            (!following || status.follower.phase == validator::FollowerStatus::Phase::kFollowing);
      }
      const absl::Duration took = base::SystemClock().Now() - begun;
      if (ready > 0) first = std::min(first, took);
      if (ready * 2 >= count) half = std::min(half, took);
      if (ready >= count || took > timeout) {
        return {{"ready", ready},
                {"took_ms", Millis(took)},
                {"first_ms", ready > 0 ? Millis(first) : -1.0},
                {"half_ms", ready * 2 >= count ? Millis(half) : -1.0}};
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  json Status() const {
    int64_t live = 0, following = 0, streams = 0, resets = 0;
    int64_t lowest = edges_.empty() ? 0 : INT64_MAX, highest = 0;
    for (const auto& edge : edges_) {
      const validator::ValidatorStatus status = edge->Status();
      live += status.lease == validator::LeaseState::kLive;
      following += status.follower.phase == validator::FollowerStatus::Phase::kFollowing;
      streams += status.follower.streams;
      resets += status.follower.resets;
      lowest = std::min(lowest, status.follower.applied_revision);
      highest = std::max(highest, status.follower.applied_revision);
    }
    int deaf_streams = 0;
    for (const auto& deaf : deaf_) deaf_streams += deaf->streams();
    return {{"edges", edges_.size()}, {"live", live},
            {"following", following}, {"streams", streams},
            {"resets", resets},       {"lowest", lowest},
            {"highest", highest},     {"deaf_streams", deaf_streams}};
  }

  // For each sample: the revisions between the foremost and the hindmost, and by how much a lease
  // was not live.
  json Track(const json& command) {
    const base::BootTime end =
        base::SystemClock().Now() + absl::Milliseconds(command.at("ms").get<int64_t>());
    std::vector<int64_t> spread;
    int64_t lapsed = 0;
    while (base::SystemClock().Now() < end) {
      const json now = Status();
      spread.push_back(now["highest"].get<int64_t>() - now["lowest"].get<int64_t>());
      lapsed += now["edges"].get<int64_t>() - now["live"].get<int64_t>();
      std::this_thread::sleep_for(kPoll);
    }
    std::sort(spread.begin(), spread.end());
    return {{"samples", spread.size()},
            {"spread_p50", spread[spread.size() / 2]},
            {"spread_p99", spread[spread.size() * 99 / 100]},
            {"spread_max", spread.back()},
            {"lapsed_samples", lapsed}};
  }

  json AddDeaf(const json& command) {
    absl::StatusOr<net::Address> service =
        net::ParseAddress(command.at("service").get<std::string>());
    if (!service.ok()) return {{"error", service.status().ToString()}};
    deaf_.push_back(
        std::make_unique<Deaf>(command.at("id"), *service, command.value("pings", true)));
    return {{"deaf", deaf_.size()}};
  }

  json Stop(const json& command) {
    const base::BootTime begun = base::SystemClock().Now();
    int64_t taken = 0;
    if (command.value("goodbye", false)) {
      for (const auto& edge : edges_) taken += edge->Goodbye();
    }
    edges_.clear();
    deaf_.clear();
    return {{"goodbyes", taken}, {"took_ms", Millis(base::SystemClock().Now() - begun)}};
  }

  std::vector<std::unique_ptr<Edge>> edges_;
  std::vector<std::unique_ptr<Deaf>> deaf_;
};

int Main() {
  base::InitSecrets();
  base::SetLogProgram("tollgate-fleet");
  base::SetLogLevel(
      base::LogLevel::kError);  // a thousand followers' reconnects tell nothing that is not counted
  Fleet fleet;
  std::string line;
  while (std::getline(std::cin, line)) {
    json answer;
    try {
      answer = fleet.Do(json::parse(line));
    } catch (const json::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
  fleet.Do({{"do", "stop"}});
  return 0;
}

}  // namespace
}  // namespace tollgate::faults

int main() { return tollgate::faults::Main(); }
