#include "token/token_state.h"

namespace tollgate::token {

using tollgate::v1::TokenState;

bool IsFinal(TokenState state) {
  return state == tollgate::v1::TOKEN_STATE_REVOKED || state == tollgate::v1::TOKEN_STATE_EXPIRED;
}

bool IsLive(TokenState state) {
  return state == tollgate::v1::TOKEN_STATE_ACTIVE || state == tollgate::v1::TOKEN_STATE_RETIRING ||
         state == tollgate::v1::TOKEN_STATE_SUSPENDED;
}

}  // namespace tollgate::token
