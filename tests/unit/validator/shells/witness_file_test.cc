#include "validator/shells/witness_file.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/secret.h"
#include "base/status.h"
#include "gtest/gtest.h"

namespace tollgate::validator {
namespace {

namespace fs = std::filesystem;

v1::Proof ProofAt(int64_t revision) {
  v1::Proof proof;
  proof.set_store_id(std::string(32, 's'));
  proof.set_epoch(std::string(32, 'e'));
  proof.set_term(std::string(32, 't'));
  proof.set_revision(revision);
  proof.set_fingerprint(std::string(32, 'f'));
  proof.set_mac(std::string(32, 'm'));
  return proof;
}

class WitnessFileTest : public ::testing::Test {
 protected:
  WitnessFileTest() {
    base::InitSecrets();
    std::string folder = absl::StrCat(testing::TempDir(), "/witness-XXXXXX");
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder + "/proof";
  }
  ~WitnessFileTest() override { fs::remove_all(folder_); }
  std::unique_ptr<WitnessFile> Open() {
    absl::StatusOr<std::unique_ptr<WitnessFile>> file = WitnessFile::Open(folder_);
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? *std::move(file) : nullptr;
  }
  std::string Refusal() { return base::ReasonOf(WitnessFile::Open(folder_).status()); }
  int64_t Found() {
    const std::unique_ptr<WitnessFile> file = Open();
    return file->found().has_value() ? file->found()->revision() : -1;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(WitnessFileTest, KeepsTheNewestOverProcesses) {
  EXPECT_EQ(Found(), -1);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  for (int64_t revision : {7, 8, 9}) {
    Open()->Keep(ProofAt(revision));
    EXPECT_EQ(Found(), revision);
  }
  {
    const std::unique_ptr<WitnessFile> file = Open();
    for (int64_t revision = 10; revision < 20; ++revision) file->Keep(ProofAt(revision));
    file->Keep(ProofAt(3));  // of another history: newest is what was kept last
  }
  const std::unique_ptr<WitnessFile> file = Open();
  ASSERT_TRUE(file->found().has_value());
  EXPECT_EQ(file->found()->SerializeAsString(), ProofAt(3).SerializeAsString());
}

TEST_F(WitnessFileTest, ATornSlotIsPassedOver) {
  {
    const std::unique_ptr<WitnessFile> file = Open();
    file->Keep(ProofAt(7));  // in slot 1
    file->Keep(ProofAt(8));  // in slot 0
  }
  {
    std::fstream bytes(path_, std::ios::binary | std::ios::in | std::ios::out);
    bytes.seekp(60);
    bytes.put('!');
  }
  EXPECT_EQ(Found(), 7);
  Open()->Keep(ProofAt(9));
  EXPECT_EQ(Found(), 9);
}

TEST_F(WitnessFileTest, IsOneValidatorsAlone) {
  const std::unique_ptr<WitnessFile> file = Open();
  EXPECT_EQ(Refusal(), "STATE_DIR_IN_USE");
}

TEST_F(WitnessFileTest, LeavesAFileAloneThatIsNoneOfIts) {
  std::ofstream(path_) << "a text";
  EXPECT_EQ(Refusal(), "STATE_DIR_UNUSABLE");
  fs::remove(path_);
  std::ofstream(path_) << std::string(4096, 'x');
  EXPECT_EQ(Refusal(), "STATE_DIR_UNUSABLE");
  fs::remove(path_);
  fs::create_symlink("elsewhere", path_);
  EXPECT_EQ(Refusal(), "STATE_DIR_UNUSABLE");
  folder_ += "/not-there";
  EXPECT_EQ(Refusal(), "STATE_DIR_UNUSABLE");
  folder_.resize(folder_.size() - 10);
}

}  // namespace
}  // namespace tollgate::validator
