#include "service/rpc/last_admits.h"

#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "service/feed/ledger/last_admissions.h"
#include "service/records/field_time.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate::service {
namespace {

using tollgate::v1::Receipt;

absl::Status Complete(const RpcDeps& deps, const ReceiptQuestion& question, Receipt* receipt) {
  // Merged first, so that the use reported before an acknowledgement is seen.
  if (deps.merge_use) deps.merge_use();
  const SilenceEvidence evidence = deps.evidence();
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot, deps.engine->NewSnapshot());
  ASSIGN_OR_RETURN(const absl::optional<store::v1::TokenRecord> token,
                   storage::GetRecord<store::v1::TokenRecord>(
                       *snapshot, storage::Table::kTokens,
                       storage::TokenKey(question.workspace, question.token_id)));
  if (!token.has_value()) {  // purged, and what was known of its use with it
    KeepUnknownLastAdmits(receipt);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      const std::vector<EdgeUseRow> uses,
      ReadUses(*snapshot, question.workspace, question.token_id, deps.clock->ServiceNow()));
  CompleteLastAdmits(token::FormatTokenName(question.workspace, question.token_id), uses,
                     evidence.gaps, FromRecordMicros(token->create_time_us()), receipt);
  return absl::OkStatus();
}

}  // namespace

void WithLastAdmits(const RpcDeps& deps, const ReceiptQuestion& question, Receipt receipt,
                    std::function<void(Receipt)> done) {
  if (question.token_id.empty()) {
    done(std::move(receipt));
    return;
  }
  auto held = std::make_shared<Receipt>(std::move(receipt));
  const auto finish = [&deps, question, held, done](bool read) {
    const absl::Status status = read ? Complete(deps, question, held.get())
                                     : absl::ResourceExhaustedError("too many reads");
    if (!status.ok()) {
      KeepUnknownLastAdmits(held.get());
      base::LogSummed(base::LogLevel::kWarning, "a receipt goes out without last admissions",
                      base::ReasonOf(status), {{"status", status}});
    }
    done(std::move(*held));
  };
  if (!deps.reads->Submit([finish] { finish(true); })) finish(false);
}

}  // namespace tollgate::service
