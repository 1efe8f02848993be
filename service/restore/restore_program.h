// `tollgated restore …` and `tollgated new-epoch …`: their output, and their errors.
#ifndef TOLLGATE_SERVICE_RESTORE_RESTORE_PROGRAM_H_
#define TOLLGATE_SERVICE_RESTORE_RESTORE_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/random.h"
#include "service/restore/restore.h"

namespace tollgate::service {

// Whether `word` is "restore" or "new-epoch".
bool IsStoreCommand(absl::string_view word);

// Runs the command; `arguments` begin with its word. Returns the text to print: the report, or the
// help. Errors: INVALID_ARGUMENT (BAD_FLAG), RestoreStore's, BeginNewEpoch's.
absl::StatusOr<std::string> RunStoreCommand(const std::vector<std::string>& arguments,
                                            base::Random& random, const base::Clock& clock);

// The report for people.
std::string DescribeRestore(const RestoreReport& report, bool restored);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_RESTORE_RESTORE_PROGRAM_H_
