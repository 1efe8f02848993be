#include "service/rpc/validator_list.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using tollgate::v1::ListValidatorsRequest;
using tollgate::v1::ListValidatorsResponse;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

SessionView InSync(const std::string& id, char incarnation = 'a') {
  SessionView view;
  view.key = {id, std::string(16, incarnation)};
  view.live = true;
  view.streams = 1;
  view.acknowledged = 180;
  view.lease_left = absl::Seconds(28);
  view.connected_for = absl::Seconds(90);
  view.last_heard = absl::Milliseconds(700);
  return view;
}

SessionView Lapsed(const std::string& id) {
  SessionView view;
  view.key = {id, std::string(16, 'a')};
  view.acknowledged = 182;
  view.behind = true;
  view.revisions_behind = 2;
  view.lag = absl::Seconds(40);
  view.ended_for = absl::Seconds(11);
  view.missing = true;
  return view;
}

FleetHead Head() { return {184, 182, "e1", kNow}; }

std::vector<std::string> Ids(const ListValidatorsResponse& response) {
  std::vector<std::string> ids;
  for (const auto& validator : response.validators()) ids.push_back(validator.validator_id());
  return ids;
}

TEST(ListFleet, SaysAllOfAValidator) {
  SessionView view = InSync("payments/edge-3", '\xab');
  view.version = "1.4.0";
  view.address = "ipv4:10.0.0.7:51234";
  view.fail_open_for = absl::Minutes(10);
  view.holds_outlive_lease = absl::Minutes(5);
  view.open_holds = 40;
  view.cached_tokens = 12;
  view.decisions = 3000;
  view.decisions_per_second = 17.5;
  const auto response = ListFleet({view}, {}, Head());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->total_count(), 1);
  EXPECT_EQ(response->in_sync_count(), 1);
  EXPECT_EQ(response->problem_count(), 0);
  EXPECT_EQ(response->head_revision(), 184);
  EXPECT_EQ(response->enforced_revision(), 182);
  EXPECT_EQ(response->epoch(), "e1");
  ASSERT_EQ(response->validators_size(), 1);
  const tollgate::v1::ValidatorStatus& status = response->validators(0);
  EXPECT_EQ(status.instance(), "42fbd83f3e1ad8aadafbde1d04618514");
  EXPECT_EQ(status.address(), "ipv4:10.0.0.7:51234");
  EXPECT_EQ(status.connect_time().seconds(), 1'800'000'000 - 90);
  EXPECT_EQ(status.state(), tollgate::v1::VALIDATOR_STATE_IN_SYNC);
  EXPECT_EQ(status.acknowledged_revision(), 180);
  EXPECT_FALSE(status.has_lag());
  EXPECT_FALSE(status.has_ended_for());
  EXPECT_EQ(status.lease_left().seconds(), 28);
  EXPECT_EQ(status.last_heard().nanos(), 700'000'000);
  EXPECT_EQ(status.stale_policy(), tollgate::v1::STALE_POLICY_FAIL_OPEN);
  EXPECT_EQ(status.fail_open_for().seconds(), 600);
  EXPECT_EQ(status.holds_outlive_lease().seconds(), 300);
  EXPECT_EQ(status.open_holds(), 40);
  EXPECT_EQ(status.cached_tokens(), 12);
  EXPECT_EQ(status.decisions(), 3000);
  EXPECT_EQ(status.decisions_per_second(), 17.5);
}

TEST(ListFleet, ProblemsAreAFilterAndTheCountsAreNot) {
  ListValidatorsRequest request;
  request.set_problems_only(true);
  const auto response = ListFleet({InSync("a"), Lapsed("b"), InSync("c")}, request, Head());
  ASSERT_TRUE(response.ok());
  EXPECT_THAT(Ids(*response), ElementsAre("b"));
  EXPECT_EQ(response->validators(0).state(), tollgate::v1::VALIDATOR_STATE_LAPSED);
  EXPECT_EQ(response->validators(0).revisions_behind(), 2);
  EXPECT_FALSE(response->validators(0).has_lease_left());
  EXPECT_FALSE(response->validators(0).has_holds_outlive_lease());
  EXPECT_EQ(response->validators(0).stale_policy(), tollgate::v1::STALE_POLICY_FAIL_CLOSED);
  EXPECT_EQ(response->total_count(), 3);
  EXPECT_EQ(response->in_sync_count(), 2);
  EXPECT_EQ(response->problem_count(), 1);
}

TEST(ListFleet, PagesHoldWhileTheFleetChanges) {
  std::vector<SessionView> sessions;
  for (int i = 0; i < 7; ++i) sessions.push_back(InSync(absl::StrCat("edge-", i)));
  ListValidatorsRequest request;
  request.set_page_size(3);
  auto page = ListFleet(sessions, request, Head());
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(Ids(*page), ElementsAre("edge-0", "edge-1", "edge-2"));
  request.set_page_token(page->next_page_token());
  sessions.erase(sessions.begin() + 2);  // the one the page ended with
  sessions.insert(sessions.begin(), InSync("a-new-one"));
  page = ListFleet(sessions, request, Head());
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(Ids(*page), ElementsAre("edge-3", "edge-4", "edge-5"));
  request.set_page_token(page->next_page_token());
  page = ListFleet(sessions, request, Head());
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(Ids(*page), ElementsAre("edge-6"));
  EXPECT_EQ(page->next_page_token(), "");
}

TEST(ListFleet, PagesAlsoBetweenTwoProcessesOfOneId) {
  ListValidatorsRequest request;
  request.set_page_size(1);
  const std::vector<SessionView> sessions = {InSync("a", '\0'), InSync("a", '\xff'), InSync("a/b")};
  std::vector<std::string> seen;
  for (int i = 0; i < 3; ++i) {
    const auto page = ListFleet(sessions, request, Head());
    ASSERT_TRUE(page.ok());
    ASSERT_EQ(page->validators_size(), 1);
    seen.push_back(page->validators(0).validator_id() + ":" +
                   page->validators(0).instance().substr(0, 2));
    request.set_page_token(page->next_page_token());
  }
  EXPECT_THAT(seen, ElementsAre("a:68", "a:94", "a/b:ac"));
  EXPECT_EQ(request.page_token(), "");
}

TEST(ListFleet, NoIncarnationLeavesInAnyForm) {  // R4: it is all that a session has to show
  ListValidatorsRequest request;
  request.set_page_size(1);
  const std::string incarnation = "sixteen bytes ..";
  std::vector<SessionView> sessions = {InSync("a"), InSync("b")};
  for (SessionView& session : sessions) session.key.incarnation = incarnation;
  const auto page = ListFleet(sessions, request, Head());
  ASSERT_TRUE(page.ok());
  ASSERT_NE(page->next_page_token(), "");
  std::string token;  // the page token too is a key
  if (!absl::WebSafeBase64Unescape(page->next_page_token(), &token)) {
    ASSERT_TRUE(absl::Base64Unescape(page->next_page_token(), &token));
  }
  for (const std::string& bytes : {page->SerializeAsString(), token}) {
    EXPECT_EQ(bytes.find(incarnation), std::string::npos);
    EXPECT_EQ(bytes.find(absl::BytesToHexString(incarnation)), std::string::npos);
  }
}

TEST(ListFleet, RefusesWhatIsNoPage) {
  ListValidatorsRequest request;
  request.set_page_size(-1);
  EXPECT_EQ(base::ReasonOf(ListFleet({}, request, Head()).status()), "PAGE_SIZE_NEGATIVE");
  request.set_page_size(0);
  request.set_page_token("nonsense");
  EXPECT_EQ(base::ReasonOf(ListFleet({}, request, Head()).status()), "PAGE_TOKEN_MALFORMED");
  request.clear_page_token();
  request.set_page_size(1);
  request.set_page_token(ListFleet({InSync("a"), InSync("b")}, request, Head())->next_page_token());
  request.set_problems_only(true);
  EXPECT_EQ(base::ReasonOf(ListFleet({}, request, Head()).status()), "PAGE_TOKEN_MISMATCH");
}

}  // namespace
}  // namespace tollgate::service
