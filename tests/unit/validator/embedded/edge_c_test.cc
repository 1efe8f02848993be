#include "tollgate/edge_c.h"

#include <cstring>
#include <string>

#include "absl/synchronization/notification.h"
#include "base/version.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/validator/embedded/edge_fixture.h"

namespace tollgate::validator {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class EdgeCTest : public EmbeddedTest {
 protected:
  void SetUp() override { decision_ = tollgate_edge_decision_new(); }
  void TearDown() override {
    tollgate_edge_decision_free(decision_);
    tollgate_edge_free(edge_);
    EmbeddedTest::TearDown();
  }
  tollgate_edge_options COptions() const {
    tollgate_edge_options options = TOLLGATE_EDGE_OPTIONS_INIT;
    options.id = "test/edge-1";
    options.service = address_.c_str();
    options.longest_backoff_ms = 50;
    options.log = [](void*, int32_t, const char*, size_t) {};
    return options;
  }
  void StartBoth() {
    service_.Start(address_);
    const tollgate_edge_options options = COptions();
    ASSERT_EQ(tollgate_edge_start(&options, &edge_, message_, sizeof(message_)), TOLLGATE_EDGE_OK)
        << message_;
    ASSERT_EQ(tollgate_edge_wait_until_live(edge_, kLongEnough.count()), 1);
  }
  tollgate_edge_code Ask(const std::string& token_string,
                         const tollgate_edge_requirement* requirement = nullptr) {
    return tollgate_edge_check_blocking(edge_, token_string.data(), token_string.size(),
                                        requirement, kLongEnough.count(), decision_);
  }
  std::string Text(int32_t field) const {
    std::string text(tollgate_edge_decision_text(decision_, field, nullptr, 0), '\0');
    tollgate_edge_decision_text(decision_, field, text.data(), text.size() + 1);
    return text;
  }

  tollgate_edge* edge_ = nullptr;
  tollgate_edge_decision* decision_ = nullptr;
  char message_[256] = "";
};

TEST_F(EdgeCTest, DecidesAndTellsWhomATokenSpeaksFor) {
  StartBoth();
  const TestToken token = MakeToken();
  EXPECT_EQ(
      tollgate_edge_check(edge_, token.string.data(), token.string.size(), nullptr, decision_),
      TOLLGATE_EDGE_MISS);
  EXPECT_EQ(tollgate_edge_decision_verdict(decision_), TOLLGATE_EDGE_UNAVAILABLE);
  ASSERT_EQ(Ask(token.string), TOLLGATE_EDGE_OK);
  EXPECT_EQ(tollgate_edge_decision_verdict(decision_), TOLLGATE_EDGE_ADMIT);
  ASSERT_EQ(
      tollgate_edge_check(edge_, token.string.data(), token.string.size(), nullptr, decision_),
      TOLLGATE_EDGE_OK);
  EXPECT_EQ(Text(TOLLGATE_EDGE_TOKEN), "workspaces/acme/tokens/" + token.id);
  EXPECT_EQ(Text(TOLLGATE_EDGE_WORKSPACE), "acme");
  EXPECT_EQ(Text(TOLLGATE_EDGE_TOKEN_ID), token.id);
  EXPECT_EQ(Text(TOLLGATE_EDGE_OWNER), "ci");
  EXPECT_EQ(Text(TOLLGATE_EDGE_SCOPES), "deploy:write deploy:read");
  EXPECT_EQ(Text(17), "");
  EXPECT_EQ(tollgate_edge_decision_expire_time_ms(decision_), 4'000'000'000'000);
  char narrow[4] = "xyz";
  EXPECT_EQ(tollgate_edge_decision_text(decision_, TOLLGATE_EDGE_WORKSPACE, narrow, 4), 4u);
  EXPECT_STREQ(narrow, "acm");

  const char* const scopes[] = {"admin"};
  tollgate_edge_requirement* admin = tollgate_edge_requirement_new(scopes, 1, nullptr, 0, nullptr);
  ASSERT_EQ(Ask(token.string, admin), TOLLGATE_EDGE_OK);
  EXPECT_EQ(tollgate_edge_decision_verdict(decision_), TOLLGATE_EDGE_DENY);
  EXPECT_EQ(tollgate_edge_decision_reason(decision_), TOLLGATE_EDGE_REASON_INSUFFICIENT_SCOPE);
  tollgate_edge_requirement_free(admin);

  tollgate_edge_totals totals = TOLLGATE_EDGE_TOTALS_INIT;
  ASSERT_EQ(tollgate_edge_get_totals(edge_, &totals), TOLLGATE_EDGE_OK);
  EXPECT_EQ(totals.admitted, 2);
  EXPECT_EQ(totals.by_reason[TOLLGATE_EDGE_REASON_INSUFFICIENT_SCOPE], 1);
  std::string metrics(tollgate_edge_metrics(edge_, nullptr, 0) + 4096, '\0');
  metrics.resize(tollgate_edge_metrics(edge_, metrics.data(), metrics.size()));
  EXPECT_THAT(metrics, HasSubstr("tollgate_validator_lease_live 1"));
}

TEST_F(EdgeCTest, AnExpressionAndAWorkspaceAreSetOrNoTokenPasses) {
  StartBoth();
  const TestToken token = MakeToken();
  tollgate_edge_requirement* needs = tollgate_edge_requirement_new(nullptr, 0, nullptr, 0, nullptr);
  const auto reason = [&] {
    EXPECT_EQ(Ask(token.string, needs), TOLLGATE_EDGE_OK);
    return tollgate_edge_decision_reason(decision_);
  };
  const auto expression = [&](const char* text) {
    return tollgate_edge_requirement_set_scope_expression(needs, text, message_, sizeof(message_));
  };
  const auto workspace = [&](const char* id) {
    return tollgate_edge_requirement_set_workspace(needs, id, message_, sizeof(message_));
  };
  EXPECT_EQ(expression("deploy:read AND (admin OR deploy:write)"), TOLLGATE_EDGE_OK);
  EXPECT_STREQ(message_, "");
  EXPECT_EQ(reason(), TOLLGATE_EDGE_REASON_NONE);
  EXPECT_EQ(expression("admin"), TOLLGATE_EDGE_OK);
  EXPECT_EQ(reason(), TOLLGATE_EDGE_REASON_INSUFFICIENT_SCOPE);
  for (const char* bad : {static_cast<const char*>(nullptr), "", "a AND b OR c"}) {
    EXPECT_EQ(expression("deploy:read"), TOLLGATE_EDGE_OK);
    EXPECT_EQ(expression(bad), TOLLGATE_EDGE_INVALID_ARGUMENT);
    EXPECT_THAT(message_, StartsWith("SCOPE_EXPRESSION_MALFORMED: "));
    EXPECT_EQ(workspace("acme"), TOLLGATE_EDGE_OK);
    EXPECT_NE(reason(), TOLLGATE_EDGE_REASON_NONE) << "what was not set is not forgotten";
  }
  EXPECT_EQ(expression("deploy:read"), TOLLGATE_EDGE_OK);
  EXPECT_EQ(reason(), TOLLGATE_EDGE_REASON_NONE);

  EXPECT_EQ(workspace("globex"), TOLLGATE_EDGE_OK);
  EXPECT_EQ(reason(), TOLLGATE_EDGE_REASON_WRONG_WORKSPACE);
  EXPECT_EQ(Text(TOLLGATE_EDGE_WORKSPACE), "acme");
  for (const char* bad : {static_cast<const char*>(nullptr), "", "workspaces/acme"}) {
    EXPECT_EQ(workspace("acme"), TOLLGATE_EDGE_OK);
    EXPECT_EQ(workspace(bad), TOLLGATE_EDGE_INVALID_ARGUMENT);
    EXPECT_THAT(message_, StartsWith("WORKSPACE_ID_MALFORMED: "));
    EXPECT_EQ(expression("deploy:read"), TOLLGATE_EDGE_OK);
    EXPECT_EQ(reason(), TOLLGATE_EDGE_REASON_WRONG_WORKSPACE) << "never one for any";
  }
  EXPECT_EQ(workspace("acme"), TOLLGATE_EDGE_OK);
  EXPECT_EQ(reason(), TOLLGATE_EDGE_REASON_NONE);
  tollgate_edge_requirement_free(needs);

  EXPECT_EQ(tollgate_edge_requirement_set_workspace(nullptr, "acme", nullptr, 0),
            TOLLGATE_EDGE_INVALID_ARGUMENT);
  EXPECT_EQ(tollgate_edge_requirement_set_scope_expression(nullptr, "a", nullptr, 0),
            TOLLGATE_EDGE_INVALID_ARGUMENT);
}

TEST_F(EdgeCTest, ACallbackRunsOnceAndStopIsClean) {
  StartBoth();
  const TestToken token = MakeToken(v1::TOKEN_STATE_REVOKED);
  struct Context {
    absl::Notification called;
    int32_t reason = 0;
  } context;
  ASSERT_EQ(tollgate_edge_check_async(
                edge_, token.string.data(), token.string.size(), nullptr,
                [](void* c, const tollgate_edge_decision* decision) {
                  static_cast<Context*>(c)->reason = tollgate_edge_decision_reason(decision);
                  static_cast<Context*>(c)->called.Notify();
                },
                &context),
            TOLLGATE_EDGE_OK);
  context.called.WaitForNotification();
  EXPECT_EQ(context.reason, TOLLGATE_EDGE_REASON_REVOKED);
  tollgate_edge_stop(edge_, 2000);
  tollgate_edge_status status = TOLLGATE_EDGE_STATUS_INIT;
  ASSERT_EQ(tollgate_edge_get_status(edge_, &status), TOLLGATE_EDGE_OK);
  EXPECT_EQ(status.state, TOLLGATE_EDGE_STATE_STOPPED);
  ASSERT_EQ(Ask(token.string), TOLLGATE_EDGE_OK);
  EXPECT_EQ(tollgate_edge_decision_reason(decision_), TOLLGATE_EDGE_REASON_STOPPED);
}

// What was held, and why it ended.
struct CHold {
  static void OnEnd(void* context, int32_t reason) {
    static_cast<CHold*>(context)->reason = reason;
    static_cast<CHold*>(context)->ended.Notify();
  }
  static void OnOpened(void* context, const tollgate_edge_decision* decision,
                       tollgate_edge_hold* hold) {
    static_cast<CHold*>(context)->verdict = tollgate_edge_decision_verdict(decision);
    static_cast<CHold*>(context)->hold = hold;
    static_cast<CHold*>(context)->opened.Notify();
  }
  ~CHold() { tollgate_edge_hold_free(hold); }

  absl::Notification opened, ended;
  int32_t verdict = 0;
  int32_t reason = 0;
  tollgate_edge_hold* hold = nullptr;
};

TEST_F(EdgeCTest, HoldsUntilTheEnd) {
  StartBoth();
  const TestToken token = MakeToken();
  const auto open = [&](const tollgate_edge_requirement* needed, CHold* it) {
    return tollgate_edge_hold_blocking(edge_, token.string.data(), token.string.size(), needed,
                                       kLongEnough.count(), CHold::OnEnd, it, decision_, &it->hold);
  };
  CHold waited, asked, refused;
  ASSERT_EQ(open(nullptr, &waited), TOLLGATE_EDGE_OK);
  EXPECT_EQ(tollgate_edge_decision_verdict(decision_), TOLLGATE_EDGE_ADMIT);
  EXPECT_EQ(Text(TOLLGATE_EDGE_TOKEN_ID), token.id);
  EXPECT_EQ(tollgate_edge_hold_good(waited.hold), 1);
  EXPECT_EQ(tollgate_edge_hold_reason(waited.hold), TOLLGATE_EDGE_REASON_NONE);
  ASSERT_EQ(tollgate_edge_hold_async(edge_, token.string.data(), token.string.size(), nullptr,
                                     CHold::OnEnd, CHold::OnOpened, &asked),
            TOLLGATE_EDGE_OK);
  asked.opened.WaitForNotification();
  EXPECT_EQ(asked.verdict, TOLLGATE_EDGE_ADMIT);
  EXPECT_EQ(tollgate_edge_hold_good(asked.hold), 1);

  const char* const scopes[] = {"admin"};
  tollgate_edge_requirement* admin = tollgate_edge_requirement_new(scopes, 1, nullptr, 0, nullptr);
  ASSERT_EQ(open(admin, &refused), TOLLGATE_EDGE_OK);
  EXPECT_EQ(tollgate_edge_decision_reason(decision_), TOLLGATE_EDGE_REASON_INSUFFICIENT_SCOPE);
  EXPECT_EQ(refused.hold, nullptr);
  ASSERT_EQ(tollgate_edge_hold_async(edge_, token.string.data(), token.string.size(), admin,
                                     nullptr, CHold::OnOpened, &refused),
            TOLLGATE_EDGE_OK);
  refused.opened.WaitForNotification();
  EXPECT_EQ(refused.verdict, TOLLGATE_EDGE_DENY);
  EXPECT_EQ(refused.hold, nullptr);
  tollgate_edge_requirement_free(admin);

  tollgate_edge_status status = TOLLGATE_EDGE_STATUS_INIT;
  ASSERT_EQ(tollgate_edge_get_status(edge_, &status), TOLLGATE_EDGE_OK);
  EXPECT_EQ(status.open_holds, 2);
  SetState(token, v1::TOKEN_STATE_REVOKED);
  service_.PushChanged("acme", token.id);
  waited.ended.WaitForNotification();
  asked.ended.WaitForNotification();
  EXPECT_EQ(waited.reason, TOLLGATE_EDGE_REASON_REVOKED);
  EXPECT_EQ(tollgate_edge_hold_good(asked.hold), 0);
  EXPECT_EQ(tollgate_edge_hold_reason(asked.hold), TOLLGATE_EDGE_REASON_REVOKED);
  EXPECT_FALSE(refused.ended.HasBeenNotified());
  tollgate_edge_totals totals = TOLLGATE_EDGE_TOTALS_INIT;
  ASSERT_EQ(tollgate_edge_get_totals(edge_, &totals), TOLLGATE_EDGE_OK);
  EXPECT_EQ(totals.holds_opened, 2);
  EXPECT_EQ(totals.holds_ended, 2);

  EXPECT_EQ(tollgate_edge_verdict_of(TOLLGATE_EDGE_REASON_REVOKED), TOLLGATE_EDGE_DENY);
  EXPECT_EQ(tollgate_edge_verdict_of(TOLLGATE_EDGE_REASON_NO_LEASE), TOLLGATE_EDGE_UNAVAILABLE);
  EXPECT_EQ(tollgate_edge_verdict_of(4711), TOLLGATE_EDGE_UNAVAILABLE);
}

TEST_F(EdgeCTest, HoldsCanBeOff) {
  service_.Start(address_);
  tollgate_edge_options options = COptions();
  options.max_holds = -1;
  ASSERT_EQ(tollgate_edge_start(&options, &edge_, nullptr, 0), TOLLGATE_EDGE_OK);
  CHold none;
  ASSERT_EQ(tollgate_edge_hold_blocking(edge_, "", 0, nullptr, 0, nullptr, nullptr, decision_,
                                        &none.hold),
            TOLLGATE_EDGE_OK);
  EXPECT_EQ(tollgate_edge_decision_reason(decision_), TOLLGATE_EDGE_REASON_OVERLOADED);
  EXPECT_EQ(none.hold, nullptr);
}

TEST_F(EdgeCTest, SaysWhatIsWrong) {
  tollgate_edge_options options = COptions();
  options.id = nullptr;
  EXPECT_EQ(tollgate_edge_start(&options, &edge_, message_, sizeof(message_)),
            TOLLGATE_EDGE_INVALID_ARGUMENT);
  EXPECT_THAT(message_, StartsWith("VALIDATOR_ID_MALFORMED: "));
  EXPECT_EQ(edge_, nullptr);
  char short_message[6];
  EXPECT_EQ(tollgate_edge_start(&options, &edge_, short_message, sizeof(short_message)),
            TOLLGATE_EDGE_INVALID_ARGUMENT);
  EXPECT_STREQ(short_message, "VALID");
  options = COptions();
  options.service = "192.0.2.1:7411";
  EXPECT_EQ(tollgate_edge_start(&options, &edge_, nullptr, 0), TOLLGATE_EDGE_FAILED_PRECONDITION);
  EXPECT_EQ(tollgate_edge_start(nullptr, &edge_, nullptr, 0), TOLLGATE_EDGE_INVALID_ARGUMENT);
  EXPECT_EQ(tollgate_edge_start(&options, nullptr, nullptr, 0), TOLLGATE_EDGE_INVALID_ARGUMENT);

  EXPECT_EQ(tollgate_edge_check(nullptr, "", 0, nullptr, decision_),
            TOLLGATE_EDGE_INVALID_ARGUMENT);
  tollgate_edge_hold* hold = nullptr;
  EXPECT_EQ(
      tollgate_edge_hold_blocking(nullptr, "", 0, nullptr, 0, nullptr, nullptr, decision_, &hold),
      TOLLGATE_EDGE_INVALID_ARGUMENT);
  EXPECT_EQ(tollgate_edge_hold_async(nullptr, "", 0, nullptr, nullptr, CHold::OnOpened, nullptr),
            TOLLGATE_EDGE_INVALID_ARGUMENT);
  EXPECT_EQ(tollgate_edge_hold_good(nullptr), 0);
  EXPECT_EQ(tollgate_edge_hold_reason(nullptr), 0);
  tollgate_edge_hold_free(nullptr);
  EXPECT_EQ(tollgate_edge_wait_until_live(nullptr, 0), 0);
  EXPECT_EQ(tollgate_edge_stop(nullptr, 0), 0);
  EXPECT_EQ(tollgate_edge_metrics(nullptr, nullptr, 0), 0u);
  EXPECT_EQ(tollgate_edge_decision_verdict(nullptr), 0);
  const char* const missing[] = {nullptr};
  EXPECT_EQ(tollgate_edge_requirement_new(missing, 1, nullptr, 0, nullptr), nullptr);
  tollgate_edge_free(nullptr);
  tollgate_edge_requirement_free(nullptr);
  tollgate_edge_decision_free(nullptr);
}

// A program that was compiled before, or after, this library.
TEST_F(EdgeCTest, StructuresOfOtherVersions) {
  service_.Start(address_);
  struct {
    tollgate_edge_options known;
    int64_t added_later;
  } newer = {COptions(), 0};
  newer.known.struct_size = sizeof(newer);
  newer.added_later = 1;
  EXPECT_EQ(tollgate_edge_start(&newer.known, &edge_, message_, sizeof(message_)),
            TOLLGATE_EDGE_INVALID_ARGUMENT)
      << "it would be ignored in silence";
  EXPECT_THAT(message_, StartsWith("STRUCT_SIZE: "));
  newer.added_later = 0;
  ASSERT_EQ(tollgate_edge_start(&newer.known, &edge_, message_, sizeof(message_)),
            TOLLGATE_EDGE_OK);
  tollgate_edge_free(edge_);
  edge_ = nullptr;

  // Of an older one, what lies behind is not read: here a service that cannot be.
  tollgate_edge_options older = COptions();
  older.struct_size = offsetof(tollgate_edge_options, service_ca);
  older.service_ca = "/no/such/file";
  ASSERT_EQ(tollgate_edge_start(&older, &edge_, message_, sizeof(message_)), TOLLGATE_EDGE_OK)
      << message_;
  older.struct_size = 0;
  tollgate_edge* none = nullptr;
  EXPECT_EQ(tollgate_edge_start(&older, &none, message_, sizeof(message_)),
            TOLLGATE_EDGE_INVALID_ARGUMENT);

  tollgate_edge_status status;
  std::memset(&status, 0x5a, sizeof(status));
  status.struct_size = offsetof(tollgate_edge_status, lease_left_ms);
  ASSERT_EQ(tollgate_edge_get_status(edge_, &status), TOLLGATE_EDGE_OK);
  EXPECT_NE(status.state, 0x5a5a5a5a);
  EXPECT_EQ(status.lease_left_ms, 0x5a5a5a5a5a5a5a5a) << "not written";
}

TEST(EdgeCWords, AreThere) {
  EXPECT_STREQ(tollgate_edge_version(), base::kVersion);
  EXPECT_STREQ(tollgate_edge_describe(TOLLGATE_EDGE_REASON_REVOKED), "revoked");
  EXPECT_STREQ(tollgate_edge_describe(4711), "refused");
  char secret[] = "secret";
  tollgate_edge_wipe(secret, sizeof(secret));
  EXPECT_STREQ(secret, "");
}

}  // namespace
}  // namespace tollgate::validator
