// The path of every change: command, commit, wait for enforcement where asked for, answer.
#ifndef TOLLGATE_SERVICE_RPC_CHANGE_CALL_H_
#define TOLLGATE_SERVICE_RPC_CHANGE_CALL_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "base/proto_time.h"
#include "service/records/change.h"
#include "service/records/field_time.h"
#include "service/rpc/enforced_wait.h"
#include "service/rpc/rpc_call.h"
#include "token/resource_name.h"
#include "tollgate/v1/token.pb.h"

namespace tollgate::service {

// Writes the log's line of a committed change: one that takes permission away, or changes what may
// be granted. Nothing for the others, nor for a retry.
void LogChange(const Change& change, int64_t revision);

// Commits the command `made`, and finishes the call with its answer once the command is durable
// (I4). Before that, `add` gets the command and the answer, to add what no command may hold. Blocks
// nothing: the rest happens on the committer's thread.
template <typename Request, typename Response, typename CommandType, typename Add>
void CommitThenFinish(std::shared_ptr<TypedCall<Request, Response>> call,
                      absl::StatusOr<std::shared_ptr<CommandType>> made, Add add) {
  if (!made.ok()) {
    call->FinishWith(made.status());
    return;
  }
  std::shared_ptr<CommandType> command = *std::move(made);
  command->set_origin(call->origin());
  command->set_operator_token_id(call->operator_token_id());
  // The queue holds the call as long as the command.
  command->set_may([raw = call.get()] { return raw->StillMay(); });
  call->deps().sequencer->Submit(
      command, [call, command, add = std::move(add)](absl::StatusOr<storage::Committed> committed) {
        if (!committed.ok()) {
          call->FinishWith(committed.status());
          return;
        }
        LogChange(*command, committed->revision);
        call->response = command->response();
        add(*command, &call->response);
        call->FinishWith(absl::OkStatus());
      });
}

template <typename Request, typename Response, typename CommandType>
void CommitThenFinish(std::shared_ptr<TypedCall<Request, Response>> call,
                      absl::StatusOr<std::shared_ptr<CommandType>> made) {
  CommitThenFinish(std::move(call), std::move(made), [](const CommandType&, Response*) {});
}

// The receipt's question, about the one token whose last admissions it tells; without a token for a
// cohort.
inline ReceiptQuestion QuestionAbout(int64_t revision, const tollgate::v1::Token* token) {
  ReceiptQuestion question;
  question.revision = revision;
  if (token != nullptr) {
    absl::StatusOr<token::TokenName> name = token::ParseTokenName(token->name(), "name");
    if (name.ok()) {
      question.workspace = name->workspace;
      question.token_id = name->token_id;
    }
  }
  return question;
}

// As above, for changes that take permission away. With wait_enforced set, the call then waits for
// enforcement for as long as that says, and answers with the receipt. The change stays done,
// whatever comes of the wait. `token_of` gives the token of the answer, or nullptr.
template <typename Request, typename Response, typename CommandType, typename TokenOf>
void CommitWaitThenFinish(std::shared_ptr<TypedCall<Request, Response>> call,
                          absl::StatusOr<std::shared_ptr<CommandType>> made, TokenOf token_of) {
  if (!call->request.has_wait_enforced()) {
    CommitThenFinish(std::move(call), std::move(made));
    return;
  }
  absl::StatusOr<absl::Duration> wait = CheckWait(call->request.wait_enforced(), "wait_enforced");
  if (!wait.ok() || !made.ok()) {
    call->FinishWith(wait.ok() ? made.status() : wait.status());
    return;
  }
  std::shared_ptr<CommandType> command = *std::move(made);
  command->set_origin(call->origin());
  command->set_operator_token_id(call->operator_token_id());
  // The queue holds the call as long as the command.
  command->set_may([raw = call.get()] { return raw->StillMay(); });
  call->deps().sequencer->Submit(command, [call, command, token_of, wait = *wait](
                                              absl::StatusOr<storage::Committed> committed) {
    if (!committed.ok()) {
      call->FinishWith(committed.status());
      return;
    }
    LogChange(*command, committed->revision);
    call->response = command->response();
    const base::BootTime since = call->deps().clock->Now();
    auto* const raw = call.get();  // the answer is dropped with the call
    WaitThenFinish(call, QuestionAbout(raw->response.revision(), token_of(raw->response)), wait,
                   [raw, since](tollgate::v1::Receipt receipt) {
                     *receipt.mutable_elapsed() = base::ToProto(raw->deps().clock->Now() - since);
                     *raw->response.mutable_receipt() = std::move(receipt);
                   });
  });
}

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RPC_CHANGE_CALL_H_
