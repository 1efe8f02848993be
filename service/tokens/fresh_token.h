// A token string that nobody has seen yet, with what the store keeps of it.
#ifndef TOLLGATE_SERVICE_TOKENS_FRESH_TOKEN_H_
#define TOLLGATE_SERVICE_TOKENS_FRESH_TOKEN_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "base/random.h"
#include "base/secret.h"
#include "service/records/change.h"
#include "token/keyring.h"
#include "token/token_string.h"

namespace tollgate::service {

struct FreshToken {
  MintedToken minted;
  std::shared_ptr<const base::SecretBytes> token_string;
};

// Mints one for a workspace, by its id, untrusted: an operator token for the operators' own.
FreshToken MintFor(absl::string_view workspace, const token::TokenFormat& format,
                   const token::Keyring& keyring, base::Random& random);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_TOKENS_FRESH_TOKEN_H_
