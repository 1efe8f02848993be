#include "service/keyring/record_keyring.h"

#include "tests/instruments/keyring_file.h"
#include "tests/unit/service/command_fixture.h"
#include "token/keyring.h"

namespace tollgate::service {
namespace {

class RecordKeyringTest : public CommandTest {
 protected:
  // The fixture's tokens are made with pepper 1.
  std::string Start(const token::Keyring& keyring) {
    RecordKeyring command(keyring.CheckValues(), "/etc/tollgate/keyring");
    return Reason(RunOne(command));
  }
  int Checks() {
    return storage::GetRecord<store::v1::MetaRecord>(*View(), storage::Table::kMeta,
                                                     storage::kMetaKey)
        .value()
        ->keyring_checks_size();
  }

  const token::Keyring ours_ = instruments::KeyringOf({{1, std::string(64, 'a')}}, 1);
  const token::Keyring other_ = instruments::KeyringOf({{1, std::string(64, 'b')}}, 1);
  const token::Keyring rotated_ =
      instruments::KeyringOf({{1, std::string(64, 'a')}, {2, std::string(64, 'c')}}, 2);
};

TEST_F(RecordKeyringTest, IsWrittenOnce) {
  EXPECT_EQ(Start(ours_), "OK");
  EXPECT_EQ(Checks(), 1);
  const int64_t head = Head();
  EXPECT_EQ(Start(ours_), "OK");
  EXPECT_EQ(Head(), head);
  EXPECT_EQ(Start(rotated_), "OK");
  EXPECT_EQ(Checks(), 2);
}

TEST_F(RecordKeyringTest, AnotherKeyringIsRefused) {  // I7
  EXPECT_EQ(Start(ours_), "OK");
  Made("x");
  const int64_t head = Head();
  EXPECT_EQ(Start(other_), "KEYRING_MISMATCH");
  EXPECT_EQ(Head(), head);
  EXPECT_EQ(Start(ours_), "OK");
}

TEST_F(RecordKeyringTest, AKeyringWithoutAPepperThatIsNeededIsRefused) {  // I7
  EXPECT_EQ(Start(rotated_), "OK");
  Made("x");
  std::vector<std::pair<uint32_t, std::string>> second = {rotated_.CheckValues().back()};
  ASSERT_EQ(second[0].first, 2u);
  RecordKeyring command(second, "f");
  EXPECT_EQ(Reason(RunOne(command)), "KEYRING_MISMATCH");
}

TEST_F(RecordKeyringTest, APepperThatNoTokenNeedsMayGo) {
  EXPECT_EQ(Start(rotated_), "OK");
  Made("x");  // with pepper 1
  EXPECT_EQ(Start(ours_), "OK");
  EXPECT_EQ(Checks(), 1);
}

TEST_F(RecordKeyringTest, AStoreFromBeforeTheChecksTakesTheKeyringItIsStartedWith) {
  Made("x");
  EXPECT_EQ(Start(ours_), "OK");
  EXPECT_EQ(Start(other_), "KEYRING_MISMATCH");
}

}  // namespace
}  // namespace tollgate::service
