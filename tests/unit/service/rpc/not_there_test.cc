// What a caller may not see is not there: of what is, and of what is not, he is told the same,
// after the same work. Work is counted, since time would tell only of this machine.
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"
#include "grpcpp/generic/generic_stub.h"
#include "net/wire.h"
#include "service/rpc/token_service.h"
#include "service/rpc/workspace_service.h"
#include "tests/unit/service/rpc/role_table.h"
#include "tests/unit/service/rpc/rpc_fixture.h"

namespace tollgate::service {
namespace {

// Counts how often it is asked.
class CountingEngine : public storage::Engine {
 public:
  explicit CountingEngine(storage::Engine* inner) : inner_(inner) {}
  absl::StatusOr<std::unique_ptr<storage::Snapshot>> NewSnapshot() override {
    ++asked;
    return inner_->NewSnapshot();
  }
  absl::StatusOr<storage::CommitResult> Commit(const storage::CommitRequest& request) override {
    ++asked;
    return inner_->Commit(request);
  }
  absl::Status MergeUse(
      const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) override {
    ++asked;
    return inner_->MergeUse(uses);
  }
  absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) override {
    ++asked;
    return inner_->FoldUse(removed, uses);
  }
  absl::StatusOr<std::unique_ptr<storage::Tail>> TailFrom(
      int64_t after, std::function<void(const storage::TailEntry&)> on_entry) override {
    ++asked;
    return inner_->TailFrom(after, std::move(on_entry));
  }
  absl::Status Checkpoint(const std::string& path) override {
    ++asked;
    return inner_->Checkpoint(path);
  }

  std::atomic<int> asked = 0;

 private:
  storage::Engine* const inner_;
};

// Counts the commands that it is given.
class CountingSequencer : public storage::Sequencer {
 public:
  explicit CountingSequencer(storage::Sequencer* inner) : inner_(inner) {}
  void Submit(std::shared_ptr<storage::Command> command, Callback done) override {
    ++asked;
    inner_->Submit(std::move(command), std::move(done));
  }
  void Stop() override {}
  void Halt(absl::Status why) override { inner_->Halt(std::move(why)); }
  base::BootTime last_write_start() const override { return inner_->last_write_start(); }

  std::atomic<int> asked = 0;

 private:
  storage::Sequencer* const inner_;
};

class NotThereTest : public RpcTest {
 protected:
  void SetUp() override {
    RpcTest::SetUp();
    counted_ = std::make_unique<CountingEngine>(engine_.get());
    queue_ = std::make_unique<CountingSequencer>(sequencer_.get());
    deps_.engine = counted_.get();
    deps_.sequencer = queue_.get();
    tokens_ = std::make_unique<TokenService>(&deps_);
    workspaces_ = std::make_unique<WorkspaceService>(&deps_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(tokens_.get());
    builder.RegisterService(workspaces_.get());
    resources_ = builder.BuildAndStart();
    ASSERT_NE(resources_, nullptr);
    generic_ = std::make_unique<grpc::GenericStub>(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
    operations_stub_ = std::make_unique<grpc::GenericStub>(channel_);
    Commit([](const storage::Slot&, storage::Effects& effects) {
      for (const char* id : {"acme", "globex"}) {
        store::v1::WorkspaceRecord record;
        record.set_workspace(id);
        effects.Put(storage::Table::kWorkspaces, id, record);
        store::v1::TokenRecord token;
        token.set_workspace(id);
        token.set_token_id("0000000000000000");
        token.set_label("x");
        effects.Put(storage::Table::kTokens, storage::TokenKey(id, token.token_id()), token);
      }
    });
  }
  void TearDown() override {
    resources_->Shutdown();
    RpcTest::TearDown();
  }

  // All that the caller hears, with the workspace's name taken out.
  std::string Told(const Row& row, const std::string& workspace) {
    const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
        absl::StrCat("tollgate.v1.", row.method));
    const std::unique_ptr<google::protobuf::Message> request(
        google::protobuf::MessageFactory::generated_factory()
            ->GetPrototype(method->input_type())
            ->New());
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        absl::StrReplaceAll(row.request, {{"$W", workspace}}), request.get()));
    const grpc::ByteBuffer bytes = net::ToByteBuffer(*request);
    grpc::ByteBuffer answer;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kRpcPatience));
    absl::Notification done;
    grpc::Status status;
    grpc::GenericStub& stub =
        method->service()->name() == "OperationsService" ? *operations_stub_ : *generic_;
    stub.UnaryCall(&context,
                   absl::StrCat("/tollgate.v1.", method->service()->name(), "/", method->name()),
                   grpc::StubOptions(), &bytes, &answer, [&](grpc::Status ended) {
                     status = std::move(ended);
                     done.Notify();
                   });
    done.WaitForNotification();
    // Of the details the order is any, so they are compared as they are read, and by their size.
    const base::ErrorDetails details = base::DetailsOf(net::FromGrpcStatus(status));
    const std::map<std::string, std::string> metadata(details.metadata.begin(),
                                                      details.metadata.end());
    std::string told =
        absl::StrCat(static_cast<int>(status.error_code()), " ", status.error_message(), " ",
                     details.reason, " ", status.error_details().size());
    for (const auto& [key, value] : metadata) absl::StrAppend(&told, " ", key, "=", value);
    for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
      absl::StrAppend(&told, "\n", std::string(key.data(), key.size()), " ", value.size());
    }
    return absl::StrReplaceAll(told, {{workspace, "W"}});
  }

  std::unique_ptr<CountingEngine> counted_;
  std::unique_ptr<CountingSequencer> queue_;
  std::unique_ptr<TokenService> tokens_;
  std::unique_ptr<WorkspaceService> workspaces_;
  std::unique_ptr<grpc::Server> resources_;
  std::unique_ptr<grpc::GenericStub> generic_;
  std::unique_ptr<grpc::GenericStub> operations_stub_;
};

TEST_F(NotThereTest, OfWhatIsAndOfWhatIsNotHeIsToldTheSameWithoutALook) {
  JudgeBy({LocalAs(Role::kAdmin, {"acme"})});
  int rows = 0;
  for (const Row& row : Table()) {
    if (row.of != Subject::kWorkspace) continue;
    ++rows;
    const int engine_before = counted_->asked;
    const int queue_before = queue_->asked;
    const std::string there = Told(row, "globex");
    EXPECT_TRUE(absl::StartsWith(there, "7 ")) << row.method << ": " << there;
    EXPECT_EQ(there, Told(row, "hidden")) << row.method;
    EXPECT_EQ(counted_->asked, engine_before) << row.method << " asked the store";
    EXPECT_EQ(queue_->asked, queue_before) << row.method << " queued a change";
  }
  EXPECT_GT(rows, 20);
  // Of his own he is told after a look.
  const int before = counted_->asked;
  Told(Table()[1], "acme");
  EXPECT_GT(counted_->asked, before);
}

}  // namespace
}  // namespace tollgate::service
