// The operator token of a store that knows no admin: the way in, before anybody has a role.
#ifndef TOLLGATE_SERVICE_FIRST_OPERATOR_H_
#define TOLLGATE_SERVICE_FIRST_OPERATOR_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/random.h"
#include "storage/engine.h"
#include "storage/sequencer.h"
#include "token/keyring.h"
#include "token/token_string.h"

namespace tollgate::service {

// Whose the first operator token is: `operator:admin`.
inline constexpr char kFirstOperator[] = "admin";

struct FirstOperator {
  // All outlive the call.
  storage::Engine* engine = nullptr;
  storage::Sequencer* sequencer = nullptr;
  const token::TokenFormat* format = nullptr;
  const token::Keyring* keyring = nullptr;
  base::Random* random = nullptr;
  // Where the token string goes, for its owner's eyes alone (mode 0600).
  std::string file;
  // Whether a caller of that member's kind can come at all, as the service listens: an admin who
  // cannot is no way in.
  std::function<bool(absl::string_view member)> can_come;
};

// Makes the token, and gives it the role admin, where the store has neither an operator token nor
// an admin who can come; does nothing otherwise, so a store of before operator tokens gets one,
// too, and one whose token was revoked gets no other. The file is written first, so that a crash
// leaves no token whose string nobody has; what a former try left there is replaced. Logs what was
// made. May block. Errors: the store's; OPERATOR_FILE_UNWRITABLE (FAILED_PRECONDITION).
absl::Status MakeFirstOperator(const FirstOperator& parts);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_FIRST_OPERATOR_H_
