// A change of several tokens, one after the other.
#ifndef TOLLGATE_CLI_COMMANDS_EACH_TOKEN_H_
#define TOLLGATE_CLI_COMMANDS_EACH_TOKEN_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "cli/commands/token_filter.h"
#include "cli/context.h"

namespace tollgate::cli {

// Makes a change of each chosen token: `change` takes the token's name, a request id and the answer
// to fill. An error of one is told, and the others go on: its exit code is the command's. Returns
// the answers; where only one token was chosen its error is returned.
template <typename Response, typename Change>
absl::StatusOr<std::vector<Response>> ChangeEach(Context& context, const ChosenTokens& chosen,
                                                 bool several, const std::string& request_id,
                                                 Change change) {
  std::vector<Response> done;
  for (const tollgate::v1::Token& token : chosen.tokens) {
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

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_EACH_TOKEN_H_
