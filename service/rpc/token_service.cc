#include "service/rpc/token_service.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "service/reads/read_tokens.h"
#include "service/rpc/change_call.h"
#include "service/tokens/cancel_rotation.h"
#include "service/tokens/create_token.h"
#include "service/tokens/replan_rotation.h"
#include "service/tokens/retire_token.h"
#include "service/tokens/revoke_cohort.h"
#include "service/tokens/revoke_leaked_token.h"
#include "service/tokens/revoke_token.h"
#include "service/tokens/rotate_token.h"
#include "service/tokens/suspend_token.h"
#include "service/tokens/update_token.h"

namespace tollgate::service {
namespace {

using tollgate::v1::CancelRotationRequest;
using tollgate::v1::CancelRotationResponse;
using tollgate::v1::CreateTokenRequest;
using tollgate::v1::CreateTokenResponse;
using tollgate::v1::GetTokenRequest;
using tollgate::v1::ListTokenAttemptsRequest;
using tollgate::v1::ListTokenAttemptsResponse;
using tollgate::v1::ListTokensRequest;
using tollgate::v1::ListTokensResponse;
using tollgate::v1::ReplanRotationRequest;
using tollgate::v1::ReplanRotationResponse;
using tollgate::v1::ResumeTokenRequest;
using tollgate::v1::ResumeTokenResponse;
using tollgate::v1::RetireTokenRequest;
using tollgate::v1::RetireTokenResponse;
using tollgate::v1::RevokeLeakedTokenRequest;
using tollgate::v1::RevokeLeakedTokenResponse;
using tollgate::v1::RevokeTokenRequest;
using tollgate::v1::RevokeTokenResponse;
using tollgate::v1::RevokeTokensRequest;
using tollgate::v1::RevokeTokensResponse;
using tollgate::v1::RotateTokenRequest;
using tollgate::v1::RotateTokenResponse;
using tollgate::v1::SuspendTokenRequest;
using tollgate::v1::SuspendTokenResponse;
using tollgate::v1::Token;
using tollgate::v1::UpdateTokenRequest;
using tollgate::v1::UpdateTokenResponse;

template <typename Request>
const std::string& NameOf(const Request& request) {
  return request.name();
}
template <typename Request>
const std::string& ParentOf(const Request& request) {
  return request.parent();
}
template <typename Request>
const std::string& TokenNameOf(const Request& request) {
  return request.token().name();
}
const std::string& Nameless(const RevokeLeakedTokenRequest&) {
  static const std::string& none = *new std::string();
  return none;
}

template <typename Request, typename Response>
void WipeTokenString(Request*, Response* response) {
  base::WipeString(response->mutable_token_string());
}
void WipeLeaked(RevokeLeakedTokenRequest* request, RevokeLeakedTokenResponse*) {
  if (request->leaked_case() == RevokeLeakedTokenRequest::kTokenString) {
    base::WipeString(request->mutable_token_string());
  }
}

// Puts the token string into an answer, where it may be shown: once.
template <typename Response>
void Show(const base::SecretBytes& token_string, Response* response) {
  if (response->secret_withheld()) return;
  const absl::string_view secret = token_string.RevealSecret();
  response->set_token_string(secret.data(), secret.size());
}

// The digests by which a leaked token is looked up. The token string is wiped as soon as it is
// hashed.
absl::StatusOr<LeakedToken> ReadLeaked(const RpcDeps& deps, RevokeLeakedTokenRequest* request) {
  absl::optional<token::EdgeDigest> edge;
  switch (request->leaked_case()) {
    case RevokeLeakedTokenRequest::kTokenString: {
      token::TokenFormat::Parsed parsed;
      const token::TokenDefect defect = deps.format->Parse(request->token_string(), &parsed);
      if (defect != token::TokenDefect::kNone) {
        base::WipeString(request->mutable_token_string());
        return base::RefuseField(
            "TOKEN_STRING_MALFORMED", "token_string",
            absl::StrCat("is no token string: ", token::TokenDefectName(defect),
                         ". Send it whole, without spaces or quotes, or send edge_digest"));
      }
      edge = token::EdgeDigest::Of(request->token_string());
      base::WipeString(request->mutable_token_string());
      break;
    }
    case RevokeLeakedTokenRequest::kEdgeDigest:
      edge = token::EdgeDigest::FromBytes(request->edge_digest());
      if (!edge.has_value()) {
        return base::RefuseField("EDGE_DIGEST_MALFORMED", "edge_digest",
                                 "is not 32 bytes: the BLAKE2b-256 of the whole token string");
      }
      break;
    case RevokeLeakedTokenRequest::LEAKED_NOT_SET:
      return base::RefuseField("LEAKED_REQUIRED", "leaked",
                               "is not set: give token_string or edge_digest");
  }
  LeakedToken leaked;
  leaked.candidates = deps.keyring->Candidates(*edge);
  leaked.reason = request->reason();
  leaked.request_id = request->request_id();
  return leaked;
}

// The token of an answer.
constexpr auto kToken = [](const auto& response) { return &response.token(); };
constexpr auto kNoToken = [](const auto&) -> const Token* { return nullptr; };

}  // namespace

TokenService::TokenService(const RpcDeps* deps)
    : deps_(deps),
      create_{deps->metrics->Method("CreateToken"), Permission::kCreateToken,
              &ParentOf<CreateTokenRequest>,
              &WipeTokenString<CreateTokenRequest, CreateTokenResponse>},
      get_{deps->metrics->Method("GetToken"), Permission::kReadTokens, &NameOf<GetTokenRequest>},
      list_{deps->metrics->Method("ListTokens"), Permission::kReadTokens,
            &ParentOf<ListTokensRequest>},
      attempts_{deps->metrics->Method("ListTokenAttempts"), Permission::kReadTokens,
                &NameOf<ListTokenAttemptsRequest>},
      update_{deps->metrics->Method("UpdateToken"), Permission::kUpdateToken,
              &TokenNameOf<UpdateTokenRequest>},
      rotate_{deps->metrics->Method("RotateToken"), Permission::kRotateToken,
              &NameOf<RotateTokenRequest>,
              &WipeTokenString<RotateTokenRequest, RotateTokenResponse>},
      replan_{deps->metrics->Method("ReplanRotation"), Permission::kRotateToken,
              &NameOf<ReplanRotationRequest>},
      cancel_{deps->metrics->Method("CancelRotation"), Permission::kRotateToken,
              &NameOf<CancelRotationRequest>},
      retire_{deps->metrics->Method("RetireToken"), Permission::kRotateToken,
              &NameOf<RetireTokenRequest>},
      suspend_{deps->metrics->Method("SuspendToken"), Permission::kSuspendToken,
               &NameOf<SuspendTokenRequest>},
      resume_{deps->metrics->Method("ResumeToken"), Permission::kSuspendToken,
              &NameOf<ResumeTokenRequest>},
      revoke_{deps->metrics->Method("RevokeToken"), Permission::kRevokeToken,
              &NameOf<RevokeTokenRequest>},
      cohort_{deps->metrics->Method("RevokeTokens"), Permission::kRevokeCohort,
              &ParentOf<RevokeTokensRequest>},
      leaked_{deps->metrics->Method("RevokeLeakedToken"), Permission::kRevokeLeaked, &Nameless,
              &WipeLeaked} {}

FreshToken TokenService::MintUnder(absl::string_view resource) const {
  // What is no name of a workspace or token is refused by the command.
  absl::ConsumePrefix(&resource, "workspaces/");
  return MintFor(resource.substr(0, resource.find('/')), *deps_->format, *deps_->keyring,
                 *deps_->random);
}

grpc::ServerUnaryReactor* TokenService::CreateToken(Context* context, const Bytes* request,
                                                    Bytes* response) {
  return TypedCall<CreateTokenRequest, CreateTokenResponse>::Serve(
      deps_, create_, context, request, response, [this](auto call) {
        const absl::Status may_make =
            call->MayAlso(Permission::kCreateWorkspace, call->request.parent());
        if (call->request.create_workspace() && !may_make.ok()) {
          call->FinishWith(may_make);
          return;
        }
        const FreshToken fresh = MintUnder(call->request.parent());
        auto made = CreateTokenCommand::Make(call->request, call->actor(), fresh.minted);
        if (made.ok() && !may_make.ok()) (*made)->MakeNoWorkspace();
        CommitThenFinish(
            call, std::move(made),
            [secret = fresh.token_string](const CreateTokenCommand&, CreateTokenResponse* answer) {
              Show(*secret, answer);
            });
      });
}

grpc::ServerUnaryReactor* TokenService::GetToken(Context* context, const Bytes* request,
                                                 Bytes* response) {
  return TypedCall<GetTokenRequest, Token>::Serve(
      deps_, get_, context, request, response, [](auto call) {
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          ASSIGN_OR_RETURN(raw->response,
                           ReadToken(snapshot, raw->request, raw->deps().clock->ServiceNow()));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* TokenService::ListTokens(Context* context, const Bytes* request,
                                                   Bytes* response) {
  return TypedCall<ListTokensRequest, ListTokensResponse>::Serve(
      deps_, list_, context, request, response, [](auto call) {
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          ASSIGN_OR_RETURN(
              raw->response,
              ReadTokenList(snapshot, raw->request, raw->deps().clock->ServiceNow(),
                            [raw](absl::string_view workspace) {
                              return raw->MayAlso(Permission::kReadTokens, workspace).ok();
                            }));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* TokenService::ListTokenAttempts(Context* context, const Bytes* request,
                                                          Bytes* response) {
  return TypedCall<ListTokenAttemptsRequest, ListTokenAttemptsResponse>::Serve(
      deps_, attempts_, context, request, response, [](auto call) {
        ReadThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
          ASSIGN_OR_RETURN(raw->response, ReadTokenAttempts(snapshot, raw->request,
                                                            raw->deps().clock->ServiceNow()));
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* TokenService::UpdateToken(Context* context, const Bytes* request,
                                                    Bytes* response) {
  return TypedCall<UpdateTokenRequest, UpdateTokenResponse>::Serve(
      deps_, update_, context, request, response, [](auto call) {
        CommitWaitThenFinish(call, UpdateTokenCommand::Make(call->request, call->actor()), kToken);
      });
}

grpc::ServerUnaryReactor* TokenService::RotateToken(Context* context, const Bytes* request,
                                                    Bytes* response) {
  return TypedCall<RotateTokenRequest, RotateTokenResponse>::Serve(
      deps_, rotate_, context, request, response, [this](auto call) {
        const FreshToken fresh = MintUnder(call->request.name());
        auto made = RotateTokenCommand::Make(call->request, call->actor(), fresh.minted);
        CommitThenFinish(
            call, std::move(made),
            [secret = fresh.token_string](const RotateTokenCommand&, RotateTokenResponse* answer) {
              Show(*secret, answer);
            });
      });
}

grpc::ServerUnaryReactor* TokenService::ReplanRotation(Context* context, const Bytes* request,
                                                       Bytes* response) {
  return TypedCall<ReplanRotationRequest, ReplanRotationResponse>::Serve(
      deps_, replan_, context, request, response, [](auto call) {
        CommitThenFinish(call, ReplanRotationCommand::Make(call->request, call->actor()));
      });
}

grpc::ServerUnaryReactor* TokenService::CancelRotation(Context* context, const Bytes* request,
                                                       Bytes* response) {
  return TypedCall<CancelRotationRequest, CancelRotationResponse>::Serve(
      deps_, cancel_, context, request, response, [](auto call) {
        CommitThenFinish(call, CancelRotationCommand::Make(call->request, call->actor()));
      });
}

grpc::ServerUnaryReactor* TokenService::RetireToken(Context* context, const Bytes* request,
                                                    Bytes* response) {
  return TypedCall<RetireTokenRequest, RetireTokenResponse>::Serve(
      deps_, retire_, context, request, response, [](auto call) {
        CommitWaitThenFinish(
            call, RetireTokenCommand::Make(call->request, call->actor(), call->deps().evidence()),
            kToken);
      });
}

grpc::ServerUnaryReactor* TokenService::SuspendToken(Context* context, const Bytes* request,
                                                     Bytes* response) {
  return TypedCall<SuspendTokenRequest, SuspendTokenResponse>::Serve(
      deps_, suspend_, context, request, response, [](auto call) {
        CommitWaitThenFinish(call, SuspendTokenCommand::Make(call->request, call->actor()), kToken);
      });
}

grpc::ServerUnaryReactor* TokenService::ResumeToken(Context* context, const Bytes* request,
                                                    Bytes* response) {
  return TypedCall<ResumeTokenRequest, ResumeTokenResponse>::Serve(
      deps_, resume_, context, request, response, [](auto call) {
        CommitThenFinish(call, ResumeTokenCommand::Make(call->request, call->actor()));
      });
}

grpc::ServerUnaryReactor* TokenService::RevokeToken(Context* context, const Bytes* request,
                                                    Bytes* response) {
  return TypedCall<RevokeTokenRequest, RevokeTokenResponse>::Serve(
      deps_, revoke_, context, request, response, [](auto call) {
        CommitWaitThenFinish(call, RevokeTokenCommand::Make(call->request, call->actor()), kToken);
      });
}

grpc::ServerUnaryReactor* TokenService::RevokeTokens(Context* context, const Bytes* request,
                                                     Bytes* response) {
  return TypedCall<RevokeTokensRequest, RevokeTokensResponse>::Serve(
      deps_, cohort_, context, request, response, [](auto call) {
        if (call->request.validate_only()) {
          ScanThenFinish(call, [raw = call.get()](const storage::Snapshot& snapshot) {
            ASSIGN_OR_RETURN(raw->response, CountCohort(snapshot, raw->request, raw->actor(),
                                                        raw->deps().clock->ServiceNow()));
            return absl::OkStatus();
          });
          return;
        }
        CommitWaitThenFinish(call, RevokeCohortCommand::Make(call->request, call->actor()),
                             kNoToken);
      });
}

grpc::ServerUnaryReactor* TokenService::RevokeLeakedToken(Context* context, const Bytes* request,
                                                          Bytes* response) {
  return TypedCall<RevokeLeakedTokenRequest, RevokeLeakedTokenResponse>::Serve(
      deps_, leaked_, context, request, response, [](auto call) {
        absl::StatusOr<LeakedToken> leaked = ReadLeaked(call->deps(), &call->request);
        if (!leaked.ok()) {
          call->FinishWith(leaked.status());
          return;
        }
        CommitWaitThenFinish(
            call, RevokeLeakedTokenCommand::Make(*std::move(leaked), call->actor()), kToken);
      });
}

}  // namespace tollgate::service
