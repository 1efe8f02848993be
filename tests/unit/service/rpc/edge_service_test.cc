// EdgeService over real gRPC, in one process, on the store in memory.
#include "service/rpc/edge_service.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "net/error.h"
#include "prometheus/registry.h"
#include "service/feed/hub.h"
#include "storage/memory/memory_engine.h"
#include "storage/schema.h"
#include "storage/start_command.h"
#include "tests/unit/service/feed/hello_proof.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kPatience = absl::Seconds(20);

// Writes whatever a test wants, and tells of it.
class Write : public storage::Command {
 public:
  explicit Write(std::function<void(const storage::Slot&, storage::Effects&)> run)
      : run_(std::move(run)) {}
  absl::string_view name() const override { return "write"; }
  absl::Status Run(const storage::View&, const storage::Slot& slot,
                   storage::Effects& effects) override {
    run_(slot, effects);
    return absl::OkStatus();
  }

 private:
  const std::function<void(const storage::Slot&, storage::Effects&)> run_;
};

class AdmitAll : public Access {
 public:
  absl::Status Authorize(const net::Caller&, Permission, absl::string_view) const override {
    return absl::OkStatus();
  }
};

class EdgeServiceTest : public ::testing::Test {
 protected:
  EdgeServiceTest() : keyring_(MakeKeyring()), metrics_(registry_) {}
  static token::Keyring MakeKeyring() {
    base::InitSecrets();
    return token::Keyring::Generate(base::SystemRandom());
  }

  void SetUp() override {
    engine_ = *storage::MemoryEngine::Open();
    executor_ = std::make_unique<base::ThreadPool>(2, 100);
    storage::Sequencer::Options sequencer;
    sequencer.engine = engine_.get();
    sequencer.clock = &base::SystemClock();
    sequencer_ = *storage::Sequencer::Start(sequencer);
    ASSERT_TRUE(sequencer_
                    ->Run(std::make_shared<storage::ServiceStarted>(
                        "test", base::SystemRandom().Hex(16), ""))
                    .ok());
    Hub::Options hub;
    hub.sealer = SealerOf('k');
    hub.engine = engine_.get();
    hub.sequencer = sequencer_.get();
    hub.clock = &base::SystemClock();
    hub.random = &base::SystemRandom();
    hub.executor = executor_.get();
    hub.stall_limit = absl::Seconds(2);
    absl::StatusOr<std::unique_ptr<Hub>> started = Hub::Start(hub);
    ASSERT_TRUE(started.ok()) << started.status();
    hub_ = *std::move(started);
    deps_.engine = engine_.get();
    deps_.sequencer = sequencer_.get();
    deps_.hub = hub_.get();
    deps_.reads = executor_.get();
    deps_.access = &access_;
    deps_.clock = &base::SystemClock();
    deps_.random = &base::SystemRandom();
    deps_.keyring = &keyring_;
    deps_.format = &format_;
    deps_.metrics = &metrics_;
    service_ = std::make_unique<EdgeService>(&deps_);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    stub_ = v1::EdgeService::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    hub_->Drain(absl::ZeroDuration());
    server_->Shutdown();
    server_.reset();
    executor_->Stop();
    hub_.reset();
    sequencer_->Stop();
  }

  int64_t Run(std::function<void(const storage::Slot&, storage::Effects&)> run) {
    absl::StatusOr<storage::Committed> done =
        sequencer_->Run(std::make_shared<Write>(std::move(run)));
    EXPECT_TRUE(done.ok()) << done.status();
    return done->revision;
  }
  int64_t Tell(size_t bytes = 16) {
    return Run([bytes](const storage::Slot&, storage::Effects& effects) {
      effects.PutRaw(storage::Table::kLabels, "touched", "");
      v1::Event event;
      event.mutable_token_changed()->set_workspace("acme");
      event.mutable_token_changed()->set_token_id(std::string(bytes, 't'));
      effects.Tell(event);
    });
  }
  // Puts a token under the digest of `token_string`.
  int64_t AddToken(const std::string& token_string, const std::string& token_id,
                   const std::string& owner) {
    return Run([&](const storage::Slot& slot, storage::Effects& effects) {
      const token::StoredDigest digest = keyring_.Digest(token::EdgeDigest::Of(token_string));
      store::v1::TokenRecord token;
      token.set_workspace("acme");
      token.set_token_id(token_id);
      token.set_owner(owner);
      token.add_scopes("deploy:write");
      token.set_create_revision(slot.revision);
      token.set_stored_digest(std::string(digest.bytes()));
      effects.Put(storage::Table::kTokens, storage::TokenKey("acme", token_id), token);
      store::v1::DigestRecord record;
      record.set_workspace("acme");
      record.set_token_id(token_id);
      effects.Put(storage::Table::kDigests, digest.bytes(), record);
    });
  }
  v1::ResolveRequest Question(const std::string& token_string) {
    v1::ResolveRequest request;
    request.set_validator_id("edge-1");
    request.set_edge_digest(std::string(token::EdgeDigest::Of(token_string).bytes()));
    request.set_epoch(hub_->epoch());
    return request;
  }
  absl::StatusOr<v1::ResolveResponse> Resolve(const v1::ResolveRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::ResolveResponse response;
    const grpc::Status status = stub_->Resolve(&context, request, &response);
    if (!status.ok()) return net::FromGrpcStatus(status);
    return response;
  }

  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::FollowRequest, v1::FollowResponse>> wire;
    int64_t applied = 0;
    uint64_t sequence = 0;

    v1::FollowResponse Read() {
      v1::FollowResponse message;
      EXPECT_TRUE(wire->Read(&message));
      return message;
    }
    bool Ping() {
      v1::FollowRequest request;
      request.mutable_ping()->set_sequence(++sequence);
      request.mutable_ping()->set_applied_revision(applied);
      return wire->Write(request);
    }
    v1::Pong PingPong() {
      EXPECT_TRUE(Ping());
      while (true) {
        const v1::FollowResponse message = Read();
        if (message.has_pong()) return message.pong();
        if (!message.has_events()) return v1::Pong();
        for (const auto& r : message.events().revisions()) applied = r.revision();
      }
    }
    absl::Status End() {
      wire->WritesDone();
      v1::FollowResponse message;
      while (wire->Read(&message)) {
      }
      return net::FromGrpcStatus(wire->Finish());
    }
  };
  std::unique_ptr<Stream> Follow(const std::string& id, const std::string& epoch = "",
                                 int64_t applied = 0) {
    auto stream = std::make_unique<Stream>();
    stream->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stream->wire = stub_->Follow(&stream->context);
    v1::FollowRequest request;
    request.mutable_hello()->set_validator_id(id);
    request.mutable_hello()->set_incarnation(std::string(16, 'i'));
    request.mutable_hello()->set_epoch(epoch);
    request.mutable_hello()->set_applied_revision(applied);
    if (applied > 0) {
      *request.mutable_hello()->mutable_proof() =
          HelloProof(*engine_, hub_->history(), SealerOf('k'), applied);
    }
    // May fail, where the service has refused the call by now; what the stream then says is what
    // counts, and each test reads it.
    stream->wire->Write(request);
    stream->applied = applied;
    return stream;
  }
  v1::Receipt Wait(int64_t revision) {
    absl::Mutex mu;
    absl::optional<v1::Receipt> receipt;
    hub_->WaitEnforced({revision, "", ""}, kPatience, [&](v1::Receipt r) {
      absl::MutexLock lock(&mu);
      receipt = std::move(r);
    });
    absl::MutexLock lock(&mu);
    const auto there = [&] { return receipt.has_value(); };
    mu.Await(absl::Condition(&there));
    return *receipt;
  }

  const token::Keyring keyring_;
  const token::TokenFormat format_;
  const AdmitAll access_;
  prometheus::Registry registry_;
  ServerMetrics metrics_;
  RpcDeps deps_;
  std::unique_ptr<storage::MemoryEngine> engine_;
  std::unique_ptr<base::ThreadPool> executor_;
  std::unique_ptr<storage::Sequencer> sequencer_;
  std::unique_ptr<Hub> hub_;
  std::unique_ptr<EdgeService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::EdgeService::Stub> stub_;
};

TEST_F(EdgeServiceTest, ResolvesAGrantAtEpochAndRevision) {
  const int64_t created = AddToken("a secret", "4mXp81QzR0aYc7Ld", "team-ci");
  const auto answer = Resolve(Question("a secret"));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->epoch(), hub_->epoch());
  EXPECT_EQ(answer->revision(), created);
  EXPECT_EQ(answer->grant().token(), "workspaces/acme/tokens/4mXp81QzR0aYc7Ld");
  EXPECT_EQ(answer->grant().state(), v1::TOKEN_STATE_ACTIVE);
  EXPECT_EQ(answer->grant().create_revision(), created);
  EXPECT_THAT(answer->grant().scopes(), ElementsAre("deploy:write"));
  // The cohort of its owner covers it.
  Run([&](const storage::Slot& slot, storage::Effects& effects) {
    store::v1::CohortRecord cohort;
    cohort.set_workspace("acme");
    cohort.set_owner("team-ci");
    cohort.set_revision(slot.revision);
    effects.Put(storage::Table::kCohorts, storage::CohortKey("acme", "team-ci"), cohort);
  });
  EXPECT_EQ(Resolve(Question("a secret"))->grant().state(), v1::TOKEN_STATE_REVOKED);
}

TEST_F(EdgeServiceTest, UnknownIsSaidFromTheStore) {
  const auto answer = Resolve(Question("nobody's"));
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->unknown());
  EXPECT_EQ(answer->revision(), hub_->head());
}

TEST_F(EdgeServiceTest, R12NeverBelowWhatTheValidatorHasApplied) {
  v1::ResolveRequest request = Question("nobody's");
  request.set_applied_revision(hub_->head() + 1);
  const absl::Status behind = Resolve(request).status();
  EXPECT_EQ(behind.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(base::ReasonOf(behind), "BEHIND");
  request.set_epoch("another");  // answered with ours
  const auto answer = Resolve(request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->epoch(), hub_->epoch());
}

TEST_F(EdgeServiceTest, BadQuestionsAreRefusedByField) {
  v1::ResolveRequest request = Question("x");
  request.set_edge_digest("short");
  EXPECT_EQ(base::ReasonOf(Resolve(request).status()), "DIGEST_MALFORMED");
  request = Question("x");
  request.set_validator_id("");
  absl::Status status = Resolve(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(status), "VALIDATOR_ID_MALFORMED");
  ASSERT_EQ(base::DetailsOf(status).fields.size(), 1u);
  EXPECT_EQ(base::DetailsOf(status).fields[0].field, "validator_id");
}

TEST_F(EdgeServiceTest, FollowsGrantsAndAcknowledges) {
  auto a = Follow("edge-1");
  const v1::FollowResponse welcome = a->Read();
  ASSERT_TRUE(welcome.welcome().reset());
  a->applied = welcome.welcome().revision();
  EXPECT_EQ(a->PingPong().lease().seconds(), 30);
  const int64_t r = Tell();
  const v1::FollowResponse events = a->Read();
  ASSERT_EQ(events.events().revisions_size(), 1);
  EXPECT_EQ(events.events().revisions(0).revision(), r);
  a->applied = r;
  EXPECT_TRUE(a->Ping());
  const v1::Receipt receipt = Wait(r);
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.acknowledged(), 1);
  v1::FollowRequest goodbye;
  goodbye.mutable_goodbye();
  EXPECT_TRUE(a->wire->Write(goodbye));
  EXPECT_TRUE(a->End().ok());
  EXPECT_EQ(Wait(Tell()).state(), v1::ENFORCEMENT_STATE_ENFORCED);
}

TEST_F(EdgeServiceTest, ResumesExactly) {
  const int64_t at = Tell();
  Tell();
  Tell();
  auto a = Follow("edge-1", hub_->epoch(), at);
  EXPECT_FALSE(a->Read().welcome().reset());
  std::vector<int64_t> got;
  while (got.size() < 2) {
    const v1::FollowResponse message = a->Read();
    ASSERT_TRUE(message.has_events());
    for (const auto& r : message.events().revisions()) got.push_back(r.revision());
  }
  EXPECT_THAT(got, ElementsAre(at + 1, at + 2));
  EXPECT_TRUE(a->End().ok());
}

TEST_F(EdgeServiceTest, TheFutureIsRefusedWithReasonAndField) {
  auto a = Follow("edge-1", hub_->epoch(), 1'000'000);
  EXPECT_EQ(a->Read().go_away().reason(), "other_history");
  const absl::Status end = a->End();
  EXPECT_EQ(end.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(base::ReasonOf(end), "STORE_ROLLED_BACK");
  ASSERT_EQ(base::DetailsOf(end).fields.size(), 1u);
  EXPECT_EQ(base::DetailsOf(end).fields[0].field, "hello.proof.revision");
}

TEST_F(EdgeServiceTest, ABadHelloIsRefusedByField) {
  auto a = Follow("edge 1");
  const absl::Status end = a->End();
  EXPECT_EQ(end.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(end), "VALIDATOR_ID_MALFORMED");
}

TEST_F(EdgeServiceTest, I5ACallThatIsNeverReadIsCutAndOthersFeelNothing) {
  auto slow = Follow("slow");
  slow->Read();
  auto quick = Follow("quick");
  quick->applied = quick->Read().welcome().revision();
  EXPECT_TRUE(quick->PingPong().has_lease());
  int64_t last = 0;
  for (int i = 0; i < 4000; ++i) last = Tell(10'000);  // 40 MB: past any buffer of the wire
  while (quick->applied < last) {
    const v1::FollowResponse message = quick->Read();
    ASSERT_TRUE(message.has_events());
    for (const auto& r : message.events().revisions()) quick->applied = r.revision();
  }
  const absl::Time deadline = absl::Now() + kPatience;
  while (hub_->stats().cut == 0 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(hub_->stats().cut, 1);
  EXPECT_TRUE(quick->PingPong().has_lease());
  EXPECT_TRUE(quick->End().ok());
}

TEST_F(EdgeServiceTest, DrainEndsStreamsInOrder) {
  auto a = Follow("edge-1");
  a->Read();
  hub_->Drain(kPatience);
  EXPECT_EQ(a->Read().go_away().reason(), "draining");
  EXPECT_TRUE(a->End().ok());
  auto late = Follow("edge-2");
  EXPECT_EQ(base::ReasonOf(late->End()), "DRAINING");
}

TEST_F(EdgeServiceTest, ManyFollowersShareOneEvent) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 50; ++i) {
    streams.push_back(Follow(absl::StrCat("edge-", i)));
    streams.back()->applied = streams.back()->Read().welcome().revision();
    ASSERT_TRUE(streams.back()->PingPong().has_lease());
  }
  const int64_t r = Tell();
  for (auto& stream : streams) {
    stream->applied = stream->Read().events().revisions(0).revision();
    ASSERT_TRUE(stream->Ping());
  }
  EXPECT_EQ(Wait(r).acknowledged(), 50);
  for (auto& stream : streams) EXPECT_TRUE(stream->End().ok());
}

}  // namespace
}  // namespace tollgate::service
