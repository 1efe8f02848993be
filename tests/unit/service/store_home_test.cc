#include "service/store_home.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

// Works in a folder of its own, so that relative paths can be tried.
class StoreHomeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { base::InitSecrets(); }
  StoreHomeTest() : before_(fs::current_path()) {
    std::string made = testing::TempDir() + "tollgate-home-XXXXXX";
    home_ = fs::canonical(mkdtemp(made.data())).string();
    fs::current_path(home_);
  }
  ~StoreHomeTest() override {
    fs::current_path(before_);
    fs::remove_all(home_);
  }

  static StoreHome At(const std::string& store) {
    StoreHome::Options options;
    options.store = store;
    absl::StatusOr<StoreHome> home = StoreHome::At(std::move(options));
    EXPECT_TRUE(home.ok()) << store << ": " << home.status();
    return *std::move(home);
  }
  static absl::Status Refused(const std::string& store) {
    StoreHome::Options options;
    options.store = store;
    return StoreHome::At(std::move(options)).status();
  }
  static absl::StatusOr<OpenStore> Open(const StoreHome& home) {
    return home.Open(base::SystemRandom(), base::SystemClock());
  }
  // A token's digest, as far as the keyring's rule looks.
  static void PutADigest(storage::Engine& engine) {
    storage::CommitRequest commit;
    commit.expected_head = engine.NewSnapshot().value()->revision();
    store::v1::HeadRecord head;
    head.set_revision(commit.expected_head + 1);
    commit.mutations.push_back(
        {storage::Table::kMeta, storage::kHeadKey, storage::SerializeRecord(head)});
    commit.mutations.push_back({storage::Table::kDigests, "digest", std::string("id")});
    ASSERT_TRUE(engine.Commit(commit).value().committed);
  }

  const fs::path before_;
  std::string home_;
};

TEST_F(StoreHomeTest, EverythingLiesBesideTheFolderHoweverItIsWritten) {
  fs::create_directories("real/deep");
  fs::create_symlink("real/deep", "link");
  const std::string here = home_;
  const std::pair<std::string, std::string> cases[] = {
      {"x", "x"},
      {"x/", "x"},
      {"x//", "x"},
      {"x/.", "x"},
      {"./x", "x"},
      {"a//b/./c/", "a/b/c"},
      {"../x", "../x"},
      {"/srv/x/", "/srv/x"},
      {"//srv///x", "/srv/x"},
      {"rocksdb:x/", "x"},
      {"rocksdb:/srv/x/", "/srv/x"},
      // `..` leads where the file system says.
      {"none/../x", here + "/x"},
      {"link/../x", here + "/real/x"},
      {"link", "link"},  // a link's own name is kept: what lies beside it stays there
      {"link/", "link"},
      {"x/..", here},
      {".", here},
      {"./", here},
      {"..", fs::path(here).parent_path().string()},
      {"/srv/none/../x", "/srv/x"},
      // Colons.
      {"/srv/a:b", "/srv/a:b"},
      {"./ab:c", "ab:c"},
  };
  for (const auto& [written, folder] : cases) {
    const StoreHome home = At(written);
    EXPECT_EQ(home.folder(), folder) << written;
    EXPECT_EQ(home.keyring(), folder + ".keyring") << written;
    EXPECT_EQ(home.journal(), folder + ".journal") << written;
    EXPECT_EQ(home.mark(), folder + ".rolled-back") << written;
    EXPECT_EQ(home.unfinished(), folder + ".restoring") << written;
    EXPECT_TRUE(home.journal_is_beside());
    EXPECT_EQ(At(home.name()).folder(), folder) << "as it is told, it can be written again";
  }
  EXPECT_EQ(At("./ab:c").name(), "./ab:c");
}

TEST_F(StoreHomeTest, WhatIsGivenIsTaken) {
  StoreHome::Options options;
  options.store = "x/";
  options.keyring = "k";
  options.journal = "j";
  const StoreHome home = StoreHome::At(options).value();
  EXPECT_EQ(home.keyring(), "k");
  EXPECT_EQ(home.journal(), "j");
  EXPECT_FALSE(home.journal_is_beside());
  options.journal.clear();
  options.no_journal = true;
  EXPECT_EQ(StoreHome::At(options).value().journal(), "");
}

TEST_F(StoreHomeTest, AnOddPlaceIsRefusedByTheFlagsName) {
  for (const char* store : {"", "/", "//", "/.", "/..", "/srv/..", "rocksdb:", "rocksdb:/",
                            "memory:x", "etcd:host:2379", "RocksDB:x"}) {
    const absl::Status refused = Refused(store);
    EXPECT_EQ(base::ReasonOf(refused), "BAD_FLAG") << store;
    const base::ErrorDetails details = base::DetailsOf(refused);
    ASSERT_EQ(details.fields.size(), 1u) << store;
    EXPECT_EQ(details.fields[0].field, "store") << store;
    EXPECT_THAT(std::string(refused.message()), StartsWith("--store: "));
  }
  EXPECT_THAT(std::string(Refused("/").message()), HasSubstr("/var/lib/tollgate"));
  EXPECT_THAT(std::string(Refused("etcd:x").message()), HasSubstr("there are rocksdb, memory"));
}

TEST_F(StoreHomeTest, AFolderThatIsThereIsTakenWhateverItIsCalled) {
  EXPECT_EQ(base::ReasonOf(Refused("data:prod")), "BAD_FLAG");
  fs::create_directories("data:prod");
  const StoreHome home = At("data:prod");
  EXPECT_EQ(home.folder(), "data:prod");
  EXPECT_EQ(home.name(), "./data:prod");
}

TEST_F(StoreHomeTest, AFolderCalledLikeAnEngineAndItsLocationIsNotGuessedAt) {
  EXPECT_EQ(At("rocksdb:foo").folder(), "foo") << "there is no other that it could mean";
  fs::create_directories("rocksdb:foo");
  const absl::Status refused = Refused("rocksdb:foo");
  EXPECT_EQ(base::ReasonOf(refused), "BAD_FLAG");
  EXPECT_EQ(base::DetailsOf(refused).fields[0].field, "store");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("./rocksdb:foo"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("rocksdb:./foo"));
  EXPECT_EQ(At("./rocksdb:foo").folder(), "rocksdb:foo");
  EXPECT_EQ(At("rocksdb:./foo").folder(), "foo");
  EXPECT_EQ(At("foo").folder(), "foo");
  EXPECT_EQ(At(At("./rocksdb:foo").name()).folder(), "rocksdb:foo");
}

// Older versions put the ending after the path as it was written.
TEST_F(StoreHomeTest, WhatAnOlderVersionLeftElsewhereIsNotDoneWithout) {
  struct Case {
    std::string written, folder, old;
  };
  fs::create_directories("deep/x");
  for (const Case& c : {Case{"x/", "x", "x/"}, Case{"x/.", "x", "x/."}, Case{"x", "x", "x/."},
                        Case{"deep/x/..", home_ + "/deep", "deep/x/.."}}) {
    for (const std::string ending : {".keyring", ".journal", ".rolled-back"}) {
      fs::create_directories("x");
      const std::string old = c.old + ending;
      std::ofstream(old) << "old";
      const absl::Status refused = Open(At(c.written)).status();
      EXPECT_EQ(base::ReasonOf(refused), "STORE_FILES_ELSEWHERE") << c.written << ending;
      EXPECT_THAT(std::string(refused.message()),
                  HasSubstr("mv " + old + " " + c.folder + ending +
                            (ending == ".rolled-back" ? "" : "\n")));
      EXPECT_FALSE(fs::exists(c.folder + ".journal")) << "nothing is begun";
      // What is at the new place is taken, whatever lies at the old one.
      std::ofstream(c.folder + ending) << "new";
      EXPECT_NE(base::ReasonOf(Open(At(c.written)).status()), "STORE_FILES_ELSEWHERE");
      fs::remove_all("x");
      for (const char* made : {".keyring", ".journal", ".rolled-back"}) {
        fs::remove(c.folder + made);
      }
      fs::remove(old);
    }
  }
  // A file that was named is where it is said to be.
  fs::create_directories("y");
  StoreHome::Options options;
  options.store = "y/";
  {
    ASSERT_TRUE(Open(StoreHome::At(options).value()).ok());
    fs::rename("y.keyring", "y/.keyring");
    fs::rename("y.journal", "y/.journal");
  }
  options.keyring = "y/.keyring";
  EXPECT_EQ(base::ReasonOf(Open(StoreHome::At(options).value()).status()), "STORE_FILES_ELSEWHERE");
  options.journal = "y/.journal";
  EXPECT_TRUE(Open(StoreHome::At(options).value()).ok());
}

TEST_F(StoreHomeTest, OpensAndMakesAllOfIt) {
  std::string epoch;
  {
    const absl::StatusOr<OpenStore> store = Open(At("deep/down/x/"));
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ(store->engine, store->journaled.get());
    EXPECT_EQ(store->epoch.size(), 32u);
    EXPECT_NE(store->keyring, nullptr);
    epoch = store->epoch;
  }
  struct stat keyring = {};
  ASSERT_EQ(stat("deep/down/x.keyring", &keyring), 0);
  EXPECT_EQ(keyring.st_mode & 0777, 0600u);
  EXPECT_TRUE(fs::exists("deep/down/x.journal"));
  EXPECT_FALSE(fs::exists("deep/down/x/.keyring"));
  EXPECT_EQ(Open(At("rocksdb:deep/down/x"))->epoch, epoch);

  StoreHome::Options without;
  without.store = "y";
  without.no_journal = true;
  const absl::StatusOr<OpenStore> bare = Open(StoreHome::At(without).value());
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_EQ(bare->engine, bare->marked.get());
  EXPECT_EQ(bare->journaled, nullptr);
  EXPECT_FALSE(fs::exists("y.journal"));
  EXPECT_EQ(At("x/").head_mark(), "x.journal.mark");
  EXPECT_EQ(StoreHome::At(without)->head_mark(), "y.mark");
  EXPECT_EQ(At("memory:").head_mark(), "");
  EXPECT_EQ(Open(At("memory:"))->marked, nullptr);
}

TEST_F(StoreHomeTest, WhatIsWrongWithOneKeepsTheNextFromBeingTouched) {
  // The engine comes before the journal and the keyring.
  fs::create_directories("x");
  std::ofstream("x/something") << "else";
  EXPECT_EQ(base::ReasonOf(Open(At("x")).status()), "STORE_FOLDER_NOT_EMPTY");
  EXPECT_FALSE(fs::exists("x.journal"));
  EXPECT_FALSE(fs::exists("x.keyring"));
  // The journal before the keyring.
  ASSERT_TRUE(Open(At("y")).ok());
  fs::remove("y.keyring");
  std::ofstream("y.journal") << "this is no journal, and long enough to be told from a torn one";
  EXPECT_THAT(base::ReasonOf(Open(At("y")).status()), StartsWith("JOURNAL_"));
  EXPECT_FALSE(fs::exists("y.keyring"));
}

// As a volume that is mounted at `data`: what lies beside it is on the container's file system.
class StoreOnAVolumeTest : public StoreHomeTest {
 protected:
  StoreHome::Options OnAVolume(const std::string& store = "data") {
    StoreHome::Options options;
    options.store = store;
    options.device_of = [this](const std::string& path) -> absl::optional<uint64_t> {
      if (!fs::exists(path)) return absl::nullopt;
      return mounted_ && (path == "data" || path.rfind("data/", 0) == 0) ? 2 : 1;
    };
    return options;
  }
  static absl::Status OpenAt(StoreHome::Options options) {
    return Open(StoreHome::At(std::move(options)).value()).status();
  }

  bool mounted_ = true;
};

TEST_F(StoreOnAVolumeTest, WhatWouldBeLeftBehindIsRefusedBeforeAnythingIsMade) {
  fs::create_directories("data");
  const absl::Status refused = OpenAt(OnAVolume());
  EXPECT_EQ(base::ReasonOf(refused), "BAD_FLAG");
  for (const char* words :
       {"--store", "data.keyring (--keyring FILE)", "data.journal (--journal FILE)",
        "data.seal (--seal FILE)", "--store data/store"}) {
    EXPECT_THAT(std::string(refused.message()), HasSubstr(words));
  }
  EXPECT_TRUE(fs::is_empty("data"));
  EXPECT_FALSE(fs::exists("data.keyring") || fs::exists("data.journal") || fs::exists("data.seal"));
  EXPECT_TRUE(OpenAt(OnAVolume("data/store")).ok()) << "as the words say";
}

TEST_F(StoreOnAVolumeTest, WhatIsAskedForByFlagIsTaken) {
  fs::create_directories("data");
  StoreHome::Options options = OnAVolume();
  options.keyring = "k";
  const absl::Status refused = OpenAt(options);
  EXPECT_EQ(base::ReasonOf(refused), "BAD_FLAG");
  EXPECT_EQ(refused.message().find("--keyring"), absl::string_view::npos);
  options.no_journal = true;
  options.seal = "s";
  EXPECT_TRUE(OpenAt(options).ok());
  EXPECT_TRUE(fs::exists("k") && fs::exists("s"));
  // What a witness proves, and how far the store was, must not go with the container either.
  const StoreHome home = StoreHome::At(options).value();
  EXPECT_EQ(home.mark(), "s.rolled-back");
  EXPECT_EQ(home.head_mark(), "s.mark");
}

TEST_F(StoreOnAVolumeTest, AStoreThatLiesSoAlreadyStarts) {
  mounted_ = false;
  ASSERT_TRUE(OpenAt(OnAVolume()).ok());
  mounted_ = true;
  testing::internal::CaptureStderr();
  EXPECT_TRUE(OpenAt(OnAVolume()).ok());
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("on another file system"));
  EXPECT_THAT(said, HasSubstr("data.keyring (--keyring FILE)"));
}

TEST_F(StoreOnAVolumeTest, ANewContainerIsToldWhereItsKeyringWent) {
  mounted_ = false;
  PutADigest(*Open(StoreHome::At(OnAVolume()).value())->engine);
  mounted_ = true;
  for (const char* gone : {"data.keyring", "data.journal", "data.journal.mark", "data.seal"}) {
    fs::remove(gone);
  }
  const absl::Status refused = OpenAt(OnAVolume());
  EXPECT_EQ(base::ReasonOf(refused), "KEYRING_MISSING");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("on another file system than the store"));
}

TEST_F(StoreOnAVolumeTest, TheKernelIsAskedWhereNobodyElseIs) {
  std::string elsewhere = "/dev/shm/tollgate-home-XXXXXX";
  struct stat here, there;
  if (stat(".", &here) != 0 || mkdtemp(elsewhere.data()) == nullptr ||
      stat(elsewhere.c_str(), &there) != 0 || here.st_dev == there.st_dev) {
    GTEST_SKIP() << "this machine has one file system";
  }
  fs::create_symlink(elsewhere, "data");
  EXPECT_EQ(base::ReasonOf(Open(At("data")).status()), "BAD_FLAG");
  EXPECT_TRUE(Open(At("data/store")).ok());
  fs::remove_all(elsewhere);
}

TEST_F(StoreHomeTest, AStoreThatIsGoneIsNotMadeAnewBesideItsJournal) {
  ASSERT_TRUE(Open(At("x")).ok());
  fs::remove_all("x");
  EXPECT_EQ(base::ReasonOf(Open(At("x")).status()), "STORE_MISSING");
  fs::create_directories("x/lost+found");  // as a mount point without its disk
  EXPECT_EQ(base::ReasonOf(Open(At("x")).status()), "STORE_MISSING");
  EXPECT_FALSE(fs::exists("x/CURRENT"));
  StoreHome::Options another;
  another.store = "x";
  another.journal = "another.journal";
  std::ofstream("another.journal").flush();  // made beforehand, and empty
  EXPECT_TRUE(Open(StoreHome::At(another).value()).ok());
}

TEST_F(StoreHomeTest, AKeyringIsNeverMadeForAStoreThatHoldsTokens) {
  const StoreHome home = At("x");
  PutADigest(*Open(home)->engine);
  fs::rename("x.keyring", "kept");
  const absl::Status missing = Open(home).status();
  EXPECT_EQ(base::ReasonOf(missing), "KEYRING_MISSING");
  EXPECT_THAT(std::string(missing.message()), HasSubstr("x.keyring"));
  EXPECT_FALSE(fs::exists("x.keyring"));
  StoreHome::Options options;
  options.store = "x";
  options.keyring = "kept";
  EXPECT_TRUE(Open(StoreHome::At(options).value()).ok());
}

TEST_F(StoreHomeTest, AMarkedStoreIsNotServedUntilItsHistoryIsAnother) {
  const StoreHome home = At("x/");
  const std::string epoch = Open(home)->epoch;
  fs::remove("x.journal");
  ASSERT_TRUE(home.MarkRolledBack(epoch).ok());
  EXPECT_TRUE(fs::exists("x.rolled-back"));
  const absl::Status refused = Open(At("x")).status();
  EXPECT_EQ(base::ReasonOf(refused), "STORE_ROLLED_BACK");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("new-epoch --store x"));
  EXPECT_FALSE(fs::exists("x.journal")) << "the mark is looked at first";
  ASSERT_TRUE(home.MarkRolledBack(std::string(epoch.size(), 'a')).ok());
  EXPECT_TRUE(Open(home).ok()) << "the mark of another history says nothing";
  for (const char* torn : {"", "ab"}) {
    std::ofstream("x.rolled-back") << torn;
    EXPECT_EQ(base::ReasonOf(Open(home).status()), "STORE_ROLLED_BACK") << "it says nothing at all";
  }
  ASSERT_TRUE(home.MarkRolledBack(epoch).ok());
  home.ForgetRolledBack();
  EXPECT_TRUE(Open(home).ok());
}

TEST_F(StoreHomeTest, OneProcessAStore) {
  const StoreHome home = At("x");
  const absl::StatusOr<OpenStore> first = Open(home);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(base::ReasonOf(Open(At("./x/")).status()), "STORE_IN_USE");
}

TEST_F(StoreHomeTest, TheEngineAloneMustBeThere) {
  const StoreHome home = At("x");
  const auto open = [&] {
    return home.OpenEngine(home.folder(), base::SystemRandom(), base::SystemClock()).status();
  };
  EXPECT_EQ(base::ReasonOf(open()), "STORE_NOT_FOUND");
  EXPECT_FALSE(fs::exists("x"));
  ASSERT_TRUE(Open(home).ok());
  EXPECT_TRUE(open().ok());
}

TEST_F(StoreHomeTest, AStoreInMemoryHasNothingBesideIt) {
  const StoreHome home = At("memory:");
  EXPECT_EQ(home.name(), "memory:");
  for (const std::string& path :
       {home.folder(), home.keyring(), home.journal(), home.mark(), home.unfinished()}) {
    EXPECT_EQ(path, "");
  }
  const absl::StatusOr<OpenStore> store = Open(home);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_NE(store->keyring, nullptr);
  EXPECT_TRUE(home.MarkRolledBack(store->epoch).ok());
  EXPECT_TRUE(home.CheckNotRolledBack(store->epoch).ok());
  EXPECT_TRUE(fs::is_empty(home_)) << "it writes nothing";
}

TEST(PlainPath, KeepsTheRootAndNothing) {
  EXPECT_EQ(PlainPath(""), "");
  EXPECT_EQ(PlainPath("/"), "/");
  EXPECT_EQ(PlainPath("///."), "/");
  EXPECT_EQ(PlainPath("../../x"), "../../x");
}

}  // namespace
}  // namespace tollgate::service
