// The audit log, read: of one token by its index, of all by filters, in both orders, by pages.
#include "service/reads/read_audit.h"

#include <algorithm>
#include <utility>

#include "base/proto_time.h"
#include "service/tokens/cancel_rotation.h"
#include "service/tokens/retire_token.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/update_token.h"
#include "service/workspaces/create_workspace.h"
#include "service/workspaces/delete_workspace.h"
#include "storage/audit_index.h"
#include "storage/migration.h"
#include "storage/overlay_view.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::tollgate::v1::AuditEntry;
using ::tollgate::v1::ListAuditEntriesRequest;

// Counts the entries that are read through it.
class CountingSnapshot : public storage::Snapshot {
 public:
  explicit CountingSnapshot(const storage::Snapshot* inner) : inner_(inner) {}
  int64_t revision() const override { return inner_->revision(); }
  absl::StatusOr<absl::optional<std::string>> Get(storage::Table table,
                                                  absl::string_view key) const override {
    ++read_;
    return inner_->Get(table, key);
  }
  absl::StatusOr<std::vector<storage::Entry>> Scan(storage::Table table, absl::string_view begin,
                                                   absl::string_view end,
                                                   size_t limit) const override {
    return Counted(inner_->Scan(table, begin, end, limit));
  }
  absl::StatusOr<std::vector<storage::Entry>> ScanBack(storage::Table table,
                                                       absl::string_view begin,
                                                       absl::string_view end,
                                                       size_t limit) const override {
    return Counted(inner_->ScanBack(table, begin, end, limit));
  }
  size_t read() const { return read_; }

 private:
  absl::StatusOr<std::vector<storage::Entry>> Counted(
      absl::StatusOr<std::vector<storage::Entry>> entries) const {
    if (entries.ok()) read_ += entries->size();
    return entries;
  }
  const storage::Snapshot* const inner_;
  mutable size_t read_ = 0;
};

class ReadAuditTest : public CommandTest {
 protected:
  // Every entry that a request asks for, page by page.
  std::vector<AuditEntry> All(ListAuditEntriesRequest request) {
    std::vector<AuditEntry> all;
    do {
      const auto page = ReadAuditEntries(*View(), request, now_);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      all.insert(all.end(), page->entries().begin(), page->entries().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return all;
  }
  std::vector<std::string> Actions(const ListAuditEntriesRequest& request) {
    std::vector<std::string> actions;
    for (const AuditEntry& entry : All(request)) actions.push_back(entry.action());
    return actions;
  }
  ListAuditEntriesRequest Of(const std::string& token, bool newest_first = false) {
    ListAuditEntriesRequest request;
    request.mutable_filter()->set_token(token);
    request.set_newest_first(newest_first);
    return request;
  }
  absl::Status RevokeAll(const std::string& owner) {
    tollgate::v1::RevokeTokensRequest request;
    request.set_parent("workspaces/acme");
    request.set_owner(owner);
    request.set_reason("the team is gone");
    return Do(RevokeCohortCommand::Make(request, "ops")).status();
  }
  std::string ReasonFor(const ListAuditEntriesRequest& request) {
    return Reason(ReadAuditEntries(*View(), request, now_));
  }
};

TEST_F(ReadAuditTest, ATokensHistoryIsAllThatIsAboutItInEitherOrder) {
  const auto token = Made("a", "team-a");
  const auto other = Made("b");
  ASSERT_TRUE(Suspend(token.name()).ok());
  ASSERT_TRUE(Suspend(other.name()).ok());
  ASSERT_TRUE(Resume(token.name()).ok());
  const auto made = (*Rotate(token.name()))->response().token();
  EXPECT_THAT(Actions(Of(token.name())),
              ElementsAre("token.create", "token.suspend", "token.resume", "token.rotate"));
  EXPECT_THAT(Actions(Of(token.name(), true)),
              ElementsAre("token.rotate", "token.resume", "token.suspend", "token.create"));
  // The rotation is what made the other one.
  EXPECT_THAT(Actions(Of(made.name())), ElementsAre("token.rotate"));
  // A page at a time it is the same.
  for (const bool newest_first : {false, true}) {
    auto request = Of(token.name(), newest_first);
    const auto whole = Actions(request);
    request.set_page_size(1);
    EXPECT_EQ(Actions(request), whole);
  }
  // Who gave it up, too.
  tollgate::v1::CancelRotationRequest cancel;
  cancel.set_name(token.name());
  ASSERT_TRUE(Do(CancelRotationCommand::Make(cancel, "local")).ok());
  EXPECT_THAT(Actions(Of(made.name())), ElementsAre("token.rotate", "token.cancel_rotation"));
  EXPECT_EQ(ReasonFor(Of("workspaces/acme/tokens/0000000000000000")), "TOKEN_NOT_FOUND");
}

TEST_F(ReadAuditTest, TheEntryThatEndedItWithOthersIsOfItsHistory) {
  const auto token = Made("a", "team-a");
  const auto other = Made("b", "team-b");
  ASSERT_TRUE(RevokeAll("team-b").ok());
  ASSERT_TRUE(RevokeAll("team-a").ok());
  // Later ones ended it no more, and a reason that came too late stands behind its end.
  ASSERT_TRUE(RevokeOne(token.name()).ok());
  Made("c", "team-a");
  ASSERT_TRUE(RevokeAll("team-a").ok());
  const auto entries = All(Of(token.name()));
  ASSERT_THAT(entries, SizeIs(3));
  EXPECT_EQ(entries[0].action(), "token.create");
  EXPECT_EQ(entries[1].action(), "cohort.revoke");
  EXPECT_EQ(entries[1].reason(), "the team is gone");
  EXPECT_EQ(entries[1].details().at("owner"), "team-a");
  EXPECT_EQ(entries[2].action(), "token.revoke_again");
  for (const bool newest_first : {false, true}) {
    for (const int page_size : {1, 2, 3}) {
      auto request = Of(token.name(), newest_first);
      request.set_page_size(page_size);
      auto told = All(request);
      if (newest_first) std::reverse(told.begin(), told.end());
      ASSERT_THAT(told, SizeIs(3)) << page_size;
      for (int i = 0; i < 3; ++i) EXPECT_EQ(told[i].revision(), entries[i].revision());
    }
  }
  EXPECT_THAT(Actions(Of(other.name())), ElementsAre("token.create", "cohort.revoke"));
}

// The point of the index.
// A name may be used again, by others: who has a role in the workspace as it is learns nothing of
// the former one, whose tokens may have had labels and owners.
TEST_F(ReadAuditTest, AWorkspaceAsItIsHasNothingOfTheFormerOfItsName) {
  const auto actions = [this](ListAuditEntriesRequest request, AuditReach reach) {
    std::vector<std::string> found;
    for (const bool newest_first : {false, true}) {
      request.set_newest_first(newest_first);
      found.clear();
      const auto page = ReadAuditEntries(*View(), request, now_, reach);
      EXPECT_TRUE(page.ok()) << page.status();
      for (const AuditEntry& entry : page->entries()) found.push_back(entry.action());
      if (newest_first) std::reverse(found.begin(), found.end());
    }
    return found;
  };
  const auto former = Made("of the former");
  ASSERT_TRUE(RevokeOne(former.name()).ok());
  Harm([&](storage::Effects& effects) {  // as a purge does it, in its time
    effects.Delete(storage::Table::kTokens, storage::TokenKey("acme", former.token_id()));
  });
  tollgate::v1::DeleteWorkspaceRequest gone;
  gone.set_name("workspaces/acme");
  ASSERT_TRUE(Do(DeleteWorkspaceCommand::Make(gone, "ops")).ok());
  ListAuditEntriesRequest acme;
  acme.set_parent("workspaces/acme");
  EXPECT_THAT(actions(acme, AuditReach::kWorkspaceAsItIs), IsEmpty()) << "it is not there";

  tollgate::v1::CreateWorkspaceRequest anew;
  anew.set_workspace_id("acme");
  ASSERT_TRUE(Do(CreateWorkspaceCommand::Make(anew, "ops")).ok());
  const auto token = Made("of the next");
  EXPECT_THAT(actions(acme, AuditReach::kWorkspaceAsItIs),
              ElementsAre("workspace.create", "token.create"));
  EXPECT_THAT(actions(Of(token.name()), AuditReach::kWorkspaceAsItIs), ElementsAre("token.create"));
  EXPECT_THAT(actions(Of(former.name()), AuditReach::kWorkspaceAsItIs), IsEmpty());
  acme.set_from_revision(1);
  EXPECT_THAT(actions(acme, AuditReach::kWorkspaceAsItIs),
              ElementsAre("workspace.create", "token.create"))
      << "nor by asking for it";
  EXPECT_THAT(actions(acme, AuditReach::kAll),
              ElementsAre("workspace.create", "token.create", "token.revoke", "workspace.delete",
                          "workspace.create", "token.create"));
}

TEST_F(ReadAuditTest, AHistoryReadsNothingOfTheOthers) {
  const auto token = Made("a");
  std::vector<std::shared_ptr<CreateTokenCommand>> made;
  std::vector<storage::Command*> batch;
  for (int i = 0; i < 20'000; ++i) {
    made.push_back(CreateTokenCommand::Make(Ask("t"), "local", Mint()).value());
    batch.push_back(made.back().get());
  }
  for (const auto& status : RunAll(batch)) ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(Suspend(token.name()).ok());
  const auto snapshot = View();
  for (const bool newest_first : {false, true}) {
    CountingSnapshot counting(snapshot.get());
    const auto page = ReadAuditEntries(counting, Of(token.name(), newest_first), now_);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_THAT(page->entries(), SizeIs(2));
    EXPECT_LT(counting.read(), 20u);
  }
}

TEST_F(ReadAuditTest, IsFilteredByActorActionAndTime) {
  const absl::Time start = now_;
  const auto token = Made("a");
  now_ += absl::Hours(1);
  ASSERT_TRUE(Suspend(token.name()).ok());
  now_ += absl::Hours(1);
  tollgate::v1::RevokeTokenRequest revoke;
  revoke.set_name(token.name());
  ASSERT_TRUE(Do(RevokeTokenCommand::Make(revoke, "spiffe://acme/ci")).ok());
  ASSERT_TRUE(SetPolicy({}).ok());

  ListAuditEntriesRequest request;
  auto& filter = *request.mutable_filter();
  filter.set_actor("spiffe://acme/ci");
  EXPECT_THAT(Actions(request), ElementsAre("token.revoke"));
  filter.set_actor("spiffe://acme");
  EXPECT_THAT(Actions(request), IsEmpty());
  filter.Clear();
  filter.add_actions("token.*");
  EXPECT_THAT(Actions(request), ElementsAre("token.create", "token.suspend", "token.revoke"));
  filter.set_actions(0, "token.create");
  filter.add_actions("policy.update");
  request.set_newest_first(true);
  EXPECT_THAT(Actions(request), ElementsAre("policy.update", "token.create"));
  request.set_newest_first(false);
  filter.Clear();
  *filter.mutable_since() = base::ToProto(start + absl::Hours(1));
  *filter.mutable_until() = base::ToProto(start + absl::Hours(2));
  EXPECT_THAT(Actions(request), ElementsAre("token.suspend"));
  filter.set_token(token.name());
  EXPECT_THAT(Actions(request), ElementsAre("token.suspend"));
  filter.Clear();
  *filter.mutable_since_ago() = base::ToProto(absl::Hours(1));
  EXPECT_THAT(Actions(request), ElementsAre("token.suspend", "token.revoke", "policy.update"));
  *filter.mutable_until_ago() = base::ToProto(absl::Minutes(1));
  EXPECT_THAT(Actions(request), ElementsAre("token.suspend"));
  filter.Clear();
  filter.set_token(token.name());
  request.set_from_revision(2);
  EXPECT_THAT(Actions(request), ElementsAre("token.suspend", "token.revoke"));
  request.set_newest_first(true);
  EXPECT_THAT(Actions(request), ElementsAre("token.revoke", "token.suspend"));
}

TEST_F(ReadAuditTest, WhatCannotBeMeantIsRefused) {
  const auto token = Made("a");
  auto request = Of(token.name());
  request.set_parent("workspaces/acme");
  EXPECT_EQ(ReasonFor(request), "OK");
  request.set_parent("workspaces/globex");
  EXPECT_EQ(ReasonFor(request), "TOKEN_OF_OTHER_WORKSPACE");
  EXPECT_EQ(ReasonFor(Of("4mXp81QzR0aYc7Ld")), "BAD_RESOURCE_NAME");
  for (const char* action : {"", "revoke me", "Token.Revoke", "*", ".*", "token.revoke*"}) {
    request.Clear();
    request.mutable_filter()->add_actions(action);
    EXPECT_EQ(ReasonFor(request), "ACTION_MALFORMED") << action;
  }
  request.Clear();
  for (int i = 0; i < 33; ++i) request.mutable_filter()->add_actions("token.create");
  EXPECT_EQ(ReasonFor(request), "TOO_MANY_ACTIONS");
  request.Clear();
  *request.mutable_filter()->mutable_since() = base::ToProto(now_);
  *request.mutable_filter()->mutable_until() = base::ToProto(now_);
  EXPECT_EQ(ReasonFor(request), "TIMES_REVERSED");
  *request.mutable_filter()->mutable_since_ago() = base::ToProto(absl::Hours(1));
  EXPECT_EQ(ReasonFor(request), "BOTH_TIME_AND_DURATION");
}

TEST_F(ReadAuditTest, APageTokenIsOfItsFilterAndOrder) {
  Made("a");
  Made("b");
  ListAuditEntriesRequest first;
  first.set_page_size(1);
  first.mutable_filter()->add_actions("token.create");
  const auto page = ReadAuditEntries(*View(), first, now_).value();
  ASSERT_FALSE(page.next_page_token().empty());
  ListAuditEntriesRequest next = first;
  next.set_page_token(page.next_page_token());
  EXPECT_EQ(ReasonFor(next), "OK");
  next.set_page_size(7);
  EXPECT_EQ(ReasonFor(next), "OK");
  next.set_newest_first(true);
  EXPECT_EQ(ReasonFor(next), "PAGE_TOKEN_MISMATCH");
  next = first;
  next.set_page_token(page.next_page_token());
  next.mutable_filter()->set_actor("local");
  EXPECT_EQ(ReasonFor(next), "PAGE_TOKEN_MISMATCH");
  next.mutable_filter()->clear_actor();
  *next.mutable_filter()->mutable_since_ago() = base::ToProto(absl::Hours(1));
  EXPECT_EQ(ReasonFor(next), "PAGE_TOKEN_MISMATCH");
}

TEST_F(ReadAuditTest, AnUpdateTellsTheOldValuesAndTheNew) {
  const auto token = Made("a");
  tollgate::v1::UpdateTokenRequest update;
  update.mutable_token()->set_name(token.name());
  update.mutable_token()->set_label("b");
  update.mutable_token()->add_scopes("deploy:read");
  update.mutable_update_mask()->add_paths("label");
  update.mutable_update_mask()->add_paths("scopes");
  auto command = UpdateTokenCommand::Make(update, "local").value();
  command->set_origin("10.0.3.7");
  ASSERT_TRUE(RunOne(*command).ok());
  const auto entries = All(Of(token.name()));
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].origin(), "");
  EXPECT_EQ(entries[1].origin(), "10.0.3.7");
  ASSERT_THAT(entries[1].changes(), SizeIs(2));
  EXPECT_EQ(entries[1].changes(0).field(), "label");
  EXPECT_EQ(entries[1].changes(0).before().string_value(), "a");
  EXPECT_EQ(entries[1].changes(0).after().string_value(), "b");
  EXPECT_EQ(entries[1].changes(1).before().list_value().values(0).string_value(), "deploy:write");
  EXPECT_EQ(entries[1].changes(1).after().list_value().values(0).string_value(), "deploy:read");
  // Of what it was made with nothing was before.
  ASSERT_THAT(entries[0].changes(), SizeIs(2));
  EXPECT_FALSE(entries[0].changes(0).has_before());
  EXPECT_EQ(entries[0].changes(0).after().string_value(), "a");
}

// A store of before has its policies as debug text.
TEST_F(ReadAuditTest, AnOldPolicysTextIsReadAsValues) {
  class OldEntry : public storage::Command {
   public:
    absl::string_view name() const override { return "old"; }
    absl::Status Run(const storage::View&, const storage::Slot&,
                     storage::Effects& effects) override {
      store::v1::AuditRecord entry;
      entry.set_action("policy.update");
      entry.set_resource("workspaces/acme");
      entry.set_workspace("acme");
      (*entry.mutable_details())["policy"] =
          R"(unique_labels: true max_lifetime_us: 86400000000 grantable_scopes: "deploy:*")";
      effects.Audit(entry);
      return absl::OkStatus();
    }
  } old;
  ASSERT_TRUE(RunOne(old).ok());
  const auto entries = All({});
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_THAT(entries[0].details(), IsEmpty());
  ASSERT_THAT(entries[0].changes(), SizeIs(3));
  EXPECT_EQ(entries[0].changes(1).field(), "max_lifetime");
  EXPECT_EQ(entries[0].changes(1).after().string_value(), "86400s");
  EXPECT_FALSE(entries[0].changes(1).has_before());
}

}  // namespace
}  // namespace tollgate::service
