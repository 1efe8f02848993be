// The operator token of a store that knows no admin.
#include "service/first_operator.h"

#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/access/change_binding.h"
#include "service/access/operator_tokens.h"
#include "service/records/change.h"
#include "storage/memory/memory_engine.h"
#include "storage/sequencer.h"
#include "token/digest.h"

namespace tollgate::service {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class FirstOperatorTest : public testing::Test {
 protected:
  static token::Keyring MakeKeyring() {
    base::InitSecrets();
    return token::Keyring::Generate(base::SystemRandom());
  }
  FirstOperatorTest() {
    folder_ = testing::TempDir() + "/first_operator_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    storage::Sequencer::Options options;
    options.engine = engine_.get();
    options.clock = &base::SystemClock();
    sequencer_ = storage::Sequencer::Start(std::move(options)).value();
  }
  ~FirstOperatorTest() override { sequencer_->Stop(); }

  std::string file() const { return folder_ + "/store.operator"; }
  absl::Status Make(storage::Sequencer* sequencer = nullptr) {
    return MakeFirstOperator({engine_.get(), sequencer == nullptr ? sequencer_.get() : sequencer,
                              &format_, &keyring_, &base::SystemRandom(), file(),
                              [this](absl::string_view member) {
                                return !cannot_come_ || !absl::StartsWith(member, "unix:");
                              }});
  }
  std::string Written() {
    std::ifstream in(file());
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  std::vector<OperatorToken> Tokens() {
    return StoredOperatorTokens(*engine_->NewSnapshot().value()).value();
  }
  std::vector<Binding> Bindings() {
    return StoredBindings(*engine_->NewSnapshot().value()).value();
  }
  void GrantAdmin(const std::string& member) {
    v1::GrantRoleRequest request;
    request.mutable_binding()->set_role("admin");
    request.mutable_binding()->set_member(member);
    ASSERT_TRUE(sequencer_->Run(GrantRoleCommand::Make(request, "test").value()).ok());
  }
  // Whether the file's token is one of the store's.
  bool IsGood() {
    const std::string text = Written();
    OperatorTokens tokens;
    tokens.Take(Tokens());
    return tokens
        .FindByDigest(keyring_.Candidates(token::EdgeDigest::Of(text.substr(0, text.size() - 1))),
                      base::SystemClock().WallNow())
        .has_value();
  }

  bool cannot_come_ = false;  // users of this host cannot
  const token::Keyring keyring_ = MakeKeyring();
  const token::TokenFormat format_;
  std::string folder_;
  const std::unique_ptr<storage::MemoryEngine> engine_ = storage::MemoryEngine::Open().value();
  std::unique_ptr<storage::Sequencer> sequencer_;
};

TEST_F(FirstOperatorTest, IsMadeOnceForItsOwnersEyes) {
  ASSERT_TRUE(Make().ok());
  struct stat info;
  ASSERT_EQ(stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_TRUE(IsGood());
  ASSERT_THAT(Bindings(), SizeIs(1));
  EXPECT_EQ(Bindings()[0].role, Role::kAdmin);
  EXPECT_EQ(Bindings()[0].member, "operator:admin");
  const std::string before = Written();
  ASSERT_TRUE(Make().ok());
  EXPECT_EQ(Written(), before);
  EXPECT_THAT(Tokens(), SizeIs(1));
}

TEST_F(FirstOperatorTest, WhoHasAnAdminGetsNone) {
  GrantAdmin("spiffe://corp.example/ops");
  ASSERT_TRUE(Make().ok());
  EXPECT_THAT(Tokens(), IsEmpty());
  EXPECT_EQ(access(file().c_str(), F_OK), -1);
}

TEST_F(FirstOperatorTest, AnAdminWhoCannotComeIsNoWayIn) {
  GrantAdmin("unix:root");
  ASSERT_TRUE(Make().ok());
  EXPECT_THAT(Tokens(), IsEmpty());
  cannot_come_ = true;
  ASSERT_TRUE(Make().ok());
  EXPECT_TRUE(IsGood());
  EXPECT_THAT(Bindings(), SizeIs(2));
}

// Runs the commands of another, and refuses them from one on.
class StoppingSequencer : public storage::Sequencer {
 public:
  StoppingSequencer(storage::Sequencer* inner, int most) : inner_(inner), left_(most) {}
  void Submit(std::shared_ptr<storage::Command> command, Callback done) override {
    if (left_-- <= 0) {
      done(absl::UnavailableError("the process was killed"));
      return;
    }
    inner_->Submit(std::move(command), std::move(done));
  }
  void Stop() override {}
  void Halt(absl::Status) override {}
  base::BootTime last_write_start() const override { return inner_->last_write_start(); }
  storage::Sequencer::WriteStart last_write() const override { return inner_->last_write(); }

 private:
  storage::Sequencer* const inner_;
  int left_;
};

// Wherever a first start ends, the next one makes what is missing, and what is in the file is good.
TEST_F(FirstOperatorTest, AStartThatWasKilledIsMadeGoodByTheNext) {
  for (const int commits : {0, 1}) {
    StoppingSequencer stopping(sequencer_.get(), commits);
    EXPECT_FALSE(Make(&stopping).ok());
    EXPECT_FALSE(IsGood());
  }
  ASSERT_TRUE(Make().ok());
  EXPECT_TRUE(IsGood());
  EXPECT_THAT(Bindings(), SizeIs(1));
  EXPECT_THAT(Tokens(), SizeIs(1));
}

TEST_F(FirstOperatorTest, WhereItsFileCannotBeIsSaid) {
  folder_ += "/none";
  const absl::Status refused = Make();
  EXPECT_EQ(base::ReasonOf(refused), "OPERATOR_FILE_UNWRITABLE") << refused;
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("--admin MEMBER"));
  EXPECT_THAT(Tokens(), IsEmpty());
  EXPECT_THAT(Bindings(), IsEmpty());
}

}  // namespace
}  // namespace tollgate::service
