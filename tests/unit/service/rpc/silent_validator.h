// A validator that never lets a revocation become enforced.
#ifndef TOLLGATE_TESTS_UNIT_SERVICE_RPC_SILENT_VALIDATOR_H_
#define TOLLGATE_TESTS_UNIT_SERVICE_RPC_SILENT_VALIDATOR_H_

#include <memory>
#include <string>

#include "grpcpp/client_context.h"
#include "gtest/gtest.h"
#include "tollgate/v1/edge_service.grpc.pb.h"

namespace tollgate::service {

// A validator that holds a lease and acknowledges nothing afterwards.
class SilentValidator {
 public:
  explicit SilentValidator(tollgate::v1::EdgeService::StubInterface* edge)
      : stream_(edge->Follow(&context_)) {
    tollgate::v1::FollowRequest hello;
    hello.mutable_hello()->set_validator_id("payments/edge-3");
    hello.mutable_hello()->set_incarnation(std::string(16, 'i'));
    hello.mutable_hello()->set_stale_policy(tollgate::v1::STALE_POLICY_FAIL_CLOSED);
    EXPECT_TRUE(stream_->Write(hello));
    tollgate::v1::FollowResponse welcome;
    EXPECT_TRUE(stream_->Read(&welcome));
    EXPECT_TRUE(welcome.has_welcome());
    int64_t applied = welcome.welcome().revision();
    // Pings until it is granted a lease (R15: the roster is written first).
    for (int i = 1; !granted_ && i < 100; ++i) {
      tollgate::v1::FollowRequest ping;
      ping.mutable_ping()->set_sequence(i);
      ping.mutable_ping()->set_applied_revision(applied);
      if (!stream_->Write(ping)) break;
      tollgate::v1::FollowResponse response;
      while (stream_->Read(&response)) {
        if (response.has_pong()) break;
      }
      applied = response.pong().revision();
      granted_ = response.pong().has_lease() &&
                 (response.pong().lease().seconds() > 0 || response.pong().lease().nanos() > 0);
    }
  }
  ~SilentValidator() {
    context_.TryCancel();
    (void)stream_->Finish();
  }
  bool granted() const { return granted_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientReaderWriterInterface<tollgate::v1::FollowRequest, tollgate::v1::FollowResponse>>
      stream_;
  bool granted_ = false;
};

}  // namespace tollgate::service

#endif  // TOLLGATE_TESTS_UNIT_SERVICE_RPC_SILENT_VALIDATOR_H_
