// `tollgate scan`, with a service that is scripted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/secret.h"
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

class ScanTest : public testing::Test {
 protected:
  ScanTest() {
    base::InitSecrets();
    std::string pattern = (std::filesystem::temp_directory_path() / "tgscan.XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~ScanTest() override { std::filesystem::remove_all(folder_); }

  // A fresh token string; no output may hold any part of its secret.
  std::string Mint(const std::string& brand = "tg") {
    const auto minted = token::TokenFormat::ForBrand(brand)->Mint(token::TokenKind::kWorkspace,
                                                                  base::SystemRandom());
    minted_.emplace_back(minted.token_string.RevealSecret());
    return minted_.back();
  }
  static std::string IdOf(const std::string& token) {
    return token.substr(token.find('_') + 1, token::kPublicIdLength);
  }
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(folder_, "/", name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  Outcome Scan(std::vector<std::string> flags, const std::string& input = "",
               bool terminal = false) {
    flags.insert(flags.begin(), {"--service", service_.address(), "--config", "/dev/null", "scan"});
    Outcome outcome = Tollgate(std::move(flags), input, terminal);
    for (const std::string& token : minted_) {
      for (size_t at = token.find('_') + 17; at + 6 <= token.size(); ++at) {
        EXPECT_THAT(outcome.out, Not(HasSubstr(token.substr(at, 6))));
        EXPECT_THAT(outcome.err, Not(HasSubstr(token.substr(at, 6))));
      }
    }
    return outcome;
  }

  ScriptedService service_;
  std::string folder_;
  std::vector<std::string> minted_;
};

TEST_F(ScanTest, NothingFoundIsZero) {
  Write("a.txt", "nothing_here tgw_\n");
  const Outcome outcome = Scan({folder_});
  EXPECT_EQ(outcome.code, kDone) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("nothing found; 1 file, "));
}

TEST_F(ScanTest, TellsPlaceKindAndId) {
  const std::string token = Mint();
  const std::string path = Write("deep/er/ci.env", absl::StrCat("A=1\nTOKEN=", token, "\n"));
  const std::string other = Write("z.bin", std::string(300000, '\0') + token);
  const Outcome outcome = Scan({folder_});
  EXPECT_EQ(outcome.code, kDenied);
  EXPECT_EQ(outcome.out, absl::StrCat(path, ":2:7   workspace token ", IdOf(token), "\n", other,
                                      ":1:300001   workspace token ", IdOf(token), "\n"));
  EXPECT_THAT(outcome.err, HasSubstr("found 1 token in 2 places; 2 files, "));
  EXPECT_EQ(Scan({"-q", folder_}).out, IdOf(token) + "\n") << "each id once";
  EXPECT_EQ(Scan({"-q", folder_}).err, "");
}

// What is read at once has 256 KiB.
TEST_F(ScanTest, AcrossTheEndOfABuffer) {
  const std::string token = Mint();
  for (const size_t before : {size_t{1}, size_t{30}, token.size() - 1}) {
    const std::string path = Write("big", std::string((256 << 10) - before, '.') + token + "....");
    EXPECT_EQ(Scan({"-q", path}).out, IdOf(token) + "\n") << before;
  }
}

TEST_F(ScanTest, JsonHasOneShape) {
  const std::string token = Mint("acme");
  Write("f", token);
  for (const std::string& path : {folder_, std::string("/nowhere/at/all")}) {
    const auto answer =
        nlohmann::json::parse(Scan({"-o", "json", "--brand", "tg", "--brand", "acme", path}).out);
    for (const char* member : {"findings", "token_count", "files", "bytes", "unreadable",
                               "unreadable_count", "truncated"}) {
      EXPECT_TRUE(answer.contains(member)) << member;
    }
  }
  const auto found = nlohmann::json::parse(
      Scan({"-o", "json", "--brand", "tg", "--brand", "acme", folder_}).out)["findings"][0];
  EXPECT_EQ(found, nlohmann::json({{"path", folder_ + "/f"},
                                   {"line", 1},
                                   {"column", 1},
                                   {"offset", 0},
                                   {"kind", "workspace"},
                                   {"brand", "acme"},
                                   {"token_id", IdOf(token)},
                                   {"outcome", ""},
                                   {"token", ""}}));
  EXPECT_EQ(Scan({folder_}).code, kDone) << "of another brand";
  EXPECT_EQ(Scan({folder_, "--brand", "T"}).code, kBadUsage);
}

TEST_F(ScanTest, EndsAtSoManyPlaces) {
  const std::string token = Mint();
  std::string text;
  for (int i = 0; i < 100'001; ++i) text += token + "\n";
  const std::string path = Write("many", text);
  const Outcome outcome = Scan({path});
  EXPECT_EQ(outcome.code, kFailed) << "else what was not looked at would read as found";
  EXPECT_THAT(outcome.err, HasSubstr("found 1 token in 100,000 places"));
  EXPECT_THAT(outcome.err, HasSubstr("The scan ended there"));
  EXPECT_TRUE(nlohmann::json::parse(Scan({"-o", "json", path}).out)["truncated"]);
}

TEST_F(ScanTest, StandardInputIsAFile) {
  const std::string token = Mint();
  const Outcome outcome = Scan({"-"}, absl::StrCat("\n x", token));
  EXPECT_EQ(outcome.code, kDenied);
  EXPECT_EQ(outcome.out, absl::StrCat("-:2:3   workspace token ", IdOf(token), "\n"));
}

TEST_F(ScanTest, LinksAreFollowedOnlyWhereTheyAreNamed) {
  const std::string token = Mint();
  Write("outside/secret", token);
  Write("inside/plain", "x");
  ASSERT_EQ(symlink((folder_ + "/outside").c_str(), (folder_ + "/inside/out").c_str()), 0);
  ASSERT_EQ(symlink((folder_ + "/outside/secret").c_str(), (folder_ + "/inside/file").c_str()), 0);
  ASSERT_EQ(symlink("gone", (folder_ + "/inside/dangling").c_str()), 0);
  ASSERT_EQ(mkfifo((folder_ + "/inside/pipe").c_str(), 0600), 0);
  EXPECT_EQ(Scan({folder_ + "/inside"}).code, kDone);
  EXPECT_EQ(Scan({folder_ + "/inside/out"}).code, kDenied);
  EXPECT_EQ(Scan({folder_ + "/inside/file"}).code, kDenied);
  EXPECT_EQ(Scan({folder_ + "/inside/dangling"}).code, kFailed);
}

TEST_F(ScanTest, WhatCannotBeReadIsAFailureUnlessIgnored) {
  const std::string token = Mint();
  const std::string path = Write("f", token);
  const std::string gone = folder_ + "/gone";
  const Outcome outcome = Scan({gone, path});
  EXPECT_EQ(outcome.code, kFailed);
  EXPECT_THAT(outcome.out, HasSubstr(IdOf(token))) << "the others are looked at";
  EXPECT_THAT(outcome.err, HasSubstr("unreadable: " + gone + ": No such file or directory\n"));
  EXPECT_THAT(outcome.err, HasSubstr("; 1 unreadable\n"));
  EXPECT_EQ(Scan({gone, path, "--ignore-unreadable"}).code, kDenied);
  EXPECT_EQ(Scan({gone, "--ignore-unreadable"}).code, kDone);
  const auto answer = nlohmann::json::parse(Scan({"-o", "json", gone}).out);
  EXPECT_EQ(answer["unreadable"][0]["path"], gone);
  EXPECT_EQ(answer["unreadable_count"], 1);
}

// The name of a file may be the leak.
TEST_F(ScanTest, APathTellsNoSecret) {
  const std::string token = Mint();
  Write(token + ".txt", token);
  const Outcome outcome = Scan({folder_});
  EXPECT_THAT(outcome.out, HasSubstr("/(a token string).txt:1:1"));
  Scan({"-o", "json", folder_});
}

// A line end in a path makes no line of its own.
TEST_F(ScanTest, APathIsOneLine) {
  Write("a\nb", Mint());
  EXPECT_THAT(Scan({folder_}).out, HasSubstr("/a?b:1:1   workspace token "));
}

TEST_F(ScanTest, RevokesByTheDigestAndTellsWhatBecameOfEach) {
  const std::string live = Mint(), ended = Mint(), strange = Mint();
  const std::string path =
      Write("leaks", absl::StrCat(live, "\n", ended, "\n", strange, "\n", live, "\n"));
  service_.revoke_leaked.Script([&](int, const auto& request, auto* response) {
    if (request.edge_digest() == token::EdgeDigest::Of(strange).bytes()) {
      return net::ToGrpcStatus(base::Refuse(absl::StatusCode::kNotFound, "TOKEN_UNKNOWN", "none"));
    }
    const bool is_live = request.edge_digest() == token::EdgeDigest::Of(live).bytes();
    response->mutable_token()->set_name(is_live ? "workspaces/acme/tokens/live"
                                                : "workspaces/acme/tokens/ended");
    response->mutable_token()->set_label("CI");
    response->set_revision(is_live ? 9 : 4);
    response->set_unchanged(!is_live);
    return grpc::Status::OK;
  });
  const Outcome outcome = Scan({folder_, "--revoke", "--yes"});
  EXPECT_EQ(outcome.code, kDenied) << outcome.err;
  const std::string live_line =
      absl::StrCat(" token ", IdOf(live), "   revoked   workspaces/acme/tokens/live   CI\n");
  EXPECT_EQ(outcome.out,
            absl::StrCat(path, ":1:1   workspace", live_line, path, ":2:1   workspace token ",
                         IdOf(ended), "   had ended   workspaces/acme/tokens/ended   CI\n", path,
                         ":3:1   workspace token ", IdOf(strange), "   unknown to the service\n",
                         path, ":4:1   workspace", live_line));
  const auto asked = service_.revoke_leaked.asked();
  ASSERT_EQ(asked.size(), 3u) << "each token once";
  EXPECT_EQ(asked[0].reason(), absl::StrCat("found by tollgate scan in ", path, ":1"));
  EXPECT_EQ(asked[0].token_string(), "") << "only the digest leaves the process";

  const auto json = nlohmann::json::parse(
      Scan({"-o", "json", folder_, "--revoke", "-y", "--reason", "a drill"}).out);
  EXPECT_EQ(json["findings"][1]["outcome"], "had-ended");
  EXPECT_EQ(json["findings"][2]["outcome"], "unknown");
  EXPECT_EQ(json["findings"][3]["token"], "workspaces/acme/tokens/live");
  EXPECT_EQ(service_.revoke_leaked.asked().back().reason(), "a drill");
}

TEST_F(ScanTest, AsksBeforeItRevokes) {
  const std::string token = Mint();
  Write("f", token);
  const Outcome no = Scan({folder_, "--revoke"}, "n\n", true);
  EXPECT_EQ(no.code, kAborted);
  EXPECT_THAT(no.err, HasSubstr("Revoke 1 token in 1 place?"));
  EXPECT_THAT(no.out, HasSubstr(IdOf(token))) << "what is found is told first";
  EXPECT_EQ(Scan({folder_, "--revoke"}).code, kBadUsage) << "there is nobody to ask";
  EXPECT_EQ(Scan({"-", "--revoke"}, token, true).code, kBadUsage);
  EXPECT_EQ(Scan({folder_, "--reason", "x"}).code, kBadUsage);
  EXPECT_THAT(service_.revoke_leaked.asked(), IsEmpty());
}

TEST_F(ScanTest, AServiceThatDoesNotAnswerIsAskedOnce) {
  Write("f", absl::StrCat(Mint(), " ", Mint()));
  service_.Stop();
  const Outcome outcome = Scan({folder_, "--revoke", "--yes"});
  EXPECT_EQ(outcome.code, kUnavailable);
  EXPECT_THAT(outcome.out, HasSubstr("   failed\n"));
  EXPECT_THAT(outcome.out, HasSubstr("   not tried\n"));
}

TEST_F(ScanTest, CtrlCEndsItBetweenTwoTokens) {
  Write("f", absl::StrCat(Mint(), " ", Mint()));
  service_.revoke_leaked.Script([](int, const auto&, auto*) {
    std::raise(SIGINT);
    return grpc::Status::OK;
  });
  const Outcome outcome = Scan({folder_, "--revoke", "--yes", "--wait"});
  EXPECT_EQ(outcome.code, kFailed) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("   revoked"));
  EXPECT_THAT(outcome.out, HasSubstr("   not tried\n"));
  EXPECT_THAT(outcome.err, HasSubstr("NOT_ALL_TRIED"));
  EXPECT_EQ(service_.revoke_leaked.asked().size(), 1u);
}

TEST_F(ScanTest, ALongPathIsCutToAReason) {
  const std::string part(120, 'p');
  Write(absl::StrCat(part, "/", part, "/", part, "/", part, "/", part, "/end"), Mint());
  service_.revoke_leaked.Script([](int, const auto&, auto*) { return grpc::Status::OK; });
  Scan({folder_, "--revoke", "--yes"});
  const std::string reason = service_.revoke_leaked.asked().at(0).reason();
  EXPECT_EQ(reason.size(), 512u);
  EXPECT_THAT(reason, testing::StartsWith("found by tollgate scan in ...ppp"));
  EXPECT_THAT(reason, testing::EndsWith("/end:1"));
}

// At a terminal the line that tells how far it is goes away before anything else is written.
TEST_F(ScanTest, ProgressIsShownAtATerminalOnly) {
  const std::string token = Mint();
  Write("f", token);
  std::istringstream in;
  std::ostringstream out, err;
  Terminal terminal{&in, &out, &err, false, false, &base::SystemClock()};
  terminal.err_is_terminal = true;
  terminal.err_columns = 40;
  EXPECT_EQ(RunCommand({"--config", "/dev/null", "scan", folder_}, terminal), kDenied);
  EXPECT_THAT(err.str(), HasSubstr("scanning     1 file, 69 B, 1 found"));
  EXPECT_THAT(err.str(), HasSubstr("\x1b[1A\r\x1b[Jfound 1 token"));
  EXPECT_THAT(out.str(), Not(HasSubstr("scanning")));
  EXPECT_THAT(Scan({folder_}).err, Not(HasSubstr("scanning")));
}

}  // namespace
}  // namespace tollgate::cli
