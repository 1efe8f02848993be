// The one list of fronts: a new one adds its line here.
#include "validator/fronts/ext_authz.h"
#include "validator/fronts/forward_auth.h"
#include "validator/fronts/front.h"
#include "validator/fronts/native.h"

namespace tollgate::validator {

std::vector<std::unique_ptr<Front>> MakeFronts(Validator* validator, Gate* gate) {
  std::vector<std::unique_ptr<Front>> fronts;
  fronts.push_back(std::make_unique<NativeFront>(validator));
  if (gate != nullptr) {
    fronts.push_back(std::make_unique<ForwardAuthFront>(gate));
    fronts.push_back(std::make_unique<ExtAuthzFront>(gate));
  }
  return fronts;
}

}  // namespace tollgate::validator
