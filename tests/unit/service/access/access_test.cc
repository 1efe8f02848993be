// Who may do what: members, roles, bindings, and the judgement by them.
#include "service/access/access.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "net/user_doors.h"
#include "service/access/member.h"

namespace tollgate::service {
namespace {

using ::testing::HasSubstr;

Binding Of(Role role, std::string member, std::vector<std::string> workspaces = {}) {
  Binding binding;
  binding.role = role;
  binding.member = std::move(member);
  binding.workspaces = std::move(workspaces);
  return binding;
}

TEST(MemberTest, WhatABindingCanName) {
  for (const char* good :
       {"local", "operator:ada", "operator:ada@corp.example", "unix:ada", "unix:1000",
        "unix:DOMAIN\\ada", "spiffe://corp.example", "spiffe://corp.example/ns/prod/sa/payments",
        "spiffe://corp_1.example/a", "spiffe://corp.example/ns/*/sa/payments",
        "spiffe://corp.example/**", "spiffe://corp.example/edge/**"}) {
    EXPECT_TRUE(CheckMember(good, "member").ok()) << good;
  }
  for (const std::string& bad : {std::string(),
                                 std::string("*"),
                                 std::string("anonymous"),
                                 std::string("unix:"),
                                 std::string("unix:*"),
                                 std::string("unix:a b"),
                                 std::string("unix:a\0b", 8),
                                 std::string("spiffe://"),
                                 std::string("spiffe://*"),
                                 std::string("spiffe://*/a"),
                                 std::string("spiffe://Corp.example/a"),
                                 std::string("spiffe://corp.example/"),
                                 std::string("spiffe://corp.example//a"),
                                 std::string("spiffe://corp.example/a/"),
                                 std::string("spiffe://corp.example/../a"),
                                 std::string("spiffe://corp.example/a*"),
                                 std::string("spiffe://corp.example/**/a"),
                                 std::string("spiffe://corp.example/a?b"),
                                 std::string("spiffe://corp.example:443/a"),
                                 std::string("spiffe://u@corp.example/a"),
                                 std::string("https://corp.example/a"),
                                 std::string("spiffe://corp.example/") + '\n',
                                 absl::StrCat("spiffe://corp.example/", std::string(2048, 'a')),
                                 std::string("operator:"),
                                 std::string("operator:*"),
                                 std::string("operator:a/b")}) {
    const absl::Status refused = CheckMember(bad, "binding.member");
    EXPECT_EQ(base::ReasonOf(refused), "BAD_MEMBER") << bad;
    EXPECT_EQ(base::DetailsOf(refused).fields.at(0).field, "binding.member");
  }
}

TEST(MemberTest, AStarIsOneSegmentAndTwoAreTheRest) {
  const auto meets = [](const char* caller, const char* member) {
    return IsMember(caller, member);
  };
  EXPECT_TRUE(meets("spiffe://corp/ns/a/sa/x", "spiffe://corp/ns/*/sa/x"));
  EXPECT_TRUE(meets("spiffe://corp/ns/a/sa/x", "spiffe://corp/**"));
  EXPECT_TRUE(meets("spiffe://corp/ns/a/sa/x", "spiffe://corp/ns/*/**"));
  EXPECT_FALSE(meets("spiffe://corp/ns/a/sa/x", "spiffe://corp/ns/*"));
  EXPECT_FALSE(meets("spiffe://corp/ns/a/sa/x", "spiffe://corp/*/sa/x"));
  EXPECT_FALSE(meets("spiffe://corp", "spiffe://corp/**"));
  EXPECT_FALSE(meets("spiffe://corp/ns", "spiffe://corp/ns/**"));
  EXPECT_FALSE(meets("spiffe://corp.evil/ns/a", "spiffe://corp/ns/*"));
  EXPECT_FALSE(meets("spiffe://corp/ns/a", "spiffe://corp.evil/ns/*"));
  EXPECT_FALSE(meets("unix:ada", "spiffe://corp/**"));
  EXPECT_FALSE(meets("local", "spiffe://corp/**"));
  // Ids that no authority should have signed: no wildcard meets them.
  for (const char* odd :
       {"spiffe://corp/", "spiffe://corp//x", "spiffe://corp/..", "spiffe://corp/.",
        "spiffe://corp/a b", "spiffe://corp/*", "spiffe://corp/%2e%2e"}) {
    EXPECT_FALSE(meets(odd, "spiffe://corp/**")) << odd;
    EXPECT_FALSE(meets(odd, "spiffe://corp/*")) << odd;
  }
}

TEST(BindingSetTest, ARoleInAWorkspaceIsForThatOne) {
  const BindingSet set({Of(Role::kIssuer, "unix:ada", {"acme", "globex"}),
                        Of(Role::kReader, "unix:ada"),
                        Of(Role::kOperator, "spiffe://corp/ops/*", {"acme"})});
  const auto may = [&](const char* caller, Permission permission, const char* resource) {
    return set.Find(caller, permission, PlaceOf(permission, resource)) != nullptr;
  };
  EXPECT_TRUE(may("unix:ada", Permission::kCreateToken, "workspaces/acme"));
  EXPECT_TRUE(may("unix:ada", Permission::kRevokeToken, "workspaces/globex/tokens/x"));
  EXPECT_TRUE(may("unix:ada", Permission::kCreateToken, "workspaces/-")) << "in some";
  EXPECT_FALSE(may("unix:ada", Permission::kCreateToken, "workspaces/other"));
  EXPECT_FALSE(may("unix:ada", Permission::kCreateToken, "")) << "in all";
  EXPECT_TRUE(may("unix:ada", Permission::kReadTokens, "workspaces/other"));
  EXPECT_TRUE(may("unix:ada", Permission::kWatchEvents, ""));
  EXPECT_FALSE(may("unix:bob", Permission::kReadTokens, "workspaces/acme"));
  EXPECT_TRUE(may("spiffe://corp/ops/1", Permission::kDeleteWorkspace, "workspaces/acme"));
  EXPECT_FALSE(may("spiffe://corp/ops/1", Permission::kDeleteWorkspace, "workspaces/globex"));
  // What is of the service is not in a workspace, whatever the request is called.
  EXPECT_FALSE(may("spiffe://corp/ops/1", Permission::kForgetValidator, "acme"));
  EXPECT_FALSE(may("spiffe://corp/ops/1", Permission::kForgetValidator, "workspaces/acme"));
  EXPECT_FALSE(may("spiffe://corp/ops/1", Permission::kCreateBackup, "workspaces/acme"));
  // A new workspace is named without its collection; nothing else is.
  EXPECT_TRUE(may("spiffe://corp/ops/1", Permission::kCreateWorkspace, "acme"));
  EXPECT_FALSE(may("spiffe://corp/ops/1", Permission::kCreateWorkspace, "globex"));
  EXPECT_FALSE(may("spiffe://corp/ops/1", Permission::kUpdatePolicy, "acme"));
}

TEST(BindingSetTest, WhatIsNoWorkspaceIsTheService) {
  for (const char* odd :
       {"workspaces/", "workspaces//tokens/x", "workspaces/ACME", "workspaces/a b",
        "workspaces/acme\n", "workspaces/../acme", "/workspaces/acme", "acme", "workspaces",
        "workspaces/-x", "tokens/acme"}) {
    EXPECT_EQ(PlaceOf(Permission::kReadTokens, odd).kind, Place::Kind::kService) << odd;
  }
  EXPECT_EQ(PlaceOf(Permission::kReadTokens, "workspaces/-/tokens/x").kind, Place::Kind::kAnywhere);
}

TEST(AccessTest, NobodyMayWhatNoBindingGrants) {
  BoundAccess access({Of(Role::kAdmin, "unix:root")});
  const auto ask = [&](const std::string& caller, Permission permission) {
    return access.Authorize(caller, permission, "workspaces/acme");
  };
  EXPECT_TRUE(ask("unix:root", Permission::kChangeAccess).ok());
  const absl::Status refused = ask("spiffe://corp/ci", Permission::kCreateToken);
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(base::ReasonOf(refused), "PERMISSION_DENIED");
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("spiffe://corp/ci may not tokens.create in workspaces/acme"));
  EXPECT_TRUE(ask("spiffe://corp/ci", Permission::kTestAccess).ok()) << "everybody may ask";
  const absl::Status unknown = ask("anonymous", Permission::kTestAccess);
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(base::ReasonOf(unknown), "UNAUTHENTICATED");

  access.Take({Of(Role::kIssuer, "spiffe://corp/ci", {"acme"})});
  EXPECT_TRUE(ask("spiffe://corp/ci", Permission::kCreateToken).ok());
  EXPECT_EQ(access.Find("spiffe://corp/ci", Permission::kCreateToken, "workspaces/acme")->role,
            Role::kIssuer);
  EXPECT_TRUE(ask("unix:root", Permission::kCreateToken).ok()) << "what is built in stays";
  access.Take({});
  EXPECT_FALSE(ask("spiffe://corp/ci", Permission::kCreateToken).ok());
}

// The host's user database did not answer, or too many others came before: nothing that anybody was
// given is his.
TEST(AccessTest, AUserWhomTheServiceDoesNotKnowIsNobody) {
  EXPECT_EQ(base::ReasonOf(CheckMember(net::kUnknownUnixUser, "member")), "BAD_MEMBER");
  const BoundAccess access({Of(Role::kAdmin, "local"), Of(Role::kAdmin, "unix:root"),
                            Of(Role::kAdmin, "spiffe://corp/**"),
                            Of(Role::kAdmin, "spiffe://corp/*")});
  net::Caller unknown;
  unknown.kind = net::Caller::Kind::kUnixUser;
  unknown.id = net::kUnknownUnixUser;
  for (const Permission permission : AllPermissions()) {
    EXPECT_TRUE(absl::IsUnauthenticated(access.Authorize(unknown, permission, "workspaces/acme")))
        << PermissionName(permission);
    EXPECT_FALSE(access.Find(net::kUnknownUnixUser, permission, "").has_value());
  }
}

TEST(AccessTest, ACallerHasTheNameOfHisTransport) {
  net::Caller caller;
  EXPECT_EQ(ActorOf(caller), "anonymous");
  caller.kind = net::Caller::Kind::kSpiffe;
  caller.id = "spiffe://corp/ci";
  EXPECT_EQ(ActorOf(caller), "spiffe://corp/ci");
  EXPECT_FALSE(BoundAccess({}).Authorize(caller, Permission::kReadTokens, "").ok());
  EXPECT_TRUE(NewOpenAccess()->Authorize(caller, Permission::kReadTokens, "").ok());
}

TEST(RoleTest, NamesAreThereAndBack) {
  for (const Role role : AllRoles()) {
    EXPECT_EQ(ParseRole(RoleName(role)), role);
    EXPECT_NE(DescribeRole(role), "");
    EXPECT_TRUE(Has(role, Permission::kTestAccess));
  }
  EXPECT_EQ(static_cast<int>(AllPermissions().size()), kPermissionCount);
  for (const Permission permission : AllPermissions()) {
    EXPECT_EQ(ParsePermission(PermissionName(permission)), permission);
    EXPECT_TRUE(Has(Role::kAdmin, permission));
  }
  EXPECT_FALSE(ParseRole("root").has_value());
  EXPECT_FALSE(ParsePermission("unknown").has_value());
}

}  // namespace
}  // namespace tollgate::service
