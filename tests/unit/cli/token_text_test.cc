#include "cli/commands/token_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/proto_time.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1800000000);

TEST(RotationText, SaysWhatIsDue) {
  tollgate::v1::Token token;
  EXPECT_EQ(RotationText(token, kNow), "-");
  *token.mutable_rotation_due_time() = base::ToProto(kNow + absl::Hours(24 * 59));
  EXPECT_EQ(RotationText(token, kNow), "due in 59 days");
  *token.mutable_rotation_due_time() = base::ToProto(kNow - absl::Hours(24 * 3));
  EXPECT_EQ(RotationText(token, kNow), "overdue 3 days");
  token.set_state(tollgate::v1::TOKEN_STATE_RETIRING);
  *token.mutable_retire_plan()->mutable_at_time() = base::ToProto(kNow + absl::Hours(20));
  EXPECT_EQ(RotationText(token, kNow), "retires in 20 h");
  *token.mutable_retire_plan()->mutable_when_silent() = base::ToProto(absl::Hours(24));
  EXPECT_EQ(RotationText(token, kNow), "retires when silent for 24 h");
}

TEST(Times, RoundTripAlsoBeforeTheEpoch) {
  for (const absl::Time time :
       {kNow, absl::UnixEpoch() - absl::Nanoseconds(1), kNow + absl::Nanoseconds(7)}) {
    google::protobuf::Timestamp stamp;
    stamp = base::ToProto(time);
    EXPECT_GE(stamp.nanos(), 0);
    EXPECT_EQ(base::FromProto(stamp), time);
  }
}

TEST(TokenNameFrom, NeverEchoesATokenString) {
  const std::string secret = "tgw_" + std::string(65, 'x');
  const auto name = TokenNameFrom(secret, "acme");
  ASSERT_FALSE(name.ok());
  EXPECT_THAT(std::string(name.status().message()), testing::Not(HasSubstr(secret)));
}

TEST(TokenNameFrom, AsksForTheWorkspace) {
  EXPECT_EQ(*TokenNameFrom("4mXp81QzR0aYc7Ld", "acme"), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_EQ(*TokenNameFrom("4mXp81QzR0aYc7Ld", "workspaces/acme"),
            "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_EQ(*TokenNameFrom("workspaces/a/tokens/b", ""), "workspaces/a/tokens/b");
  EXPECT_THAT(std::string(TokenNameFrom("4mXp81QzR0aYc7Ld", "").status().message()),
              HasSubstr("-w WORKSPACE"));
}

TEST(ReceiptText, NamesWhoIsWaitedFor) {
  tollgate::v1::Receipt receipt;
  receipt.set_state(tollgate::v1::ENFORCEMENT_STATE_PENDING);
  receipt.set_acknowledged(198);
  receipt.set_pending_count(2);
  for (const char* id : {"edge-17", "edge-88"}) {
    auto* pending = receipt.add_pending();
    pending->set_validator(id);
    *pending->mutable_last_heard() = base::ToProto(absl::Seconds(4));
    *pending->mutable_lease_left() = base::ToProto(absl::Milliseconds(5900));
  }
  EXPECT_EQ(ReceiptText(receipt, absl::Milliseconds(11)),
            "enforced     198 of 200 edges   11 ms\n");
  EXPECT_EQ(
      WaitingText(receipt),
      "waiting      edge-17, edge-88: not heard from for 4.0 s, admit nothing after 5.9 s more\n");
  receipt.Clear();
  receipt.set_state(tollgate::v1::ENFORCEMENT_STATE_ENFORCED);
  receipt.set_acknowledged(198);
  receipt.set_lapsed(2);
  EXPECT_EQ(ReceiptText(receipt, absl::Milliseconds(6700)),
            "enforced     everywhere: 198 acknowledged, 2 lapsed   6.7 s\n");
}

TEST(ReceiptText, FakesNoLineOfItsOwn) {
  tollgate::v1::Receipt receipt;
  receipt.set_state(tollgate::v1::ENFORCEMENT_STATE_PENDING);
  receipt.add_not_covered("edge\nenforced     everywhere\x1b[2J");
  EXPECT_THAT(ReceiptText(receipt, absl::Milliseconds(11)),
              HasSubstr("fail-open: edge?enforced     everywhere?[2J\n"));
  receipt.set_hold("a restore\nenforced\x1b[2J");
  EXPECT_EQ(WaitingText(receipt), "waiting      a restore?enforced?[2J, 0.0 ms more\n");
}

TEST(LastAdmitText, NeverGuesses) {
  tollgate::v1::Receipt receipt;
  EXPECT_EQ(LastAdmitText(receipt), "");
  auto* known = receipt.add_last_admits();
  known->set_edge("payments/edge-3");
  *known->mutable_last_admit_time() = base::ToProto(kNow + absl::Milliseconds(120));
  auto* unknown = receipt.add_last_admits();
  unknown->set_edge("edge-17");
  unknown->set_unknown(true);
  EXPECT_EQ(LastAdmitText(receipt),
            "last admitted 2027-01-15 08:00:00.120 UTC at payments/edge-3; unknown for edge-17\n");
}

TEST(StillTriedText, TellsOfAttemptsSinceTheRevocationOnly) {
  tollgate::v1::ListTokenAttemptsResponse response;
  const auto add = [&](const char* edge, tollgate::v1::VerdictReason reason, int64_t count,
                       absl::Duration ago) {
    auto* row = response.add_attempts();
    row->set_edge(edge);
    row->set_reason(reason);
    row->set_count(count);
    *row->mutable_last_time() = base::ToProto(kNow - ago);
  };
  EXPECT_EQ(StillTriedText(response, kNow), "");
  add("edge-1", tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE, 7, absl::Seconds(1));
  EXPECT_EQ(StillTriedText(response, kNow), "");
  add("payments/edge-3", tollgate::v1::VERDICT_REASON_REVOKED, 1, absl::Seconds(4));
  EXPECT_EQ(StillTriedText(response, kNow),
            "still tried  1 time since, last 4 s ago at payments/edge-3\n");
  add("edge\n\x1b[2J", tollgate::v1::VERDICT_REASON_REVOKED, 2, absl::Seconds(-1));
  EXPECT_EQ(StillTriedText(response, kNow),
            "still tried  3 times since, last just now at edge??[2J\n");
}

TEST(RefusalText, SaysItInWords) {
  EXPECT_EQ(RefusalText(tollgate::v1::VERDICT_REASON_REVOKED), "revoked");
  EXPECT_EQ(RefusalText(tollgate::v1::VERDICT_REASON_INSUFFICIENT_SCOPE), "insufficient scope");
  EXPECT_EQ(RefusalText(static_cast<tollgate::v1::VerdictReason>(99)), "reason 99");
}

}  // namespace
}  // namespace tollgate::cli
