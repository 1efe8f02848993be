// Create, update, rotate, suspend, revoke, and the request_id.
#include <functional>

#include "base/proto_time.h"
#include "service/tokens/retire_token.h"
#include "service/tokens/revoke_leaked_token.h"
#include "service/tokens/update_token.h"
#include "tests/unit/service/command_fixture.h"
#include "tests/unit/service/stand_ins.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::tollgate::v1::CreateTokenRequest;

class ChangeTest : public CommandTest {
 protected:
  absl::StatusOr<std::shared_ptr<UpdateTokenCommand>> Update(
      const tollgate::v1::Token& token, const std::vector<std::string>& paths) {
    tollgate::v1::UpdateTokenRequest request;
    *request.mutable_token() = token;
    for (const auto& path : paths) request.mutable_update_mask()->add_paths(path);
    return Do(UpdateTokenCommand::Make(request, "local"));
  }
  // Puts a record as it is, as a restore or an older service did.
  absl::Status Stored(const tollgate::store::v1::TokenRecord& record) {
    class Put : public storage::Command {
     public:
      explicit Put(const tollgate::store::v1::TokenRecord& record) : record_(record) {}
      absl::string_view name() const override { return "put"; }
      absl::Status Run(const storage::View&, const storage::Slot&,
                       storage::Effects& effects) override {
        effects.Put(storage::Table::kTokens, storage::TokenKey("acme", record_.token_id()),
                    record_);
        return absl::OkStatus();
      }

     private:
      const tollgate::store::v1::TokenRecord record_;
    } put(record);
    return RunOne(put);
  }
};

TEST_F(ChangeTest, CreateWritesTokenDigestLabelWorkspaceEventAndAudit) {
  auto request = Ask("CI deploy key");
  request.mutable_lifetime()->set_seconds(3600);
  const auto made = Create(request);
  ASSERT_TRUE(made.ok()) << made.status();
  const auto& answer = (*made)->response();
  EXPECT_EQ(answer.revision(), Head());
  EXPECT_EQ(answer.token().create_revision(), Head());
  EXPECT_EQ(answer.token().state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(answer.token().creator(), "local");
  EXPECT_EQ(answer.token().expire_time().seconds(), absl::ToUnixSeconds(now_) + 3600);
  EXPECT_TRUE(answer.token_string().empty());
  EXPECT_FALSE(answer.secret_withheld());
  EXPECT_EQ(Count(storage::Table::kTokens), 1u);
  EXPECT_EQ(Count(storage::Table::kDigests), 1u);
  EXPECT_EQ(Count(storage::Table::kLabels), 1u);
  EXPECT_EQ(Count(storage::Table::kWorkspaces), 1u);
  EXPECT_EQ(CountDue(), 1u);
  EXPECT_EQ(Count(storage::Table::kAudit), 2u);  // of its workspace, too
  ASSERT_THAT(events_, SizeIs(1));
  EXPECT_EQ(events_[0].token_created().token_id(), answer.token().token_id());
}

struct BadCreate {
  const char* what;
  std::function<void(CreateTokenRequest&)> spoil;
  const char* reason;
  const char* field;
};
void PrintTo(const BadCreate& bad, std::ostream* os) { *os << bad.what; }
class BadCreateTest : public CommandTest, public ::testing::WithParamInterface<BadCreate> {};
TEST_P(BadCreateTest, IsRefusedByNameAndWritesNothing) {
  auto request = Ask("good");
  GetParam().spoil(request);
  const auto made = Create(request);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument) << made.status();
  EXPECT_EQ(Reason(made), GetParam().reason);
  EXPECT_EQ(Field(made.status()), GetParam().field);
  EXPECT_EQ(Head(), 0);
}
INSTANTIATE_TEST_SUITE_P(
    Table, BadCreateTest,
    ::testing::Values(
        BadCreate{"parent", [](auto& r) { r.set_parent("acme"); }, "BAD_RESOURCE_NAME", "parent"},
        BadCreate{"no label", [](auto& r) { r.mutable_token()->clear_label(); }, "LABEL_REQUIRED",
                  "token.label"},
        BadCreate{"huge label",
                  [](auto& r) { r.mutable_token()->set_label(std::string(1 << 20, 'a')); },
                  "LABEL_TOO_LONG", "token.label"},
        BadCreate{"control", [](auto& r) { r.mutable_token()->set_label("a\nb"); },
                  "LABEL_CONTROL_CHARACTER", "token.label"},
        BadCreate{"output only", [](auto& r) { r.mutable_token()->set_creator("me"); },
                  "OUTPUT_ONLY_FIELD", "token.creator"},
        BadCreate{"state",
                  [](auto& r) { r.mutable_token()->set_state(tollgate::v1::TOKEN_STATE_ACTIVE); },
                  "OUTPUT_ONLY_FIELD", "token.state"},
        BadCreate{"negative", [](auto& r) { r.mutable_lifetime()->set_seconds(-5); },
                  "LIFETIME_NOT_POSITIVE", "lifetime"},
        BadCreate{"zero", [](auto& r) { r.mutable_lifetime(); }, "LIFETIME_NOT_POSITIVE",
                  "lifetime"},
        BadCreate{"age", [](auto& r) { r.mutable_lifetime()->set_seconds(315576000000); },
                  "LIFETIME_OUT_OF_BOUNDS", "lifetime"},
        BadCreate{"no duration", [](auto& r) { r.mutable_lifetime()->set_seconds(INT64_MAX); },
                  "DURATION_MALFORMED", "lifetime"},
        BadCreate{"no time",
                  [](auto& r) { r.mutable_token()->mutable_expire_time()->set_nanos(-1); },
                  "TIME_MALFORMED", "token.expire_time"},
        BadCreate{"past",
                  [](auto& r) { r.mutable_token()->mutable_expire_time()->set_seconds(1000); },
                  "EXPIRE_TIME_PAST", "token.expire_time"},
        BadCreate{"both",
                  [](auto& r) {
                    r.mutable_lifetime()->set_seconds(5);
                    r.mutable_token()->mutable_expire_time()->set_seconds(1'800'000'000);
                  },
                  "LIFETIME_AND_EXPIRE_TIME", "lifetime"},
        BadCreate{"request id", [](auto& r) { r.set_request_id(std::string(65, 'x')); },
                  "REQUEST_ID_MALFORMED", "request_id"}),
    [](const auto& info) {
      std::string name = info.param.what;
      for (char& c : name) c = c == ' ' ? '_' : c;
      return name;
    });

TEST_F(ChangeTest, ARetriedCreateAnswersTheFirstWithoutTheSecret) {
  auto request = Ask("one");
  request.set_request_id("r-1");
  const auto first = Create(request);
  ASSERT_TRUE(first.ok());
  const int64_t head = Head();
  const auto again = Create(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE((*again)->replayed());
  EXPECT_TRUE((*again)->response().secret_withheld());
  EXPECT_EQ((*again)->response().token().name(), (*first)->response().token().name());
  EXPECT_EQ(Head(), head);
  EXPECT_EQ(Count(storage::Table::kTokens), 1u);

  auto other = Ask("two");
  other.set_request_id("r-1");
  const auto reused = Create(other);
  EXPECT_EQ(reused.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Reason(reused), "REQUEST_ID_REUSED");
  EXPECT_EQ(Field(reused.status()), "request_id");

  // Another caller's id is another id.
  ASSERT_TRUE(Do(CreateTokenCommand::Make(other, "someone else", Mint())).ok());
}

TEST_F(ChangeTest, ARetryInTheSameBatchIsARetry) {
  auto request = Ask("one");
  request.set_request_id("r-1");
  auto first = CreateTokenCommand::Make(request, "local", Mint()).value();
  auto second = CreateTokenCommand::Make(request, "local", Mint()).value();
  const auto statuses = RunAll({first.get(), second.get()});
  EXPECT_TRUE(statuses[0].ok() && statuses[1].ok());
  EXPECT_FALSE(first->response().secret_withheld());
  EXPECT_TRUE(second->response().secret_withheld());
  EXPECT_EQ(Count(storage::Table::kTokens), 1u);
}

TEST_F(ChangeTest, ACommandRunTwiceOverwritesItsAnswer) {
  auto command = CreateTokenCommand::Make(Ask("one"), "local", Mint()).value();
  for (const int64_t revision : {7, 9}) {
    storage::Effects effects;
    ASSERT_TRUE(command->Run(*View(), {revision, 3, now_}, effects).ok());
    EXPECT_EQ(command->response().revision(), revision);
    EXPECT_EQ(command->response().token().scopes_size(), 1);
  }
}

TEST_F(ChangeTest, AWaitMayDifferBetweenACallAndItsRetry) {
  const auto token = Made("one");
  tollgate::v1::RevokeTokenRequest request;
  request.set_name(token.name());
  request.set_request_id("r");
  ASSERT_TRUE(Do(RevokeTokenCommand::Make(request, "local")).ok());
  request.mutable_wait_enforced()->set_seconds(5);
  const auto again = Do(RevokeTokenCommand::Make(request, "local"));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE((*again)->replayed());
}

TEST_F(ChangeTest, ATakenIdOrDigestNeverOverwritesAToken) {
  const auto minted = Mint();
  ASSERT_TRUE(Do(CreateTokenCommand::Make(Ask("a"), "local", minted)).ok());
  const auto again = Do(CreateTokenCommand::Make(Ask("b"), "local", minted));
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Reason(again), "TOKEN_ID_TAKEN");
}

TEST_F(ChangeTest, UpdateChangesWhatTheMaskNamesAndTellsEdgesOnlyWhatTheyCouldNotice) {
  auto token = Made("one");
  token.clear_etag();
  token.set_label("two");
  token.set_owner("team-a");
  token.add_scopes("more");
  auto updated = Update(token, {"label"});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ((*updated)->response().token().label(), "two");
  EXPECT_EQ((*updated)->response().token().owner(), "");
  EXPECT_THAT(events_, SizeIs(0));
  EXPECT_EQ(Count(storage::Table::kLabels), 1u);
  updated = Update(token, {"scopes", "owner"});
  ASSERT_TRUE(updated.ok());
  EXPECT_THAT(events_, SizeIs(1));
  EXPECT_THAT((*updated)->response().token().scopes(), ElementsAre("deploy:write", "more"));
  // Nothing to change: nothing written.
  const int64_t head = Head();
  ASSERT_TRUE(Update(token, {"scopes", "owner", "label"}).ok());
  EXPECT_EQ(Head(), head);
  // An end, and none again.
  *token.mutable_expire_time() = base::ToProto(now_ + absl::Hours(1));
  ASSERT_TRUE(Update(token, {"expire_time"}).ok());
  EXPECT_EQ(CountDue(), 1u);
  token.clear_expire_time();
  ASSERT_TRUE(Update(token, {"expire_time"}).ok());
  EXPECT_EQ(CountDue(), 0u);
}

TEST_F(ChangeTest, AnUpdateIsOfTheStateThatWasRead) {
  auto token = Made("one");
  EXPECT_NE(token.etag(), "");
  const std::string read = token.etag();
  token.add_scopes("more");
  ASSERT_TRUE(Update(token, {"scopes"}).ok());
  // A second reader of the first state would give the scope back.
  token.clear_scopes();
  token.add_scopes("deploy:write");
  const auto stale = Update(token, {"scopes"});
  EXPECT_EQ(Reason(stale), "ETAG_MISMATCH");
  EXPECT_EQ(stale.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Field(stale.status()), "token.etag");
  token.clear_etag();
  const auto unchecked = Update(token, {"scopes"});
  ASSERT_TRUE(unchecked.ok()) << unchecked.status();
  // It is that of the state, not of the use or of a change that changes nothing.
  const std::string now = (*unchecked)->response().token().etag();
  EXPECT_NE(now, read);
  token.set_etag(now);
  ASSERT_TRUE(Update(token, {"scopes"}).ok());
  ASSERT_TRUE(Update(token, {"scopes"}).ok());
  // Two updates of one batch: the second is of another state.
  token.set_label("two");
  tollgate::v1::UpdateTokenRequest request;
  *request.mutable_token() = token;
  request.mutable_update_mask()->add_paths("label");
  auto first = UpdateTokenCommand::Make(request, "local").value();
  request.mutable_token()->set_label("three");
  auto second = UpdateTokenCommand::Make(request, "local").value();
  const auto statuses = RunAll({first.get(), second.get()});
  EXPECT_EQ(Reason(statuses[0]), "OK");
  EXPECT_EQ(Reason(statuses[1]), "ETAG_MISMATCH");
  // A retry is answered as before, whatever it was read from.
  request.set_request_id("r");
  request.mutable_token()->set_etag(first->response().token().etag());
  ASSERT_TRUE(Do(UpdateTokenCommand::Make(request, "local")).ok());
  request.mutable_token()->set_etag("newer");
  const auto retry = Do(UpdateTokenCommand::Make(request, "local"));
  ASSERT_TRUE(retry.ok()) << retry.status();
  EXPECT_TRUE((*retry)->replayed());
}

// A caller's clock decides nothing: the same words, said again, are the same request.
TEST_F(ChangeTest, DurationsAreCountedByTheServicesClock) {
  const auto token = Made("key");
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_token()->set_name(token.name());
  update.mutable_update_mask()->add_paths("expire_time");
  update.mutable_lifetime()->set_seconds(600);
  update.set_request_id("u");
  for (int i = 0; i < 2; ++i) {
    const auto updated = Do(UpdateTokenCommand::Make(update, "local"));
    ASSERT_TRUE(updated.ok()) << updated.status();
    EXPECT_EQ((*updated)->response().token().expire_time().seconds(),
              absl::ToUnixSeconds(now_) + (i == 0 ? 600 : 570));
    now_ += absl::Seconds(30);
  }
  tollgate::v1::RotateTokenRequest rotate;
  rotate.set_name(token.name());
  rotate.mutable_retire_plan()->mutable_after()->set_seconds(60);
  rotate.set_request_id("r");
  const int64_t retires = absl::ToUnixSeconds(now_) + 60;
  for (int i = 0; i < 2; ++i) {
    const auto rotated = Do(RotateTokenCommand::Make(rotate, "local", Mint()));
    ASSERT_TRUE(rotated.ok()) << rotated.status();
    EXPECT_EQ((*rotated)->replayed(), i == 1);
    EXPECT_EQ((*rotated)->response().replaced().retire_plan().at_time().seconds(), retires);
    now_ += absl::Seconds(10);
  }
  // What an end is reckoned from must be known.
  clock_in_doubt_ = true;
  rotate.set_name(Made("another").name());
  rotate.clear_request_id();
  EXPECT_EQ(Reason(Do(RotateTokenCommand::Make(rotate, "local", Mint()))), "CLOCK_IN_DOUBT");
  update.clear_request_id();
  update.mutable_token()->set_name(rotate.name());
  EXPECT_EQ(Reason(Do(UpdateTokenCommand::Make(update, "local"))), "CLOCK_IN_DOUBT");
}

TEST_F(ChangeTest, AnAnnotationIsToldToEdgesWhereThePolicyNamesIt) {
  auto token = Made("one");
  token.clear_etag();
  tollgate::v1::WorkspacePolicy policy;
  policy.add_edge_annotations("team");
  policy.add_edge_annotations("plan");
  ASSERT_TRUE(SetPolicy(policy).ok());
  (*token.mutable_annotations())["note"] = "for people";
  ASSERT_TRUE(Update(token, {"annotations"}).ok());
  EXPECT_THAT(events_, SizeIs(0));
  (*token.mutable_annotations())["team"] = "payments";
  ASSERT_TRUE(Update(token, {"annotations"}).ok());
  ASSERT_THAT(events_, SizeIs(1));
  EXPECT_TRUE(events_[0].has_token_changed());
  // Named, and too long to be told before and after.
  (*token.mutable_annotations())["plan"] = std::string(256, 'a');
  ASSERT_TRUE(Update(token, {"annotations"}).ok());
  EXPECT_THAT(events_, SizeIs(0));
  token.mutable_annotations()->erase("team");
  ASSERT_TRUE(Update(token, {"annotations"}).ok());
  EXPECT_THAT(events_, SizeIs(1));
}

TEST_F(ChangeTest, UpdateRefusals) {
  auto token = Made("one");
  EXPECT_EQ(Reason(Update(token, {})), "MASK_REQUIRED");
  EXPECT_EQ(Field(Update(token, {}).status()), "update_mask");
  for (const char* path : {"name", "state", "creator", "create_revision", "retire_plan.at_time"}) {
    EXPECT_EQ(Reason(Update(token, {path})), "IMMUTABLE_FIELD") << path;
  }
  EXPECT_EQ(Field(Update(token, {"state"}).status()), "token.state");
  for (const char* path : {"nonsense", "*", "", "annotations.k", "Label"}) {
    EXPECT_EQ(Reason(Update(token, {path})), "UNKNOWN_FIELD") << path;
  }
  token.clear_label();
  EXPECT_EQ(Reason(Update(token, {"label"})), "LABEL_REQUIRED");
  token.mutable_expire_time()->set_seconds(5);
  EXPECT_EQ(Reason(Update(token, {"expire_time"})), "EXPIRE_TIME_PAST");
  tollgate::v1::UpdateTokenRequest both;
  *both.mutable_token() = token;
  both.mutable_update_mask()->add_paths("expire_time");
  both.mutable_lifetime()->set_seconds(5);
  EXPECT_EQ(Reason(UpdateTokenCommand::Make(both, "local")), "LIFETIME_AND_EXPIRE_TIME");
  both.mutable_token()->clear_expire_time();
  both.mutable_update_mask()->set_paths(0, "owner");
  EXPECT_EQ(Reason(UpdateTokenCommand::Make(both, "local")), "LIFETIME_NOT_IN_MASK");
  both.mutable_update_mask()->set_paths(0, "expire_time");
  both.mutable_lifetime()->set_seconds(-5);
  EXPECT_EQ(Reason(UpdateTokenCommand::Make(both, "local")), "LIFETIME_NOT_POSITIVE");
  auto missing = token;
  missing.set_name("workspaces/acme/tokens/0000000000000000");
  EXPECT_EQ(Reason(Update(missing, {"owner"})), "TOKEN_NOT_FOUND");
  ASSERT_TRUE(RevokeOne(token.name()).ok());
  const auto final_one = Update(token, {"owner"});
  EXPECT_EQ(final_one.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(final_one), "TOKEN_FINAL");
}

TEST_F(ChangeTest, RotateMakesTheReplacementAndThePlan) {
  auto request = Ask("key");
  request.mutable_token()->set_owner("team-a");
  request.mutable_lifetime()->set_seconds(1000);
  const auto old = (*Create(request))->response().token();
  now_ += absl::Seconds(100);
  const auto rotated = Rotate(old.name(), absl::Seconds(2));
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  const auto& answer = (*rotated)->response();
  EXPECT_EQ(answer.token().label(), "key");
  EXPECT_EQ(answer.token().owner(), "team-a");
  EXPECT_EQ(answer.token().replaces(), old.name());
  EXPECT_EQ(answer.token().state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(answer.token().expire_time().seconds(), absl::ToUnixSeconds(now_) + 1000);
  EXPECT_EQ(answer.replaced().state(), tollgate::v1::TOKEN_STATE_RETIRING);
  EXPECT_EQ(answer.replaced().replaced_by(), answer.token().name());
  EXPECT_EQ(answer.replaced().retire_plan().when_silent().seconds(), 2);
  ASSERT_THAT(events_, SizeIs(2));
  EXPECT_TRUE(events_[0].has_token_created());
  EXPECT_TRUE(events_[1].has_token_changed());

  const auto again = Rotate(old.name());
  EXPECT_EQ(Reason(again), "ALREADY_ROTATED");
  EXPECT_EQ(Metadata(again.status(), "replaced_by"), answer.token().name());
}

TEST_F(ChangeTest, RotateRefusals) {
  const auto token = Made("key");
  EXPECT_EQ(Reason(Rotate(token.name(), absl::Milliseconds(999))), "QUIET_PERIOD_TOO_SHORT");
  EXPECT_EQ(Field(Rotate(token.name(), absl::ZeroDuration()).status()), "retire_plan.when_silent");
  tollgate::v1::RotateTokenRequest request;
  request.set_name(token.name());
  request.mutable_retire_plan()->mutable_at_time()->set_seconds(5);
  EXPECT_EQ(Reason(Do(RotateTokenCommand::Make(request, "local", Mint()))), "RETIRE_TIME_PAST");
  request.mutable_retire_plan()->mutable_after()->set_nanos(999'999'999);
  EXPECT_EQ(Reason(RotateTokenCommand::Make(request, "local", Mint())), "RETIRE_AFTER_TOO_SHORT");
  request.clear_retire_plan();
  request.mutable_lifetime()->set_seconds(-1);
  EXPECT_EQ(Reason(RotateTokenCommand::Make(request, "local", Mint())), "LIFETIME_NOT_POSITIVE");
  ASSERT_TRUE(Suspend(token.name()).ok());
  EXPECT_EQ(Reason(Rotate(token.name())), "TOKEN_SUSPENDED");
  ASSERT_TRUE(RevokeOne(token.name()).ok());
  EXPECT_EQ(Reason(Rotate(token.name())), "TOKEN_FINAL");
}

TEST_F(ChangeTest, AReplacementExpiresNotAfterTheYear9999) {
  auto request = Ask("key");
  request.mutable_token()->mutable_expire_time()->set_seconds(253402300799);
  const auto token = (*Create(request))->response().token();
  now_ += absl::Hours(1);
  const auto made = (*Rotate(token.name()))->response().token();
  EXPECT_EQ(made.expire_time().seconds(), 253402300799);
  EXPECT_TRUE(TimeFromField(made.expire_time(), "expire_time").ok());
}

// Of a service from before the rule of stars, which let `repo*` be granted.
TEST_F(ChangeTest, AnOldMisplacedStarStaysAndNoNewOneIsGranted) {
  auto request = Ask("new");
  request.mutable_token()->add_scopes("repo*");
  EXPECT_EQ(Reason(Create(request)), "SCOPE_STAR_MISPLACED");
  request.mutable_token()->set_scopes(1, "repo:*");
  EXPECT_TRUE(Create(request).ok());

  const auto made = Made("old");
  auto record = **storage::GetRecord<tollgate::store::v1::TokenRecord>(
      *View(), storage::Table::kTokens, storage::TokenKey("acme", made.token_id()));
  record.add_scopes("repo*");
  ASSERT_TRUE(Stored(record).ok());
  tollgate::v1::Token token;
  token.set_name(made.name());
  for (const char* scope : {"deploy:write", "repo*", "more"}) token.add_scopes(scope);
  const auto kept = Update(token, {"scopes"});
  ASSERT_TRUE(kept.ok()) << kept.status();
  token.add_scopes("rep*");
  const auto added = Update(token, {"scopes"});
  EXPECT_EQ(Reason(added), "SCOPE_STAR_MISPLACED");
  EXPECT_EQ(Field(added.status()), "token.scopes[3]");
  const auto rotated = Rotate(made.name());
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  EXPECT_THAT((*rotated)->response().token().scopes(),
              ElementsAre("deploy:write", "repo*", "more"));
}

// A restore has put back a lost retirement, but the replacement is lost.
TEST_F(ChangeTest, ARetirementWithoutAReplacementIsRotatedAndNotPutOff) {
  const auto token = Made("key");
  auto record = **storage::GetRecord<tollgate::store::v1::TokenRecord>(
      *View(), storage::Table::kTokens, storage::TokenKey("acme", token.token_id()));
  const absl::Time last = now_ + absl::Hours(1);
  record.mutable_retirement()->set_at_time_us(ToRecordMicros(last));
  ASSERT_TRUE(Stored(record).ok());

  tollgate::v1::RetireTokenRequest retire;
  retire.set_name(token.name());
  EXPECT_EQ(Reason(Do(RetireTokenCommand::Make(retire, "local", SilenceEvidence()))),
            "NOT_ROTATED");
  const auto rotated = Rotate(token.name());
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  const auto& old = (*rotated)->response().replaced();
  EXPECT_EQ(old.replaced_by(), (*rotated)->response().token().name());
  EXPECT_EQ(old.expire_time().seconds(), absl::ToUnixSeconds(last));
  EXPECT_FALSE((*rotated)->response().token().has_expire_time());
  EXPECT_EQ(Reason(Rotate(token.name())), "ALREADY_ROTATED");
}

TEST_F(ChangeTest, SuspendResumeSuspendEachWithItsOwnEvent) {
  const auto token = Made("key");
  ASSERT_TRUE(Suspend(token.name()).ok());
  EXPECT_THAT(events_, SizeIs(1));
  const int64_t head = Head();
  const auto twice = Suspend(token.name());
  ASSERT_TRUE(twice.ok());
  EXPECT_EQ((*twice)->response().token().state(), tollgate::v1::TOKEN_STATE_SUSPENDED);
  EXPECT_EQ((*twice)->response().revision(), head);
  EXPECT_EQ(Head(), head);
  const auto resumed = Resume(token.name());
  EXPECT_THAT(events_, SizeIs(1));
  EXPECT_EQ((*resumed)->response().token().state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  ASSERT_TRUE(Suspend(token.name()).ok());
  EXPECT_THAT(events_, SizeIs(1));
}

TEST_F(ChangeTest, TheRetryOfASuspensionThatWasNoneDoesNotSuspendLater) {
  const auto token = Made("key");
  ASSERT_TRUE(Suspend(token.name()).ok());
  ASSERT_TRUE(Suspend(token.name(), "r-2").ok());
  ASSERT_TRUE(Resume(token.name()).ok());
  const auto retried = Suspend(token.name(), "r-2");
  ASSERT_TRUE(retried.ok());
  EXPECT_TRUE((*retried)->replayed());
  EXPECT_EQ((*Resume(token.name()))->response().token().state(), tollgate::v1::TOKEN_STATE_ACTIVE);
}

TEST_F(ChangeTest, RevokingTwiceAnswersTheFirst) {
  const auto token = Made("key");
  const auto first = RevokeOne(token.name());
  ASSERT_TRUE(first.ok());
  EXPECT_EQ((*first)->response().token().state(), tollgate::v1::TOKEN_STATE_REVOKED);
  EXPECT_EQ((*first)->response().token().reason(), "in a gist");
  EXPECT_EQ(Count(storage::Table::kLabels), 0u);
  const int64_t revision = (*first)->response().revision();
  now_ += absl::Hours(1);
  const auto second = RevokeOne(token.name());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ((*second)->response().revision(), revision);
  EXPECT_EQ(Head(), revision);
  EXPECT_EQ(Reason(Suspend(token.name())), "TOKEN_FINAL");
  EXPECT_EQ(Reason(Resume(token.name())), "TOKEN_FINAL");
  EXPECT_EQ(Reason(RevokeOne("workspaces/acme/tokens/0000000000000000")), "TOKEN_NOT_FOUND");
  EXPECT_EQ(Reason(RevokeOne("nonsense")), "BAD_RESOURCE_NAME");
}

TEST_F(ChangeTest, WhatWasSoAlreadyIsSaidToBeAndASecondReasonIsKept) {
  const auto audited = [&] {
    std::vector<std::string> lines;
    const auto entries = View()->Scan(storage::Table::kAudit, "", "", 1000);
    for (const storage::Entry& entry : *entries) {
      store::v1::AuditChainRecord chained;
      store::v1::AuditRecord record;
      EXPECT_TRUE(chained.ParseFromString(entry.value));
      EXPECT_TRUE(record.ParseFromString(chained.content()));
      lines.push_back(absl::StrCat(record.actor(), " ", record.action(), " ", record.reason()));
    }
    return lines;
  };
  const auto token = Made("key");
  const auto suspend = [&](const std::string& reason, const std::string& actor) {
    tollgate::v1::SuspendTokenRequest request;
    request.set_name(token.name());
    request.set_reason(reason);
    return (*Do(SuspendTokenCommand::Make(request, actor)))->response();
  };
  const auto revoke = [&](const std::string& reason, const std::string& actor) {
    tollgate::v1::RevokeTokenRequest request;
    request.set_name(token.name());
    request.set_reason(reason);
    return (*Do(RevokeTokenCommand::Make(request, actor)))->response();
  };
  EXPECT_TRUE((*Resume(token.name()))->response().unchanged());
  const absl::Time suspended = now_;
  EXPECT_FALSE(suspend("under attack", "ops").unchanged());
  now_ += absl::Hours(1);
  const auto still = suspend("as the runbook says", "lea");
  EXPECT_TRUE(still.unchanged());
  EXPECT_EQ(still.token().reason(), "under attack");
  EXPECT_EQ(still.token().suspended_by(), "ops");
  EXPECT_EQ(base::FromProto(still.token().suspend_time()), suspended);
  EXPECT_THAT(events_, SizeIs(0));
  const auto resumed = (*Resume(token.name()))->response();
  EXPECT_FALSE(resumed.unchanged());
  EXPECT_FALSE(resumed.token().has_suspend_time());
  EXPECT_EQ(resumed.token().suspended_by(), "");

  const auto first = revoke("in a gist", "ops");
  EXPECT_FALSE(first.unchanged());
  EXPECT_EQ(first.token().end().cause(), tollgate::v1::END_CAUSE_REVOKED);
  EXPECT_EQ(first.token().end().actor(), "ops");
  EXPECT_EQ(first.token().end().revision(), first.revision());
  const absl::Time revoked = now_;
  now_ += absl::Hours(3);
  const auto again = revoke("in a log, too", "lea");
  EXPECT_TRUE(again.unchanged());
  EXPECT_EQ(again.token().SerializeAsString(), first.token().SerializeAsString());
  EXPECT_EQ(base::FromProto(again.token().end().time()), revoked);
  EXPECT_THAT(events_, SizeIs(0));
  const int64_t head = Head();
  EXPECT_TRUE(revoke("", "lea").unchanged());
  EXPECT_TRUE(revoke("in a gist", "lea").unchanged());
  EXPECT_EQ(Head(), head) << "there is nothing to keep";
  EXPECT_THAT(audited(), ::testing::ElementsAre("local workspace.create ", "local token.create ",
                                                "ops token.suspend under attack",
                                                "lea token.suspend_again as the runbook says",
                                                "local token.resume ", "ops token.revoke in a gist",
                                                "lea token.revoke_again in a log, too"));

  auto lasting = Ask("short");
  lasting.mutable_lifetime()->set_seconds(10);
  const auto expired = (*Create(lasting))->response().token();
  now_ += absl::Seconds(11);
  const auto late = (*RevokeOne(expired.name()))->response();
  EXPECT_TRUE(late.unchanged()) << "time had ended it";
  EXPECT_EQ(late.token().end().cause(), tollgate::v1::END_CAUSE_EXPIRED);
  EXPECT_EQ(audited().back(), "local token.revoke_again in a gist");

  tollgate::v1::UpdateTokenRequest same;
  same.mutable_token()->set_name(Made("same").name());
  same.mutable_token()->set_label("same");
  same.mutable_update_mask()->add_paths("label");
  EXPECT_TRUE((*Do(UpdateTokenCommand::Make(same, "local")))->response().unchanged());
  same.mutable_token()->set_label("another");
  EXPECT_FALSE((*Do(UpdateTokenCommand::Make(same, "local")))->response().unchanged());
}

TEST_F(ChangeTest, RevokingWhatTimeHasEndedCommitsItsEndAsExpired) {
  auto request = Ask("key");
  request.mutable_lifetime()->set_seconds(10);
  const auto token = (*Create(request))->response().token();
  now_ += absl::Seconds(11);
  const auto revoked = RevokeOne(token.name());
  ASSERT_TRUE(revoked.ok());
  EXPECT_EQ((*revoked)->response().token().state(), tollgate::v1::TOKEN_STATE_EXPIRED);
  EXPECT_EQ((*revoked)->response().revision(), Head());
  EXPECT_THAT(events_, SizeIs(1));
  EXPECT_EQ(CountDue(), 0u);
}

TEST_F(ChangeTest, ALeakedTokenIsFoundByAnyPepper) {
  const auto minted = Mint();
  ASSERT_TRUE(Do(CreateTokenCommand::Make(Ask("a"), "local", minted)).ok());
  LeakedToken leaked{{{2, Mint().stored_digest}, {1, minted.stored_digest}}, "a gist", "r-1"};
  const auto revoked = Do(RevokeLeakedTokenCommand::Make(leaked, "finder"));
  ASSERT_TRUE(revoked.ok()) << revoked.status();
  EXPECT_EQ((*revoked)->response().token().token_id(), minted.public_id);
  EXPECT_EQ((*revoked)->response().token().state(), tollgate::v1::TOKEN_STATE_REVOKED);
  // A retry, after another pepper has come.
  leaked.candidates.insert(leaked.candidates.begin(), {3, Mint().stored_digest});
  EXPECT_TRUE((*Do(RevokeLeakedTokenCommand::Make(leaked, "finder")))->replayed());

  const auto unknown =
      Do(RevokeLeakedTokenCommand::Make({{{1, Mint().stored_digest}}, "", ""}, "finder"));
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Reason(unknown), "TOKEN_UNKNOWN");
  EXPECT_EQ(Reason(RevokeLeakedTokenCommand::Make({}, "finder")), "LEAKED_REQUIRED");
}

// R20: what computes an end from now.
TEST_F(ChangeTest, WithTheClockInDoubtNothingIsGivenAnEndThatIsReckonedFromNow) {
  const auto lasting = Made("lasting");
  auto ask = Ask("a");
  ask.mutable_lifetime()->set_seconds(3600);
  const auto ending = (*Create(ask))->response().token();

  clock_in_doubt_ = true;
  EXPECT_EQ(Reason(Create(ask)), "CLOCK_IN_DOUBT");
  EXPECT_EQ(Reason(Rotate(ending.name())), "CLOCK_IN_DOUBT");
  EXPECT_EQ(Reason(Rotate(lasting.name())), "OK");
  auto fixed = Ask("fixed");
  *fixed.mutable_token()->mutable_expire_time() = base::ToProto(now_ + absl::Hours(5));
  EXPECT_EQ(Reason(Create(fixed)), "OK");
  EXPECT_EQ(Reason(Suspend(ending.name())), "OK");
  EXPECT_EQ(Reason(RevokeOne(ending.name())), "OK");

  tollgate::v1::WorkspacePolicy policy;
  policy.mutable_max_lifetime()->set_seconds(3600);
  ASSERT_TRUE(SetPolicy(policy).ok());
  EXPECT_EQ(Reason(Create(Ask("by policy"))), "CLOCK_IN_DOUBT");
  policy.Clear();
  policy.mutable_max_unused()->set_seconds(3600);
  ASSERT_TRUE(SetPolicy(policy).ok());
  EXPECT_EQ(Reason(Create(Ask("by policy"))), "CLOCK_IN_DOUBT");
}

TEST_F(ChangeTest, RetiringAfterAJumpOfTimeWaitsForTheQuietPeriodOrForce) {
  const auto old = Made("a");
  const auto made = (*Rotate(old.name()))->response().token();
  Use(made, "dev/worker", now_);
  Use(old, "prod/edge-1", now_);
  now_ += absl::Hours(240);
  jumped_to_ = now_;
  tollgate::v1::RetireTokenRequest request;
  request.set_name(old.name());
  const auto refused = Do(RetireTokenCommand::Make(request, "local", AllHeard(now_)));
  EXPECT_EQ(Reason(refused), "CLOCK_SET_LATELY");
  request.set_force(true);
  EXPECT_EQ(Reason(Do(RetireTokenCommand::Make(request, "local", AllHeard(now_)))), "OK");
}

}  // namespace
}  // namespace tollgate::service
