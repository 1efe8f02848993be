// Tokens as text for people.
#ifndef TOLLGATE_CLI_COMMANDS_TOKEN_TEXT_H_
#define TOLLGATE_CLI_COMMANDS_TOKEN_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "tollgate/v1/enforcement.pb.h"
#include "tollgate/v1/token.pb.h"
#include "tollgate/v1/token_service.pb.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::cli {

// "active", "retiring", …
std::string StateText(tollgate::v1::TokenState state);
// The state of a word; INVALID_ARGUMENT with the list of the words.
absl::StatusOr<tollgate::v1::TokenState> StateFromText(absl::string_view text);
// "in 89 days", "-".
std::string ExpiresText(const tollgate::v1::Token& token, absl::Time now);
// "due in 59 days", "overdue 3 days", "retires in 20 h", "retires when silent for 24 h", "-".
std::string RotationText(const tollgate::v1::Token& token, absl::Time now);
// "2 min ago", "never".
// Whether it is an operator token, whose use is not recorded.
bool IsOperatorToken(const tollgate::v1::Token& token);
std::string LastUsedText(const tollgate::v1::Token& token, absl::Time now);
// "4 s ago", "-".
std::string LastTriedText(const tollgate::v1::Token& token, absl::Time now);
// Where it was used, a line an edge: "payments/edge-3  40 s ago, 312 times today".
std::vector<std::string> EdgeLines(const tollgate::v1::Token& token, absl::Time now);
// "revoked", "insufficient scope", …
std::string RefusalText(tollgate::v1::VerdictReason reason);
// Since when a token is suspended or has ended, and who did that, as far as the service knows:
// "3 h ago, by local".
std::string SinceText(const tollgate::v1::Token& token, absl::Time now);
// What a change that changed nothing found: "was revoked already, 3 h ago, by local: in a gist",
// "was not suspended: it is active".
std::string AlreadyText(const tollgate::v1::Token& token, absl::Time now);
// The lines that say so: "no change    revision 184   was revoked already, …", and what became of a
// reason that was given though another one stands; "" where none was given.
std::string NoChangeText(const tollgate::v1::Token& token, int64_t revision,
                         absl::string_view reason, absl::Time now);
// "still tried  3 times since, last 4 s ago at payments/edge-3": the attempts that were refused
// because the token is revoked. Empty where no edge has reported one.
std::string StillTriedText(const tollgate::v1::ListTokenAttemptsResponse& attempts, absl::Time now);
// The full name, from an id or from a full name; `workspace` may be empty with the latter. A full
// name of another workspace than one that was typed beside it is refused.
absl::StatusOr<std::string> TokenNameFrom(const std::string& id_or_name,
                                          const std::string& workspace, bool typed = false);
// `workspaces/…` from an id; an id that holds a slash is refused.
absl::StatusOr<std::string> ParentFrom(const std::string& workspace);
// The receipt's closing lines, which `--wait` shows.
std::string ReceiptText(const tollgate::v1::Receipt& receipt, absl::Duration elapsed);
// "waiting      edge-17, edge-88: not heard from for 4 s, admit nothing after 5.9 s more".
std::string WaitingText(const tollgate::v1::Receipt& receipt);
// "holds        3 closed, 1 told and not answered (chat/web-7 at payments/edge-3)", and who keeps
// holds that the receipt does not cover; empty where there is nothing of either to tell. `waited`:
// how long the holds were waited for; unset: they were not.
std::string HoldsText(const tollgate::v1::Receipt& receipt,
                      absl::optional<absl::Duration> waited = absl::nullopt);
// "last admitted …"; empty where the receipt tells nothing of it.
std::string LastAdmitText(const tollgate::v1::Receipt& receipt);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_TOKEN_TEXT_H_
