// R4, of holders: no goodbye while one of them may hold on.
#include <algorithm>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/holds_fixture.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HoldsGoodbyeTest : public HoldsTest {
 protected:
  // Whether the stop that has begun is one with a goodbye.
  bool SaysGoodbye() {
    const FollowerActions actions = validator_->Goodbye();
    EXPECT_TRUE(actions.finish);
    return std::any_of(actions.send.begin(), actions.send.end(),
                       [](const FollowRequest& message) { return message.has_goodbye(); });
  }
};

TEST_F(HoldsGoodbyeTest, WhoeverHasNotAnsweredMayHoldOn) {
  MakeLive();
  ASSERT_TRUE(validator_->holds().Hello(holder_, "chat/web-7").ok());
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  Read();
  clock_.Advance(absl::Seconds(10));
  validator_->StopAdmitting();
  Read();
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  EXPECT_EQ(validator_->holds().LongestWord(), absl::Seconds(30) * 0.999 - absl::Seconds(10));
  EXPECT_THAT(validator_->holds().Unanswered(), ElementsAre("chat/web-7"));
  EXPECT_FALSE(SaysGoodbye());
}

TEST_F(HoldsGoodbyeTest, OnceAllHaveAnsweredGoodbyeIsSaid) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  validator_->StopAdmitting();
  Read();
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  EXPECT_EQ(validator_->holds().LongestWord(), absl::ZeroDuration());
  EXPECT_TRUE(SaysGoodbye());
}

TEST_F(HoldsGoodbyeTest, WhoseWordIsOverHoldsNothing) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  validator_->StopAdmitting();
  clock_.Advance(absl::Seconds(30) * 0.999);
  EXPECT_THAT(validator_->holds().Unanswered(), IsEmpty());
  EXPECT_TRUE(SaysGoodbye());
}

TEST_F(HoldsGoodbyeTest, WhoWasToldNoWordHoldsNothing) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  validator_->StopAdmitting();
  // The verdict was on its way; it says that the hold is good for no time.
  EXPECT_EQ(Read().good_for.at(1), absl::ZeroDuration());
  EXPECT_TRUE(SaysGoodbye());
}

TEST_F(HoldsGoodbyeTest, WhoHasLeftWithoutClosedMayHoldOn) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  ASSERT_TRUE(Open(2, Token("b")).ok());
  Read();
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  validator_->holds().Leave(holder_);
  EXPECT_EQ(Totals().open, 0);
  EXPECT_EQ(Totals().holders, 0);
  clock_.Advance(absl::Seconds(5));
  validator_->StopAdmitting();
  EXPECT_THAT(validator_->holds().Unanswered(), ElementsAre("unnamed"));
  EXPECT_FALSE(SaysGoodbye());
}

TEST_F(HoldsGoodbyeTest, WhoHasLeftIsForgottenOnceItsWordIsOver) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  validator_->holds().Leave(holder_);
  EXPECT_LE(validator_->holds().TickAt(), clock_.Now() + absl::Seconds(30));
  Stay(absl::Seconds(31));
  questions_ = 0;
  Event(Changed("acme", ids_["a"]));
  EXPECT_EQ(questions_, 0);
  validator_->StopAdmitting();
  EXPECT_TRUE(SaysGoodbye());
}

TEST_F(HoldsGoodbyeTest, WhoHasLeftIsBoundedAndNotForgottenForThat) {
  options_.holds.most = 4;
  MakeLive();
  for (int i = 0; i < 20; ++i) {
    const auto holder = validator_->holds().Join([] {}).value();
    ASSERT_TRUE(Open(1, Token("a"), {}, holder).ok());
    ASSERT_EQ(Read(holder).opened.at(1), VERDICT_REASON_UNSPECIFIED);
    validator_->holds().Leave(holder);
  }
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  ASSERT_EQ(pings_.back().ended_holds_size(), 1);
  EXPECT_EQ(pings_.back().ended_holds(0).in_doubt(), 4) << "as many as may be open";
  clock_.Advance(absl::Seconds(15));
  validator_->StopAdmitting();
  EXPECT_FALSE(SaysGoodbye());
  FailAll();
}

TEST_F(HoldsGoodbyeTest, StreamsThatHeldNothingCostNothing) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("b")).ok());
  Read();
  validator_->holds().Leave(holder_);
  for (int i = 0; i < 600; ++i) {
    const auto holder = validator_->holds().Join([] {}).value();
    ASSERT_TRUE(Open(1, Token("a"), {}, holder).ok());
    ASSERT_EQ(Read(holder).opened.at(1), VERDICT_REASON_UNSPECIFIED);
    ASSERT_TRUE(validator_->holds().Close(holder, 1).ok());
    validator_->holds().Leave(holder);
  }
  EXPECT_EQ(Totals().holders, 0);
  // Whoever may hold on is not forgotten for them.
  answers_ = false;
  Event(Changed("acme", ids_["b"]));
  ASSERT_EQ(pings_.back().ended_holds_size(), 1);
  FailAll();
  Stay(absl::Seconds(20));
  for (int i = 0; i < 300; ++i) {
    const auto holder = validator_->holds().Join([] {}).value();
    ASSERT_TRUE(Open(1, Token("a"), {}, holder).ok());
    AnswerAll();
    Read(holder);
    ASSERT_TRUE(validator_->holds().Close(holder, 1).ok());
    validator_->holds().Leave(holder);
  }
  Stay(absl::Seconds(11));  // the word of the one that held
  validator_->StopAdmitting();
  EXPECT_TRUE(SaysGoodbye());
}

TEST_F(HoldsGoodbyeTest, AnswersAreAwaited) {
  MakeLive();
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(Open(id, Token("a")).ok());
  Read();
  validator_->StopAdmitting();
  std::thread answers([this] {
    for (uint64_t id = 1; id <= 3; ++id) EXPECT_TRUE(validator_->holds().Close(holder_, id).ok());
  });
  validator_->holds().AwaitAnswers(absl::Minutes(5), absl::Minutes(5));
  EXPECT_EQ(validator_->holds().LongestWord(), absl::ZeroDuration());
  answers.join();
}

TEST_F(HoldsGoodbyeTest, ASilentHolderIsNotAwaitedForLong) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  validator_->StopAdmitting();
  validator_->holds().AwaitAnswers(absl::Minutes(5), absl::Milliseconds(1));
  EXPECT_GT(validator_->holds().LongestWord(), absl::ZeroDuration());
}

}  // namespace
}  // namespace tollgate::validator
