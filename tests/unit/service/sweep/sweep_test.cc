// What time alone brings about.
#include "service/sweep/sweep.h"

#include "base/proto_time.h"
#include "service/reads/read_tokens.h"
#include "service/tokens/revoke_cohort.h"
#include "storage/journal/journaled_engine.h"
#include "storage/start_command.h"
#include "tests/instruments/live_scan.h"
#include "tests/unit/service/command_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using store::v1::HeadRecord;
using ::testing::SizeIs;

class SweepTest : public CommandTest {
 protected:
  SweepCommand::Result Sweep(SweepCommand::Limits limits = {}) {
    SweepCommand sweep(limits, evidence_.value_or(AllHeard(now_)), cursor_, walk_cursor_);
    const absl::Status status = RunOne(sweep);
    EXPECT_TRUE(status.ok()) << status;
    cursor_ = sweep.result().watch_cursor;
    walk_cursor_ = sweep.result().walk_cursor;
    return sweep.result();
  }
  tollgate::v1::Token Read(const tollgate::v1::Token& token) {
    tollgate::v1::GetTokenRequest request;
    request.set_name(token.name());
    return ReadToken(*View(), request, now_).value();
  }
  tollgate::v1::Token Lasting(const std::string& label, int seconds) {
    auto request = Ask(label);
    request.mutable_lifetime()->set_seconds(seconds);
    return (*Create(request))->response().token();
  }
  // 0: unset.
  void LimitUnused(int seconds) {
    tollgate::v1::WorkspacePolicy policy;
    if (seconds > 0) policy.mutable_max_unused()->set_seconds(seconds);
    ASSERT_TRUE(SetPolicy(policy).ok());
  }
  // When something is due next, of what is timed.
  absl::optional<absl::Time> NextDue() {
    const auto entries = View()->Scan(
        storage::Table::kDue, storage::DueKey(1, static_cast<storage::DueKind>(0), ""), "", 1);
    EXPECT_TRUE(entries.ok()) << entries.status();
    if (!entries.ok() || entries->empty()) return absl::nullopt;
    return absl::FromUnixMicros(storage::ParseDueKey(entries->front().key)->time_us);
  }
  absl::optional<SilenceEvidence> evidence_;
  std::string cursor_;
  std::string walk_cursor_;
};

TEST_F(SweepTest, NothingDueWritesNothing) {
  Made("a");
  const int64_t head = Head();
  EXPECT_FALSE(Sweep().more);
  EXPECT_EQ(Head(), head);
}

TEST_F(SweepTest, ExpiryIsCommittedInBoundedSteps) {
  std::vector<tollgate::v1::Token> tokens;
  for (int i = 0; i < 5; ++i) tokens.push_back(Lasting(absl::StrCat("t", i), 10));
  const auto later = Lasting("later", 100);
  EXPECT_FALSE(Sweep().more);
  EXPECT_EQ(NextDue(), now_ + absl::Seconds(10));
  now_ += absl::Seconds(10);
  SweepCommand::Limits limits;
  limits.max_due = 3;
  auto result = Sweep(limits);
  EXPECT_EQ(result.expired, 3u);
  EXPECT_TRUE(result.more);
  EXPECT_THAT(events_, SizeIs(3));
  result = Sweep(limits);
  EXPECT_EQ(result.expired, 2u);
  EXPECT_FALSE(result.more);
  EXPECT_EQ(NextDue(), now_ + absl::Seconds(90));
  for (const auto& token : tokens) {
    EXPECT_EQ(Read(token).state(), tollgate::v1::TOKEN_STATE_EXPIRED);
  }
  EXPECT_EQ(Read(later).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(CountDue(), 1u);
  EXPECT_EQ(Count(storage::Table::kLabels), 1u);
}

TEST_F(SweepTest, ATokenThatExpiresAndRetiresAtOnceEndsOnce) {
  const auto old = Lasting("a", 10);
  tollgate::v1::RotateTokenRequest request;
  request.set_name(old.name());
  *request.mutable_retire_plan()->mutable_at_time() = base::ToProto(now_ + absl::Seconds(5));
  ASSERT_TRUE(Do(RotateTokenCommand::Make(request, "local", Mint())).ok());
  now_ += absl::Seconds(9);
  auto result = Sweep();
  EXPECT_EQ(result.retired, 1u);
  EXPECT_EQ(Read(old).state(), tollgate::v1::TOKEN_STATE_REVOKED);
  now_ += absl::Seconds(60);
  result = Sweep();
  EXPECT_EQ(result.expired, 1u);  // the replacement
  EXPECT_EQ(Read(old).state(), tollgate::v1::TOKEN_STATE_REVOKED);
}

TEST_F(SweepTest, WhatACohortEndedIsOnlyTidiedUp) {
  Lasting("a", 10);
  tollgate::v1::RevokeTokensRequest cohort;
  cohort.set_parent("workspaces/acme");
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(cohort, "local")).ok());
  now_ += absl::Seconds(20);
  EXPECT_EQ(Sweep().expired, 0u);
  EXPECT_THAT(events_, SizeIs(0));
  EXPECT_EQ(CountDue(), 0u);
  EXPECT_EQ(Count(storage::Table::kLabels), 0u);
}

TEST_F(SweepTest, TheFirstEndIsAFactOfTheRecordWhateverCohortsComeLater) {
  const auto revoke_all = [&](const std::string& owner, const std::string& reason) {
    tollgate::v1::RevokeTokensRequest request;
    request.set_parent("workspaces/acme");
    request.set_owner(owner);
    request.set_reason(reason);
    request.set_allow_empty(true);
    const auto done = Do(RevokeCohortCommand::Make(request, "ops"));
    ASSERT_TRUE(done.ok()) << done.status();
  };
  // By a watermark; by time before it, while no sweep came by; suspended; by both of two.
  std::vector<tollgate::v1::Token> tokens = {Lasting("expired", 10), Made("owned", "team-a")};
  const auto rotated = Made("retired");
  tollgate::v1::RotateTokenRequest rotate;
  rotate.set_name(rotated.name());
  rotate.mutable_retire_plan()->mutable_after()->set_seconds(10);
  tokens.push_back((*Do(RotateTokenCommand::Make(rotate, "local", Mint())))->response().token());
  tokens.push_back(rotated);
  tokens.push_back(Made("suspended"));
  ASSERT_TRUE(Suspend(tokens.back().name()).ok());
  for (int i = 0; i < 20; ++i) tokens.push_back(Made(absl::StrCat("t", i)));
  now_ += absl::Seconds(10);
  revoke_all("team-a", "left");
  now_ += absl::Seconds(10);
  revoke_all("", "breach");

  const auto grant = [&](const tollgate::v1::Token& token) {
    const auto held = LoadToken(*View(), "acme", token.token_id()).value();
    return token::ToGrant(held.record, held.cohorts).DebugString();
  };
  std::vector<tollgate::v1::Token> as_ended;
  std::vector<std::string> grants;
  for (const auto& token : tokens) {
    as_ended.push_back(Read(token));
    grants.push_back(grant(token));
  }
  const auto expect_as_ended = [&](const char* when) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      EXPECT_EQ(Read(tokens[i]).DebugString(), as_ended[i].DebugString()) << when;
      EXPECT_EQ(grant(tokens[i]), grants[i]) << when;
    }
  };
  EXPECT_EQ(as_ended[0].state(), tollgate::v1::TOKEN_STATE_EXPIRED);
  EXPECT_EQ(as_ended[1].reason(), "left");
  EXPECT_EQ(as_ended[2].end().cause(), tollgate::v1::END_CAUSE_COHORT);
  EXPECT_EQ(as_ended[3].end().cause(), tollgate::v1::END_CAUSE_RETIRED);

  // A sweep that comes late: nothing is written yet.
  for (int i = 0; i < 70; ++i) {
    now_ += absl::Hours(1);
    Made(absl::StrCat("later", i));
    revoke_all("", absl::StrCat("breach ", i));
  }
  expect_as_ended("before the sweep");

  const size_t audited = Count(storage::Table::kAudit);
  SweepCommand::Limits limits;
  limits.max_walked = 7;
  SweepCommand::Result result;
  size_t written = 0;
  int steps = 0;
  do {
    result = Sweep(limits);
    written += result.ends_written;
    EXPECT_LE(result.ends_written, 7u) << "a step is bounded";
    EXPECT_THAT(events_, SizeIs(0));
    expect_as_ended("while the sweep writes");
    if (++steps == 3) {  // another watermark in the midst of it
      Made("of another owner", "team-b");
      revoke_all("team-b", "again");
    }
    ASSERT_LT(steps, 100);
    // A watermark that came in the midst is the next sweep's.
  } while (result.more || CountDue() > 0);
  EXPECT_EQ(written, tokens.size() + 71);
  expect_as_ended("once it is written");
  EXPECT_EQ(Count(storage::Table::kAudit), audited + 2) << "those of the watermark and its token";
  EXPECT_EQ(CountDue(), 0u);
  EXPECT_EQ(Count(storage::Table::kLabels), 0u);
  EXPECT_EQ(instruments::LiveCountFaults(*View()), "");

  const auto made = Made("of the last");
  revoke_all("", "the last");
  const auto cohort = storage::GetRecord<store::v1::CohortRecord>(*View(), storage::Table::kCohorts,
                                                                  storage::CohortKey("acme", ""));
  EXPECT_EQ((*cohort)->earlier_size(), 0) << "none of them is cited any more";
  expect_as_ended("after the last");
  while (Sweep().more) {
  }
  EXPECT_EQ(Read(made).reason(), "the last");
  const int64_t head = Head();
  EXPECT_FALSE(Sweep().more);
  EXPECT_EQ(Head(), head) << "nothing is left to do";
}

TEST_F(SweepTest, EndsThatTheSweepWritesAreNoneOfTheJournals) {
  Made("a");
  tollgate::v1::RevokeTokensRequest request;
  request.set_parent("workspaces/acme");
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(request, "ops")).ok());
  SweepCommand sweep({}, AllHeard(now_), "");
  const auto outcome = storage::RunBatch(*View(), storage::BatchTime(now_), {&sweep});
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(sweep.result().ends_written, 1u);
  const auto entry = storage::JournalEntryFor(outcome->request);
  EXPECT_EQ(entry.tokens_size() + entry.cohorts_size(), 0);
}

TEST_F(SweepTest, WhenSilentRetiresOnlyWhenTheReplacementIsInUseAndTheOldIsQuietEverywhere) {
  const auto old = Made("a");
  const auto made = (*Rotate(old.name(), absl::Seconds(60)))->response().token();
  EXPECT_EQ(Sweep().retired, 0u);  // never seen
  Use(made, "dev/worker", now_);
  Use(old, "prod/edge-1", now_);
  now_ += absl::Seconds(59);
  EXPECT_EQ(Sweep().retired, 0u);  // still within the quiet period
  now_ += absl::Seconds(2);
  evidence_ = SilenceEvidence{now_, {{"prod/edge-1", now_ - absl::Seconds(60)}}, {}};
  EXPECT_EQ(Sweep().retired, 0u);  // not heard is not quiet
  evidence_ = SilenceEvidence();
  EXPECT_EQ(Sweep().retired, 0u);
  evidence_.reset();
  EXPECT_EQ(Sweep().retired, 1u);
  EXPECT_THAT(events_, SizeIs(1));
  EXPECT_EQ(Read(old).state(), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ(Read(made).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(CountDue(), 0u);
}

// R20: what was before the service's time was moved forward may have been a moment ago.
TEST_F(SweepTest, SilenceAndUnusedTimeAreCountedFromAJumpOfTime) {
  tollgate::v1::WorkspacePolicy policy;
  policy.mutable_max_unused()->set_seconds(100);
  ASSERT_TRUE(SetPolicy(policy).ok());
  const auto unused = Made("unused");
  const auto old = Made("a");
  const auto made = (*Rotate(old.name(), absl::Seconds(60)))->response().token();
  Use(made, "dev/worker", now_);
  Use(old, "prod/edge-1", now_);
  now_ += absl::Hours(1);
  jumped_to_ = now_;
  EXPECT_EQ(Sweep().retired, 0u);
  EXPECT_EQ(Sweep().unused, 0u);
  jumped_to_.reset();  // another process
  now_ += absl::Seconds(59);
  EXPECT_EQ(Sweep().retired, 0u);
  now_ += absl::Seconds(2);
  EXPECT_EQ(Sweep().retired, 1u);
  now_ += absl::Seconds(39);
  EXPECT_EQ(Sweep().unused, 2u) << "the unused one, and the replacement";
  EXPECT_EQ(Read(unused).state(), tollgate::v1::TOKEN_STATE_EXPIRED);
}

TEST_F(SweepTest, SilenceIsCountedFromAResumption) {
  const auto old = Made("a");
  const auto made = (*Rotate(old.name(), absl::Seconds(60)))->response().token();
  Use(made, "dev/worker", now_);
  Use(old, "prod/edge-1", now_);
  // Suspended is silent for another reason.
  ASSERT_TRUE(Suspend(old.name()).ok());
  now_ += absl::Hours(1);
  EXPECT_EQ(Sweep().retired, 0u);
  ASSERT_TRUE(Resume(old.name()).ok());
  EXPECT_EQ(Sweep().retired, 0u);
  now_ += absl::Seconds(59);
  EXPECT_EQ(Sweep().retired, 0u);
  EXPECT_EQ(Read(old).state(), tollgate::v1::TOKEN_STATE_RETIRING);
  // As far as is known it was quiet for 59 s only.
  now_ += absl::Seconds(1);
  evidence_ = AllHeard(now_ - absl::Seconds(1));
  EXPECT_EQ(Sweep().retired, 0u);
  evidence_.reset();
  EXPECT_EQ(Sweep().retired, 1u);
  EXPECT_EQ(Read(old).state(), tollgate::v1::TOKEN_STATE_REVOKED);
}

TEST_F(SweepTest, AReplacementsSilenceIsNotCountedFromItsPredecessorsResumption) {
  const auto old = Made("a");
  ASSERT_TRUE(Suspend(old.name()).ok());
  ASSERT_TRUE(Resume(old.name()).ok());
  const auto made = (*Rotate(old.name()))->response().token();
  const auto record = storage::GetRecord<tollgate::store::v1::TokenRecord>(
      *View(), storage::Table::kTokens, storage::TokenKey("acme", made.token_id()));
  EXPECT_EQ((*record)->resume_time_us(), 0);
}

TEST_F(SweepTest, ASuspendedTokenIsNotUnusedAndHasItsTimeAgainOnceResumed) {
  tollgate::v1::WorkspacePolicy policy;
  policy.mutable_max_unused()->set_seconds(100);
  ASSERT_TRUE(SetPolicy(policy).ok());
  const auto token = Made("a");
  ASSERT_TRUE(Suspend(token.name()).ok());
  for (int i = 0; i < 3; ++i) {
    now_ += absl::Seconds(100);
    EXPECT_EQ(Sweep().unused, 0u);
    EXPECT_EQ(CountDue(), 2u) << "its next look, and the mark of it";
  }
  now_ += absl::Seconds(50);
  ASSERT_TRUE(Resume(token.name()).ok());
  now_ += absl::Seconds(50);
  EXPECT_EQ(Sweep().unused, 0u);
  EXPECT_EQ(Read(token).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  now_ += absl::Seconds(49);
  EXPECT_EQ(Sweep().unused, 0u);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Sweep().unused, 1u);
  EXPECT_EQ(Read(token).state(), tollgate::v1::TOKEN_STATE_EXPIRED);
}

TEST_F(SweepTest, TellsHowLongWhatItDidHadBeenDue) {
  for (int i = 0; i < 5; ++i) Lasting(absl::StrCat("t", i), 10 * (i + 1));
  const absl::Time made = now_;
  EXPECT_FALSE(Sweep().first_due.has_value());
  now_ += absl::Hours(3);
  SweepCommand::Limits limits;
  limits.max_due = 2;
  auto result = Sweep(limits);
  EXPECT_TRUE(result.more);
  EXPECT_EQ(*result.first_due, made + absl::Seconds(10));
  EXPECT_EQ(*Sweep(limits).first_due, made + absl::Seconds(30));
  EXPECT_EQ(*Sweep(limits).first_due, made + absl::Seconds(50));
  EXPECT_FALSE(Sweep(limits).first_due.has_value());
}

TEST_F(SweepTest, ManyWatchedTokensAreJudgedInTurns) {
  for (int i = 0; i < 5; ++i) {
    const auto old = Made(absl::StrCat("t", i));
    const auto made = (*Rotate(old.name(), absl::Seconds(1)))->response().token();
    if (i == 4) Use(made, "edge", now_);
  }
  SweepCommand::Limits limits;
  limits.max_watched = 2;
  size_t retired = 0;
  for (int i = 0; i < 3; ++i) retired += Sweep(limits).retired;
  EXPECT_EQ(retired, 1u);
}

TEST_F(SweepTest, UnusedTokensExpireByThePolicyAsItIs) {
  const auto before = Made("before");
  now_ += absl::Hours(1);
  LimitUnused(100);
  const auto used = Made("used");
  const auto unused = Made("unused");
  const absl::Time start = now_;
  now_ = start + absl::Seconds(99);
  EXPECT_EQ(Sweep().unused, 0u) << "nothing ends before the limit was in force for so long";
  now_ = start + absl::Seconds(100);
  Use(used, "edge", start + absl::Seconds(50));
  evidence_ = SilenceEvidence{now_, {{"edge", start}}, {}};
  EXPECT_EQ(Sweep().unused, 0u);  // not heard is not unused
  evidence_.reset();
  now_ += absl::Minutes(1);
  EXPECT_EQ(Sweep().unused, 3u) << "an old token is reached, too";
  for (const auto& token : {before, used, unused}) {
    EXPECT_EQ(Read(token).state(), tollgate::v1::TOKEN_STATE_EXPIRED);
    EXPECT_EQ(Read(token).reason(), "not used for 1m40s (max_unused of the workspace's policy)");
  }
  EXPECT_EQ(CountDue(), 0u);
}

TEST_F(SweepTest, APolicyThatIsUnsetSparesAllAndOneThatChangesMovesTheirTime) {
  const auto old = Made("old");
  LimitUnused(100);
  const auto made = Made("made");
  now_ += absl::Seconds(90);
  LimitUnused(0);
  now_ += absl::Seconds(50);
  EXPECT_EQ(Sweep().unused, 0u);
  EXPECT_EQ(CountDue(), 0u);
  // Longer while it runs, then shorter: a whole limit from then on.
  LimitUnused(100);
  now_ += absl::Seconds(60);
  LimitUnused(200);
  now_ += absl::Seconds(60);
  EXPECT_EQ(Sweep().unused, 0u) << "120 of 200";
  LimitUnused(50);
  now_ += absl::Seconds(49);
  EXPECT_EQ(Sweep().unused, 0u);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Sweep().unused, 2u);
  EXPECT_EQ(Read(old).state(), tollgate::v1::TOKEN_STATE_EXPIRED);
  EXPECT_EQ(Read(made).state(), tollgate::v1::TOKEN_STATE_EXPIRED);
}

TEST_F(SweepTest, ALongerLimitCountsFromWhereItWas) {
  const auto token = Made("a");
  LimitUnused(100);
  now_ += absl::Seconds(60);
  LimitUnused(150);
  now_ += absl::Seconds(89);
  EXPECT_EQ(Sweep().unused, 0u);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Sweep().unused, 1u);
  EXPECT_EQ(Read(token).state(), tollgate::v1::TOKEN_STATE_EXPIRED);
}

TEST_F(SweepTest, APolicyReachesManyTokensInBoundedSteps) {
  for (int i = 0; i < 450; ++i) Made(absl::StrCat("t", i));
  LimitUnused(100);
  now_ += absl::Seconds(100);
  const auto first = Sweep();
  EXPECT_EQ(first.unused, 200u);
  EXPECT_TRUE(first.more);
  EXPECT_EQ(Sweep().unused, 200u);
  const auto last = Sweep();
  EXPECT_EQ(last.unused, 50u);
  EXPECT_FALSE(last.more);
  EXPECT_EQ(CountDue(), 0u);
}

TEST_F(SweepTest, WhatHasNotBeenHeardUntilThenIsNotUnused) {
  tollgate::v1::WorkspacePolicy policy;
  policy.mutable_max_unused()->set_seconds(100);
  ASSERT_TRUE(SetPolicy(policy).ok());
  const auto token = Made("a");
  const absl::Time start = now_;
  // No edge is behind by name; all the same, nothing is known of the last second.
  now_ = start + absl::Seconds(200);
  evidence_ = AllHeard(start + absl::Seconds(99));
  EXPECT_EQ(Sweep().unused, 0u);
  evidence_ = SilenceEvidence();
  now_ += absl::Minutes(1);
  EXPECT_EQ(Sweep().unused, 0u);
  EXPECT_EQ(Read(token).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  // Heard until the very moment at which it had been unused for long enough.
  evidence_ = AllHeard(start + absl::Seconds(100));
  now_ += absl::Minutes(1);
  EXPECT_EQ(Sweep().unused, 1u);
  EXPECT_EQ(Read(token).state(), tollgate::v1::TOKEN_STATE_EXPIRED);
}

TEST_F(SweepTest, AnEdgeThatEndedWithoutTellingMayHaveUsedItUntilThen) {
  tollgate::v1::WorkspacePolicy policy;
  policy.mutable_max_unused()->set_seconds(100);
  ASSERT_TRUE(SetPolicy(policy).ok());
  const auto token = Made("a");
  const absl::Time start = now_;
  const std::vector<SilenceEvidence::Gap> gaps = {{"early", start - absl::Seconds(5)},
                                                  {"edge", start + absl::Seconds(50)},
                                                  {"other", start + absl::Seconds(20)}};
  const auto sweep_at = [&](absl::Duration after) {
    now_ = start + after;
    evidence_ = SilenceEvidence{now_, {}, gaps};
    return Sweep().unused;
  };
  EXPECT_EQ(sweep_at(absl::Seconds(100)), 0u);
  EXPECT_EQ(sweep_at(absl::Seconds(149)), 0u);
  EXPECT_EQ(Read(token).state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(sweep_at(absl::Seconds(150)), 1u);
}

TEST_F(SweepTest, RequestIdsAreForgottenAfterADay) {
  auto request = Ask("a");
  request.set_request_id("r");
  ASSERT_TRUE(Create(request).ok());
  now_ += absl::Hours(23);
  EXPECT_EQ(Sweep().forgotten_requests, 0u);
  EXPECT_TRUE((*Create(request))->replayed());
  now_ += absl::Hours(1);
  EXPECT_EQ(Sweep().forgotten_requests, 1u);
  EXPECT_EQ(Count(storage::Table::kRequests), 0u);
  EXPECT_FALSE((*Create(request))->replayed());
}

TEST_F(SweepTest, EventsAreCompactedByTimeAndByCount) {
  for (int i = 0; i < 10; ++i) Made(absl::StrCat("t", i));  // revisions 1 to 10
  SweepCommand::Limits limits;
  limits.event_retention_count = 4;
  EXPECT_GT(Sweep(limits).compacted_revisions, 0u);
  EXPECT_EQ(Count(storage::Table::kEvents), 4u);
  EXPECT_FALSE(engine_->TailFrom(3, [](const storage::TailEntry&) {}).ok());
  EXPECT_TRUE(engine_->TailFrom(8, [](const storage::TailEntry&) {}).ok());
  now_ += absl::Hours(25);
  Sweep();
  EXPECT_EQ(Count(storage::Table::kEvents), 0u);
}

TEST_F(SweepTest, FingerprintsGoWithTheEventsOfTheirRevisions) {
  for (int i = 0; i < 10; ++i) Made(absl::StrCat("t", i));  // revisions 1 to 10
  ASSERT_EQ(Count(storage::Table::kFingerprints), 10u);
  SweepCommand::Limits limits;
  limits.event_retention_count = 4;
  limits.max_compacted = 5;
  EXPECT_TRUE(Sweep(limits).more);  // at most five of each
  Sweep(limits);
  const auto snapshot = engine_->NewSnapshot().value();
  const int64_t compacted =
      storage::GetRecord<HeadRecord>(*snapshot, storage::Table::kMeta, storage::kHeadKey)
          .value()
          ->compacted_revision();
  ASSERT_GT(compacted, 5);
  for (int64_t revision = 1; revision <= snapshot->revision(); ++revision) {
    EXPECT_EQ(storage::FingerprintAt(*snapshot, revision)->has_value(), revision > compacted)
        << revision;
  }
}

// What a service of before store format 5 left: the limit that a token was granted stands in the
// token, and the policy has a shorter one, of which nobody knows since when.
TEST_F(SweepTest, AnUpgradeEndsNoTokenByAShorterLimitThanItWasGranted) {
  const auto token = Made("a");
  const std::string key = storage::TokenKey("acme", token.token_id());
  class AsBefore : public storage::Command {
   public:
    AsBefore(std::string key, absl::Time due) : key_(std::move(key)), due_(due) {}
    absl::string_view name() const override { return "as_before"; }
    absl::Status Run(const storage::View& view, const storage::Slot&,
                     storage::Effects& effects) override {
      auto record =
          *storage::GetRecord<store::v1::TokenRecord>(view, storage::Table::kTokens, key_).value();
      record.set_max_unused_us(absl::ToInt64Microseconds(absl::Hours(90)));
      effects.Put(storage::Table::kTokens, key_, record);
      auto owning = LoadWorkspace(view, "acme").value();
      owning.mutable_policy()->set_max_unused_us(absl::ToInt64Microseconds(absl::Hours(7)));
      effects.Put(storage::Table::kWorkspaces, "acme", owning);
      effects.PutRaw(storage::Table::kDue,
                     storage::DueKey(ToRecordMicros(due_), storage::DueKind::kWatchUnused, key_),
                     "");
      return absl::OkStatus();
    }

   private:
    const std::string key_;
    const absl::Time due_;
  };
  now_ += absl::Hours(90);
  AsBefore before(key, now_);
  ASSERT_TRUE(RunOne(before).ok());
  Use(token, "payments/edge-3", now_ - absl::Hours(15));
  EXPECT_EQ(Sweep().unused, 0u);
  now_ += absl::Hours(74);
  EXPECT_EQ(Sweep().unused, 0u);
  now_ += absl::Hours(2);
  EXPECT_EQ(Sweep().unused, 1u);
}

TEST_F(SweepTest, WorkspacesTakeTurnsAtWritingEnds) {
  for (int i = 0; i < 5; ++i) Made(absl::StrCat("t", i));
  auto other = Ask("z");
  other.set_parent("workspaces/zzz");
  other.set_create_workspace(true);
  const auto token = (*Create(other))->response().token();
  for (const char* workspace : {"workspaces/acme", "workspaces/zzz"}) {
    tollgate::v1::RevokeTokensRequest cohort;
    cohort.set_parent(workspace);
    ASSERT_TRUE(Do(RevokeCohortCommand::Make(cohort, "ops")).ok());
  }
  SweepCommand::Limits limits;
  limits.max_walked = 1;
  const auto written = [&] {
    return storage::GetRecord<store::v1::TokenRecord>(*View(), storage::Table::kTokens,
                                                      storage::TokenKey("zzz", token.token_id()))
        .value()
        ->has_ending();
  };
  Sweep(limits);
  EXPECT_FALSE(written()) << "acme is first";
  Sweep(limits);
  EXPECT_TRUE(written()) << "acme is not done";
  int steps = 0;
  while (Sweep(limits).more) ASSERT_LT(++steps, 20);
}

TEST_F(SweepTest, AStoreWithoutEventsKeepsTheNewestFingerprints) {
  Made("only");  // revision 1, with an event
  for (int i = 0; i < 60; ++i) {
    storage::ServiceStarted started("v", "t", "b");
    ASSERT_TRUE(RunOne(started).ok());
  }
  SweepCommand::Limits limits;
  limits.event_retention_count = 20;
  limits.max_compacted = 10;
  while (Sweep(limits).more) {
  }
  EXPECT_GE(Count(storage::Table::kFingerprints), 20u);
  EXPECT_LE(Count(storage::Table::kFingerprints), 32u);
  const int64_t head = engine_->NewSnapshot().value()->revision();
  Sweep(limits);
  EXPECT_EQ(engine_->NewSnapshot().value()->revision(), head)
      << "a step whose commit is the next step's work would never end";
}

}  // namespace
}  // namespace tollgate::service
