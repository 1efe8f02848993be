#include "cli/commands/validators_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "cli/commands/token_text.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using tollgate::v1::ListValidatorsResponse;
using tollgate::v1::ValidatorState;
using tollgate::v1::ValidatorStatus;

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

ValidatorStatus* Add(const char* id, ValidatorState state, ListValidatorsResponse* fleet) {
  ValidatorStatus* validator = fleet->add_validators();
  validator->set_validator_id(id);
  validator->set_state(state);
  validator->set_acknowledged_revision(180);
  validator->set_stale_policy(tollgate::v1::STALE_POLICY_FAIL_CLOSED);
  validator->set_version("1.4.0");
  fleet->set_total_count(fleet->total_count() + 1);
  const bool in_sync = state == tollgate::v1::VALIDATOR_STATE_IN_SYNC;
  if (in_sync) fleet->set_in_sync_count(fleet->in_sync_count() + 1);
  if (!in_sync) fleet->set_problem_count(fleet->problem_count() + 1);
  return validator;
}

TEST(FleetText, IsTheFirstHoursTable) {
  ListValidatorsResponse fleet;
  ValidatorStatus* lapsed = Add("payments/edge-3", tollgate::v1::VALIDATOR_STATE_LAPSED, &fleet);
  lapsed->set_revisions_behind(2);
  *lapsed->mutable_last_heard() = base::ToProto(absl::Milliseconds(41700));
  ValidatorStatus* pending = Add("search/edge-9", tollgate::v1::VALIDATOR_STATE_PENDING, &fleet);
  pending->set_revisions_behind(1);
  *pending->mutable_last_heard() = base::ToProto(absl::Milliseconds(3100));
  *pending->mutable_lease_left() = base::ToProto(absl::Milliseconds(6200));
  FleetShown shown;
  shown.problems_only = true;
  EXPECT_EQ(FleetText(fleet, shown, kNow),
            "VALIDATOR        STATE    BEHIND  LAST HEARD  LEASE LEFT  POLICY       VERSION\n"
            "payments/edge-3  lapsed   2 rev   41 s ago    0           fail-closed  1.4.0\n"
            "search/edge-9    pending  1 rev   3 s ago     7 s         fail-closed  1.4.0\n");
}

TEST(FleetText, TellsProcessesUnderOneIdApart) {
  ListValidatorsResponse fleet;
  Add("edge-1", tollgate::v1::VALIDATOR_STATE_IN_SYNC, &fleet);
  for (const char* address : {"ipv4:10.0.0.7:51234", ""}) {
    ValidatorStatus* twin = Add("twin", tollgate::v1::VALIDATOR_STATE_IN_SYNC, &fleet);
    twin->set_instance(*address != '\0' ? "00112233445566778899aabbccddeeff" : "aabbccddeeff0011");
    twin->set_address(address);
  }
  const std::string text = FleetText(fleet, FleetShown(), kNow);
  EXPECT_THAT(text, HasSubstr("VERSION  INSTANCE  ADDRESS"));
  EXPECT_THAT(text, HasSubstr("1.4.0    00112233  ipv4:10.0.0.7:51234\n"));
  EXPECT_THAT(text, HasSubstr("1.4.0    aabbccdd  -\n"));
  EXPECT_THAT(text, testing::ContainsRegex("edge-1 .*1.4.0 *\n"));
  fleet.mutable_validators()->RemoveLast();
  EXPECT_THAT(FleetText(fleet, FleetShown(), kNow), Not(HasSubstr("INSTANCE")));
}

TEST(FleetText, SaysSinceWhenOneIsLapsedThatThisServiceNeverHeard) {
  ListValidatorsResponse fleet;
  ValidatorStatus* lapsed = Add("edge-1", tollgate::v1::VALIDATOR_STATE_LAPSED, &fleet);
  *lapsed->mutable_ended_for() = base::ToProto(absl::Hours(3));
  EXPECT_THAT(FleetText(fleet, FleetShown(), kNow), HasSubstr("over 3 h ago"));
}

TEST(FleetText, SaysInWordsThatThereIsNothing) {
  ListValidatorsResponse fleet;
  EXPECT_THAT(FleetText(fleet, FleetShown(), kNow), HasSubstr("No validators yet."));
  FleetShown problems;
  problems.problems_only = true;
  EXPECT_THAT(FleetText(fleet, problems, kNow), HasSubstr("No validators yet."));
  fleet.set_total_count(12);
  fleet.set_in_sync_count(12);
  EXPECT_EQ(FleetText(fleet, problems, kNow), "No problems: 12 validators in sync.\n");
  fleet.set_in_sync_count(1);
  fleet.set_total_count(3);
  EXPECT_EQ(FleetText(fleet, problems, kNow), "No problems: 1 validator in sync, 2 catching up.\n");
}

TEST(FleetText, OwnsUpToWhatIsNotKnown) {
  ListValidatorsResponse fleet;
  ValidatorStatus* unheard = Add("edge-1", tollgate::v1::VALIDATOR_STATE_PENDING, &fleet);
  unheard->set_acknowledged_revision(0);
  unheard->clear_version();
  unheard->set_stale_policy(tollgate::v1::STALE_POLICY_FAIL_OPEN);
  *unheard->mutable_fail_open_for() = base::ToProto(absl::Minutes(10));
  *unheard->mutable_lease_left() = base::ToProto(absl::Seconds(20));
  const std::string text = FleetText(fleet, FleetShown(), kNow);
  EXPECT_THAT(
      text,
      HasSubstr("edge-1     pending  ?       not since start  20 s        fail-open 10 min  -\n"));
}

TEST(FleetText, SaysWhoKeepsHoldsThatNoReceiptCovers) {
  ListValidatorsResponse fleet;
  ValidatorStatus* keeps = Add("edge-1", tollgate::v1::VALIDATOR_STATE_IN_SYNC, &fleet);
  *keeps->mutable_holds_outlive_lease() = base::ToProto(absl::Minutes(5));
  Add("edge-2", tollgate::v1::VALIDATOR_STATE_IN_SYNC, &fleet);
  const std::string text = FleetText(fleet, FleetShown(), kNow);
  EXPECT_THAT(text,
              HasSubstr("fail-closed, keeps holds 5 min past its lease (not covered)  1.4.0\n"));
  EXPECT_THAT(text, HasSubstr(absl::StrCat("fail-closed", std::string(50, ' '), "1.4.0\n")));
  keeps->set_stale_policy(tollgate::v1::STALE_POLICY_FAIL_OPEN);
  *keeps->mutable_fail_open_for() = base::ToProto(absl::Minutes(10));
  EXPECT_THAT(FleetText(fleet, FleetShown(), kNow),
              HasSubstr("fail-open 10 min, keeps holds 5 min past its lease (not covered)"));
}

TEST(FleetText, IsSafeForATerminal) {
  ListValidatorsResponse fleet;
  Add("edge\x1b[2J", tollgate::v1::VALIDATOR_STATE_LAPSED, &fleet)->set_version("\x1b]0;x");
  EXPECT_THAT(FleetText(fleet, FleetShown(), kNow), Not(HasSubstr("\x1b")));
}

TEST(FleetText, AWatchShowsWhatMattersFirst) {
  ListValidatorsResponse fleet;
  for (const char* id : {"a", "b", "c"}) Add(id, tollgate::v1::VALIDATOR_STATE_IN_SYNC, &fleet);
  Add("z", tollgate::v1::VALIDATOR_STATE_LAPSED, &fleet);
  FleetShown shown;
  shown.most_rows = 2;
  const std::string text = FleetText(fleet, shown, kNow);
  EXPECT_LT(text.find("\nz "), text.find("\na "));
  EXPECT_THAT(text, HasSubstr("… and 2 more\n"));
  EXPECT_THAT(text, Not(HasSubstr("\nb ")));
}

TEST(FleetText, WideTellsTheRest) {
  ListValidatorsResponse fleet;
  ValidatorStatus* validator = Add("edge-1", tollgate::v1::VALIDATOR_STATE_IN_SYNC, &fleet);
  validator->set_instance("00112233445566778899aabbccddeeff");
  validator->set_address("ipv4:10.0.0.7:51234");
  validator->set_cached_tokens(1234);
  validator->set_open_holds(5678);
  validator->set_decisions_per_second(17.25);
  *validator->mutable_connect_time() = base::ToProto(kNow - absl::Minutes(3));
  FleetShown shown;
  shown.wide = true;
  const std::string text = FleetText(fleet, shown, kNow);
  for (const char* part :
       {"00112233  ", "ipv4:10.0.0.7:51234", "3 min ago", "1234", "  5678 ", "17.2", "180"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST(FleetLine, Counts) {
  ListValidatorsResponse fleet;
  fleet.set_total_count(200);
  fleet.set_in_sync_count(197);
  fleet.set_problem_count(2);
  fleet.set_head_revision(184);
  fleet.set_enforced_revision(182);
  EXPECT_EQ(FleetLine(fleet),
            "200 validators: 197 in sync, 2 to look at, 1 catching up   head 184, enforced 182");
}

TEST(ValidatorStateText, HasAWordForEveryState) {
  for (int state = tollgate::v1::ValidatorState_MIN + 1; state <= tollgate::v1::ValidatorState_MAX;
       ++state) {
    EXPECT_NE(ValidatorStateText(static_cast<ValidatorState>(state)), "unknown") << state;
  }
}

}  // namespace
}  // namespace tollgate::cli
