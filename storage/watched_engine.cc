#include "storage/watched_engine.h"

#include <filesystem>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/status.h"

namespace tollgate::storage {

class WatchedEngine::WatchedSnapshot : public Snapshot {
 public:
  WatchedSnapshot(const WatchedEngine* engine, std::unique_ptr<Snapshot> inner)
      : engine_(engine), inner_(std::move(inner)) {}

  int64_t revision() const override { return inner_->revision(); }
  absl::StatusOr<absl::optional<std::string>> Get(Table table,
                                                  absl::string_view key) const override {
    const DiskStep step = engine_->read_.Step();
    absl::StatusOr<absl::optional<std::string>> value = inner_->Get(table, key);
    if (!value.ok()) return engine_->Seen(value.status());
    return value;
  }
  absl::StatusOr<std::vector<Entry>> Scan(Table table, absl::string_view begin,
                                          absl::string_view end, size_t limit) const override {
    const DiskStep step = engine_->read_.Step();
    absl::StatusOr<std::vector<Entry>> entries = inner_->Scan(table, begin, end, limit);
    if (!entries.ok()) return engine_->Seen(entries.status());
    return entries;
  }
  absl::StatusOr<std::vector<Entry>> ScanBack(Table table, absl::string_view begin,
                                              absl::string_view end, size_t limit) const override {
    const DiskStep step = engine_->read_.Step();
    absl::StatusOr<std::vector<Entry>> entries = inner_->ScanBack(table, begin, end, limit);
    if (!entries.ok()) return engine_->Seen(entries.status());
    return entries;
  }

 private:
  const WatchedEngine* const engine_;
  const std::unique_ptr<Snapshot> inner_;
};

WatchedEngine::WatchedEngine(Engine* inner, Options options)
    : inner_(inner),
      work_(options.work),
      on_damage_(std::move(options.on_damage)),
      read_(work_, DiskJobKind::kRead, "a read of the store", options.place),
      commit_(work_, DiskJobKind::kWrite, "a commit", options.place),
      use_(work_, DiskJobKind::kWrite, "a write of use", options.place),
      tail_(work_, DiskJobKind::kLong, "reading the store's events", options.place) {}

absl::Status WatchedEngine::Seen(absl::Status status) const {
  if (absl::IsDataLoss(status) && on_damage_) on_damage_(status);
  return status;
}

absl::StatusOr<std::unique_ptr<Snapshot>> WatchedEngine::NewSnapshot() {
  const DiskStep step = read_.Step();
  absl::StatusOr<std::unique_ptr<Snapshot>> inner = inner_->NewSnapshot();
  if (!inner.ok()) return Seen(inner.status());
  return std::unique_ptr<Snapshot>(std::make_unique<WatchedSnapshot>(this, *std::move(inner)));
}

absl::StatusOr<CommitResult> WatchedEngine::Commit(const CommitRequest& request) {
  const DiskStep step = commit_.Step();
  absl::StatusOr<CommitResult> result = inner_->Commit(request);
  if (!result.ok()) return Seen(result.status());
  return result;
}

absl::Status WatchedEngine::MergeUse(
    const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) {
  const DiskStep step = use_.Step();
  return Seen(inner_->MergeUse(uses));
}

absl::Status WatchedEngine::FoldUse(
    const std::vector<std::string>& removed,
    const std::vector<std::pair<std::string, store::v1::UseRecord>>& uses) {
  const DiskStep step = use_.Step();
  return Seen(inner_->FoldUse(removed, uses));
}

absl::StatusOr<std::unique_ptr<Tail>> WatchedEngine::TailFrom(
    int64_t after, std::function<void(const TailEntry&)> on_entry) {
  const DiskStep step = tail_.Step();
  absl::StatusOr<std::unique_ptr<Tail>> tail = inner_->TailFrom(after, std::move(on_entry));
  if (!tail.ok()) return Seen(tail.status());
  return tail;
}

absl::Status WatchedEngine::Checkpoint(const std::string& path) {
  // By its folder, of which there are few.
  const WatchedJob copy(work_, DiskJobKind::kLong, "a copy of the store",
                        std::filesystem::path(path).parent_path().string());
  const DiskStep step = copy.Step();
  return Seen(inner_->Checkpoint(path));
}

}  // namespace tollgate::storage
