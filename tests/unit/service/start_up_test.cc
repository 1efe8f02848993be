// The real program: its start-up errors with their exit codes, its drain, and what it must not say.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "base/version.h"
#include "nlohmann/json.hpp"
#include "storage/engines.h"
#include "storage/schema.h"
#include "tests/unit/service/program.h"
#include "tests/unit/service/service_fixture.h"

namespace tollgate::service {
namespace {

using namespace tollgate::v1;  // NOLINT: the whole API
using testing::HasSubstr;
using testing::Not;

class StartUpTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { base::InitSecrets(); }

  std::unique_ptr<Program> Run(std::vector<std::string> more, const std::string& name = "one",
                               std::vector<std::string> environment = {}) {
    std::vector<std::string> args = {"--store", dir_ / "store", "--admin",
                                     "local",   "--ready-file", dir_ / (name + ".ready")};
    for (const char* flag : {"--listen", "--metrics-listen"}) {
      if (more.empty() || more[0] != flag) args.insert(args.end(), {flag, "127.0.0.1:0"});
    }
    args.insert(args.end(), more.begin(), more.end());
    return std::make_unique<Program>(std::string(TOLLGATE_BIN_DIR) + "/tollgated", args,
                                     dir_ / (name + ".log"), environment);
  }

  // Where it listens, once it does.
  nlohmann::json Ready(Program& program, const std::string& name = "one") {
    const std::string path = dir_ / (name + ".ready");
    EXPECT_TRUE(Eventually([&] { return !ReadFile(path).empty() || !program.running(); }))
        << program.output();
    const std::string text = ReadFile(path);
    EXPECT_FALSE(text.empty()) << program.output();
    return text.empty() ? nlohmann::json() : nlohmann::json::parse(text);
  }

  std::unique_ptr<TokenService::Stub> Client(const nlohmann::json& ready) {
    return TokenService::NewStub(grpc::CreateChannel(ready["listen"][0].get<std::string>(),
                                                     grpc::InsecureChannelCredentials()));
  }

  CreateTokenResponse Create(TokenService::Stub& stub, const std::string& label) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    CreateTokenRequest request;
    request.set_parent("workspaces/acme");
    request.mutable_token()->set_label(label);
    CreateTokenResponse response;
    const grpc::Status status = stub.CreateToken(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // The message for people: the last line is not a log line, and names what to do.
  void ExpectRefusal(Program& program, int code, const std::string& says) {
    EXPECT_EQ(program.Wait(), code) << program.output();
    EXPECT_THAT(program.output(), HasSubstr("tollgated: "));
    EXPECT_THAT(program.output(), HasSubstr(says));
  }

  // What was answered is there when the service is started again.
  void ExpectKept(const CreateTokenResponse& made) {
    auto again = Run({}, "two");
    auto client = Client(Ready(*again, "two"));
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    GetTokenRequest get;
    get.set_name(made.token().name());
    Token token;
    EXPECT_TRUE(client->GetToken(&context, get, &token).ok());
  }

  TempDir dir_;
};

// tests/data/README.md says what is in it.
TEST_F(StartUpTest, AStoreOfFormat1IsServed) {
  ASSERT_EQ(std::system(absl::StrCat("tar -xzf ", TOLLGATE_SOURCE_DIR,
                                     "/tests/data/store-format-1.tar.gz -C ", dir_ / "")
                            .c_str()),
            0);
  const std::map<std::string, TokenState> expected = {
      {"t1", TOKEN_STATE_REVOKED}, {"t2", TOKEN_STATE_REVOKED}, {"t3", TOKEN_STATE_SUSPENDED},
      {"t4", TOKEN_STATE_REVOKED}, {"t5", TOKEN_STATE_ACTIVE},  {"t6", TOKEN_STATE_ACTIVE}};
  for (const std::string name : {"one", "two"}) {
    auto program = Run({}, name);
    auto client = Client(Ready(*program, name));
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    ListTokensRequest list;
    list.set_parent("workspaces/acme");
    ListTokensResponse found;
    ASSERT_TRUE(client->ListTokens(&context, list, &found).ok()) << program->output();
    std::map<std::string, TokenState> states;
    for (const Token& token : found.tokens()) states[token.label()] = token.state();
    EXPECT_EQ(states, expected);
    program->Signal(SIGTERM);
    EXPECT_EQ(program->Wait(), 0) << program->output();
    const bool told = program->output().find("older versions refuse it") != std::string::npos;
    EXPECT_EQ(told, name == "one") << program->output();
  }
}

TEST_F(StartUpTest, ABadFlagIsTwo) {
  auto program = Run({"--lease", "30"});
  ExpectRefusal(*program, 2, "--lease");
  auto unknown = Run({"--colour", "red"});
  ExpectRefusal(*unknown, 2, "--colour");
}

TEST_F(StartUpTest, ABadEnvironmentIsTwoAndNamesTheFlag) {
  auto program = Run({}, "one", {"TOLLGATED_PING_INTERVAL=often"});
  ExpectRefusal(*program, 2, "--ping-interval");
}

TEST_F(StartUpTest, HelpAndVersionAreZero) {
  Program help(std::string(TOLLGATE_BIN_DIR) + "/tollgated", {"--help"}, dir_ / "help.log");
  EXPECT_EQ(help.Wait(), 0);
  EXPECT_THAT(help.output(), HasSubstr("--store DIR"));
  Program version(std::string(TOLLGATE_BIN_DIR) + "/tollgated", {"--version"}, dir_ / "v.log");
  EXPECT_EQ(version.Wait(), 0);
  EXPECT_EQ(version.output(), absl::StrCat("tollgated ", base::kVersion, "\n"));
}

TEST_F(StartUpTest, ATakenPortIsThreeAndWritesNothing) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  const std::string taken = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  auto program = Run({"--listen", taken});
  ExpectRefusal(*program, 3, taken);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "store"));
  auto metrics = Run({"--metrics-listen", taken}, "two");
  EXPECT_EQ(metrics->Wait(), 3) << metrics->output();
  close(fd);
}

TEST_F(StartUpTest, AStoreInUseIsFour) {
  auto first = Run({});
  Ready(*first);
  auto second = Run({}, "two");
  ExpectRefusal(*second, 4, dir_ / "store");
  EXPECT_TRUE(first->running());
}

TEST_F(StartUpTest, AKeyringThatOthersCanReadIsFive) {
  {
    auto first = Run({});
    Ready(*first);
    struct stat keyring;
    ASSERT_EQ(stat((dir_ / "store.keyring").c_str(), &keyring), 0);
    EXPECT_EQ(keyring.st_mode & 0777, 0600u);
    first->Signal(SIGTERM);
    EXPECT_EQ(first->Wait(), 0) << first->output();
  }
  chmod((dir_ / "store.keyring").c_str(), 0644);
  auto program = Run({}, "two");
  ExpectRefusal(*program, 5, dir_ / "store.keyring");
}

TEST_F(StartUpTest, AStoreWithTokensWithoutItsKeyringIsFive) {
  {
    auto first = Run({});
    auto client = Client(Ready(*first));
    Create(*client, "x");
    first->Signal(SIGTERM);
    EXPECT_EQ(first->Wait(), 0);
  }
  std::filesystem::remove(dir_ / "store.keyring");
  auto program = Run({}, "two");
  ExpectRefusal(*program, 5, "the store holds tokens");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "store.keyring"));
}

TEST_F(StartUpTest, AStoreWithAnotherKeyringIsFive) {  // I7: it would call every token unknown
  {
    auto first = Run({});
    auto client = Client(Ready(*first));
    Create(*client, "x");
    first->Signal(SIGTERM);
    EXPECT_EQ(first->Wait(), 0);
  }
  std::filesystem::rename(dir_ / "store.keyring", dir_ / "kept");
  std::ofstream(dir_ / "store.keyring")
      << R"({"format":1,"primary":1,"peppers":[{"id":1,"key":")" << std::string(64, '7') << "\"}]}";
  chmod((dir_ / "store.keyring").c_str(), 0600);
  auto program = Run({}, "two");
  ExpectRefusal(*program, 5, "not this store's");
  EXPECT_THAT(program->output(), HasSubstr("--keyring FILE"));
  auto right = Run({"--keyring", dir_ / "kept"}, "three");
  Ready(*right, "three");
}

TEST_F(StartUpTest, ANewJournalForAStoreThatIsNotNewIsSaid) {
  const std::string said = "began a new journal for a store that is not new";
  {
    auto first = Run({});
    auto client = Client(Ready(*first));
    Create(*client, "x");
    first->Signal(SIGTERM);
    EXPECT_EQ(first->Wait(), 0);
    EXPECT_THAT(first->output(), Not(HasSubstr(said)));
  }
  auto mistyped = Run({"--journal", dir_ / "mistyped"}, "two");
  Ready(*mistyped, "two");
  EXPECT_THAT(mistyped->output(), HasSubstr(said));
}

TEST_F(StartUpTest, AStoreFromANewerVersionIsSix) {
  {
    storage::EngineOpenOptions options;
    options.location = dir_ / "store";
    options.random = &base::SystemRandom();
    options.clock = &base::SystemClock();
    auto engine = storage::Engines().default_driver().Open(options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    auto snapshot = (*engine)->NewSnapshot();
    ASSERT_TRUE(snapshot.ok());
    auto meta = storage::GetRecord<tollgate::store::v1::MetaRecord>(
        **snapshot, storage::Table::kMeta, storage::kMetaKey);
    ASSERT_TRUE(meta.ok() && meta->has_value());
    (*meta)->set_format(storage::kStoreFormat + 1);
    storage::CommitRequest commit;
    commit.expected_head = (*snapshot)->revision();
    commit.mutations.push_back(
        {storage::Table::kMeta, storage::kMetaKey, (*meta)->SerializeAsString()});
    // As the sequencer would: every commit carries the new head.
    tollgate::store::v1::HeadRecord head;
    head.set_revision(commit.expected_head + 1);
    commit.mutations.push_back(
        {storage::Table::kMeta, storage::kHeadKey, head.SerializeAsString()});
    auto committed = (*engine)->Commit(commit);
    ASSERT_TRUE(committed.ok() && committed->committed) << committed.status();
    snapshot->reset();
  }
  auto program = Run({});
  ExpectRefusal(*program, 6, "newer");
}

// The store loses its last bytes after a kill -9: its disk was worse than it said.
class LostTailTest : public StartUpTest {
 protected:
  // Starts it, makes two tokens; `revoke`: the first one is revoked, last of all. Then kill -9.
  void LiveAndDie(bool revoke, const std::vector<std::string>& flags = {}) {
    auto program = Run(flags);
    auto client = Client(Ready(*program));
    first_ = Create(*client, "first").token().name();
    second_ = Create(*client, "second").token().name();
    if (revoke) {
      grpc::ClientContext context;
      RevokeTokenRequest request;
      request.set_name(first_);
      request.set_reason("left the team");
      RevokeTokenResponse response;
      ASSERT_TRUE(client->RevokeToken(&context, request, &response).ok());
    }
    program->Signal(SIGKILL);
    program->Wait();
    std::filesystem::remove(dir_ / "one.ready");
  }
  std::string Log() {
    std::string newest;
    for (const auto& file : std::filesystem::directory_iterator(dir_ / "store")) {
      if (file.path().extension() == ".log") newest = std::max(newest, file.path().string());
    }
    return newest;
  }
  // The last write of the log is no longer whole.
  void TearLog() { std::filesystem::resize_file(Log(), std::filesystem::file_size(Log()) - 1); }
  TokenState StateOf(const std::string& name, TokenService::Stub& client) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    GetTokenRequest request;
    request.set_name(name);
    Token token;
    return client.GetToken(&context, request, &token).ok() ? token.state()
                                                           : TOKEN_STATE_UNSPECIFIED;
  }
  void ExpectRolledBack(const std::vector<std::string>& flags = {}) {
    auto program = Run(flags, "refused");
    ExpectRefusal(*program, 9, "tollgated new-epoch");
    EXPECT_THAT(program->output(), HasSubstr("was at revision"));
  }

  std::string first_, second_;
};

TEST_F(LostTailTest, ARevocationThatWasLostIsKnownByTheMark) {
  LiveAndDie(/*revoke=*/true);
  TearLog();
  for (int start = 0; start < 2; ++start) ExpectRolledBack();
  // What it says helps.
  Program renewed(std::string(TOLLGATE_BIN_DIR) + "/tollgated",
                  {"new-epoch", "--store", dir_ / "store"}, dir_ / "renewed.log");
  ASSERT_EQ(renewed.Wait(), 0) << renewed.output();
  auto again = Run({}, "two");
  auto client = Client(Ready(*again, "two"));
  EXPECT_EQ(StateOf(first_, *client), TOKEN_STATE_REVOKED);
  EXPECT_EQ(StateOf(second_, *client), TOKEN_STATE_ACTIVE);
}

TEST_F(LostTailTest, WithoutTheMarkItIsRevokedAnew) {
  LiveAndDie(/*revoke=*/true);
  TearLog();
  std::filesystem::remove(dir_ / "store.journal.mark");
  for (const std::string name : {"two", "three"}) {
    auto again = Run({}, name);
    auto client = Client(Ready(*again, name));
    EXPECT_EQ(StateOf(first_, *client), TOKEN_STATE_REVOKED);
    EXPECT_EQ(StateOf(second_, *client), TOKEN_STATE_ACTIVE);
    again->Signal(SIGTERM);
    EXPECT_EQ(again->Wait(), 0);
    const std::string said = "the journal's last entry is not in the store";
    if (name == "two") {
      EXPECT_THAT(again->output(), HasSubstr(said));
    } else {
      EXPECT_THAT(again->output(), Not(HasSubstr(said)));
    }
  }
}

TEST_F(LostTailTest, CreationsThatWereLostAreKnownByTheMark) {
  LiveAndDie(/*revoke=*/false);
  std::filesystem::resize_file(Log(), std::filesystem::file_size(Log()) / 2);
  ExpectRolledBack();
}

TEST_F(LostTailTest, SoItIsWithoutAJournal) {
  LiveAndDie(/*revoke=*/true, {"--no-journal"});
  EXPECT_TRUE(std::filesystem::exists(dir_ / "store.mark"));
  TearLog();
  ExpectRolledBack({"--no-journal"});
}

TEST_F(LostTailTest, AnOldCopyThatGrewPastTheMarkIsRefused) {
  {
    auto program = Run({});
    Ready(*program);
    program->Signal(SIGTERM);
    ASSERT_EQ(program->Wait(), 0);
  }
  std::filesystem::copy(dir_ / "store", dir_ / "copy");
  LiveAndDie(/*revoke=*/true);
  const std::string mark = ReadFile(dir_ / "store.journal.mark");
  // It is run without journal and mark until it has more revisions than were told.
  std::filesystem::remove_all(dir_ / "store");
  std::filesystem::rename(dir_ / "copy", dir_ / "store");
  std::filesystem::remove(dir_ / "store.journal");
  std::filesystem::remove(dir_ / "store.journal.mark");
  {
    auto program = Run({}, "grown");
    auto client = Client(Ready(*program, "grown"));
    for (int i = 0; i < 12; ++i) Create(*client, absl::StrCat("more ", i));
    program->Signal(SIGTERM);
    ASSERT_EQ(program->Wait(), 0);
  }
  std::ofstream(dir_ / "store.journal.mark", std::ios::binary | std::ios::trunc) << mark;
  auto program = Run({}, "refused");
  ExpectRefusal(*program, 9, "is another than the one that was told");
}

TEST_F(LostTailTest, WhatWasNotLostIsServed) {
  LiveAndDie(/*revoke=*/true);
  auto again = Run({}, "two");
  auto client = Client(Ready(*again, "two"));
  EXPECT_EQ(StateOf(first_, *client), TOKEN_STATE_REVOKED);
  EXPECT_EQ(StateOf(second_, *client), TOKEN_STATE_ACTIVE);
  EXPECT_THAT(again->output(), Not(HasSubstr("the journal's last entry")));
}

TEST_F(StartUpTest, ACorruptStoreIsSix) {
  {
    auto first = Run({});
    Ready(*first);
    first->Signal(SIGTERM);
    EXPECT_EQ(first->Wait(), 0);
  }
  std::ofstream(dir_ / "store/CURRENT") << "MANIFEST-999999\n";
  auto program = Run({}, "two");
  EXPECT_EQ(program->Wait(), 6) << program->output();
}

TEST_F(StartUpTest, PlaintextWhereOthersCanReachItIsSeven) {
  auto program = Run({"--listen", "0.0.0.0:0"});
  ExpectRefusal(*program, 7, "--allow-plaintext");
  EXPECT_THAT(program->output(), HasSubstr("--tls-cert"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "store"));
  auto allowed = Run({"--listen", "0.0.0.0:0", "--allow-plaintext"}, "two");
  Ready(*allowed, "two");
}

// The server itself, not the program's flags: whoever embeds it may write the folder so.
TEST_F(StartUpTest, AStoreWrittenWithASlashHasItsKeyringBesideIt) {
  ServerOptions options;
  options.store = dir_ / "store/";
  options.listen = {"127.0.0.1:0"};
  {
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
  }
  EXPECT_TRUE(std::filesystem::exists(dir_ / "store.keyring"));
  EXPECT_TRUE(std::filesystem::exists(dir_ / "store.journal"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "store/.keyring"));
  options.store = dir_ / "other/../store/.";
  EXPECT_TRUE(Server::Start(options).ok()) << "the same store, with the same keyring";
  options.store = "/";
  EXPECT_EQ(base::ReasonOf(Server::Start(options).status()), "BAD_FLAG");
}

TEST_F(StartUpTest, AStoreIsNamedByItsEngineToo) {
  {
    auto first = Run({});
    Ready(*first);
    first->Signal(SIGTERM);
    EXPECT_EQ(first->Wait(), 0) << first->output();
  }
  ServerOptions options;
  options.store = "rocksdb:" + (dir_ / "store");
  options.listen = {"127.0.0.1:0"};
  EXPECT_TRUE(Server::Start(options).ok());
  options.store = "etcd:" + (dir_ / "store");
  const absl::Status refused = Server::Start(options).status();
  EXPECT_EQ(ExitCodeFor(refused), kExitUsage);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("there are rocksdb, memory"));
}

TEST_F(StartUpTest, AStoreInMemoryServesAndLeavesNothing) {
  ServerOptions options;
  options.store = "memory:";
  options.listen = {"127.0.0.1:0"};
  options.admin = {"local"};
  std::string epoch;
  {
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    auto client = TokenService::NewStub(
        grpc::CreateChannel((*server)->addresses()[0], grpc::InsecureChannelCredentials()));
    Create(*client, "x");
    epoch = (*server)->epoch();
  }
  absl::StatusOr<std::unique_ptr<Server>> again = Server::Start(options);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_NE((*again)->epoch(), epoch);
}

TEST_F(StartUpTest, SigtermDrainsAndEndsWithZero) {
  auto program = Run({});
  auto client = Client(Ready(*program));
  const CreateTokenResponse made = Create(*client, "x");
  program->Signal(SIGTERM);
  EXPECT_EQ(program->Wait(), 0) << program->output();
  EXPECT_THAT(program->output(), HasSubstr("draining"));
  EXPECT_THAT(program->output(), HasSubstr(absl::StrCat("\"version\":\"", base::kVersion, "\"")))
      << "the log tells which build it is";
  EXPECT_THAT(program->output(), HasSubstr("ended as asked"));
  ExpectKept(made);
}

TEST_F(StartUpTest, KilledItKeepsWhatItAcknowledged) {
  auto program = Run({});
  auto client = Client(Ready(*program));
  const CreateTokenResponse made = Create(*client, "x");
  program->Signal(SIGKILL);
  EXPECT_EQ(program->Wait(), 128 + SIGKILL);
  ExpectKept(made);
}

TEST_F(StartUpTest, NothingSecretIsWrittenAnywhere) {
  std::vector<std::string> secrets;
  {
    auto program = Run({"--log-level", "debug"});
    auto client = Client(Ready(*program));
    for (int i = 0; i < 20; ++i) {
      secrets.push_back(Create(*client, absl::StrCat("t", i)).token_string());
    }
    RevokeLeakedTokenRequest leaked;
    leaked.set_token_string(secrets[0]);
    RevokeLeakedTokenResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(client->RevokeLeakedToken(&context, leaked, &response).ok());
    leaked.set_token_string(secrets[1] + "x");
    grpc::ClientContext bad;
    EXPECT_FALSE(client->RevokeLeakedToken(&bad, leaked, &response).ok());
    program->Signal(SIGTERM);
    EXPECT_EQ(program->Wait(), 0);
  }
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const std::string content = ReadFile(entry.path().string());
    for (const std::string& secret : secrets) {
      ASSERT_EQ(secret.size(), 69u);
      EXPECT_EQ(content.find(secret), std::string::npos) << entry.path();
      // The secret part alone.
      EXPECT_EQ(content.find(secret.substr(4 + 16, 43)), std::string::npos) << entry.path();
    }
  }
  EXPECT_GT(files, 4);
}

}  // namespace
}  // namespace tollgate::service
