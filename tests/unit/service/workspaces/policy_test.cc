// What a policy asks of what is granted from now on.
#include "base/proto_time.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/update_token.h"
#include "storage/live_count.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::tollgate::v1::WorkspacePolicy;

class PolicyTest : public CommandTest {
 protected:
  void ExpectRefused(const absl::Status& status, absl::StatusCode code, const std::string& reason,
                     const std::string& field) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(Reason(status), reason);
    EXPECT_EQ(Field(status), field);
  }
};

TEST_F(PolicyTest, AWorkspaceComesToBeWithItsPolicyAndAMaskSetsWhatItNames) {
  WorkspacePolicy policy;
  policy.set_label_pattern("[a-z]+");
  policy.mutable_max_lifetime()->set_seconds(60);
  const auto first = SetPolicy(policy);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->response().workspace().policy().label_pattern(), "[a-z]+");
  tollgate::v1::UpdateWorkspacePolicyRequest request;
  request.set_name("workspaces/acme");
  request.mutable_policy()->set_unique_labels(true);
  request.mutable_update_mask()->add_paths("unique_labels");
  const auto second = Do(SetPolicyCommand::Make(request, "local"));
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE((*second)->response().workspace().policy().unique_labels());
  EXPECT_EQ((*second)->response().workspace().policy().max_lifetime().seconds(), 60);
  request.mutable_update_mask()->clear_paths();
  ExpectRefused(SetPolicyCommand::Make(request, "local").status(),
                absl::StatusCode::kInvalidArgument, "MASK_REQUIRED", "update_mask");
  request.mutable_update_mask()->add_paths("nonsense");
  ExpectRefused(SetPolicyCommand::Make(request, "local").status(),
                absl::StatusCode::kInvalidArgument, "UNKNOWN_FIELD", "update_mask");
}

TEST_F(PolicyTest, BadPolicies) {
  WorkspacePolicy policy;
  policy.set_label_pattern("(");
  ExpectRefused(SetPolicy(policy).status(), absl::StatusCode::kInvalidArgument,
                "LABEL_PATTERN_INVALID", "policy.label_pattern");
  policy.set_label_pattern(std::string(300, 'a'));
  EXPECT_EQ(Reason(SetPolicy(policy)), "LABEL_PATTERN_INVALID");
  policy.set_label_pattern("(((a{100}){100}){100})");
  EXPECT_EQ(Reason(SetPolicy(policy)), "LABEL_PATTERN_INVALID");
  policy.Clear();
  policy.mutable_max_unused()->set_seconds(-1);
  ExpectRefused(SetPolicy(policy).status(), absl::StatusCode::kInvalidArgument,
                "POLICY_DURATION_OUT_OF_BOUNDS", "policy.max_unused");
  policy.Clear();
  policy.add_grantable_scopes("no good");
  EXPECT_EQ(Reason(SetPolicy(policy)), "SCOPE_MALFORMED");
  policy.set_grantable_scopes(0, "repo*");
  ExpectRefused(SetPolicy(policy).status(), absl::StatusCode::kInvalidArgument,
                "SCOPE_STAR_MISPLACED", "policy.grantable_scopes[0]");
  EXPECT_EQ(Head(), 0);
}

TEST_F(PolicyTest, EdgesAreToldWhereWhatTheyAreToldOfTokensChanges) {
  const auto set = [this](std::vector<std::string> keys, bool addresses) {
    tollgate::v1::UpdateWorkspacePolicyRequest request;
    request.set_name("workspaces/acme");
    for (const std::string& key : keys) request.mutable_policy()->add_edge_annotations(key);
    request.mutable_policy()->set_report_attempt_addresses(addresses);
    request.mutable_update_mask()->add_paths("edge_annotations");
    request.mutable_update_mask()->add_paths("report_attempt_addresses");
    const auto done = Do(SetPolicyCommand::Make(request, "local"));
    EXPECT_TRUE(done.ok()) << done.status();
    if (!done.ok()) return std::string("refused");
    const WorkspacePolicy& now = (*done)->response().workspace().policy();
    EXPECT_EQ(
        std::vector<std::string>(now.edge_annotations().begin(), now.edge_annotations().end()),
        keys);
    EXPECT_EQ(now.report_attempt_addresses(), addresses);
    if (events_.empty()) return std::string("nothing told");
    EXPECT_EQ(events_.size(), 1u);
    return events_[0].workspace_changed().workspace();
  };
  EXPECT_EQ(set({}, false), "nothing told");
  EXPECT_EQ(set({"team"}, false), "acme");
  EXPECT_EQ(set({"team"}, false), "nothing told");
  EXPECT_EQ(set({"team", "plan"}, false), "acme");
  EXPECT_EQ(set({"plan", "team"}, false), "acme") << "which of them are told depends on the order";
  EXPECT_EQ(set({"plan", "team"}, true), "acme");
  EXPECT_EQ(set({"plan", "team"}, true), "nothing told");
  EXPECT_EQ(set({}, true), "acme");
  WorkspacePolicy policy;
  policy.mutable_max_lifetime()->set_seconds(60);
  ASSERT_TRUE(SetPolicy(policy).ok());
  ASSERT_EQ(events_.size(), 1u) << "a mask of * takes the addresses away";
  policy.set_unique_labels(true);
  ASSERT_TRUE(SetPolicy(policy).ok());
  EXPECT_TRUE(events_.empty()) << "a rule for new tokens is nothing that an edge holds";
  policy.add_edge_annotations("a");
  policy.add_edge_annotations("a");
  ExpectRefused(SetPolicy(policy).status(), absl::StatusCode::kInvalidArgument,
                "ANNOTATION_KEY_REPEATED", "policy.edge_annotations[1]");
}

TEST_F(PolicyTest, LiveTokensAreCapped) {
  tollgate::v1::WorkspacePolicy policy;
  for (const int64_t beyond : {int64_t{-1}, int64_t{1'000'000'001}}) {
    policy.set_max_live_tokens(beyond);
    EXPECT_EQ(Reason(SetPolicy(policy)), "LIMIT_OUT_OF_BOUNDS");
  }
  policy.set_max_live_tokens(2);
  const auto set = SetPolicy(policy);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->response().workspace().policy().max_live_tokens(), 2);
  ASSERT_TRUE(Create(Ask("a")).ok());
  const auto b = Create(Ask("b"));
  ASSERT_TRUE(b.ok());
  const auto refused = Create(Ask("c"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(refused), "TOO_MANY_TOKENS");
  // Rotation is never refused for it, or nobody could rotate there.
  const auto rotated = Rotate((*b)->response().token().name());
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  ASSERT_TRUE(RevokeOne((*b)->response().token().name()).ok());
  EXPECT_EQ(Reason(Create(Ask("c"))), "TOO_MANY_TOKENS") << "the replacement is one";
  ASSERT_TRUE(RevokeOne((*rotated)->response().token().name()).ok());
  EXPECT_TRUE(Create(Ask("c")).ok());
  // Each rotation may be one more, also of a replacement.
  policy.set_max_live_tokens(3);
  ASSERT_TRUE(SetPolicy(policy).ok());
  std::string name = Made("the third").name();
  for (int i = 0; i < 3; ++i) {
    const auto again = Rotate(name);
    ASSERT_TRUE(again.ok()) << again.status();
    name = (*again)->response().token().name();
  }
  EXPECT_EQ(storage::LiveTokens(*View(), "acme").value(), 6);
  policy.set_max_live_tokens(0);
  ASSERT_TRUE(SetPolicy(policy).ok());
  EXPECT_TRUE(Create(Ask("d")).ok()) << "any number";
}

// Each of a batch sees those before it.
TEST_F(PolicyTest, ABatchCannotPassTheCap) {
  tollgate::v1::WorkspacePolicy policy;
  policy.set_max_live_tokens(2);
  ASSERT_TRUE(SetPolicy(policy).ok());
  std::vector<std::shared_ptr<CreateTokenCommand>> made;
  std::vector<storage::Command*> batch;
  for (const char* label : {"a", "b", "c", "d"}) {
    made.push_back(CreateTokenCommand::Make(Ask(label), "local", Mint()).value());
    batch.push_back(made.back().get());
  }
  int done = 0;
  for (const absl::Status& one : RunAll(batch)) done += one.ok() ? 1 : 0;
  EXPECT_EQ(done, 2);
}

TEST_F(PolicyTest, LabelsMustMatchWhollyAndBeFree) {
  WorkspacePolicy policy;
  policy.set_label_pattern("[a-z]+-[0-9]+");
  policy.set_unique_labels(true);
  ASSERT_TRUE(SetPolicy(policy).ok());
  ExpectRefused(Create(Ask("x ci-1")).status(), absl::StatusCode::kFailedPrecondition,
                "LABEL_PATTERN_MISMATCH", "token.label");
  const auto token = Made("ci-1");
  const auto taken = Create(Ask("ci-1"));
  ExpectRefused(taken.status(), absl::StatusCode::kAlreadyExists, "LABEL_TAKEN", "token.label");
  EXPECT_EQ(Metadata(taken.status(), "token"), token.name());
  // A rotated token and its replacement may have the same.
  EXPECT_TRUE(Rotate(token.name()).ok());
  // What has ended holds no label, also where a cohort ended it and the index still names it.
  tollgate::v1::RevokeTokensRequest cohort;
  cohort.set_parent("workspaces/acme");
  ASSERT_TRUE(Do(RevokeCohortCommand::Make(cohort, "local")).ok());
  EXPECT_TRUE(Create(Ask("ci-1")).ok());
}

TEST_F(PolicyTest, LifetimesAreBoundedAndGivenWhereNoneIsAskedFor) {
  const auto before = Made("older");
  WorkspacePolicy policy;
  policy.mutable_max_lifetime()->set_seconds(100);
  ASSERT_TRUE(SetPolicy(policy).ok());
  auto request = Ask("a");
  request.mutable_lifetime()->set_seconds(101);
  ExpectRefused(Create(request).status(), absl::StatusCode::kFailedPrecondition,
                "LIFETIME_TOO_LONG", "lifetime");
  request.clear_lifetime();
  *request.mutable_token()->mutable_expire_time() = base::ToProto(now_ + absl::Seconds(101));
  ExpectRefused(Create(request).status(), absl::StatusCode::kFailedPrecondition,
                "LIFETIME_TOO_LONG", "token.expire_time");
  request.mutable_token()->clear_expire_time();
  const auto made = Create(request);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ((*made)->response().token().expire_time().seconds(), absl::ToUnixSeconds(now_) + 100);
  // Not shortened: what was granted before. Its replacement is granted now.
  const auto rotated = Rotate(before.name());
  EXPECT_FALSE((*rotated)->response().replaced().has_expire_time());
  EXPECT_EQ((*rotated)->response().token().expire_time().seconds(),
            absl::ToUnixSeconds(now_) + 100);
  // Nor may an end be taken away or moved out of bounds.
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_token()->set_name((*made)->response().token().name());
  update.mutable_update_mask()->add_paths("expire_time");
  ExpectRefused(Do(UpdateTokenCommand::Make(update, "local")).status(),
                absl::StatusCode::kFailedPrecondition, "LIFETIME_TOO_LONG", "token.expire_time");
  *update.mutable_token()->mutable_expire_time() = base::ToProto(now_ + absl::Seconds(50));
  EXPECT_TRUE(Do(UpdateTokenCommand::Make(update, "local")).ok());
}

TEST_F(PolicyTest, LabelsThatReadTheSameAreTheSame) {
  WorkspacePolicy policy;
  policy.set_unique_labels(true);
  ASSERT_TRUE(SetPolicy(policy).ok());
  const auto token = Made("caf\u00e9");
  const auto taken = Create(Ask("cafe\u0301"));
  ExpectRefused(taken.status(), absl::StatusCode::kAlreadyExists, "LABEL_TAKEN", "token.label");
  EXPECT_EQ(Metadata(taken.status(), "token"), token.name());
  EXPECT_NE(taken.status().message().find("reads the same"), std::string::npos);
  const auto other = Made("cafe");
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_token()->set_name(other.name());
  update.mutable_token()->set_label("cafe\u0301");
  update.mutable_update_mask()->add_paths("label");
  EXPECT_EQ(Reason(Do(UpdateTokenCommand::Make(update, "local"))), "LABEL_TAKEN");
  // Its own label may be written otherwise, and is found under either.
  update.mutable_token()->set_name(token.name());
  const auto rewritten = Do(UpdateTokenCommand::Make(update, "local"));
  ASSERT_TRUE(rewritten.ok()) << rewritten.status();
  EXPECT_EQ((*rewritten)->response().token().label(), "cafe\u0301");
  EXPECT_EQ(Count(storage::Table::kLabels), 2u);
  EXPECT_EQ(Reason(Create(Ask("caf\u00e9"))), "LABEL_TAKEN");
  ASSERT_TRUE(RevokeOne(token.name()).ok());
  EXPECT_EQ(Count(storage::Table::kLabels), 1u);
  EXPECT_TRUE(Create(Ask("caf\u00e9")).ok());
}

TEST_F(PolicyTest, OnlyGrantableScopesAreAdded) {
  const auto before = Made("older");  // deploy:write
  WorkspacePolicy policy;
  policy.add_grantable_scopes("items:*");
  ASSERT_TRUE(SetPolicy(policy).ok());
  auto request = Ask("a");
  request.mutable_token()->set_scopes(0, "items:read");
  EXPECT_TRUE(Create(request).ok());
  request.mutable_token()->add_scopes("admin");
  ExpectRefused(Create(request).status(), absl::StatusCode::kFailedPrecondition,
                "SCOPE_NOT_GRANTABLE", "token.scopes[1]");
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_token()->set_name(before.name());
  update.mutable_token()->add_scopes("deploy:write");
  update.mutable_token()->add_scopes("items:read");
  update.mutable_update_mask()->add_paths("scopes");
  EXPECT_TRUE(Do(UpdateTokenCommand::Make(update, "local")).ok());
  update.mutable_token()->add_scopes("*");
  ExpectRefused(Do(UpdateTokenCommand::Make(update, "local")).status(),
                absl::StatusCode::kFailedPrecondition, "SCOPE_NOT_GRANTABLE", "token.scopes[2]");
}

TEST_F(PolicyTest, AReplacementKeepsToThePolicyAsItIs) {
  auto request = Ask("Old Key");
  request.mutable_token()->add_scopes("admin");
  const auto token = (*Create(request))->response().token();
  WorkspacePolicy policy;
  policy.add_grantable_scopes("deploy:*");
  policy.set_label_pattern("[a-z-]+");
  ASSERT_TRUE(SetPolicy(policy).ok());
  const auto label = Rotate(token.name());
  ExpectRefused(label.status(), absl::StatusCode::kFailedPrecondition, "LABEL_PATTERN_MISMATCH",
                "token.label");
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_token()->set_name(token.name());
  update.mutable_token()->set_label("old-key");
  update.mutable_update_mask()->add_paths("label");
  ASSERT_TRUE(Do(UpdateTokenCommand::Make(update, "local")).ok());
  ExpectRefused(Rotate(token.name()).status(), absl::StatusCode::kFailedPrecondition,
                "SCOPE_NOT_GRANTABLE", "token.scopes[1]");
  tollgate::v1::RotateTokenRequest rotate;
  rotate.set_name(token.name());
  rotate.set_drop_ungrantable_scopes(true);
  const auto rotated = Do(RotateTokenCommand::Make(rotate, "local", Mint()));
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  const auto& made = (*rotated)->response().token();
  ASSERT_EQ(made.scopes_size(), 1);
  EXPECT_EQ(made.scopes(0), "deploy:write");
  EXPECT_EQ((*rotated)->response().replaced().scopes_size(), 2) << "the old one keeps what it has";
  EXPECT_TRUE(Rotate(made.name()).ok()) << "nothing is left to drop";
}

TEST_F(PolicyTest, AReplacementLivesAsLongAsWasLastGivenAndNoLonger) {
  auto request = Ask("a");
  request.mutable_lifetime()->set_seconds(100);
  std::string name = (*Create(request))->response().token().name();
  // Its end is moved by as much each time: that is no longer life.
  for (int i = 0; i < 3; ++i) {
    now_ += absl::Seconds(80);
    tollgate::v1::UpdateTokenRequest update;
    update.mutable_token()->set_name(name);
    update.mutable_update_mask()->add_paths("expire_time");
    update.mutable_lifetime()->set_seconds(100);
    ASSERT_TRUE(Do(UpdateTokenCommand::Make(update, "local")).ok());
    now_ += absl::Seconds(10);
    const auto rotated = Rotate(name);
    ASSERT_TRUE(rotated.ok()) << rotated.status();
    const auto& made = (*rotated)->response().token();
    EXPECT_EQ(made.expire_time().seconds(), absl::ToUnixSeconds(now_) + 100) << i;
    name = made.name();
  }
}

}  // namespace
}  // namespace tollgate::service
