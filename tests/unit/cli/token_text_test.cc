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

TEST(AlreadyText, SaysWhatIsSinceWhenByWhomAndWhy) {
  tollgate::v1::Token token;
  token.set_state(tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(AlreadyText(token, kNow), "was not suspended: it is active");
  token.set_state(tollgate::v1::TOKEN_STATE_SUSPENDED);
  EXPECT_EQ(AlreadyText(token, kNow), "was suspended already") << "of an older service";
  *token.mutable_suspend_time() = base::ToProto(kNow);
  token.set_suspended_by("ops");
  token.set_reason("under\x1b attack");
  EXPECT_EQ(AlreadyText(token, kNow), "was suspended already, just now, by ops: under? attack");
  token.set_state(tollgate::v1::TOKEN_STATE_REVOKED);
  token.clear_suspend_time();
  token.clear_suspended_by();
  token.set_reason("in a gist");
  auto* end = token.mutable_end();
  end->set_cause(tollgate::v1::END_CAUSE_REVOKED);
  *end->mutable_time() = base::ToProto(kNow - absl::Hours(3));
  end->set_actor("ops");
  EXPECT_EQ(AlreadyText(token, kNow), "was revoked already, 3 h ago, by ops: in a gist");
  EXPECT_EQ(NoChangeText(token, 184, "in a gist", kNow),
            "no change    revision 184   was revoked already, 3 h ago, by ops: in a gist\n");
  EXPECT_THAT(NoChangeText(token, 184, "in a log, too", kNow),
              HasSubstr("\nnoted        the reason given now, in the audit log\n"));
  end->set_cause(tollgate::v1::END_CAUSE_COHORT);
  EXPECT_THAT(AlreadyText(token, kNow), HasSubstr("was revoked already, with others, 3 h ago"));
  token.set_state(tollgate::v1::TOKEN_STATE_EXPIRED);
  end->set_cause(tollgate::v1::END_CAUSE_UNUSED);
  end->clear_actor();
  EXPECT_EQ(AlreadyText(token, kNow), "had expired already, unused, 3 h ago");
  end->set_cause(tollgate::v1::END_CAUSE_EXPIRED);
  EXPECT_EQ(AlreadyText(token, kNow), "had expired already, 3 h ago");
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
  EXPECT_EQ(*TokenNameFrom("workspaces/a/tokens/4mXp81QzR0aYc7Ld", ""),
            "workspaces/a/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_THAT(std::string(TokenNameFrom("4mXp81QzR0aYc7Ld", "").status().message()),
              HasSubstr("-w WORKSPACE"));
}

// What is wrong is said in the words of whoever typed it, before the service is asked.
TEST(TokenNameFrom, SaysWhatIsNoId) {
  const auto refusal = [](const std::string& typed, const std::string& workspace) {
    return std::string(TokenNameFrom(typed, workspace).status().message());
  };
  EXPECT_EQ(
      refusal("deploy", "acme"),
      "'deploy' is no token's id: that is 16 letters and digits. 'tollgate token list -w acme' "
      "shows those that there are");
  EXPECT_EQ(refusal("workspaces/acme/tokens/deploy", ""), refusal("deploy", "acme"));
  EXPECT_THAT(refusal("deploy\n", ""), HasSubstr("'tollgate token list' shows"));
  EXPECT_EQ(refusal("acme/4mXp81QzR0aYc7Ld", ""),
            "write 4mXp81QzR0aYc7Ld -w acme, or the full name, "
            "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_THAT(refusal("workspaces/Acme/tokens/4mXp81QzR0aYc7Ld", ""),
              HasSubstr("Did you mean acme?"));
  EXPECT_EQ(refusal("workspaces/acme", ""),
            "a token's full name is workspaces/WORKSPACE/tokens/ID");
  const std::string part = "tgw_" + std::string(30, 'x');
  EXPECT_THAT(refusal(part, "acme"), testing::Not(HasSubstr("xxxx")));
}

TEST(ParentFrom, SaysWhatIsNoName) {
  EXPECT_EQ(*ParentFrom("workspaces/acme"), "workspaces/acme");
  EXPECT_EQ(ParentFrom("Acme").status().message(),
            "'Acme' is no workspace's name: that is 1 to 63 of a-z, 0-9 and '-', not beginning or "
            "ending with '-'. Did you mean acme?");
  EXPECT_THAT(std::string(ParentFrom("a_b").status().message()), testing::Not(HasSubstr("mean")));
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

TEST(ReceiptText, NamesTheLapsedAlsoThoseOfBefore) {
  tollgate::v1::Receipt receipt;
  receipt.set_state(tollgate::v1::ENFORCEMENT_STATE_ENFORCED);
  receipt.set_acknowledged(198);
  receipt.set_missing_count(1);
  receipt.add_missing_validators("search/edge-10");
  EXPECT_EQ(ReceiptText(receipt, absl::Milliseconds(200)),
            "enforced     everywhere: 198 acknowledged, 1 lapsed (search/edge-10)   200 ms\n");
  receipt.set_lapsed(1);
  receipt.add_lapsed_validators("search/edge-9");
  EXPECT_EQ(ReceiptText(receipt, absl::Milliseconds(200)),
            "enforced     everywhere: 198 acknowledged, 2 lapsed (search/edge-9, search/edge-10)   "
            "200 ms\n");
  receipt.set_missing_count(300);
  for (int i = 0; i < 99; ++i) receipt.add_missing_validators("edge\x1b" + std::to_string(i));
  EXPECT_THAT(ReceiptText(receipt, absl::Milliseconds(200)),
              testing::HasSubstr("301 lapsed (search/edge-9, search/edge-10, edge?0, edge?1, "
                                 "edge?2 and 296 more)"));
  receipt.set_state(tollgate::v1::ENFORCEMENT_STATE_PENDING);
  receipt.set_pending_count(2);
  EXPECT_THAT(ReceiptText(receipt, absl::Milliseconds(200)),
              testing::HasSubstr("499 of 501 edges"));
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

// One edge more in a receipt, and in its sums.
tollgate::v1::EdgeHolds* AddHolds(const char* edge, int64_t in_doubt, int64_t told, int64_t closed,
                                  int64_t silent, bool gone, tollgate::v1::Receipt* receipt) {
  tollgate::v1::EdgeHolds* row = receipt->add_edge_holds();
  row->set_edge(edge);
  row->set_in_doubt(in_doubt);
  row->set_told(told);
  row->set_closed(closed);
  row->set_silent(silent);
  row->set_gone(gone);
  const int64_t open = in_doubt + told;
  receipt->set_holds_open(receipt->holds_open() + (gone ? 0 : open));
  receipt->set_holds_closed(receipt->holds_closed() + closed);
  receipt->set_holds_silent(receipt->holds_silent() + silent + (gone ? open : 0));
  return row;
}

TEST(HoldsText, SaysWhatBecameOfThemAndWhoHasNotAnswered) {
  tollgate::v1::Receipt receipt;
  EXPECT_EQ(HoldsText(receipt), "") << "nothing where there are none";
  EXPECT_EQ(HoldsText(receipt, absl::Milliseconds(48)), "");
  AddHolds("payments/edge-4", 0, 0, 3, 0, false, &receipt);
  EXPECT_EQ(HoldsText(receipt), "holds        3 closed\n");
  EXPECT_EQ(HoldsText(receipt, absl::Milliseconds(48)), "holds        3 closed   48 ms\n");
  auto* told = AddHolds("payments/edge-3", 0, 1, 0, 0, false, &receipt);
  told->add_unanswered("chat/web-7");
  EXPECT_EQ(HoldsText(receipt),
            "holds        3 closed, 1 told and not answered (chat/web-7 at payments/edge-3)\n");
  AddHolds("edge-1", 5, 0, 0, 0, false, &receipt);
  auto* silent = AddHolds("edge-2", 0, 0, 1, 2, false, &receipt);
  silent->add_unanswered("a");
  silent->add_unanswered("unnamed");
  auto* gone = AddHolds("edge-9", 1, 1, 0, 0, true, &receipt);
  gone->add_unanswered("b");
  EXPECT_EQ(
      HoldsText(receipt),
      "holds        4 closed, 5 not decided yet (edge-1), 1 told and not answered (chat/web-7 "
      "at payments/edge-3), 4 silent, their word has run out (a, unnamed at edge-2; b at "
      "edge-9, which is gone)\n");
}

TEST(HoldsText, CountsAlsoWhatIsNotNamed) {
  tollgate::v1::Receipt receipt;
  for (int i = 0; i < 7; ++i) {
    AddHolds("edge", 0, 1, 0, 0, false, &receipt)->add_unanswered("chat/web-7");
  }
  receipt.set_holds_open(9);  // those of the edges beyond the hundredth
  receipt.set_holds_silent(1);
  const std::string at = "chat/web-7 at edge";
  EXPECT_EQ(HoldsText(receipt), "holds        7 told and not answered (" + at + "; " + at + "; " +
                                    at + "; " + at + "; " + at +
                                    "; and 2 more edges), 2 more open, 1 silent, its word has run "
                                    "out\n");
}

TEST(HoldsText, NamesWhoseHoldsAreNotCoveredAndFakesNoLine) {
  tollgate::v1::Receipt receipt;
  receipt.add_holds_not_covered("edge-3");
  receipt.add_holds_not_covered("edge\nenforced\x1b[2J");
  EXPECT_EQ(HoldsText(receipt),
            "not covered  holds kept past the lease: edge-3, edge?enforced?[2J\n");
  receipt.clear_holds_not_covered();
  AddHolds("edge\n\x1b[2J", 0, 1, 0, 0, false, &receipt)->add_unanswered("a\nb");
  EXPECT_EQ(HoldsText(receipt), "holds        1 told and not answered (a?b at edge??[2J)\n");
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
