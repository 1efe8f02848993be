#include "cli/commands/validators_text.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/proto_time.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "cli/output.h"
#include "cli/table.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::ListValidatorsResponse;
using tollgate::v1::ValidatorState;
using tollgate::v1::ValidatorStatus;

std::string Counted(int64_t count, const char* noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

std::string BehindText(const ValidatorStatus& validator) {
  if (validator.acknowledged_revision() == 0) return "?";
  if (validator.revisions_behind() == 0) return "-";
  return absl::StrCat(validator.revisions_behind(), " rev");
}

std::string LastHeardText(const ValidatorStatus& validator) {
  if (!validator.has_last_heard() && validator.has_ended_for()) {
    return absl::StrCat("over ", HumanDuration(base::FromProto(validator.ended_for())), " ago");
  }
  if (!validator.has_last_heard()) return "not since start";
  const absl::Duration ago = base::FromProto(validator.last_heard());
  return ago < absl::Seconds(1) ? "just now" : absl::StrCat(HumanDuration(ago), " ago");
}

std::string LeaseLeftText(const ValidatorStatus& validator) {
  if (!validator.has_lease_left()) return "0";
  // Rounded up: a validator that still admits for half a second must not read as 0.
  return HumanDuration(base::FromProto(validator.lease_left()) + absl::Milliseconds(999));
}

std::string PolicyText(const ValidatorStatus& validator) {
  std::string text = "fail-closed";
  if (validator.stale_policy() == tollgate::v1::STALE_POLICY_FAIL_OPEN) {
    text = absl::StrCat("fail-open ", HumanDuration(base::FromProto(validator.fail_open_for())));
  }
  if (validator.has_holds_outlive_lease()) {
    absl::StrAppend(&text, ", keeps holds ",
                    HumanDuration(base::FromProto(validator.holds_outlive_lease())),
                    " past its lease (not covered)");
  }
  return text;
}

// Validators that somebody should look at come first.
int Order(const ValidatorStatus& validator) {
  switch (validator.state()) {
    case tollgate::v1::VALIDATOR_STATE_NOT_COVERED:
      return 0;
    case tollgate::v1::VALIDATOR_STATE_PENDING:
      return 1;
    case tollgate::v1::VALIDATOR_STATE_AWAY:
      return 2;
    case tollgate::v1::VALIDATOR_STATE_LAPSED:
      return 3;
    case tollgate::v1::VALIDATOR_STATE_JOINING:
      return 4;
    case tollgate::v1::VALIDATOR_STATE_IN_SYNC:
      return 5;
    default:
      return 6;
  }
}

std::string InstanceText(const ValidatorStatus& validator) {
  return validator.instance().substr(0, 8);
}

std::string AddressText(const ValidatorStatus& validator) {
  return validator.address().empty() ? "-" : validator.address();
}

std::string Rows(const std::vector<const ValidatorStatus*>& validators, const FleetShown& shown,
                 absl::Time now, std::vector<std::string>* left_out) {
  const bool wide = shown.wide;
  // Several processes under one id are told apart.
  std::map<absl::string_view, int> processes;
  bool twins = false;
  for (const ValidatorStatus* v : validators) twins |= ++processes[v->validator_id()] > 1;
  std::vector<Column> header = {{"VALIDATOR", 24}, {"STATE"},      {"BEHIND"},       {"LAST HEARD"},
                                {"LEASE LEFT"},    {"POLICY", 11}, {"VERSION", 0, 1}};
  if (wide) {
    for (const char* more : {"INSTANCE", "ADDRESS", "CONNECTED", "REVISION", "LAG", "CACHED",
                             "HOLDS", "DECISIONS/S"}) {
      header.emplace_back(more);
    }
  }
  if (twins && !wide) {
    header.emplace_back("INSTANCE");
    header.emplace_back("ADDRESS", 0, 2);
  }
  Table table(std::move(header));
  for (const ValidatorStatus* v : validators) {
    std::vector<std::string> row = {v->validator_id(),
                                    ValidatorStateText(v->state()),
                                    BehindText(*v),
                                    LastHeardText(*v),
                                    LeaseLeftText(*v),
                                    PolicyText(*v),
                                    v->version().empty() ? "-" : v->version()};
    if (wide) {
      row.push_back(InstanceText(*v));
      row.push_back(AddressText(*v));
      row.push_back(v->has_connect_time() ? HumanTime(base::FromProto(v->connect_time()), now)
                                          : "-");
      row.push_back(absl::StrCat(v->acknowledged_revision()));
      row.push_back(v->has_lag() ? HumanElapsed(base::FromProto(v->lag())) : "-");
      row.push_back(absl::StrCat(v->cached_tokens()));
      row.push_back(absl::StrCat(v->open_holds()));
      row.push_back(absl::StrFormat("%.1f", v->decisions_per_second()));
    }
    if (twins && !wide) {
      const bool twin = processes[v->validator_id()] > 1;
      row.push_back(twin ? InstanceText(*v) : "");
      row.push_back(twin ? AddressText(*v) : "");
    }
    table.AddRow(row);
  }
  std::ostringstream out;
  const std::vector<std::string> without = table.Print(out, {wide ? 0 : shown.columns, false});
  if (left_out != nullptr) *left_out = without;
  return out.str();
}

}  // namespace

std::string ValidatorStateText(ValidatorState state) {
  switch (state) {
    case tollgate::v1::VALIDATOR_STATE_IN_SYNC:
      return "in sync";
    case tollgate::v1::VALIDATOR_STATE_PENDING:
      return "pending";
    case tollgate::v1::VALIDATOR_STATE_AWAY:
      return "away";
    case tollgate::v1::VALIDATOR_STATE_LAPSED:
      return "lapsed";
    case tollgate::v1::VALIDATOR_STATE_NOT_COVERED:
      return "not covered";
    case tollgate::v1::VALIDATOR_STATE_JOINING:
      return "joining";
    case tollgate::v1::VALIDATOR_STATE_RELEASED:
      return "gone";
    default:
      return "unknown";
  }
}

std::string FleetLine(const ListValidatorsResponse& fleet) {
  std::string line = absl::StrCat(Counted(fleet.total_count(), "validator"), ": ",
                                  fleet.in_sync_count(), " in sync");
  if (fleet.problem_count() > 0) absl::StrAppend(&line, ", ", fleet.problem_count(), " to look at");
  const int catching_up = fleet.total_count() - fleet.in_sync_count() - fleet.problem_count();
  if (catching_up > 0) absl::StrAppend(&line, ", ", catching_up, " catching up");
  absl::StrAppend(&line, "   head ", fleet.head_revision(), ", enforced ",
                  fleet.enforced_revision());
  return line;
}

std::string FleetText(const ListValidatorsResponse& fleet, const FleetShown& shown, absl::Time now,
                      std::vector<std::string>* left_out) {
  if (fleet.validators_size() == 0) {
    if (fleet.total_count() == 0) {
      return "No validators yet. Start one in front of a service, and give it its role:\n"
             "  tollgate-validator --service ADDR --id NAME\n"
             "  tollgate access grant validator MEMBER\n";
    }
    if (shown.problems_only) {
      const int rest = fleet.total_count() - fleet.in_sync_count();
      return absl::StrCat("No problems: ", Counted(fleet.in_sync_count(), "validator"), " in sync",
                          rest > 0 ? absl::StrCat(", ", rest, " catching up") : "", ".\n");
    }
  }
  std::vector<const ValidatorStatus*> validators;
  for (const ValidatorStatus& validator : fleet.validators()) validators.push_back(&validator);
  size_t more = 0;
  if (shown.most_rows > 0) {
    std::stable_sort(
        validators.begin(), validators.end(),
        [](const ValidatorStatus* a, const ValidatorStatus* b) { return Order(*a) < Order(*b); });
    if (validators.size() > shown.most_rows) {
      more = validators.size() - shown.most_rows;
      validators.resize(shown.most_rows);
    }
  }
  std::string text = Rows(validators, shown, now, left_out);
  if (more > 0) absl::StrAppend(&text, "… and ", more, " more\n");
  return text;
}

}  // namespace tollgate::cli
