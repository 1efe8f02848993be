#include "validator/fronts/native.h"

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "net/reactor.h"
#include "net/wire.h"
#include "token/grant.h"
#include "validator/fronts/answer.h"
#include "validator/fronts/asked_requirement.h"
#include "validator/fronts/client_address.h"
#include "validator/fronts/hold_stream.h"
#include "validator/fronts/identity.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::BatchValidateRequest;
using tollgate::v1::BatchValidateResponse;
using tollgate::v1::ValidateRequest;
using tollgate::v1::ValidateResponse;

using BytesCall = net::UnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>;

// The answers of one batch, joined by a count: the thread that brings the last one replies.
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
  const Answer answer = AnswerTo(decision, token::Requirement(), policy::Words());
  if (!answer.description.empty()) response->set_description(std::string(answer.description));
  if (!decision.admitted()) {
    response->set_http_status(answer.status);
    response->set_error(std::string(answer.error));
  }
  if (decision.verdict == tollgate::v1::VERDICT_UNAVAILABLE) {
    *response->mutable_retry_after() = base::ToProto(answer.retry_after);
  }
  token::GrantView grant;
  if (decision.ReadIdentity(&grant)) FillIdentity(grant, response->mutable_identity());
}

void NativeFront::Fill(const Decision& decision, ValidateResponse* response) const {
  FillResponse(decision, response);
  if (decision.reason != tollgate::v1::VERDICT_REASON_NO_LEASE) return;
  if (const absl::optional<absl::Duration> age = validator_->LastLeaseAge()) {
    *response->mutable_last_lease_age() = base::ToProto(*age);
  }
}

void NativeFront::RegisterOn(FrontHost* host) {
  host->AddGrpcService(this, "tollgate.v1.ValidationService");
}

void NativeFront::Check(Presented presented, const token::Requirement& requirement,
                        const base::IpAddress& client, Validator::Callback callback) {
  Validator::Miss miss;
  {
    Decision decision;
    if (validator_->Check(presented.token_string(), requirement, &decision, &miss, client)) {
      presented.Wipe();
      return callback(decision);
    }
  }
  // Only the digest of the string is kept (I6); the string is wiped when this returns.
  validator_->AskAbout(miss, presented.token_string(), requirement, std::move(callback), client);
}

grpc::ServerUnaryReactor* NativeFront::Validate(grpc::CallbackServerContext* context,
                                                const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  return BytesCall::Serve(context, request, response, [this](std::shared_ptr<BytesCall> call) {
    ValidateRequest parsed;
    absl::Status good = ParseAndWipe(call->request(), &parsed);
    Presented presented = Presented::TakeFrom(parsed.mutable_token_string());
    token::Requirement requirement;
    base::IpAddress client;
    if (good.ok()) good = ReadRequirement(parsed.requirement(), "", &requirement);
    if (good.ok()) good = ReadClientAddress(parsed.client_address(), "", &client);
    if (!good.ok()) {
      counts_.CountRefused();
      return call->Fail(good);
    }
    Check(std::move(presented), requirement, client, [this, call](const Decision& decision) {
      ValidateResponse answer;
      Fill(decision, &answer);
      counts_.CountAnswer(decision.verdict);
      call->Reply(net::ToByteBuffer(answer));
    });
  });
}

grpc::ServerUnaryReactor* NativeFront::BatchValidate(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  return BytesCall::Serve(context, request, response, [this](std::shared_ptr<BytesCall> call) {
    BatchValidateRequest parsed;
    absl::Status good = ParseAndWipe(call->request(), &parsed);
    std::vector<Presented> presented;
    for (ValidateRequest& one : *parsed.mutable_requests()) {
      presented.push_back(Presented::TakeFrom(one.mutable_token_string()));
    }
    const int size = parsed.requests_size();
    if (good.ok() && (size < 1 || size > kMostInBatch)) {
      good =
          base::RefuseField("BATCH_SIZE", "requests", absl::StrCat("must be 1 to ", kMostInBatch));
    }
    // All are read before the first is decided.
    std::vector<token::Requirement> requirements(good.ok() ? static_cast<size_t>(size) : 0);
    std::vector<base::IpAddress> clients(requirements.size());
    for (int i = 0; good.ok() && i < size; ++i) {
      const std::string path = absl::StrCat("requests[", i, "].");
      const size_t at = static_cast<size_t>(i);
      good = ReadRequirement(parsed.requests(i).requirement(), path, &requirements[at]);
      if (good.ok()) {
        good = ReadClientAddress(parsed.requests(i).client_address(), path, &clients[at]);
      }
    }
    if (!good.ok()) {
      counts_.CountRefused();
      return call->Fail(good);
    }
    auto join = std::make_shared<Join>(size, std::move(call));
    for (int i = 0; i < size; ++i) {
      const size_t at = static_cast<size_t>(i);
      Check(std::move(presented[at]), requirements[at], clients[at],
            [this, join, i](const Decision& decision) {
              Fill(decision, join->response.mutable_responses(i));
              counts_.CountAnswer(decision.verdict);
              if (join->left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
              join->call->Reply(net::ToByteBuffer(join->response));
            });
    }
  });
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* NativeFront::Hold(
    grpc::CallbackServerContext* context) {
  return HoldStream::Serve(context, validator_, &clock_, &counts_);
}

}  // namespace tollgate::validator
