#include "storage/memory/memory_engine.h"

#include <algorithm>
#include <iterator>

#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::storage {

using store::v1::HeadRecord;
using store::v1::MetaRecord;
using store::v1::UseRecord;

class MemoryEngine::MemorySnapshot : public Snapshot {
 public:
  MemorySnapshot(MemoryEngine* engine, int64_t sequence, int64_t revision)
      : engine_(engine), sequence_(sequence), revision_(revision) {}
  ~MemorySnapshot() override {
    absl::MutexLock lock(&engine_->mu_);
    engine_->live_snapshots_.erase(engine_->live_snapshots_.find(sequence_));
  }

  int64_t revision() const override { return revision_; }

  absl::StatusOr<absl::optional<std::string>> Get(Table table,
                                                  absl::string_view key) const override {
    absl::ReaderMutexLock lock(&engine_->mu_);
    const Keys& keys = engine_->tables_[static_cast<size_t>(table)];
    const auto found = keys.find(std::string(key));
    if (found == keys.end()) return absl::optional<std::string>();
    const std::string* value = ValueAt(found->second, sequence_);
    if (value == nullptr) return absl::optional<std::string>();
    return absl::optional<std::string>(*value);
  }

  absl::StatusOr<std::vector<Entry>> Scan(Table table, absl::string_view begin,
                                          absl::string_view end, size_t limit) const override {
    absl::ReaderMutexLock lock(&engine_->mu_);
    const Keys& keys = engine_->tables_[static_cast<size_t>(table)];
    std::vector<Entry> entries;
    for (auto it = keys.lower_bound(std::string(begin)); it != keys.end(); ++it) {
      if (entries.size() >= limit || (!end.empty() && it->first >= end)) break;
      const std::string* value = ValueAt(it->second, sequence_);
      if (value != nullptr) entries.push_back(Entry{it->first, *value});
    }
    return entries;
  }

  absl::StatusOr<std::vector<Entry>> ScanBack(Table table, absl::string_view begin,
                                              absl::string_view end, size_t limit) const override {
    absl::ReaderMutexLock lock(&engine_->mu_);
    const Keys& keys = engine_->tables_[static_cast<size_t>(table)];
    std::vector<Entry> entries;
    auto it = end.empty() ? keys.end() : keys.lower_bound(std::string(end));
    while (it != keys.begin() && entries.size() < limit) {
      --it;
      if (it->first < begin) break;
      const std::string* value = ValueAt(it->second, sequence_);
      if (value != nullptr) entries.push_back(Entry{it->first, *value});
    }
    return entries;
  }

 private:
  MemoryEngine* const engine_;
  const int64_t sequence_;
  const int64_t revision_;
};

MemoryEngine::~MemoryEngine() = default;

const std::string* MemoryEngine::ValueAt(const Versions& versions, int64_t sequence) {
  for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
    if (it->sequence <= sequence) return it->value.has_value() ? &*it->value : nullptr;
  }
  return nullptr;
}

absl::StatusOr<std::unique_ptr<MemoryEngine>> MemoryEngine::Open(Options options) {
  std::unique_ptr<MemoryEngine> engine(new MemoryEngine());
  MetaRecord meta;
  meta.set_format(kStoreFormat);
  meta.set_epoch(options.epoch);
  meta.set_create_time_us(options.create_time_us);
  meta.set_store_id(options.store_id);
  HeadRecord head;
  absl::MutexLock lock(&engine->mu_);
  engine->PutLocked(Table::kMeta, kMetaKey, SerializeRecord(meta));
  engine->PutLocked(Table::kMeta, kHeadKey, SerializeRecord(head));
  return engine;
}

absl::StatusOr<std::unique_ptr<MemoryEngine>> MemoryEngine::CopyOf(const Snapshot& snapshot) {
  std::unique_ptr<MemoryEngine> engine(new MemoryEngine());
  {
    absl::MutexLock lock(&engine->mu_);
    engine->revision_ = snapshot.revision();
    for (int i = 0; i < kTableCount; ++i) {
      const Table table = static_cast<Table>(i);
      std::string begin;
      for (;;) {
        constexpr size_t kChunk = 4096;
        ASSIGN_OR_RETURN(std::vector<Entry> entries, snapshot.Scan(table, begin, "", kChunk));
        for (Entry& entry : entries) engine->PutLocked(table, entry.key, std::move(entry.value));
        if (entries.size() < kChunk) break;
        begin = KeyAfter(entries.back().key);
      }
    }
  }
  engine->StartAtHead(snapshot.revision());
  return engine;
}

absl::StatusOr<std::unique_ptr<Snapshot>> MemoryEngine::NewSnapshot() {
  absl::MutexLock lock(&mu_);
  live_snapshots_.insert(sequence_);
  return std::make_unique<MemorySnapshot>(this, sequence_, revision_);
}

void MemoryEngine::PutLocked(Table table, const std::string& key,
                             absl::optional<std::string> value) {
  Versions& versions = tables_[static_cast<size_t>(table)][key];
  const bool hides = !versions.empty() || !value.has_value();
  versions.push_back(Version{sequence_, std::move(value)});
  if (hides) superseding_.push_back(Superseding{sequence_, table, key});
}

void MemoryEngine::PruneLocked() {
  const int64_t oldest = live_snapshots_.empty() ? sequence_ : *live_snapshots_.begin();
  while (!superseding_.empty() && superseding_.front().sequence <= oldest) {
    Keys& keys = tables_[static_cast<size_t>(superseding_.front().table)];
    const auto found = keys.find(superseding_.front().key);
    if (found != keys.end()) {
      Versions& versions = found->second;
      // The newest version at or below `oldest` hides all versions before it.
      auto keep = versions.begin();
      while (std::next(keep) != versions.end() && std::next(keep)->sequence <= oldest) ++keep;
      versions.erase(versions.begin(), keep);
      if (versions.size() == 1 && !versions.front().value.has_value() &&
          versions.front().sequence <= oldest) {
        keys.erase(found);
      }
    }
    superseding_.pop_front();
  }
}

absl::Status MemoryEngine::Write(const std::vector<Mutation>& mutations, const Mutation* events) {
  absl::MutexLock lock(&mu_);
  ++sequence_;
  ++revision_;
  for (const Mutation& mutation : mutations) {
    PutLocked(mutation.table, mutation.key, mutation.value);
  }
  if (events != nullptr) PutLocked(events->table, events->key, events->value);
  PruneLocked();
  return absl::OkStatus();
}

absl::Status MemoryEngine::MergeUse(const std::vector<std::pair<std::string, UseRecord>>& uses) {
  return FoldUse({}, uses);
}

absl::Status MemoryEngine::FoldUse(const std::vector<std::string>& removed,
                                   const std::vector<std::pair<std::string, UseRecord>>& uses) {
  absl::MutexLock lock(&mu_);
  ++sequence_;
  for (const std::string& key : removed) PutLocked(Table::kUse, key, absl::nullopt);
  const Keys& keys = tables_[static_cast<size_t>(Table::kUse)];
  for (const auto& [key, delta] : uses) {
    UseRecord record;
    const auto found = keys.find(key);
    if (found != keys.end()) {
      const std::string* value = ValueAt(found->second, sequence_);
      // An unreadable record counts as nothing: use is no reason to stop a store.
      if (value != nullptr && !record.ParseFromString(*value)) record.Clear();
    }
    MergeUseRecord(delta, &record);
    PutLocked(Table::kUse, key, SerializeRecord(record));
  }
  PruneLocked();
  return absl::OkStatus();
}

absl::Status MemoryEngine::Checkpoint(const std::string& path) {
  return absl::UnimplementedError("a store in memory has no files to copy");
}

size_t MemoryEngine::version_count() const {
  absl::ReaderMutexLock lock(&mu_);
  size_t count = 0;
  for (const Keys& keys : tables_) {
    for (const auto& [key, versions] : keys) count += versions.size();
  }
  return count;
}

}  // namespace tollgate::storage
