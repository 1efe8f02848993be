#include "service/reads/check_store.h"

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "service/records/held_token.h"
#include "storage/audit_index.h"
#include "storage/live_count.h"
#include "storage/schema.h"
#include "storage/whole_table.h"
#include "token/life_cycle.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::service {
namespace {

using ::tollgate::store::v1::AuditChainRecord;
using ::tollgate::store::v1::AuditRecord;
using ::tollgate::store::v1::DigestRecord;
using ::tollgate::store::v1::Ending;
using ::tollgate::store::v1::TokenRecord;
using ::tollgate::store::v1::WorkspaceRecord;
using ::tollgate::v1::CheckStoreResponse;

constexpr int kMostTold = 20;
constexpr size_t kAll = std::numeric_limits<size_t>::max();

class StoreCheck {
 public:
  explicit StoreCheck(const storage::View& view) : view_(view) {}

  absl::StatusOr<CheckStoreResponse> Run() {
    RETURN_IF_ERROR(ReadWorkspaces());
    RETURN_IF_ERROR(ReadTokens());
    RETURN_IF_ERROR(CheckAudit());
    RETURN_IF_ERROR(ReadDigests());
    for (const auto& [workspace, live] : live_) {
      if (!live.recorded) {
        Fault(absl::StrCat("there are tokens of ", workspace, ", and there is no such workspace"));
      }
      RETURN_IF_ERROR(Compare(workspace, live));
    }
    return found_;
  }

 private:
  struct Live {
    bool recorded = false;  // there is a record of the workspace
    int64_t all = 0;
    std::map<std::string, int64_t> by_owner;  // without those who have none
  };

  // Those that have no token may have counts.
  absl::Status ReadWorkspaces() {
    const auto note = [this](const WorkspaceRecord& record) {
      live_[record.workspace()].recorded = true;
      return absl::OkStatus();
    };
    return storage::ForEachRecord<WorkspaceRecord>(view_, storage::Table::kWorkspaces, note);
  }

  absl::Status ReadTokens() {
    return storage::ForEachRecord<TokenRecord>(view_, storage::Table::kTokens,
                                               [this](const auto& record) { return Read(record); });
  }

  // Those of tokens that are there were looked at with them.
  absl::Status ReadDigests() {
    return storage::ForEachRecord<DigestRecord>(
        view_, storage::Table::kDigests, [this](const auto& record) { return Read(record); });
  }

  absl::Status Read(const TokenRecord& record) {
    found_.set_tokens(found_.tokens() + 1);
    RETURN_IF_ERROR(CheckFound(record));
    Live& live = live_[record.workspace()];
    if (record.has_ending()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const token::Cohorts* cohorts, CohortsOf(record.workspace(), record.owner()));
    if (token::CoveringCohort(record, *cohorts) != nullptr) return absl::OkStatus();
    found_.set_live_tokens(found_.live_tokens() + 1);
    ++live.all;
    if (!record.owner().empty()) ++live.by_owner[record.owner()];
    return absl::OkStatus();
  }

  absl::Status Read(const DigestRecord& record) {
    const bool purged = record.has_tombstone();
    if (purged) found_.set_purged_tokens(found_.purged_tokens() + 1);
    ASSIGN_OR_RETURN(const auto token,
                     view_.Get(storage::Table::kTokens,
                               storage::TokenKey(record.workspace(), record.token_id())));
    const std::string which = absl::StrCat(record.token_id(), " of ", record.workspace());
    if (!purged && !token.has_value()) {
      // No edge can be told of it: it is no unknown token, and nobody knows how it is (I7).
      Fault(absl::StrCat("a token string finds ", which, ", and there is no such token"));
    }
    if (purged && token.has_value()) Fault(absl::StrCat("token ", which, " is purged, and there"));
    if (purged && record.tombstone().ending().kind() == Ending::KIND_UNSPECIFIED) {
      Fault(absl::StrCat("it is not told how the purged token ", which, " ended"));
    }
    return absl::OkStatus();
  }

  // Whether the token's string is found by its digest.
  absl::Status CheckFound(const TokenRecord& record) {
    ASSIGN_OR_RETURN(
        const auto digest,
        storage::GetRecord<DigestRecord>(view_, storage::Table::kDigests, record.stored_digest()));
    if (!digest.has_value()) {
      Fault(absl::StrCat("token ", record.token_id(), " of ", record.workspace(),
                         " is not found by its token string"));
    } else if (digest->workspace() != record.workspace() ||
               digest->token_id() != record.token_id()) {
      Fault(absl::StrCat("the token string of ", record.token_id(), " of ", record.workspace(),
                         " finds ", digest->token_id(), " of ", digest->workspace()));
    }
    return absl::OkStatus();
  }

  // Whether each entry of the audit log is found by the tokens that it is about, and no other is.
  absl::Status CheckAudit() {
    int64_t rows = 0;
    const auto check = [&](const AuditChainRecord& link) -> absl::Status {
      AuditRecord entry;
      if (!entry.ParseFromString(link.content())) {
        return absl::DataLossError("an audit entry cannot be parsed");
      }
      for (const std::string& key : storage::AuditIndexKeys(entry)) {
        ++rows;
        ASSIGN_OR_RETURN(const auto row, view_.Get(storage::Table::kAuditByToken, key));
        if (row.has_value()) continue;
        Fault(absl::StrCat("audit entry ", entry.revision(), ".", entry.index(), " (",
                           entry.action(), ") is not in the history of ", entry.resource()));
      }
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(storage::ForEachRecord<AuditChainRecord>(view_, storage::Table::kAudit, check));
    int64_t found = 0;
    const auto count = [&found](const storage::Entry& row) {
      if (row.value != storage::kEndedWithOthers) ++found;
      return absl::OkStatus();
    };
    RETURN_IF_ERROR(storage::ForEachEntry(view_, storage::Table::kAuditByToken, count));
    if (found > rows) {
      Fault(absl::StrCat("histories of tokens have ", found, " entries, and the audit log has ",
                         rows, " about tokens"));
    }
    return absl::OkStatus();
  }

  // A store holds its tokens by workspace, so the cohorts of one workspace are kept at a time.
  absl::StatusOr<const token::Cohorts*> CohortsOf(const std::string& workspace,
                                                  const std::string& owner) {
    if (workspace != cohorts_of_) {
      cohorts_.clear();
      cohorts_of_ = workspace;
    }
    auto it = cohorts_.find(owner);
    if (it == cohorts_.end()) {
      ASSIGN_OR_RETURN(token::Cohorts read, LoadCohorts(view_, workspace, owner));
      it = cohorts_.emplace(owner, std::move(read)).first;
    }
    return &it->second;
  }

  absl::Status Compare(const std::string& workspace, const Live& live) {
    found_.set_workspaces(found_.workspaces() + 1);
    ASSIGN_OR_RETURN(const int64_t counted, storage::LiveTokens(view_, workspace));
    if (counted != live.all) TellCount(workspace, counted, live.all);
    ASSIGN_OR_RETURN(const std::vector<storage::OwnerCount> owners,
                     storage::LiveOwners(view_, workspace, kAll));
    std::map<std::string, int64_t> there = live.by_owner;
    for (const storage::OwnerCount& owner : owners) {
      const auto it = there.find(owner.owner);
      const int64_t read = it == there.end() ? 0 : it->second;
      if (read != owner.live) {
        TellCount(absl::StrCat(workspace, ", owner ", owner.owner), owner.live, read);
      }
      if (it != there.end()) there.erase(it);
    }
    for (const auto& [owner, read] : there) {
      TellCount(absl::StrCat(workspace, ", owner ", owner), 0, read);
    }
    return absl::OkStatus();
  }

  void TellCount(absl::string_view of, int64_t counted, int64_t read) {
    Fault(absl::StrCat(of, ": ", counted, " live tokens are counted, and there are ", read));
  }

  void Fault(std::string what) {
    found_.set_fault_count(found_.fault_count() + 1);
    if (found_.faults_size() < kMostTold) found_.add_faults(std::move(what));
  }

  const storage::View& view_;
  CheckStoreResponse found_;
  std::map<std::string, Live> live_;
  std::string cohorts_of_;
  std::map<std::string, token::Cohorts> cohorts_;  // by owner
};

}  // namespace

absl::StatusOr<CheckStoreResponse> CheckStore(const storage::View& view) {
  return StoreCheck(view).Run();
}

}  // namespace tollgate::service
