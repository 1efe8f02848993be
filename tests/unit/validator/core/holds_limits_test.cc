// What holds may cost, and what comes between two steps of theirs.
#include <gmock/gmock.h>

#include <algorithm>
#include <ctime>
#include <set>
#include <string>

#include "base/status.h"
#include "tests/unit/validator/core/holds_fixture.h"
#include "token/grant.h"
#include "validator/core/hold_table.h"
#include "validator/core/shared_requirements.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(HoldsTest, AMomentLaterNothingIsDueSooner) {
  MakeLive();
  Token("a");
  grants_["a"].mutable_expire_time()->set_seconds(kServiceSeconds + 20);
  ASSERT_TRUE(Open(1, Token("a")).ok());
  EXPECT_LT(validator_->holds().TickAt() - clock_.Now(), absl::Seconds(21))
      << "the token's end is what is due";
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

TEST_F(HoldsTest, WhatAnEventHasEndedIsNotOpened) {
  MakeLive();
  answers_ = false;
  // The answer is judged for a check and for the hold together; the event comes between the two.
  validator_->CheckAsync(Token("a"), {}, [&](const Decision& d) {
    EXPECT_TRUE(d.admitted());
    grants_["a"].set_state(TOKEN_STATE_REVOKED);
    Event(Changed("acme", ids_["a"]));
    Event(Changed("acme", "another"));
  });
  ASSERT_TRUE(Open(1, Token("a")).ok());
  pings_.clear();
  AnswerAll();
  EXPECT_THAT(Read().order, IsEmpty());
  answers_ = true;
  AnswerAll();
  EXPECT_EQ(Read().opened.at(1), VERDICT_REASON_REVOKED);
  Pass(absl::Milliseconds(200));
  for (const Ping& ping : pings_) EXPECT_EQ(ping.ended_holds_size(), 0) << "it was never open";
}

// What an event that came in between has left good lets in when that is known, and not when it was
// first decided: evidence of the last admission has that moment, or it would lie.
TEST_F(HoldsTest, AnOpeningThatIsAskedAboutAgainIsAnAdmissionOfThatMoment) {
  MakeLive();
  answers_ = false;
  validator_->CheckAsync(Token("a"), {}, [&](const Decision& d) {
    EXPECT_TRUE(d.admitted());
    Event(Changed("acme", ids_["a"]));
  });
  ASSERT_TRUE(Open(1, Token("a")).ok());
  AnswerAll();
  Stay(absl::Seconds(3));
  answers_ = true;
  AnswerAll();
  EXPECT_EQ(Read().opened.at(1), VERDICT_REASON_UNSPECIFIED);
  EXPECT_EQ(validator_->Totals().admitted, 2) << "the check, and the opening once";
  const auto admitted_at = [this] {
    absl::Time last = absl::InfinitePast();
    for (const Ping& ping : std::exchange(pings_, {})) {
      for (const DroppedAdmit& dropped : ping.dropped()) {
        if (dropped.has_last_admit_time()) last = base::FromProto(dropped.last_admit_time());
      }
    }
    return last;
  };
  const absl::Time first = admitted_at();
  Event(Changed("acme", ids_["a"]));
  EXPECT_GE(admitted_at(), first + absl::Seconds(2)) << first;
}

TEST_F(HoldsTest, EventsThatAreAboutOthersPutNoOpeningInDoubt) {
  MakeLive();
  answers_ = false;
  ASSERT_TRUE(Open(1, Token("a")).ok());
  const auto question = std::exchange(asked_, {});
  Event(Changed("acme", "another"));
  for (const Asked& asked : question) Answer(asked);
  EXPECT_EQ(Totals().open, 1);
  EXPECT_EQ(Totals().in_doubt, 0);
  EXPECT_EQ(questions_, 1);
  EXPECT_EQ(validator_->Totals().admitted, 1) << "decided twice, and admitted once";
}

TEST_F(HoldsTest, WithoutATimeByNameNothingIsUncovered) {
  MakeLive();
  ASSERT_TRUE(Open(1, Token("a")).ok());
  clock_.Advance(absl::Seconds(31));  // and no tick
  ASSERT_EQ(Totals().open, 1);
  EXPECT_EQ(Totals().uncovered, 0);
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

// Holds alone, each of a token of its own, with a lease and a word of 30 s.
class HoldTableTest : public testing::Test {
 protected:
  void OpenMany(uint64_t holds) {
    HoldsOptions options;
    options.most = 2 * holds;
    table_ = std::make_unique<HoldTable>(options);
    HoldTable::Stream* const stream = table_->Join().value();
    now_.lease.lease_ns = absl::ToInt64Nanoseconds(absl::Seconds(30));
    now_.state = LeaseState::kLive;
    const auto needed = std::make_shared<const token::Requirement>();
    Decision decision;
    decision.verdict = VERDICT_ADMIT;
    token::GrantView grant;
    ASSERT_TRUE(EdgeReader::HoldGrant(token::PackGrant(GrantFor("acme", "0123456789abcdef")),
                                      &decision, &grant));
    for (uint64_t id = 1; id <= holds; ++id) {
      ASSERT_TRUE(table_->Begin(stream, id).value());
      HoldVerdict verdict;
      verdict.hold_id = id;
      const std::string name = std::to_string(id);
      std::copy(name.begin(), name.end(), verdict.key.public_id);
      verdict.requirement = needed;
      verdict.words = std::make_unique<ValidateResponse>();
      verdict.words->set_verdict(VERDICT_ADMIT);
      table_->Decided(stream, std::move(verdict), decision, now_.boot);
      HoldResponse opened;
      ASSERT_EQ(table_->NextMessage(stream, now_, &opened), NextOfHolder::kMessage);
    }
  }

  HoldTable::Moment now_;
  std::unique_ptr<HoldTable> table_;
};

// They end under the lock that holders, events and Pongs wait for.
TEST_F(HoldTableTest, ToEndAllCostsNoMoreThanToOpenThem) {
  const std::clock_t begin = std::clock();
  OpenMany(240'000);
  const std::clock_t open = std::clock();
  table_->CloseAll();
  const std::clock_t ended = std::clock();
  EXPECT_EQ(table_->unanswered(), 240'000u);
  EXPECT_LT(ended - open, 2 * (open - begin));
}

TEST_F(HoldTableTest, AReportTellsOfAPartAndEachTokenHasItsTurn) {
  OpenMany(13'000);
  std::set<std::string> told;
  for (int report = 0; report < 6; ++report) {
    std::vector<HeldUse> held;
    table_->CollectHeld(now_, &held);
    EXPECT_EQ(held.size(), 2167u);
    for (const HeldUse& token : held) told.insert(token.token_id);
  }
  EXPECT_EQ(told.size(), 13'000u);
}

TEST_F(HoldTableTest, WhoNeverAnswersKeepsNoRevisionThatIsForgotten) {
  OpenMany(1);
  std::string id(token::kPublicIdLength, '\0');
  id[0] = '1';
  table_->OnTokenEvent(id, 11, now_.boot);
  const std::weak_ptr<HoldReceipts::Entry> entry = table_->receipts().Of(11);
  ASSERT_TRUE(table_->BeginAsking());
  const auto question = table_->NextQuestion();
  ASSERT_TRUE(question.has_value());
  Decision revoked;
  revoked.verdict = VERDICT_DENY;
  revoked.reason = VERDICT_REASON_REVOKED;
  table_->Answered(*question, revoked, now_);
  ASSERT_EQ(table_->unanswered(), 1u);
  table_->receipts().Reset("another", 5);
  EXPECT_FALSE(entry.expired());
  now_.boot = now_.boot + absl::Seconds(31);  // the word is over
  table_->Tick(now_);
  EXPECT_EQ(table_->unanswered(), 1u);
  EXPECT_TRUE(entry.expired());
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
