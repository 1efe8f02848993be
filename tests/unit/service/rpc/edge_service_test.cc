// EdgeService over real gRPC, in one process, on the store in memory.
#include "service/rpc/edge_service.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "net/error.h"
#include "storage/schema.h"
#include "tests/unit/service/feed/hello_proof.h"
#include "tests/unit/service/rpc/rpc_fixture.h"

namespace tollgate::service {
namespace {

using ::testing::ElementsAre;

class EdgeServiceTest : public RpcTest {
 protected:
  void Choose(Hub::Options* hub) override { hub->stall_limit = absl::Seconds(2); }

  int64_t Tell(size_t bytes = 16) { return RpcTest::Tell({Changed("acme", bytes)}); }
  // Puts a token under the digest of `token_string`.
  int64_t AddToken(const std::string& token_string, const std::string& token_id,
                   const std::string& owner) {
    return Commit([&](const storage::Slot& slot, storage::Effects& effects) {
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
    const grpc::Status status = edge_stub_->Resolve(&context, request, &response);
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
    bool Ping() { return wire->Write(PingRequest(++sequence, applied)); }
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
    stream->wire = edge_stub_->Follow(&stream->context);
    v1::FollowRequest request = HelloRequest(id, 'i', epoch, applied);
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
    return AwaitReceipt(*hub_, revision, kRpcPatience, kRpcPatience);
  }
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
  Commit([&](const storage::Slot& slot, storage::Effects& effects) {
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
  EXPECT_TRUE(a->wire->Write(GoodbyeRequest()));
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
  // 40 MB: past any buffer of the wire. The quick one reads along: however slow the machine is, it
  // is never behind for as long as the stall limit.
  for (int round = 0; round < 80; ++round) {
    int64_t last = 0;
    for (int i = 0; i < 50; ++i) last = Tell(10'000);
    while (quick->applied < last) {
      const v1::FollowResponse message = quick->Read();
      ASSERT_TRUE(message.has_events());
      for (const auto& r : message.events().revisions()) quick->applied = r.revision();
    }
  }
  EXPECT_TRUE(ComesTrue([&] { return hub_->stats().cut > 0; }));
  EXPECT_EQ(hub_->stats().cut, 1);
  EXPECT_TRUE(quick->PingPong().has_lease());
  EXPECT_TRUE(quick->End().ok());
}

TEST_F(EdgeServiceTest, DrainEndsStreamsInOrder) {
  auto a = Follow("edge-1");
  a->Read();
  hub_->Drain(kRpcPatience);
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

// Who is held open at an edge may be of any workspace.
TEST_F(EdgeServiceTest, HoldersAreNamedOnlyToWhoRunsTheService) {
  const auto stream = Follow("edge-1");
  stream->applied = stream->Read().welcome().revision();
  const int64_t revision = Tell();
  stream->PingPong();  // which brings the event
  v1::FollowRequest said = PingRequest(++stream->sequence, revision);
  said.mutable_ping()->set_open_holds(1);
  v1::EndedHolds* ended = said.mutable_ping()->add_ended_holds();
  ended->set_revision(revision);
  ended->set_told(1);
  ended->add_unanswered("chat/web-7");
  ASSERT_TRUE(stream->wire->Write(said));
  while (!stream->Read().has_pong()) {
  }
  const auto ask = [&](Role role) {
    JudgeBy({LocalAs(role)});
    v1::GetEnforcementRequest request;
    request.set_revision(revision);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kRpcPatience));
    v1::Receipt receipt;
    const grpc::Status status = stub_->GetEnforcement(&context, request, &receipt);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(receipt.holds_open(), 1);
    return receipt;
  };
  EXPECT_EQ(ask(Role::kReader).edge_holds_size(), 0);
  const v1::Receipt named = ask(Role::kAuditor);
  ASSERT_EQ(named.edge_holds_size(), 1);
  EXPECT_THAT(named.edge_holds(0).unanswered(), ElementsAre("chat/web-7"));
}

}  // namespace
}  // namespace tollgate::service
