#include "tests/instruments/live_scan.h"

#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/live_count.h"
#include "storage/schema.h"
#include "token/life_cycle.h"

namespace tollgate::instruments {
namespace {

using store::v1::CohortRecord;
using store::v1::TokenRecord;
constexpr size_t kAll = std::numeric_limits<size_t>::max();

bool Covered(const storage::View& view, const TokenRecord& record) {
  token::Cohorts cohorts;
  cohorts.workspace = *storage::GetRecord<CohortRecord>(view, storage::Table::kCohorts,
                                                        storage::CohortKey(record.workspace(), ""));
  if (!record.owner().empty()) {
    cohorts.owner = *storage::GetRecord<CohortRecord>(
        view, storage::Table::kCohorts, storage::CohortKey(record.workspace(), record.owner()));
  }
  return token::CoveringCohort(record, cohorts) != nullptr;
}

}  // namespace

std::string LiveCountFaults(const storage::View& view) {
  std::map<std::pair<std::string, std::string>, int64_t> live;
  const std::vector<storage::Entry> tokens =
      view.Scan(storage::Table::kTokens, "", "", kAll).value();
  for (const storage::Entry& entry : tokens) {
    TokenRecord record;
    record.ParseFromString(entry.value);
    const int64_t one = record.has_ending() || Covered(view, record) ? 0 : 1;
    live[{record.workspace(), ""}] += one;
    if (!record.owner().empty()) live[{record.workspace(), record.owner()}] += one;
  }
  std::string faults;
  std::map<std::string, std::map<std::string, int64_t>> owners;
  for (const auto& [name, there] : live) {
    const int64_t counted = *storage::LiveTokens(view, name.first, name.second);
    if (counted != there) {
      absl::StrAppend(&faults, name.first, "/", name.second, ": counted ", counted, ", there are ",
                      there, "\n");
    }
    if (!name.second.empty() && there > 0) owners[name.first][name.second] = there;
    owners[name.first];
  }
  for (const auto& [workspace, there] : owners) {
    std::map<std::string, int64_t> counted;
    const std::vector<storage::OwnerCount> said =
        storage::LiveOwners(view, workspace, kAll).value();
    for (const storage::OwnerCount& one : said) {
      counted[one.owner] = one.live;
    }
    if (counted != there) absl::StrAppend(&faults, workspace, ": other owners\n");
  }
  return faults;
}

}  // namespace tollgate::instruments
