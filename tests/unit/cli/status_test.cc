// tollgate status: what an operator reads first.
#include "cli/commands/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/proto_time.h"
#include "base/version.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

const absl::Time kAsOf = absl::FromUnixSeconds(1'800'000'000);

v1::ServiceStatus Sound() {
  v1::ServiceStatus status;
  status.set_version(base::kVersion);
  *status.mutable_start_time() = base::ToProto(kAsOf - absl::Hours(72));
  status.set_head_revision(201);
  status.set_enforced_revision(200);
  status.set_epoch("7a2f00112233445566778899aabbccdd");
  status.set_ready(true);
  status.mutable_store()->set_name("/var/lib/tollgate");
  status.mutable_store()->set_size_bytes(1'200'000'000);
  status.mutable_store()->set_live_tokens(1'004'812);
  status.mutable_store()->set_workspaces(12);
  status.mutable_backup()->set_configured(true);
  status.mutable_backup()->set_newest_path("/backups/a");
  *status.mutable_backup()->mutable_newest_time() = base::ToProto(kAsOf - absl::Hours(5));
  status.mutable_fleet()->set_total_count(200);
  status.mutable_fleet()->set_in_sync_count(200);
  *status.mutable_clock()->mutable_service_time() = base::ToProto(kAsOf);
  status.mutable_clock()->set_edge_count(200);
  status.mutable_clock()->set_agreeing_edge_count(200);
  *status.mutable_clock()->mutable_largest_edge_difference() =
      base::ToProto(absl::Milliseconds(300));
  return status;
}

TEST(StatusText, SaysHowAllStands) {
  EXPECT_EQ(
      StatusText(Sound(), "localhost:7411"),
      absl::StrCat("service    ", base::kVersion,
                   " at localhost:7411, up 3 days\n"
                   "store      /var/lib/tollgate, 1.2 GB, 1,004,812 live tokens in 12 workspaces\n"
                   "           revision 201, epoch 7a2f0011…\n"
                   "backup     5 h ago: /backups/a\n"
                   "fleet      200 validators: 200 in sync\n"
                   "           enforced up to revision 200\n"
                   "clock      trusted; edges: 200 of 200 agree with the wall clock (largest "
                   "difference 300 ms)\n"));
}

TEST(StatusText, NamesWhoIsToBeLookedAt) {
  v1::ServiceStatus status = Sound();
  status.mutable_fleet()->set_in_sync_count(190);
  status.mutable_fleet()->set_problem_count(7);
  for (int i = 0; i < 7; ++i) {
    v1::ValidatorStatus* const validator = status.mutable_fleet()->add_validators();
    validator->set_validator_id(absl::StrCat("edge-", i));
    validator->set_state(v1::VALIDATOR_STATE_LAPSED);
  }
  EXPECT_THAT(StatusText(status, "s"),
              HasSubstr("fleet      200 validators: 190 in sync, 3 catching up\n"
                        "           to look at: edge-0 lapsed, edge-1 lapsed, edge-2 lapsed, "
                        "edge-3 lapsed, edge-4 lapsed, 2 more   tollgate validators list "
                        "--problems\n"));
}

TEST(StatusText, OfAStoreThatDoesNotAnswer) {
  v1::ServiceStatus status = Sound();
  status.set_ready(false);
  status.set_version("0.0.9");
  status.mutable_store()->clear_live_tokens();
  status.mutable_store()->clear_size_bytes();
  status.mutable_store()->set_trouble("the disk: a commit in /data for 12 s");
  const std::string text = StatusText(status, "s");
  EXPECT_THAT(text, HasSubstr("service    0.0.9 at s, up 3 days, NOT READY\n"));
  EXPECT_THAT(text, HasSubstr(absl::StrCat("this command is ", base::kVersion)));
  EXPECT_THAT(text, HasSubstr("store      /var/lib/tollgate\n"
                              "           TROUBLE: the disk: a commit in /data for 12 s\n"));
  EXPECT_THAT(text, HasSubstr("backup     not looked at"));
  EXPECT_THAT(text, Not(HasSubstr("live token")));
}

TEST(StatusText, OfAnInstallationThatHasNothingYet) {
  v1::ServiceStatus status = Sound();
  status.mutable_backup()->Clear();
  status.mutable_fleet()->Clear();
  status.mutable_clock()->clear_largest_edge_difference();
  status.mutable_clock()->set_edge_count(0);
  const std::string text = StatusText(status, "s");
  EXPECT_THAT(text, HasSubstr("backup     the service was not told where backups go"));
  EXPECT_THAT(text, HasSubstr("fleet      no validators\n"));
  status.mutable_backup()->set_configured(true);
  EXPECT_THAT(StatusText(status, "s"), HasSubstr("none yet; make one:  tollgate backup create"));
}

}  // namespace
}  // namespace tollgate::cli
