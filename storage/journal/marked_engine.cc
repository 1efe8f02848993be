#include "storage/journal/marked_engine.h"

#include "absl/strings/str_cat.h"
#include "base/mutation.h"
#include "base/status.h"
#include "storage/embedded_engine.h"
#include "storage/migration.h"
#include "storage/schema.h"

namespace tollgate::storage {
namespace {

using store::v1::HeadRecord;
using store::v1::MetaRecord;

// The newest commit of the store that `view` shows.
absl::StatusOr<HeadMark::Head> HeadOf(const View& view) {
  ASSIGN_OR_RETURN(const auto meta, GetRecord<MetaRecord>(view, Table::kMeta, kMetaKey));
  ASSIGN_OR_RETURN(const auto record, GetRecord<HeadRecord>(view, Table::kMeta, kHeadKey));
  if (!meta.has_value() || !record.has_value()) {
    return absl::DataLossError("the store has no meta record, or no head");
  }
  HeadMark::Head head;
  head.store_id = StoreIdOf(*meta);
  head.epoch = meta->epoch();
  head.revision = record->revision();
  head.fingerprint = record->fingerprint();
  return head;
}

absl::Status RolledBack(const std::string& path, absl::string_view why) {
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "STORE_ROLLED_BACK",
      absl::StrCat("the store is not what was told of it: ", why, " (", path,
                   "). It was rolled back, is an old copy, or its disk lost what it had synced; "
                   "serving it would bring back what was revoked since, and call unknown what was "
                   "created.\n"
                   "  Begin a new history on it, with what the journal knows:  "
                   "tollgated new-epoch --store DIR\n"
                   "  or put the store back that was served last"));
}

// Whether the store contradicts its mark.
absl::Status Compare(const View& view, const HeadMark::Head& head, const HeadMark::Head& mark,
                     const std::string& path) {
  if (mark.store_id != head.store_id || mark.epoch != head.epoch) return absl::OkStatus();
  if (mark.revision > head.revision) {
    return RolledBack(path,
                      absl::StrCat("it was at revision ", mark.revision, " and is at revision ",
                                   head.revision, ", so what came after that is lost"));
  }
  ASSIGN_OR_RETURN(const absl::optional<std::string> kept, FingerprintAt(view, mark.revision));
  // Not kept: the mark is older than what was compacted, and there is nothing to compare.
  if (!kept.has_value() || mark.fingerprint.empty() || *kept == mark.fingerprint) {
    return absl::OkStatus();
  }
  return RolledBack(path, absl::StrCat("its revision ", mark.revision,
                                       " is another than the one that was told, so what that one "
                                       "changed, and perhaps more, is lost"));
}

}  // namespace

absl::Status WriteHeadMark(const View& view, const std::string& path) {
  ASSIGN_OR_RETURN(const HeadMark::Head head, HeadOf(view));
  return HeadMark(path).Write(head);
}

absl::StatusOr<std::unique_ptr<MarkedEngine>> MarkedEngine::Open(Engine* inner, Options options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Snapshot> snapshot, inner->NewSnapshot());
  ASSIGN_OR_RETURN(const HeadMark::Head head, HeadOf(*snapshot));
  std::unique_ptr<MarkedEngine> engine(new MarkedEngine(inner, std::move(options)));
  engine->store_id_ = head.store_id;
  engine->epoch_ = head.epoch;
  engine->marked_ = head.revision;  // nothing is told before the first commit, which is marked
  absl::MutexLock lock(&engine->mu_);
  const absl::StatusOr<absl::optional<HeadMark::Head>> mark = engine->mark_.Read();
  if (!mark.ok()) {
    if (engine->on_failed_) engine->on_failed_(mark.status());
    return engine;
  }
  if (mark->has_value() && !TOLLGATE_MUTATED("r19_mark_ignored")) {
    RETURN_IF_ERROR(Compare(*snapshot, head, **mark, engine->mark_.path()));
  }
  return engine;
}

void MarkedEngine::Mark(int64_t revision, absl::string_view fingerprint) {
  if (revision <= marked_.load(std::memory_order_acquire)) return;
  absl::Status told;
  {
    absl::MutexLock lock(&mu_);
    if (revision <= marked_.load(std::memory_order_relaxed)) return;
    const DiskStep step = write_.Step();
    const absl::Status written =
        mark_.Write({store_id_, epoch_, revision, std::string(fingerprint)});
    if (!written.ok()) {
      failures_.fetch_add(1, std::memory_order_relaxed);
      if (!failing_) told = written;
    }
    failing_ = !written.ok();
    marked_.store(revision, std::memory_order_release);
  }
  if (!told.ok() && on_failed_) on_failed_(told);
}

absl::StatusOr<std::unique_ptr<Snapshot>> MarkedEngine::NewSnapshot() {
  ASSIGN_OR_RETURN(std::unique_ptr<Snapshot> snapshot, inner_->NewSnapshot());
  if (snapshot->revision() > marked_.load(std::memory_order_acquire)) {
    // A commit that is durable, and whose committer has not come to its mark yet.
    ASSIGN_OR_RETURN(const HeadMark::Head head, HeadOf(*snapshot));
    Mark(head.revision, head.fingerprint);
  }
  return snapshot;
}

absl::StatusOr<CommitResult> MarkedEngine::Commit(const CommitRequest& request) {
  ASSIGN_OR_RETURN(const HeadRecord head, CheckCommitRequest(request));
  ASSIGN_OR_RETURN(const CommitResult result, inner_->Commit(request));
  if (result.committed) Mark(head.revision(), head.fingerprint());
  return result;
}

absl::Status MarkedEngine::MergeUse(
    const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) {
  return inner_->MergeUse(uses);
}

absl::Status MarkedEngine::FoldUse(
    const std::vector<std::string>& removed,
    const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) {
  return inner_->FoldUse(removed, uses);
}

absl::StatusOr<std::unique_ptr<Tail>> MarkedEngine::TailFrom(
    int64_t after, std::function<void(const TailEntry&)> on_entry) {
  return inner_->TailFrom(after, [this, on_entry = std::move(on_entry)](const TailEntry& entry) {
    Mark(entry.revision, entry.fingerprint);
    on_entry(entry);
  });
}

absl::Status MarkedEngine::Checkpoint(const std::string& path) { return inner_->Checkpoint(path); }

}  // namespace tollgate::storage
