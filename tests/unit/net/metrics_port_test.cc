#include "net/metrics_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "tests/unit/net/edge_server.h"
#include "tests/unit/net/http_client.h"

namespace tollgate::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class MetricsPortTest : public testing::Test {
 protected:
  void SetUp() override {
    auto port = MetricsPort::Start("127.0.0.1:0");
    ASSERT_TRUE(port.ok()) << port.status();
    port_ = *std::move(port);
  }
  std::string Get(const std::string& path) {
    HttpClient client(port_->address());
    client.Get(path);
    return client.Answer();
  }

  std::unique_ptr<MetricsPort> port_;
};

TEST_F(MetricsPortTest, ShowsWhatTheProcessCountsAndWhatItIsGiven) {
  EXPECT_THAT(Get("/metrics"),
              testing::AllOf(StartsWith("HTTP/1.1 200 OK"),
                             HasSubstr("\r\nContent-Type: text/plain; version=0.0.4"),
                             HasSubstr("tollgate_log_lines_dropped_total 0")));
  auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter().Name("tollgate_test_total").Register(*registry).Add({}).Increment(3);
  port_->ServeMetrics(registry);
  EXPECT_THAT(Get("/metrics"), testing::AllOf(HasSubstr("tollgate_test_total 3"),
                                              HasSubstr("tollgate_log_lines_dropped_total 0")));
}

TEST_F(MetricsPortTest, CountsItself) {
  EXPECT_THAT(Get("/nothing"), StartsWith("HTTP/1.1 404"));
  const std::string metrics = Get("/metrics");
  const std::string label = "{address=\"" + port_->address().ToString() + "\"";
  for (const std::string& line :
       {"tollgate_http_connections" + label + "} ",
        "tollgate_http_connections_accepted_total" + label + "} 2\n",
        "tollgate_http_connections_refused_total" + label + ",reason=\"full\"} 0\n",
        "tollgate_http_connections_cut_total" + label + ",reason=\"slow_request\"} 0\n",
        "tollgate_http_connections_cut_total" + label + ",reason=\"slow_reader\"} 0\n",
        "tollgate_http_connections_cut_total" + label + ",reason=\"displaced\"} 0\n",
        "tollgate_http_answers_total" + label + ",code=\"404\"} 1\n"}) {
    EXPECT_THAT(metrics, HasSubstr(line));
  }
}

TEST_F(MetricsPortTest, IsAliveAndNotReadyUntilItIsTold) {
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
  std::atomic<bool> live{true};
  std::atomic<bool> ready{false};
  port_->ServeHealth([&](const std::string& name) {
    return name == "liveness" ? live.load() : name == "readiness" && ready.load();
  });
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
  ready = true;
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200"));
  ready = live = false;
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 503"));
}

TEST_F(MetricsPortTest, IdleConnectionsDoNotKeepTheMetricsFromOthers) {
  std::vector<std::unique_ptr<HttpClient>> idle;
  idle.reserve(100);
  for (int i = 0; i < 100; ++i) idle.push_back(std::make_unique<HttpClient>(port_->address()));
  EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200"));
}

TEST_F(MetricsPortTest, SaysWhichFlagAnAddressCameFrom) {
  const absl::Status taken = MetricsPort::Start(port_->address().ToString()).status();
  EXPECT_EQ(base::ReasonOf(taken), "ADDRESS_IN_USE");
  EXPECT_THAT(std::string(taken.message()),
              testing::AllOf(HasSubstr("another process listens"), HasSubstr("--metrics-listen")));
  EXPECT_EQ(base::ReasonOf(MetricsPort::Start("nonsense").status()), "ADDRESS_INVALID");
}

}  // namespace
}  // namespace tollgate::net
