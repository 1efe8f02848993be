#include "service/rpc/last_admits.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "service/records/field_time.h"
#include "storage/schema.h"
#include "token/resource_name.h"

namespace tollgate {
namespace {

using tollgate::v1::LastAdmit;
using tollgate::v1::Receipt;

constexpr size_t kMaxNamed = 100;

struct Known {
  absl::Time last = absl::InfinitePast();
  bool unknown = false;
};

void KeepUnknown(Receipt* receipt) {
  auto* admits = receipt->mutable_last_admits();
  admits->erase(std::remove_if(admits->begin(), admits->end(),
                               [](const LastAdmit& admit) { return !admit.unknown(); }),
                admits->end());
}

absl::Status Complete(const RpcDeps& deps, const ReceiptQuestion& question, Receipt* receipt) {
  // What came on a stream before its acknowledgement is to be seen.
  if (deps.merge_use) deps.merge_use();
  const SilenceEvidence evidence = deps.evidence();
  ASSIGN_OR_RETURN(const std::unique_ptr<Snapshot> snapshot, deps.engine->NewSnapshot());
  ASSIGN_OR_RETURN(const absl::optional<store::v1::TokenRecord> token,
                   GetRecord<store::v1::TokenRecord>(
                       *snapshot, Table::kTokens, TokenKey(question.workspace, question.token_id)));
  if (!token.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(
      const std::vector<EdgeUseRow> uses,
      ReadUses(*snapshot, question.workspace, question.token_id, deps.clock->WallNow()));
  CompleteLastAdmits(FormatTokenName(question.workspace, question.token_id), uses, evidence.gaps,
                     FromRecordMicros(token->create_time_us()), receipt);
  return absl::OkStatus();
}

}  // namespace

void CompleteLastAdmits(absl::string_view token, const std::vector<EdgeUseRow>& uses,
                        const std::vector<SilenceEvidence::Gap>& gaps, absl::Time created,
                        Receipt* receipt) {
  std::map<std::string, Known> edges;
  absl::Time latest = created;
  for (const LastAdmit& admit : receipt->last_admits()) {
    Known& edge = edges[admit.edge()];
    edge.unknown |= admit.unknown();
    if (admit.has_last_admit_time())
      edge.last = std::max(edge.last, FromProto(admit.last_admit_time()));
  }
  for (const EdgeUseRow& use : uses) {
    Known& edge = edges[use.edge];
    edge.last = std::max(edge.last, use.last_used);
  }
  for (const auto& [name, edge] : edges) latest = std::max(latest, edge.last);
  for (const SilenceEvidence::Gap& gap : gaps) {
    if (gap.until > latest) edges[gap.edge].unknown = true;
  }

  std::vector<std::pair<std::string, Known>> rows(edges.begin(), edges.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    if (a.second.unknown != b.second.unknown) return b.second.unknown;
    return !a.second.unknown && a.second.last > b.second.last;
  });
  if (rows.size() > kMaxNamed) rows.resize(kMaxNamed);
  receipt->clear_last_admits();
  for (const auto& [name, edge] : rows) {
    LastAdmit* admit = receipt->add_last_admits();
    admit->set_token(std::string(token));
    admit->set_edge(name);
    if (edge.unknown) {
      admit->set_unknown(true);
    } else if (edge.last > absl::InfinitePast()) {
      *admit->mutable_last_admit_time() = ToProto(edge.last);
    }
  }
}

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
      KeepUnknown(held.get());
      Log(LogLevel::kWarning, "a receipt goes out without last admissions", {{"status", status}});
    }
    done(std::move(*held));
  };
  if (!deps.reads->Submit([finish] { finish(true); })) finish(false);
}

}  // namespace tollgate
