// The ledger that bends rules, where a mutation needs more than a switch in the product.
#ifndef TOLLGATE_TESTS_SIMULATION_BENT_LEDGER_H_
#define TOLLGATE_TESTS_SIMULATION_BENT_LEDGER_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/mutation.h"
#include "service/feed/ledger/enforcement.h"

namespace tollgate::simulation {

// The simulated service's ledger: the one that ships, but for the chosen mutation.
class BentLedger : public service::EnforcementLedger {
 public:
  using service::EnforcementLedger::EnforcementLedger;

  void OnHello(const lease::SessionId& key, const v1::Hello& hello, base::BootTime now,
               absl::string_view address) override {
    if (TOLLGATE_MUTATED("r3_hello_ends_twin")) {
      std::vector<service::SessionView> known;
      AddSessions(absl::nullopt, SIZE_MAX, &known);
      for (const service::SessionView& other : known) {
        if (other.key.validator_id == key.validator_id && other.key != key) Release(other.key, now);
      }
    }
    service::EnforcementLedger::OnHello(key, hello, now, address);
  }
};

}  // namespace tollgate::simulation

#endif  // TOLLGATE_TESTS_SIMULATION_BENT_LEDGER_H_
