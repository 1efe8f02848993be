#include "validator/fronts/hold_stream.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/status.h"
#include "net/wire.h"
#include "validator/fronts/asked_requirement.h"
#include "validator/fronts/client_address.h"
#include "validator/fronts/native.h"
#include "validator/fronts/presented.h"

namespace tollgate::validator {

using tollgate::v1::HoldRequest;
using tollgate::v1::HoldResponse;

namespace {

// A holder that takes nothing for so long is cut off: its transport lives, and it does not.
constexpr absl::Duration kLongestStall = absl::Seconds(30);

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* HoldStream::Serve(
    grpc::CallbackServerContext* context, Validator* validator, const base::Clock* clock,
    FrontCounts* counts) {
  auto stream = std::make_shared<HoldStream>(context, validator, clock, counts);
  absl::StatusOr<Holds::HolderRef> holder =
      validator->holds().Join([weak = std::weak_ptr<HoldStream>(stream)] {
        if (const auto woken = weak.lock()) woken->WakeOrAbort();
      });
  if (holder.ok()) {
    stream->holder_ = *std::move(holder);
  } else {
    stream->Close(holder.status());
  }
  return stream->Start();
}

void HoldStream::WakeOrAbort() {
  const absl::optional<base::BootTime> since = write_in_flight_since();
  if (since.has_value() && clock_.Now() - *since > kLongestStall) {
    Abort(base::Refuse(absl::StatusCode::kUnavailable, "TOO_SLOW",
                       "The holder does not read what it is told."));
  } else {
    Wake();
  }
}

void HoldStream::OnMessage(grpc::ByteBuffer& message) {
  if (closing()) return WipeBytes(message);
  const absl::Status taken = Take(message);
  if (taken.ok()) return;
  counts_.CountRefused();
  Close(taken);
  // An end waits for the write under way, and a holder that does not read lets it wait for ever.
  if (base::ReasonOf(taken) == "TOO_SLOW" && write_in_flight_since().has_value()) Abort(taken);
}

absl::Status HoldStream::Take(const grpc::ByteBuffer& message) {
  if (message.Length() > kLongestHoldRequest) {
    WipeBytes(message);
    return base::Refuse(absl::StatusCode::kInvalidArgument, "REQUEST_TOO_LARGE",
                        absl::StrCat("A message of a holder has at most ", kLongestHoldRequest,
                                     " bytes; this one has ", message.Length(), "."));
  }
  HoldRequest request;
  const absl::Status parsed = ParseAndWipe(message, &request);
  if (!parsed.ok()) {
    if (request.has_open()) Presented::TakeFrom(request.mutable_open()->mutable_token_string());
    return parsed;
  }
  switch (request.message_case()) {
    case HoldRequest::kHello:
      return validator_.holds().Hello(holder_, request.hello().holder());
    case HoldRequest::kOpen:
      return TakeOpen(request.mutable_open());
    case HoldRequest::kRenew:
      return validator_.holds().Renew(holder_, request.renew().sequence());
    case HoldRequest::kClosed:
      return validator_.holds().Close(holder_, request.closed().hold_id());
    case HoldRequest::MESSAGE_NOT_SET:
      break;
  }
  return base::Refuse(
      absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
      "A message of a holder is hello, open, renew or closed; this one is none of them.");
}

absl::Status HoldStream::TakeOpen(HoldRequest::Open* open) {
  const Presented presented = Presented::TakeFrom(open->mutable_token_string());
  token::Requirement requirement;
  RETURN_IF_ERROR(ReadRequirement(open->requirement(), "open.", &requirement));
  base::IpAddress client;
  RETURN_IF_ERROR(ReadClientAddress(open->client_address(), "open.", &client));
  return validator_.OpenHold(
      holder_, open->hold_id(), presented.token_string(),
      validator_.requirements().Share(requirement),
      [counts = &counts_](const Decision& decision, tollgate::v1::ValidateResponse* words) {
        FillResponse(decision, words);
        counts->CountAnswer(decision.verdict);
      },
      client);
}

bool HoldStream::NextToWrite(grpc::ByteBuffer* out) {
  HoldResponse response;
  switch (validator_.holds().NextMessage(holder_, &response)) {
    case Holds::Next::kMessage:
      *out = net::ToByteBuffer(response);
      return true;
    case Holds::Next::kNothing:
      return false;
    case Holds::Next::kFinished:
      break;
  }
  Close(base::Refuse(absl::StatusCode::kUnavailable, "DRAINING",
                     "This validator is about to stop; everything that was held here has ended."));
  return false;
}

void HoldStream::OnEnded() {
  if (holder_ != nullptr) validator_.holds().Leave(holder_);
}

}  // namespace tollgate::validator
