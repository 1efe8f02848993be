// Which held tokens the service is to be asked about, and by when it has to have answered.
#ifndef TOLLGATE_VALIDATOR_CORE_HOLD_QUESTIONS_H_
#define TOLLGATE_VALIDATOR_CORE_HOLD_QUESTIONS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "token/token_string.h"
#include "validator/core/held_tokens.h"

namespace tollgate::validator {

// Tokens are named by id here, because one may be gone by its turn. Not thread-safe.
class HoldQuestions {
 public:
  // `tokens` outlives it.
  HoldQuestions(size_t most, const HeldTokens* tokens) : most_(most), tokens_(*tokens) {}

  // The token came in doubt: its holds have until then.
  void Begin(const HeldToken& token, base::BootTime ends);
  // It is asked about in its turn; again, once the time has come.
  void Ask(HeldToken* token);
  void AskAgain(HeldToken* token, base::BootTime at);
  void Tick(base::BootTime now);

  // Whether the caller is to take the questions now; false: another one is at it.
  bool BeginTaking() { return !std::exchange(taking_, true); }
  // The next token to be asked about; null: the taking is over until BeginTaking.
  HeldToken* Next();
  // One question is over.
  void Answered() { --under_way_; }

  // A token in doubt whose time ends first, and when; null: none is in doubt.
  HeldToken* First();
  base::BootTime first_ends() const { return doubts_.front().ends; }
  // When Tick is due.
  base::BootTime ask_again_at() const;
  // Nothing is in doubt any more.
  void Clear();

 private:
  struct TokenId {
    explicit TokenId(const HeldToken& token) {
      std::memcpy(bytes, token.key.public_id, sizeof(bytes));
    }
    absl::string_view view() const { return absl::string_view(bytes, sizeof(bytes)); }
    char bytes[token::kPublicIdLength];
  };
  struct Doubt {
    base::BootTime ends;
    TokenId token;
    uint64_t since = 0;
  };

  const size_t most_;
  const HeldTokens& tokens_;
  std::deque<Doubt> doubts_;  // in the order of their ends
  std::deque<TokenId> to_ask_;
  std::deque<std::pair<base::BootTime, TokenId>> ask_again_;
  size_t under_way_ = 0;
  bool taking_ = false;
};

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_CORE_HOLD_QUESTIONS_H_
