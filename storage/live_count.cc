#include "storage/live_count.h"

#include <algorithm>

#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::storage {
namespace {

using store::v1::CountRecord;

// No store has more. A damaged disk may give back any number, and sums of it must not overflow.
constexpr int64_t kMostTokens = int64_t{1} << 53;

int64_t Bounded(int64_t live) { return std::clamp(live, -kMostTokens, kMostTokens); }

absl::StatusOr<CountRecord> ReadCount(const View& view, absl::string_view workspace,
                                      absl::string_view owner) {
  ASSIGN_OR_RETURN(auto count,
                   GetRecord<CountRecord>(view, Table::kMeta, LiveCountKey(workspace, owner)));
  if (!count.has_value()) return CountRecord();
  count->set_live(Bounded(count->live()));
  return *std::move(count);
}

// An owner's count of an earlier generation is over: a cohort of the whole workspace came between.
int64_t LiveIn(const CountRecord& owner, const CountRecord& workspace) {
  return owner.generation() == workspace.generation() ? owner.live() : 0;
}

absl::Status ApplyOne(const LiveChange& change, OverlayView* view) {
  ASSIGN_OR_RETURN(CountRecord whole, ReadCount(*view, change.workspace, ""));
  const auto put = [&](const std::string& owner, const CountRecord& count) {
    view->Apply(
        Mutation{Table::kMeta, LiveCountKey(change.workspace, owner), SerializeRecord(count)});
  };
  if (change.owner.empty()) {
    if (change.cohort) {
      whole.set_live(0);
      whole.set_generation(whole.generation() + 1);
    } else {
      whole.set_live(whole.live() + change.delta);
    }
    put("", whole);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(CountRecord owners, ReadCount(*view, change.workspace, change.owner));
  const int64_t before = LiveIn(owners, whole);
  const int64_t delta = change.cohort ? -before : change.delta;
  whole.set_live(whole.live() + delta);
  owners.set_live(before + delta);
  owners.set_generation(whole.generation());
  put("", whole);
  if (owners.live() != 0) {
    put(change.owner, owners);
  } else {
    view->Apply(
        Mutation{Table::kMeta, LiveCountKey(change.workspace, change.owner), absl::nullopt});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> LiveTokens(const View& view, absl::string_view workspace,
                                   absl::string_view owner) {
  ASSIGN_OR_RETURN(const CountRecord whole, ReadCount(view, workspace, ""));
  if (owner.empty()) return whole.live();
  ASSIGN_OR_RETURN(const CountRecord owners, ReadCount(view, workspace, owner));
  return LiveIn(owners, whole);
}

absl::StatusOr<std::vector<OwnerCount>> LiveOwners(const View& view, absl::string_view workspace,
                                                   size_t most) {
  ASSIGN_OR_RETURN(const CountRecord whole, ReadCount(view, workspace, ""));
  const std::string none = LiveCountKey(workspace, "");
  ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                   view.Scan(Table::kMeta, KeyAfter(none), PrefixEnd(none), most));
  std::vector<OwnerCount> owners;
  for (const Entry& entry : entries) {
    CountRecord count;
    if (!count.ParseFromString(entry.value)) {
      return absl::DataLossError("a count of live tokens cannot be parsed");
    }
    const int64_t live = LiveIn(count, whole);
    if (live > 0) owners.push_back({entry.key.substr(none.size()), live});
  }
  return owners;
}

absl::StatusOr<LiveTotal> AllLiveTokens(const View& view) {
  LiveTotal total;
  const std::string all = LiveCountPrefix();
  std::string from = all;
  while (true) {
    // A workspace's own count is the first of its counts; its owners' are passed over.
    ASSIGN_OR_RETURN(const std::vector<Entry> first,
                     view.Scan(Table::kMeta, from, PrefixEnd(all), 1));
    if (first.empty()) return total;
    CountRecord count;
    if (!count.ParseFromString(first[0].value)) {
      return absl::DataLossError("a count of live tokens cannot be parsed");
    }
    total.tokens = Bounded(total.tokens + Bounded(count.live()));
    if (count.live() > 0) ++total.workspaces;
    from = PrefixEnd(first[0].key);
  }
}

absl::Status ApplyLiveChanges(const std::vector<LiveChange>& changes, OverlayView* view) {
  for (const LiveChange& change : changes) RETURN_IF_ERROR(ApplyOne(change, view));
  return absl::OkStatus();
}

}  // namespace tollgate::storage
