// A store in memory, a clock that stands still, and commands that each get a commit of their own.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_COMMAND_FIXTURE_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_COMMAND_FIXTURE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/secret.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/records/field_time.h"
#include "service/tokens/create_token.h"
#include "service/tokens/revoke_token.h"
#include "service/tokens/rotate_token.h"
#include "service/tokens/suspend_token.h"
#include "service/workspaces/set_policy.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/sequencer.h"
#include "token/resource_name.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::service {

inline std::string Reason(const absl::Status& status) {
  return status.ok() ? "OK" : base::ReasonOf(status);
}
template <typename T>
std::string Reason(const absl::StatusOr<T>& result) {
  return Reason(result.status());
}
// The one field a refusal names; "" where it names none.
inline std::string Field(const absl::Status& status) {
  const base::ErrorDetails details = base::DetailsOf(status);
  return details.fields.size() == 1 ? details.fields[0].field : "";
}
inline std::string Metadata(const absl::Status& status, const std::string& key) {
  for (const auto& pair : base::DetailsOf(status).metadata) {
    if (pair.first == key) return pair.second;
  }
  return "";
}

// Writes what no command would.
class Damage : public storage::Command {
 public:
  explicit Damage(std::function<void(storage::Effects&)> what) : what_(std::move(what)) {}
  absl::string_view name() const override { return "damage"; }
  absl::Status Run(const storage::View&, const storage::Slot&, storage::Effects& effects) override {
    what_(effects);
    return absl::OkStatus();
  }

 private:
  const std::function<void(storage::Effects&)> what_;
};

class CommandTest : public ::testing::Test {
 protected:
  CommandTest() {
    base::InitSecrets();
    engine_ = storage::MemoryEngine::Open().value();
  }

  std::unique_ptr<storage::Snapshot> View() { return engine_->NewSnapshot().value(); }
  int64_t Head() { return View()->revision(); }

  // Runs commands as one batch, and commits it.
  std::vector<absl::Status> RunAll(const std::vector<storage::Command*>& commands) {
    const auto snapshot = View();
    storage::BatchTime time(now_);
    time.in_doubt = clock_in_doubt_;
    time.jumped_to = jumped_to_;
    auto outcome = storage::RunBatch(*snapshot, time, commands);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    events_.clear();
    if (outcome->has_effects) {
      const auto result = engine_->Commit(outcome->request);
      EXPECT_TRUE(result.ok() && result->committed) << result.status();
      for (const auto& event : outcome->request.events.events().events()) events_.push_back(event);
    }
    std::vector<absl::Status> statuses;
    for (const auto& one : outcome->results) statuses.push_back(one.status());
    return statuses;
  }
  absl::Status RunOne(storage::Command& command) { return RunAll({&command})[0]; }
  // As Damage.
  void Harm(std::function<void(storage::Effects&)> what) {
    Damage damage(std::move(what));
    ASSERT_TRUE(RunOne(damage).ok());
  }
  // Runs the command that Make made, and returns it with its answer.
  template <typename C>
  absl::StatusOr<std::shared_ptr<C>> Do(absl::StatusOr<std::shared_ptr<C>> command) {
    if (!command.ok()) return command.status();
    const int64_t head = Head();
    const absl::Status status = RunOne(**command);
    if (!status.ok()) {
      EXPECT_EQ(head, Head()) << "a refusal wrote something";
      return status;
    }
    return command;
  }

  MintedToken Mint() {
    MintedToken minted;
    const std::string number = absl::StrCat(1'000'000 + ++minted_);
    minted.public_id = std::string(16 - number.size(), 'T') + number;
    minted.stored_digest =
        *token::StoredDigest::FromBytes(std::string(32 - number.size(), 'D') + number);
    minted.pepper_id = 1;
    return minted;
  }
  tollgate::v1::CreateTokenRequest Ask(const std::string& label) {
    tollgate::v1::CreateTokenRequest request;
    request.set_parent("workspaces/acme");
    request.mutable_token()->set_label(label);
    request.mutable_token()->add_scopes("deploy:write");
    return request;
  }
  absl::StatusOr<std::shared_ptr<CreateTokenCommand>> Create(
      const tollgate::v1::CreateTokenRequest& request) {
    return Do(CreateTokenCommand::Make(request, "local", Mint()));
  }
  tollgate::v1::Token Made(const std::string& label, const std::string& owner = "") {
    auto request = Ask(label);
    request.mutable_token()->set_owner(owner);
    auto command = Create(request);
    EXPECT_TRUE(command.ok()) << command.status();
    return (*command)->response().token();
  }
  absl::StatusOr<std::shared_ptr<RotateTokenCommand>> Rotate(
      const std::string& name, absl::optional<absl::Duration> when_silent = absl::nullopt) {
    tollgate::v1::RotateTokenRequest request;
    request.set_name(name);
    if (when_silent.has_value()) {
      *request.mutable_retire_plan()->mutable_when_silent() = base::ToProto(*when_silent);
    }
    return Do(RotateTokenCommand::Make(request, "local", Mint()));
  }
  absl::StatusOr<std::shared_ptr<RevokeTokenCommand>> RevokeOne(const std::string& name,
                                                                const std::string& id = "") {
    tollgate::v1::RevokeTokenRequest request;
    request.set_name(name);
    request.set_reason("in a gist");
    request.set_request_id(id);
    return Do(RevokeTokenCommand::Make(request, "local"));
  }
  absl::StatusOr<std::shared_ptr<SuspendTokenCommand>> Suspend(const std::string& name,
                                                               const std::string& id = "") {
    tollgate::v1::SuspendTokenRequest request;
    request.set_name(name);
    request.set_request_id(id);
    return Do(SuspendTokenCommand::Make(request, "local"));
  }
  absl::StatusOr<std::shared_ptr<ResumeTokenCommand>> Resume(const std::string& name) {
    tollgate::v1::ResumeTokenRequest request;
    request.set_name(name);
    return Do(ResumeTokenCommand::Make(request, "local"));
  }
  absl::StatusOr<std::shared_ptr<SetPolicyCommand>> SetPolicy(
      const tollgate::v1::WorkspacePolicy& policy) {
    tollgate::v1::UpdateWorkspacePolicyRequest request;
    request.set_name("workspaces/acme");
    *request.mutable_policy() = policy;
    request.mutable_update_mask()->add_paths("*");
    return Do(SetPolicyCommand::Make(request, "local"));
  }
  void Use(const tollgate::v1::Token& token, const std::string& edge, absl::Time at,
           int64_t count = 1) {
    tollgate::store::v1::UseRecord use;
    use.set_last_used_us(absl::ToUnixMicros(at));
    use.set_count(count);
    use.set_count_today(count);
    use.set_day(use.last_used_us() / (int64_t{24} * 3600 * 1'000'000));
    ASSERT_TRUE(engine_->MergeUse({{storage::UseKey("acme", token.token_id(), edge), use}}).ok());
  }
  void Refused(const tollgate::v1::Token& token, const std::string& edge,
               tollgate::v1::VerdictReason reason, absl::Time at, int64_t count = 1) {
    tollgate::store::v1::UseRecord use;
    auto* refused = use.add_refused();
    refused->set_reason(reason);
    refused->set_count(count);
    refused->set_first_us(absl::ToUnixMicros(at));
    refused->set_last_us(absl::ToUnixMicros(at));
    ASSERT_TRUE(engine_->MergeUse({{storage::UseKey("acme", token.token_id(), edge), use}}).ok());
  }
  size_t Count(storage::Table table) {
    return View()->Scan(table, "", "", 1'000'000).value().size();
  }
  // What is due for the sweep, but for the plans to purge tokens, which every ended one has.
  size_t CountDue() {
    size_t due = 0;
    const auto entries = View()->Scan(storage::Table::kDue, "", "", 1'000'000).value();
    for (const storage::Entry& entry : entries) {
      if (storage::ParseDueKey(entry.key)->kind != storage::DueKind::kPurge) ++due;
    }
    return due;
  }

  std::unique_ptr<storage::MemoryEngine> engine_;
  absl::Time now_ = absl::FromUnixSeconds(1'790'000'000);
  bool clock_in_doubt_ = false;
  absl::optional<absl::Time> jumped_to_;
  std::vector<tollgate::v1::Event> events_;  // of the last commit
  int minted_ = 0;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_COMMAND_FIXTURE_H_
