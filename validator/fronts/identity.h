// Who a token speaks for, as fronts tell it.
#ifndef TOLLGATE_VALIDATOR_FRONTS_IDENTITY_H_
#define TOLLGATE_VALIDATOR_FRONTS_IDENTITY_H_

#include "token/grant.h"
#include "tollgate/v1/validation_service.pb.h"

namespace tollgate::validator {

// Writes what a grant says of its token into an empty identity.
void FillIdentity(const token::GrantView& grant, tollgate::v1::Identity* identity);

}  // namespace tollgate::validator

#endif  // TOLLGATE_VALIDATOR_FRONTS_IDENTITY_H_
