// What is kept of what edges say became of holds, and what a receipt tells of it.
#include "service/feed/ledger/hold_reports.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "token/token_string.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

lease::SessionId Id(const std::string& validator, char incarnation = 'a') {
  return {validator, std::string(16, incarnation)};
}

std::string TokenString() {
  base::SeededRandom random(7);
  return std::string(
      token::TokenFormat().Mint(token::TokenKind::kWorkspace, random).token_string.RevealSecret());
}

struct Numbers {
  int64_t in_doubt = 0, told = 0, closed = 0, silent = 0;
};

void Add(int64_t revision, Numbers numbers, std::vector<std::string> unanswered, v1::Ping* ping) {
  v1::EndedHolds* ended = ping->add_ended_holds();
  ended->set_revision(revision);
  ended->set_in_doubt(numbers.in_doubt);
  ended->set_told(numbers.told);
  ended->set_closed(numbers.closed);
  ended->set_silent(numbers.silent);
  for (std::string& name : unanswered) ended->add_unanswered(std::move(name));
}

class HoldReportsTest : public ::testing::Test {
 protected:
  void Say(const lease::SessionId& id, int64_t revision, Numbers numbers,
           std::vector<std::string> unanswered = {}) {
    v1::Ping ping;
    Add(revision, numbers, std::move(unanswered), &ping);
    reports_.Remember(id, ping);
  }
  v1::Receipt Receipt(int64_t revision) const {
    v1::Receipt receipt;
    reports_.AddTo(revision, &receipt);
    return receipt;
  }
  // "open/closed/silent".
  std::string Sums(int64_t revision) const {
    const v1::Receipt receipt = Receipt(revision);
    return absl::StrCat(receipt.holds_open(), "/", receipt.holds_closed(), "/",
                        receipt.holds_silent());
  }
  std::vector<std::string> Edges(int64_t revision) const {
    std::vector<std::string> edges;
    const v1::Receipt receipt = Receipt(revision);
    for (const v1::EdgeHolds& row : receipt.edge_holds()) edges.push_back(row.edge());
    return edges;
  }

  HoldReports reports_{/*max_reports=*/1000};
};

TEST_F(HoldReportsTest, SumsAndRowsAreOfTheirRevision) {
  Say(Id("payments/edge-3"), 184, {1, 2, 30, 4}, {"chat/web-7", "unnamed"});
  Say(Id("payments/edge-4"), 184, {0, 0, 5, 0});
  Say(Id("payments/edge-3"), 185, {7, 0, 0, 0});
  EXPECT_EQ(Sums(184), "3/35/4");
  EXPECT_EQ(Sums(185), "7/0/0");
  EXPECT_EQ(Sums(183), "0/0/0");
  EXPECT_THAT(Edges(183), IsEmpty());
  ASSERT_THAT(Edges(184), ElementsAre("payments/edge-3", "payments/edge-4"));
  const v1::EdgeHolds row = Receipt(184).edge_holds(0);
  EXPECT_EQ(row.in_doubt(), 1);
  EXPECT_EQ(row.told(), 2);
  EXPECT_EQ(row.closed(), 30);
  EXPECT_EQ(row.silent(), 4);
  EXPECT_THAT(row.unanswered(), ElementsAre("chat/web-7", "unnamed"));
  EXPECT_FALSE(row.gone());
}

TEST_F(HoldReportsTest, TheNewestReportReplaces) {
  Say(Id("a"), 184, {10, 0, 0, 0});
  EXPECT_TRUE(reports_.AnyOpen(184));
  EXPECT_FALSE(reports_.AnyOpen(185));
  const uint64_t before = reports_.closings();
  Say(Id("a"), 184, {0, 3, 6, 0}, {"chat/web-7"});
  EXPECT_EQ(Sums(184), "3/6/0");
  EXPECT_TRUE(reports_.AnyOpen(184));
  Say(Id("a"), 184, {0, 0, 8, 1}, {"chat/web-7"});
  EXPECT_EQ(Sums(184), "0/8/1");
  EXPECT_FALSE(reports_.AnyOpen(184));
  EXPECT_GT(reports_.closings(), before);
  // All of them turned out to be still good.
  Say(Id("a"), 184, {});
  EXPECT_THAT(Edges(184), IsEmpty());
  EXPECT_EQ(reports_.size(), 0u);
}

TEST_F(HoldReportsTest, OneOpenHoldAnywhereIsOne) {
  Say(Id("a"), 184, {1, 0, 0, 0});
  Say(Id("b"), 184, {0, 1, 0, 0});
  Say(Id("a"), 184, {0, 0, 1, 0});
  EXPECT_TRUE(reports_.AnyOpen(184));
  const uint64_t before = reports_.closings();
  Say(Id("b"), 184, {0, 0, 0, 1});
  EXPECT_FALSE(reports_.AnyOpen(184));
  EXPECT_GT(reports_.closings(), before) << "whoever waits looks again";
}

TEST_F(HoldReportsTest, WhatWasOpenWhenTheWordsEndedIsSilent) {
  Say(Id("gone"), 184, {2, 3, 5, 1}, {"chat/web-7"});
  Say(Id("gone"), 185, {0, 0, 4, 0});
  const uint64_t before = reports_.closings();
  reports_.EndWords(Id("gone"));
  EXPECT_GT(reports_.closings(), before);
  EXPECT_FALSE(reports_.AnyOpen(184));
  EXPECT_EQ(Sums(184), "0/5/6");
  v1::EdgeHolds row = Receipt(184).edge_holds(0);
  EXPECT_TRUE(row.gone());
  EXPECT_EQ(row.in_doubt(), 2) << "as it said last";
  EXPECT_EQ(row.told(), 3);
  EXPECT_EQ(row.silent(), 1);
  EXPECT_THAT(row.unanswered(), ElementsAre("chat/web-7"));
  EXPECT_FALSE(Receipt(185).edge_holds(0).gone()) << "it had said what became of all of them";
  // It was only cut off, and says more.
  Say(Id("gone"), 184, {0, 1, 9, 1}, {"chat/web-7"});
  EXPECT_EQ(Sums(184), "1/9/1");
  EXPECT_FALSE(Receipt(184).edge_holds(0).gone());
  reports_.EndWords(Id("nobody"));
}

TEST_F(HoldReportsTest, OpenOnesComeFirstThenSilentOnesThenTheRest) {
  Say(Id("a-closed"), 184, {0, 0, 9, 0});
  Say(Id("b-silent"), 184, {0, 0, 0, 1});
  Say(Id("c-gone"), 184, {1, 0, 0, 0});
  reports_.EndWords(Id("c-gone"));
  Say(Id("d-open"), 184, {0, 1, 0, 0});
  Say(Id("e-open"), 184, {1, 0, 0, 0});
  EXPECT_THAT(Edges(184), ElementsAre("d-open", "e-open", "b-silent", "c-gone", "a-closed"));
}

TEST_F(HoldReportsTest, AHundredEdgesAreNamedAndAllAreCounted) {
  for (int i = 0; i < 150; ++i) Say(Id(absl::StrCat("edge-", i)), 184, {0, 1, 1, 0});
  EXPECT_EQ(Receipt(184).edge_holds_size(), 100);
  EXPECT_EQ(Sums(184), "150/150/0");
}

TEST_F(HoldReportsTest, TwoProcessesOfOneEdgeHaveARowEach) {
  Say(Id("a", '1'), 184, {0, 2, 0, 0});
  Say(Id("a", '2'), 184, {0, 0, 3, 0});
  reports_.EndWords(Id("a", '1'));
  EXPECT_THAT(Edges(184), ElementsAre("a", "a"));
  EXPECT_EQ(Sums(184), "0/3/2");
}

TEST_F(HoldReportsTest, I5NoNumberOfAPeersBreaksASum) {
  for (int i = 0; i < 500; ++i) {
    Say(Id(absl::StrCat("edge-", i)), 184, {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX});
  }
  Say(Id("below"), 184, {-1, INT64_MIN, -1, -1});
  const v1::Receipt receipt = Receipt(184);
  EXPECT_GT(receipt.holds_open(), receipt.holds_closed());
  EXPECT_GT(receipt.holds_closed(), 0);
  EXPECT_EQ(reports_.size(), 500u) << "below nothing is nothing";
  for (const int64_t revision : {int64_t{0}, int64_t{-1}, INT64_MIN, INT64_MAX}) {
    Say(Id("odd"), revision, {1, 0, 0, 0});
  }
  EXPECT_EQ(reports_.size(), 500u);
}

TEST_F(HoldReportsTest, I5NamesThatNoHolderCanHaveAreNotKept) {
  std::vector<std::string> names = {
      std::string(1 << 20, 'a'), std::string(129, 'a'), "two words", "\x1b[2J", "", TokenString(),
      std::string(128, 'b')};
  for (int i = 0; i < 50; ++i) names.push_back(absl::StrCat("chat/web-", i));
  Say(Id("a"), 184, {0, 57, 0, 0}, names);
  const v1::EdgeHolds row = Receipt(184).edge_holds(0);
  ASSERT_EQ(row.unanswered_size(), 16);
  EXPECT_EQ(row.unanswered(0), std::string(128, 'b'));
  EXPECT_EQ(row.unanswered(15), "chat/web-14");
}

TEST_F(HoldReportsTest, I5APingCarriesAHundredReports) {
  v1::Ping ping;
  for (int i = 1; i <= 150; ++i) Add(i, {0, 0, 1, 0}, {}, &ping);
  reports_.Remember(Id("a"), ping);
  EXPECT_EQ(reports_.size(), 100u);
  EXPECT_EQ(Sums(100), "0/1/0");
  EXPECT_EQ(Sums(101), "0/0/0");
}

TEST_F(HoldReportsTest, I5ASessionThatSaysTooMuchLosesItsOwnOldest) {
  Say(Id("a"), 1, {1, 0, 0, 0});
  Say(Id("b"), 1, {0, 0, 2, 0});
  for (int r = 2; r <= 300; ++r) Say(Id("a"), r, {0, 0, 1, 0});
  EXPECT_EQ(reports_.size(), HoldReports::kMaxOfSession + 1);
  EXPECT_EQ(Sums(1), "1/2/0") << "what is open stays longest";
  EXPECT_EQ(Sums(2), "0/0/0");
  EXPECT_EQ(Sums(300), "0/1/0");
  // Nothing but open ones: then the oldest of those.
  for (int r = 301; r <= 600; ++r) Say(Id("a"), r, {1, 0, 0, 0});
  EXPECT_EQ(Sums(1), "0/2/0");
  EXPECT_FALSE(reports_.AnyOpen(1));
  EXPECT_TRUE(reports_.AnyOpen(600));
  EXPECT_EQ(reports_.size(), HoldReports::kMaxOfSession + 1);
}

TEST_F(HoldReportsTest, I5AboveAllBoundsWhoSaysMostLosesFirst) {
  HoldReports few(/*max_reports=*/10);
  const auto say = [&few](const char* id, int64_t revision) {
    v1::Ping ping;
    Add(revision, {0, 0, 1, 0}, {}, &ping);
    few.Remember(Id(id), ping);
  };
  say("quiet", 1);
  for (int r = 1; r <= 50; ++r) say("loud", r);
  say("late", 1);
  EXPECT_EQ(few.size(), 10u);
  v1::Receipt receipt;
  few.AddTo(1, &receipt);
  ASSERT_EQ(receipt.edge_holds_size(), 2);
  EXPECT_EQ(receipt.edge_holds(0).edge(), "late");
  EXPECT_EQ(receipt.edge_holds(1).edge(), "quiet");
  few.AddTo(50, &receipt);
  EXPECT_EQ(receipt.edge_holds(2).edge(), "loud") << "its newest";
}

TEST_F(HoldReportsTest, AForgottenSessionLeavesNothing) {
  Say(Id("a"), 184, {1, 0, 0, 0});
  Say(Id("a"), 185, {0, 0, 1, 0});
  Say(Id("b"), 185, {0, 0, 1, 0});
  const uint64_t before = reports_.closings();
  reports_.Forget(Id("a"));
  reports_.Forget(Id("nobody"));
  EXPECT_EQ(reports_.size(), 1u);
  EXPECT_FALSE(reports_.AnyOpen(184));
  EXPECT_GT(reports_.closings(), before);
  EXPECT_EQ(Sums(185), "0/1/0");
}

}  // namespace
}  // namespace tollgate::service
