// Waiting for enforcement: how long, and that whoever has gone waits no more.
#include "service/rpc/enforced_wait.h"

#include <atomic>
#include <thread>

#include "tests/unit/service/rpc/rpc_fixture.h"
#include "tests/unit/service/rpc/silent_validator.h"

namespace tollgate::service {
namespace {

google::protobuf::Duration Of(int64_t seconds, int32_t nanos = 0) {
  google::protobuf::Duration duration;
  duration.set_seconds(seconds);
  duration.set_nanos(nanos);
  return duration;
}

TEST(CheckWaitTest, TakesWhatIsADurationFromNoughtToTheLongest) {
  EXPECT_EQ(CheckWait(Of(0), "timeout").value(), absl::ZeroDuration());
  EXPECT_EQ(CheckWait(Of(0, 1), "timeout").value(), absl::Nanoseconds(1));
  EXPECT_EQ(CheckWait(Of(7, 500'000'000), "timeout").value(), absl::Milliseconds(7500));
  EXPECT_EQ(CheckWait(Of(599, 999'999'999), "timeout").value(),
            absl::Minutes(10) - absl::Nanoseconds(1));
  EXPECT_EQ(CheckWait(Of(600), "timeout").value(), absl::Minutes(10));
}

struct BadWait {
  int64_t seconds;
  int32_t nanos;
  const char* reason;
};
class BadWaitTest : public testing::TestWithParam<BadWait> {};

TEST_P(BadWaitTest, IsRefusedByName) {
  const absl::Status status =
      CheckWait(Of(GetParam().seconds, GetParam().nanos), "wait_enforced").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(base::ReasonOf(status), GetParam().reason);
  ASSERT_EQ(base::DetailsOf(status).fields.size(), 1u);
  EXPECT_EQ(base::DetailsOf(status).fields[0].field, "wait_enforced");
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadWaitTest,
    testing::Values(BadWait{600, 1, "WAIT_TOO_LONG"}, BadWait{601, 0, "WAIT_TOO_LONG"},
                    BadWait{INT64_MAX, 999'999'999, "WAIT_TOO_LONG"},
                    BadWait{-1, 0, "WAIT_NEGATIVE"}, BadWait{0, -1, "WAIT_NEGATIVE"},
                    BadWait{-315'576'000'000, 0, "WAIT_NEGATIVE"},
                    BadWait{INT64_MIN, 0, "WAIT_NEGATIVE"}, BadWait{1, -1, "WAIT_MALFORMED"},
                    BadWait{-1, 1, "WAIT_MALFORMED"}, BadWait{0, 1'000'000'000, "WAIT_MALFORMED"},
                    BadWait{0, -1'000'000'000, "WAIT_MALFORMED"}));

class EnforcedWaitTest : public OperationsTest {
 protected:
  grpc::Status Wait(grpc::ClientContext* context, int64_t revision, absl::Duration timeout,
                    v1::Receipt* receipt, const std::string& token = "") {
    v1::WaitEnforcedRequest request;
    request.set_revision(revision);
    request.set_token(token);
    absl::Duration rest;
    const int64_t seconds = absl::IDivDuration(timeout, absl::Seconds(1), &rest);
    *request.mutable_timeout() = Of(seconds, static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
    return stub_->WaitEnforced(context, request, receipt);
  }
  // With a deadline of `patience`.
  grpc::Status WaitFor(int64_t revision, absl::Duration timeout, v1::Receipt* receipt,
                       absl::Duration patience = kRpcPatience) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
    return Wait(&context, revision, timeout, receipt);
  }
  int64_t waiting() { return hub_->stats().waiting; }
};

TEST_F(EnforcedWaitTest, WithoutValidatorsItEndsAtOnce) {
  const int64_t revision = Tell({Changed("acme")});
  v1::Receipt receipt;
  const grpc::Status status = WaitFor(revision, absl::Minutes(10), &receipt);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_ENFORCED);
  EXPECT_EQ(receipt.revision(), revision);
  EXPECT_EQ(waiting(), 0);
}

TEST_F(EnforcedWaitTest, ATimeThatPassesAnswersTheReceiptAsItStands) {
  SilentValidator silent(edge_stub_.get());
  ASSERT_TRUE(silent.granted());
  const int64_t revision = Tell({Changed("acme")});
  for (const absl::Duration timeout : {absl::ZeroDuration(), absl::Milliseconds(30)}) {
    v1::Receipt receipt;
    const grpc::Status status = WaitFor(revision, timeout, &receipt);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_PENDING) << timeout;
    EXPECT_EQ(receipt.pending_size(), 1) << timeout;
  }
  EXPECT_EQ(waiting(), 0);
}

TEST_F(EnforcedWaitTest, TheClientsDeadlineIsAnsweredInTime) {
  SilentValidator silent(edge_stub_.get());
  ASSERT_TRUE(silent.granted());
  const int64_t revision = Tell({Changed("acme")});
  v1::Receipt receipt;
  const grpc::Status status =
      WaitFor(revision, absl::Minutes(10), &receipt, /*patience=*/absl::Seconds(2));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(receipt.state(), v1::ENFORCEMENT_STATE_PENDING);
}

TEST_F(EnforcedWaitTest, AClientThatGoesLeavesItsPlaceAtOnce) {
  SilentValidator silent(edge_stub_.get());
  ASSERT_TRUE(silent.granted());
  const int64_t revision = Tell({Changed("acme")});
  grpc::ClientContext context;
  std::thread gone([&] {
    EXPECT_TRUE(ComesTrue([&] { return waiting() == 1; }));
    context.TryCancel();
  });
  v1::Receipt receipt;
  EXPECT_EQ(Wait(&context, revision, absl::Minutes(10), &receipt).error_code(),
            grpc::StatusCode::CANCELLED);
  gone.join();
  EXPECT_TRUE(ComesTrue([&] { return waiting() == 0; }));
}

TEST_F(EnforcedWaitTest, ManyWhoGoAsTheyAreAnsweredLeaveNothingBehind) {
  auto silent = std::make_unique<SilentValidator>(edge_stub_.get());
  ASSERT_TRUE(silent->granted());
  const int64_t revision = Tell({Changed("acme")});
  constexpr int kCalls = 32;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::thread> calls;
  std::atomic<int> answered = 0, cancelled = 0;
  for (int i = 0; i < kCalls; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    calls.emplace_back([&, context = contexts.back().get()] {
      v1::Receipt receipt;
      const grpc::Status status = Wait(context, revision, absl::Minutes(10), &receipt);
      if (status.ok()) {
        ++answered;
      } else if (status.error_code() == grpc::StatusCode::CANCELLED) {
        ++cancelled;
      } else {
        ADD_FAILURE() << status.error_message();
      }
    });
  }
  EXPECT_TRUE(ComesTrue([&] { return waiting() == kCalls; }));
  // The hub's end answers all of them while half of the clients go.
  std::thread leaves([&] {
    for (int i = 0; i < kCalls; i += 2) contexts[static_cast<size_t>(i)]->TryCancel();
  });
  hub_->Stop();
  leaves.join();
  for (std::thread& call : calls) call.join();
  EXPECT_EQ(answered + cancelled, kCalls);
  EXPECT_GE(answered, kCalls / 2) << "who stayed was answered";
  EXPECT_EQ(waiting(), 0);
}

TEST_F(EnforcedWaitTest, ARefusedRevisionWaitsForNothing) {
  SilentValidator silent(edge_stub_.get());
  const int64_t revision = Tell({Changed("acme")});
  v1::Receipt receipt;
  EXPECT_EQ(base::ReasonOf(net::FromGrpcStatus(WaitFor(revision + 1, absl::Minutes(1), &receipt))),
            "REVISION_UNKNOWN");
  EXPECT_EQ(base::ReasonOf(net::FromGrpcStatus(WaitFor(revision, absl::Minutes(11), &receipt))),
            "WAIT_TOO_LONG");
  EXPECT_EQ(waiting(), 0);
}

}  // namespace
}  // namespace tollgate::service
