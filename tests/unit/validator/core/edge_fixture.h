// What the tests of the validator's core share: clocks set by hand, and short ways to write
// messages.
#ifndef TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_EDGE_FIXTURE_H_
#define TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_EDGE_FIXTURE_H_

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "token/token_string.h"
#include "tollgate/v1/edge_service.pb.h"

namespace tollgate::validator {

// Both clocks, moved together or apart.
class HandClock : public base::Clock {
 public:
  base::BootTime Now() const override { return base::BootTime::FromNanos(boot_ns_.load()); }
  absl::Time WallNow() const override { return absl::FromUnixNanos(wall_ns_.load()); }
  void Advance(absl::Duration d) {
    boot_ns_ += absl::ToInt64Nanoseconds(d);
    wall_ns_ += absl::ToInt64Nanoseconds(d);
  }
  void StepWall(absl::Duration d) { wall_ns_ += absl::ToInt64Nanoseconds(d); }

 private:
  std::atomic<int64_t> boot_ns_{1'000'000'000'000};
  std::atomic<int64_t> wall_ns_{1'780'000'000'000'000'000};
};

// SeededRandom behind a lock.
class SharedSeededRandom : public base::Random {
 public:
  explicit SharedSeededRandom(uint64_t seed) : random_(seed) {}
  void Fill(absl::Span<uint8_t> out) override {
    std::lock_guard<std::mutex> lock(mu_);
    random_.Fill(out);
  }

 private:
  std::mutex mu_;
  base::SeededRandom random_;
};

inline google::protobuf::Duration Seconds(double s) {
  google::protobuf::Duration d;
  const int64_t ns = static_cast<int64_t>(s * 1e9);
  d.set_seconds(ns / 1'000'000'000);
  d.set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
  return d;
}

inline tollgate::v1::FollowResponse WelcomeMessage(const std::string& epoch, int64_t revision,
                                                   bool reset) {
  tollgate::v1::FollowResponse m;
  m.mutable_welcome()->set_epoch(epoch);
  m.mutable_welcome()->set_revision(revision);
  m.mutable_welcome()->set_reset(reset);
  *m.mutable_welcome()->mutable_ping_interval() = Seconds(5);
  *m.mutable_welcome()->mutable_usage_interval() = Seconds(500);
  return m;
}

inline tollgate::v1::FollowResponse PongMessage(uint64_t sequence, int64_t revision, double lease_s,
                                                int64_t service_s = 2'000'000'000) {
  tollgate::v1::FollowResponse m;
  m.mutable_pong()->set_sequence(sequence);
  m.mutable_pong()->set_revision(revision);
  *m.mutable_pong()->mutable_lease() = Seconds(lease_s);
  m.mutable_pong()->mutable_service_time()->set_seconds(service_s);
  return m;
}

inline tollgate::v1::Event Changed(const std::string& workspace, const std::string& id) {
  tollgate::v1::Event e;
  e.mutable_token_changed()->set_workspace(workspace);
  e.mutable_token_changed()->set_token_id(id);
  return e;
}

inline tollgate::v1::Event Created(const std::string& workspace, const std::string& id) {
  tollgate::v1::Event e;
  e.mutable_token_created()->set_workspace(workspace);
  e.mutable_token_created()->set_token_id(id);
  return e;
}

inline tollgate::v1::Event Cohort(const std::string& workspace, const std::string& owner,
                                  uint32_t index = 0) {
  tollgate::v1::Event e;
  e.mutable_cohort_revoked()->set_workspace(workspace);
  e.mutable_cohort_revoked()->set_owner(owner);
  e.set_index(index);
  return e;
}

inline tollgate::v1::Event PolicyChanged(const std::string& workspace, uint32_t index = 0) {
  tollgate::v1::Event e;
  e.mutable_workspace_changed()->set_workspace(workspace);
  e.set_index(index);
  return e;
}

inline tollgate::v1::FollowResponse EventsMessage(int64_t revision,
                                                  std::vector<tollgate::v1::Event> events,
                                                  bool partial = false) {
  tollgate::v1::FollowResponse m;
  auto* r = m.mutable_events()->add_revisions();
  r->set_revision(revision);
  r->set_partial(partial);
  for (auto& e : events) *r->add_events() = std::move(e);
  return m;
}

inline tollgate::v1::Grant GrantFor(const std::string& workspace, const std::string& id,
                                    const std::string& owner = "team-a") {
  tollgate::v1::Grant g;
  g.set_token("workspaces/" + workspace + "/tokens/" + id);
  g.set_workspace(workspace);
  g.set_token_id(id);
  g.set_owner(owner);
  g.set_state(tollgate::v1::TOKEN_STATE_ACTIVE);
  g.add_scopes("deploy:write");
  g.set_create_revision(3);
  g.set_create_index(1);
  return g;
}

}  // namespace tollgate::validator

#endif  // TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_EDGE_FIXTURE_H_
