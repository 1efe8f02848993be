// What receipts tell of holds: the numbers, and the pings that bring them.
#include "validator/core/hold_receipts.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/holds_fixture.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Stand = HoldReceipts::Stand;

// `revision: in doubt, told, closed, silent; names`.
std::string Text(const EndedHolds& holds) {
  return absl::StrCat(holds.revision(), ": ", holds.in_doubt(), " ", holds.told(), " ",
                      holds.closed(), " ", holds.silent(), holds.unanswered().empty() ? "" : "; ",
                      absl::StrJoin(holds.unanswered(), ","));
}

class HoldReceiptsTest : public HoldsTest {
 protected:
  // What pings have told since this was asked last.
  std::vector<std::string> News() {
    std::vector<std::string> news;
    for (const Ping& ping : std::exchange(pings_, {})) {
      for (const EndedHolds& holds : ping.ended_holds()) news.push_back(Text(holds));
    }
    return news;
  }
  std::vector<std::string> NewsSoon() {
    Pass(absl::Milliseconds(200));
    return News();
  }
  // Two holds of a, one of b; the holder has a word of a whole lease.
  void Hold() {
    MakeLive();
    ASSERT_TRUE(validator_->holds().Hello(holder_, "chat/web-7").ok());
    ASSERT_TRUE(Open(1, Token("a")).ok());
    ASSERT_TRUE(Open(2, Token("a")).ok());
    ASSERT_TRUE(Open(3, Token("b")).ok());
    Read();
    pings_.clear();
  }
  void Revoke(const std::string& name) {
    grants_[name].set_state(TOKEN_STATE_REVOKED);
    Event(Changed("acme", ids_[name]));
  }
};

TEST_F(HoldReceiptsTest, WithTheAcknowledgementComeTheHoldsInDoubt) {
  Hold();
  answers_ = false;
  Revoke("a");
  ASSERT_EQ(pings_.size(), 1u);
  EXPECT_EQ(pings_[0].applied_revision(), 11);
  EXPECT_EQ(pings_[0].open_holds(), 3);
  EXPECT_THAT(News(), ElementsAre("11: 2 0 0 0"));
  AnswerAll();
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 2 0 0; chat/web-7"));
  Read();
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 1 1 0; chat/web-7"));
  ASSERT_TRUE(validator_->holds().Close(holder_, 2).ok());
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 0 2 0"));
  EXPECT_THAT(NewsSoon(), IsEmpty()) << "nothing has changed";
}

TEST_F(HoldReceiptsTest, WhatIsStillGoodIsInNoNumber) {
  Hold();
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  EXPECT_THAT(News(), ElementsAre("11: 2 0 0 0"));
  AnswerAll();
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 0 0 0"));
}

TEST_F(HoldReceiptsTest, WhoDoesNotAnswerIsSilentOnceItsWordIsOver) {
  Hold();
  clock_.Advance(absl::Seconds(3));
  Revoke("a");
  NewsSoon();
  News();
  Stay(absl::Seconds(26));
  EXPECT_THAT(News(), IsEmpty());
  Stay(absl::Seconds(1));
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 0 0 2; chat/web-7"));
  // Late is better than never.
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 0 1 1; chat/web-7"));
}

TEST_F(HoldReceiptsTest, WhoClosesByItselfWhileInDoubtHasClosed) {
  Hold();
  answers_ = false;
  Revoke("a");
  News();
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 1 0 1 0"));
  AnswerAll();
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 1 1 0; chat/web-7"));
}

TEST_F(HoldReceiptsTest, WithItsStreamGoneAHolderIsSilentOnceItsWordIsOver) {
  Hold();
  Revoke("a");
  NewsSoon();
  validator_->holds().Leave(holder_);
  // Also what nobody was told of: it left before.
  Revoke("b");
  EXPECT_THAT(News(), ElementsAre("12: 1 0 0 0"));
  EXPECT_THAT(NewsSoon(), ElementsAre("12: 0 1 0 0; chat/web-7"));
  Stay(absl::Seconds(29));
  EXPECT_THAT(News(), IsEmpty());
  Stay(absl::Seconds(1));
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 0 0 2; chat/web-7", "12: 0 0 0 1; chat/web-7"));
}

TEST_F(HoldReceiptsTest, AQuestionAnswersForEveryRevisionThatPutTheTokenInDoubt) {
  Hold();
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  Event(Changed("acme", ids_["a"]));
  Revoke("a");
  Event(Cohort("acme", "team-a"));
  EXPECT_THAT(News(), ElementsAre("11: 2 0 0 0", "12: 2 0 0 0", "13: 2 0 0 0", "14: 3 0 0 0"));
  answers_ = true;
  AnswerAll();
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 0 2 0 0; chat/web-7", "12: 0 2 0 0; chat/web-7",
                                      "13: 0 2 0 0; chat/web-7", "14: 0 2 0 0; chat/web-7"));
  // What has ended before is in doubt by nothing.
  Event(Changed("acme", ids_["a"]));
  EXPECT_THAT(News(), IsEmpty());
}

TEST_F(HoldReceiptsTest, ATokensDoubtsAreBounded) {
  Hold();
  answers_ = false;
  for (int i = 0; i < 40; ++i) Event(Changed("acme", ids_["a"]));
  pings_.clear();
  answers_ = true;
  grants_["a"].set_state(TOKEN_STATE_REVOKED);
  AnswerAll();
  const std::vector<std::string> news = NewsSoon();
  ASSERT_EQ(news.size(), 16u);
  EXPECT_EQ(news.front(), "11: 0 2 0 0; chat/web-7");
  EXPECT_EQ(news[14], "25: 0 2 0 0; chat/web-7");
  EXPECT_EQ(news.back(), "50: 0 2 0 0; chat/web-7");
}

TEST_F(HoldReceiptsTest, AHoldThatIsOpenedInDoubtCountsToo) {
  Hold();
  answers_ = false;
  Event(Changed("acme", ids_["a"]));
  EXPECT_THAT(News(), ElementsAre("11: 2 0 0 0"));
  answers_ = true;
  bool told = false;
  ASSERT_TRUE(validator_
                  ->OpenHold(holder_, 4, Token("b"), std::make_shared<const token::Requirement>(),
                             [&](const Decision& d, ValidateResponse* words) {
                               words->set_verdict(d.verdict);
                               if (std::exchange(told, true)) return;
                               answers_ = false;
                               Event(Changed("acme", ids_["b"]));
                             })
                  .ok());
  EXPECT_THAT(NewsSoon(), ElementsAre("12: 1 0 0 0", "12: 2 0 0 0"));
  answers_ = true;
  AnswerAll();
}

TEST_F(HoldReceiptsTest, NewsArePaced) {
  Hold();
  Revoke("a");
  Read();
  pings_.clear();
  clock_.Advance(absl::Milliseconds(50));
  Note(validator_->Tick());
  EXPECT_THAT(News(), IsEmpty());
  EXPECT_LE(wake_at_, clock_.Now() + absl::Milliseconds(150));
  clock_.Advance(absl::Milliseconds(150));
  Note(validator_->Tick());
  EXPECT_THAT(News(), ElementsAre("11: 0 2 0 0; chat/web-7"));
}

TEST_F(HoldReceiptsTest, TheLinkIsHurriedOnceForNews) {
  Hold();
  Revoke("a");
  NewsSoon();
  int hurried = 0;
  validator_->SetHurry([&hurried] { ++hurried; });
  ASSERT_TRUE(validator_->holds().Close(holder_, 1).ok());
  EXPECT_EQ(hurried, 1);
  ASSERT_TRUE(validator_->holds().Close(holder_, 2).ok());
  EXPECT_EQ(hurried, 1) << "one ping tells of both";
  NewsSoon();
  Revoke("b");
  NewsSoon();
  hurried = 0;
  ASSERT_TRUE(validator_->holds().Close(holder_, 3).ok());
  EXPECT_EQ(hurried, 1);
}

TEST_F(HoldReceiptsTest, AnotherStreamIsToldAnewAndAnotherHistoryNothing) {
  Hold();
  Revoke("a");
  EXPECT_THAT(NewsSoon(), ElementsAre("11: 2 0 0 0", "11: 0 2 0 0; chat/web-7"));
  const auto again = [this](bool reset) {
    Note(validator_->StreamClosed(stream_));
    clock_.Advance(absl::Seconds(1));
    stream_ = validator_->Tick().stream;
    validator_->StreamConnected(stream_);
    pings_.clear();
    Say(WelcomeMessage(epoch_, revision_, reset));
    return News();
  };
  EXPECT_THAT(again(false), ElementsAre("11: 0 2 0 0; chat/web-7"));
  answers_ = false;
  EXPECT_THAT(again(true), ElementsAre("11: 1 2 0 0; chat/web-7")) << "b is in doubt by the reset";
  epoch_ = "e2";
  revision_ = 30;
  EXPECT_THAT(again(true), IsEmpty());
  answers_ = true;
  AnswerAll();
}

// ---- The numbers alone.

TEST(HoldReceipts, NoRevisionIsAcknowledgedBeforeItsFirstNumbers) {
  HoldReceipts receipts;
  HoldReceipts::Doubts doubts;
  for (int64_t revision = 1; revision <= 250; ++revision) {
    doubts.push_back(receipts.Of(revision));
  }
  receipts.Move(doubts, Stand::kNone, Stand::kInDoubt, {});
  for (int64_t acknowledged : {100, 200, 300}) {
    Ping ping;
    ping.set_applied_revision(300);
    EXPECT_EQ(receipts.FillPing(&ping), acknowledged < 300);
    EXPECT_EQ(ping.applied_revision(), acknowledged);
    EXPECT_EQ(ping.ended_holds_size(), acknowledged < 300 ? 100 : 50);
  }
  EXPECT_FALSE(receipts.has_news());
  // What was told before holds up nothing, and gives way to what was not.
  receipts.Move(doubts, Stand::kInDoubt, Stand::kTold, "h");
  receipts.Move({receipts.Of(251)}, Stand::kNone, Stand::kInDoubt, {});
  Ping ping;
  ping.set_applied_revision(300);
  EXPECT_TRUE(receipts.FillPing(&ping));
  EXPECT_EQ(ping.applied_revision(), 300);
  EXPECT_EQ(ping.ended_holds(0).revision(), 251);
  EXPECT_EQ(ping.ended_holds_size(), 100);
}

TEST(HoldReceipts, WhatWasGoodBeforeAnybodyWasToldIsNoNews) {
  HoldReceipts receipts;
  const HoldReceipts::Doubts doubts = {receipts.Of(7)};
  receipts.Move(doubts, Stand::kNone, Stand::kInDoubt, {});
  receipts.Move(doubts, Stand::kInDoubt, Stand::kNone, {});
  Ping ping;
  EXPECT_FALSE(receipts.FillPing(&ping));
  EXPECT_EQ(ping.ended_holds_size(), 0);
  EXPECT_FALSE(receipts.has_news());
}

TEST(HoldReceipts, TheNewestRevisionsAreKept) {
  HoldReceipts receipts;
  for (int64_t revision = 1; revision <= 1000; ++revision) {
    receipts.Move({receipts.Of(revision)}, Stand::kNone, Stand::kInDoubt, {});
  }
  EXPECT_EQ(receipts.Of(5), nullptr);
  size_t told = 0;
  for (bool more = true; more;) {
    Ping ping;
    more = receipts.FillPing(&ping);
    told += static_cast<size_t>(ping.ended_holds_size());
    for (const EndedHolds& holds : ping.ended_holds()) EXPECT_GT(holds.revision(), 1000 - 256);
  }
  EXPECT_EQ(told, HoldReceipts::kMostRevisions);
}

TEST(HoldReceipts, WhatIsNoLongerKeptCountsForNothing) {
  HoldReceipts receipts;
  const HoldReceipts::Doubts old = {receipts.Of(7)};
  receipts.Move(old, Stand::kNone, Stand::kInDoubt, {}, 3);
  receipts.Reset("e2", 100);
  EXPECT_FALSE(receipts.has_news());
  receipts.Move({receipts.Of(7)}, Stand::kNone, Stand::kInDoubt, {});
  receipts.Move(old, Stand::kInDoubt, Stand::kTold, "h", 3);
  Ping ping;
  EXPECT_FALSE(receipts.FillPing(&ping));
  ASSERT_EQ(ping.ended_holds_size(), 1);
  EXPECT_EQ(Text(ping.ended_holds(0)), "7: 1 0 0 0");
  // The store went back below it.
  receipts.Reset("e2", 6);
  receipts.StreamEnded();
  EXPECT_FALSE(receipts.has_news());
}

TEST(HoldReceipts, OfManyWhoDoNotAnswerSomeAreNamed) {
  HoldReceipts receipts;
  const HoldReceipts::Doubts doubts = {receipts.Of(7)};
  for (int i = 0; i < 300; ++i) {
    receipts.Move(doubts, Stand::kNone, Stand::kInDoubt, {});
    receipts.Move(doubts, Stand::kInDoubt, Stand::kTold, absl::StrCat("h", i));
  }
  Ping ping;
  receipts.FillPing(&ping);
  EXPECT_EQ(ping.ended_holds(0).told(), 300);
  EXPECT_EQ(ping.ended_holds(0).unanswered_size(), 16);
  for (int i = 0; i < 300; ++i) {
    receipts.Move(doubts, Stand::kTold, Stand::kClosed, absl::StrCat("h", i));
  }
  ping.Clear();
  receipts.FillPing(&ping);
  EXPECT_EQ(Text(ping.ended_holds(0)), "7: 0 0 300 0");
}

}  // namespace
}  // namespace tollgate::validator
