#include "cli/commands/status.h"

#include <ostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "base/version.h"
#include "cli/commands/clock.h"
#include "cli/commands/validators_text.h"
#include "cli/human.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::ListValidatorsResponse;
using tollgate::v1::OperationsService;
using tollgate::v1::ServiceStatus;
using tollgate::v1::ValidatorStatus;

// The most validators that are named; the rest are counted.
constexpr int kNamed = 5;
// Enough of an epoch to tell it from another one.
constexpr size_t kEpochShown = 8;

constexpr char kIndent[] = "           ";

std::string ServiceLine(const ServiceStatus& status, absl::string_view service, absl::Time now) {
  std::string line = absl::StrCat("service    ", status.version(), " at ", service, ", up ",
                                  HumanDuration(now - base::FromProto(status.start_time())),
                                  status.ready() ? "" : ", NOT READY", "\n");
  if (status.version() != base::kVersion) {
    absl::StrAppend(&line, kIndent, "this command is ", base::kVersion, "\n");
  }
  return line;
}

std::string StoreLines(const ServiceStatus& status) {
  const tollgate::v1::StoreStatus& store = status.store();
  std::string text = absl::StrCat("store      ", store.name());
  if (store.size_bytes() > 0) absl::StrAppend(&text, ", ", HumanBytes(store.size_bytes()));
  if (store.has_live_tokens() && store.live_tokens() == 0) {
    absl::StrAppend(&text, ", no live token");
  } else if (store.has_live_tokens()) {
    absl::StrAppend(&text, ", ", HumanCount(store.live_tokens()),
                    store.live_tokens() == 1 ? " live token in " : " live tokens in ",
                    HumanCount(store.workspaces()),
                    store.workspaces() == 1 ? " workspace" : " workspaces");
  }
  absl::StrAppend(&text, "\n");
  if (!store.trouble().empty()) absl::StrAppend(&text, kIndent, "TROUBLE: ", store.trouble(), "\n");
  absl::StrAppend(&text, kIndent, "revision ", status.head_revision(), ", epoch ",
                  status.epoch().substr(0, kEpochShown), "…\n");
  return text;
}

std::string BackupLine(const ServiceStatus& status, absl::Time now) {
  const tollgate::v1::BackupStatus& backup = status.backup();
  std::string said;
  if (!backup.configured()) {
    said = "the service was not told where backups go (--backup-dir)";
  } else if (!status.store().trouble().empty()) {
    said = "not looked at, while the store has trouble";
  } else if (backup.newest_path().empty()) {
    said = "none yet; make one:  tollgate backup create";
  } else {
    said = absl::StrCat(HumanTime(base::FromProto(backup.newest_time()), now), ": ",
                        backup.newest_path());
  }
  return absl::StrCat("backup     ", said, "\n");
}

std::string FleetLines(const ServiceStatus& status) {
  const ListValidatorsResponse& fleet = status.fleet();
  std::string text = absl::StrCat("fleet      ", HumanCount(fleet.total_count()),
                                  fleet.total_count() == 1 ? " validator: " : " validators: ",
                                  HumanCount(fleet.in_sync_count()), " in sync");
  if (fleet.total_count() == 0) text = "fleet      no validators";
  const int rest = fleet.total_count() - fleet.in_sync_count() - fleet.problem_count();
  if (rest > 0) absl::StrAppend(&text, ", ", HumanCount(rest), " catching up");
  absl::StrAppend(&text, "\n");
  std::vector<std::string> named;
  for (const ValidatorStatus& validator : fleet.validators()) {
    if (static_cast<int>(named.size()) == kNamed) break;
    named.push_back(
        absl::StrCat(validator.validator_id(), " ", ValidatorStateText(validator.state())));
  }
  const int unnamed = fleet.problem_count() - static_cast<int>(named.size());
  if (unnamed > 0) named.push_back(absl::StrCat(HumanCount(unnamed), " more"));
  if (!named.empty()) {
    absl::StrAppend(&text, kIndent, "to look at: ", absl::StrJoin(named, ", "),
                    "   tollgate validators list --problems\n");
  }
  absl::StrAppend(&text, kIndent, "enforced up to revision ", status.enforced_revision(), "\n");
  return text;
}

absl::Status ShowStatus(Context& context) {
  ServiceStatus status;
  RETURN_IF_ERROR(
      context.Ask(&OperationsService::Stub::GetStatus, tollgate::v1::GetStatusRequest(), &status));
  if (context.settings().json()) return context.ShowJson(status);
  if (context.settings().quiet) return absl::OkStatus();
  context.out() << StatusText(status, context.settings().service);
  return absl::OkStatus();
}

}  // namespace

std::string StatusText(const ServiceStatus& status, absl::string_view service) {
  const absl::Time now = base::FromProto(status.clock().service_time());
  return absl::StrCat(ServiceLine(status, service, now), StoreLines(status),
                      BackupLine(status, now), FleetLines(status), "clock      ",
                      ClockLine(status.clock()), "\n");
}

void AddStatusCommand(CLI::App& app, Context& context) {
  app.add_subcommand("status", "How service, store, backups, fleet and clock stand")
      ->callback([&context] { context.Fail(ShowStatus(context)); });
}

}  // namespace tollgate::cli
