#include "validator/core/validator.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/core/allocation_count.h"
#include "tests/unit/validator/core/edge_fixture.h"

namespace tollgate::validator {
namespace {

using namespace tollgate::v1;  // NOLINT: the enumerators are long

struct Asked {
  ResolveRequest request;
  std::function<void(absl::StatusOr<ResolveResponse>)> answer;
};

constexpr int64_t kServiceNow = 2'000'000'000;  // what Pongs say, in seconds

// Lets something happen once, while a decision reads the clocks.
class HookedClock : public HandClock {
 public:
  absl::Time WallNow() const override {
    if (hook) std::exchange(hook, nullptr)();
    return HandClock::WallNow();
  }
  mutable std::function<void()> hook;
};

// Mints tokens of one public id, each with another secret.
class OneIdRandom : public base::Random {
 public:
  void Fill(absl::Span<uint8_t> out) override {
    std::fill(out.begin(), out.end(), uint8_t{0});
    out[0] = out.size() == 32 ? ++secrets_ : 200;
  }

 private:
  uint8_t secrets_ = 0;
};

class ValidatorTest : public ::testing::Test {
 protected:
  ValidatorTest() : random_(5) {
    options_.follower.validator_id = "edge-1";
    options_.cache = {64, 8, 64};
  }
  void Make() {
    auto made = Validator::Create(options_, clock_, random_,
                                  [this](const ResolveRequest& request, auto answer) {
                                    asked_.push_back({request, std::move(answer)});
                                  });
    ASSERT_TRUE(made.ok()) << made.status();
    validator_ = std::move(*made);
  }
  // A validator at (e1, 10) with a lease of 30 s from now.
  void MakeLive() {
    Make();
    Connect();
    Say(WelcomeMessage("e1", 10, true));
    Say(PongMessage(sequence_, 10, 30, kServiceNow));
    ASSERT_EQ(validator_->Status().lease, LeaseState::kLive);
  }
  void Connect() {
    auto a = stream_ == 0 ? validator_->Start() : validator_->Tick();
    ASSERT_TRUE(a.connect);
    stream_ = a.stream;
    validator_->StreamConnected(stream_);
  }
  FollowerActions Say(const FollowResponse& m) {
    return Noted(validator_->StreamMessage(stream_, m));
  }
  FollowerActions Noted(FollowerActions a) {
    for (const auto& m : a.send) {
      if (m.has_ping()) sequence_ = m.ping().sequence();
    }
    return a;
  }
  std::string Mint(std::string* id) {
    auto minted = token::TokenFormat().Mint(token::TokenKind::kWorkspace, random_);
    *id = minted.public_id;
    return std::string(minted.token_string.RevealSecret());
  }
  ResolveResponse AnswerFor(const Grant& grant, int64_t revision = 10) {
    ResolveResponse r;
    r.set_epoch("e1");
    r.set_revision(revision);
    *r.mutable_grant() = grant;
    return r;
  }
  ResolveResponse UnknownAnswer(int64_t revision = 10) {
    ResolveResponse r;
    r.set_epoch("e1");
    r.set_revision(revision);
    r.set_unknown(true);
    return r;
  }
  // Decides, answering the one question with `answer`.
  Decision Ask(const std::string& token, const absl::StatusOr<ResolveResponse>& answer,
               const token::Requirement& requirement = {}) {
    Decision decision;
    int calls = 0;
    validator_->CheckAsync(token, requirement, [&](const Decision& d) {
      decision = d;
      ++calls;
    });
    if (!asked_.empty()) {
      auto asked = std::exchange(asked_, {});
      EXPECT_EQ(asked.size(), 1u);
      asked[0].answer(answer);
    }
    EXPECT_EQ(calls, 1);
    return decision;
  }
  // From memory alone.
  VerdictReason Reason(const std::string& token, const token::Requirement& requirement = {}) {
    Decision d;
    if (!validator_->Check(token, requirement, &d)) return static_cast<VerdictReason>(-1);
    verdict_ = d.verdict;
    return d.reason;
  }
  static constexpr VerdictReason kMiss = static_cast<VerdictReason>(-1);

  HookedClock clock_;
  SharedSeededRandom random_;
  ValidatorOptions options_;
  std::vector<Asked> asked_;
  std::unique_ptr<Validator> validator_;
  uint64_t stream_ = 0;
  uint64_t sequence_ = 0;
  Verdict verdict_ = VERDICT_UNSPECIFIED;
};

TEST_F(ValidatorTest, AsksOnceThenAdmitsFromMemory) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  EXPECT_EQ(Reason(token), kMiss);
  const Decision d = Ask(token, AnswerFor(GrantFor("acme", id)), {{"deploy:write"}, {}, ""});
  EXPECT_TRUE(d.admitted());
  token::GrantView who;
  ASSERT_TRUE(d.ReadIdentity(&who));
  EXPECT_EQ(who.workspace(), "acme");
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
  EXPECT_EQ(verdict_, VERDICT_ADMIT);
  EXPECT_EQ(validator_->Totals().admitted, 2);
  EXPECT_EQ(validator_->Totals().from_memory, 1);
  EXPECT_EQ(validator_->Totals().misses, 1);
}

TEST_F(ValidatorTest, TheQuestionHoldsTheDigestAndNothingElseOfTheToken) {  // I6
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  validator_->CheckAsync(token, {}, [](const Decision&) {});
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0].request.edge_digest(), token::EdgeDigest::Of(token).bytes());
  EXPECT_EQ(asked_[0].request.applied_revision(), 10);
  EXPECT_EQ(asked_[0].request.SerializeAsString().find(token.substr(20, 20)), std::string::npos);
  asked_[0].answer(absl::UnavailableError(""));
}

TEST_F(ValidatorTest, WhatIsNoTokenIsRefusedWithoutAQuestion) {
  Make();
  Connect();
  Say(WelcomeMessage("e1", 10, true));  // no lease either
  std::string id;
  std::string token = Mint(&id);
  EXPECT_EQ(Reason(""), VERDICT_REASON_NO_TOKEN);
  EXPECT_EQ(Reason("Bearer"), VERDICT_REASON_MALFORMED);
  token.back() = token.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(Reason(token), VERDICT_REASON_MALFORMED);
  EXPECT_EQ(verdict_, VERDICT_DENY);
  EXPECT_TRUE(asked_.empty());
}

// A string is looked up before it is parsed: that must not show.
TEST_F(ValidatorTest, WhatIsMalformedIsSoBesideAHeldTokenToo) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  const auto all_are_malformed = [&] {
    for (size_t i = 0; i < token.size(); ++i) {
      for (const char c : {'a', 'b', '-', '\0', '\xff'}) {
        std::string bad = token;
        bad[i] = c;
        if (bad == token) continue;
        ASSERT_EQ(Reason(bad), VERDICT_REASON_MALFORMED) << i;
        ASSERT_EQ(verdict_, VERDICT_DENY);
      }
    }
  };
  const int64_t before = validator_->Totals().from_memory;
  all_are_malformed();
  EXPECT_GT(validator_->Totals().from_memory, before + 300);
  EXPECT_EQ(Ask(std::string(token.size(), 'x'), UnknownAnswer()).reason, VERDICT_REASON_MALFORMED);
  EXPECT_EQ(validator_->Totals().misses, 1);
  clock_.Advance(absl::Seconds(31));  // nor is a lease needed
  all_are_malformed();
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
}

TEST_F(ValidatorTest, AnotherSecretUnderAHeldIdIsAnotherString) {
  MakeLive();
  OneIdRandom random;
  const auto first = token::TokenFormat().Mint(token::TokenKind::kWorkspace, random);
  const auto second = token::TokenFormat().Mint(token::TokenKind::kWorkspace, random);
  ASSERT_EQ(first.public_id, second.public_id);
  const std::string token(first.token_string.RevealSecret());
  const std::string other(second.token_string.RevealSecret());
  ASSERT_NE(token, other);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", first.public_id))).admitted());
  EXPECT_EQ(Reason(other), kMiss);
  EXPECT_EQ(Ask(other, UnknownAnswer()).reason, VERDICT_REASON_UNKNOWN);
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
  EXPECT_EQ(Reason(other), VERDICT_REASON_UNKNOWN);
}

TEST_F(ValidatorTest, TheLeaseIsReadAfterTheClocks) {  // R13
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  clock_.hook = [&] { validator_->StopAdmitting(); };
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
}

TEST_F(ValidatorTest, TheEntryIsReadAfterTheClocks) {  // R13
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  Grant suspended = GrantFor("acme", id);
  suspended.set_state(TOKEN_STATE_SUSPENDED);
  ASSERT_EQ(Ask(token, AnswerFor(suspended)).reason, VERDICT_REASON_SUSPENDED);
  ASSERT_EQ(Reason(token), VERDICT_REASON_SUSPENDED);
  // Whatever was fetched ahead: what is dropped now is not spoken of.
  clock_.hook = [&] { Say(EventsMessage(11, {Changed("acme", id)})); };
  EXPECT_EQ(Reason(token), kMiss);
  // And what comes to be held now is found.
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id), 11)).admitted());
  Say(EventsMessage(12, {Changed("acme", id)}));
  clock_.hook = [&] { Ask(token, AnswerFor(GrantFor("acme", id), 12)); };
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
}

TEST_F(ValidatorTest, RefusalsForScopeAndAudienceKeepTheIdentityOthersDoNot) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  Grant grant = GrantFor("acme", id);
  grant.add_audiences("api");
  Decision d = Ask(token, AnswerFor(grant), {{}, {"admin"}, "api"});
  EXPECT_EQ(d.reason, VERDICT_REASON_INSUFFICIENT_SCOPE);
  token::GrantView who;
  EXPECT_TRUE(d.ReadIdentity(&who));
  EXPECT_EQ(Reason(token, {{}, {}, "other"}), VERDICT_REASON_WRONG_AUDIENCE);
  std::string id2;
  const std::string token2 = Mint(&id2);
  grant = GrantFor("acme", id2);
  grant.set_state(TOKEN_STATE_SUSPENDED);
  d = Ask(token2, AnswerFor(grant));
  EXPECT_EQ(d.reason, VERDICT_REASON_SUSPENDED);
  EXPECT_FALSE(d.ReadIdentity(&who));
  EXPECT_EQ(Reason(token2), VERDICT_REASON_SUSPENDED);  // from memory
}

TEST_F(ValidatorTest, ARevocationIsActedUponBeforeItIsAcknowledged) {  // I1
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  const auto a = Say(EventsMessage(11, {Changed("acme", id)}));
  EXPECT_EQ(Reason(token), kMiss);
  ASSERT_EQ(a.send.size(), 1u);
  const auto& ping = a.send[0].ping();
  EXPECT_EQ(ping.applied_revision(), 11);
  ASSERT_EQ(ping.dropped_size(), 1);  // evidence
  EXPECT_EQ(ping.dropped(0).token_id(), id);
  EXPECT_EQ(ping.dropped(0).workspace(), "acme");
  EXPECT_EQ(ping.dropped(0).revision(), 11);
  EXPECT_EQ(ping.dropped(0).last_admit_time().seconds(), kServiceNow);
  Grant revoked = GrantFor("acme", id);
  revoked.set_state(TOKEN_STATE_REVOKED);
  EXPECT_EQ(Ask(token, AnswerFor(revoked, 11)).reason, VERDICT_REASON_REVOKED);
  EXPECT_EQ(Reason(token), VERDICT_REASON_REVOKED);
}

TEST_F(ValidatorTest, AnOvertakenAnswerIsNotEvenUsedOnce) {  // R12
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  std::vector<VerdictReason> got;
  validator_->CheckAsync(token, {}, [&](const Decision& d) { got.push_back(d.reason); });
  Say(EventsMessage(11, {Changed("acme", id)}));
  auto asked = std::exchange(asked_, {});
  asked[0].answer(AnswerFor(GrantFor("acme", id), 10));  // read before the revocation
  EXPECT_TRUE(got.empty());
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0].request.applied_revision(), 11);
  Grant revoked = GrantFor("acme", id);
  revoked.set_state(TOKEN_STATE_REVOKED);
  asked_[0].answer(AnswerFor(revoked, 11));
  EXPECT_EQ(got, std::vector<VerdictReason>{VERDICT_REASON_REVOKED});
  EXPECT_EQ(validator_->Status().overtaken_answers, 1);
}

TEST_F(ValidatorTest, AQuestionInTheMiddleOfARevisionNeedsAllOfIt) {  // R8 with R12
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  Say(EventsMessage(11, {Changed("acme", id)}, /*partial=*/true));
  validator_->CheckAsync(token, {}, [](const Decision&) {});
  ASSERT_EQ(asked_.size(), 1u);
  // Its event has passed already, so nothing would drop an answer from before it.
  std::exchange(asked_, {})[0].answer(AnswerFor(GrantFor("acme", id), 10));
  EXPECT_EQ(Reason(token), kMiss);
  ASSERT_EQ(asked_.size(), 1u);
  asked_[0].answer(absl::UnavailableError(""));
}

TEST_F(ValidatorTest, UnknownFromALaggingReplicaAccusesNobody) {  // I7
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  std::vector<VerdictReason> got;
  validator_->CheckAsync(token, {}, [&](const Decision& d) { got.push_back(d.reason); });
  for (int i = 0; i < options_.resolver.most_attempts; ++i) {
    ASSERT_TRUE(got.empty());
    ASSERT_EQ(asked_.size(), 1u);
    std::exchange(asked_, {})[0].answer(UnknownAnswer(9));
  }
  EXPECT_EQ(got, std::vector<VerdictReason>{VERDICT_REASON_SERVICE_UNAVAILABLE});
  EXPECT_EQ(Reason(token), kMiss);
}

TEST_F(ValidatorTest, UnknownIsKeptAndDroppedByItsCreation) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  EXPECT_EQ(Ask(token, UnknownAnswer()).reason, VERDICT_REASON_UNKNOWN);
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNKNOWN);
  EXPECT_EQ(verdict_, VERDICT_DENY);
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);  // it may exist by now
  EXPECT_EQ(verdict_, VERDICT_UNAVAILABLE);
  Say(EventsMessage(11, {Created("acme", id)}));
  Say(PongMessage(sequence_, 11, 30, kServiceNow + 31));
  EXPECT_EQ(Reason(token), kMiss);
  EXPECT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id), 11)).admitted());
}

TEST_F(ValidatorTest, WhatPreventsAnAnswerIsUnavailableAndNotKept) {  // I7
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  const Decision d = Ask(token, absl::UnavailableError("down"));
  EXPECT_EQ(d.verdict, VERDICT_UNAVAILABLE);
  EXPECT_EQ(d.reason, VERDICT_REASON_SERVICE_UNAVAILABLE);
  EXPECT_EQ(d.retry_after, absl::Seconds(1));
  EXPECT_EQ(Ask(token, absl::ResourceExhaustedError("")).reason, VERDICT_REASON_OVERLOADED);
  EXPECT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
}

// A client in a loop would have the service read the damage as fast as it can.
TEST_F(ValidatorTest, ADamagedStoreIsNotAskedAgainAtOnce) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  const std::string other = Mint(&id);
  EXPECT_EQ(Ask(token, absl::DataLossError("a bad block")).verdict, VERDICT_UNAVAILABLE);
  for (int i = 0; i < 100; ++i) {
    const Decision d = Ask(token, AnswerFor(GrantFor("acme", id)));
    ASSERT_EQ(d.verdict, VERDICT_UNAVAILABLE) << "nobody was asked";
    ASSERT_EQ(d.reason, VERDICT_REASON_SERVICE_UNAVAILABLE);
    ASSERT_GT(d.retry_after, absl::ZeroDuration());
  }
  EXPECT_EQ(Ask(other, UnknownAnswer()).reason, VERDICT_REASON_UNKNOWN) << "others are asked about";
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(Ask(token, UnknownAnswer()).reason, VERDICT_REASON_UNKNOWN);
}

TEST_F(ValidatorTest, TooManyQuestionsAreOverload) {
  options_.resolver.most_in_flight = 1;
  MakeLive();
  std::string a, b;
  const std::string token_a = Mint(&a), token_b = Mint(&b);
  validator_->CheckAsync(token_a, {}, [](const Decision&) {});
  VerdictReason got = VERDICT_REASON_UNSPECIFIED;
  validator_->CheckAsync(token_b, {}, [&](const Decision& d) { got = d.reason; });
  EXPECT_EQ(got, VERDICT_REASON_OVERLOADED);
  asked_[0].answer(absl::UnavailableError(""));
}

TEST_F(ValidatorTest, WithoutALeaseNothingIsAdmittedAndOnlyTheFinalIsDenied) {  // I1, I7
  MakeLive();
  std::string good, suspended, revoked, expiring;
  const std::string t_good = Mint(&good), t_suspended = Mint(&suspended),
                    t_revoked = Mint(&revoked), t_expiring = Mint(&expiring);
  ASSERT_TRUE(Ask(t_good, AnswerFor(GrantFor("acme", good))).admitted());
  Grant g = GrantFor("acme", suspended);
  g.set_state(TOKEN_STATE_SUSPENDED);
  Ask(t_suspended, AnswerFor(g));
  g = GrantFor("acme", revoked);
  g.set_state(TOKEN_STATE_REVOKED);
  Ask(t_revoked, AnswerFor(g));
  g = GrantFor("acme", expiring);
  g.mutable_expire_time()->set_seconds(kServiceNow + 40);
  ASSERT_TRUE(Ask(t_expiring, AnswerFor(g)).admitted());

  clock_.Advance(absl::Seconds(30));
  EXPECT_EQ(Reason(t_good), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(verdict_, VERDICT_UNAVAILABLE);
  EXPECT_EQ(Reason(t_good, {{}, {"admin"}, ""}), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(Reason(t_suspended), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(Reason(t_revoked), VERDICT_REASON_REVOKED);
  EXPECT_EQ(Reason(t_expiring), VERDICT_REASON_NO_LEASE);
  // Nor once its time has passed: it may have been given more meanwhile.
  clock_.Advance(absl::Seconds(11));
  EXPECT_EQ(Reason(t_expiring), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(verdict_, VERDICT_UNAVAILABLE);
  // Nothing is asked, as no answer could be used.
  std::string id;
  EXPECT_EQ(Reason(Mint(&id)), VERDICT_REASON_NO_LEASE);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(ValidatorTest, AnAnswerThatComesAfterTheLeaseAdmitsNobody) {  // R13
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  VerdictReason got = VERDICT_REASON_UNSPECIFIED;
  validator_->CheckAsync(token, {}, [&](const Decision& d) { got = d.reason; });
  clock_.Advance(absl::Seconds(31));
  asked_[0].answer(AnswerFor(GrantFor("acme", id)));
  EXPECT_EQ(got, VERDICT_REASON_NO_LEASE);
}

TEST_F(ValidatorTest, ExpiryIsByTheServicesClock) {  // R18
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  Grant g = GrantFor("acme", id);
  g.mutable_expire_time()->set_seconds(kServiceNow + 10);
  ASSERT_TRUE(Ask(token, AnswerFor(g)).admitted());
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);  // less the drift: not proven yet
  clock_.Advance(absl::Milliseconds(11));
  EXPECT_EQ(Reason(token), VERDICT_REASON_EXPIRED);
}

TEST_F(ValidatorTest, ClocksThatDisagreeEndTheLease) {  // R1
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  clock_.StepWall(absl::Hours(1));
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
  clock_.Advance(absl::Seconds(5));
  Noted(validator_->Tick());
  Say(PongMessage(sequence_, 10, 30, kServiceNow + 5));
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
}

TEST_F(ValidatorTest, FailOpenGoesOnForABoundedTimeAndAccusesNobody) {
  options_.follower.stale_policy = STALE_POLICY_FAIL_OPEN;
  options_.follower.fail_open_for = absl::Minutes(2);
  MakeLive();
  std::string id, suspended, unknown;
  const std::string token = Mint(&id), t_suspended = Mint(&suspended), t_unknown = Mint(&unknown);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  Grant g = GrantFor("acme", suspended);
  g.set_state(TOKEN_STATE_SUSPENDED);
  Ask(t_suspended, AnswerFor(g));
  Ask(t_unknown, UnknownAnswer());
  clock_.Advance(absl::Seconds(31));
  Decision d;
  ASSERT_TRUE(validator_->Check(token, {}, &d));
  EXPECT_TRUE(d.admitted());
  EXPECT_TRUE(d.fail_open);
  EXPECT_EQ(validator_->Totals().admitted_fail_open, 1);
  EXPECT_EQ(Reason(t_suspended), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(Reason(t_unknown), VERDICT_REASON_NO_LEASE);
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
  options_.follower.fail_open_for = absl::ZeroDuration();
  EXPECT_FALSE(Validator::Create(options_, clock_, random_, nullptr).ok());
}

TEST_F(ValidatorTest, FailOpenAccusesNobodyOfATimeThatMayHaveBeenMoved) {  // I7
  options_.follower.stale_policy = STALE_POLICY_FAIL_OPEN;
  options_.follower.fail_open_for = absl::Minutes(2);
  MakeLive();
  std::string expiring, retiring, revoked;
  const std::string t_expiring = Mint(&expiring), t_retiring = Mint(&retiring),
                    t_revoked = Mint(&revoked);
  Grant g = GrantFor("acme", expiring);
  g.mutable_expire_time()->set_seconds(kServiceNow + 40);
  ASSERT_TRUE(Ask(t_expiring, AnswerFor(g)).admitted());
  g = GrantFor("acme", retiring);
  g.set_state(TOKEN_STATE_RETIRING);
  g.mutable_retire_time()->set_seconds(kServiceNow + 40);
  ASSERT_TRUE(Ask(t_retiring, AnswerFor(g)).admitted());
  g = GrantFor("acme", revoked);
  g.set_state(TOKEN_STATE_REVOKED);
  Ask(t_revoked, AnswerFor(g));
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(Reason(t_expiring), VERDICT_REASON_UNSPECIFIED);
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Reason(t_expiring), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(Reason(t_retiring), VERDICT_REASON_NO_LEASE);
  EXPECT_EQ(verdict_, VERDICT_UNAVAILABLE);
  EXPECT_EQ(Reason(t_revoked), VERDICT_REASON_REVOKED);
  EXPECT_EQ(verdict_, VERDICT_DENY);
}

TEST_F(ValidatorTest, AStateThatThisBuildDoesNotKnowIsNoDenial) {  // I7
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  Grant g = GrantFor("acme", id);
  g.set_state(static_cast<TokenState>(99));
  EXPECT_EQ(Ask(token, AnswerFor(g)).verdict, VERDICT_UNAVAILABLE);
  EXPECT_EQ(Reason(token), kMiss);  // nor is it kept
}

TEST_F(ValidatorTest, AWallClockThatStepsForthAndBackEndsTheLeaseWhereSeen) {  // R1
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  clock_.StepWall(absl::Hours(1));
  validator_->Tick();
  clock_.StepWall(-absl::Hours(1));
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
  clock_.Advance(absl::Seconds(5));
  Noted(validator_->Tick());
  Say(PongMessage(sequence_, 10, 30, kServiceNow + 5));
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
}

TEST_F(ValidatorTest, NothingIsCalledMalformedBeforeTheServiceHasToldItsBrand) {  // I7
  Make();
  EXPECT_EQ(Reason("xx-of-another-brand"), VERDICT_REASON_SERVICE_UNAVAILABLE);
  EXPECT_EQ(verdict_, VERDICT_UNAVAILABLE);
  Connect();
  auto welcome = WelcomeMessage("e1", 10, true);
  welcome.mutable_welcome()->set_brand("other");
  Say(welcome);
  EXPECT_EQ(Reason("xx-of-another-brand"), VERDICT_REASON_SERVICE_UNAVAILABLE);
  std::string id;
  // Of the length of ours.
  EXPECT_EQ(Reason("xx" + Mint(&id).substr(2)), VERDICT_REASON_SERVICE_UNAVAILABLE);
  EXPECT_EQ(Reason(Mint(&id)), VERDICT_REASON_NO_LEASE);
  validator_->StreamClosed(stream_);
  clock_.Advance(absl::Minutes(1));
  Connect();
  welcome.mutable_welcome()->set_brand("tg");
  Say(welcome);
  EXPECT_EQ(Reason("xx-of-another-brand"), VERDICT_REASON_MALFORMED);
  EXPECT_EQ(verdict_, VERDICT_DENY);
}

TEST_F(ValidatorTest, AResetEmptiesTheCacheAndKeepsTheUse) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  validator_->StreamClosed(stream_);
  clock_.Advance(absl::Seconds(6));
  Connect();
  Say(WelcomeMessage("e1", 40, true));
  EXPECT_EQ(Reason(token), kMiss);  // the lease lives on, in the same history
  Say(PongMessage(sequence_, 40, 30, kServiceNow + 6));
  const auto a = validator_->Goodbye();
  ASSERT_GE(a.send.size(), 3u);
  ASSERT_EQ(a.send[0].usage().uses_size(), 1);
  EXPECT_EQ(a.send[0].usage().uses(0).token_id(), id);
  EXPECT_EQ(a.send[0].usage().uses(0).count(), 1);
  EXPECT_GE(a.send[0].usage().complete_until().seconds(), kServiceNow);
}

TEST_F(ValidatorTest, ACohortIsRefused) {
  MakeLive();
  std::string a, b;
  const std::string token_a = Mint(&a), token_b = Mint(&b);
  ASSERT_TRUE(Ask(token_a, AnswerFor(GrantFor("acme", a))).admitted());
  ASSERT_TRUE(Ask(token_b, AnswerFor(GrantFor("other", b))).admitted());
  Say(EventsMessage(11, {Cohort("acme", "")}));
  EXPECT_EQ(Reason(token_a), kMiss);
  EXPECT_EQ(Reason(token_b), VERDICT_REASON_UNSPECIFIED);
}

TEST_F(ValidatorTest, AnEventOfAnUnknownKindDropsEverything) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  const auto a = Say(EventsMessage(11, {Event()}));
  EXPECT_EQ(a.send.at(0).ping().applied_revision(), 11);
  EXPECT_EQ(Reason(token), kMiss);
}

TEST_F(ValidatorTest, StopThenGoodbyeNeverAdmitsAgain) {  // R4
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  clock_.Advance(absl::Seconds(5));
  Noted(validator_->Tick());
  validator_->StopAdmitting();
  Say(PongMessage(sequence_, 10, 30, kServiceNow));  // arrives between
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
  EXPECT_TRUE(validator_->Goodbye().send.back().has_goodbye());
  EXPECT_EQ(Reason(token), VERDICT_REASON_NO_LEASE);
}

TEST_F(ValidatorTest, AForkedChildAdmitsNothing) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(Reason(token) == VERDICT_REASON_NO_LEASE ? 7 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
}

TEST_F(ValidatorTest, TheHotPathAllocatesNothing) {
  MakeLive();
  std::string id, unknown;
  const std::string token = Mint(&id), t_unknown = Mint(&unknown), t_miss = Mint(&unknown);
  std::string dead;
  const std::string t_dead = Mint(&dead);
  Grant revoked = GrantFor("acme", dead);
  revoked.set_state(TOKEN_STATE_REVOKED);
  const token::Requirement requirement{{"deploy:write"}, {}, ""};
  Ask(t_dead, AnswerFor(revoked));
  const std::string malformed(token.size(), 'x');
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id)), requirement).admitted());
  Ask(t_unknown, UnknownAnswer());
  Decision d;
  validator_->Check(token, requirement, &d);  // the thread's first
  const int64_t before = AllocationsOnThisThread();
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(absl::Milliseconds(20));
    ASSERT_TRUE(validator_->Check(token, requirement, &d));
    ASSERT_TRUE(d.admitted());
    ASSERT_TRUE(validator_->Check(t_dead, requirement, &d));  // counted for the report
    ASSERT_TRUE(validator_->Check(t_unknown, requirement, &d));
    ASSERT_TRUE(validator_->Check("nonsense", requirement, &d));
    ASSERT_TRUE(validator_->Check(malformed, requirement, &d));
    ASSERT_FALSE(validator_->Check(t_miss, requirement, &d));
  }
  EXPECT_EQ(AllocationsOnThisThread(), before);
}

TEST_F(ValidatorTest, RefusedAttemptsOnKnownTokensAreReportedByReason) {
  MakeLive();
  std::string id, good, unknown;
  const std::string token = Mint(&id), t_good = Mint(&good), t_unknown = Mint(&unknown);
  Grant revoked = GrantFor("acme", id);
  revoked.set_state(TOKEN_STATE_REVOKED);
  EXPECT_EQ(Ask(token, AnswerFor(revoked)).reason, VERDICT_REASON_REVOKED);  // by the answer
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(Reason(token), VERDICT_REASON_REVOKED);  // from memory
  EXPECT_EQ(Reason(token), VERDICT_REASON_REVOKED);
  const token::Requirement more{{"admin"}, {}, ""};
  EXPECT_EQ(Ask(t_good, AnswerFor(GrantFor("acme", good)), more).reason,
            VERDICT_REASON_INSUFFICIENT_SCOPE);
  EXPECT_EQ(Reason(t_good), VERDICT_REASON_UNSPECIFIED);
  // None of these is a token that the service knows, and nothing is said of what is not proven.
  EXPECT_EQ(Ask(t_unknown, UnknownAnswer()).reason, VERDICT_REASON_UNKNOWN);
  EXPECT_EQ(Reason("nonsense"), VERDICT_REASON_MALFORMED);
  clock_.Advance(absl::Seconds(60));
  EXPECT_EQ(Reason(t_good, more), VERDICT_REASON_NO_LEASE);

  validator_->StopAdmitting();
  std::vector<Usage::TokenAttempts> told;
  for (const auto& m : validator_->Goodbye().send) {
    for (const auto& attempts : m.usage().attempts()) told.push_back(attempts);
  }
  ASSERT_EQ(told.size(), 2u);
  if (told[0].token_id() != id) std::swap(told[0], told[1]);
  EXPECT_EQ(told[0].workspace(), "acme");
  EXPECT_EQ(told[0].token_id(), id);
  EXPECT_EQ(told[0].reason(), VERDICT_REASON_REVOKED);
  EXPECT_EQ(told[0].count(), 3);
  // The service's time is told less the drift.
  EXPECT_GE(told[0].last_attempt_time().seconds() - told[0].first_attempt_time().seconds(), 2);
  EXPECT_EQ(told[1].token_id(), good);
  EXPECT_EQ(told[1].reason(), VERDICT_REASON_INSUFFICIENT_SCOPE);
  EXPECT_EQ(told[1].count(), 1);
}

TEST_F(ValidatorTest, AddressesOfAttemptsAreReportedWhereTheWorkspaceAsks) {
  MakeLive();
  std::string id, quiet_id;
  const std::string token = Mint(&id), quiet = Mint(&quiet_id);
  Grant asks = GrantFor("acme", id), asks_not = GrantFor("globex", quiet_id);
  asks.set_report_attempt_addresses(true);
  const base::IpAddress client = base::IpAddress::FromText("192.0.2.7");
  const token::Requirement more{{"admin"}, {}, ""};
  const auto try_from = [&](const std::string& which, const Grant& grant) {
    Decision d;
    if (validator_->Check(which, more, &d, nullptr, client)) return d.reason;
    Validator::Miss miss;
    validator_->Check(which, more, &d, &miss, client);
    validator_->AskAbout(miss, which, more, [&d](const Decision& made) { d = made; }, client);
    std::exchange(asked_, {}).at(0).answer(AnswerFor(grant));
    return d.reason;
  };
  for (int i = 0; i < 2; ++i) {  // by the answer, and from memory
    EXPECT_EQ(try_from(token, asks), VERDICT_REASON_INSUFFICIENT_SCOPE);
    EXPECT_EQ(try_from(quiet, asks_not), VERDICT_REASON_INSUFFICIENT_SCOPE);
  }
  Decision admitted;
  EXPECT_TRUE(validator_->Check(token, {}, &admitted, nullptr, client));
  const auto told = [this] {
    std::map<std::string, Usage::TokenAttempts> by_id;
    clock_.Advance(absl::Seconds(501));
    Say(PongMessage(sequence_, 10, 3000, kServiceNow));
    for (const auto& m : Noted(validator_->Tick()).send) {
      for (const auto& one : m.usage().attempts()) by_id[one.token_id()] = one;
    }
    return by_id;
  };
  auto reported = told();
  ASSERT_EQ(reported.count(id), 1u);
  ASSERT_EQ(reported[id].addresses_size(), 1);
  EXPECT_EQ(reported[id].addresses(0).address(), "192.0.2.7");
  EXPECT_EQ(reported[id].addresses(0).count(), 2) << "an admission is no attempt";
  EXPECT_EQ(reported[quiet_id].addresses_size(), 0);
}

TEST_F(ValidatorTest, UseIsReportedAndCompleteUntilIsNeverAheadOfIt) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  ASSERT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id))).admitted());
  Usage usage;
  for (int i = 0; i < 200 && !usage.has_complete_until(); ++i) {
    clock_.Advance(absl::Seconds(5));
    for (const auto& m : Noted(validator_->Tick()).send) {
      if (m.has_usage()) usage = m.usage();
    }
    Say(PongMessage(sequence_, 10, 30, kServiceNow + 5 * (i + 1)));
    if (!usage.has_complete_until()) {
      ASSERT_EQ(Reason(token), VERDICT_REASON_UNSPECIFIED);
    }
  }
  ASSERT_EQ(usage.uses_size(), 1);
  EXPECT_EQ(usage.uses(0).workspace(), "acme");
  EXPECT_GT(usage.uses(0).count(), 1);
  EXPECT_LE(usage.uses(0).last_used_time().seconds(), usage.complete_until().seconds());
  const int64_t service_now =
      kServiceNow +
      absl::ToInt64Seconds(clock_.Now() - base::BootTime::FromNanos(1'000'000'000'000));
  EXPECT_LE(usage.complete_until().seconds(), service_now);
}

// Checks on three threads while the token is revoked and comes back: after StreamMessage has
// returned (the acknowledgement is not even sent) no check that begins admits from what was held.
TEST_F(ValidatorTest, NoCheckThatBeginsAfterTheDropAdmits) {
  MakeLive();
  std::string id;
  const std::string token = Mint(&id);
  // Odd: the token is dropped, nothing may admit. Moved before the insert, and after the drop.
  std::atomic<int64_t> phase{0};
  std::atomic<bool> stop{false};
  std::atomic<int64_t> wrong{0}, admits{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      Decision d;
      while (!stop.load()) {
        const int64_t before = phase.load();
        const bool admitted = validator_->Check(token, {}, &d) && d.admitted();
        if (admitted) ++admits;
        if (admitted && before % 2 == 1 && phase.load() == before) ++wrong;
      }
    });
  }
  for (int64_t r = 11; r < 2000 || admits.load() < 100; ++r) {
    EXPECT_TRUE(Ask(token, AnswerFor(GrantFor("acme", id), r)).admitted());
    Say(EventsMessage(r, {Changed("acme", id)}));
    ++phase;
    if (r % 16 == 0) std::this_thread::yield();
    ++phase;
  }
  stop = true;
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST_F(ValidatorTest, RefusesOptionsOutOfRange) {
  options_.follower.validator_id = "";
  EXPECT_FALSE(Validator::Create(options_, clock_, random_, nullptr).ok());
}

// ---- A service that was started again.

class RestartedServiceTest : public ValidatorTest {
 protected:
  // Live at (e1, 10), with a question of a good token under way; the stream is gone, and the next
  // one would be opened in a while.
  void SetUp() override {
    options_.follower.backoff_first = options_.follower.backoff_longest = absl::Seconds(5);
    MakeLive();
    validator_->SetHurry([this] { ++hurried_; });
    token_ = Mint(&id_);
    validator_->StreamClosed(stream_);
    ASSERT_FALSE(validator_->Tick().connect);
    validator_->CheckAsync(token_, {}, [this](const Decision& decision) {
      decision_ = decision;
      ++decided_;
    });
    ASSERT_EQ(asked_.size(), 1u);
  }
  ResolveResponse AnswerOf(const std::string& term, int64_t revision) {
    ResolveResponse answer = AnswerFor(GrantFor("w", id_), revision);
    answer.set_term(term);
    return answer;
  }
  void AnswerIt(const ResolveResponse& answer) {
    auto asked = std::exchange(asked_, {});
    ASSERT_EQ(asked.size(), 1u);
    asked[0].answer(answer);
  }
  // Opens a stream soon, into the new term.
  void ComeBack() {
    clock_.Advance(absl::Milliseconds(50));
    Connect();
    FollowResponse welcome = WelcomeMessage("e1", 12, false);
    welcome.mutable_welcome()->set_term("t2");
    Say(welcome);
    validator_->Settle();
  }

  std::string id_, token_;
  Decision decision_;
  int decided_ = 0;
  int hurried_ = 0;
};

TEST_F(RestartedServiceTest, TheQuestionWaitsForTheWelcomeAndIsAskedAnew) {
  AnswerIt(AnswerOf("t2", 12));
  EXPECT_EQ(decided_, 0);
  EXPECT_EQ(hurried_, 1);
  ComeBack();
  EXPECT_EQ(decided_, 0) << "R12: the answer of before the Welcome is not used";
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0].request.applied_revision(), 10);
  AnswerIt(AnswerOf("t2", 12));
  EXPECT_EQ(decided_, 1);
  EXPECT_TRUE(decision_.admitted());
}

TEST_F(RestartedServiceTest, AnEventThatCameWithTheStreamOvertakesTheNewAnswerToo) {
  AnswerIt(AnswerOf("t2", 12));
  ComeBack();
  Say(EventsMessage(13, {Changed("w", id_)}));
  AnswerIt(AnswerOf("t2", 12));
  EXPECT_EQ(decided_, 0);
  Grant revoked = GrantFor("w", id_);
  revoked.set_state(TOKEN_STATE_REVOKED);
  ResolveResponse answer = AnswerFor(revoked, 13);
  answer.set_term("t2");
  AnswerIt(answer);
  EXPECT_EQ(decision_.reason, VERDICT_REASON_REVOKED);
}

TEST_F(RestartedServiceTest, R13TheLeaseIsReadAgainAfterTheWait) {
  AnswerIt(AnswerOf("t2", 12));
  clock_.Advance(absl::Seconds(1));
  ComeBack();
  clock_.Advance(absl::Seconds(30));
  AnswerIt(AnswerOf("t2", 12));
  EXPECT_EQ(decision_.reason, VERDICT_REASON_NO_LEASE);
}

TEST_F(RestartedServiceTest, WhereNoStreamComesTheQuestionEndsInItsTime) {
  AnswerIt(AnswerOf("t2", 12));
  clock_.Advance(absl::Milliseconds(50));
  const FollowerActions actions = validator_->Tick();
  ASSERT_TRUE(actions.connect);  // to somebody who does not answer
  validator_->StreamConnected(actions.stream);
  EXPECT_LE(actions.wake_at, clock_.Now() + absl::Milliseconds(1950));
  clock_.Advance(absl::Milliseconds(1949));
  validator_->Settle();
  EXPECT_EQ(decided_, 0);
  clock_.Advance(absl::Milliseconds(1));
  validator_->Tick();
  validator_->Settle();
  EXPECT_EQ(decided_, 1);
  EXPECT_EQ(decision_.reason, VERDICT_REASON_SERVICE_UNAVAILABLE);
}

TEST_F(RestartedServiceTest, AStopLetsGoOfWhatWaits) {
  AnswerIt(AnswerOf("t2", 12));
  validator_->StopAdmitting();
  EXPECT_EQ(decided_, 1);
  EXPECT_EQ(decision_.verdict, VERDICT_UNAVAILABLE);
}

TEST_F(RestartedServiceTest, AfterAStopNothingWaits) {
  validator_->StopAdmitting();
  auto asked = std::exchange(asked_, {});
  asked[0].answer(AnswerOf("t2", 12));
  while (!asked_.empty()) AnswerIt(AnswerOf("t2", 12));
  EXPECT_EQ(decided_, 1);
  EXPECT_EQ(decision_.verdict, VERDICT_UNAVAILABLE);
}

}  // namespace
}  // namespace tollgate::validator
