#include "validator/fronts/native.h"

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "net/reactor.h"
#include "net/wire.h"
#include "token/field_rules.h"
#include "token/grant.h"
#include "token/scope_expression.h"
#include "validator/fronts/answer.h"
#include "validator/fronts/identity.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::BatchValidateRequest;
using tollgate::v1::BatchValidateResponse;
using tollgate::v1::ValidateRequest;
using tollgate::v1::ValidateResponse;

using BytesCall = net::UnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>;

// A longer workspace than any id. What lies beyond changes no answer.
constexpr size_t kLongestWorkspace = 128;

absl::Status ReadScopeExpression(const std::string& text, const std::string& field,
                                 token::ScopeExpression* expression) {
  absl::StatusOr<token::ScopeExpression> parsed = token::ScopeExpression::Parse(text);
  if (parsed.ok()) {
    *expression = *std::move(parsed);
    return absl::OkStatus();
  }
  // The parser's words quote the text, and must not quote a secret (I6).
  RETURN_IF_ERROR(token::CheckHoldsNoTokenString(
      absl::string_view(text).substr(0, token::ScopeExpression::kMaxLength), field));
  return base::RefuseField(base::ReasonOf(parsed.status()), field, parsed.status().message());
}

// Reads what a request asks for into `*requirement`; every field is bounded before it is looked at.
// `path` leads to the request within its batch.
absl::Status ReadRequirement(const tollgate::v1::Requirement& asked, const std::string& path,
                             token::Requirement* requirement) {
  const auto read = [&](const auto& scopes, absl::string_view field,
                        std::vector<std::string>* into) {
    bool fits = static_cast<size_t>(scopes.size()) <= token::kMaxScopes;
    for (const std::string& scope : scopes) fits = fits && scope.size() <= token::kMaxScopeLength;
    if (!fits) {
      return base::RefuseField("REQUIREMENT_TOO_LARGE", absl::StrCat(path, "requirement.", field),
                               absl::StrCat("at most ", token::kMaxScopes, " scopes, each at most ",
                                            token::kMaxScopeLength, " characters"));
    }
    into->assign(scopes.begin(), scopes.end());
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(read(asked.any_scopes(), "any_scopes", &requirement->any_scopes));
  RETURN_IF_ERROR(read(asked.all_scopes(), "all_scopes", &requirement->all_scopes));
  if (asked.audience().size() > token::kMaxAudienceLength) {
    return base::RefuseField("REQUIREMENT_TOO_LARGE", absl::StrCat(path, "requirement.audience"),
                             absl::StrCat("at most ", token::kMaxAudienceLength, " characters"));
  }
  requirement->audience = asked.audience();
  if (!asked.scope_expression().empty()) {
    RETURN_IF_ERROR(ReadScopeExpression(asked.scope_expression(),
                                        absl::StrCat(path, "requirement.scope_expression"),
                                        &requirement->scope_expression));
  }
  // Often a part of a stranger's URL. What is no id is the workspace of no token, and gets that
  // answer, because an error would refuse the other checks of a batch with it. A resource's name is
  // a mistake in the caller's code, which WRONG_WORKSPACE would hide.
  requirement->workspace = asked.workspace().substr(0, kLongestWorkspace);
  if (absl::StartsWith(requirement->workspace, "workspaces/")) {
    return base::RefuseField("WORKSPACE_ID_MALFORMED", absl::StrCat(path, "requirement.workspace"),
                             "must be the workspace's id alone: acme, and not workspaces/acme");
  }
  return absl::OkStatus();
}

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
  if (decision.verdict == tollgate::v1::VERDICT_UNAVAILABLE) {
    *response->mutable_retry_after() = base::ToProto(answer.retry_after);
  }
  token::GrantView grant;
  if (decision.ReadIdentity(&grant)) FillIdentity(grant, response->mutable_identity());
}

void NativeFront::RegisterOn(FrontHost* host) {
  host->AddGrpcService(this, "tollgate.v1.ValidationService");
}

void NativeFront::Check(Presented presented, const token::Requirement& requirement,
                        Validator::Callback callback) {
  Validator::Miss miss;
  {
    Decision decision;
    if (validator_->Check(presented.token_string(), requirement, &decision, &miss)) {
      presented.Wipe();
      return callback(decision);
    }
  }
  // Only the digest of the string is kept (I6); the string is wiped when this returns.
  validator_->AskAbout(miss, presented.token_string(), requirement, std::move(callback));
}

grpc::ServerUnaryReactor* NativeFront::Validate(grpc::CallbackServerContext* context,
                                                const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  return BytesCall::Serve(context, request, response, [this](std::shared_ptr<BytesCall> call) {
    ValidateRequest parsed;
    absl::Status good = ParseAndWipe(call->request(), &parsed);
    Presented presented = Presented::TakeFrom(parsed.mutable_token_string());
    token::Requirement requirement;
    if (good.ok()) good = ReadRequirement(parsed.requirement(), "", &requirement);
    if (!good.ok()) {
      counts_.CountRefused();
      return call->Fail(good);
    }
    Check(std::move(presented), requirement, [this, call](const Decision& decision) {
      ValidateResponse answer;
      FillResponse(decision, &answer);
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
    for (int i = 0; good.ok() && i < size; ++i) {
      good = ReadRequirement(parsed.requests(i).requirement(), absl::StrCat("requests[", i, "]."),
                             &requirements[static_cast<size_t>(i)]);
    }
    if (!good.ok()) {
      counts_.CountRefused();
      return call->Fail(good);
    }
    auto join = std::make_shared<Join>(size, std::move(call));
    for (int i = 0; i < size; ++i) {
      const size_t at = static_cast<size_t>(i);
      Check(std::move(presented[at]), requirements[at], [this, join, i](const Decision& decision) {
        FillResponse(decision, join->response.mutable_responses(i));
        counts_.CountAnswer(decision.verdict);
        if (join->left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
        join->call->Reply(net::ToByteBuffer(join->response));
      });
    }
  });
}

}  // namespace tollgate::validator
