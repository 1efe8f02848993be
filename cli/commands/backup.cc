#include "cli/commands/backup.h"

#include <memory>
#include <ostream>
#include <string>

#include "base/status.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::OperationsService;

// A large store on another disk is copied, not linked.
constexpr absl::Duration kForTheCopy = absl::Minutes(10);

absl::Status Create(Context& context, const std::string& name) {
  tollgate::v1::CreateBackupRequest request;
  request.set_directory_name(name);
  tollgate::v1::CreateBackupResponse response;
  RETURN_IF_ERROR(
      context.Ask(&OperationsService::Stub::CreateBackup, request, &response, kForTheCopy));
  if (context.settings().json()) {
    RETURN_IF_ERROR(context.ShowJson(response));
  } else if (!context.settings().quiet) {
    context.out()
        << "backed up    everything up to revision " << response.revision() << "\nto           "
        << SafeForTerminal(response.path()) << "  on the service's host\n\n"
        << "Copy it to another machine. The keyring and the journal are not in it: keep the "
           "keyring\n"
        << "apart, and the journal on another disk. docs/backup.md tells how to restore.\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddBackupCommands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("backup", "Copies of the store, made while it runs");
  noun->require_subcommand(1);
  auto name = std::make_shared<std::string>();
  CLI::App* verb = noun->add_subcommand("create", "Make one, in the service's --backup-dir");
  verb->add_option("--name", *name, "Its folder's name; default: the time and the revision");
  verb->callback([&context, name] { context.Fail(Create(context, *name)); });
}

}  // namespace tollgate::cli
