// The states of a token, as the API names them.
#ifndef TOLLGATE_TOKEN_TOKEN_STATE_H_
#define TOLLGATE_TOKEN_TOKEN_STATE_H_

#include "tollgate/v1/token.pb.h"

namespace tollgate::token {

// REVOKED and EXPIRED: nothing makes such a token good again, so an answer that says so never goes
// stale.
bool IsFinal(tollgate::v1::TokenState state);
// ACTIVE, RETIRING and SUSPENDED. A state that this build does not know is neither.
bool IsLive(tollgate::v1::TokenState state);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_TOKEN_STATE_H_
