// Bad input through the front door: each gets its code, its reason and the field's name, and
// nothing is written.
#include <functional>
#include <string>
#include <vector>

#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/client_unary_call.h"
#include "tests/unit/service/service_fixture.h"
#include "token/token_string.h"

namespace tollgate::service {
namespace {

using namespace tollgate::v1;  // NOLINT: the whole API
using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// One server for the whole table: every row proves that it changed nothing.
class BadInputTest : public ServiceTest {
 protected:
  ServerOptions Options() override {
    ServerOptions options = ServiceTest::Options();
    // What is due does not change the head under the tests' feet.
    options.sweep_interval = absl::Hours(1);
    return options;
  }

  void SetUp() override {
    ServiceTest::SetUp();
    UpdateWorkspacePolicyRequest policy;
    policy.set_name("workspaces/strict");
    policy.mutable_update_mask()->add_paths("*");
    policy.mutable_policy()->mutable_max_lifetime()->set_seconds(3600);
    policy.mutable_policy()->add_grantable_scopes("items:read");
    UpdateWorkspacePolicyResponse response;
    ASSERT_TRUE(Call(workspaces_, &Workspaces::UpdateWorkspacePolicy, policy, &response).ok());
    token_ = Create("victim").token();
    head_ = server_->head();
  }

  // Proves that a call is refused as it should be. An empty field: none is named.
  void Refused(const absl::Status& status, absl::StatusCode code, const std::string& reason,
               const std::string& field, const std::string& what = "") {
    SCOPED_TRACE(absl::StrCat(what, ": ", status.ToString()));
    EXPECT_EQ(status.code(), code);
    const base::ErrorDetails details = base::DetailsOf(status);
    EXPECT_EQ(details.reason, reason);
    if (!field.empty()) {
      std::vector<std::string> fields;
      for (const base::FieldViolation& violation : details.fields)
        fields.push_back(violation.field);
      EXPECT_THAT(fields, Contains(field));
    }
    EXPECT_FALSE(status.message().empty());
    EXPECT_EQ(server_->head(), head_) << "something was written";
  }

  CreateTokenRequest GoodCreate(const std::string& workspace = "acme") {
    CreateTokenRequest request;
    request.set_parent("workspaces/" + workspace);
    request.set_create_workspace(true);
    request.mutable_token()->set_label("good");
    return request;
  }
  absl::Status TryCreate(const CreateTokenRequest& request) {
    CreateTokenResponse response;
    return Call(tokens_, &Tokens::CreateToken, request, &response);
  }

  Token token_;
  int64_t head_ = 0;
};

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST_F(BadInputTest, Labels) {
  const struct {
    std::string label;
    const char* reason;
  } kTable[] = {
      {"", "LABEL_REQUIRED"},
      {"   ", "LABEL_REQUIRED"},
      {std::string(201, 'x'), "LABEL_TOO_LONG"},
      {std::string(1000 * 1000, 'x'), "LABEL_TOO_LONG"},
      {"a\nb", "LABEL_CONTROL_CHARACTER"},
      {std::string("a\0b", 3), "LABEL_CONTROL_CHARACTER"},
      {"a\x1b[31m", "LABEL_CONTROL_CHARACTER"},
      {"a\xc2\x85", "LABEL_CONTROL_CHARACTER"},      // C1: next line
      {"a\xe2\x80\x8b", "LABEL_CONTROL_CHARACTER"},  // a zero-width space
      {"a\xe2\x80\xae", "LABEL_CONTROL_CHARACTER"},  // right-to-left override
      {"\xef\xbb\xbf"
       "a",
       "LABEL_CONTROL_CHARACTER"},  // a byte order mark
      {" a", "LABEL_WHITESPACE"},
      {"a ", "LABEL_WHITESPACE"},
      {"a  b", "LABEL_WHITESPACE"},
      {"a\xc2\xa0"
       "b",
       "LABEL_WHITESPACE"},  // no-break space
      {"a\xe3\x80\x80"
       "b",
       "LABEL_WHITESPACE"},  // ideographic space
  };
  for (const auto& row : kTable) {
    CreateTokenRequest request = GoodCreate();
    request.mutable_token()->set_label(row.label);
    Refused(TryCreate(request), kInvalid, row.reason, "token.label", row.label.substr(0, 20));
  }
}

TEST_F(BadInputTest, TextThatIsNoUtf8) {
  const struct {
    std::string text;
  } kTable[] = {{"\xff"}, {"a\xc3"}, {"\xc0\xaf"}, {"\xed\xa0\x80"}};
  for (const auto& row : kTable) {
    CreateTokenRequest request = GoodCreate();
    request.mutable_token()->set_label(row.text);  // the client's library warns, and sends it
    Refused(TryCreate(request), kInvalid, "NOT_UTF8", "token.label");
    request = GoodCreate();
    (*request.mutable_token()->mutable_annotations())["k"] = row.text;
    Refused(TryCreate(request), kInvalid, "NOT_UTF8", "token.annotations");
    RevokeTokenRequest revoke;
    revoke.set_name(token_.name());
    revoke.set_reason(row.text);
    RevokeTokenResponse response;
    Refused(Call(tokens_, &Tokens::RevokeToken, revoke, &response), kInvalid, "NOT_UTF8", "reason");
  }
}

// Sends bytes that are no message, to every method.
TEST_F(BadInputTest, BytesThatAreNoMessage) {
  grpc::GenericStub stub(channel_);
  for (const char* method : {"TokenService/CreateToken",
                             "TokenService/GetToken",
                             "TokenService/ListTokens",
                             "TokenService/UpdateToken",
                             "TokenService/RotateToken",
                             "TokenService/RetireToken",
                             "TokenService/ReplanRotation",
                             "TokenService/CancelRotation",
                             "TokenService/SuspendToken",
                             "TokenService/ResumeToken",
                             "TokenService/RevokeToken",
                             "TokenService/RevokeTokens",
                             "TokenService/RevokeLeakedToken",
                             "WorkspaceService/CreateWorkspace",
                             "WorkspaceService/GetWorkspace",
                             "WorkspaceService/ListWorkspaces",
                             "WorkspaceService/UpdateWorkspace",
                             "WorkspaceService/DeleteWorkspace",
                             "WorkspaceService/UpdateWorkspacePolicy",
                             "WorkspaceService/PreviewWorkspacePolicy",
                             "OperationsService/CheckStore",
                             "OperationsService/GetStatus",
                             "OperationsService/ListAuditEntries",
                             "OperationsService/GetEnforcement",
                             "OperationsService/WaitEnforced"}) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    grpc::Slice slice("\x0a\x7f no message");
    grpc::ByteBuffer request(&slice, 1), response;
    grpc::CompletionQueue queue;
    grpc::Status status;
    auto call =
        stub.PrepareUnaryCall(&context, absl::StrCat("/tollgate.v1.", method), request, &queue);
    call->StartCall();
    call->Finish(&response, &status, nullptr);
    void* tag;
    bool ok;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    Refused(net::FromGrpcStatus(status), kInvalid, "MALFORMED_REQUEST", "", method);
  }
}

TEST_F(BadInputTest, MessagesThatAreTooLarge) {
  CreateTokenRequest request = GoodCreate();
  // Within the limit of a message the label is what is refused, by name …
  request.mutable_token()->set_label(std::string(1 << 20, 'x'));
  Refused(TryCreate(request), kInvalid, "LABEL_TOO_LONG", "token.label", "1 MiB");
  // … above it the transport refuses, in its own words.
  request.mutable_token()->set_label(std::string(5 << 20, 'x'));
  const absl::Status status = TryCreate(request);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(server_->head(), head_);
}

TEST_F(BadInputTest, ScopesAndTheRestOfAToken) {
  using Change = std::function<void(CreateTokenRequest*)>;
  const struct {
    const char* reason;
    const char* field;
    Change change;
  } kTable[] = {
      {"SCOPE_MALFORMED", "token.scopes[0]", [](auto* r) { r->mutable_token()->add_scopes(""); }},
      {"SCOPE_MALFORMED", "token.scopes[0]",
       [](auto* r) { r->mutable_token()->add_scopes("a b"); }},
      {"SCOPE_MALFORMED", "token.scopes[0]",
       [](auto* r) { r->mutable_token()->add_scopes(std::string(129, 'a')); }},
      {"SCOPE_STAR_MISPLACED", "token.scopes[0]",
       [](auto* r) { r->mutable_token()->add_scopes("repo*"); }},
      {"SCOPE_REPEATED", "token.scopes[1]",
       [](auto* r) {
         r->mutable_token()->add_scopes("a");
         r->mutable_token()->add_scopes("a");
       }},
      {"TOO_MANY_SCOPES", "token.scopes",
       [](auto* r) {
         for (int i = 0; i < 65; ++i) r->mutable_token()->add_scopes(absl::StrCat("s", i));
       }},
      {"AUDIENCE_MALFORMED", "token.audiences[0]",
       [](auto* r) { r->mutable_token()->add_audiences("a b"); }},
      {"OWNER_MALFORMED", "token.owner", [](auto* r) { r->mutable_token()->set_owner("a b"); }},
      {"OWNER_TOO_LONG", "token.owner",
       [](auto* r) { r->mutable_token()->set_owner(std::string(257, 'a')); }},
      {"BAD_RESOURCE_NAME", "parent", [](auto* r) { r->set_parent("acme"); }},
      {"BAD_RESOURCE_NAME", "parent", [](auto* r) { r->set_parent("workspaces/"); }},
      {"BAD_RESOURCE_NAME", "parent", [](auto* r) { r->set_parent("workspaces/Acme"); }},
      {"BAD_RESOURCE_NAME", "parent", [](auto* r) { r->set_parent("workspaces/-acme"); }},
      {"BAD_RESOURCE_NAME", "parent",
       [](auto* r) { r->set_parent("workspaces/" + std::string(64, 'a')); }},
      {"LIFETIME_NOT_POSITIVE", "lifetime",
       [](auto* r) { r->mutable_lifetime()->set_seconds(-1); }},
      {"LIFETIME_NOT_POSITIVE", "lifetime", [](auto* r) { r->mutable_lifetime()->set_seconds(0); }},
      {"LIFETIME_AND_EXPIRE_TIME", "lifetime",
       [](auto* r) {
         r->mutable_lifetime()->set_seconds(60);
         r->mutable_token()->mutable_expire_time()->set_seconds(9'000'000'000);
       }},
      {"OUTPUT_ONLY_FIELD", "token.name", [](auto* r) { r->mutable_token()->set_name("x"); }},
      {"OUTPUT_ONLY_FIELD", "token.state",
       [](auto* r) { r->mutable_token()->set_state(TOKEN_STATE_REVOKED); }},
      {"REQUEST_ID_MALFORMED", "request_id", [](auto* r) { r->set_request_id("a b"); }},
      {"REQUEST_ID_MALFORMED", "request_id",
       [](auto* r) { r->set_request_id(std::string(65, 'a')); }},
  };
  for (const auto& row : kTable) {
    CreateTokenRequest request = GoodCreate();
    row.change(&request);
    Refused(TryCreate(request), kInvalid, row.reason, row.field, row.reason);
  }
}

TEST_F(BadInputTest, WhatThePolicyForbids) {
  CreateTokenRequest request = GoodCreate("strict");
  request.mutable_lifetime()->set_seconds(3601);
  Refused(TryCreate(request), absl::StatusCode::kFailedPrecondition, "LIFETIME_TOO_LONG",
          "lifetime");
  request = GoodCreate("strict");
  request.mutable_token()->add_scopes("admin");  // unknown to the workspace
  Refused(TryCreate(request), absl::StatusCode::kFailedPrecondition, "SCOPE_NOT_GRANTABLE",
          "token.scopes[0]");
}

TEST_F(BadInputTest, ATimeThatHasPassed) {
  CreateTokenRequest request = GoodCreate();
  request.mutable_token()->mutable_expire_time()->set_seconds(1);
  const absl::Status status = TryCreate(request);
  EXPECT_EQ(base::ReasonOf(status), "EXPIRE_TIME_PAST") << status;
  EXPECT_EQ(server_->head(), head_);
}

TEST_F(BadInputTest, PageTokens) {
  Create("a", "", "first");
  Create("b", "", "first");
  Create("c", "", "second");
  head_ = server_->head();
  ListTokensRequest list;
  list.set_parent("workspaces/first");
  list.set_page_size(1);
  ListTokensResponse page, other;
  ASSERT_TRUE(Call(tokens_, &Tokens::ListTokens, list, &page).ok());
  ASSERT_FALSE(page.next_page_token().empty());

  list.set_parent("workspaces/second");
  list.set_page_token(page.next_page_token());
  Refused(Call(tokens_, &Tokens::ListTokens, list, &other), kInvalid, "PAGE_TOKEN_MISMATCH",
          "page_token", "of another workspace");
  list.set_parent("workspaces/first");
  list.mutable_filter()->set_owner("x");
  Refused(Call(tokens_, &Tokens::ListTokens, list, &other), kInvalid, "PAGE_TOKEN_MISMATCH",
          "page_token", "of another filter");
  list.clear_filter();
  for (const std::string& garbage :
       {std::string("garbage"), std::string("%%%"), std::string(5000, 'A'),
        page.next_page_token() + "A", page.next_page_token().substr(1)}) {
    list.set_page_token(garbage);
    const absl::Status status = Call(tokens_, &Tokens::ListTokens, list, &other);
    EXPECT_THAT(base::ReasonOf(status), AnyOf("PAGE_TOKEN_MALFORMED", "PAGE_TOKEN_MISMATCH"));
    Refused(status, kInvalid, base::ReasonOf(status), "page_token", garbage.substr(0, 20));
  }
  list.set_page_token("");
  list.set_page_size(-1);
  Refused(Call(tokens_, &Tokens::ListTokens, list, &other), kInvalid, "PAGE_SIZE_NEGATIVE",
          "page_size");
}

TEST_F(BadInputTest, FieldMasks) {
  const struct {
    std::vector<std::string> paths;
    const char* reason;
    const char* field;
  } kTable[] = {
      {{}, "MASK_REQUIRED", "update_mask"},
      {{"token_id"}, "IMMUTABLE_FIELD", "token.token_id"},
      {{"label", "state"}, "IMMUTABLE_FIELD", "token.state"},
      {{"colour"}, "UNKNOWN_FIELD", "update_mask"},
      {{"label"}, "LABEL_REQUIRED", "token.label"},
  };
  for (const auto& row : kTable) {
    UpdateTokenRequest request;
    request.mutable_token()->set_name(token_.name());
    for (const std::string& path : row.paths) request.mutable_update_mask()->add_paths(path);
    UpdateTokenResponse response;
    Refused(Call(tokens_, &Tokens::UpdateToken, request, &response), kInvalid, row.reason,
            row.field, row.reason);
  }
}

TEST_F(BadInputTest, MalformedTokenStrings) {
  const std::string good = Create("leak me").token_string();
  head_ = server_->head();
  std::string flipped = good;
  flipped[40] = flipped[40] == 'a' ? 'b' : 'a';
  std::string kind = good;
  kind[2] = 'z';
  std::string alphabet = good;
  alphabet[30] = '-';
  for (const std::string& bad :
       {std::string(), std::string("x"), good.substr(1), good + "A", good + "\n", " " + good,
        "\"" + good + "\"", "Bearer " + good, flipped, kind, alphabet, "TG" + good.substr(2),
        std::string(good.size(), 'A'), std::string(100'000, 'A')}) {
    RevokeLeakedTokenRequest request;
    request.set_token_string(bad);
    RevokeLeakedTokenResponse response;
    const absl::Status status = Call(tokens_, &Tokens::RevokeLeakedToken, request, &response);
    Refused(status, kInvalid, "TOKEN_STRING_MALFORMED", "token_string", bad.substr(0, 3));
    // A typing error may be one letter away from the secret: it is not repeated.
    if (bad.size() > 20) {
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr(bad.substr(10, 20))));
    }
  }
  RevokeLeakedTokenRequest request;
  RevokeLeakedTokenResponse response;
  Refused(Call(tokens_, &Tokens::RevokeLeakedToken, request, &response), kInvalid,
          "LEAKED_REQUIRED", "leaked");
  for (size_t size : {0, 31, 33}) {
    request.set_edge_digest(std::string(size, 'd'));
    Refused(Call(tokens_, &Tokens::RevokeLeakedToken, request, &response), kInvalid,
            "EDGE_DIGEST_MALFORMED", "edge_digest");
  }
  request.set_edge_digest(std::string(32, 'd'));
  Refused(Call(tokens_, &Tokens::RevokeLeakedToken, request, &response),
          absl::StatusCode::kNotFound, "TOKEN_UNKNOWN", "");
}

TEST_F(BadInputTest, WaitsThatCannotBe) {
  const struct {
    int64_t seconds;
    int32_t nanos;
    const char* reason;
  } kTable[] = {{601, 0, "WAIT_TOO_LONG"},       {600, 1, "WAIT_TOO_LONG"},
                {INT64_MAX, 0, "WAIT_TOO_LONG"}, {-1, 0, "WAIT_NEGATIVE"},
                {0, -1, "WAIT_NEGATIVE"},        {INT64_MIN, 0, "WAIT_NEGATIVE"},
                {1, -1, "WAIT_MALFORMED"},       {0, 1'000'000'000, "WAIT_MALFORMED"}};
  for (const auto& row : kTable) {
    RevokeTokenRequest request;
    request.set_name(token_.name());
    request.mutable_wait_enforced()->set_seconds(row.seconds);
    request.mutable_wait_enforced()->set_nanos(row.nanos);
    RevokeTokenResponse response;
    Refused(Call(tokens_, &Tokens::RevokeToken, request, &response), kInvalid, row.reason,
            "wait_enforced", row.reason);
    RevokeTokensRequest cohort;
    cohort.set_parent("workspaces/acme");
    *cohort.mutable_wait_enforced() = request.wait_enforced();
    RevokeTokensResponse cohort_response;
    Refused(Call(tokens_, &Tokens::RevokeTokens, cohort, &cohort_response), kInvalid, row.reason,
            "wait_enforced", row.reason);
    WaitEnforcedRequest wait;
    wait.set_revision(head_);
    *wait.mutable_timeout() = request.wait_enforced();
    Receipt receipt;
    Refused(Call(operations_, &Operations::WaitEnforced, wait, &receipt), kInvalid, row.reason,
            "timeout", row.reason);
  }
}

TEST_F(BadInputTest, WhatIsNotThere) {
  const std::string nobody = "workspaces/acme/tokens/0000000000000000";
  Token token;
  GetTokenRequest get;
  get.set_name(nobody);
  Refused(Call(tokens_, &Tokens::GetToken, get, &token), absl::StatusCode::kNotFound,
          "TOKEN_NOT_FOUND", "");
  for (const char* name :
       {"", "workspaces/acme", "workspaces/acme/tokens/", "tokens/x",
        "workspaces/acme/tokens/short", "workspaces/acme/tokens/-000000000000000",
        "workspaces/acme/tokens/0000000000000000/x"}) {
    get.set_name(name);
    Refused(Call(tokens_, &Tokens::GetToken, get, &token), kInvalid, "BAD_RESOURCE_NAME", "name",
            name);
    RevokeTokenRequest revoke;
    revoke.set_name(name);
    RevokeTokenResponse response;
    Refused(Call(tokens_, &Tokens::RevokeToken, revoke, &response), kInvalid, "BAD_RESOURCE_NAME",
            "name", name);
  }
  RevokeTokenRequest revoke;
  RevokeTokenResponse revoked;
  revoke.set_name(nobody);
  Refused(Call(tokens_, &Tokens::RevokeToken, revoke, &revoked), absl::StatusCode::kNotFound,
          "TOKEN_NOT_FOUND", "");
  ListTokensRequest list;
  list.set_parent("workspaces/nowhere");
  ListTokensResponse page;
  Refused(Call(tokens_, &Tokens::ListTokens, list, &page), absl::StatusCode::kNotFound,
          "WORKSPACE_NOT_FOUND", "");
}

TEST_F(BadInputTest, RevisionsThatCannotBe) {
  GetEnforcementRequest get;
  Receipt receipt;
  Refused(Call(operations_, &Operations::GetEnforcement, get, &receipt), kInvalid,
          "REVISION_REQUIRED", "revision");
  get.set_revision(head_);
  get.set_token("token");
  Refused(Call(operations_, &Operations::GetEnforcement, get, &receipt), kInvalid,
          "BAD_RESOURCE_NAME", "token");
  get.clear_token();
  get.set_revision(head_ + 1000);
  Refused(Call(operations_, &Operations::GetEnforcement, get, &receipt),
          absl::StatusCode::kOutOfRange, "REVISION_UNKNOWN", "");
  get.set_revision(head_);
  get.set_epoch("00000000000000000000000000000000");
  Refused(Call(operations_, &Operations::GetEnforcement, get, &receipt),
          absl::StatusCode::kFailedPrecondition, "OTHER_EPOCH", "");
  grpc::ClientContext context;
  WatchEventsRequest watch;
  watch.set_after_revision(-1);
  auto stream = operations_->WatchEvents(&context, watch);
  RevisionEvents events;
  EXPECT_FALSE(stream->Read(&events));
  Refused(net::FromGrpcStatus(stream->Finish()), kInvalid, "REVISION_NEGATIVE", "after_revision");
}

TEST_F(BadInputTest, PoliciesThatCannotBe) {
  UpdateWorkspacePolicyRequest request;
  request.set_name("workspaces/acme");
  request.mutable_policy()->set_label_pattern("(");
  UpdateWorkspacePolicyResponse response;
  Refused(Call(workspaces_, &Workspaces::UpdateWorkspacePolicy, request, &response), kInvalid,
          "MASK_REQUIRED", "update_mask");
  request.mutable_update_mask()->add_paths("*");
  Refused(Call(workspaces_, &Workspaces::UpdateWorkspacePolicy, request, &response), kInvalid,
          "LABEL_PATTERN_INVALID", "policy.label_pattern");
  request.mutable_policy()->clear_label_pattern();
  request.mutable_policy()->mutable_max_lifetime()->set_seconds(-5);
  Refused(Call(workspaces_, &Workspaces::UpdateWorkspacePolicy, request, &response), kInvalid,
          "POLICY_DURATION_OUT_OF_BOUNDS", "policy.max_lifetime");
}

}  // namespace
}  // namespace tollgate::service
