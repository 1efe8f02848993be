// The policy's language: what it takes, and the words in which it refuses.
#include "policy/policy_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"
#include "policy/yaml_tree.h"
#include "token/token_string.h"

namespace tollgate::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

PolicyFile Read(const std::string& text) {
  absl::StatusOr<PolicyFile> file = ReadPolicyFile(text, "edge.yaml");
  EXPECT_TRUE(file.ok()) << file.status().message();
  return file.ok() ? *std::move(file) : PolicyFile();
}

std::string Error(const std::string& text) {
  const absl::StatusOr<PolicyFile> file = ReadPolicyFile(text, "edge.yaml");
  if (file.ok()) return "taken";
  EXPECT_EQ(base::ReasonOf(file.status()), "POLICY_INVALID");
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(file.status().message());
}

constexpr char kWhole[] = R"(version: 1
credentials:
  - bearer
  - basic
  - header: X-API-Key
  - query: access_token
audience: deploys
requirements:
  deploy:
    any: [deploy:write, admin]
  open: public
routes:
  - name: health
    methods: GET
    path: /healthz
    needs: public
  - methods: [POST]
    path: /v1/deploys
    requirement: deploy
  - host: "*.api.example"
    path: /v1/{workspace}/items/{id}
    needs:
      scopes: items:read AND (items:write OR admin)
      all: [a, b]
      workspace: "{workspace}"
      audience: items
  - grpc: /acme.Items/*
    needs: token
  - prefix: /me
    needs:
      optional: true
      workspace: acme
otherwise: not_found
upstream:
  credential: keep
  identity:
    workspace: X-Workspace
    token: x-token-id
    annotation.team: x-team
    annotation.cost/center: X-Cost-Center
answers:
  realm: acme
  resource_metadata: https://api.example/.well-known/oauth-protected-resource
  tell_before_expiry: 7d
)";

TEST(PolicyFile, IsReadWhole) {
  const PolicyFile file = Read(kWhole);
  EXPECT_TRUE(file.places.bearer);
  EXPECT_TRUE(file.places.basic);
  EXPECT_THAT(file.places.headers, ElementsAre("x-api-key"));
  EXPECT_THAT(file.places.query, ElementsAre("access_token"));
  ASSERT_EQ(file.requirements.size(), 2);
  EXPECT_EQ(file.requirements[0].route.name, "requirement deploy");
  EXPECT_EQ(file.requirements[0].route.line, 9);
  ASSERT_EQ(file.rules.size(), 5);
  EXPECT_EQ(file.rules[0].route.name, "health");
  EXPECT_EQ(file.rules[0].route.number, 1);
  EXPECT_EQ(file.rules[0].route.line, 13);
  EXPECT_EQ(file.rules[0].route.takes, "GET|HEAD /healthz");
  EXPECT_EQ(file.rules[0].route.needs, "nothing: public");
  EXPECT_FALSE(file.rules[0].needs.token);
  EXPECT_EQ(file.rules[1].route.name, "route 2");
  EXPECT_EQ(file.rules[1].route.line, 17);
  EXPECT_EQ(file.rules[1].route.takes, "POST /v1/deploys");
  EXPECT_EQ(file.rules[1].route.needs, "any of deploy:write, admin; for the audience deploys");
  EXPECT_EQ(file.rules[2].route.takes, "any method *.api.example/v1/{workspace}/items/{id}");
  EXPECT_EQ(file.rules[2].route.needs,
            "all of a, b; items:read AND (items:write OR admin); of the workspace {workspace}; for "
            "the audience items");
  EXPECT_EQ(file.rules[2].needs.workspace_variable, "workspace");
  EXPECT_EQ(file.rules[3].route.takes, "any method /acme.Items/{method}");
  EXPECT_EQ(file.rules[4].route.takes, "any method /me/…");
  EXPECT_EQ(file.rules[4].route.needs,
            "a token; of the workspace acme; for the audience deploys; or no token at all");
  EXPECT_FALSE(file.otherwise.has_value());
  EXPECT_EQ(file.otherwise_status, 404);
  EXPECT_TRUE(file.upstream.keep_credential);
  EXPECT_EQ(file.upstream.workspace_header, "x-workspace");
  EXPECT_EQ(file.upstream.token_header, "x-token-id");
  EXPECT_EQ(file.upstream.owner_header, "") << "only the ones that are named are sent";
  EXPECT_THAT(file.upstream.annotation_headers,
              ElementsAre(Pair("team", "x-team"), Pair("cost/center", "x-cost-center")));
  EXPECT_EQ(file.upstream.tell_before_expiry, absl::Hours(7 * 24));
  EXPECT_EQ(file.words.realm, "acme");
  EXPECT_THAT(file.words.resource_metadata, StartsWith("https://"));
  EXPECT_TRUE(file.words.offer_basic);
  EXPECT_TRUE(file.guard_case);
}

TEST(PolicyFile, HasDefaults) {
  const PolicyFile file = Read("version: 1\nroutes:\n- needs: token\n");
  EXPECT_TRUE(file.places.bearer);
  EXPECT_FALSE(file.places.basic);
  EXPECT_EQ(file.upstream.workspace_header, "x-tollgate-workspace");
  EXPECT_EQ(file.upstream.token_header, "x-tollgate-token");
  EXPECT_EQ(file.upstream.owner_header, "x-tollgate-owner");
  EXPECT_EQ(file.upstream.scopes_header, "x-tollgate-scopes");
  EXPECT_EQ(file.upstream.expires_header, "x-tollgate-expires");
  EXPECT_FALSE(file.upstream.keep_credential);
  EXPECT_EQ(file.upstream.tell_before_expiry, absl::ZeroDuration());
  EXPECT_EQ(file.otherwise_status, 403);
  EXPECT_EQ(file.rules[0].route.takes, "any method any path");
  EXPECT_EQ(file.rules[0].route.needs, "a token");
}

TEST(PolicyFile, ATokenStringIsNotToldOfButByItsLine) {
  const std::string token(token::TokenFormat()
                              .Mint(token::TokenKind::kWorkspace, base::SystemRandom())
                              .token_string.RevealSecret());
  for (const std::string& text :
       std::vector<std::string>{"version: 1\notherwise: " + token + "\n",
                                "version: 1\n# " + token + "\notherwise: token\n"}) {
    EXPECT_EQ(Error(text),
              "edge.yaml:2: a token string stands here: it is exposed now, revoke it. A policy "
              "names no token");
  }
}

TEST(PolicyFile, OtherwiseCanLetPass) {
  EXPECT_EQ(Read("version: 1\notherwise: token\n").otherwise->route.needs, "a token");
  EXPECT_EQ(Read("version: 1\notherwise: {any: a}\n").otherwise->route.line, 2);
  EXPECT_FALSE(Read("version: 1\notherwise: public\n").otherwise->needs.token);
}

struct BadCase {
  std::string text;
  std::string error;
};
std::ostream& operator<<(std::ostream& out, const BadCase& c) { return out << c.text; }

class BadFiles : public testing::TestWithParam<BadCase> {};

TEST_P(BadFiles, AreRefusedWithPlaceAndRemedy) {
  EXPECT_THAT(Error(GetParam().text), HasSubstr(GetParam().error)) << GetParam().text;
}

std::string Route(const std::string& route) { return "version: 1\nroutes:\n  - " + route + "\n"; }
std::string Needs(const std::string& needs) {
  return "version: 1\nroutes:\n  - path: /{w}\n    needs: " + needs + "\n";
}
std::string Top(const std::string& text) {
  return "version: 1\n" + text + "\nroutes: [{needs: token}]\n";
}

INSTANTIATE_TEST_SUITE_P(
    Yaml, BadFiles,
    testing::Values(
        BadCase{"", "edge.yaml: it is empty: it begins with `version: 1`"},
        BadCase{"# nothing\n", "it is empty"},
        BadCase{"version", "edge.yaml:1: a policy is a map of keys, and this is one value"},
        BadCase{"version: 1\nroutes: [", "edge.yaml:2: this is no YAML: end of sequence flow"},
        BadCase{"version: 1\n\tx: 1\n", "edge.yaml:2: this is no YAML"},
        BadCase{"version: 1\nversion: 1\n",
                "edge.yaml:2: `version` stands twice: it is in line 1 already"},
        BadCase{Needs("{any: a, any: b}"), "edge.yaml:4: `any` stands twice"},
        BadCase{"version: 1\nroutes: &r []\n", "edge.yaml:2: anchors (&) and aliases (*)"},
        BadCase{Route("{host: *.example, needs: token}"), "edge.yaml:3: anchors (&) and aliases"},
        BadCase{"version: 1\n<<: {}\n", "edge.yaml:2: `<<` is no key here"},
        BadCase{"version: !!str 1\n", "edge.yaml:1: tags such as `tag:yaml.org,2002:str`"},
        BadCase{"version: !x 1\n", "edge.yaml:1: tags such as"},
        BadCase{"version: 1\n---\nversion: 1\n", "a policy is one YAML document"},
        BadCase{"version: 1\n? [a]\n: b\n", "edge.yaml:2: a key is a plain word"},
        BadCase{"version: 1\n~: b\n", "edge.yaml:2: a key is missing"},
        BadCase{"version: 1\nroutes: [[[[[[[[[[[[[[]]]]]]]]]]]]]]\n",
                "edge.yaml:2: deeper than 12"},
        BadCase{"version: 1\n# \xff\n", "edge.yaml:2: this is not UTF-8"},
        BadCase{std::string("version: 1\n\0", 12), "edge.yaml:2: a control character"},
        BadCase{"version: 1\n#" + std::string(kLongestYaml, 'x'),
                "edge.yaml: a policy has at most 1048576 bytes"}));

INSTANTIATE_TEST_SUITE_P(
    Top, BadFiles,
    testing::Values(
        BadCase{"routes: []\n", "edge.yaml:1: `version: 1` is missing"},
        BadCase{"version: 2\nroots: []\n", "edge.yaml:1: this program reads `version: 1` only"},
        BadCase{"version: [1]\n", "edge.yaml:1: this program reads `version: 1` only"},
        BadCase{"version: 1\n", "edge.yaml:1: it lets nothing pass"},
        BadCase{"version: 1\nroots: []\n",
                "edge.yaml:2: `roots` is no key here; did you mean `routes`?"},
        BadCase{"version: 1\nzzz: []\n", "edge.yaml:2: `zzz` is no key here; one of: version, "},
        BadCase{"version: 1\nroutes: {}\n",
                "edge.yaml:2: `routes` is a list, and this is a map of keys"},
        BadCase{"version: 1\nroutes:\n", "edge.yaml:2: `routes` is a list, and this is nothing"},
        BadCase{Top("audience: [a]"), "edge.yaml:2: `audience` is one value, and this is a list"},
        BadCase{Top("audience: \"a b\""), "edge.yaml:2: `audience` is 1 to 128 visible"},
        BadCase{Top("path_case: exact"), "edge.yaml:2: `path_case` cannot be `exact`; one of: "},
        BadCase{Top("otherwise: refused"),
                "edge.yaml:2: `otherwise` cannot be `refused`; did you mean `refuse`?"},
        BadCase{Top("otherwise: {workspace: \"{w}\"}"), "edge.yaml:2: otherwise: `workspace`"},
        BadCase{Top("credentials: []"), "edge.yaml:2: `credentials` is empty"},
        BadCase{Top("credentials: bearer"), "edge.yaml:2: `credentials` is a list"},
        BadCase{Top("credentials: [baerer]"),
                "entry 1: `credentials` cannot be `baerer`; did you "
                "mean `bearer`?"},
        BadCase{Top("credentials: [bearer, bearer]"), "entry 2: `bearer` stands twice"},
        BadCase{Top("credentials: [{header: a, query: b}]"), "entry 1: one of `header`, `query`"},
        BadCase{Top("credentials: [{cookie: a}]"), "entry 1: `cookie` is no key here"},
        BadCase{Top("credentials: [{header: Authorization}]"), "for Authorization write `bearer`"},
        BadCase{Top("credentials: [{header: Cookie}]"), "the header cookie has another meaning"},
        BadCase{Top("credentials: [{header: x_key}]"), "`header` is a header's name of A-Z a-z"},
        BadCase{Top("credentials: [{header: X-Tollgate-Token}]"), "is an identity that this edge"},
        BadCase{Top("credentials: [{header: a}, {header: A}]"), "entry 2: `a` stands twice"},
        BadCase{Top("credentials: [{query: a b}]"), "`query` is a parameter's name"},
        BadCase{Top("upstream: {credentials: keep}"),
                "upstream: `credentials` is no key here; did you mean `credential`?"},
        BadCase{Top("upstream: {credential: drop}"),
                "`credential` cannot be `drop`; one of: "
                "remove, keep"},
        BadCase{Top("upstream: {identity: {workspace: Host}}"), "the header host has another"},
        BadCase{Top("upstream: {identity: {token: a, owner: A}}"), "the header a is named twice"},
        BadCase{Top("upstream: {identity: {token: a, annotation.t: A}}"), "the header a is named"},
        BadCase{Top("upstream: {identity: {annotation.t: Host}}"), "the header host has another"},
        BadCase{Top("client_address: \"x forwarded\""), "`client_address` is a header's name"},
        BadCase{Top("client_address: [a]"), "`client_address` is one value, and this is a list"},
        BadCase{Top("upstream: {identity: {annotation.-t: a}}"), "followed by an annotation's key"},
        BadCase{Top("upstream: {identity: {annotations.t: a}}"), "did you mean `annotation.KEY`?"},
        BadCase{Top("upstream: {identity: {annotation.1: a1, annotation.2: a2, annotation.3: a3, "
                    "annotation.4: a4, annotation.5: a5, annotation.6: a6, annotation.7: a7, "
                    "annotation.8: a8, annotation.9: a9}}"),
                "at most 8 annotations"},
        BadCase{Top("credentials: [{header: k}]\nupstream: {identity: {token: k}}"),
                "edge.yaml:3: upstream.identity: `token`: the header k carries the credential"},
        BadCase{Top("answers: {realm: \"a\\\"b\"}"), "answers: `realm` is at most 256"},
        BadCase{Top("answers: {realm: \"a\\nb\"}"), "answers: `realm` is at most 256"},
        BadCase{Top("answers: {resource_metadata: example}"), "`resource_metadata` is a URL"},
        BadCase{Top("answers: {resource_metadata: \"http://api.example/x\"}"), "is a URL"},
        BadCase{Top("answers: {tell_before_expiry: 7}"), "a duration of at most a year"},
        BadCase{Top("answers: {tell_before_expiry: -7d}"), "a duration of at most a year"},
        BadCase{Top("requirements: [a]"), "`requirements` is a map of keys, and this is a list"},
        BadCase{Top("requirements: {1a: token}"), "edge.yaml:2: requirements: a name is 1 to 64"},
        BadCase{Top("requirements: {a: {any: []}}"), "requirement `a`: `any` is empty"},
        BadCase{Top("requirements: {a: {workspace: \"{w}\"}}"), "there is no path here"}));

INSTANTIATE_TEST_SUITE_P(
    Routes, BadFiles,
    testing::Values(
        BadCase{Route("a"), "edge.yaml:3: route 1: a route is a map of keys, and this is one"},
        BadCase{Route("{methds: GET}"),
                "edge.yaml:3: route 1: `methds` is no key here; did you mean `methods`?"},
        BadCase{Route("path: /a"), "edge.yaml:3: route 1: it does not say what it needs"},
        BadCase{Route("{needs: token, requirement: a}"), "a route has one of them"},
        BadCase{Route("requirement: a"), "route 1: `requirement`: there is no `a`"},
        BadCase{"version: 1\nrequirements: {deploy: token}\nroutes: [{requirement: delpoy}]\n",
                "there is no `delpoy`; did you mean `deploy`?"},
        BadCase{Route("{name: route 3, needs: token}"), "`name` is 1 to 64 of A-Z"},
        BadCase{"version: 1\nroutes:\n- {name: a, needs: token}\n- {name: a, needs: token}\n",
                "edge.yaml:4: route 2: `name`: route 1 has this name"},
        BadCase{Route("{path: /a, prefix: /b, needs: token}"), "`path` and `prefix`: a route has"},
        BadCase{Route("{path: [/a], needs: token}"), "`path` is one value, and this is a list"},
        BadCase{Route("{path: a, needs: token}"), "route 1: `path`: a path begins with a slash"},
        BadCase{Route("{path: /a/, needs: token}"), "`path`: write `/a`"},
        BadCase{Route("{path: //, needs: token}"), "`path`: write `/`"},
        BadCase{Route("{path: /a//b, needs: token}"),
                "no request can match it: the path has an "
                "empty segment"},
        BadCase{Route("{path: /a/../b, needs: token}"), "no request can match it"},
        BadCase{Route("{path: \"/a\\\\b\", needs: token}"), "no request can match it"},
        BadCase{Route("{path: /a;b, needs: token}"), "no request can match it"},
        BadCase{Route("{path: /a%20b, needs: token}"), "as it reads when it is decoded"},
        BadCase{Route("{path: /a/*, needs: token}"), "`prefix:` takes all that lies below"},
        BadCase{Route("{path: \"/a?b\", needs: token}"), "a path has no query"},
        BadCase{Route("{path: \"/a/{b}c\", needs: token}"), "a variable is a whole segment"},
        BadCase{Route("{path: \"/a/{B}\", needs: token}"), "a variable is a whole segment"},
        BadCase{Route("{path: \"/{b}/{b}\", needs: token}"), "{b} stands twice"},
        BadCase{Route("{host: Api.example, needs: token}"), "`host`: write `api.example`"},
        BadCase{Route("{host: \"api.example:80\", needs: token}"), "a host without a port"},
        BadCase{Route("{host: \"a.*\", needs: token}"), "a * stands only at the beginning"},
        BadCase{Route("{host: \"*\", needs: token}"), "leave `host` out for all"},
        BadCase{Route("{host: \"a b\", needs: token}"), "a host is a name in ASCII"},
        BadCase{Route("{methods: get, needs: token}"), "`methods`: write GET"},
        BadCase{Route("{methods: ANY, needs: token}"), "a route without `methods` takes all"},
        BadCase{Route("{methods: CONNECT, needs: token}"), "comes through a tunnel"},
        BadCase{Route("{methods: [GET, \"*\"], needs: token}"), "a route without `methods` takes"},
        BadCase{Route("{methods: [GET, GET], needs: token}"), "`methods` lists `GET` twice"},
        BadCase{Route("{methods: [], needs: token}"), "`methods` is empty"},
        BadCase{Route("{methods: \"A B\", needs: token}"), "is no method of HTTP"},
        BadCase{Route("{grpc: pkg.Service, needs: token}"), "a gRPC method is `/package.Service"},
        BadCase{Route("{grpc: /a.B/C, methods: POST, needs: token}"), "however it is called"}));

INSTANTIATE_TEST_SUITE_P(
    Needs, BadFiles,
    testing::Values(BadCase{Needs("pubic"),
                            "edge.yaml:4: route 1: `needs` cannot be `pubic`; did you mean "
                            "`public`?"},
                    BadCase{Needs("yes"), "`needs` cannot be `yes`; one of: public, token"},
                    BadCase{Needs("[a]"), "`needs` is `public`, `token`, or a map"},
                    BadCase{Needs("{}"), "`needs` is empty: `token` for any good token"},
                    BadCase{Needs(""), "`needs` is `public`, `token`, or a map"},
                    BadCase{Needs("{scope: a}"), "`scope` is no key here; did you mean `scopes`?"},
                    BadCase{Needs("{any: []}"), "`any` is empty"},
                    BadCase{Needs("{any: [a, a]}"), "twice"},
                    BadCase{Needs("{any: \"a b\"}"), "`any`: `a b` is no scope"},
                    BadCase{Needs("{any: [a, \"repo*\"]}"), "`any`: `repo*`: a * stands alone, or"},
                    BadCase{Needs("{scopes: a AND repo*}"), "`repo*`: a * stands alone, or last"},
                    BadCase{Needs("{all: {a: b}}"), "`all` is a list, and this is a map of keys"},
                    BadCase{Needs("{scopes: a b}"), "`scopes`: an AND or OR is missing before `b`"},
                    BadCase{Needs("{scopes: a AND b OR c}"),
                            "`scopes`: AND beside OR wants parentheses"},
                    BadCase{Needs("{optional: yes}"), "`optional` is true or false"},
                    BadCase{Needs("{optional: \"true\"}"), "`optional` is true or false"},
                    BadCase{Needs("{workspace: {w}}"),
                            "`workspace` is one value, and this is a map of keys; "
                            "quote it: \"{w}\""},
                    BadCase{Needs("{workspace: \"{v}\"}"), "the path has no variable {v}"},
                    BadCase{Needs("{workspace: Acme}"), "or a workspace's id of a-z 0-9 -"},
                    BadCase{Needs("{audience: \"\"}"), "`audience` is empty"}));

}  // namespace
}  // namespace tollgate::policy
