// A change of several tokens, one after the other.
#ifndef TOLLGATE_CLI_COMMANDS_EACH_TOKEN_H_
#define TOLLGATE_CLI_COMMANDS_EACH_TOKEN_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "cli/commands/token_filter.h"
#include "cli/context.h"
#include "cli/interrupt.h"

namespace tollgate::cli {

// Whether what has gone wrong with one token will go wrong with the next one.
inline bool ConcernsAll(const absl::Status& changed) {
  return absl::IsUnavailable(changed) || absl::IsDeadlineExceeded(changed) ||
         absl::IsInvalidArgument(changed) || absl::IsUnauthenticated(changed);
}

// Makes a change of each chosen token: `change` takes the token's name, a request id and the answer
// to fill. An error of one is told, and the others go on, unless it concerns them too: its exit
// code is the command's. Ctrl-C ends it between two tokens, where `interrupt` is there and so takes
// it; what was not tried is told. Returns the answers; where only one token was chosen its error is
// returned.
template <typename Response, typename Change>
absl::StatusOr<std::vector<Response>> ChangeEach(Context& context, Interrupt* interrupt,
                                                 const ChosenTokens& chosen, bool several,
                                                 const std::string& request_id, Change change) {
  std::vector<Response> done;
  size_t tried = 0;
  const auto tell_untried = [&] {
    if (tried == chosen.tokens.size()) return;
    context.Say(base::Refuse(absl::StatusCode::kCancelled, "NOT_ALL_TRIED",
                             absl::StrCat(chosen.tokens.size() - tried, " of ",
                                          chosen.tokens.size(), " were not tried")));
  };
  for (const tollgate::v1::Token& token : chosen.tokens) {
    if (interrupt != nullptr && tried > 0 &&
        interrupt->Wait(absl::ZeroDuration()) == Interrupt::Woken::kInterrupted) {
      if (context.exit_code == kDone) context.exit_code = kFailed;
      tell_untried();
      break;
    }
    ++tried;
    std::string id = request_id;
    if (several) {
      ASSIGN_OR_RETURN(id, RequestIdFor(request_id, token.name()));
    }
    Response response;
    const absl::Status changed = change(token.name(), id, &response);
    if (changed.ok()) {
      done.push_back(std::move(response));
    } else if (!several) {
      return changed;
    } else {
      const int before = context.exit_code;
      context.Fail(WithAdvice(changed, absl::StrCat("That was about ", token.name())));
      if (before != kDone) context.exit_code = before;
      if (ConcernsAll(changed)) {
        tell_untried();
        break;
      }
    }
  }
  return done;
}

// Prints the answers as JSON: one as it is, several as {"results": […]}.
template <typename Response>
absl::Status ShowResults(Context& context, const std::vector<Response>& done, bool several) {
  if (!several) return context.ShowJson(done.front());
  std::vector<const google::protobuf::Message*> list;
  list.reserve(done.size());
  for (const Response& response : done) list.push_back(&response);
  std::string json;
  RETURN_IF_ERROR(WriteJsonList("results", list, JsonLayout::kIndented, {}, &json));
  context.raw_out() << json << '\n';
  return absl::OkStatus();
}

// The answer whose revision is the newest: not always the last one, because a token that had ended
// answers with the revision of its end. `done` is not empty.
template <typename Response>
Response& Newest(std::vector<Response>& done) {
  return *std::max_element(done.begin(), done.end(), [](const Response& a, const Response& b) {
    return a.revision() < b.revision();
  });
}

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_EACH_TOKEN_H_
