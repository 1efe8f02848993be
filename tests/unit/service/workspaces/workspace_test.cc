// How workspaces come to be, are renamed, and go.
#include "base/proto_time.h"
#include "service/records/held_token.h"
#include "service/records/near_names.h"
#include "service/sweep/sweep.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/update_token.h"
#include "service/workspaces/create_workspace.h"
#include "service/workspaces/delete_workspace.h"
#include "service/workspaces/update_workspace.h"
#include "storage/live_count.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::WorkspaceRecord;
using ::tollgate::v1::CreateTokenRequest;
using ::tollgate::v1::CreateWorkspaceRequest;
using ::tollgate::v1::DeleteWorkspaceRequest;
using ::tollgate::v1::RevokeTokensRequest;
using ::tollgate::v1::UpdateWorkspaceRequest;

class WorkspaceTest : public CommandTest {
 protected:
  CreateTokenRequest AskIn(const std::string& workspace, const std::string& owner = "") {
    CreateTokenRequest request = Ask("x");
    request.set_parent("workspaces/" + workspace);
    request.mutable_token()->set_owner(owner);
    return request;
  }
  absl::StatusOr<std::shared_ptr<CreateWorkspaceCommand>> CreateWorkspace(
      const std::string& workspace, const std::string& display_name = "",
      const std::string& request_id = "") {
    CreateWorkspaceRequest request;
    request.set_workspace_id(workspace);
    request.mutable_workspace()->set_display_name(display_name);
    request.set_request_id(request_id);
    return Do(CreateWorkspaceCommand::Make(request, "ops"));
  }
  absl::StatusOr<std::shared_ptr<UpdateWorkspaceCommand>> Rename(const std::string& workspace,
                                                                 const std::string& display_name,
                                                                 const std::string& etag = "") {
    UpdateWorkspaceRequest request;
    request.mutable_workspace()->set_name("workspaces/" + workspace);
    request.mutable_workspace()->set_display_name(display_name);
    request.mutable_workspace()->set_etag(etag);
    request.mutable_update_mask()->add_paths("display_name");
    return Do(UpdateWorkspaceCommand::Make(request, "ops"));
  }
  absl::StatusOr<std::shared_ptr<DeleteWorkspaceCommand>> Delete(const std::string& workspace,
                                                                 const std::string& etag = "",
                                                                 const std::string& id = "") {
    DeleteWorkspaceRequest request;
    request.set_name("workspaces/" + workspace);
    request.set_etag(etag);
    request.set_request_id(id);
    return Do(DeleteWorkspaceCommand::Make(request, "ops"));
  }
  absl::Status RevokeAll(const std::string& workspace, const std::string& owner) {
    RevokeTokensRequest request;
    request.set_parent("workspaces/" + workspace);
    request.set_owner(owner);
    request.set_allow_empty(true);
    return Do(RevokeCohortCommand::Make(request, "ops")).status();
  }
  std::vector<AuditRecord> Audit() {
    std::vector<AuditRecord> records;
    const auto entries = View()->Scan(storage::Table::kAudit, "", "", 1000).value();
    for (const storage::Entry& entry : entries) {
      tollgate::store::v1::AuditChainRecord link;
      EXPECT_TRUE(link.ParseFromString(entry.value));
      EXPECT_TRUE(records.emplace_back().ParseFromString(link.content()));
    }
    return records;
  }
  std::vector<std::string> Actions() {
    std::vector<std::string> actions;
    for (const AuditRecord& record : Audit()) actions.push_back(record.action());
    return actions;
  }
  std::vector<std::string> Workspaces() {
    std::vector<std::string> names;
    const auto entries = View()->Scan(storage::Table::kWorkspaces, "", "", 1000).value();
    for (const storage::Entry& entry : entries) {
      names.push_back(entry.key);
    }
    return names;
  }
  absl::Status Sweep() {
    SweepCommand sweep(SweepCommand::Limits(), SilenceEvidence(), "");
    return RunOne(sweep);
  }
};

TEST_F(WorkspaceTest, TheFirstOfAStoreComesWithItsFirstTokenAndNoOther) {
  ASSERT_TRUE(Create(AskIn("acme")).ok());
  EXPECT_THAT(Actions(), ElementsAre("workspace.create", "token.create"));
  EXPECT_EQ(Audit()[0].resource(), "workspaces/acme");

  const absl::Status typo = Create(AskIn("acmee")).status();
  EXPECT_EQ(typo.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(typo), "WORKSPACE_NOT_FOUND");
  EXPECT_EQ(typo.message(), "there is no workspace acmee. Did you mean acme?");
  EXPECT_EQ(Metadata(typo, "near"), "acme");
  EXPECT_EQ(Create(AskIn("unlike")).status().message(), "there is no workspace unlike");
  EXPECT_THAT(Workspaces(), ElementsAre("acme"));

  CreateTokenRequest meant = AskIn("acmee");
  meant.set_create_workspace(true);
  meant.set_request_id("r");
  ASSERT_TRUE(Create(meant).ok());
  EXPECT_THAT(Workspaces(), ElementsAre("acme", "acmee"));
  EXPECT_THAT(Actions(),
              ElementsAre("workspace.create", "token.create", "workspace.create", "token.create"));
  // Where there is one, the wish means nothing; and a retry need not repeat it.
  ASSERT_TRUE(Create(meant).ok());
  meant.set_create_workspace(false);
  const auto again = Create(meant);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE((*again)->replayed());
  EXPECT_EQ(Actions().size(), 4u);
}

TEST_F(WorkspaceTest, OfTwoFirstTokensInOneCommitTheOtherIsRefused) {
  auto first = CreateTokenCommand::Make(AskIn("acme"), "local", Mint()).value();
  auto second = CreateTokenCommand::Make(AskIn("globex"), "local", Mint()).value();
  const auto statuses = RunAll({first.get(), second.get()});
  EXPECT_TRUE(statuses[0].ok());
  EXPECT_EQ(Reason(statuses[1]), "WORKSPACE_NOT_FOUND");
}

TEST_F(WorkspaceTest, ARefusedTokenMakesNoWorkspace) {
  CreateTokenRequest request = AskIn("acme");
  request.set_create_workspace(true);
  *request.mutable_token()->mutable_expire_time() = base::ToProto(now_ - absl::Seconds(1));
  EXPECT_EQ(Reason(Create(request)), "EXPIRE_TIME_PAST");
  EXPECT_THAT(Workspaces(), IsEmpty());
}

TEST_F(WorkspaceTest, APolicyMakesTheFirstAndNoOther) {
  ASSERT_TRUE(SetPolicy({}).ok());  // of acme
  tollgate::v1::UpdateWorkspacePolicyRequest request;
  request.set_name("workspaces/acne");
  request.mutable_update_mask()->add_paths("*");
  const absl::Status typo = Do(SetPolicyCommand::Make(request, "local")).status();
  EXPECT_EQ(typo.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(typo.message(), "there is no workspace acne. Did you mean acme?");
  EXPECT_THAT(Workspaces(), ElementsAre("acme"));
}

TEST_F(WorkspaceTest, IsMadeOnPurposeOnce) {
  const auto made = CreateWorkspace("acme", "Acme, Inc.", "r");
  ASSERT_TRUE(made.ok()) << made.status();
  const auto& workspace = (*made)->response().workspace();
  EXPECT_EQ(workspace.name(), "workspaces/acme");
  EXPECT_EQ(workspace.display_name(), "Acme, Inc.");
  EXPECT_EQ(workspace.create_revision(), Head());
  EXPECT_EQ(workspace.live_token_count(), 0);
  EXPECT_THAT(events_, IsEmpty());
  const AuditRecord entry = Audit().at(0);
  EXPECT_EQ(entry.action(), "workspace.create");
  EXPECT_EQ(entry.actor(), "ops");
  EXPECT_EQ(entry.workspace(), "acme");
  ASSERT_EQ(entry.changes_size(), 1);
  EXPECT_EQ(entry.changes(0).field(), "display_name");
  EXPECT_EQ(entry.changes(0).after().string_value(), "Acme, Inc.");
  EXPECT_FALSE(entry.changes(0).has_before());

  EXPECT_TRUE(CreateWorkspace("acme", "Acme, Inc.", "r").ok());  // a retry
  const absl::Status again = CreateWorkspace("acme").status();
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Reason(again), "WORKSPACE_EXISTS");
  EXPECT_TRUE(Create(AskIn("acme")).ok());
  ASSERT_TRUE(CreateWorkspace("globex").ok());
  EXPECT_TRUE(Create(AskIn("globex")).ok());
}

TEST_F(WorkspaceTest, BadRequests) {
  for (const char* bad : {"", "A", "workspaces/acme", "-a", "a b"}) {
    const absl::Status refused = CreateWorkspace(bad).status();
    EXPECT_EQ(Reason(refused), "BAD_RESOURCE_NAME") << bad;
    EXPECT_EQ(Field(refused), "workspace_id");
  }
  EXPECT_EQ(Field(CreateWorkspace("acme", " two  spaces").status()), "workspace.display_name");
  CreateWorkspaceRequest request;
  request.set_workspace_id("acme");
  request.mutable_workspace()->mutable_policy()->set_unique_labels(true);
  EXPECT_EQ(Reason(CreateWorkspaceCommand::Make(request, "ops")), "OUTPUT_ONLY_FIELD");

  ASSERT_TRUE(CreateWorkspace("acme").ok());
  EXPECT_EQ(Field(Rename("acme", "\x1b[2J").status()), "workspace.display_name");
  EXPECT_EQ(Reason(Rename("acm", "x")), "WORKSPACE_NOT_FOUND");
  UpdateWorkspaceRequest update;
  update.mutable_workspace()->set_name("workspaces/acme");
  EXPECT_EQ(Reason(UpdateWorkspaceCommand::Make(update, "ops")), "MASK_REQUIRED");
  update.mutable_update_mask()->add_paths("policy");
  EXPECT_EQ(Reason(UpdateWorkspaceCommand::Make(update, "ops")), "UNKNOWN_FIELD");
  EXPECT_EQ(Reason(Delete("acm")), "WORKSPACE_NOT_FOUND");
  EXPECT_EQ(Reason(Delete("a/b")), "BAD_RESOURCE_NAME");
}

TEST_F(WorkspaceTest, IsRenamedForPeopleByWhoeverSawItAsItIs) {
  const std::string first = (*CreateWorkspace("acme"))->response().workspace().etag();
  const auto renamed = Rename("acme", "Acme", first);
  ASSERT_TRUE(renamed.ok()) << renamed.status();
  EXPECT_EQ((*renamed)->response().workspace().display_name(), "Acme");
  EXPECT_FALSE((*renamed)->response().unchanged());
  EXPECT_EQ(Reason(Rename("acme", "Other", first)), "ETAG_MISMATCH");
  EXPECT_EQ(Reason(Delete("acme", first)), "ETAG_MISMATCH");
  EXPECT_EQ(Audit().back().action(), "workspace.update");
  ASSERT_EQ(Audit().back().changes_size(), 1);
  EXPECT_TRUE(Audit().back().changes(0).before().has_null_value());
  EXPECT_EQ(Audit().back().changes(0).after().string_value(), "Acme");

  const size_t entries = Audit().size();
  const auto same = Rename("acme", "Acme");
  ASSERT_TRUE(same.ok());
  EXPECT_TRUE((*same)->response().unchanged());
  EXPECT_EQ(Audit().size(), entries);
  // A policy leaves the name alone.
  tollgate::v1::WorkspacePolicy policy;
  policy.set_unique_labels(true);
  EXPECT_EQ((*SetPolicy(policy))->response().workspace().display_name(), "Acme");
  ASSERT_TRUE(Rename("acme", "").ok());
  EXPECT_EQ(Audit().back().changes(0).before().string_value(), "Acme");
}

TEST_F(WorkspaceTest, IsDeletedOnlyWithoutAnyToken) {
  const auto token = Made("x");
  absl::Status refused = Delete("acme").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(refused), "WORKSPACE_NOT_EMPTY");
  EXPECT_EQ(Metadata(refused, "live_token_count"), "1");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("acme has 1 live token."));
  ASSERT_TRUE(RevokeOne(token.name()).ok());
  refused = Delete("acme").status();
  EXPECT_EQ(Reason(refused), "WORKSPACE_NOT_EMPTY");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("ended tokens"));
  EXPECT_THAT(Workspaces(), ElementsAre("acme"));

  ASSERT_TRUE(CreateWorkspace("globex", "Globex").ok());
  const auto deleted = Delete("globex", "", "d");
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ((*deleted)->response().revision(), Head());
  EXPECT_THAT(events_, IsEmpty());
  EXPECT_THAT(Workspaces(), ElementsAre("acme"));
  EXPECT_EQ(Audit().back().action(), "workspace.delete");
  ASSERT_EQ(Audit().back().changes_size(), 1);
  EXPECT_EQ(Audit().back().changes(0).before().string_value(), "Globex");
  const auto again = Delete("globex", "", "d");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->response().revision(), (*deleted)->response().revision());
  EXPECT_EQ(Reason(Delete("globex")), "WORKSPACE_NOT_FOUND");
  EXPECT_EQ(Reason(Create(AskIn("globex"))), "WORKSPACE_NOT_FOUND");
}

// A request id, or what was read, from the former's time is of the former.
TEST_F(WorkspaceTest, AnswersAndEtagsOfTheFormerAreNotItsOwn) {
  tollgate::v1::UpdateWorkspacePolicyRequest request;
  request.set_name("workspaces/acme");
  request.mutable_policy()->set_unique_labels(true);
  request.mutable_update_mask()->add_paths("unique_labels");
  request.set_request_id("deploy-7");
  const auto set = [&] { return Do(SetPolicyCommand::Make(request, "ops")); };
  const std::string etag = (*CreateWorkspace("acme", "", "c"))->response().workspace().etag();
  ASSERT_TRUE(set().ok());
  EXPECT_TRUE((*set())->replayed());
  ASSERT_TRUE(Delete("acme", "", "d").ok());
  ASSERT_TRUE(CreateWorkspace("acme").ok());
  const auto again = set();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE((*again)->replayed());
  EXPECT_TRUE((*again)->response().workspace().policy().unique_labels());
  EXPECT_EQ(Reason(Rename("acme", "Acme", etag)), "ETAG_MISMATCH");
  // The deletion that is asked for once more is the former's.
  EXPECT_TRUE((*Delete("acme", "", "d"))->replayed());
  EXPECT_THAT(Workspaces(), ElementsAre("acme"));
}

TEST_F(WorkspaceTest, ATokenOfNoWorkspaceIsRefusedByTheWorkspace) {
  ASSERT_TRUE(CreateWorkspace("acme").ok());
  const absl::Status typo = RevokeOne("workspaces/acmee/tokens/TTTTTTTTTTTTTTTT").status();
  EXPECT_EQ(Reason(typo), "WORKSPACE_NOT_FOUND");
  EXPECT_EQ(Metadata(typo, "near"), "acme");
  EXPECT_EQ(Reason(RevokeOne("workspaces/acme/tokens/TTTTTTTTTTTTTTTT")), "TOKEN_NOT_FOUND");
}

TEST_F(WorkspaceTest, OneOfADeletedNameKnowsNothingOfTheFormer) {
  ASSERT_TRUE(CreateWorkspace("acme").ok());
  tollgate::v1::WorkspacePolicy policy;
  policy.mutable_max_unused()->set_seconds(60);
  ASSERT_TRUE(SetPolicy(policy).ok());
  ASSERT_TRUE(RevokeAll("acme", "").ok());
  ASSERT_TRUE(RevokeAll("acme", "team-a").ok());
  const int64_t former = Head();
  ASSERT_TRUE(Delete("acme").ok());
  EXPECT_TRUE(Sweep().ok());
  now_ += absl::Minutes(2);
  EXPECT_TRUE(Sweep().ok());  // the former policy's entry is due, and of nobody

  const auto made = CreateWorkspace("acme");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_GT((*made)->response().workspace().create_revision(), former);
  EXPECT_FALSE((*made)->response().workspace().has_policy());
  // The former's watermarks end nothing here, and forbid nothing.
  const auto owned = Made("owned", "team-a");
  const auto given = Made("given");
  EXPECT_EQ(owned.state(), tollgate::v1::TOKEN_STATE_ACTIVE);
  tollgate::v1::UpdateTokenRequest give;
  give.mutable_token()->set_name(given.name());
  give.mutable_token()->set_owner("team-a");
  give.mutable_update_mask()->add_paths("owner");
  const auto gave = Do(UpdateTokenCommand::Make(give, "local"));
  EXPECT_TRUE(gave.ok()) << gave.status();
  EXPECT_EQ(storage::LiveTokens(*View(), "acme").value(), 2);
  EXPECT_EQ(storage::LiveTokens(*View(), "acme", "team-a").value(), 2);
  // Nor does its own first revocation carry them on.
  ASSERT_TRUE(RevokeAll("acme", "team-a").ok());
  const auto cohorts = LoadCohorts(*View(), "acme", "team-a").value();
  EXPECT_THAT(cohorts.owner->earlier(), IsEmpty());
  EXPECT_EQ(storage::LiveTokens(*View(), "acme").value(), 0);
  EXPECT_EQ(LoadToken(*View(), "acme", owned.token_id())->StateAt(now_),
            tollgate::v1::TOKEN_STATE_REVOKED);
}

TEST_F(WorkspaceTest, AWalkOfTheSweepOverADeletedOneIsOver) {
  // A watermark that ended something has a walk; what it ended may be gone before it has begun.
  ASSERT_TRUE(CreateWorkspace("acme").ok());
  const auto token = Made("x");
  ASSERT_TRUE(RevokeAll("acme", "").ok());
  storage::CommitRequest request;
  request.expected_head = Head();
  class Forget : public storage::Command {
   public:
    explicit Forget(std::string id) : id_(std::move(id)) {}
    absl::string_view name() const override { return "forget"; }
    absl::Status Run(const storage::View&, const storage::Slot&,
                     storage::Effects& effects) override {
      effects.Delete(storage::Table::kTokens, storage::TokenKey("acme", id_));
      return absl::OkStatus();
    }

   private:
    const std::string id_;
  } forget(token.token_id());
  ASSERT_TRUE(RunOne(forget).ok());
  ASSERT_TRUE(Delete("acme").ok());
  EXPECT_TRUE(Sweep().ok());
}

TEST(NearNames, AreFewAndNear) {
  const std::vector<std::string> known = {"acme", "acme-test", "globex", "dev", "qa"};
  EXPECT_THAT(NearNames("acmee", known), ElementsAre("acme"));
  EXPECT_THAT(NearNames("Acme", known), ElementsAre("acme"));
  EXPECT_THAT(NearNames("test", known), ElementsAre("acme-test"));
  EXPECT_THAT(NearNames("globx", known), ElementsAre("globex"));
  EXPECT_THAT(NearNames("ab", known), Not(ElementsAre("qa")));
  EXPECT_THAT(NearNames("prod", known), IsEmpty());
  EXPECT_THAT(NearNames("t", {"at", "bt", "ct", "dt"}).size(), 3u);
}

}  // namespace
}  // namespace tollgate::service
