// Retiring by hand: refused while anything still uses the old token, naming where.
#include "service/tokens/retire_token.h"
#include "tests/unit/service/command_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using ::testing::HasSubstr;

class RetireTest : public CommandTest {
 protected:
  RetireTest() {
    old_ = Made("CI deploy key");
    const auto rotated = Rotate(old_.name(), absl::Hours(24));
    new_ = (*rotated)->response().token();
  }
  absl::StatusOr<std::shared_ptr<RetireTokenCommand>> Retire(bool force = false) {
    tollgate::v1::RetireTokenRequest request;
    request.set_name(old_.name());
    request.set_force(force);
    return Do(RetireTokenCommand::Make(request, "local", evidence_));
  }
  tollgate::v1::Token old_;
  tollgate::v1::Token new_;
  SilenceEvidence evidence_ = AllHeard(now_);
};

TEST_F(RetireTest, TheOutage_ReplacementReachedOnlyTheDevelopmentWorker) {
  Use(old_, "payments/edge-3", now_ - absl::Seconds(40), 312);
  Use(old_, "staging/edge-1", now_ - absl::Hours(48));
  Use(new_, "staging/edge-1", now_ - absl::Seconds(5));
  const auto refused = Retire();
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(refused), "STILL_IN_USE");
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("Last used 40 s ago at payments/edge-3 (312 times today); the replacement "
                        "is used at staging/edge-1 only."));
  EXPECT_EQ(Metadata(refused.status(), "edges"), "payments/edge-3");
  EXPECT_EQ(Metadata(refused.status(), "last_used_edge"), "payments/edge-3");
  EXPECT_EQ(Metadata(refused.status(), "use_count_today"), "312");
  EXPECT_EQ(Metadata(refused.status(), "replacement_edges"), "staging/edge-1");
  const auto forced = Retire(/*force=*/true);
  ASSERT_TRUE(forced.ok());
  EXPECT_EQ((*forced)->response().token().state(), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(CountDue(), 0u);
}

TEST_F(RetireTest, RefusedWhileTheReplacementWasNeverSeen) {
  EXPECT_EQ(Reason(Retire()), "REPLACEMENT_NEVER_SEEN");
}

TEST_F(RetireTest, RefusedWhileAnEdgeIsNotHeard) {
  Use(new_, "staging/edge-1", now_);
  evidence_.unheard.push_back({"payments/edge-3", now_ - absl::Hours(1)});
  const auto refused = Retire();
  EXPECT_EQ(Reason(refused), "EDGES_NOT_HEARD");
  EXPECT_EQ(Metadata(refused.status(), "edges"), "payments/edge-3");
  evidence_ = SilenceEvidence();
  EXPECT_EQ(Reason(Retire()), "EDGES_NOT_HEARD");
}

TEST_F(RetireTest, RefusedWhileItWasNotOnForTheQuietPeriod) {
  Use(old_, "payments/edge-3", now_ - absl::Hours(25));
  Use(new_, "payments/edge-3", now_);
  ASSERT_TRUE(Suspend(old_.name()).ok());
  now_ += absl::Hours(48);
  ASSERT_TRUE(Resume(old_.name()).ok());
  now_ += absl::Hours(23);
  evidence_ = AllHeard(now_);
  const auto refused = Retire();
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(refused), "RESUMED_LATELY");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("suspended until 23 h ago"));
  now_ += absl::Hours(1);
  evidence_ = AllHeard(now_);
  EXPECT_TRUE(Retire().ok());
}

TEST_F(RetireTest, SilentRetiresOnceAndAnswersTheSameAgain) {
  Use(old_, "payments/edge-3", now_ - absl::Hours(25));
  Use(new_, "payments/edge-3", now_ - absl::Seconds(5));
  const auto retired = Retire();
  ASSERT_TRUE(retired.ok()) << retired.status();
  EXPECT_EQ(events_.size(), 1u);
  const int64_t revision = (*retired)->response().revision();
  EXPECT_EQ(revision, Head());
  EXPECT_FALSE((*retired)->response().unchanged());
  EXPECT_TRUE((*Retire())->response().unchanged());
  EXPECT_EQ((*Retire())->response().revision(), revision);
  EXPECT_EQ(Head(), revision);
}

TEST_F(RetireTest, OtherRefusals) {
  tollgate::v1::RetireTokenRequest request;
  request.set_name(new_.name());
  EXPECT_EQ(Reason(Do(RetireTokenCommand::Make(request, "local", evidence_))), "NOT_ROTATED");
  ASSERT_TRUE(RevokeOne(new_.name()).ok());
  EXPECT_EQ(Reason(Do(RetireTokenCommand::Make(request, "local", evidence_))), "TOKEN_FINAL");
  request.set_name("workspaces/acme/tokens/0000000000000000");
  EXPECT_EQ(Reason(Do(RetireTokenCommand::Make(request, "local", evidence_))), "TOKEN_NOT_FOUND");
  request.mutable_quiet_period();
  EXPECT_EQ(Reason(RetireTokenCommand::Make(request, "local", evidence_)),
            "QUIET_PERIOD_TOO_SHORT");
}

}  // namespace
}  // namespace tollgate::service
