#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/feed/ledger/last_admissions.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using tollgate::v1::LastAdmit;
using tollgate::v1::Receipt;

constexpr char kToken[] = "workspaces/acme/tokens/4mXp81QzR0aYc7Ld";

absl::Time At(int64_t seconds) { return absl::FromUnixSeconds(seconds); }

void Said(Receipt* receipt, const std::string& edge, int64_t seconds) {
  LastAdmit* admit = receipt->add_last_admits();
  admit->set_token(kToken);
  admit->set_edge(edge);
  if (seconds > 0) admit->mutable_last_admit_time()->set_seconds(seconds);
}
void NotSaid(Receipt* receipt, const std::string& edge) {
  LastAdmit* admit = receipt->add_last_admits();
  admit->set_token(kToken);
  admit->set_edge(edge);
  admit->set_unknown(true);
}
EdgeUseRow Reported(const std::string& edge, int64_t seconds) {
  EdgeUseRow row;
  row.edge = edge;
  row.last_used = At(seconds);
  return row;
}

// "edge@time", "edge@never", "edge@?".
std::vector<std::string> Rows(const Receipt& receipt) {
  std::vector<std::string> rows;
  for (const LastAdmit& admit : receipt.last_admits()) {
    EXPECT_EQ(admit.token(), kToken);
    EXPECT_FALSE(admit.unknown() && admit.has_last_admit_time()) << "no guess is made";
    rows.push_back(absl::StrCat(admit.edge(), "@",
                                admit.unknown() ? "?"
                                : admit.has_last_admit_time()
                                    ? absl::StrCat(admit.last_admit_time().seconds())
                                    : "never"));
  }
  return rows;
}

TEST(CompleteLastAdmits, TakesTheLaterOfEvidenceAndReport) {
  Receipt receipt;
  Said(&receipt, "said-later", 500);
  Said(&receipt, "reported-later", 300);
  Said(&receipt, "never-admitted", 0);
  CompleteLastAdmits(kToken,
                     {Reported("said-later", 400), Reported("reported-later", 450),
                      Reported("only-reported", 200)},
                     {}, At(100), &receipt);
  EXPECT_THAT(Rows(receipt), ElementsAre("said-later@500", "reported-later@450",
                                         "only-reported@200", "never-admitted@never"));
}

TEST(CompleteLastAdmits, WhatWasNotSaidStaysUnknownWhateverWasReported) {
  Receipt receipt;
  NotSaid(&receipt, "lapsed");
  CompleteLastAdmits(kToken, {Reported("lapsed", 450)}, {}, At(100), &receipt);
  EXPECT_THAT(Rows(receipt), ElementsAre("lapsed@?"));
}

TEST(CompleteLastAdmits, AnEdgeWithTwoProcessesIsUnknownWhereOneOfThemIs) {
  Receipt receipt;
  Said(&receipt, "twin", 500);
  NotSaid(&receipt, "twin");
  CompleteLastAdmits(kToken, {}, {}, At(100), &receipt);
  EXPECT_THAT(Rows(receipt), ElementsAre("twin@?"));
}

TEST(CompleteLastAdmits, AGapCountsWhereItCouldHideTheLastAdmission) {
  Receipt receipt;
  Said(&receipt, "edge", 500);
  const std::vector<EdgeUseRow> uses = {Reported("crashed", 300)};
  // Before the last known admission, or before the token was there, it could not.
  CompleteLastAdmits(kToken, uses, {{"crashed", At(400)}}, At(100), &receipt);
  EXPECT_THAT(Rows(receipt), ElementsAre("edge@500", "crashed@300"));
  CompleteLastAdmits(kToken, uses, {{"crashed", At(600)}, {"elsewhere", At(700)}}, At(100),
                     &receipt);
  EXPECT_THAT(Rows(receipt), ElementsAre("edge@500", "crashed@?", "elsewhere@?"));
  Receipt fresh;
  CompleteLastAdmits(kToken, {}, {{"crashed", At(90)}}, At(100), &fresh);
  EXPECT_THAT(Rows(fresh), IsEmpty());
}

TEST(CompleteLastAdmits, IsBounded) {
  Receipt receipt;
  std::vector<EdgeUseRow> uses;
  for (int i = 0; i < 500; ++i) uses.push_back(Reported(absl::StrCat("edge-", i), 1000 + i));
  CompleteLastAdmits(kToken, uses, {}, At(100), &receipt);
  EXPECT_EQ(receipt.last_admits_size(), 100);
  EXPECT_EQ(receipt.last_admits(0).edge(), "edge-499") << "the latest first";
}

TEST(KeepUnknownLastAdmits, LeavesNoHalfOfTheTruth) {
  Receipt receipt;
  Said(&receipt, "said", 500);
  NotSaid(&receipt, "lapsed");
  Said(&receipt, "never-admitted", 0);
  KeepUnknownLastAdmits(&receipt);
  EXPECT_THAT(Rows(receipt), ElementsAre("lapsed@?"));
}

}  // namespace
}  // namespace tollgate::service
