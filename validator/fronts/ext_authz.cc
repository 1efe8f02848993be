#include "validator/fronts/ext_authz.h"

#include <grpcpp/alarm.h>
#include <grpcpp/support/slice.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "base/status.h"
#include "net/reactor.h"
#include "validator/fronts/ext_authz_message.h"
#include "validator/fronts/ext_authz_reader.h"
#include "validator/fronts/presented.h"

namespace tollgate::validator {
namespace {

using BytesCall = net::UnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>;

constexpr absl::Duration kLongestMargin = absl::Seconds(1);

// One call, answered once: by the gate, by the clock, or when nobody is left to answer it.
class Asked {
 public:
  Asked(std::shared_ptr<BytesCall> call, Gate* gate, FrontCounts* counts)
      : call_(std::move(call)), gate_(*gate), counts_(*counts) {}
  ~Asked() { GiveUp(); }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;

  // What the request says of the answer's form. Before the question.
  void SetGrpc(bool grpc) { grpc_ = grpc; }

  // Thread-safe: the first answer counts.
  void Answer(const GateAnswer& answer) {
    if (answered_.exchange(true, std::memory_order_acq_rel)) return;
    CountAnswer(answer, &counts_);
    const grpc::Slice bytes(WriteCheckResponse(answer, grpc_));
    call_->Reply(grpc::ByteBuffer(&bytes, 1));
  }
  // Without a decision.
  void Refuse(const absl::Status& why) {
    Answer(gate_.Reject(503, base::ReasonOf(why), why.message()));
  }
  void GiveUp() {
    if (!answered()) Answer(gate_.Reject(503, "SERVICE_UNAVAILABLE", "no answer in time"));
  }
  bool answered() const { return answered_.load(std::memory_order_acquire); }

  // `self` is answered in any case once the caller is about to give up.
  static void AnswerInTime(const std::shared_ptr<Asked>& self) {
    const absl::Duration patience = self->call_->deadline() - absl::Now();
    if (patience == absl::InfiniteDuration()) return;
    const auto when = absl::ToChronoTime(absl::Now() + TimeToAnswer(patience));
    self->alarm_.emplace();
    self->alarm_->Set(when, [waiting = std::weak_ptr<Asked>(self)](bool fired) {
      const std::shared_ptr<Asked> late = fired ? waiting.lock() : nullptr;
      if (late != nullptr) late->GiveUp();
    });
  }

 private:
  const std::shared_ptr<BytesCall> call_;
  Gate& gate_;
  FrontCounts& counts_;
  bool grpc_ = false;
  std::atomic<bool> answered_{false};
  // Only of what is not answered at once. Goes with the last who may answer.
  absl::optional<grpc::Alarm> alarm_;
};

}  // namespace

absl::Duration TimeToAnswer(absl::Duration patience) {
  if (patience <= absl::ZeroDuration()) return absl::ZeroDuration();
  return patience - std::min(patience / 5, kLongestMargin);
}

void ExtAuthzFront::RegisterOn(FrontHost* host) {
  host->AddGrpcService(this, "envoy.service.auth.v3.Authorization");
}

grpc::ServerUnaryReactor* ExtAuthzFront::Check(grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  return BytesCall::ServeAll(
      context, request, response, [this](std::shared_ptr<BytesCall> call, absl::Status good) {
        const grpc::ByteBuffer& bytes = call->request();
        const auto asked = std::make_shared<Asked>(std::move(call), &gate_, &counts_);
        if (bytes.Length() > kMostCheckBytes) {
          WipeBytes(bytes);
          return asked->Refuse(base::Refuse(absl::StatusCode::kResourceExhausted,
                                            "REQUEST_TOO_LARGE", "The request is too long."));
        }
        const RequestBytes held(bytes);
        if (good.ok()) {
          const absl::StatusOr<CheckedRequest> read = ReadCheck(held.view());
          good = read.status();
          if (good.ok()) {
            asked->SetGrpc(read->grpc);
            gate_.Ask(read->request, [asked](const GateAnswer& answer) { asked->Answer(answer); });
          }
        }
        if (!good.ok()) return asked->Refuse(good);
        if (!asked->answered()) Asked::AnswerInTime(asked);
      });
}

}  // namespace tollgate::validator
