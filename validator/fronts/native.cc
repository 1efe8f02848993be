#include "validator/fronts/native.h"

#include <sodium.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/secret.h"
#include "base/status.h"
#include "net/reactor.h"
#include "net/wire.h"
#include "token/field_rules.h"
#include "token/grant.h"

namespace tollgate {
namespace {

using tollgate::v1::BatchValidateRequest;
using tollgate::v1::BatchValidateResponse;
using tollgate::v1::ValidateRequest;
using tollgate::v1::ValidateResponse;

using BytesCall = UnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>;

// One check of a request, moved out of it: the request is gone as soon as the call is answered.
struct Asked {
  std::string token_string;
  Requirement requirement;
};

// Overwrites what the transport read: the slices share its memory, and nobody reads the message
// again. (Pieces of up to 23 bytes are copied, not shared; they hold no whole token string.)
void WipeBytes(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Valid() || !bytes.Dump(&slices).ok()) return;
  for (const grpc::Slice& slice : slices) {
    sodium_memzero(const_cast<uint8_t*>(slice.begin()), slice.size());
  }
}

// Parses, and leaves no copy of the token strings behind in the transport's buffer.
absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite* message) {
  const bool parsed = FromByteBuffer(bytes, message);
  WipeBytes(bytes);
  if (parsed) return absl::OkStatus();
  return Refuse(absl::StatusCode::kInvalidArgument, "MALFORMED_REQUEST",
                "The request is no such message, or has text that is not UTF-8.");
}

absl::Status CheckRequirement(const tollgate::v1::Requirement& requirement,
                              const std::string& path) {
  const auto check = [&](const auto& scopes, absl::string_view field) {
    bool fits = static_cast<size_t>(scopes.size()) <= kMaxScopes;
    for (const std::string& scope : scopes) fits = fits && scope.size() <= kMaxScopeLength;
    if (fits) return absl::OkStatus();
    return RefuseField("REQUIREMENT_TOO_LARGE", absl::StrCat(path, "requirement.", field),
                       absl::StrCat("at most ", kMaxScopes, " scopes, each at most ",
                                    kMaxScopeLength, " characters"));
  };
  RETURN_IF_ERROR(check(requirement.any_scopes(), "any_scopes"));
  RETURN_IF_ERROR(check(requirement.all_scopes(), "all_scopes"));
  if (requirement.audience().size() > kMaxAudienceLength) {
    return RefuseField("REQUIREMENT_TOO_LARGE", absl::StrCat(path, "requirement.audience"),
                       absl::StrCat("at most ", kMaxAudienceLength, " characters"));
  }
  return absl::OkStatus();
}

Asked TakeOut(ValidateRequest* request) {
  Asked asked;
  asked.token_string.swap(*request->mutable_token_string());
  asked.requirement = RequirementFrom(request->requirement());
  return asked;
}

void Wipe(BatchValidateRequest* batch) {
  for (ValidateRequest& request : *batch->mutable_requests()) {
    WipeString(request.mutable_token_string());
  }
}

// The answers of one batch, joined by a count: whoever brings the last one replies.
struct Join {
  explicit Join(int size, std::shared_ptr<BytesCall> c) : left(size), call(std::move(c)) {
    for (int i = 0; i < size; ++i) response.add_responses();
  }
  std::atomic<int> left;
  const std::shared_ptr<BytesCall> call;
  BatchValidateResponse response;  // each element is written by one callback only
};

}  // namespace

void FillResponse(const Decision& decision, ValidateResponse* response) {
  response->set_verdict(decision.verdict);
  response->set_reason(decision.reason);
  if (!decision.admitted()) response->set_description(std::string(Describe(decision.reason)));
  if (decision.verdict == tollgate::v1::VERDICT_UNAVAILABLE) {
    *response->mutable_retry_after() = ToProto(decision.retry_after);
  }
  GrantView grant;
  if (!decision.ReadIdentity(&grant)) return;
  tollgate::v1::Identity* identity = response->mutable_identity();
  identity->set_token(std::string(grant.token()));
  identity->set_workspace(std::string(grant.workspace()));
  identity->set_owner(std::string(grant.owner()));
  for (size_t i = 0; i < grant.scope_count(); ++i) {
    identity->add_scopes(std::string(grant.scope(i)));
  }
  if (grant.expire_time_us() != 0) {
    *identity->mutable_expire_time() = TimestampFromMicros(grant.expire_time_us());
  }
}

void NativeFront::Check(std::string* token_string, const Requirement& requirement,
                        Validator::Callback callback) {
  // One character too many is enough to be malformed, whatever follows it.
  const absl::string_view bounded =
      absl::string_view(*token_string).substr(0, kLongestTokenString + 1);
  {
    Decision decision;
    if (validator_->Check(bounded, requirement, &decision)) {
      WipeString(token_string);
      return callback(decision);
    }
  }
  validator_->CheckAsync(bounded, requirement, std::move(callback));
  WipeString(token_string);
}

grpc::ServerUnaryReactor* NativeFront::Validate(grpc::CallbackServerContext* context,
                                                const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  return BytesCall::Serve(context, request, response, [this](std::shared_ptr<BytesCall> call) {
    ValidateRequest parsed;
    absl::Status good = Parse(call->request(), &parsed);
    if (good.ok()) good = CheckRequirement(parsed.requirement(), "");
    if (!good.ok()) {
      WipeString(parsed.mutable_token_string());
      return call->Fail(good);
    }
    Asked asked = TakeOut(&parsed);
    Check(&asked.token_string, asked.requirement, [call](const Decision& decision) {
      ValidateResponse answer;
      FillResponse(decision, &answer);
      call->Reply(ToByteBuffer(answer));
    });
  });
}

grpc::ServerUnaryReactor* NativeFront::BatchValidate(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  return BytesCall::Serve(context, request, response, [this](std::shared_ptr<BytesCall> call) {
    BatchValidateRequest parsed;
    absl::Status good = Parse(call->request(), &parsed);
    if (good.ok() && (parsed.requests_size() < 1 || parsed.requests_size() > kMostInBatch)) {
      good = RefuseField("BATCH_SIZE", "requests", absl::StrCat("must be 1 to ", kMostInBatch));
    }
    for (int i = 0; good.ok() && i < parsed.requests_size(); ++i) {
      good = CheckRequirement(parsed.requests(i).requirement(), absl::StrCat("requests[", i, "]."));
    }
    if (!good.ok()) {
      Wipe(&parsed);
      return call->Fail(good);
    }
    const int size = parsed.requests_size();
    auto join = std::make_shared<Join>(size, std::move(call));
    for (int i = 0; i < size; ++i) {
      Asked asked = TakeOut(parsed.mutable_requests(i));
      Check(&asked.token_string, asked.requirement, [join, i](const Decision& decision) {
        FillResponse(decision, join->response.mutable_responses(i));
        if (join->left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
        join->call->Reply(ToByteBuffer(join->response));
      });
    }
  });
}

}  // namespace tollgate
