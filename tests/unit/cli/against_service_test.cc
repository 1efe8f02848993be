// The command against a service that is scripted, also one that is hostile, away or restored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>

#include "base/proto_time.h"
#include "base/random.h"
#include "base/status.h"
#include "net/error.h"
#include "nlohmann/json.hpp"
#include "tests/unit/cli/outcome.h"
#include "tests/unit/cli/scripted_service.h"
#include "token/digest.h"
#include "token/token_string.h"

namespace tollgate::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kEscape[] = "\x1b[2J";

grpc::Status Away() { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed"); }

std::string TokenString() {
  base::SeededRandom random(7);
  return std::string(
      token::TokenFormat().Mint(token::TokenKind::kWorkspace, random).token_string.RevealSecret());
}

class AgainstService : public testing::Test {
 protected:
  AgainstService() {
    unsetenv("TOLLGATE_WORKSPACE");
    service_.revoke_many.Script([](int, const auto& request, auto* response) {
      response->set_token_count(2);
      if (!request.validate_only()) response->set_revision(184);
      return grpc::Status::OK;
    });
    const auto ok = [](int, const auto&, auto*) { return grpc::Status::OK; };
    service_.get.Script(ok);
    service_.list.Script(ok);
    service_.rotate.Script(ok);
    service_.update.Script(ok);
  }

  Outcome Run(std::vector<std::string> arguments, const std::string& input = "",
              bool in_is_terminal = false) {
    arguments.insert(arguments.begin(), {"--service", service_.address(), "--config", "/dev/null"});
    return Tollgate(std::move(arguments), input, in_is_terminal);
  }
  // Pending until the nth question, and then enforced.
  void EnforceAt(int last) {
    service_.wait.Script([last](int nth, const auto& request, auto* receipt) {
      receipt->set_epoch("epoch-1");
      receipt->set_revision(request.revision());
      receipt->set_state(nth < last ? v1::ENFORCEMENT_STATE_PENDING
                                    : v1::ENFORCEMENT_STATE_ENFORCED);
      return grpc::Status::OK;
    });
  }

  ScriptedService service_;
};

TEST_F(AgainstService, ALeakedTokenStringNeverLeavesTheProcess) {
  service_.revoke_leaked.Script([](int, const auto&, auto* response) {
    response->set_revision(184);
    response->mutable_token()->set_name("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
    return grpc::Status::OK;
  });
  const std::string secret = TokenString();
  const Outcome outcome = Run({"token", "revoke", "--leaked", "--yes"}, "  " + secret + "\n");
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  ASSERT_EQ(service_.revoke_leaked.asked().size(), 1u);
  const v1::RevokeLeakedTokenRequest asked = service_.revoke_leaked.asked()[0];
  EXPECT_FALSE(asked.has_token_string());
  EXPECT_EQ(asked.edge_digest(), std::string(token::EdgeDigest::Of(secret).bytes()));
  EXPECT_THAT(asked.SerializeAsString(), Not(HasSubstr(secret.substr(20, 10))));
}

TEST_F(AgainstService, ALeakedTokenStringThatIsNotWholeIsToldHere) {
  const std::string secret = TokenString();
  for (const std::string& found :
       {secret.substr(1), secret.substr(0, 60), secret + "0", "Bearer " + secret,
        secret + "\xE2\x80\x8B", std::string("_"), std::string("w_x"), std::string()}) {
    const Outcome outcome = Run({"token", "revoke", "--leaked"}, found + "\n");
    EXPECT_EQ(outcome.code, kBadUsage) << found;
  }
  EXPECT_THAT(service_.revoke_leaked.asked(), IsEmpty());
}

TEST_F(AgainstService, ALeakedTokenIsRevokedWhenSomebodySaidYes) {
  service_.revoke_leaked.Script([](int, const auto&, auto* response) {
    response->set_revision(184);
    return grpc::Status::OK;
  });
  service_.get.Script([](int, const auto& request, auto* token) {
    if (request.name().find("workspaces/other/") == 0) {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "no");
    }
    token->set_label("CI deploy key");
    return grpc::Status::OK;
  });
  const std::string secret = TokenString();
  const std::string id = secret.substr(4, 16);
  const std::string digest(64, 'a');
  // Nobody is there.
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"token", "revoke", "--leaked"}, {"token", "revoke", "--edge-digest", digest}}) {
    const Outcome outcome = Run(words, secret + "\n");
    EXPECT_EQ(outcome.code, kBadUsage);
    EXPECT_THAT(outcome.err, HasSubstr("add --yes"));
  }
  // Somebody is, and says no; what it would hit is told as far as it is known.
  const auto asked = [&](std::vector<std::string> words) {
    const Outcome outcome = Run(std::move(words), secret + "\nn\n", true);
    EXPECT_EQ(outcome.code, kAborted) << outcome.err;
    EXPECT_THAT(outcome.err, Not(HasSubstr(secret.substr(20, 10))));
    return outcome.err;
  };
  EXPECT_THAT(asked({"token", "revoke", "--leaked", "-w", "acme"}),
              HasSubstr("Revoke the token " + id + ", \"CI deploy key\", never used?  [y/N]"));
  EXPECT_THAT(asked({"token", "revoke", "--leaked", "-w", "other"}),
              HasSubstr("Revoke the token " + id + ", which is none of other?"));
  EXPECT_THAT(asked({"token", "revoke", "--leaked"}), HasSubstr("Revoke the token " + id + " ("));
  EXPECT_THAT(service_.revoke_leaked.asked(), IsEmpty());
  // And yes.
  EXPECT_EQ(Run({"token", "revoke", "--leaked"}, secret + "\ny\n", true).code, kDone);
  EXPECT_EQ(Run({"token", "revoke", "--edge-digest", digest, "--yes"}).code, kDone);
  EXPECT_EQ(service_.revoke_leaked.asked().size(), 2u);
}

TEST_F(AgainstService, ACohortsRevocationSaysWhatItHit) {
  EXPECT_THAT(Run({"token", "revoke", "-w", "acme", "--all", "--owner", "team-c", "--yes"}).out,
              HasSubstr("revoked      revision 184   2 tokens of team-c in workspaces/acme\n"));
  EXPECT_FALSE(service_.revoke_many.asked().back().allow_empty());
  EXPECT_THAT(Run({"token", "revoke", "-w", "acme", "--all", "--yes", "--allow-empty"}).out,
              HasSubstr("revision 184   2 tokens of workspaces/acme\n"));
  EXPECT_TRUE(service_.revoke_many.asked().back().allow_empty());
  service_.audit.Script([](int, const auto&, auto* page) {
    v1::AuditEntry* entry = page->add_entries();
    entry->set_action("cohort.revoke");
    entry->set_resource("workspaces/acme");
    (*entry->mutable_details())["owner"] = "team-c";
    return grpc::Status::OK;
  });
  EXPECT_THAT(Run({"audit", "list"}).out, HasSubstr("workspaces/acme owner team-c"));
}

TEST_F(AgainstService, TheAuditLogIsAskedForWhatTheWordsSay) {
  service_.audit.Script([](int nth, const auto& asked, auto* page) {
    page->add_entries()->set_revision(100 - nth);
    page->set_next_page_token("more");
    return grpc::Status::OK;
  });
  const Outcome some =
      Run({"audit",   "list", "--token",  "4mXp81QzR0aYc7Ld", "-w",       "acme",
           "--actor", "ci",   "--action", "token.*",          "--action", "restore",
           "--since", "36h",  "--until",  "2026-11-24",       "--limit",  "2",
           "-o",      "json"});
  EXPECT_EQ(some.code, kDone) << some.err;
  EXPECT_EQ(some.err, "") << "a script knows its own limit";
  ASSERT_EQ(service_.audit.asked().size(), 2u);
  const v1::ListAuditEntriesRequest asked = service_.audit.asked().front();
  EXPECT_EQ(asked.parent(), "workspaces/acme");
  EXPECT_EQ(asked.filter().token(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_EQ(asked.filter().actor(), "ci");
  EXPECT_THAT(asked.filter().actions(), testing::ElementsAre("token.*", "restore"));
  EXPECT_EQ(asked.filter().since_ago().seconds(), 36 * 3600);
  EXPECT_FALSE(asked.filter().has_since());
  EXPECT_EQ(asked.filter().until().seconds(), 1'795'564'800) << "that day is in it";
  EXPECT_FALSE(asked.filter().has_until_ago());
  EXPECT_TRUE(asked.newest_first());
  EXPECT_EQ(asked.page_size(), 2);
  EXPECT_EQ(service_.audit.asked().back().page_size(), 1);
  EXPECT_EQ(service_.audit.asked().back().page_token(), "more");
  EXPECT_THAT(Run({"audit", "list", "--limit", "1"}).err, HasSubstr("There are more"));

  EXPECT_EQ(Run({"audit", "list", "--token", "4mXp81QzR0aYc7Ld", "--limit", "1"}).code, kBadUsage);
  EXPECT_EQ(Run({"audit", "list", "--since", "soon"}).code, kBadUsage);
  // The usual workspace says which token is meant, and narrows nothing else.
  setenv("TOLLGATE_WORKSPACE", "acme", 1);
  EXPECT_EQ(Run({"audit", "list", "--limit", "1", "--oldest-first"}).code, kDone);
  EXPECT_EQ(service_.audit.asked().back().parent(), "");
  EXPECT_FALSE(service_.audit.asked().back().newest_first());
  EXPECT_EQ(Run({"audit", "list", "--token", "4mXp81QzR0aYc7Ld", "--limit", "1"}).code, kDone);
  EXPECT_EQ(service_.audit.asked().back().filter().token(),
            "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  unsetenv("TOLLGATE_WORKSPACE");
}

// The newest are asked for, and told in the order in which they happened.
TEST_F(AgainstService, AHistoryIsToldAsItHappened) {
  const auto entry = [](auto* page, int64_t revision, const char* action) {
    v1::AuditEntry* one = page->add_entries();
    one->set_revision(revision);
    one->set_action(action);
    one->set_actor("local");
    one->set_origin("unix");
    one->set_resource("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  };
  service_.audit.Script([&](int nth, const auto& asked, auto* page) {
    EXPECT_TRUE(asked.newest_first());
    if (asked.page_token().empty()) {
      entry(page, 9, "token.suspend");
      page->set_next_page_token("more");
    } else {
      entry(page, 3, "token.create");
      if (asked.page_size() == 1) page->set_next_page_token("and more");
    }
    return grpc::Status::OK;
  });
  service_.get.Script([](int, const auto&, auto* token) {
    token->set_label("CI\x1b[2J");
    token->set_state(v1::TOKEN_STATE_SUSPENDED);
    token->set_suspended_by("local");
    return grpc::Status::OK;
  });
  const std::vector<std::string> history = {"token", "history", "4mXp81QzR0aYc7Ld", "-w", "acme"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), history.begin(), history.end());
    return Run(more);
  };
  const Outcome table = with({});
  EXPECT_EQ(table.code, kDone) << table.err;
  EXPECT_THAT(table.out, HasSubstr("\"CI?[2J\", suspended by local\n\nWHEN"));
  EXPECT_LT(table.out.find("created"), table.out.find("suspended\n"));
  EXPECT_THAT(table.out, HasSubstr("local (unix)"));
  EXPECT_THAT(table.err, IsEmpty());
  EXPECT_EQ(with({"-q"}).out, "3\n9\n");
  const Outcome cut = with({"--limit", "2"});
  EXPECT_THAT(cut.err, HasSubstr("There is more from before that"));
  const nlohmann::json document = nlohmann::json::parse(with({"-o", "json"}).out);
  EXPECT_EQ(document["entries"].size(), 2u);
  EXPECT_EQ(document["entries"][0]["action"], "token.create");
  EXPECT_FALSE(document.contains("next_page_token"));
  // A token that is no more has a history all the same.
  service_.get.Script([](int, const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "there is no such token");
  });
  EXPECT_EQ(with({}).code, kDone);
  EXPECT_THAT(with({}).out, testing::StartsWith("there is no such token\n\nWHEN"));
}

// A whole workspace goes only where its name is typed; one owner's tokens for a yes.
TEST_F(AgainstService, AWholeWorkspaceAsksForItsName) {
  const std::vector<std::string> all = {"token", "revoke", "-w", "acme", "--all"};
  for (const char* answer : {"y\n", "yes\n", "acm\n", "\n", ""}) {
    const Outcome outcome = Run(all, answer, true);
    EXPECT_EQ(outcome.code, kAborted) << answer;
    EXPECT_THAT(outcome.err, HasSubstr("This ends all 2 tokens of workspaces/acme, 0 of them used "
                                       "lately.\nType the workspace's name to go on:"));
  }
  for (const auto& asked : service_.revoke_many.asked()) EXPECT_TRUE(asked.validate_only());
  EXPECT_EQ(Run(all, "acme\n", true).code, kDone);
  EXPECT_FALSE(service_.revoke_many.asked().back().validate_only());
  EXPECT_EQ(service_.revoke_many.asked().back().expected_count(), 2);
  EXPECT_EQ(Run({"token", "revoke", "-w", "acme", "--all", "--owner", "team-c"}, "y\n", true).code,
            kDone);
  EXPECT_EQ(Run(all, "acme\n").code, kBadUsage);  // nobody is there
}

// What a --request-id has done already is told without a question: there is nothing to agree to.
TEST_F(AgainstService, ARetriedRevocationOfManyAsksNobodyAgain) {
  service_.revoke_many.Script([](int, const auto& asked, auto* response) {
    EXPECT_EQ(asked.request_id(), "incident-1");
    response->set_token_count(2);
    response->set_revision(184);
    return grpc::Status::OK;
  });
  std::vector<std::string> all = {"token", "revoke",       "-w",        "acme",
                                  "--all", "--request-id", "incident-1"};
  const Outcome outcome = Run(all, "", true);
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("revoked      revision 184   2 tokens of workspaces/acme\n"));
  EXPECT_FALSE(service_.revoke_many.asked().back().validate_only());
  all.push_back("--dry-run");
  EXPECT_THAT(Run(all).out, HasSubstr("has revoked, under this --request-id, 2 tokens of"));
  EXPECT_TRUE(service_.revoke_many.asked().back().validate_only());
}

TEST_F(AgainstService, ARevocationThatHitsNobodyIsRefusedWithAdvice) {
  service_.revoke_many.Script([](int, const auto&, auto*) {
    return net::ToGrpcStatus(base::Refuse(
        absl::StatusCode::kFailedPrecondition, "NOTHING_TO_REVOKE",
        "acme has no live token that is owned by team-d; perhaps you mean team-c (2 live tokens)"));
  });
  for (const char* flag : {"--yes", "--dry-run"}) {
    const Outcome outcome =
        Run({"token", "revoke", "-w", "acme", "--all", "--owner", "team-d", flag});
    EXPECT_EQ(outcome.code, kRefused);
    EXPECT_THAT(outcome.err, HasSubstr("perhaps you mean team-c (2 live tokens)"));
    EXPECT_THAT(outcome.err, HasSubstr("--allow-empty"));
  }
}

// A token that nobody has seen is no token that anybody needs: with the reader gone it is revoked,
// unless another one's plan counts on it.
TEST_F(AgainstService, ATokenThatCouldNotBeShownIsRevoked) {
  const auto made = [](int, const auto&, auto* response) {
    response->mutable_token()->set_name("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
    response->set_token_string(TokenString());
    return grpc::Status::OK;
  };
  service_.create.Script(made);
  service_.rotate.Script(made);
  service_.revoke.Script([](int, const auto&, auto*) { return grpc::Status::OK; });
  const auto to_nobody = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"--service", service_.address(), "--config", "/dev/null"});
    std::istringstream in;
    std::ofstream full("/dev/full");
    std::ostringstream err;
    const int code = RunCommand(words, {&in, &full, &err, false, false, &base::SystemClock()});
    return Outcome{code, "", err.str()};
  };
  for (const std::vector<std::string>& how : std::vector<std::vector<std::string>>{
           {"token", "create", "-w", "acme", "--label", "x"},
           {"-q", "token", "create", "-w", "acme", "--label", "x"},
           {"-o", "json", "token", "create", "-w", "acme", "--label", "x"}}) {
    const size_t revoked = service_.revoke.asked().size();
    const Outcome outcome = to_nobody(how);
    EXPECT_EQ(outcome.code, kFailed);
    EXPECT_THAT(outcome.err, HasSubstr("SECRET_NOT_SHOWN"));
    EXPECT_THAT(outcome.err, HasSubstr("It was revoked"));
    ASSERT_EQ(service_.revoke.asked().size(), revoked + 1);
    EXPECT_EQ(service_.revoke.asked().back().name(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  }
  const size_t revoked = service_.revoke.asked().size();
  EXPECT_THAT(to_nobody({"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme"}).err,
              HasSubstr("It exists"));
  EXPECT_EQ(service_.revoke.asked().size(), revoked);
  service_.revoke.Script([](int, const auto&, auto*) { return Away(); });
  EXPECT_THAT(to_nobody({"token", "create", "-w", "acme", "--label", "x"}).err,
              HasSubstr("Revoke it: tollgate token revoke"));
}

TEST_F(AgainstService, WhatDidNothingIsNotToldAsADeed) {
  EnforceAt(0);
  service_.revoke.Script([](int, const auto&, auto* response) {
    response->set_revision(184);
    response->set_unchanged(true);
    v1::Token& token = *response->mutable_token();
    token.set_state(v1::TOKEN_STATE_REVOKED);
    token.set_reason("in a gist");
    token.mutable_end()->set_actor("ops");
    *token.mutable_end()->mutable_time() = base::ToProto(absl::Now() - absl::Hours(3));
    return grpc::Status::OK;
  });
  const std::vector<std::string> words = {"token",  "revoke",   "4mXp81QzR0aYc7Ld",
                                          "-w",     "acme",     "--yes",
                                          "--wait", "--reason", "in a log, too"};
  Outcome outcome = Run(words);
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_THAT(outcome.out,
              testing::StartsWith("no change    revision 184   was revoked already, 3 h "
                                  "ago, by ops: in a gist\nnoted        the reason"));
  EXPECT_THAT(outcome.out, HasSubstr("\nenforced     everywhere"));
  outcome = Run({"-o", "json", "token", "revoke", "4mXp81QzR0aYc7Ld", "-w", "acme", "--yes"});
  EXPECT_THAT(outcome.out, HasSubstr("\"unchanged\""));
  outcome = Run({"-q", "token", "revoke", "4mXp81QzR0aYc7Ld", "-w", "acme", "--yes"});
  EXPECT_EQ(outcome.out, "");
}

TEST_F(AgainstService, ALostRotationIsDoneAgainPlannedAnewOrTakenBack) {
  service_.rotate.Script([](int, const auto& request, auto* response) {
    if (!request.again()) {
      return net::ToGrpcStatus(base::Refuse(absl::StatusCode::kFailedPrecondition,
                                            "ALREADY_ROTATED", "was rotated already"));
    }
    response->mutable_token()->set_name("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
    response->set_secret_withheld(true);
    response->mutable_replaced()->set_name("workspaces/acme/tokens/0000000000000old");
    return grpc::Status::OK;
  });
  EXPECT_THAT(Run({"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme"}).err, HasSubstr("--again"));
  const Outcome withheld = Run({"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--again"});
  EXPECT_EQ(withheld.code, kRefused);
  EXPECT_THAT(withheld.err, HasSubstr("rotate workspaces/acme/tokens/0000000000000old --again"));
  EXPECT_FALSE(service_.rotate.asked().back().has_retire_plan()) << "the plan stays";
  Run({"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--again", "--retire-in", "1h"});
  EXPECT_EQ(service_.rotate.asked().back().retire_plan().after().seconds(), 3600);
  const size_t asked = service_.rotate.asked().size();
  for (const char* other : {"--again", "--replan", "--retire-in=1h", "--expires-in=1h"}) {
    EXPECT_EQ(Run({"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--cancel", other}).code,
              kBadUsage)
        << other;
  }
  EXPECT_EQ(Run({"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--again", "--replan"}).code,
            kBadUsage);
  EXPECT_EQ(service_.rotate.asked().size(), asked);
}

TEST_F(AgainstService, DurationsTravelAsDurations) {
  EXPECT_EQ(Run({"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--retire-in", "1h"}).code,
            kDone);
  EXPECT_EQ(service_.rotate.asked().back().retire_plan().after().seconds(), 3600);
  EXPECT_EQ(Run({"token", "update", "4mXp81QzR0aYc7Ld", "-w", "acme", "--expires-in", "1h"}).code,
            kDone);
  EXPECT_EQ(service_.update.asked().back().lifetime().seconds(), 3600);
  EXPECT_FALSE(service_.update.asked().back().token().has_expire_time());
  EXPECT_EQ(Run({"token", "list", "-w", "acme", "--unused-for", "1h", "--expiring-within", "2h",
                 "--rotation-due-within", "now"})
                .code,
            kDone);
  const v1::TokenFilter filter = service_.list.asked().back().filter();
  EXPECT_EQ(filter.unused_for().seconds(), 3600);
  EXPECT_EQ(filter.expiring_within().seconds(), 7200);
  EXPECT_TRUE(filter.has_rotation_due_within());
  EXPECT_EQ(filter.rotation_due_within().seconds(), 0);
}

// A difference is told as one, and made of the state that is there.
TEST_F(AgainstService, AnUpdateThatAddsIsMadeAnewWhereTheTokenWasChanged) {
  int reads = 0;
  service_.get.Script([&](int, const auto&, auto* token) {
    token->add_scopes("a");
    if (++reads > 1) token->add_scopes("b");
    (*token->mutable_annotations())["team"] = "x";
    (*token->mutable_annotations())["old"] = "y";
    token->set_etag(absl::StrCat("e", reads));
    return grpc::Status::OK;
  });
  service_.update.Script([&](int, const auto& request, auto* response) {
    if (request.token().etag() == "e1") {
      return net::ToGrpcStatus(
          base::Refuse(absl::StatusCode::kAborted, "ETAG_MISMATCH", "it was changed"));
    }
    response->set_revision(9);
    return grpc::Status::OK;
  });
  const Outcome outcome =
      Run({"token", "update", "4mXp81QzR0aYc7Ld", "-w", "acme", "--add-scope", "c",
           "--remove-scope", "a", "--annotation", "team=z", "--annotation", "old-"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  ASSERT_EQ(service_.update.asked().size(), 2u);
  const v1::Token token = service_.update.asked().back().token();
  EXPECT_THAT(token.scopes(), testing::ElementsAre("b", "c"));
  EXPECT_EQ(token.annotations().size(), 1u);
  EXPECT_EQ(token.annotations().at("team"), "z");
  EXPECT_EQ(
      Run({"token", "update", "4mXp81QzR0aYc7Ld", "-w", "acme", "--add-scope", "c", "--scope", "d"})
          .code,
      kBadUsage);
}

// `--flag value WORD`: the word is a thing of its own, and one too many is refused.
TEST_F(AgainstService, ARepeatableFlagTakesOneValueEachTime) {
  EXPECT_EQ(Run({"token", "create", "-w", "acme", "--label", "x", "--scope", "a", "b"}).code,
            kBadUsage);
  EXPECT_EQ(Run({"token", "list", "-w", "acme", "--state", "active", "revoked"}).code, kBadUsage);
  EXPECT_THAT(service_.list.asked(), IsEmpty());
  EXPECT_EQ(Run({"token", "update", "--scope", "a", "4mXp81QzR0aYc7Ld", "-w", "acme"}).code, kDone);
  EXPECT_EQ(service_.update.asked().back().token().name(),
            "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_THAT(service_.update.asked().back().token().scopes(), testing::ElementsAre("a"));
}

TEST_F(AgainstService, AFullNameAndAnotherWorkspaceDisagree) {
  const std::string name = "workspaces/prod/tokens/4mXp81QzR0aYc7Ld";
  for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{
           {"get"}, {"revoke", "--yes"}, {"suspend"}, {"update", "--label", "x"}}) {
    std::vector<std::string> words = {"token", verb[0], name, "-w", "dev"};
    words.insert(words.end(), verb.begin() + 1, verb.end());
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, kBadUsage) << verb[0];
    EXPECT_THAT(outcome.err, HasSubstr("which workspace")) << verb[0];
  }
  EXPECT_EQ(Run({"token", "get", name, "-w", "prod"}).code, kDone);
  // The usual workspace is no word of this command.
  setenv("TOLLGATE_WORKSPACE", "dev", 1);
  EXPECT_EQ(Run({"token", "get", name}).code, kDone);
  unsetenv("TOLLGATE_WORKSPACE");
}

TEST_F(AgainstService, AMiscountIsToldInTheWordsOfTheCommandLine) {
  service_.revoke_many.Script([](int, const auto&, auto*) {
    base::ErrorDetails details;
    details.reason = "COUNT_MISMATCH";
    details.metadata = {{"expected_count", "5"}, {"token_count", "1"}};
    details.fields.push_back({"expected_count", "it would revoke 1 tokens"});
    return net::ToGrpcStatus(
        base::Refuse(absl::StatusCode::kFailedPrecondition,
                     "expected_count: would revoke 1 tokens, and 5 were expected; "
                     "nothing was revoked. Look again with validate_only",
                     details));
  });
  const Outcome outcome = Run({"token", "revoke", "-w", "acme", "--all", "--expect", "5", "--yes"});
  EXPECT_EQ(outcome.code, kRefused);
  EXPECT_EQ(outcome.err,
            "refused: it would revoke 1 token, and 5 were expected; nothing was revoked. Look "
            "again with --dry-run\n  (reason COUNT_MISMATCH)\n");
}

TEST_F(AgainstService, AnErrorWithAdviceIsOneJsonObject) {
  service_.retire.Script([](int, const auto&, auto*) {
    return net::ToGrpcStatus(
        base::Refuse(absl::StatusCode::kFailedPrecondition, "STILL_IN_USE", "still in use"));
  });
  Outcome outcome = Run({"token", "retire", "4mXp81QzR0aYc7Ld", "-w", "acme"});
  EXPECT_EQ(outcome.code, kRefused);
  EXPECT_THAT(outcome.err, HasSubstr("still in use\n  To retire it all the same: --force\n"));
  const auto message = [](const Outcome& of) {
    const nlohmann::json error = nlohmann::json::parse(of.err, nullptr, false);
    return error.is_object() ? std::string(error["error"]["message"]) : "no JSON: " + of.err;
  };
  outcome = Run({"-o", "json", "token", "retire", "4mXp81QzR0aYc7Ld", "-w", "acme"});
  EXPECT_EQ(outcome.code, kRefused);
  EXPECT_THAT(message(outcome), HasSubstr("--force"));
  // A wait that ends unenforced, and one that ends in an error.
  const std::vector<std::string> wait = {"-o",    "json",  "token",  "revoke",         "-w", "acme",
                                         "--all", "--yes", "--wait", "--wait-timeout", "1ms"};
  EnforceAt(1'000'000);
  EXPECT_THAT(message(Run(wait)), HasSubstr("It stays revoked"));
  service_.wait.Script([](int, const auto&, auto*) { return Away(); });
  outcome = Run(wait);
  EXPECT_EQ(outcome.code, kNotYetEnforced);
  EXPECT_THAT(message(outcome), HasSubstr("It stays revoked"));
}

TEST_F(AgainstService, AnEmptyOptionIsNotOneThatWasLeftOut) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"token", "revoke", "-w", "acme", "--all", "--owner", "", "--yes"},
           {"token", "revoke", "-w", "acme", "--all", "--owner=", "--yes"},
           {"token", "revoke", "-w", "acme", "--all", "--owner", "", "--dry-run"},
           {"token", "revoke", "-w", "acme", "--all", "--expect=-1", "--yes"},
           {"token", "revoke", "-w", "acme", "--all", "--expect", "", "--yes"},
           {"token", "revoke", "-w", "", "--all", "--yes"},
           {"token", "revoke", "", "-w", "acme", "--yes"},
           {"token", "create", "-w", "acme", "--label", "x", "--expires-in", ""},
           {"token", "create", "-w", "acme", "--label", "x", "--expires-in="},
           {"token", "create", "-w", "acme", "--label", "x", "--expires-at", ""},
           {"token", "create", "-w", "acme", "--label", "x", "--scope", ""},
           {"token", "create", "-w", "acme", "--label", "x", "--request-id", ""},
           {"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--retire-when-silent", ""},
           {"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--retire-in", ""},
           {"token", "list", "-w", "acme", "--owner", ""},
       }) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.code, kBadUsage) << testing::PrintToString(arguments) << outcome.out;
  }
  EXPECT_THAT(service_.revoke_many.asked(), IsEmpty());
  EXPECT_THAT(service_.create.asked(), IsEmpty());
  EXPECT_THAT(service_.rotate.asked(), IsEmpty());
  EXPECT_THAT(service_.list.asked(), IsEmpty());
}

TEST_F(AgainstService, AWaitOutlivesAServiceThatIsAwayForAMoment) {
  service_.wait.Script([](int nth, const auto& request, auto* receipt) {
    if (nth == 1 || nth == 2) return Away();
    receipt->set_epoch("epoch-1");
    receipt->set_revision(request.revision());
    receipt->set_state(nth == 0 ? v1::ENFORCEMENT_STATE_PENDING : v1::ENFORCEMENT_STATE_ENFORCED);
    return grpc::Status::OK;
  });
  const Outcome outcome =
      Run({"-o", "json", "token", "revoke", "-w", "acme", "--all", "--yes", "--wait"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  const nlohmann::json answer = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(answer["revision"], 184);
  EXPECT_EQ(answer["receipt"]["state"], "enforced");
  EXPECT_EQ(service_.revoke_many.asked().size(), 1u) << "revoked once";
}

TEST_F(AgainstService, WhatIsRevokedIsToldAlsoWhenNothingCanBeWaitedFor) {
  for (const grpc::Status& status :
       {Away(), grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "only operators may")}) {
    service_.wait.Script([&](int, const auto&, auto*) { return status; });
    const std::vector<std::string> words = {
        "token", "revoke", "-w", "acme", "--all", "--yes", "--wait", "--wait-timeout", "300ms"};
    Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, kNotYetEnforced);
    EXPECT_THAT(outcome.out, HasSubstr("revoked      revision 184"));
    EXPECT_THAT(outcome.err, HasSubstr("It stays revoked"));
    EXPECT_THAT(outcome.err, Not(HasSubstr("nothing answers")));
    std::vector<std::string> json = words;
    json.insert(json.begin(), {"-o", "json"});
    outcome = Run(json);
    EXPECT_EQ(outcome.code, kNotYetEnforced);
    EXPECT_EQ(nlohmann::json::parse(outcome.out)["revision"], 184);
    std::vector<std::string> quiet = words;
    quiet.insert(quiet.begin(), "-q");
    outcome = Run(quiet);
    EXPECT_EQ(outcome.code, kNotYetEnforced);
    EXPECT_THAT(outcome.err, HasSubstr("It stays revoked"));
  }
}

TEST_F(AgainstService, AConnectionLostUnderAChangeSaysThatItMayHaveBeenMade) {
  const grpc::Status reset(grpc::StatusCode::UNAVAILABLE, "Connection reset by peer");
  service_.revoke_many.Script([&](int, const auto&, auto*) { return reset; });
  Outcome outcome =
      Run({"-o", "json", "token", "revoke", "-w", "acme", "--all", "--yes", "--wait"});
  EXPECT_EQ(outcome.code, kUnavailable);
  EXPECT_THAT(outcome.err, HasSubstr("CONNECTION_LOST"));
  EXPECT_THAT(outcome.err, HasSubstr("may have been made"));
  // A question changes nothing.
  outcome = Run({"-o", "json", "token", "revoke", "-w", "acme", "--all", "--dry-run"});
  EXPECT_THAT(outcome.err, HasSubstr("CONNECTION_LOST"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("may have been made")));
  service_.get.Script([&](int, const auto&, auto*) { return Away(); });
  outcome = Run({"-o", "json", "token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme"});
  EXPECT_THAT(outcome.err, HasSubstr("CONNECTION_CLOSED"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("may have been made")));
  service_.create.Script([&](int, const auto&, auto*) { return Away(); });
  outcome = Run({"-o", "json", "token", "create", "-w", "acme", "--label", "x"});
  EXPECT_THAT(outcome.err, HasSubstr("CONNECTION_CLOSED"));
  EXPECT_THAT(outcome.err, HasSubstr("may have been made"));
  // Nobody there: nothing can have been made.
  service_.Stop();
  outcome = Run({"-o", "json", "--timeout", "2s", "token", "create", "-w", "acme", "--label", "x"});
  EXPECT_THAT(outcome.err, HasSubstr("SOCKET_MISSING"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("may have been made")));
}

TEST_F(AgainstService, AWaitOutlivesAServiceThatCancelsItAsItStops) {
  service_.wait.Script([](int nth, const auto&, auto* receipt) {
    if (nth == 0) return grpc::Status(grpc::StatusCode::CANCELLED, "CANCELLED");
    receipt->set_state(v1::ENFORCEMENT_STATE_ENFORCED);
    return grpc::Status::OK;
  });
  const Outcome outcome = Run({"token", "revoke", "-w", "acme", "--all", "--yes", "--wait"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_EQ(service_.wait.asked().size(), 2u);
}

TEST_F(AgainstService, AWaitKeepsToTheEpochOfItsFirstReceipt) {
  EnforceAt(2);
  Outcome outcome = Run({"token", "revoke", "-w", "acme", "--all", "--yes", "--wait"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  const std::vector<v1::WaitEnforcedRequest> asked = service_.wait.asked();
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(asked[0].epoch(), "");
  EXPECT_EQ(asked[1].epoch(), "epoch-1");
  EXPECT_EQ(asked[2].epoch(), "epoch-1");
}

TEST_F(AgainstService, AWaitKeepsToTheEpochThatTheChangeWasMadeIn) {
  service_.revoke_many.Script([](int, const auto& request, auto* response) {
    EXPECT_TRUE(request.has_wait_enforced());
    EXPECT_EQ(request.wait_enforced().seconds() + request.wait_enforced().nanos(), 0);
    response->set_revision(184);
    response->mutable_receipt()->set_epoch("epoch-0");
    return grpc::Status::OK;
  });
  service_.wait.Script([](int, const auto&, auto*) { return Away(); });
  const Outcome outcome =
      Run({"token", "revoke", "-w", "acme", "--all", "--yes", "--wait", "--wait-timeout", "1ms"});
  EXPECT_EQ(service_.wait.asked().at(0).epoch(), "epoch-0");
  EXPECT_THAT(outcome.err, HasSubstr("tollgate events wait 184 --epoch epoch-0\n"));
  // Without --wait nothing is asked that the answer would have to wait for.
  service_.revoke_many.Script([](int, const auto& request, auto*) {
    EXPECT_FALSE(request.has_wait_enforced());
    return grpc::Status::OK;
  });
  EXPECT_EQ(Run({"token", "revoke", "-w", "acme", "--all", "--yes"}).code, kDone);
}

TEST_F(AgainstService, TheAdviceNamesTheEpoch) {
  EnforceAt(1'000'000);
  Outcome outcome =
      Run({"token", "revoke", "-w", "acme", "--all", "--yes", "--wait", "--wait-timeout", "1ms"});
  EXPECT_EQ(outcome.code, kNotYetEnforced);
  EXPECT_THAT(outcome.err, HasSubstr("tollgate events wait 184 --epoch epoch-1\n"));
  // And the command it advises sends it.
  Run({"events", "wait", "184", "--epoch", "epoch-1", "--timeout", "1s"});
  EXPECT_EQ(service_.wait.asked().back().epoch(), "epoch-1");
}

TEST_F(AgainstService, HoldsAreWaitedForOnceItIsEnforced) {
  // Enforced at once; the holds are closed at the last question.
  const auto script = [this](int last) {
    service_.wait.Script([last](int nth, const auto& request, auto* receipt) {
      receipt->set_epoch("epoch-1");
      receipt->set_revision(request.revision());
      receipt->set_state(v1::ENFORCEMENT_STATE_ENFORCED);
      receipt->set_acknowledged(1);
      v1::EdgeHolds* row = receipt->add_edge_holds();
      row->set_edge("edge-1");
      if (nth < last) {
        row->set_told(2);
        row->add_unanswered("chat/web-7");
        receipt->set_holds_open(2);
      } else {
        row->set_closed(2);
        receipt->set_holds_closed(2);
      }
      return grpc::Status::OK;
    });
  };
  script(2);
  const std::vector<std::string> words = {"token", "revoke", "-w",          "acme",
                                          "--all", "--yes",  "--wait-holds"};
  Outcome outcome = Run(words);
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  std::vector<v1::WaitEnforcedRequest> asked = service_.wait.asked();
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_FALSE(asked[0].holds()) << "the first says when it is enforced";
  EXPECT_TRUE(asked[1].holds());
  EXPECT_TRUE(asked[2].holds());
  EXPECT_THAT(
      outcome.out,
      testing::MatchesRegex("revoked +revision 184 [^\n]*\n"
                            "enforced     everywhere: 1 acknowledged [^\n]*\n"
                            "holds        2 told and not answered .chat/web-7 at edge-1. [^\n]*\n"
                            "holds        2 closed   [^\n]*\n"));
  // Without it they are only told of.
  script(100);
  outcome = Run({"token", "revoke", "-w", "acme", "--all", "--yes", "--wait"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_FALSE(service_.wait.asked().back().holds());
  EXPECT_THAT(outcome.out,
              HasSubstr("\nholds        2 told and not answered (chat/web-7 at edge-1)\n"));
  // A time that is over is said, with the answer as it stands.
  script(100);
  std::vector<std::string> json = words;
  json.insert(json.begin(), {"-o", "json"});
  json.insert(json.end(), {"--wait-timeout", "1ms"});
  outcome = Run(json);
  EXPECT_EQ(outcome.code, kNotYetEnforced);
  EXPECT_THAT(outcome.err, HasSubstr("HOLDS_STILL_OPEN"));
  EXPECT_THAT(outcome.err, HasSubstr("tollgate events wait --holds 184 --epoch epoch-1"));
  const nlohmann::json answer = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(answer["receipt"]["holds_open"], 2);
  EXPECT_EQ(answer["receipt"]["edge_holds"][0]["unanswered"][0], "chat/web-7");
  script(1'000'000);
  // And the command that it advises.
  outcome = Run({"events", "wait", "--holds", "184", "--timeout", "1s"});
  EXPECT_TRUE(service_.wait.asked().back().holds());
  EXPECT_EQ(outcome.code, kNotYetEnforced);
  EXPECT_THAT(outcome.out,
              HasSubstr("holds        2 told and not answered (chat/web-7 at edge-1)  "));
  EXPECT_EQ(Run({"events", "wait", "184", "--timeout", "1s"}).code, kDone);
  outcome = Run({"token", "revoke", "-w", "acme", "--all", "--yes", "--wait-timeout", "300ms"});
  EXPECT_EQ(outcome.code, kBadUsage);
  EXPECT_THAT(outcome.err, HasSubstr("--wait-timeout requires --wait or --wait-holds"));
}

TEST_F(AgainstService, AnyChangeCanWaitForHolds) {
  const std::string name = "workspaces/acme/tokens/4mXp81QzR0aYc7Ld";
  service_.retire.Script([](int, const auto& request, auto* response) {
    EXPECT_TRUE(request.has_wait_enforced());
    EXPECT_EQ(request.wait_enforced().seconds() + request.wait_enforced().nanos(), 0);
    response->set_revision(184);
    response->mutable_token()->set_name(request.name());
    response->mutable_receipt()->set_epoch("epoch-1");
    return grpc::Status::OK;
  });
  bool closes = true;
  service_.wait.Script([&](int, const auto& request, auto* receipt) {
    EXPECT_EQ(request.token(), name);
    EXPECT_EQ(request.epoch(), "epoch-1");
    receipt->set_revision(request.revision());
    receipt->set_epoch(request.epoch());
    receipt->set_state(v1::ENFORCEMENT_STATE_ENFORCED);
    if (request.holds() && closes) {
      receipt->set_holds_closed(1);
    } else {
      receipt->set_holds_open(1);
      receipt->add_edge_holds()->set_in_doubt(1);
    }
    return grpc::Status::OK;
  });
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"token", "retire", "4mXp81QzR0aYc7Ld", "-w", "acme"};
    all.insert(all.end(), more.begin(), more.end());
    return Run(all);
  };
  Outcome outcome = run({"--wait-holds"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("holds        1 closed"));
  ASSERT_EQ(service_.wait.asked().size(), 2u);
  EXPECT_FALSE(service_.wait.asked()[0].holds()) << "the first says when it is enforced";
  EXPECT_TRUE(service_.wait.asked()[1].holds());
  closes = false;
  outcome = run({"--wait-holds", "--wait-timeout", "1ms"});
  EXPECT_EQ(outcome.code, kNotYetEnforced) << "one is open still";
  EXPECT_THAT(outcome.err, HasSubstr("tollgate events wait --holds 184 --epoch epoch-1"));
  outcome = run({"--wait"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_FALSE(service_.wait.asked().back().holds());
  EXPECT_THAT(outcome.out, HasSubstr("holds        1 not decided yet"));
  service_.wait.Script([](int, const auto&, auto*) { return Away(); });
  outcome = run({"--wait-holds", "--wait-timeout", "300ms"});
  EXPECT_EQ(outcome.code, kNotYetEnforced);
  EXPECT_THAT(outcome.out, HasSubstr("retired      revision 184"));
  EXPECT_THAT(outcome.err, HasSubstr("It stays retired"));
  EXPECT_THAT(outcome.err, HasSubstr("tollgate events wait --holds 184 --epoch epoch-1"));
}

TEST_F(AgainstService, AListIsSortedAndSaysWhatItLeavesOut) {
  service_.list.Script([](int, const auto& request, auto* response) {
    if (request.page_token().empty()) {
      for (const char* label : {"b", "C"}) {
        auto* token = response->add_tokens();
        token->set_token_id(absl::StrCat("id-", label));
        token->set_name(absl::StrCat("workspaces/acme/tokens/id-", label));
        token->set_label(label);
      }
      response->set_next_page_token("more");
      response->set_ended_left_out_count(3);
    } else {
      response->add_tokens()->set_label("a");
      response->set_ended_left_out_count(4);
    }
    return grpc::Status::OK;
  });
  const auto labels = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"-o", "json", "token", "list", "-w", "acme"});
    const Outcome outcome = Run(more);
    EXPECT_EQ(outcome.err, "");
    const nlohmann::json answer = nlohmann::json::parse(outcome.out);
    std::string text;
    for (const auto& token : answer["tokens"]) text += std::string(token["label"]);
    return absl::StrCat(text, answer["truncated"] ? " cut " : " ",
                        int{answer["ended_left_out_count"]});
  };
  EXPECT_EQ(labels({}), "abC 7");
  EXPECT_EQ(labels({"--reverse"}), "Cba 7");
  EXPECT_EQ(labels({"--sort", "-label"}), "Cba 7");
  EXPECT_EQ(labels({"--sort", "-label", "--reverse"}), "abC 7");
  EXPECT_EQ(labels({"--limit", "2"}), "ab cut 7");
  EXPECT_EQ(labels({"--limit", "3"}), "abC 7");
  size_t before = service_.list.asked().size();
  EXPECT_EQ(labels({"--sort", "id", "--limit", "1"}), "b cut 0");
  EXPECT_EQ(service_.list.asked().size(), before + 1) << "no more is read than is shown";
  EXPECT_EQ(service_.list.asked().back().page_size(), 2);
  EXPECT_EQ(service_.list.asked().back().filter().states_size(), 3) << "those that live";
  labels({"--all"});
  EXPECT_EQ(service_.list.asked().back().filter().states_size(), 5);
  labels({"--state", "revoked"});
  EXPECT_EQ(service_.list.asked().back().filter().states_size(), 1);
  EXPECT_EQ(Run({"token", "list", "-w", "acme", "--all", "--state", "active"}).code, kBadUsage);
  EXPECT_EQ(Run({"token", "list", "-w", "acme", "--sort", "size"}).code, kBadUsage);
  labels({"--owner", "x"});
  setenv("TOLLGATE_WORKSPACE", "acme", 1);
  EXPECT_EQ(Run({"token", "list", "-A"}).code, kDone) << "the usual one gives way";
  EXPECT_EQ(service_.list.asked().back().parent(), "workspaces/-");
  unsetenv("TOLLGATE_WORKSPACE");
  EXPECT_EQ(Run({"token", "list", "-A", "-w", "acme"}).code, kBadUsage);
  // People are told beside the answer, not in it.
  const Outcome outcome = Run({"token", "list", "-w", "acme", "--limit", "1"});
  EXPECT_THAT(outcome.err, HasSubstr("and more"));
  EXPECT_THAT(outcome.err, HasSubstr("7 have ended"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("ended")));
}

TEST_F(AgainstService, AFormThatACommandHasNotIsRefusedWhereItWasAskedFor) {
  EXPECT_EQ(Run({"-o", "csv", "token", "list", "-w", "acme"}).code, kDone);
  const Outcome outcome = Run({"token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme", "-o", "csv"});
  EXPECT_EQ(outcome.code, kBadUsage);
  EXPECT_THAT(outcome.err, HasSubstr("does not come as 'csv'"));
  EXPECT_THAT(service_.get.asked(), IsEmpty());
  setenv("TOLLGATE_OUTPUT", "wide", 1);
  EXPECT_EQ(Run({"token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme"}).code, kDone)
      << "its table takes its place";
  unsetenv("TOLLGATE_OUTPUT");
}

TEST_F(AgainstService, SeveralAreLookedAtBeforeAnyIsChanged) {
  service_.get.Script([](int, const auto& request, auto* token) {
    if (request.name() == "workspaces/acme/tokens/tttttttttttttttt") {
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "there is no such token");
    }
    token->set_name(request.name());
    token->set_label("of " + request.name().substr(request.name().rfind('/') + 1));
    return grpc::Status::OK;
  });
  service_.revoke.Script([](int nth, const auto& request, auto* response) {
    if (request.name() == "workspaces/acme/tokens/bbbbbbbbbbbbbbbb") {
      return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "not this one");
    }
    response->mutable_token()->set_name(request.name());
    response->set_revision(184 + nth);
    return grpc::Status::OK;
  });
  EXPECT_EQ(
      Run({"token", "revoke", "aaaaaaaaaaaaaaaa", "tttttttttttttttt", "-w", "acme", "--yes"}).code,
      kNotFound);
  Outcome outcome = Run({"token", "revoke", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "-w", "acme"});
  EXPECT_EQ(outcome.code, kBadUsage) << "nobody is there to be asked";
  EXPECT_THAT(outcome.err, HasSubstr("of b"));
  EXPECT_EQ(
      Run({"token", "revoke", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "-w", "acme"}, "n\n", true)
          .code,
      kAborted);
  EXPECT_EQ(Run({"token", "revoke", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "-w", "acme",
                 "--expect", "3", "--yes"})
                .code,
            kRefused);
  EXPECT_EQ(
      Run({"token", "revoke", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "-w", "acme", "--dry-run"})
          .code,
      kDone);
  EXPECT_THAT(service_.revoke.asked(), IsEmpty());
  // One that is refused does not keep the others from being done, and is told.
  outcome =
      Run({"-o", "json", "token", "revoke", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb",
           "cccccccccccccccc", "aaaaaaaaaaaaaaaa", "-w", "acme", "--yes", "--request-id", "r"});
  EXPECT_EQ(outcome.code, kRefused);
  EXPECT_THAT(outcome.err, HasSubstr("That was about workspaces/acme/tokens/bbbbbbbbbbbbbbbb"));
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["results"].size(), 2u);
  ASSERT_EQ(service_.revoke.asked().size(), 3u) << "one that is named twice is one";
  EXPECT_EQ(service_.revoke.asked()[0].request_id(), "r:aaaaaaaaaaaaaaaa");
  EXPECT_EQ(service_.revoke.asked()[2].request_id(), "r:cccccccccccccccc");
  // A question is answered at a terminal.
  EXPECT_EQ(
      Run({"token", "revoke", "aaaaaaaaaaaaaaaa", "cccccccccccccccc", "-w", "acme"}, "y\n", true)
          .code,
      kDone);
  EXPECT_EQ(service_.revoke.asked().size(), 5u);
  EXPECT_EQ(
      Run({"token", "revoke", "aaaaaaaaaaaaaaaa", "--label", "x", "-w", "acme", "--yes"}).code,
      kBadUsage);
}

// A token that had ended answers with the revision of its end, however long ago.
TEST_F(AgainstService, OfSeveralTheNewestRevisionIsWaitedFor) {
  service_.get.Script([](int, const auto& request, auto* token) {
    token->set_name(request.name());
    return grpc::Status::OK;
  });
  service_.revoke.Script([](int, const auto& request, auto* response) {
    const bool had_ended = request.name() == "workspaces/acme/tokens/bbbbbbbbbbbbbbbb";
    response->mutable_token()->set_name(request.name());
    response->set_revision(had_ended ? 120 : 500);
    response->set_unchanged(had_ended);
    return grpc::Status::OK;
  });
  EnforceAt(0);
  const Outcome outcome = Run(
      {"token", "revoke", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "-w", "acme", "--yes", "--wait"});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  ASSERT_GE(service_.wait.asked().size(), 1u);
  for (const auto& asked : service_.wait.asked()) EXPECT_EQ(asked.revision(), 500);
}

TEST_F(AgainstService, AChangeThatFailedIsWorseNewsThanAWaitThatDid) {
  service_.get.Script([](int, const auto& request, auto* token) {
    token->set_name(request.name());
    return grpc::Status::OK;
  });
  service_.revoke.Script([](int, const auto& request, auto* response) {
    if (request.name() == "workspaces/acme/tokens/aaaaaaaaaaaaaaaa") {
      return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "not this one");
    }
    response->set_revision(184);
    return grpc::Status::OK;
  });
  EnforceAt(1'000'000);
  const Outcome outcome = Run({"token", "revoke", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "-w",
                               "acme", "--yes", "--wait", "--wait-timeout", "300ms"});
  EXPECT_EQ(outcome.code, kRefused) << "not 'done, but not enforced'";
}

TEST_F(AgainstService, WhatConcernsAllIsToldOnce) {
  service_.get.Script([](int, const auto& request, auto* token) {
    token->set_name(request.name());
    return grpc::Status::OK;
  });
  service_.suspend.Script([](int, const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the disk");
  });
  const Outcome outcome = Run({"token", "suspend", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb",
                               "cccccccccccccccc", "-w", "acme", "--yes"});
  EXPECT_EQ(outcome.code, kUnavailable);
  EXPECT_THAT(outcome.err, HasSubstr("2 of 3 were not tried"));
  EXPECT_EQ(service_.suspend.asked().size(), 1u);
}

TEST_F(AgainstService, WhatARetryWouldNotFindAgainTakesNoRequestId) {
  for (const std::vector<std::string>& which :
       std::vector<std::vector<std::string>>{{"--label", "x"}, {"--where-owner", "ada"}}) {
    std::vector<std::string> words = {"token", "revoke",       "-w", "acme",
                                      "--yes", "--request-id", "r"};
    words.insert(words.end(), which.begin(), which.end());
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, kBadUsage) << which[0];
    EXPECT_THAT(outcome.err, HasSubstr("--request-id goes with ids"));
  }
  const Outcome twice = Run({"token", "suspend", "-w", "acme", "--yes", "--where-annotation",
                             "team=a", "--where-annotation", "team=b"});
  EXPECT_EQ(twice.code, kBadUsage);
  EXPECT_THAT(twice.err, HasSubstr("'team' is given twice"));
}

TEST_F(AgainstService, ALabelIsOneTokenOrItsCandidates) {
  service_.list.Script([](int, const auto& request, auto* response) {
    EXPECT_EQ(request.filter().states_size(), 3) << "only those that live";
    for (const char* id : {"1", "2", "3"}) {
      auto* token = response->add_tokens();
      token->set_token_id(id);
      token->set_name(absl::StrCat("workspaces/acme/tokens/", id));
      token->set_label(std::string(id) == "3" ? "caf\u00e9" : "twice");
    }
    return grpc::Status::OK;
  });
  service_.suspend.Script([](int, const auto&, auto*) { return grpc::Status::OK; });
  Outcome outcome = Run({"token", "suspend", "--label", "twice", "-w", "acme"});
  EXPECT_EQ(outcome.code, kRefused);
  EXPECT_THAT(outcome.err, HasSubstr("LABEL_AMBIGUOUS"));
  EXPECT_THAT(outcome.err, HasSubstr("\n  1  twice"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\n  3  ")));
  outcome = Run({"token", "suspend", "--label", "twic", "-w", "acme"});
  EXPECT_EQ(outcome.code, kNotFound);
  EXPECT_THAT(outcome.err, HasSubstr("LABEL_NOT_FOUND"));
  EXPECT_THAT(service_.suspend.asked(), IsEmpty());
  EXPECT_EQ(Run({"token", "suspend", "--label", "cafe\u0301", "-w", "acme"}).code, kDone);
  ASSERT_EQ(service_.suspend.asked().size(), 1u);
  EXPECT_EQ(service_.suspend.asked()[0].name(), "workspaces/acme/tokens/3");
}

TEST_F(AgainstService, ARestoreUnderAWaitIsNoEnforcement) {
  service_.wait.Script([](int nth, const auto&, auto* receipt) {
    if (nth > 0) {
      return net::ToGrpcStatus(base::Refuse(absl::StatusCode::kFailedPrecondition, "OTHER_EPOCH",
                                            "the revision is of another epoch"));
    }
    receipt->set_epoch("epoch-1");
    receipt->set_state(v1::ENFORCEMENT_STATE_PENDING);
    return grpc::Status::OK;
  });
  const Outcome outcome = Run({"token", "revoke", "-w", "acme", "--all", "--yes", "--wait"});
  EXPECT_EQ(outcome.code, kNotYetEnforced);
  EXPECT_THAT(outcome.err, HasSubstr("look whether it still is"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("It stays revoked")));
}

TEST_F(AgainstService, AWithheldSecretIsARefusalInEveryForm) {
  const auto withhold = [](int, const auto&, auto* response) {
    response->mutable_token()->set_name("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
    response->set_secret_withheld(true);
    return grpc::Status::OK;
  };
  service_.create.Script(withhold);
  service_.rotate.Script(withhold);
  for (const std::vector<std::string>& form :
       std::vector<std::vector<std::string>>{{}, {"-q"}, {"-o", "json"}}) {
    for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{
             {"token", "create", "-w", "acme", "--label", "x", "--request-id", "r-1"},
             {"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme", "--request-id", "r-1"}}) {
      std::vector<std::string> words = form;
      words.insert(words.end(), verb.begin(), verb.end());
      const Outcome outcome = Run(words);
      EXPECT_EQ(outcome.code, kRefused) << testing::PrintToString(words);
      EXPECT_EQ(outcome.out, "") << "nothing that could be kept as a secret";
      EXPECT_THAT(outcome.err, HasSubstr("SECRET_WITHHELD"));
      EXPECT_THAT(outcome.err, HasSubstr("workspaces/acme/tokens/4mXp81QzR0aYc7Ld"));
    }
  }
}

TEST_F(AgainstService, AnAnswerWithoutJsonIsAnError) {
  service_.get.Script([](int, const auto&, auto* token) {
    token->set_name("workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
    token->mutable_expire_time()->set_seconds(253402300800);  // the year 10000
    return grpc::Status::OK;
  });
  const Outcome outcome = Run({"-o", "json", "token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme"});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("ANSWER_NOT_JSON"));
  EXPECT_EQ(Run({"token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme"}).code, kDone);
}

TEST_F(AgainstService, AttemptsAreATableOrOneSentenceThatThereAreNone) {
  service_.attempts.Script([](int nth, const auto& request, auto* response) {
    EXPECT_EQ(request.name(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
    response->mutable_token()->set_label("CI deploy key");
    response->mutable_token()->set_state(v1::TOKEN_STATE_REVOKED);
    response->mutable_token()->mutable_revoke_time()->set_seconds(
        absl::ToUnixSeconds(absl::Now() - absl::Hours(3) - absl::Minutes(1)));
    if (nth == 0) return grpc::Status::OK;
    for (const auto reason : {v1::VERDICT_REASON_REVOKED, v1::VERDICT_REASON_INSUFFICIENT_SCOPE}) {
      auto* row = response->add_attempts();
      row->set_edge("payments/edge-3");
      row->set_reason(reason);
      row->set_count(312);
      if (reason == v1::VERDICT_REASON_REVOKED) {
        auto* from = row->add_addresses();
        from->set_address("2001:db8::1");
        from->set_count(7);
        from->mutable_last_time()->set_seconds(
            absl::ToUnixSeconds(absl::Now() - absl::Minutes(6) - absl::Seconds(10)));
      }
      row->mutable_first_time()->set_seconds(
          absl::ToUnixSeconds(absl::Now() - absl::Hours(2) - absl::Minutes(1)));
      row->mutable_last_time()->set_seconds(
          absl::ToUnixSeconds(absl::Now() - absl::Minutes(5) - absl::Seconds(10)));
    }
    return grpc::Status::OK;
  });
  const std::vector<std::string> words = {"token", "attempts", "4mXp81QzR0aYc7Ld", "-w", "acme"};
  Outcome outcome = Run(words);
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_EQ(outcome.out,
            "No edge has reported a refused attempt on \"CI deploy key\", revoked 3 h ago.\n");
  outcome = Run(words);
  EXPECT_THAT(outcome.out, HasSubstr("\"CI deploy key\", revoked 3 h ago\n"));
  EXPECT_THAT(outcome.out, testing::ContainsRegex("EDGE +REFUSED AS +TIMES +FIRST +LAST"));
  EXPECT_THAT(outcome.out,
              testing::ContainsRegex("payments/edge-3 +revoked +312 +2 h ago +5 min ago"));
  EXPECT_THAT(outcome.out, testing::ContainsRegex("payments/edge-3 +insufficient scope +312"));
  EXPECT_THAT(outcome.out, testing::ContainsRegex("\n  from 2001:db8::1 +7 +6 min ago"));
  std::vector<std::string> quiet = words;
  quiet.insert(quiet.begin(), "-q");
  EXPECT_EQ(Run(quiet).out, "payments/edge-3\n");
  std::vector<std::string> json = words;
  json.insert(json.begin(), {"-o", "json"});
  const nlohmann::json answer = nlohmann::json::parse(Run(json).out);
  EXPECT_EQ(answer["attempts"][0]["reason"], "revoked");
  EXPECT_EQ(answer["attempts"][0]["count"], 312);
  EXPECT_EQ(answer["attempts"][0]["addresses"][0]["address"], "2001:db8::1");
}

TEST_F(AgainstService, AListOfWhatIsStillTriedSaysWhen) {
  std::atomic<int64_t> within{0};
  service_.list.Script([&within](int, const auto& request, auto* response) {
    EXPECT_TRUE(request.filter().still_tried());
    EXPECT_EQ(request.filter().tried_within().seconds(), within);
    auto* token = response->add_tokens();
    token->set_token_id("4mXp81QzR0aYc7Ld");
    token->set_state(v1::TOKEN_STATE_REVOKED);
    token->mutable_last_tried_time()->set_seconds(
        absl::ToUnixSeconds(absl::Now() - absl::Minutes(5) - absl::Seconds(10)));
    return grpc::Status::OK;
  });
  for (const std::vector<std::string>& flags :
       std::vector<std::vector<std::string>>{{"--still-tried"},
                                             {"--tried-within", "7d"},
                                             {"--still-tried", "--tried-within", "7d"}}) {
    within = flags.back() == "7d" ? 7 * 86400 : 0;
    std::vector<std::string> words = {"token", "list", "-w", "acme"};
    words.insert(words.end(), flags.begin(), flags.end());
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, kDone) << outcome.err;
    EXPECT_THAT(outcome.out, testing::ContainsRegex("EXPIRES +LAST TRIED"));
    EXPECT_THAT(outcome.out, testing::ContainsRegex("4mXp81QzR0aYc7Ld .*5 min ago"));
  }
  EXPECT_EQ(Run({"token", "list", "-w", "acme", "--tried-within", "soon"}).code, kBadUsage);
}

TEST_F(AgainstService, AWaitTellsWhoStillTriesWhereThereIsSomethingToTell) {
  EnforceAt(0);
  service_.revoke.Script([](int, const auto&, auto* response) {
    response->set_revision(184);
    return grpc::Status::OK;
  });
  const std::vector<std::string> words = {"token", "revoke", "4mXp81QzR0aYc7Ld", "-w", "acme",
                                          "--yes", "--wait"};
  // An older service does not know the question: that is no failure of the revocation.
  Outcome outcome = Run(words);
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("tried")));
  service_.attempts.Script([](int, const auto&, auto* response) {
    auto* row = response->add_attempts();
    row->set_edge("payments/edge-3");
    row->set_reason(v1::VERDICT_REASON_REVOKED);
    row->set_count(3);
    row->mutable_last_time()->set_seconds(
        absl::ToUnixSeconds(absl::Now() - absl::Minutes(5) - absl::Seconds(10)));
    return grpc::Status::OK;
  });
  outcome = Run(words);
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_THAT(outcome.out,
              HasSubstr("still tried  3 times since, last 5 min ago at payments/edge-3\n"));
  std::vector<std::string> json = words;
  json.insert(json.begin(), {"-o", "json"});
  EXPECT_EQ(nlohmann::json::parse(Run(json).out)["revision"], 184);
}

// Everything that a hostile service can say, in every field that is shown.
TEST_F(AgainstService, NoAnswerDrivesTheTerminal) {
  const std::string bad = std::string("x") + kEscape + "\xC2\x9B" + "3J";
  service_.get.Script([&](int nth, const auto&, auto* token) {
    // A message, unlike a field, need not even be UTF-8.
    if (nth == 0) return grpc::Status(grpc::StatusCode::NOT_FOUND, bad + "\xE2\x1B[3J");
    for (auto* field : {token->mutable_name(), token->mutable_token_id(), token->mutable_label(),
                        token->mutable_owner(), token->mutable_replaces()}) {
      *field = bad;
    }
    return grpc::Status::OK;
  });
  service_.list.Script([&](int, const auto&, auto* response) {
    response->add_tokens()->set_token_id(bad);
    return grpc::Status::OK;
  });
  service_.create.Script([&](int, const auto&, auto* response) {
    response->mutable_token()->set_name(bad);
    response->set_token_string(bad);
    return grpc::Status::OK;
  });
  service_.rotate.Script([&](int, const auto&, auto* response) {
    response->mutable_replaced()->set_token_id(bad);
    return grpc::Status::OK;
  });
  service_.revoke.Script([&](int, const auto&, auto* response) {
    response->set_revision(184);
    return grpc::Status::OK;
  });
  service_.wait.Script([&](int, const auto&, auto* receipt) {
    receipt->set_epoch(bad);
    receipt->set_hold(bad);
    receipt->add_not_covered(bad);
    return grpc::Status::OK;
  });
  service_.attempts.Script([&](int, const auto&, auto* response) {
    response->mutable_token()->set_label(bad);
    response->add_attempts()->set_edge(bad);
    return grpc::Status::OK;
  });
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"token", "attempts", "4mXp81QzR0aYc7Ld", "-w", "acme"},
           {"-q", "token", "attempts", "4mXp81QzR0aYc7Ld", "-w", "acme"},
           {"token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme"},
           {"token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme"},
           {"-q", "token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme"},
           {"-o", "json", "token", "get", "4mXp81QzR0aYc7Ld", "-w", "acme"},
           {"token", "list", "-w", "acme"},
           {"-q", "token", "list", "-w", "acme"},
           {"token", "create", "-w", "acme", "--label", "x"},
           {"-q", "token", "create", "-w", "acme", "--label", "x"},
           {"token", "rotate", "4mXp81QzR0aYc7Ld", "-w", "acme"},
           {"token", "revoke", "4mXp81QzR0aYc7Ld", "-w", "acme", "--yes", "--wait",
            "--wait-timeout", "1ms"},
           {"events", "wait", "184", "--timeout", "1s"},
       }) {
    const Outcome outcome = Run(words);
    const std::string said = outcome.out + outcome.err;
    EXPECT_THAT(said, HasSubstr("2J")) << "the answer came: " << testing::PrintToString(words);
    EXPECT_THAT(said, Not(HasSubstr("\x1b"))) << testing::PrintToString(words);
    EXPECT_THAT(said, Not(HasSubstr("\xC2\x9B"))) << testing::PrintToString(words);
  }
}

// What was asked of which workspace, by the file, the environment and a flag.
TEST_F(AgainstService, TheWorkspaceComesFromFlagEnvironmentAndFileInThisOrder) {
  service_.list.Script([](int, const auto&, auto*) { return grpc::Status::OK; });
  const std::string path = service_.address().substr(5) + ".toml";
  const auto asked_with = [&](const std::string& file, std::vector<std::string> words) {
    std::ofstream(path) << file;
    words.insert(words.begin(), {"--service", service_.address(), "--config", path});
    const size_t before = service_.list.asked().size();
    const Outcome outcome = Tollgate(words);
    EXPECT_EQ(outcome.code, kDone) << file << outcome.err;
    return service_.list.asked().size() > before ? service_.list.asked().back().parent() : "none";
  };
  const std::vector<std::string> list = {"token", "list"};
  const std::string general = "workspace = \"general\"\n";
  const std::string own = "[token.list]\nworkspace = \"own\"\n";
  EXPECT_EQ(asked_with(general, list), "workspaces/general");
  EXPECT_EQ(asked_with(own, list), "workspaces/own");
  EXPECT_EQ(asked_with(general + own, list), "workspaces/own");
  EXPECT_EQ(asked_with(general, {"token", "list", "-w", "flag"}), "workspaces/flag");
  setenv("TOLLGATE_WORKSPACE", "environment", 1);
  EXPECT_EQ(asked_with(general, list), "workspaces/environment");
  EXPECT_EQ(asked_with(own, list), "workspaces/environment");
  EXPECT_EQ(asked_with(own, {"token", "list", "-w", "flag"}), "workspaces/flag");
  unsetenv("TOLLGATE_WORKSPACE");
  // Commands that know no workspace are not stopped by it.
  EXPECT_EQ(asked_with(general, {"version"}), "none");
}

TEST_F(AgainstService, AFullNameIsAWorkspaceForEveryVerb) {
  service_.get.Script([](int, const auto&, auto*) { return grpc::Status::OK; });
  EXPECT_EQ(Run({"token", "get", "4mXp81QzR0aYc7Ld", "-w", "workspaces/acme"}).code, kDone);
  EXPECT_EQ(service_.get.asked().at(0).name(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
}

}  // namespace
}  // namespace tollgate::cli
