#include "validator/fronts/identity.h"

#include <string>

#include "base/proto_time.h"

namespace tollgate::validator {

void FillIdentity(const token::GrantView& grant, tollgate::v1::Identity* identity) {
  identity->set_token(std::string(grant.token()));
  identity->set_workspace(std::string(grant.workspace()));
  identity->set_owner(std::string(grant.owner()));
  for (size_t i = 0; i < grant.scope_count(); ++i) {
    identity->add_scopes(std::string(grant.scope(i)));
  }
  for (size_t i = 0; i < grant.annotation_count(); ++i) {
    (*identity->mutable_annotations())[std::string(grant.annotation_key(i))] =
        std::string(grant.annotation_value(i));
  }
  if (grant.expire_time_us() != 0) {
    *identity->mutable_expire_time() = base::TimestampFromMicros(grant.expire_time_us());
  }
}

}  // namespace tollgate::validator
