#include "service/rpc/enforced_wait.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "lease/limits.h"
#include "service/rpc/last_admits.h"

namespace tollgate::service {
namespace {

// One wait, taken by whichever comes first: the receipt, or the client's going.
class Waiting {
 public:
  Waiting(Hub* hub, std::shared_ptr<RpcCall> call,
          std::function<void(tollgate::v1::Receipt)> answer)
      : hub_(hub), call_(std::move(call)), answer_(std::move(answer)) {}

  // Notes the wait's place with the hub. The client may have gone meanwhile.
  void WaitsAt(const WaitId& place) {
    {
      absl::MutexLock lock(&mu_);
      place_ = place;
      if (call_ != nullptr) return;
    }
    hub_->EndWait(place);
  }

  void Answer(tollgate::v1::Receipt receipt) {
    std::shared_ptr<RpcCall> call;
    std::function<void(tollgate::v1::Receipt)> answer;
    Take(&call, &answer);
    if (call == nullptr) return;
    HideHolders(*call, &receipt);
    answer(std::move(receipt));
    call->FinishWith(absl::OkStatus());
  }

  void LetGo() {
    std::shared_ptr<RpcCall> call;
    std::function<void(tollgate::v1::Receipt)> answer;
    Take(&call, &answer);
    WaitId place;
    {
      absl::MutexLock lock(&mu_);
      place = place_;
    }
    hub_->EndWait(place);
  }

 private:
  void Take(std::shared_ptr<RpcCall>* call, std::function<void(tollgate::v1::Receipt)>* answer) {
    absl::MutexLock lock(&mu_);
    call->swap(call_);
    answer->swap(answer_);
  }

  Hub* const hub_;
  absl::Mutex mu_;
  WaitId place_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<RpcCall> call_ ABSL_GUARDED_BY(mu_);
  std::function<void(tollgate::v1::Receipt)> answer_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<absl::Duration> CheckWait(const google::protobuf::Duration& wait,
                                         absl::string_view field) {
  if (base::FromProto(wait) > lease::kLongestEnforcedWait) {
    return base::RefuseField("WAIT_TOO_LONG", field,
                             "is above 10 min, the longest that a call may wait; wait again with "
                             "WaitEnforced");
  }
  const bool negative = wait.seconds() < 0 && wait.nanos() <= 0;
  if (!base::IsValid(wait) && !negative) {
    return base::RefuseField(
        "WAIT_MALFORMED", field,
        "is no duration: seconds and nanos must agree in sign, and nanos be below "
        "a second");
  }
  if (negative || wait.nanos() < 0) {
    return base::RefuseField("WAIT_NEGATIVE", field, "is below zero; leave it unset not to wait");
  }
  return base::FromProto(wait);
}

void HideHolders(const RpcCall& call, tollgate::v1::Receipt* receipt) {
  if (!call.MayAlso(Permission::kReadOperations, "").ok()) receipt->clear_edge_holds();
}

void WaitThenFinish(std::shared_ptr<RpcCall> call, const ReceiptQuestion& question,
                    absl::Duration wait, std::function<void(tollgate::v1::Receipt)> answer) {
  const absl::Duration left = call->TimeLeft();
  wait = std::min(wait, left - std::min(absl::Milliseconds(100), left / 10));
  const RpcDeps* const deps = &call->deps();
  auto waiting = std::make_shared<Waiting>(deps->hub, call, std::move(answer));
  call->WhenGone([weak = std::weak_ptr<Waiting>(waiting)] {
    if (std::shared_ptr<Waiting> gone = weak.lock()) gone->LetGo();
  });
  call.reset();
  const WaitId place = deps->hub->WaitEnforced(
      question, std::max(wait, absl::ZeroDuration()),
      [waiting, deps, question](tollgate::v1::Receipt receipt) {
        WithLastAdmits(
            *deps, question, std::move(receipt),
            [waiting](tollgate::v1::Receipt complete) { waiting->Answer(std::move(complete)); });
      });
  waiting->WaitsAt(place);
}

}  // namespace tollgate::service
