// The native front: tollgate.v1.ValidationService over gRPC, for services that ask by themselves.
#ifndef TOLLGATE_VALIDATOR_FRONTS_NATIVE_H_
#define TOLLGATE_VALIDATOR_FRONTS_NATIVE_H_

#include <grpcpp/grpcpp.h>

#include "absl/strings/string_view.h"
#include "tollgate/v1/validation_service.grpc.pb.h"
#include "validator/core/decision.h"
#include "validator/core/validator.h"
#include "validator/fronts/front.h"
#include "validator/fronts/presented.h"

namespace tollgate::validator {

inline constexpr int kMostInBatch = 256;

// Answers every well-formed request with a verdict and status OK; what it must ask the service for
// is answered when the answer comes, and no thread waits. Takes requests as bytes, so that the
// token string can be wiped where the transport read it (I6), and a request that is none is told
// so. Errors (INVALID_ARGUMENT): MALFORMED_REQUEST; BATCH_SIZE; REQUIREMENT_TOO_LARGE (more scopes
// or longer ones than a token can have), with the field's path. A batch is refused as a whole,
// before anything of it is decided. Thread-safe.
class NativeFront final : public Front,
                          public tollgate::v1::ValidationService::WithRawCallbackMethod_Validate<
                              tollgate::v1::ValidationService::WithRawCallbackMethod_BatchValidate<
                                  tollgate::v1::ValidationService::Service>> {
 public:
  // `validator` outlives the server's calls.
  explicit NativeFront(Validator* validator) : validator_(validator) {}

  absl::string_view name() const override { return "native"; }
  void RegisterOn(FrontHost* host) override;

  grpc::ServerUnaryReactor* Validate(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* BatchValidate(grpc::CallbackServerContext* context,
                                          const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  // Decides on what was presented, from memory or by asking; wiped before it is answered.
  void Check(Presented presented, const token::Requirement& requirement,
             Validator::Callback callback);

  Validator* const validator_;
};

// A decision as it is told to callers.
void FillResponse(const Decision& decision, tollgate::v1::ValidateResponse* response);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_NATIVE_H_
