// A follower that a test drives by hand, and the state that the follower drives.
#ifndef TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_FOLLOWER_FIXTURE_H_
#define TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_FOLLOWER_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/edge_fixture.h"
#include "validator/core/follower.h"

namespace tollgate::validator {

// Records the calls that the follower makes.
class Recorder : public FollowedState {
 public:
  explicit Recorder(Outbox* outbox) : outbox_(*outbox) {}
  void Reset(const std::string& epoch, int64_t revision) override {
    log.push_back(absl::StrCat("reset ", epoch, " ", revision));
  }
  void Drop(int64_t revision, const tollgate::v1::Event& event) override {
    if (admitted) {
      const auto& token = event.token_changed();
      outbox_.TokenDropped(token.workspace(), token.token_id(), revision,
                           {EntryUse{token.workspace(), token.token_id(), 5000, 1}});
    }
    log.push_back(absl::StrCat("drop ", revision, " ",
                               event.has_cohort_revoked() ? event.cohort_revoked().workspace()
                               : event.has_workspace_changed()
                                   ? event.workspace_changed().workspace()
                               : event.has_token_created() ? event.token_created().token_id()
                                                           : event.token_changed().token_id()));
  }
  void DropAll(int64_t revision) override { log.push_back(absl::StrCat("drop-all ", revision)); }
  void LeaseGranted(const lease::HeldLease& lease, base::BootTime, absl::Time) override {
    leases.push_back(lease);
  }
  void SetServiceTime(absl::Time t, absl::Duration trip, base::BootTime) override {
    service_time = t;
    round_trip = trip;
  }
  void BrandAgreed(bool agreed) override { brand_agreed = agreed; }
  void EndLease() override { log.push_back("end-lease"); }
  void Close() override { log.push_back("close"); }
  void FillCounts(tollgate::v1::Ping* ping) override { ping->set_cached_tokens(42); }
  bool HoldsHaveNews() const override { return holds_have_news; }
  bool FillHolds(tollgate::v1::Ping* ping) override {
    if (std::exchange(holds_have_news, false)) ping->add_ended_holds();
    return false;
  }
  void StreamEnded() override {}
  absl::Time CollectUse(base::BootTime) override {
    log.push_back("collect-use");
    outbox_.AddUse({EntryUse{"w", "used", 5000, 1}});
    return absl::InfinitePast();
  }
  std::vector<std::string> Taken() { return std::exchange(log, {}); }

  std::vector<std::string> log;
  std::vector<lease::HeldLease> leases;
  bool holds_have_news = false;
  bool admitted = false;  // whether every dropped token was admitted before
  absl::Time service_time;
  absl::Duration round_trip;
  bool brand_agreed = false;

 private:
  Outbox& outbox_;
};

class FollowerTest : public ::testing::Test {
 protected:
  FollowerTest() : random_(1), outbox_(OutboxOptions()), state_(&outbox_) {
    options_.validator_id = "edge-1";
    options_.incarnation = "0123456789abcdef";
    Make();
  }
  void Make() { follower_ = std::make_unique<Follower>(options_, &state_, &outbox_, &random_); }
  FollowerActions Send(const tollgate::v1::FollowResponse& m) {
    return follower_->OnMessage(stream_, m, clock_.Now(), clock_.WallNow());
  }
  FollowerActions Tick() { return follower_->OnTick(clock_.Now(), clock_.WallNow()); }
  // Opens a stream; returns its Hello.
  tollgate::v1::Hello Open() {
    FollowerActions a = stream_ == 0 ? follower_->Start(clock_.Now()) : Tick();
    EXPECT_TRUE(a.connect);
    stream_ = a.stream;
    a = follower_->OnConnected(stream_, clock_.Now());
    EXPECT_EQ(a.send.size(), 1u);
    return a.send.at(0).hello();
  }
  // Follows after a reset at `revision`; the first ping has been sent.
  void Follow(int64_t revision = 10) {
    Open();
    const FollowerActions a = Send(WelcomeMessage("e1", revision, true));
    ASSERT_EQ(a.send.size(), 1u);
    ASSERT_EQ(a.send[0].ping().sequence(), 1u);
    state_.log.clear();
  }
  void Reconnect() {
    follower_->OnDisconnected(stream_, clock_.Now());
    clock_.Advance(absl::Seconds(6));
  }

  FollowerOptions options_;
  HandClock clock_;
  base::SeededRandom random_;
  Outbox outbox_;
  Recorder state_;
  std::unique_ptr<Follower> follower_;
  uint64_t stream_ = 0;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_TESTS_UNIT_VALIDATOR_CORE_FOLLOWER_FIXTURE_H_
