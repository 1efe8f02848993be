// Audit: past changes, and proof that no entry was removed.
#include <memory>
#include <ostream>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/commands/events.h"
#include "cli/commands/token_text.h"
#include "cli/human.h"
#include "token/audit_hash.h"
#include "tollgate/v1/operations_service.grpc.pb.h"

namespace tollgate::cli {
namespace {

using tollgate::v1::AuditEntry;
using tollgate::v1::OperationsService;

struct ListOptions {
  std::string workspace;
  int64_t from = 0;
};

// Calls `each` with every entry from a revision on, page by page.
absl::Status ForEachEntry(Context& context, const ListOptions& options,
                          const std::function<absl::Status(const AuditEntry&)>& each) {
  tollgate::v1::ListAuditEntriesRequest request;
  if (!options.workspace.empty()) {
    ASSIGN_OR_RETURN(*request.mutable_parent(), ParentFrom(options.workspace));
  }
  request.set_from_revision(options.from);
  request.set_page_size(1000);
  do {
    tollgate::v1::ListAuditEntriesResponse page;
    RETURN_IF_ERROR(context.Ask(&OperationsService::Stub::ListAuditEntries, request, &page));
    for (const AuditEntry& entry : page.entries()) RETURN_IF_ERROR(each(entry));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return absl::OkStatus();
}

// By name; for a cohort also whose tokens it covered.
std::string ResourceText(const AuditEntry& entry) {
  const auto owner = entry.details().find("owner");
  if (entry.action() != "cohort.revoke" || owner == entry.details().end()) return entry.resource();
  return absl::StrCat(entry.resource(), " owner ", owner->second);
}

absl::Status List(Context& context, const ListOptions& options) {
  Table table({"REVISION", "TIME (UTC)", "ACTOR", "ACTION", "RESOURCE", "REASON"});
  RETURN_IF_ERROR(ForEachEntry(context, options, [&](const AuditEntry& entry) {
    if (context.settings().json()) {
      RETURN_IF_ERROR(context.ShowJsonLine(entry));
    } else {
      table.AddRow({absl::StrCat(entry.revision()),
                    absl::FormatTime("%Y-%m-%d %H:%M:%S", base::FromProto(entry.time()),
                                     absl::UTCTimeZone()),
                    entry.actor(), entry.action(), ResourceText(entry), entry.reason()});
    }
    return absl::OkStatus();
  }));
  if (!context.settings().json()) {
    if (table.empty()) context.out() << "No audit entries.\n";
    table.Print(context.out());
  }
  return absl::OkStatus();
}

absl::Status Verify(Context& context) {
  std::string previous;
  int64_t count = 0;
  int64_t last = 0;
  RETURN_IF_ERROR(
      ForEachEntry(context, ListOptions(), [&](const AuditEntry& entry) -> absl::Status {
        const std::string expected = token::AuditHash(previous, entry.hashed_content());
        if (expected != entry.hash()) {
          return absl::FailedPreconditionError(
              absl::StrCat("the audit log is not what was written: entry ", entry.revision(), ".",
                           entry.index(), " (", entry.action(), " ", entry.resource(),
                           ") does not follow from the one before it. "
                           "It, or an entry before it, was altered or removed"));
        }
        previous = entry.hash();
        last = entry.revision();
        ++count;
        return absl::OkStatus();
      }));
  if (context.settings().json()) {
    context.out() << "{\"verified\": true, \"entries\": " << count << ", \"revision\": " << last
                  << ", \"hash\": \"" << absl::BytesToHexString(previous) << "\"}\n";
  } else if (!context.settings().quiet) {
    context.out() << "verified     " << count << " entries, to revision " << last
                  << "\nlast hash    " << absl::BytesToHexString(previous) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddAuditCommands(CLI::App& app, Context& context) {
  CLI::App* noun = app.add_subcommand("audit", "Who did what, and proof that the log is whole");
  noun->require_subcommand(1);
  auto options = std::make_shared<ListOptions>();
  CLI::App* list = noun->add_subcommand("list", "The audit log, oldest first");
  list->add_option("-w,--workspace", options->workspace, "Only this workspace's");
  list->add_option("--from", options->from, "From this revision on")->check(CLI::NonNegativeNumber);
  list->callback([&context, options] { context.Fail(List(context, *options)); });
  noun->add_subcommand("verify", "Recompute the hash chain from the first entry to the last")
      ->callback([&context] { context.Fail(Verify(context)); });
}

}  // namespace tollgate::cli
