// ValidationService.Hold, the wire: one stream of a holder.
#ifndef TOLLGATE_VALIDATOR_FRONTS_HOLD_STREAM_H_
#define TOLLGATE_VALIDATOR_FRONTS_HOLD_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <memory>

#include "base/clock.h"
#include "net/reactor.h"
#include "tollgate/v1/validation_service.pb.h"
#include "validator/core/holds.h"
#include "validator/core/validator.h"
#include "validator/fronts/front.h"

namespace tollgate::validator {

// The longest message of a holder: a token string, and the largest requirement with room to spare.
inline constexpr size_t kLongestHoldRequest = 64 << 10;

// Reads requests as bytes, so that the token string can be wiped where the transport read it (I6),
// and gives each to the core; writes what the core has for the holder. The first error ends the
// stream, and its holds with it, because a holder that errs has lost count. Errors:
// INVALID_ARGUMENT MALFORMED_REQUEST, REQUEST_TOO_LARGE, those of ReadRequirement and of Holds;
// UNAVAILABLE TOO_SLOW (CANCELLED where the holder takes nothing at all); UNAVAILABLE DRAINING once
// everything has Ended, when this edge is going; those of Holds::Join.
class HoldStream final : public net::BidiStream<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // All of these outlive the server's calls.
  static grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Serve(
      grpc::CallbackServerContext* context, Validator* validator, const base::Clock* clock,
      FrontCounts* counts);

  HoldStream(grpc::CallbackServerContext* context, Validator* validator, const base::Clock* clock,
             FrontCounts* counts)
      : BidiStream(context, clock), validator_(*validator), clock_(*clock), counts_(*counts) {}

 private:
  void OnMessage(grpc::ByteBuffer& message) override;
  bool NextToWrite(grpc::ByteBuffer* out) override;
  void OnEnded() override;
  // Cuts the stream off where the holder has taken nothing for too long.
  void WakeOrAbort();

  absl::Status Take(const grpc::ByteBuffer& message);
  absl::Status TakeOpen(tollgate::v1::HoldRequest::Open* open);

  Validator& validator_;
  const base::Clock& clock_;
  FrontCounts& counts_;
  Holds::HolderRef holder_;  // set before the stream starts; null: refused
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_HOLD_STREAM_H_
