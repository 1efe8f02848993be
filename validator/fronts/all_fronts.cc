// The one list of fronts: a new one adds its line here.
#include "validator/fronts/front.h"
#include "validator/fronts/native.h"

namespace tollgate::validator {

std::vector<std::unique_ptr<Front>> MakeFronts(Validator* validator) {
  std::vector<std::unique_ptr<Front>> fronts;
  fronts.push_back(std::make_unique<NativeFront>(validator));
  return fronts;
}

}  // namespace tollgate::validator
