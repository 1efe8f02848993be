#include "token/keyring.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/status.h"
#include "tests/instruments/keyring_file.h"

namespace tollgate::token {
namespace {

const std::string kKey1(64, '1');
const std::string kKey2 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

class KeyringTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "keyring-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/keyring.json";
  }
  void TearDown() override {
    for (const std::string& name : Files()) unlink((folder_ + "/" + name).c_str());
    rmdir(folder_.c_str());
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    DIR* dir = opendir(folder_.c_str());
    while (dirent* entry = readdir(dir)) {
      if (entry->d_name[0] != '.') names.push_back(entry->d_name);
    }
    closedir(dir);
    return names;
  }
  void Write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_, std::ios::trunc) << text;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  std::string Read() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  std::string ReasonOfLoad() const { return base::ReasonOf(Keyring::Load(path_).status()); }

  std::string folder_;
  std::string path_;
  base::SeededRandom random_{1};
  const EdgeDigest edge_ =
      EdgeDigest::Of("tgw_4mXp81QzR0aYc7Ld003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf0DoSKZ");
};

TEST_F(KeyringTest, CreatedOnceForItsOwnerAlone) {
  const mode_t before = umask(0);
  auto created = Keyring::LoadOrCreate(path_, random_);
  umask(before);
  ASSERT_TRUE(created.ok()) << created.status();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(info.st_nlink, 1u);
  EXPECT_EQ(Files(), std::vector<std::string>{"keyring.json"}) << "nothing is left beside it";
  auto loaded = Keyring::LoadOrCreate(path_, random_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(created->Digest(edge_), loaded->Digest(edge_));
  EXPECT_EQ(loaded->primary_id(), 1u);
}

TEST_F(KeyringTest, AUmaskThatTakesAllLeavesItReadable) {
  const mode_t before = umask(0777);
  auto created = Keyring::LoadOrCreate(path_, random_);
  umask(before);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_TRUE(Keyring::Load(path_).ok());
}

TEST_F(KeyringTest, SeveralStartersAgree) {
  for (int round = 0; round < 20; ++round) {
    std::vector<std::string> digests(8);
    std::vector<std::thread> starters;
    for (size_t i = 0; i < digests.size(); ++i) {
      starters.emplace_back([&, i] {
        auto keyring = Keyring::LoadOrCreate(path_, base::SystemRandom());
        if (keyring.ok()) digests[i] = std::string(keyring->Digest(edge_).bytes());
      });
    }
    for (auto& starter : starters) starter.join();
    for (const auto& digest : digests) {
      ASSERT_EQ(digest.size(), 32u);
      ASSERT_EQ(digest, digests[0]);
    }
    ASSERT_EQ(Files().size(), 1u);
    ASSERT_EQ(unlink(path_.c_str()), 0);
  }
}

TEST_F(KeyringTest, GoldenDigest) {
  Write("{\"format\":1,\"primary\":2,\"peppers\":[{\"id\":1,\"key\":\"" + kKey1 +
        "\"},{\"id\":2,\"key\":\"" + kKey2 + "\"}]}");
  auto keyring = Keyring::Load(path_);
  ASSERT_TRUE(keyring.ok()) << keyring.status();
  // The stored digest of vectors.inc.
  EXPECT_EQ(absl::BytesToHexString(keyring->Digest(edge_).bytes()),
            "e26f3f84a704cb635b43f341af9a861a0884e2b2e6f83d81820e1ed42e9751e8");
  const auto candidates = keyring->Candidates(edge_);
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[0].first, 2u) << "the primary first";
  EXPECT_EQ(candidates[0].second, keyring->Digest(edge_));
  EXPECT_EQ(candidates[1].first, 1u);
}

TEST_F(KeyringTest, OrderAndWhiteSpaceDoNotMatter) {
  Write(" {\n \"peppers\" : [ { \"key\" : \"" + kKey2 +
            "\" , \"id\" : 7 } ] ,\t\"primary\":7,\r\n" + "\"format\":1 }\n",
        0400);
  auto keyring = Keyring::Load(path_);
  ASSERT_TRUE(keyring.ok()) << keyring.status();
  EXPECT_EQ(keyring->primary_id(), 7u);
}

TEST_F(KeyringTest, RotationKeepsTheOldPeppers) {
  Write(instruments::KeyringText({{1, kKey1}}, 1));
  const Keyring old = Keyring::Load(path_).value();
  Write(instruments::KeyringText({{1, kKey1}, {2, kKey2}}, 2));
  const auto rotated = Keyring::LoadOrCreate(path_, random_);
  ASSERT_TRUE(rotated.ok()) << rotated.status();
  EXPECT_EQ(Files().size(), 1u);
  EXPECT_EQ(rotated->primary_id(), 2u);
  EXPECT_FALSE(rotated->Digest(edge_) == old.Digest(edge_));
  const auto candidates = rotated->Candidates(edge_);
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[0].second, rotated->Digest(edge_));
  EXPECT_EQ(candidates[1].second, old.Digest(edge_));
}

TEST_F(KeyringTest, SixteenPeppersAreTheMost) {
  instruments::PepperKeys peppers;
  for (uint32_t id = 1; id <= 16; ++id) peppers.emplace_back(id, kKey1);
  Write(instruments::KeyringText(peppers, 16));
  const auto sixteen = Keyring::Load(path_);
  ASSERT_TRUE(sixteen.ok()) << sixteen.status();
  EXPECT_EQ(sixteen->Candidates(edge_).size(), 16u);
  peppers.emplace_back(17, kKey1);
  const std::string text = instruments::KeyringText(peppers, 16);
  Write(text);
  const absl::Status status = Keyring::LoadOrCreate(path_, random_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(base::ReasonOf(status), "KEYRING_MALFORMED");
  EXPECT_EQ(Read(), text) << "it is never overwritten";
}

// As Kubernetes mounts a Secret: a link to a link, open to the group; and as it leaves the files of
// a volume with an fsGroup.
TEST_F(KeyringTest, ItsGroupMayReadItWhereThatIsAskedForByName) {
  const std::string text = instruments::KeyringText({{1, kKey1}}, 1);
  const auto load = [this](const std::string& path) {
    return base::ReasonOf(Keyring::Load(path, SecretReaders::kOwnerAndGroup).status());
  };
  for (const mode_t good : {0600, 0400, 0640, 0440, 0660}) {
    Write(text, good);
    EXPECT_EQ(load(path_), "") << std::oct << good;
    unlink(path_.c_str());
  }
  for (const mode_t bad : {0604, 0644, 0666, 0444, 0700, 0650, 0601, 0200, 04640}) {
    Write(text, bad);
    EXPECT_EQ(load(path_), "KEYRING_PERMISSIONS") << std::oct << bad;
    unlink(path_.c_str());
  }
  Write(text, 0440);
  const std::string link = path_ + ".link", data = path_ + "..data";
  ASSERT_EQ(symlink(path_.c_str(), data.c_str()), 0);
  ASSERT_EQ(symlink(data.c_str(), link.c_str()), 0);
  EXPECT_EQ(load(link), "");
  const absl::Status refused = Keyring::Load(link).status();
  EXPECT_EQ(base::ReasonOf(refused), "KEYRING_PERMISSIONS");
  EXPECT_NE(refused.message().find("--group-readable-secrets"), absl::string_view::npos) << refused;
  chmod(path_.c_str(), 0444);
  EXPECT_EQ(load(link), "KEYRING_PERMISSIONS") << "never for everybody, through links either";
  unlink(link.c_str());
  unlink(data.c_str());
}

TEST_F(KeyringTest, Modes) {
  const std::string text =
      "{\"format\":1,\"primary\":1,\"peppers\":[{\"id\":1,\"key\":\"" + kKey1 + "\"}]}";
  for (const mode_t good : {0600, 0400}) {
    Write(text, 0600);
    chmod(path_.c_str(), good);
    EXPECT_EQ(ReasonOfLoad(), "") << std::oct << good;
    unlink(path_.c_str());
  }
  for (const mode_t bad : {0640, 0604, 0644, 0666, 0620, 0700, 0601, 0440, 04600}) {
    Write(text, bad);
    const auto status = Keyring::Load(path_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << std::oct << bad;
    EXPECT_EQ(base::ReasonOf(status), "KEYRING_PERMISSIONS") << std::oct << bad;
    EXPECT_EQ(base::ReasonOf(Keyring::LoadOrCreate(path_, random_).status()),
              "KEYRING_PERMISSIONS");
    EXPECT_EQ(Read(), text) << "it is never overwritten";
    unlink(path_.c_str());
  }
  Write(text, 0640);
  EXPECT_NE(Keyring::Load(path_).status().message().find("has mode 640"), absl::string_view::npos);
}

TEST_F(KeyringTest, WhatIsNoRegularFile) {
  EXPECT_EQ(Keyring::Load(path_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOfLoad(), "KEYRING_NOT_FOUND");
  EXPECT_EQ(base::ReasonOf(Keyring::Load(folder_).status()), "KEYRING_PERMISSIONS");
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(ReasonOfLoad(), "KEYRING_PERMISSIONS") << "and it does not hang";
  unlink(path_.c_str());
  // A symbolic link, also one to a good file, and a dangling one.
  ASSERT_TRUE(Keyring::LoadOrCreate(folder_ + "/real", random_).ok());
  ASSERT_EQ(symlink((folder_ + "/real").c_str(), path_.c_str()), 0);
  EXPECT_EQ(ReasonOfLoad(), "KEYRING_PERMISSIONS");
  unlink((folder_ + "/real").c_str());
  EXPECT_EQ(base::ReasonOf(Keyring::LoadOrCreate(path_, random_).status()), "KEYRING_PERMISSIONS");
}

TEST_F(KeyringTest, NowhereToWrite) {
  const std::string path = folder_ + "/no/such/folder/keyring.json";
  EXPECT_EQ(base::ReasonOf(Keyring::LoadOrCreate(path, random_).status()), "KEYRING_UNWRITABLE");
}

TEST_F(KeyringTest, Malformed) {
  const std::string pepper1 = "{\"id\":1,\"key\":\"" + kKey1 + "\"}";
  const auto file = [](const std::string& format, const std::string& primary,
                       const std::string& peppers) {
    return "{\"format\":" + format + ",\"primary\":" + primary + ",\"peppers\":[" + peppers + "]}";
  };
  std::string seventeen = pepper1;
  for (int i = 2; i <= 17; ++i) {
    seventeen += ",{\"id\":" + std::to_string(i) + ",\"key\":\"" + kKey1 + "\"}";
  }
  const std::string good = file("1", "1", pepper1);
  std::vector<std::string> table = {
      "",
      " ",
      "null",
      "[]",
      "{}",
      "{\"format\":1}",
      "\"",
      "{",
      good + "x",
      good + good,
      file("2", "1", pepper1),
      file("0", "1", pepper1),
      file("\"1\"", "1", pepper1),
      file("1.0", "1", pepper1),
      file("-1", "1", pepper1),
      file("1", "2", pepper1),
      file("1", "0", pepper1),
      file("1", "01", pepper1),
      file("1", "4294967297", pepper1),
      file("1", "99999999999999999999999999", pepper1),
      file("1", "1", ""),
      file("1", "1", pepper1 + ","),
      file("1", "1", pepper1 + "," + pepper1),
      file("1", "1", seventeen),
      file("1", "1", "{\"id\":1}"),
      file("1", "1", "{\"key\":\"" + kKey1 + "\"}"),
      file("1", "1", "{\"id\":1,\"key\":\"\"}"),
      file("1", "1", "{\"id\":1,\"key\":\"" + kKey1 + "1\"}"),
      file("1", "1", "{\"id\":1,\"key\":\"" + kKey1.substr(2) + "\"}"),
      file("1", "1", "{\"id\":1,\"key\":\"" + kKey1.substr(1) + "g\"}"),
      file("1", "1", "{\"id\":1,\"key\":\"" + kKey1.substr(2) + "\\u\"}"),
      file("1", "1", "{\"id\":1,\"id\":1,\"key\":\"" + kKey1 + "\"}"),
      file("1", "1", "{\"id\":1,\"key\":\"" + kKey1 + "\",\"note\":\"x\"}"),
      "{\"format\":1,\"format\":1,\"primary\":1,\"peppers\":[" + pepper1 + "]}",
      good.substr(0, good.size() - 1) + ",\"extra\":1}",
      std::string(70'000, ' '),
      std::string(1000, '['),
      std::string("\xef\xbb\xbf") + good};
  for (size_t n = 0; n < good.size(); ++n) table.push_back(good.substr(0, n));
  for (const std::string& text : table) {
    Write(text);
    const auto status = Keyring::Load(path_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << text;
    EXPECT_EQ(base::ReasonOf(status), "KEYRING_MALFORMED") << text;
    EXPECT_EQ(status.message().find("11111111"), absl::string_view::npos) << "a key was quoted";
    EXPECT_EQ(base::ReasonOf(Keyring::LoadOrCreate(path_, random_).status()), "KEYRING_MALFORMED");
  }
}

TEST_F(KeyringTest, AMalformedOneIsToldWhatIsWrongWithIt) {
  const std::string pepper1 = "{\"id\":1,\"key\":\"" + kKey1 + "\"}";
  std::string seventeen = pepper1;
  for (int i = 2; i <= 17; ++i) {
    seventeen += ",{\"id\":" + std::to_string(i) + ",\"key\":\"" + kKey1 + "\"}";
  }
  const std::string head = "{\"format\":1,\"primary\":1,\"peppers\":[";
  const std::vector<std::pair<std::string, std::string>> table = {
      {"[]", "not JSON of the form"},
      {"{\"format\":2,\"primary\":1,\"peppers\":[" + pepper1 + "]}", "its format is 2"},
      {"{\"primary\":1,\"peppers\":[" + pepper1 + "]}", "lacks its format"},
      {head + "]}", "has no pepper"},
      {"{\"format\":1,\"primary\":2,\"peppers\":[" + pepper1 + "]}", "none of its peppers"},
      {head + pepper1 + "," + pepper1 + "]}", "two peppers have the id 1"},
      {head + seventeen + "]}", "more than 16 peppers"},
      {head + "{\"id\":1}]}", "lacks its id or its key"},
      {head + "{\"id\":1,\"key\":\"abc\"}]}", "64 hexadecimal digits"},
      {head + "{\"id\":1,\"note\":\"x\"}]}", "and nothing else"},
      {head + pepper1 + "],\"extra\":1}", "and nothing else"}};
  for (const auto& [text, told] : table) {
    Write(text);
    EXPECT_NE(Keyring::Load(path_).status().message().find(told), absl::string_view::npos)
        << text << '\n'
        << Keyring::Load(path_).status();
  }
}

TEST_F(KeyringTest, ACheckValueTellsAPepperFromAnother) {  // I7
  Write("{\"format\":1,\"primary\":1,\"peppers\":[{\"id\":1,\"key\":\"" + kKey2 + "\"}]}");
  const Keyring ring = Keyring::Load(path_).value();
  const auto values = ring.CheckValues();
  ASSERT_EQ(values.size(), 1u);
  EXPECT_EQ(values[0].first, 1u);
  // By another implementation: blake2b("tollgate keyring check", key, 32 bytes).
  EXPECT_EQ(absl::BytesToHexString(values[0].second),
            "cc4e19b72d32c36a9423ff8e619eefdd4432b321266f132627a9abc216d5b460");
  const auto rotated = instruments::KeyringOf({{1, kKey2}, {2, kKey1}}, 2).CheckValues();
  ASSERT_EQ(rotated.size(), 2u);
  EXPECT_EQ(rotated[0], values[0]);
  EXPECT_EQ(rotated[1].first, 2u);
  EXPECT_NE(rotated[1].second, values[0].second);
}

}  // namespace
}  // namespace tollgate::token
