#include "service/tokens/fresh_token.h"

#include <utility>

#include "token/digest.h"
#include "token/resource_name.h"

namespace tollgate::service {

FreshToken MintFor(absl::string_view workspace, const token::TokenFormat& format,
                   const token::Keyring& keyring, base::Random& random) {
  const token::TokenKind kind = workspace == token::kOperatorWorkspace
                                    ? token::TokenKind::kOperator
                                    : token::TokenKind::kWorkspace;
  token::TokenFormat::Minted minted = format.Mint(kind, random);
  const token::EdgeDigest edge = token::EdgeDigest::Of(minted.token_string.RevealSecret());
  return {MintedToken{minted.public_id, keyring.Digest(edge), keyring.primary_id(),
                      static_cast<char>(kind)},
          std::make_shared<const base::SecretBytes>(std::move(minted.token_string))};
}

}  // namespace tollgate::service
