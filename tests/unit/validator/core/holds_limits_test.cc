// What holds may cost, and what comes between two steps of theirs.
#include <gmock/gmock.h>

#include "base/status.h"
#include "tests/unit/validator/core/holds_fixture.h"
#include "validator/core/shared_requirements.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;
using testing::ElementsAre;

TEST_F(HoldsTest, AMomentLaterNothingIsDueSooner) {
  MakeLive();
  Token("a");
  grants_["a"].mutable_expire_time()->set_seconds(kServiceSeconds + 20);
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Note(validator_->Tick());
  EXPECT_LT(wake_at_ - clock_.Now(), absl::Seconds(21)) << "the token's end is what is due";
  // Or the link would tick without a pause until then.
  for (int i = 0; i < 1000; ++i) {
    clock_.Advance(absl::Microseconds(20));
    ASSERT_FALSE(validator_->holds().DueSooner()) << i;
  }
}

TEST_F(HoldsTest, ACohortMeetsATokenWhoseOwnerIsNotKnownYet) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  answers_ = false;
  grants_["a"].set_owner("newly");
  Event(Changed("acme", ids_["a"]));
  const auto question = std::exchange(asked_, {});
  ASSERT_EQ(question.size(), 1u);
  // The cohort is of the new owner, who is not known here before the answer has been taken.
  validator_->holds().OnCohort({"acme", "newly", 1'000'000, 0});
  Answer(question[0]);
  EXPECT_EQ(Totals().in_doubt, 1) << "the answer is older than the cohort";
  validator_->Settle();
  EXPECT_EQ(asked_.size(), 1u);
}

TEST_F(HoldsTest, AnAnswerThatIsTakenWithoutALeaseAccusesNobody) {
  MakeLive();
  Token("a");
  grants_["a"].mutable_expire_time()->set_seconds(kServiceSeconds + 3600);
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  Holds& holds = validator_->holds();
  holds.OnTokenEvent(ids_["a"], 11);
  ASSERT_TRUE(holds.BeginAsking());
  const auto question = holds.NextQuestion();
  ASSERT_TRUE(question.has_value());
  EXPECT_FALSE(holds.NextQuestion().has_value());
  Decision good;
  ASSERT_TRUE(validator_->Check(Token("a"), {}, &good));
  ASSERT_TRUE(good.admitted());
  clock_.Advance(absl::Hours(2));  // the process stood still after it had judged the answer
  holds.Answered(*question, good);
  EXPECT_EQ(Ended(VERDICT_REASON_EXPIRED), 0);
  Pass(absl::ZeroDuration());
  EXPECT_THAT(Read().ended, ElementsAre(std::pair(1u, VERDICT_REASON_NO_LEASE)));
}

TEST_F(HoldsTest, AWordEndsWithinAAlsoWhereTheTickIsLate) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  Read();
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  const base::BootTime event = clock_.Now();
  for (int i = 0; i < 14; ++i) {
    clock_.Advance(absl::Seconds(1));  // and no tick
    EXPECT_LE(clock_.Now() + Renew(), event + std::max(absl::Seconds(10), absl::Seconds(i + 1)));
  }
}

TEST_F(HoldsTest, ARequirementIsDecidedOnceForAllThatShareIt) {
  MakeLive();
  token::Requirement writes;
  writes.all_scopes = {"deploy:write"};
  for (uint64_t id = 1; id <= 300; ++id) {
    const token::Requirement needed = id % 2 == 0 ? writes : token::Requirement();
    ASSERT_TRUE(validator_
                    ->OpenHold(holder_, id, Token("a"), validator_->requirements().Share(needed),
                               [](const Decision& d, ValidateResponse* words) {
                                 words->set_verdict(d.verdict);
                               })
                    .ok());
  }
  ASSERT_EQ(Totals().open, 300);
  const int64_t before = Totals().decided;
  Event(Changed("acme", ids_["a"]));
  EXPECT_EQ(Totals().decided - before, 2);
}

TEST_F(HoldsTest, VerdictsThatNobodyReadsAreBounded) {
  MakeLive();
  Token("a");
  for (int i = 0; i < 64; ++i) grants_["a"].add_scopes(std::string(128, 'a' + i % 26));
  absl::Status last;
  uint64_t id = 0;
  while (last.ok() && id < 1000) {
    last = validator_->OpenHold(holder_, ++id, Token("a"), std::make_shared<token::Requirement>(),
                                [](const Decision& d, ValidateResponse* words) {
                                  words->set_verdict(d.verdict);
                                  words->set_description(std::string(12'000, 'x'));
                                });
  }
  EXPECT_EQ(base::ReasonOf(last), "TOO_SLOW");
  EXPECT_LT(id, 200u);
}

TEST_F(HoldsTest, StreamsAreBounded) {
  MakeLive();
  std::vector<Holds::HolderRef> holders;
  absl::Status last;
  while (last.ok() && holders.size() < 1000) {
    auto joined = validator_->holds().Join([] {});
    last = joined.status();
    if (last.ok()) holders.push_back(*joined);
  }
  EXPECT_EQ(base::ReasonOf(last), "TOO_MANY_HOLDERS");
  validator_->holds().Leave(holders.back());
  EXPECT_TRUE(validator_->holds().Join([] {}).ok());
}

TEST_F(HoldsTest, WithoutAnyPlaceThereIsNoStream) {
  options_.holds.most = 0;
  Make();
  EXPECT_EQ(base::ReasonOf(validator_->holds().Join([] {}).status()), "HOLDS_OFF");
}

TEST_F(HoldsTest, ARequirementForWhichThereIsNoRoomIsOverload) {
  MakeLive();
  ASSERT_TRUE(validator_
                  ->OpenHold(holder_, 1, Token("a"), nullptr,
                             [](const Decision& d, ValidateResponse* words) {
                               words->set_reason(d.reason);
                             })
                  .ok());
  EXPECT_EQ(Read().opened.at(1), VERDICT_REASON_OVERLOADED);
  // The place is free again.
  EXPECT_EQ(Totals().open, 0);
  ASSERT_TRUE(Open(2, Token("a")).ok());
  EXPECT_EQ(Read().opened.at(2), VERDICT_REASON_UNSPECIFIED);
}

TEST(SharedRequirements, EqualOnesAreOneAndDifferentOnesAreBounded) {
  SharedRequirements all;
  token::Requirement needed;
  needed.any_scopes = {"a", "b"};
  const auto first = all.Share(needed);
  EXPECT_EQ(all.Share(needed), first);
  needed.any_scopes = {"a"};
  needed.all_scopes = {"b"};
  EXPECT_NE(all.Share(needed), first);

  std::vector<SharedRequirements::Shared> kept;
  size_t i = 0;
  for (; i < 100'000; ++i) {
    needed.audience = std::to_string(i);
    auto shared = all.Share(needed);
    if (shared == nullptr) break;
    kept.push_back(std::move(shared));
  }
  EXPECT_LE(i, SharedRequirements::kMost);
  EXPECT_EQ(all.Share({}), nullptr);
  kept.clear();
  EXPECT_NE(all.Share({}), nullptr) << "what nobody has makes room";

  needed.all_scopes.assign(64, std::string(128, 'x'));
  for (i = 0; i < 100'000; ++i) {
    needed.audience = std::to_string(i);
    auto shared = all.Share(needed);
    if (shared == nullptr) break;
    kept.push_back(std::move(shared));
  }
  EXPECT_LE(i * 8192, SharedRequirements::kMostBytes);
}

}  // namespace
}  // namespace tollgate::validator
