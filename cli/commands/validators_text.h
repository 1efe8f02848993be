// The fleet as text for people.
#ifndef TOLLGATE_CLI_COMMANDS_VALIDATORS_TEXT_H_
#define TOLLGATE_CLI_COMMANDS_VALIDATORS_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tollgate/v1/operations_service.pb.h"

namespace tollgate::cli {

// "in sync", "pending", "away", "lapsed", "not covered", "joining", "gone".
std::string ValidatorStateText(tollgate::v1::ValidatorState state);

// Which part of the fleet is shown, and how.
struct FleetShown {
  bool problems_only = false;
  // Also show the instance, the address and the activity. Without it the first two are shown of
  // processes that share an id.
  bool wide = false;
  // The most rows, beginning with the validators that somebody should look at; 0: all rows, by id.
  size_t most_rows = 0;
  size_t columns = 0;  // of the terminal that the table must fit; 0: the table may have any width
};

// `validators list`: the table, or words that say that there is nothing to show. `fleet` holds
// every validator that is to be shown. `left_out`, where it is given, gets the columns that had no
// room.
std::string FleetText(const tollgate::v1::ListValidatorsResponse& fleet, const FleetShown& shown,
                      absl::Time now, std::vector<std::string>* left_out = nullptr);

// One line: "200 validators: 198 in sync, 2 to look at   head 184, enforced 182".
std::string FleetLine(const tollgate::v1::ListValidatorsResponse& fleet);

}  // namespace tollgate::cli

#endif  // TOLLGATE_CLI_COMMANDS_VALIDATORS_TEXT_H_
