#include "service/exit_code.h"

#include "base/status.h"
#include "gtest/gtest.h"

namespace tollgate::service {
namespace {

int CodeOf(const char* reason) {
  return ExitCodeFor(base::Refuse(absl::StatusCode::kFailedPrecondition, reason, "no"));
}

TEST(ExitCodeTest, EachCauseHasItsOwn) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeFor(absl::InternalError("")), 1);
  EXPECT_EQ(CodeOf("BAD_FLAG"), 2);
  EXPECT_EQ(CodeOf("JOURNAL_REQUIRED"), 2);
  EXPECT_EQ(CodeOf("ADDRESS_IN_USE"), 3);
  EXPECT_EQ(CodeOf("STORE_IN_USE"), 4);
  EXPECT_EQ(CodeOf("KEYRING_MISSING"), 5);
  EXPECT_EQ(CodeOf("SEALING_KEY_MALFORMED"), 5);
  EXPECT_EQ(CodeOf("STORE_CORRUPT"), 6);
  EXPECT_EQ(CodeOf("STORE_TOO_NEW"), 6);
  EXPECT_EQ(CodeOf("PLAINTEXT_REFUSED"), 7);
  EXPECT_EQ(CodeOf("JOURNAL_UNWRITABLE"), 8);
  EXPECT_EQ(CodeOf("STORE_ROLLED_BACK"), 9);
  EXPECT_EQ(CodeOf("STORE_UNREADABLE"), 10) << "permission denied is no damage";
  EXPECT_EQ(CodeOf("STORE_READ_ONLY"), 10);
  EXPECT_EQ(CodeOf("STORE_DISK_FAILED"), 10);
  EXPECT_EQ(CodeOf("STORE_MISSING"), 11);
  EXPECT_EQ(CodeOf("STORE_DISK_FULL"), 70);
  EXPECT_EQ(CodeOf("TOO_FEW_FILES"), 1);
}

TEST(ExitCodeTest, DamageIsDamageWhoeverReadIt) {
  EXPECT_EQ(ExitCodeFor(absl::DataLossError("a record contradicts itself")), 6);
}

}  // namespace
}  // namespace tollgate::service
