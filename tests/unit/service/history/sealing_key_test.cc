#include "service/history/sealing_key.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

constexpr char kEpoch[] = "0123456789abcdef0123456789abcdef";
constexpr char kNext[] = "ffffffffffffffffffffffffffffffff";

class SealingKeyTest : public ::testing::Test {
 protected:
  SealingKeyTest() {
    base::InitSecrets();
    std::string folder = absl::StrCat(testing::TempDir(), "/seal-XXXXXX");
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = absl::StrCat(folder, "/s.seal");
  }
  ~SealingKeyTest() override { std::filesystem::remove_all(folder_); }
  SealingKey Open(const std::string& epoch = kEpoch) {
    absl::StatusOr<SealingKey> key = OpenSealingKey(path_, epoch, base::SystemRandom());
    EXPECT_TRUE(key.ok()) << key.status();
    return *std::move(key);
  }
  std::string Refusal() {
    return base::ReasonOf(OpenSealingKey(path_, kEpoch, base::SystemRandom()).status());
  }
  std::string Bytes() {
    std::ifstream file(path_);
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  v1::Proof Sealed(const SealingKey& key) {
    v1::Proof proof;
    proof.set_revision(7);
    key.sealer->Seal(&proof);
    return proof;
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(SealingKeyTest, IsMadeOnceAndFoundAgain) {
  const SealingKey made = Open();
  EXPECT_EQ(made.origin, SealingKeyOrigin::kMade);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_TRUE(absl::StartsWith(Bytes(), absl::StrCat("tollgate-seal-1 ", kEpoch, " ")));
  const SealingKey found = Open();
  EXPECT_EQ(found.origin, SealingKeyOrigin::kFound);
  EXPECT_TRUE(found.sealer->IsSealed(Sealed(made)));
}

TEST_F(SealingKeyTest, ANewEpochGetsAFreshOne) {
  const SealingKey before = Open();
  const SealingKey after = Open(kNext);
  EXPECT_EQ(after.origin, SealingKeyOrigin::kReplaced);
  EXPECT_FALSE(after.sealer->IsSealed(Sealed(before)));
  EXPECT_EQ(Open(kNext).origin, SealingKeyOrigin::kFound);
}

TEST_F(SealingKeyTest, ALostOneIsMadeAnew) {
  const SealingKey before = Open();
  std::filesystem::remove(path_);
  const SealingKey after = Open();
  EXPECT_EQ(after.origin, SealingKeyOrigin::kMade);
  EXPECT_FALSE(after.sealer->IsSealed(Sealed(before)));
}

TEST_F(SealingKeyTest, ADamagedOneIsNotGuessedAt) {
  Open();
  const std::string good = Bytes();
  for (const std::string& bad :
       {std::string(), std::string("nonsense\n"), good.substr(0, good.size() - 3),
        absl::StrCat("tollgate-seal-2 ", good.substr(16)), absl::StrCat(good, "more\n"),
        std::string(2000, 'x')}) {
    std::ofstream(path_, std::ios::trunc) << bad;
    EXPECT_EQ(Refusal(), "SEALING_KEY_MALFORMED") << bad;
    EXPECT_EQ(Bytes(), bad) << "it is left as it was";
  }
}

TEST_F(SealingKeyTest, NobodyElseMayReadIt) {
  Open();
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  EXPECT_EQ(Refusal(), "SEALING_KEY_PERMISSIONS");
}

TEST_F(SealingKeyTest, WithoutAFileItIsThisProcesssAlone) {
  const absl::StatusOr<SealingKey> a = OpenSealingKey("", kEpoch, base::SystemRandom());
  const absl::StatusOr<SealingKey> b = OpenSealingKey("", kEpoch, base::SystemRandom());
  EXPECT_FALSE(b->sealer->IsSealed(Sealed(*a)));
}

TEST_F(SealingKeyTest, ItsGroupMayReadItWhereThatIsAskedForByName) {
  const SealingKey made = Open();
  ASSERT_EQ(chmod(path_.c_str(), 0660), 0);
  EXPECT_EQ(Refusal(), "SEALING_KEY_PERMISSIONS");
  const absl::StatusOr<SealingKey> found =
      OpenSealingKey(path_, kEpoch, base::SystemRandom(), token::SecretReaders::kOwnerAndGroup);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->origin, SealingKeyOrigin::kFound);
}

}  // namespace
}  // namespace tollgate::service
