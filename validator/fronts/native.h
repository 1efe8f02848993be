// The native front: tollgate.v1.ValidationService over gRPC, for services that ask by themselves.
#ifndef TOLLGATE_VALIDATOR_FRONTS_NATIVE_H_
#define TOLLGATE_VALIDATOR_FRONTS_NATIVE_H_

#include <grpcpp/grpcpp.h>

#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "tollgate/v1/validation_service.grpc.pb.h"
#include "validator/core/decision.h"
#include "validator/core/validator.h"
#include "validator/fronts/front.h"
#include "validator/fronts/presented.h"

namespace tollgate::validator {

inline constexpr int kMostInBatch = 256;

// Answers every well-formed request with a verdict and status OK. Where it has to ask the service,
// it answers when the service's answer comes, and no thread waits. It takes requests as bytes, so
// that the token string can be wiped where the transport read it (I6), and so that a malformed
// request gets an error that says so. Errors (INVALID_ARGUMENT): MALFORMED_REQUEST; BATCH_SIZE; and
// with the field's path REQUIREMENT_TOO_LARGE (more scopes, or longer ones, than a token can have),
// SCOPE_EXPRESSION_MALFORMED (CONTAINS_TOKEN_STRING where a secret stands in it),
// WORKSPACE_ID_MALFORMED (a resource's name) and CLIENT_ADDRESS_MALFORMED. A bad batch is refused
// as a whole, before any of its checks is decided. Thread-safe.
class NativeFront final : public Front,
                          public tollgate::v1::ValidationService::WithRawCallbackMethod_Validate<
                              tollgate::v1::ValidationService::WithRawCallbackMethod_BatchValidate<
                                  tollgate::v1::ValidationService::WithRawCallbackMethod_Hold<
                                      tollgate::v1::ValidationService::Service>>> {
 public:
  // `validator` outlives the server's calls.
  // `clock` measures how long a holder takes nothing.
  explicit NativeFront(Validator* validator, const base::Clock* clock = &base::SystemClock())
      : validator_(validator), clock_(*clock) {}

  absl::string_view name() const override { return "native"; }
  void RegisterOn(FrontHost* host) override;

  grpc::ServerUnaryReactor* Validate(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* BatchValidate(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  // hold_stream.h.
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Hold(
      grpc::CallbackServerContext* context) override;

 private:
  // Decides on the presented token, from memory or by asking; wipes it before the answer.
  void Check(Presented presented, const token::Requirement& requirement,
             const base::IpAddress& client, Validator::Callback callback);

  // FillResponse, and what only the validator knows.
  void Fill(const Decision& decision, tollgate::v1::ValidateResponse* response) const;

  Validator* const validator_;
  const base::Clock& clock_;
};

// Writes a decision into a response.
void FillResponse(const Decision& decision, tollgate::v1::ValidateResponse* response);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_NATIVE_H_
