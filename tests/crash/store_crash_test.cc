// I4: what was acknowledged is durable, and a change, its events and its audit
// entry are one commit; under kill -9, 50 times.
//
// The parent starts this same program as a writer (--writer PATH SEED), which
// opens the store as the service does, changes it from several threads, and
// acknowledges each change through a pipe (its stdout) only when the sequencer
// has called back. The parent kills it at a random moment, reads what was
// acknowledged, opens the store and looks.
//
// TOLLGATE_CRASH_SEED repeats a run; TOLLGATE_CRASH_ROUNDS changes the 50.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/command.h"
#include "storage/journal/marked_engine.h"
#include "storage/rocksdb/rocksdb_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "storage/start_command.h"
#include "tests/instruments/audit_chain.h"

extern char** environ;

namespace tollgate::crash {
namespace {

using store::v1::AuditRecord;
using store::v1::DigestRecord;
using store::v1::EventsRecord;
using store::v1::HeadRecord;
using store::v1::TokenRecord;
using store::v1::UseRecord;

constexpr char kWorkspace[] = "acme";

std::unique_ptr<storage::RocksDbEngine> OpenStore(const std::string& path) {
  storage::RocksDbEngine::Options options;
  options.path = path;
  options.random = &base::SystemRandom();
  options.clock = &base::SystemClock();
  // Small buffers: table files are written and merged while it is killed.
  options.write_buffer_bytes = 1 << 20;
  absl::StatusOr<std::unique_ptr<storage::RocksDbEngine>> engine =
      storage::RocksDbEngine::Open(options);
  if (!engine.ok()) {
    std::cerr << engine.status() << std::endl;
    return nullptr;
  }
  return *std::move(engine);
}

// Makes a token with everything that belongs to it, in five tables; or, given
// one that exists, ends it: gone from tokens, digests and use, told and audited.
class Change : public storage::Command {
 public:
  Change(std::string id, bool create) : id_(std::move(id)), create_(create) {}
  absl::string_view name() const override { return "change"; }
  absl::Status Run(const storage::View& view, const storage::Slot& slot,
                   storage::Effects& effects) override {
    const std::string digest = "digest of " + id_;
    v1::Event event;
    AuditRecord entry;
    entry.set_resource(id_);
    if (create_) {
      TokenRecord token;
      token.set_workspace(kWorkspace);
      token.set_token_id(id_);
      token.set_create_revision(slot.revision);
      token.set_create_index(slot.index);
      token.set_label(std::string(300, 'x'));  // fills buffers
      effects.Put(storage::Table::kTokens, storage::TokenKey(kWorkspace, id_), token);
      DigestRecord record;
      record.set_token_id(id_);
      effects.Put(storage::Table::kDigests, digest, record);
      effects.PutRaw(storage::Table::kLabels, storage::LabelKey(kWorkspace, "x", id_), "");
      event.mutable_token_created()->set_token_id(id_);
      entry.set_action("create");
    } else {
      effects.Delete(storage::Table::kTokens, storage::TokenKey(kWorkspace, id_));
      effects.Delete(storage::Table::kDigests, digest);
      effects.Delete(storage::Table::kLabels, storage::LabelKey(kWorkspace, "x", id_));
      effects.Delete(storage::Table::kUse, storage::UseKey(kWorkspace, id_, "edge"));
      event.mutable_token_changed()->set_token_id(id_);
      entry.set_action("end");
    }
    effects.Tell(event);
    effects.Audit(entry);
    return absl::OkStatus();
  }

 private:
  const std::string id_;
  const bool create_;
};

// The child. Never returns but by being killed, or with an error.
int Writer(const std::string& path, uint64_t seed) {
  const std::unique_ptr<storage::RocksDbEngine> files = OpenStore(path);
  if (files == nullptr) return 2;
  const auto marked = storage::MarkedEngine::Open(files.get(), {path + ".mark", nullptr});
  if (!marked.ok()) return 8;
  storage::MarkedEngine* const engine = marked->get();
  storage::Sequencer::Options options;
  options.engine = engine;
  options.clock = &base::SystemClock();
  options.on_fatal = [](const absl::Status& status) {
    std::cerr << status << std::endl;
    ::_exit(3);
  };
  const std::unique_ptr<storage::Sequencer> sequencer = storage::Sequencer::Start(options).value();
  const auto acknowledge = [](const std::string& line) {
    // Shorter than PIPE_BUF, so whole or not at all.
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) ::_exit(4);
  };
  const auto started =
      sequencer->Run(std::make_shared<storage::ServiceStarted>("test", "crash", "boot"));
  if (!started.ok()) return 5;
  acknowledge(absl::StrCat("start - ", started->revision, "\n"));

  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      base::SeededRandom random(seed * 16 + t);
      std::vector<std::string> mine;
      for (int i = 0;; ++i) {
        const bool create = mine.empty() || random.Uniform(4) != 0;
        std::string id;
        if (create) {
          id = absl::StrCat(seed, "-", t, "-", i);
        } else {
          const size_t at = random.Uniform(mine.size());
          id = mine[at];
          mine.erase(mine.begin() + at);
        }
        // Use goes on beside, also for what is being ended.
        UseRecord use;
        use.set_count(1);
        use.set_last_used_us(i);
        if (!engine->MergeUse({{storage::UseKey(kWorkspace, id, "edge"), use}}).ok()) ::_exit(6);
        const auto done = sequencer->Run(std::make_shared<Change>(id, create));
        if (!done.ok()) ::_exit(7);
        acknowledge(absl::StrCat(create ? "create " : "end ", id, " ", done->revision, "\n"));
        if (create) mine.push_back(id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}

// What the parent knows for sure: the acknowledged changes.
struct Acknowledged {
  std::map<std::string, int64_t> created;  // id → revision
  std::map<std::string, int64_t> ended;
  int64_t highest = 0;
};

class StoreCrashTest : public ::testing::Test {
 protected:
  StoreCrashTest() {
    std::string folder = ::testing::TempDir() + "tollgate-crash-XXXXXX";
    folder_ = ::mkdtemp(folder.data());
    path_ = folder_ + "/store";
  }
  ~StoreCrashTest() override {
    if (HasFailure()) {
      std::cerr << "the store is left in " << path_ << std::endl;
    } else {
      std::filesystem::remove_all(folder_);
    }
  }

  // Runs a writer for `life` after it was started, or after its first words.
  void RunAndKill(uint64_t seed, absl::Duration life, bool from_first_words) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
    const std::string seed_text = absl::StrCat(seed);
    char* const argv[] = {const_cast<char*>("/proc/self/exe"), const_cast<char*>("--writer"),
                          const_cast<char*>(path_.c_str()), const_cast<char*>(seed_text.c_str()),
                          nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
    pid_t child = 0;
    ASSERT_EQ(::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(pipe_ends[1]);

    std::string said;
    absl::Time end = absl::Now() + life;
    bool spoke = false, closed = false;
    if (from_first_words) end = absl::Now() + absl::Seconds(20);
    while (!closed && absl::Now() < end) {
      pollfd ready = {pipe_ends[0], POLLIN, 0};
      const int64_t left_ms = absl::ToInt64Milliseconds(end - absl::Now());
      if (::poll(&ready, 1, static_cast<int>(std::max<int64_t>(left_ms, 0))) <= 0) continue;
      closed = !ReadSome(pipe_ends[0], &said);
      if (from_first_words && !spoke && !said.empty()) {
        spoke = true;
        end = absl::Now() + life;
      }
    }
    ::kill(child, SIGKILL);
    while (!closed) closed = !ReadSome(pipe_ends[0], &said);  // what it had said before
    ::close(pipe_ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the writer ended by itself: " << WEXITSTATUS(status);
    ASSERT_TRUE(spoke || !from_first_words) << "the writer said nothing for 20 s";
    Remember(said);
  }

  static bool ReadSome(int fd, std::string* said) {
    char buffer[65536];
    const ssize_t n = ::read(fd, buffer, sizeof(buffer));
    if (n > 0) said->append(buffer, n);
    return n > 0;
  }

  void Remember(const std::string& said) {
    const std::vector<std::string> lines = absl::StrSplit(said, '\n', absl::SkipEmpty());
    for (const std::string& line : lines) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      int64_t revision = 0;
      ASSERT_TRUE(words.size() == 3 && absl::SimpleAtoi(words[2], &revision)) << line;
      if (words[0] == "create") acknowledged_.created[words[1]] = revision;
      if (words[0] == "end") acknowledged_.ended[words[1]] = revision;
      acknowledged_.highest = std::max(acknowledged_.highest, revision);
    }
  }

  static std::map<std::string, std::string> All(const storage::View& view, storage::Table table) {
    std::map<std::string, std::string> all;
    const std::vector<storage::Entry> entries = view.Scan(table, "", "", SIZE_MAX).value();
    for (const storage::Entry& entry : entries) all[entry.key] = entry.value;
    return all;
  }

  // Opens the store and holds it against what is known.
  void Look() {
    const std::unique_ptr<storage::RocksDbEngine> engine = OpenStore(path_);
    ASSERT_NE(engine, nullptr);
    const std::unique_ptr<storage::Snapshot> snapshot = engine->NewSnapshot().value();
    if (epoch_.empty()) epoch_ = engine->epoch();
    EXPECT_EQ(engine->epoch(), epoch_);

    // The audit log: unbroken, and it tells the history.
    std::map<std::string, int64_t> created, ended;
    std::set<int64_t> revisions;
    std::map<int64_t, int> audited_changes;
    const auto report = instruments::VerifyAuditChain(*snapshot, [&](const AuditRecord& entry) {
      revisions.insert(entry.revision());
      if (entry.action() == "create") created[entry.resource()] = entry.revision();
      if (entry.action() == "end") ended[entry.resource()] = entry.revision();
      if (entry.action() != "service.start") ++audited_changes[entry.revision()];
    });
    ASSERT_TRUE(report.ok()) << report.status();

    // No gap, none reused: each revision up to the head wrote audit entries.
    const int64_t head = snapshot->revision();
    EXPECT_GE(head, acknowledged_.highest);
    // The mark tells of all that was acknowledged, and of nothing that the store lacks.
    EXPECT_TRUE(storage::MarkedEngine::Open(engine.get(), {path_ + ".mark", nullptr}).ok());
    const auto mark = storage::HeadMark(path_ + ".mark").Read();
    ASSERT_TRUE(mark.ok()) << mark.status();
    if (acknowledged_.highest > 0) {
      ASSERT_TRUE(mark->has_value());
      EXPECT_GE((*mark)->revision, acknowledged_.highest);
      EXPECT_LE((*mark)->revision, head);
    }
    EXPECT_EQ(static_cast<int64_t>(revisions.size()), head);
    if (head > 0) {
      EXPECT_EQ(*revisions.begin(), 1);
      EXPECT_EQ(*revisions.rbegin(), head);
    }
    const HeadRecord head_record =
        storage::GetRecord<HeadRecord>(*snapshot, storage::Table::kMeta, storage::kHeadKey)
            .value()
            .value_or(HeadRecord());
    EXPECT_EQ(head_record.revision(), head);

    // Everything acknowledged is there, under the revision that was told.
    for (const auto& [id, revision] : acknowledged_.created) {
      ASSERT_TRUE(created.count(id)) << id << " was acknowledged and is lost";
      EXPECT_EQ(created[id], revision) << id;
    }
    for (const auto& [id, revision] : acknowledged_.ended) {
      ASSERT_TRUE(ended.count(id)) << "the end of " << id << " was acknowledged and is lost";
      EXPECT_EQ(ended[id], revision) << id;
    }

    // No half commit: tokens, digests, labels, events and audit tell one story.
    std::map<std::string, std::string> tokens = All(*snapshot, storage::Table::kTokens);
    std::map<std::string, std::string> digests = All(*snapshot, storage::Table::kDigests);
    EXPECT_EQ(digests.size(), tokens.size());
    EXPECT_EQ(All(*snapshot, storage::Table::kLabels).size(), tokens.size());
    size_t live = 0;
    for (const auto& [id, revision] : created) {
      const auto token = tokens.find(storage::TokenKey(kWorkspace, id));
      const bool gone = ended.count(id) > 0;
      if (!gone) ++live;
      ASSERT_EQ(token == tokens.end(), gone) << id;
      ASSERT_EQ(digests.count("digest of " + id), gone ? 0u : 1u) << id;
      if (gone) continue;
      TokenRecord record;
      ASSERT_TRUE(record.ParseFromString(token->second));
      EXPECT_EQ(record.create_revision(), revision) << id;
    }
    EXPECT_EQ(live, tokens.size()) << "a token without an audit entry: use or a half commit";

    // The same of the events, by the tail.
    int64_t told = 0;
    std::map<int64_t, int> told_changes;
    auto tail = engine->TailFrom(0, [&](const storage::TailEntry& entry) {
      EXPECT_EQ(entry.revision, ++told);
      for (const v1::Event& event : entry.events.events()) {
        ++told_changes[entry.revision];
        const auto& source = event.has_token_created() ? created : ended;
        const std::string& id = event.has_token_created() ? event.token_created().token_id()
                                                          : event.token_changed().token_id();
        const auto found = source.find(id);
        ASSERT_NE(found, source.end()) << "an event of " << id << " without its audit entry";
        EXPECT_EQ(found->second, entry.revision);
      }
    });
    ASSERT_TRUE(tail.ok()) << tail.status();
    EXPECT_EQ(told, head);
    EXPECT_EQ(told_changes, audited_changes);
    commits_ = head;
    tokens_ = tokens.size();
  }

  std::string folder_;
  std::string path_;
  std::string epoch_;
  Acknowledged acknowledged_;
  int64_t commits_ = 0;
  size_t tokens_ = 0;
};

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  int64_t value = otherwise;
  if (text != nullptr && !absl::SimpleAtoi(text, &value)) return otherwise;
  return value;
}

TEST_F(StoreCrashTest, AcknowledgedChangesSurviveKill) {
  const int64_t seed =
      FromEnvironment("TOLLGATE_CRASH_SEED", absl::ToUnixMillis(absl::Now()) % 1000000);
  const int64_t rounds = FromEnvironment("TOLLGATE_CRASH_ROUNDS", 50);
  std::cout << "seed " << seed << " (TOLLGATE_CRASH_SEED=" << seed << " repeats it)" << std::endl;
  base::SeededRandom random(static_cast<uint64_t>(seed));
  for (int64_t round = 0; round < rounds; ++round) {
    SCOPED_TRACE(absl::StrCat("seed ", seed, ", round ", round));
    // One in five dies while it starts: opening, recovering, its first write.
    const bool at_work = random.Uniform(5) != 0;
    const absl::Duration life = absl::Milliseconds(1 + random.Uniform(at_work ? 250 : 60));
    RunAndKill(static_cast<uint64_t>(round), life, at_work);
    if (HasFatalFailure()) return;
    if (std::filesystem::exists(path_ + "/CURRENT")) Look();
    if (HasFailure()) return;
  }
  std::cout << rounds << " kills, " << commits_ << " commits, "
            << acknowledged_.created.size() + acknowledged_.ended.size()
            << " acknowledged changes, " << tokens_ << " tokens left" << std::endl;
  EXPECT_GT(acknowledged_.created.size(), static_cast<size_t>(rounds)) << "it hardly wrote";
  EXPECT_GT(acknowledged_.ended.size(), 0u);
}

}  // namespace
}  // namespace tollgate::crash

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--writer") {
    return tollgate::crash::Writer(argv[2], std::strtoull(argv[3], nullptr, 10));
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
