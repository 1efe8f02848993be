// A rotation whose replacement nobody has used: done again, planned anew, taken back.
#include "service/sweep/sweep.h"
#include "service/tokens/cancel_rotation.h"
#include "service/tokens/replan_rotation.h"
#include "service/tokens/retire_token.h"
#include "tests/unit/service/command_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using ::testing::HasSubstr;
using ::tollgate::v1::Token;

class RotationTest : public CommandTest {
 protected:
  RotationTest() {
    old_ = Made("CI deploy key");
    lost_ = (*Rotate(old_.name(), absl::Hours(24)))->response().token();
  }
  absl::StatusOr<std::shared_ptr<RotateTokenCommand>> Again(const std::string& name) {
    tollgate::v1::RotateTokenRequest request;
    request.set_name(name);
    request.set_again(true);
    return Do(RotateTokenCommand::Make(request, "ops", Mint()));
  }
  absl::StatusOr<std::shared_ptr<ReplanRotationCommand>> Replan(
      const std::string& name, const tollgate::v1::RetirePlan& plan) {
    tollgate::v1::ReplanRotationRequest request;
    request.set_name(name);
    *request.mutable_retire_plan() = plan;
    return Do(ReplanRotationCommand::Make(request, "ops"));
  }
  absl::StatusOr<std::shared_ptr<CancelRotationCommand>> Cancel(const std::string& name) {
    tollgate::v1::CancelRotationRequest request;
    request.set_name(name);
    return Do(CancelRotationCommand::Make(request, "ops"));
  }
  // One step of the sweep, some time later.
  void Sweep(absl::Duration later, const SilenceEvidence* evidence = nullptr) {
    now_ += later;
    SweepCommand sweep({}, evidence != nullptr ? *evidence : AllHeard(now_), "");
    EXPECT_TRUE(RunOne(sweep).ok());
  }
  Token Now(const Token& token) {
    return ToResource(LoadToken(*View(), "acme", token.token_id()).value(), now_);
  }
  Token old_;
  Token lost_;
};

TEST_F(RotationTest, ALostReplacementIsMadeAgain) {
  EXPECT_EQ(Reason(Rotate(old_.name())), "ALREADY_ROTATED");
  now_ += absl::Minutes(5);
  const auto again = Again(old_.name());
  ASSERT_TRUE(again.ok()) << again.status();
  const auto& answer = (*again)->response();
  EXPECT_NE(answer.token().name(), lost_.name());
  EXPECT_EQ(answer.token().replaces(), old_.name());
  EXPECT_EQ(answer.token().label(), old_.label());
  EXPECT_EQ(answer.replaced().replaced_by(), answer.token().name());
  EXPECT_EQ(answer.replaced().retire_plan().when_silent().seconds(), 24 * 3600) << "as planned";
  EXPECT_EQ(answer.given_up().name(), lost_.name());
  EXPECT_EQ(answer.given_up().state(), tollgate::v1::TOKEN_STATE_RETIRING);
  EXPECT_EQ(answer.given_up().replaced_by(), answer.token().name());

  // It goes at once where all edges have been heard, and none has used it.
  Sweep(absl::Seconds(1));
  EXPECT_EQ(Now(lost_).end().cause(), tollgate::v1::END_CAUSE_RETIRED);
  EXPECT_EQ(Now(old_).state(), tollgate::v1::TOKEN_STATE_RETIRING);
  Use(answer.token(), "payments/edge-3", now_);
  Sweep(absl::Hours(25));
  EXPECT_EQ(Now(old_).end().cause(), tollgate::v1::END_CAUSE_RETIRED);
  EXPECT_EQ(Now(answer.token()).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
}

TEST_F(RotationTest, AUseThatIsNotReportedYetIsNotCutOff) {
  const auto made = (*Again(old_.name()))->response().token();
  // One edge lags, another ended without a last report: nothing is known.
  SilenceEvidence evidence = AllHeard(now_);
  evidence.unheard.push_back({"payments/edge-3", now_ - absl::Hours(1)});
  Sweep(absl::Hours(30), &evidence);
  EXPECT_EQ(Now(lost_).state(), tollgate::v1::TOKEN_STATE_RETIRING);
  evidence = AllHeard(now_);
  evidence.gaps.push_back({"payments/edge-3", now_ - absl::Hours(1)});
  Sweep(absl::ZeroDuration(), &evidence);
  EXPECT_EQ(Now(lost_).state(), tollgate::v1::TOKEN_STATE_RETIRING);
  // What was heard ends before it was given up.
  evidence = AllHeard(now_ - absl::Hours(31));
  Sweep(absl::ZeroDuration(), &evidence);
  EXPECT_EQ(Now(lost_).state(), tollgate::v1::TOKEN_STATE_RETIRING);
  // The report comes: somebody had the value. It goes when it is silent, as any rotated token.
  Use(lost_, "payments/edge-3", now_);
  Sweep(absl::Hours(30));
  EXPECT_EQ(Now(lost_).state(), tollgate::v1::TOKEN_STATE_RETIRING) << "nothing else is in use";
  EXPECT_EQ(Now(old_).end().cause(), tollgate::v1::END_CAUSE_RETIRED)
      << "whoever uses any of its replacements has moved on";
  Use(made, "payments/edge-3", now_);
  Sweep(absl::Seconds(1));
  EXPECT_EQ(Now(lost_).end().cause(), tollgate::v1::END_CAUSE_RETIRED);
}

// Gaps are known only since the service started: an edge that went before that without a word may
// have admitted the replacement.
TEST_F(RotationTest, WhatWasBeforeTheServiceStartedIsNotKnown) {
  ASSERT_TRUE(Again(old_.name()).ok());
  SilenceEvidence evidence = AllHeard(now_ + absl::Hours(2));
  evidence.gaps_since = now_ + absl::Hours(1);
  Sweep(absl::Hours(2), &evidence);
  EXPECT_EQ(Now(lost_).state(), tollgate::v1::TOKEN_STATE_RETIRING);
  Sweep(absl::ZeroDuration());
  EXPECT_EQ(Now(lost_).end().cause(), tollgate::v1::END_CAUSE_RETIRED);
}

TEST_F(RotationTest, IsNotTakenBackWhereOneThatWasGivenUpIsInUse) {
  ASSERT_TRUE(Again(old_.name()).ok());
  Use(lost_, "payments/edge-3", now_);
  EXPECT_EQ(Reason(Cancel(old_.name())), "REPLACEMENT_IN_USE");
  ASSERT_TRUE(RevokeOne(lost_.name()).ok());
  EXPECT_EQ(Reason(Cancel(old_.name())), "OK");
}

TEST_F(RotationTest, DoneAgainItGivesWhatItGave) {
  const Token old = Made("b");
  tollgate::v1::RotateTokenRequest request;
  request.set_name(old.name());
  request.mutable_lifetime()->set_seconds(3600);
  ASSERT_TRUE(Do(RotateTokenCommand::Make(request, "ops", Mint())).ok());
  now_ += absl::Minutes(5);
  const auto again = Again(old.name());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(base::FromProto((*again)->response().token().expire_time()), now_ + absl::Hours(1));
}

TEST_F(RotationTest, SilenceCountsTheWholeChainOfReplacements) {
  const auto third = (*Rotate(lost_.name(), absl::Hours(1)))->response().token();
  const auto fourth = (*Rotate(third.name()))->response().token();
  Use(old_, "payments/edge-3", now_ - absl::Hours(48));
  Sweep(absl::Hours(25));
  EXPECT_EQ(Now(old_).state(), tollgate::v1::TOKEN_STATE_RETIRING) << "nothing else is in use";
  Use(fourth, "payments/edge-3", now_);
  tollgate::v1::RetireTokenRequest request;
  request.set_name(third.name());
  EXPECT_TRUE(Do(RetireTokenCommand::Make(request, "ops", AllHeard(now_))).ok());
  Sweep(absl::Seconds(1));
  EXPECT_EQ(Now(old_).end().cause(), tollgate::v1::END_CAUSE_RETIRED);
  EXPECT_EQ(Now(lost_).end().cause(), tollgate::v1::END_CAUSE_RETIRED);
}

TEST_F(RotationTest, IsPlannedAnew) {
  tollgate::v1::RetirePlan plan;
  plan.mutable_after()->set_seconds(600);
  auto replanned = Replan(old_.name(), plan);
  ASSERT_TRUE(replanned.ok()) << replanned.status();
  EXPECT_EQ(base::FromProto((*replanned)->response().token().retire_plan().at_time()),
            now_ + absl::Minutes(10));
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].token_changed().token_id(), old_.token_id());
  // Also while the replacement is in use, and further away than before.
  Use(lost_, "payments/edge-3", now_);
  plan.mutable_after()->set_seconds(1200);
  ASSERT_TRUE(Replan(old_.name(), plan).ok());
  Sweep(absl::Seconds(700));
  EXPECT_EQ(Now(old_).state(), tollgate::v1::TOKEN_STATE_RETIRING);
  plan.set_by_hand(true);
  ASSERT_TRUE(Replan(old_.name(), plan).ok());
  EXPECT_EQ(CountDue(), 0u);
  plan.mutable_when_silent()->set_seconds(60);
  ASSERT_TRUE(Replan(old_.name(), plan).ok());
  Sweep(absl::Seconds(61));
  EXPECT_EQ(Now(old_).end().cause(), tollgate::v1::END_CAUSE_RETIRED);

  EXPECT_EQ(Reason(Replan(old_.name(), plan)), "TOKEN_FINAL");
  const auto refused = Replan(lost_.name(), plan);
  EXPECT_EQ(Reason(refused), "NOT_ROTATED");
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(old_.name()));
  plan.mutable_at_time()->set_seconds(1);
  const auto other = Made("other");
  ASSERT_TRUE(Rotate(other.name()).ok());
  EXPECT_EQ(Reason(Replan(other.name(), plan)), "RETIRE_TIME_PAST");
  plan.mutable_when_silent()->set_seconds(0);
  EXPECT_EQ(Reason(Replan(other.name(), plan)), "QUIET_PERIOD_TOO_SHORT");
}

TEST_F(RotationTest, IsTakenBack) {
  const auto cancelled = Cancel(old_.name());
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  const auto& old = (*cancelled)->response().token();
  EXPECT_EQ(old.state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(old.replaced_by(), "");
  EXPECT_FALSE(old.has_retire_plan());
  EXPECT_EQ((*cancelled)->response().given_up().name(), lost_.name());
  EXPECT_EQ(CountDue(), 1u) << "the replacement's";
  Sweep(absl::Seconds(1));
  EXPECT_EQ(Now(lost_).end().cause(), tollgate::v1::END_CAUSE_RETIRED);
  EXPECT_EQ(Now(old_).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(Reason(Cancel(old_.name())), "NOT_ROTATED");

  // One that is used all the same goes when it is silent and the old one, or what has replaced that
  // since, is in use.
  const auto second = (*Rotate(old_.name(), absl::Hours(1)))->response().token();
  ASSERT_TRUE(Cancel(old_.name()).ok());
  Use(second, "payments/edge-3", now_);
  const auto third = (*Rotate(old_.name(), absl::Hours(1)))->response().token();
  Sweep(absl::Hours(2));
  EXPECT_EQ(Now(second).state(), tollgate::v1::TOKEN_STATE_RETIRING);
  Use(third, "payments/edge-3", now_);
  Sweep(absl::Seconds(1));
  EXPECT_EQ(Now(second).end().cause(), tollgate::v1::END_CAUSE_RETIRED);
}

TEST_F(RotationTest, AReplacementThatIsInUseIsNotGivenUp) {
  Use(lost_, "payments/edge-3", now_ - absl::Seconds(40));
  for (const absl::Status& refused : {Again(old_.name()).status(), Cancel(old_.name()).status()}) {
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(Reason(refused), "REPLACEMENT_IN_USE");
    EXPECT_EQ(Metadata(refused, "edges"), "payments/edge-3");
    EXPECT_THAT(std::string(refused.message()), HasSubstr("last 40 s ago at payments/edge-3"));
  }
  // Unless it has ended: then the old token has no replacement, whoever used it.
  ASSERT_TRUE(RevokeOne(lost_.name()).ok());
  const auto ended = Now(lost_);
  const auto again = Again(old_.name());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(Now(lost_).DebugString(), ended.DebugString()) << "final is final";
}

TEST_F(RotationTest, OtherRefusals) {
  const auto single = Made("single");
  EXPECT_EQ(Reason(Again(single.name())), "NOT_ROTATED");
  EXPECT_EQ(Reason(Cancel(single.name())), "NOT_ROTATED");
  EXPECT_EQ(Reason(Again("workspaces/acme/tokens/0000000000000000")), "TOKEN_NOT_FOUND");
  ASSERT_TRUE(Again(old_.name()).ok());
  EXPECT_EQ(Reason(Again(lost_.name())), "ALREADY_ROTATED") << "it was given up";
  EXPECT_EQ(Reason(Cancel(lost_.name())), "ALREADY_ROTATED");
  tollgate::v1::RetirePlan plan;
  EXPECT_EQ(Reason(Replan(lost_.name(), plan)), "ALREADY_ROTATED");
  // The replacement was rotated in its turn.
  const auto by = Now(old_).replaced_by();
  ASSERT_TRUE(Rotate(by).ok());
  EXPECT_EQ(Reason(Again(old_.name())), "ALREADY_ROTATED");
  EXPECT_EQ(Reason(Cancel(old_.name())), "ALREADY_ROTATED");
  ASSERT_TRUE(RevokeOne(old_.name()).ok());
  EXPECT_EQ(Reason(Again(old_.name())), "TOKEN_FINAL");
  EXPECT_EQ(Reason(Cancel(old_.name())), "TOKEN_FINAL");
}

}  // namespace
}  // namespace tollgate::service
