// tollgate policy test, lint, explain: what they say, and their exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/unit/cli/outcome.h"

namespace tollgate::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kPolicy[] = R"(version: 1
requirements:
  deploy:
    any: [deploy:write, admin]
routes:
  - name: health
    path: /healthz
    needs: public
  - methods: POST
    path: /v1/deploys
    requirement: deploy
  - path: /v1/{workspace}/items
    needs: {workspace: "{workspace}", audience: items}
  - host: api.example
    path: /me
    needs: {optional: true, any: a}
)";

class PolicyCommand : public testing::Test {
 protected:
  PolicyCommand() : file_(absl::StrCat(testing::TempDir(), "/policy_test.", getpid(), ".yaml")) {
    Write(kPolicy);
  }
  ~PolicyCommand() override { std::remove(file_.c_str()); }

  void Write(const std::string& text) { std::ofstream(file_) << text; }
  Outcome Run(const std::string& verb, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"policy", verb, file_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Tollgate(arguments);
  }
  Outcome Test(std::vector<std::string> more) {
    more.insert(more.begin(), {"--host", "api.example"});
    return Run("test", more);
  }

  const std::string file_;
};

TEST_F(PolicyCommand, TestSaysWhichRuleLetsPass) {
  const Outcome allow =
      Test({"--method", "POST", "--path", "/v1/deploys", "--token-scopes", "x,deploy:write"});
  EXPECT_EQ(allow.code, 0) << allow.err;
  EXPECT_EQ(allow.out, absl::StrCat("allow   rule 2 (", file_,
                                    ":9)  POST /v1/deploys  needs any of deploy:write, admin\n"));
  const Outcome open = Test({"--path", "/healthz?x"});
  EXPECT_EQ(open.code, 0);
  EXPECT_THAT(open.out, HasSubstr("rule 1 \"health\" ("));
  const Outcome named = Test({"--path", "/", "--requirement", "deploy", "--token-scopes", "admin"});
  EXPECT_EQ(named.code, 0);
  EXPECT_THAT(named.out, StartsWith(absl::StrCat("allow   requirement deploy (", file_, ":3)")));
}

TEST_F(PolicyCommand, TestSaysWhyNot) {
  const auto denied = [&](std::vector<std::string> more, const std::string& why) {
    const Outcome outcome = Test(std::move(more));
    EXPECT_EQ(outcome.code, 10) << why;
    EXPECT_THAT(outcome.out, StartsWith("deny    "));
    EXPECT_THAT(outcome.out, HasSubstr(why));
  };
  denied({"--method", "POST", "--path", "/v1/deploys", "--token-scopes", "a"},
         "  403 INSUFFICIENT_SCOPE: a needed scope is missing; the token has: a\n");
  denied({"--method", "POST", "--path", "/v1/deploys"}, "  401 NO_TOKEN: ");
  denied({"--path", "/v1/acme/items", "--token"},
         "403 WRONG_WORKSPACE: the request is about the "
         "workspace acme; the token is of: none");
  denied({"--path", "/v1/acme/items", "--token-workspace", "acme", "--token-audiences", "b"},
         "403 WRONG_AUDIENCE: the request is for the audience items; the token is for: b");
  denied({"--path", "/other", "--token"}, "no rule of");
  denied({"--path", "/other", "--token"}, "  403 NO_ROUTE: ");
  denied({"--path", "/v1//deploys"}, "  400 PATH_AMBIGUOUS: the path has an empty segment\n");
  denied({"--path", "/v1/deploys", "--method", "post"}, "400 METHOD_AMBIGUOUS");
  denied({"--path", "/me", "--header", "Authorization: Bearer a", "--header",
          "authorization: Bearer b"},
         "400 SEVERAL_CREDENTIALS");
  denied({"--path", "/", "--requirement", "nope"}, "403 REQUIREMENT_UNKNOWN");
  const Outcome hostless = Run("test", {"--path", "/me"});
  EXPECT_EQ(hostless.code, 10);
  EXPECT_THAT(hostless.out, HasSubstr("400 HOST_MISSING: the request names no host; --host"));
}

TEST_F(PolicyCommand, TestKnowsWhatIsOptional) {
  EXPECT_EQ(Test({"--path", "/me"}).code, 0);
  EXPECT_EQ(Test({"--path", "/me", "--token"}).code, 10) << "a token that will not do is refused";
  EXPECT_EQ(Test({"--path", "/me", "--token-scopes", "a"}).code, 0);
  EXPECT_EQ(Test({"--path", "/me", "--header", "Authorization: Bearer x"}).code, 10);
}

TEST_F(PolicyCommand, TestAnswersPrograms) {
  const Outcome outcome = Test({"--path", "/v1/acme/items", "--token-workspace", "globex",
                                "--header", "X_Tollgate_Owner: me", "-o", "json"});
  EXPECT_EQ(outcome.code, 10);
  const json answer = json::parse(outcome.out);
  EXPECT_EQ(answer["verdict"], "deny");
  EXPECT_EQ(answer["status"], 403);
  EXPECT_EQ(answer["reason"], "WRONG_WORKSPACE");
  EXPECT_EQ(answer["rule"]["number"], 3);
  EXPECT_EQ(answer["rule"]["line"], 12);
  EXPECT_EQ(answer["rule"]["file"], file_);
  EXPECT_THAT(answer["drop_headers"].get<std::vector<std::string>>(),
              testing::Contains("x_tollgate_owner"));
  EXPECT_EQ(json::parse(Test({"--path", "/no", "-o", "json"}).out)["rule"], nullptr);
  EXPECT_EQ(Test({"--path", "/no", "-q"}).out, "");
}

TEST_F(PolicyCommand, AWrongQuestionIsNoVerdict) {
  EXPECT_EQ(Test({"--path", "/", "--header", "nonsense"}).code, 2);
  EXPECT_EQ(Run("test").code, 2) << "the path is wanted";
  // An option's value does not swallow the file behind it.
  EXPECT_EQ(Tollgate({"policy", "test", "--path", "/healthz", "--host", "h", "--header", "a: b",
                      "--token-scopes", "a", file_})
                .code,
            0);
}

TEST_F(PolicyCommand, ABadFileIsToldByEachVerb) {
  Write("version: 1\nroutes:\n  - {methds: GET}\n");
  for (const std::string verb : {"lint", "explain", "test"}) {
    const Outcome outcome = verb == "test" ? Test({"--path", "/"}) : Run(verb);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr(absl::StrCat(file_, ":3: route 1: `methds` is no key")));
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_EQ(Tollgate({"policy", "lint", file_ + ".none"}).code, 3);
  EXPECT_THAT(Tollgate({"policy", "lint", testing::TempDir()}).err, HasSubstr("Is a directory"));
}

TEST_F(PolicyCommand, LintFindsAndCounts) {
  const Outcome clean = Run("lint");
  EXPECT_EQ(clean.code, 0);
  EXPECT_EQ(clean.out, absl::StrCat(file_, ": nothing found in 4 rules\n"));
  Write(std::string(kPolicy) + "  - {path: /healthz, needs: token}\n");
  const Outcome found = Run("lint");
  EXPECT_EQ(found.code, 10);
  EXPECT_EQ(found.out, absl::StrCat(file_,
                                    ":17: rule 5 can never match: rule 1 (line 6) takes all "
                                    "that it would; put it before, or drop it  "
                                    "[never-matches]\n"));
  const json answer = json::parse(Run("lint", {"-o", "json"}).out);
  ASSERT_EQ(answer["findings"].size(), 1);
  EXPECT_EQ(answer["findings"][0]["check"], "never-matches");
  EXPECT_EQ(answer["findings"][0]["line"], 17);
}

TEST_F(PolicyCommand, ExplainShowsTheTable) {
  const Outcome table = Run("explain");
  EXPECT_EQ(table.code, 0);
  EXPECT_THAT(table.out, HasSubstr("token        Authorization: Bearer; removed upstream\n"));
  EXPECT_THAT(table.out, HasSubstr("x-tollgate-workspace"));
  EXPECT_THAT(table.out, HasSubstr("/v1/{workspace}/items"));
  EXPECT_THAT(table.out, HasSubstr("refused: 403"));
  const json answer = json::parse(Run("explain", {"-o", "json"}).out);
  EXPECT_EQ(answer["rules"].size(), 4);
  EXPECT_EQ(answer["rules"][3]["host"], "api.example");
  EXPECT_EQ(answer["requirements"][0]["name"], "deploy");
  EXPECT_EQ(answer["fingerprint"].get<std::string>().size(), 12);
}

}  // namespace
}  // namespace tollgate::cli
