// Errors as every room makes them: absl::Status with a stable reason.
#ifndef TOLLGATE_BASE_STATUS_H_
#define TOLLGATE_BASE_STATUS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace tollgate::base {

// One refused field of a request: its path; why it is refused and what to do about it.
struct FieldViolation {
  std::string field;
  std::string description;
};

// The details that travel with an error beside its code and message (AIP-193).
struct ErrorDetails {
  std::string reason;  // UPPER_SNAKE_CASE, stable; docs/errors.md lists them
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<FieldViolation> fields;
  absl::optional<absl::Duration> retry_after;
};

// An error with a stable reason. `message` says what was refused, why, and
// what to do, in that order. `code` is not kOk.
absl::Status Refuse(absl::StatusCode code, absl::string_view reason, absl::string_view message);
absl::Status Refuse(absl::StatusCode code, absl::string_view message, const ErrorDetails& details);
// INVALID_ARGUMENT about one field; the message names the field.
absl::Status RefuseField(absl::string_view reason, absl::string_view field,
                         absl::string_view description);
// UNAVAILABLE with a time to come back.
absl::Status RefuseForNow(absl::string_view reason, absl::string_view message,
                          absl::Duration retry_after);

// The details that Refuse attached. Where there are none: a reason derived from the code.
ErrorDetails DetailsOf(const absl::Status& status);
// DetailsOf(status).reason.
std::string ReasonOf(const absl::Status& status);

}  // namespace tollgate::base

#define TOLLGATE_CONCAT_INNER_(a, b) a##b
#define TOLLGATE_CONCAT_(a, b) TOLLGATE_CONCAT_INNER_(a, b)

// Returns the error of an expression that yields a Status, if it has one.
#define RETURN_IF_ERROR(expr)                            \
  do {                                                   \
    absl::Status tollgate_status_ = (expr);              \
    if (!tollgate_status_.ok()) return tollgate_status_; \
  } while (false)

// `lhs` gets the value of an expression that yields a StatusOr, or its error is returned.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL_(TOLLGATE_CONCAT_(tollgate_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = std::move(tmp).value()

#endif  // TOLLGATE_BASE_STATUS_H_
