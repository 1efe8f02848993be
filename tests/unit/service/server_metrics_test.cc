// Each metric of tollgated: its name and type, which dashboards depend on, and that its value
// follows what happened.
#include "service/server_metrics.h"

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/version.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/metric_family.h"

namespace tollgate::service {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;
using Labels = std::map<std::string, std::string>;

class ServerMetricsTest : public testing::Test {
 protected:
  // What is there under the name with exactly these labels.
  ClientMetric Read(const std::string& name, const Labels& labels = {}) {
    for (const MetricFamily& family : registry_.Collect()) {
      if (family.name != name) continue;
      for (const ClientMetric& metric : family.metric) {
        Labels found;
        for (const auto& label : metric.label) found[label.name] = label.value;
        if (found == labels) return metric;
      }
    }
    ADD_FAILURE() << "there is no " << name;
    return ClientMetric();
  }
  double Count(const std::string& name, const Labels& labels = {}) {
    return Read(name, labels).counter.value;
  }
  double Level(const std::string& name, const Labels& labels = {}) {
    return Read(name, labels).gauge.value;
  }
  // (how many were observed, their sum)
  std::pair<uint64_t, double> Observed(const std::string& name, const Labels& labels = {}) {
    const ClientMetric metric = Read(name, labels);
    return {metric.histogram.sample_count, metric.histogram.sample_sum};
  }

  FreshRegistry registry_;
  ServerMetrics metrics_{registry_};
};

TEST_F(ServerMetricsTest, NamesAndTypesAreTheseAndNoOthers) {
  metrics_.Method("GetToken")->Count(absl::StatusCode::kOk, absl::Seconds(1));
  metrics_.OnCommand("revoke_token", absl::StatusCode::kOk);
  std::map<std::string, MetricType> found;
  for (const MetricFamily& family : registry_.Collect()) {
    EXPECT_TRUE(found.emplace(family.name, family.type).second) << family.name << " twice";
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_FALSE(family.metric.empty()) << family.name;
  }
  constexpr MetricType kCounter = MetricType::Counter;
  constexpr MetricType kGauge = MetricType::Gauge;
  constexpr MetricType kHistogram = MetricType::Histogram;
  EXPECT_THAT(
      found, UnorderedElementsAre(Pair("tollgate_build_info", kGauge),  //
                                  Pair("tollgate_clock_in_doubt", kGauge),
                                  Pair("tollgate_clock_offset_seconds", kGauge),
                                  Pair("tollgate_commands_total", kCounter),                      //
                                  Pair("tollgate_commits_total", kCounter),                       //
                                  Pair("tollgate_commit_commands", kHistogram),                   //
                                  Pair("tollgate_commit_seconds", kHistogram),                    //
                                  Pair("tollgate_head_revision", kGauge),                         //
                                  Pair("tollgate_enforced_revision", kGauge),                     //
                                  Pair("tollgate_followers", kGauge),                             //
                                  Pair("tollgate_live_sessions", kGauge),                         //
                                  Pair("tollgate_pending_validators", kGauge),                    //
                                  Pair("tollgate_validators", kGauge),                            //
                                  Pair("tollgate_enforcement_waits", kGauge),                     //
                                  Pair("tollgate_event_ring_bytes", kGauge),                      //
                                  Pair("tollgate_holds_open", kGauge),                            //
                                  Pair("tollgate_store_rolled_back", kGauge),                     //
                                  Pair("tollgate_leases_granted_total", kCounter),                //
                                  Pair("tollgate_leases_refused_total", kCounter),                //
                                  Pair("tollgate_leases_lapsed_total", kCounter),                 //
                                  Pair("tollgate_follower_resets_total", kCounter),               //
                                  Pair("tollgate_follower_resumes_total", kCounter),              //
                                  Pair("tollgate_followers_of_another_history_total", kCounter),  //
                                  Pair("tollgate_followers_cut_total", kCounter),                 //
                                  Pair("tollgate_enforced_seconds", kHistogram),                  //
                                  Pair("tollgate_use_reports_total", kCounter),                   //
                                  Pair("tollgate_refused_attempts_total", kCounter),              //
                                  Pair("tollgate_sweep_lag_seconds", kGauge),                     //
                                  Pair("tollgate_swept_total", kCounter),                         //
                                  Pair("tollgate_store_errors_total", kCounter),                  //
                                  Pair("tollgate_store_mark_errors_total", kCounter),             //
                                  Pair("tollgate_rpcs_total", kCounter),                          //
                                  Pair("tollgate_rpc_seconds", kHistogram)));
}

TEST_F(ServerMetricsTest, TheBuildIsTheVersion) {
  EXPECT_EQ(Level("tollgate_build_info", {{"version", base::kVersion}}), 1);
}

TEST_F(ServerMetricsTest, ACommitIsCountedWithItsCommandsAndTime) {
  metrics_.OnCommit(7, 3, absl::Milliseconds(2));
  metrics_.OnCommit(8, 1, absl::Milliseconds(4));
  EXPECT_EQ(Count("tollgate_commits_total"), 2);
  EXPECT_THAT(Observed("tollgate_commit_commands"), Pair(2, 4));
  EXPECT_THAT(Observed("tollgate_commit_seconds"), Pair(2, testing::DoubleEq(0.006)));
  EXPECT_EQ(Level("tollgate_head_revision"), 8);
  // The buckets: the first command counts at 1, three at 5.
  const auto buckets = Read("tollgate_commit_commands").histogram.bucket;
  ASSERT_GE(buckets.size(), 3u);
  EXPECT_EQ(buckets[0].upper_bound, 1);
  EXPECT_EQ(buckets[0].cumulative_count, 1u);
  EXPECT_EQ(buckets[2].upper_bound, 5);
  EXPECT_EQ(buckets[2].cumulative_count, 2u);
}

TEST_F(ServerMetricsTest, ACommandIsCountedByNameAndCode) {
  metrics_.OnCommand("revoke_token", absl::StatusCode::kOk);
  metrics_.OnCommand("revoke_token", absl::StatusCode::kOk);
  metrics_.OnCommand("revoke_token", absl::StatusCode::kNotFound);
  metrics_.OnCommand("create_token", absl::StatusCode::kOk);
  const auto count = [this](const char* command, const char* code) {
    return Count("tollgate_commands_total", {{"command", command}, {"code", code}});
  };
  EXPECT_EQ(count("revoke_token", "OK"), 2);
  EXPECT_EQ(count("revoke_token", "NOT_FOUND"), 1);
  EXPECT_EQ(count("create_token", "OK"), 1);
}

TEST_F(ServerMetricsTest, EnforcementIsTimed) {
  metrics_.OnEnforced(absl::Milliseconds(250));
  EXPECT_THAT(Observed("tollgate_enforced_seconds"), Pair(1, 0.25));
}

TEST_F(ServerMetricsTest, ASweepTellsItsLagAndCountsWhatItDid) {
  metrics_.OnSweep(absl::Seconds(3), 5);
  EXPECT_EQ(Level("tollgate_sweep_lag_seconds"), 3);
  EXPECT_EQ(Count("tollgate_swept_total"), 5);
  metrics_.OnSweep(absl::ZeroDuration(), 0);
  EXPECT_EQ(Level("tollgate_sweep_lag_seconds"), 0);
  EXPECT_EQ(Count("tollgate_swept_total"), 5);
}

TEST_F(ServerMetricsTest, UseReportsAndStoreErrorsAreCounted) {
  metrics_.OnUseReports(4);
  metrics_.OnUseReports(0);
  metrics_.OnUseReports(2);
  EXPECT_EQ(Count("tollgate_use_reports_total"), 6);
  metrics_.OnRefusedAttempts(tollgate::v1::VERDICT_REASON_REVOKED, 3);
  metrics_.OnRefusedAttempts(tollgate::v1::VERDICT_REASON_REVOKED, -1);
  metrics_.OnRefusedAttempts(tollgate::v1::VERDICT_REASON_UNKNOWN, 1);  // no edge reports it
  metrics_.OnRefusedAttempts(static_cast<tollgate::v1::VerdictReason>(9999), 1);
  EXPECT_EQ(Count("tollgate_refused_attempts_total", {{"reason", "revoked"}}), 3);
  EXPECT_EQ(Count("tollgate_refused_attempts_total", {{"reason", "insufficient_scope"}}), 0);
  metrics_.OnStoreError();
  EXPECT_EQ(Count("tollgate_store_errors_total"), 1);
  metrics_.SetMarkErrors(2);
  metrics_.SetMarkErrors(5);
  EXPECT_EQ(Count("tollgate_store_mark_errors_total"), 5);
}

// Every figure a different number, so that none can stand in another's place.
TEST_F(ServerMetricsTest, TheFeedsFiguresAreTakenOver) {
  Hub::Stats stats;
  stats.followers = 2;
  stats.live_sessions = 3;
  stats.pending_sessions = 4;
  stats.head = 105;
  stats.enforced = 104;
  stats.grants = 50;
  stats.grants_refused = 6;
  stats.lapses = 7;
  stats.resets = 8;
  stats.resumes = 9;
  stats.cut = 10;
  stats.strangers = 13;
  stats.waiting = 11;
  stats.ring_bytes = 1200;
  metrics_.SetFeed(stats);
  EXPECT_EQ(Level("tollgate_followers"), 2);
  EXPECT_EQ(Level("tollgate_live_sessions"), 3);
  EXPECT_EQ(Level("tollgate_pending_validators"), 4);
  EXPECT_EQ(Level("tollgate_head_revision"), 105);
  EXPECT_EQ(Level("tollgate_enforced_revision"), 104);
  EXPECT_EQ(Level("tollgate_enforcement_waits"), 11);
  EXPECT_EQ(Level("tollgate_event_ring_bytes"), 1200);
  EXPECT_EQ(Level("tollgate_store_rolled_back"), 0);
  const auto counters = [this] {
    return std::vector<double>{Count("tollgate_leases_granted_total"),
                               Count("tollgate_leases_refused_total"),
                               Count("tollgate_leases_lapsed_total"),
                               Count("tollgate_follower_resets_total"),
                               Count("tollgate_follower_resumes_total"),
                               Count("tollgate_followers_cut_total"),
                               Count("tollgate_followers_of_another_history_total")};
  };
  EXPECT_THAT(counters(), ElementsAre(50, 6, 7, 8, 9, 10, 13));

  metrics_.SetFeed(stats);
  EXPECT_THAT(counters(), ElementsAre(50, 6, 7, 8, 9, 10, 13)) << "read twice, counted once";
  stats.followers = 0;
  stats.grants = 51;
  stats.cut = 12;
  stats.rolled_back = true;
  metrics_.SetFeed(stats);
  EXPECT_THAT(counters(), ElementsAre(51, 6, 7, 8, 9, 12, 13));
  EXPECT_EQ(Level("tollgate_followers"), 0);
  EXPECT_EQ(Level("tollgate_store_rolled_back"), 1);
}

TEST_F(ServerMetricsTest, TheFleetIsCountedByHowItStands) {
  const auto at = [this](const char* state) {
    return Level("tollgate_validators", {{"state", state}});
  };
  for (const char* state : {"in_sync", "pending", "away", "lapsed"}) {
    EXPECT_EQ(at(state), 0) << state << " is there before anybody is in it";
  }
  SessionView in_sync;
  in_sync.key = {"a", std::string(16, 'a')};
  in_sync.live = true;
  in_sync.streams = 1;
  in_sync.connected_for = absl::Minutes(1);
  in_sync.open_holds = 10;
  SessionView away = in_sync;
  away.key = {"b", std::string(16, 'a')};
  away.streams = 0;
  SessionView lapsed;
  lapsed.key = {"c", std::string(16, 'a')};
  lapsed.ended_for = absl::Seconds(5);
  lapsed.open_holds = 7;
  metrics_.SetFleet({in_sync, in_sync, away, lapsed});
  EXPECT_EQ(at("in_sync"), 2);
  EXPECT_EQ(at("away"), 1);
  EXPECT_EQ(at("lapsed"), 1);
  EXPECT_EQ(at("pending"), 0);
  EXPECT_EQ(Level("tollgate_holds_open"), 30) << "without a lease nothing is held";
  metrics_.SetFleet({});
  EXPECT_EQ(Level("tollgate_holds_open"), 0);
  EXPECT_EQ(at("in_sync"), 0) << "who is gone is not shown";
  EXPECT_EQ(at("away"), 0);
}

TEST_F(ServerMetricsTest, ACallIsCountedByMethodAndCode) {
  MethodMetrics* const get = metrics_.Method("GetToken");
  EXPECT_EQ(get, metrics_.Method("GetToken"));
  MethodMetrics* const create = metrics_.Method("CreateToken");
  EXPECT_NE(get, create);
  get->Count(absl::StatusCode::kOk, absl::Milliseconds(500));
  get->Count(absl::StatusCode::kOk, absl::Milliseconds(250));
  get->Count(absl::StatusCode::kNotFound, absl::Milliseconds(250));
  create->Count(absl::StatusCode::kUnauthenticated, absl::Seconds(2));
  create->Count(static_cast<absl::StatusCode>(99), absl::Seconds(1));  // of a newer gRPC
  EXPECT_EQ(Count("tollgate_rpcs_total", {{"method", "GetToken"}, {"code", "OK"}}), 2);
  EXPECT_EQ(Count("tollgate_rpcs_total", {{"method", "GetToken"}, {"code", "NOT_FOUND"}}), 1);
  EXPECT_EQ(Count("tollgate_rpcs_total", {{"method", "CreateToken"}, {"code", "UNAUTHENTICATED"}}),
            1);
  EXPECT_EQ(Count("tollgate_rpcs_total", {{"method", "CreateToken"}, {"code", "UNKNOWN"}}), 1);
  EXPECT_THAT(Observed("tollgate_rpc_seconds", {{"method", "GetToken"}}), Pair(3, 1));
  EXPECT_THAT(Observed("tollgate_rpc_seconds", {{"method", "CreateToken"}}), Pair(2, 3));
}

TEST_F(ServerMetricsTest, CallsThatEndAtOnceOnTwoThreadsAreAllCounted) {
  MethodMetrics* const get = metrics_.Method("GetToken");
  const auto count = [get] {
    for (int i = 0; i < 1000; ++i) get->Count(absl::StatusCode::kAborted, absl::ZeroDuration());
  };
  std::thread other(count);
  count();
  other.join();
  EXPECT_EQ(Count("tollgate_rpcs_total", {{"method", "GetToken"}, {"code", "ABORTED"}}), 2000);
}

TEST_F(ServerMetricsTest, ItIsBroughtUpToDateWhenItIsRead) {
  Hub::Stats stats;
  registry_.SetRefresh([&] {
    ++stats.head;
    metrics_.SetFeed(stats);
    MetricFamily more;
    more.name = "more";
    more.type = MetricType::Gauge;
    more.metric.emplace_back();
    return std::vector<MetricFamily>{more};
  });
  EXPECT_EQ(Level("tollgate_head_revision"), 1);
  EXPECT_EQ(Level("tollgate_head_revision"), 2);
  EXPECT_EQ(Read("more").gauge.value, 0) << "what it returns is read with the rest";
  registry_.SetRefresh(nullptr);
  EXPECT_EQ(Level("tollgate_head_revision"), 3) << "not refreshed any more";
  EXPECT_EQ(stats.head, 3);
  for (const MetricFamily& family : registry_.Collect()) EXPECT_NE(family.name, "more");
}

}  // namespace
}  // namespace tollgate::service
