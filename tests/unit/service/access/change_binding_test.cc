// Giving roles, and taking them away.
#include "service/access/change_binding.h"

#include "service/access/member.h"
#include "service/access/read_access.h"
#include "service/records/binding_record.h"
#include "service/workspaces/create_workspace.h"
#include "service/workspaces/delete_workspace.h"
#include "tests/unit/service/command_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::tollgate::store::v1::BindingRecord;
using ::tollgate::v1::GrantRoleRequest;
using ::tollgate::v1::WithdrawRoleRequest;

using Names = std::vector<std::string>;

class ChangeBindingTest : public CommandTest {
 protected:
  absl::StatusOr<std::shared_ptr<GrantRoleCommand>> Grant(const std::string& role,
                                                          const std::string& member,
                                                          const Names& workspaces = {},
                                                          const std::string& id = "") {
    GrantRoleRequest request;
    request.mutable_binding()->set_role(role);
    request.mutable_binding()->set_member(member);
    for (const std::string& name : workspaces) {
      request.mutable_binding()->add_workspaces("workspaces/" + name);
    }
    request.set_reason("ticket 7");
    request.set_request_id(id);
    return Do(GrantRoleCommand::Make(request, "unix:root"));
  }
  absl::StatusOr<std::shared_ptr<WithdrawRoleCommand>> Withdraw(const std::string& role,
                                                                const std::string& member,
                                                                const Names& workspaces = {},
                                                                bool admin_elsewhere = true) {
    WithdrawRoleRequest request;
    request.set_role(role);
    request.set_member(member);
    for (const std::string& name : workspaces) request.add_workspaces("workspaces/" + name);
    request.set_reason("left the team");
    return Do(WithdrawRoleCommand::Make(request, "unix:root", admin_elsewhere));
  }
  // As in "issuer unix:ada acme,globex".
  Names Bindings() {
    Names found;
    const std::vector<BindingRecord> all = ReadBindings(*View()).value();
    for (const BindingRecord& record : all) {
      std::string text = record.role() + " " + record.member();
      for (const std::string& workspace : record.workspaces()) text += " " + workspace;
      found.push_back(text);
    }
    return found;
  }
  store::v1::AuditRecord LastAudit() {
    const auto entries = View()->ScanBack(storage::Table::kAudit, "", "", 1).value();
    store::v1::AuditChainRecord link;
    store::v1::AuditRecord record;
    EXPECT_TRUE(link.ParseFromString(entries.at(0).value) &&
                record.ParseFromString(link.content()));
    return record;
  }
};

TEST_F(ChangeBindingTest, IsGrantedWidenedNarrowedAndWithdrawn) {
  const auto first = Grant("issuer", "unix:ada", {"globex", "acme", "acme"});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->response().revision(), Head());
  EXPECT_FALSE((*first)->response().unchanged());
  EXPECT_THAT((*first)->response().binding().workspaces(),
              ElementsAre("workspaces/acme", "workspaces/globex"));
  EXPECT_EQ((*first)->response().binding().creator(), "unix:root");
  ASSERT_THAT(events_, SizeIs(1));
  EXPECT_TRUE(events_[0].has_access_changed());
  store::v1::AuditRecord entry = LastAudit();
  EXPECT_EQ(entry.action(), "access.grant");
  EXPECT_EQ(entry.resource(), "bindings/issuer/unix:ada");
  EXPECT_EQ(entry.reason(), "ticket 7");
  ASSERT_EQ(entry.changes_size(), 1);
  EXPECT_EQ(entry.changes(0).field(), "workspaces");
  EXPECT_TRUE(entry.changes(0).before().has_null_value());
  EXPECT_EQ(entry.changes(0).after().list_value().values_size(), 2);

  const int64_t head = Head();
  const auto again = Grant("issuer", "unix:ada", {"acme"});
  EXPECT_TRUE((*again)->response().unchanged());
  EXPECT_EQ(Head(), head);
  EXPECT_EQ((*again)->response().revision(), head);

  ASSERT_TRUE(Grant("issuer", "unix:ada", {"initech"}).ok());
  EXPECT_THAT(Bindings(), ElementsAre("issuer unix:ada acme globex initech"));
  const auto narrowed = Withdraw("issuer", "unix:ada", {"globex", "unheard-of"});
  EXPECT_THAT((*narrowed)->response().binding().workspaces(),
              ElementsAre("workspaces/acme", "workspaces/initech"));
  EXPECT_EQ(LastAudit().action(), "access.withdraw");
  ASSERT_TRUE(Withdraw("issuer", "unix:ada", {"acme", "initech"}).ok());
  EXPECT_THAT(Bindings(), IsEmpty()) << "none left is nothing, and not everywhere";

  const auto nothing = Withdraw("issuer", "unix:ada");
  EXPECT_TRUE((*nothing)->response().unchanged());
  EXPECT_FALSE((*nothing)->response().has_binding());
  EXPECT_EQ((*nothing)->response().revision(), Head());
  EXPECT_TRUE((*Withdraw("reader", "unix:bob"))->response().unchanged());

  // Granted anew, it is another grant.
  now_ += absl::Hours(1);
  const auto anew = Grant("issuer", "unix:ada", {"acme"});
  EXPECT_EQ((*anew)->response().binding().create_time().seconds(), absl::ToUnixSeconds(now_));
  EXPECT_THAT(Bindings(), ElementsAre("issuer unix:ada acme"));
}

TEST_F(ChangeBindingTest, EverywhereIsMoreThanSome) {
  ASSERT_TRUE(Grant("reader", "spiffe://corp/*", {"acme"}).ok());
  const auto widened = Grant("reader", "spiffe://corp/*");
  EXPECT_FALSE((*widened)->response().unchanged());
  EXPECT_THAT((*widened)->response().binding().workspaces(), IsEmpty());
  EXPECT_TRUE((*Grant("reader", "spiffe://corp/*", {"globex"}))->response().unchanged());
  EXPECT_EQ(Reason(Withdraw("reader", "spiffe://corp/*", {"acme"})), "BINDING_IS_EVERYWHERE");
  ASSERT_TRUE(Withdraw("reader", "spiffe://corp/*").ok());
  EXPECT_THAT(Bindings(), IsEmpty());
}

TEST_F(ChangeBindingTest, TheLastAdminStays) {
  ASSERT_TRUE(Grant("admin", "unix:ada").ok());
  ASSERT_TRUE(Grant("admin", "unix:bob", {"acme"}).ok());
  const auto refused = Withdraw("admin", "unix:ada", {}, /*admin_elsewhere=*/false);
  EXPECT_EQ(Reason(refused), "LAST_ADMIN") << "who is admin of a workspace is none of the service";
  ASSERT_TRUE(Grant("admin", "unix:eve").ok());
  EXPECT_TRUE(Withdraw("admin", "unix:ada", {}, false).ok());
  EXPECT_EQ(Reason(Withdraw("admin", "unix:eve", {}, false)), "LAST_ADMIN");
  EXPECT_TRUE(Withdraw("admin", "unix:bob", {}, false).ok());
  EXPECT_TRUE(Withdraw("admin", "unix:eve", {}, /*admin_elsewhere=*/true).ok());
}

TEST_F(ChangeBindingTest, WhatIsRefusedNamesItsField) {
  const auto refused = [&](const absl::Status& status, const char* reason, const char* field) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(Reason(status), reason);
    EXPECT_EQ(Field(status), field);
  };
  refused(Grant("root", "unix:ada").status(), "UNKNOWN_ROLE", "binding.role");
  refused(Grant("reader", "ada").status(), "BAD_MEMBER", "binding.member");
  refused(Grant("reader", "unix:ada", {"-"}).status(), "BAD_RESOURCE_NAME", "binding.workspaces");
  refused(Grant("validator", "unix:ada", {"acme"}).status(), "ROLE_IS_EVERYWHERE",
          "binding.workspaces");
  refused(Grant("scanner", "unix:ada", {"acme"}).status(), "ROLE_IS_EVERYWHERE",
          "binding.workspaces");
  refused(Withdraw("reader", "").status(), "BAD_MEMBER", "member");
  GrantRoleRequest request;
  request.mutable_binding()->set_role("reader");
  request.mutable_binding()->set_member("unix:ada");
  request.mutable_binding()->set_built_in(true);
  refused(GrantRoleCommand::Make(request, "x").status(), "OUTPUT_ONLY_FIELD", "binding");
  request.mutable_binding()->clear_built_in();
  for (int i = 0; i <= kMostWorkspacesOfBinding; ++i) {
    request.mutable_binding()->add_workspaces(absl::StrCat("workspaces/w", i));
  }
  refused(GrantRoleCommand::Make(request, "x").status(), "TOO_MANY_WORKSPACES",
          "binding.workspaces");
}

TEST_F(ChangeBindingTest, ThereAreOnlySoMany) {
  Harm([](storage::Effects& effects) {
    for (int i = 0; i < kMostBindings; ++i) {
      BindingRecord record;
      record.set_member(absl::StrCat("unix:u", i));
      record.set_role("reader");
      effects.Put(storage::Table::kBindings, storage::BindingKey(record.member(), record.role()),
                  record);
    }
  });
  EXPECT_EQ(Reason(Grant("reader", "unix:ada")), "TOO_MANY_BINDINGS");
  EXPECT_TRUE(Grant("reader", "unix:u7", {"acme"}).ok()) << "that is there";
  ASSERT_TRUE(Withdraw("reader", "unix:u7").ok());
  EXPECT_TRUE(Grant("reader", "unix:ada").ok());
}

// Ids that come and go, as a fleet's do, must not fill the store.
TEST_F(ChangeBindingTest, SoManyWithdrawnOnesAreRemembered) {
  Harm([](storage::Effects& effects) {
    for (int i = 0; i < kMostWithdrawn; ++i) {
      BindingRecord record;
      record.set_member(absl::StrCat("unix:u", i));
      record.set_role("reader");
      record.set_withdrawn(true);
      record.set_update_revision(i == 77 ? 0 : 1);
      effects.Put(storage::Table::kBindings, storage::BindingKey(record.member(), record.role()),
                  record);
    }
  });
  ASSERT_TRUE(Grant("reader", "unix:ada").ok());
  EXPECT_EQ(Count(storage::Table::kBindings), static_cast<size_t>(kMostWithdrawn));
  EXPECT_FALSE(View()
                   ->Get(storage::Table::kBindings, storage::BindingKey("unix:u77", "reader"))
                   .value()
                   .has_value())
      << "the one that was withdrawn first";
}

TEST_F(ChangeBindingTest, ARetryGetsItsAnswerAgain) {
  const auto first = Grant("reader", "unix:ada", {"acme"}, "r1");
  ASSERT_TRUE(Withdraw("reader", "unix:ada").ok());
  const auto retried = Grant("reader", "unix:ada", {"acme"}, "r1");
  EXPECT_EQ((*retried)->response().revision(), (*first)->response().revision());
  EXPECT_THAT(Bindings(), IsEmpty()) << "a retry gives nothing back";
  EXPECT_EQ(Reason(Grant("reader", "unix:bob", {"acme"}, "r1")), "REQUEST_ID_REUSED");
}

// Whoever makes a workspace of the same name later gives nobody anything.
TEST_F(ChangeBindingTest, ADeletedWorkspaceLeavesTheBindings) {
  tollgate::v1::CreateWorkspaceRequest create;
  create.set_workspace_id("acme");
  ASSERT_TRUE(Do(CreateWorkspaceCommand::Make(create, "ops")).ok());
  ASSERT_TRUE(Grant("issuer", "unix:ada", {"acme"}).ok());
  ASSERT_TRUE(Grant("reader", "unix:ada", {"acme", "globex"}).ok());
  ASSERT_TRUE(Grant("reader", "unix:bob").ok());
  tollgate::v1::DeleteWorkspaceRequest request;
  request.set_name("workspaces/acme");
  ASSERT_TRUE(Do(DeleteWorkspaceCommand::Make(request, "ops")).ok());
  EXPECT_THAT(Bindings(), ElementsAre("reader unix:ada globex", "reader unix:bob"));
  ASSERT_THAT(events_, SizeIs(1));
  EXPECT_TRUE(events_[0].has_access_changed());
}

TEST_F(ChangeBindingTest, AreListedByPages) {
  BoundAccess access({});
  for (const char* member : {"unix:a", "unix:b", "unix:c"}) {
    ASSERT_TRUE(Grant("reader", member).ok());
    ASSERT_TRUE(Grant("issuer", member, {"acme"}).ok());
  }
  ASSERT_TRUE(Withdraw("issuer", "unix:b").ok());
  tollgate::v1::ListBindingsRequest request;
  request.set_page_size(2);
  Names found;
  do {
    const auto page = ReadBindingList(*View(), access, request);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LE(page->bindings_size(), 2);
    for (const auto& binding : page->bindings()) {
      found.push_back(binding.role() + " " + binding.member());
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(found, ElementsAre("issuer unix:a", "reader unix:a", "reader unix:b", "issuer unix:c",
                                 "reader unix:c"));
  request.set_member("unix:c");
  request.set_role("issuer");
  EXPECT_EQ(ReadBindingList(*View(), access, request)->bindings_size(), 1);
  request.set_role("root");
  EXPECT_EQ(Reason(ReadBindingList(*View(), access, request)), "UNKNOWN_ROLE");

  // A page may end at the longest member that there is.
  const std::string longest = "spiffe://corp/" + std::string(kLongestMember - 14, 'a');
  ASSERT_TRUE(Grant("reader", longest).ok());
  ASSERT_TRUE(Grant("auditor", longest).ok());
  tollgate::v1::ListBindingsRequest by_one;
  by_one.set_page_size(1);
  int pages = 0;
  do {
    const auto page = ReadBindingList(*View(), access, by_one);
    ASSERT_TRUE(page.ok()) << page.status();
    by_one.set_page_token(page->next_page_token());
    ++pages;
  } while (!by_one.page_token().empty());
  EXPECT_EQ(pages, 7);
}

TEST_F(ChangeBindingTest, TheServiceReadsWhatIsInForce) {
  ASSERT_TRUE(Grant("issuer", "unix:ada", {"acme"}).ok());
  ASSERT_TRUE(Grant("reader", "unix:bob").ok());
  ASSERT_TRUE(Withdraw("reader", "unix:bob").ok());
  const auto bindings = StoredBindings(*View());
  ASSERT_TRUE(bindings.ok()) << bindings.status();
  ASSERT_THAT(*bindings, SizeIs(1));
  EXPECT_EQ((*bindings)[0].role, Role::kIssuer);
  EXPECT_THAT((*bindings)[0].workspaces, ElementsAre("acme"));
  Harm([](storage::Effects& effects) {
    BindingRecord record;
    record.set_member("unix:eve");
    record.set_role("of a later version");
    effects.Put(storage::Table::kBindings, storage::BindingKey(record.member(), record.role()),
                record);
  });
  EXPECT_TRUE(absl::IsDataLoss(StoredBindings(*View()).status())) << "nothing is guessed";
}

TEST_F(ChangeBindingTest, WhatOneMayIsTold) {
  BoundAccess access({});
  ASSERT_TRUE(Grant("issuer", "unix:ada", {"acme"}).ok());
  access.Take(StoredBindings(*View()).value());
  tollgate::v1::TestPermissionsRequest request;
  request.add_permissions("tokens.create");
  request.add_permissions("audit.read");
  request.set_workspace("workspaces/acme");
  const auto told = TestPermissionsOf(access, "unix:ada", request);
  ASSERT_TRUE(told.ok()) << told.status();
  EXPECT_EQ(told->member(), "unix:ada");
  ASSERT_EQ(told->permissions_size(), 2);
  EXPECT_TRUE(told->permissions(0).granted());
  EXPECT_EQ(told->permissions(0).by().role(), "issuer");
  EXPECT_FALSE(told->permissions(1).granted());
  EXPECT_FALSE(told->permissions(1).has_by());
  request.clear_workspace();
  EXPECT_FALSE(TestPermissionsOf(access, "unix:ada", request)->permissions(0).granted());
  request.clear_permissions();
  EXPECT_EQ(TestPermissionsOf(access, "unix:ada", request)->permissions_size(), kPermissionCount);
  request.add_permissions("tokens.steal");
  EXPECT_EQ(Reason(TestPermissionsOf(access, "unix:ada", request)), "UNKNOWN_PERMISSION");
}

}  // namespace
}  // namespace tollgate::service
