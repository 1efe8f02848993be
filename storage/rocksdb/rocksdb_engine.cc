#include "storage/rocksdb/rocksdb_engine.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "rocksdb/db.h"
#include "rocksdb/listener.h"
#include "rocksdb/utilities/checkpoint.h"
#include "rocksdb/write_batch.h"
#include "storage/migration.h"
#include "storage/rocksdb/table_options.h"
#include "storage/schema.h"

namespace tollgate::storage {
namespace {

using store::v1::HeadRecord;
using store::v1::MetaRecord;
using store::v1::UseRecord;

rocksdb::Slice ToSlice(absl::string_view s) { return rocksdb::Slice(s.data(), s.size()); }

// An error of a running store.
absl::Status FromRocksDb(absl::string_view doing, const rocksdb::Status& status) {
  const std::string message = absl::StrCat("cannot ", doing, ": ", status.ToString());
  if (status.IsCorruption()) {
    return base::Refuse(absl::StatusCode::kDataLoss, "STORE_CORRUPT",
                        absl::StrCat(message,
                                     ". Stop the service, keep a copy of the folder, look "
                                     "at its disk, and restore a backup"));
  }
  return absl::UnavailableError(message);
}

absl::Status InUse(const std::string& path) {
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "STORE_IN_USE",
      absl::StrCat("cannot open the store ", path,
                   ": another process has it open. Stop that one, or give this one a "
                   "folder of its own"));
}

absl::Status TooNew(const std::string& path, absl::string_view why) {
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "STORE_TOO_NEW",
      absl::StrCat("cannot open the store ", path, ": a newer Tollgate wrote it (", why,
                   "). Use that version, or restore a backup of this version's"));
}

// What the machine refuses: each has its own words, since each wants something else done.
absl::Status Denied(const std::string& path, int error, absl::string_view why) {
  const auto refuse = [&](absl::StatusCode code, absl::string_view reason,
                          absl::string_view advice) {
    return base::Refuse(code, reason,
                        absl::StrCat("cannot open the store ", path, ": ", why, ". ", advice));
  };
  switch (error) {
    case EACCES:
    case EPERM:
      return refuse(absl::StatusCode::kFailedPrecondition, "STORE_UNREADABLE",
                    absl::StrCat("Check that the folder and what is in it belong to the service's "
                                 "user, who is ",
                                 geteuid()));
    case EROFS:
      return refuse(absl::StatusCode::kFailedPrecondition, "STORE_READ_ONLY",
                    "Its file system is mounted read-only: a kernel does that after an error of "
                    "the disk, too (dmesg). Mount it for writing; nothing is lost by this");
    case EMFILE:
    case ENFILE:
      return refuse(absl::StatusCode::kResourceExhausted, "TOO_FEW_FILES",
                    "Raise the limit on open files: ulimit -n 4096, or LimitNOFILE=4096 in its "
                    "unit");
    case ENOSPC:
    case EDQUOT:
      return refuse(absl::StatusCode::kUnavailable, "STORE_DISK_FULL",
                    "Make room on it; nothing is lost");
    case EIO:
      return refuse(absl::StatusCode::kUnavailable, "STORE_DISK_FAILED",
                    "The disk does not do what it is asked (dmesg). Keep a copy of what can be "
                    "read, and restore a backup on another disk");
    default:
      return refuse(absl::StatusCode::kFailedPrecondition, "STORE_UNREADABLE",
                    "Look at the folder, and at the disk that it is on");
  }
}

absl::Status Corrupt(const std::string& path, absl::string_view why) {
  return base::Refuse(absl::StatusCode::kDataLoss, "STORE_CORRUPT",
                      absl::StrCat("cannot open the store ", path, ": ", why,
                                   ". Keep a copy of the folder, then restore a backup"));
}

// After a failed write RocksDB tries to recover: it writes to files that it knows to be broken, and
// asserts. Here a failed write ends the process (R7), so there is nothing to recover.
class NoRecovery : public rocksdb::EventListener {
 public:
  explicit NoRecovery(std::function<void(const absl::Status&)> on_error)
      : on_error_(std::move(on_error)) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    // Of a write that failed whoever made it is told.
    if (reason == rocksdb::BackgroundErrorReason::kWriteCallback ||
        reason == rocksdb::BackgroundErrorReason::kMemTable) {
      return;
    }
    if (on_error_) on_error_(FromRocksDb("go on working on the store", *error));
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }

 private:
  const std::function<void(const absl::Status&)> on_error_;
};

// Opening writes the logs' content into tables. RocksDB does not survive a disk that is full then,
// so opening is not tried on one.
constexpr uint64_t kLeastFreeBytes = 16 << 20;

absl::Status CheckFreeSpace(const std::string& path) {
  struct statvfs disk;
  if (::statvfs(path.c_str(), &disk) != 0) return absl::OkStatus();  // the opening will tell
  uint64_t needed = kLeastFreeBytes;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(path, error)) {
    if (file.path().extension() == ".log") {
      const uint64_t size = file.file_size(error);
      if (!error) needed += size;
    }
  }
  const uint64_t free = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (free >= needed) return absl::OkStatus();
  return base::Refuse(absl::StatusCode::kUnavailable, "STORE_DISK_FULL",
                      absl::StrCat("cannot open the store ", path, ": the disk is full (",
                                   free >> 20, " MiB are free, ", (needed + (1 << 20) - 1) >> 20,
                                   " MiB are needed). Make room on it; nothing is lost"));
}

// The kernel's error that RocksDB's words end with; 0: none that is known here.
int ErrorIn(const rocksdb::Status& status, absl::string_view text) {
  if (status.IsNoSpace()) return ENOSPC;
  for (const int error : {EACCES, EPERM, EROFS, EMFILE, ENFILE, EDQUOT, EIO, EAGAIN}) {
    if (absl::EndsWith(text, std::strerror(error))) return error;
  }
  return 0;
}

// An error of an opening.
absl::Status FromOpening(const std::string& path, const rocksdb::Status& status) {
  // Of a table that is missing RocksDB names what it was called ten years ago.
  const std::string text = absl::StrReplaceAll(status.ToString(), {{".ldb", ".sst"}});
  const int error = ErrorIn(status, text);
  const bool locking = absl::StrContains(text, "While lock file");
  if (status.IsIOError() && (absl::StrContains(text, "lock hold by current process") ||
                             (locking && (error == EAGAIN || error == EACCES)))) {
    return InUse(path);
  }
  if (status.IsPathNotFound()) {
    return Corrupt(path, absl::StrCat("a file that belongs to it is missing (", text, ")"));
  }
  if (status.IsNotSupported()) return TooNew(path, text);
  if (status.IsInvalidArgument() && absl::StrContains(text, "Column families not opened")) {
    return TooNew(path, text);
  }
  if (status.IsCorruption()) return Corrupt(path, text);
  return Denied(path, error, text);
}

}  // namespace

// RocksDB's handles, closed in the right order.
class RocksDbEngine::Db {
 public:
  static absl::StatusOr<std::unique_ptr<Db>> Open(const std::string& path, const Options& options);
  ~Db() {
    if (db_ == nullptr) return;  // never opened
    if (!failure().ok()) {
      // Closing writes too. The database stays open, and reachable, because the process is about to
      // end.
      static auto* const left_open = new std::vector<rocksdb::DB*>;
      static absl::Mutex mu(absl::kConstInit);
      absl::MutexLock lock(&mu);
      left_open->push_back(db_.release());
      return;
    }
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
    db_->Close().PermitUncheckedError();
  }

  rocksdb::DB* operator->() const { return db_.get(); }
  rocksdb::DB* get() const { return db_.get(); }
  rocksdb::ColumnFamilyHandle* of(Table table) const {
    return handles_[static_cast<size_t>(table) + 1];
  }

  // Not OK after the first failed write of any kind: RocksDB is not used any more.
  absl::Status failure() const {
    absl::MutexLock lock(&mu_);
    return failure_;
  }
  // Keeps the first error, and returns `status`.
  absl::Status Fail(absl::Status status) {
    absl::MutexLock lock(&mu_);
    if (failure_.ok()) {
      failure_ =
          absl::UnavailableError(absl::StrCat("an earlier write failed, nothing is done after it: ",
                                              absl::string_view(status.message())));
    }
    return status;
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // "default", then the tables in order
  mutable absl::Mutex mu_;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
};

absl::StatusOr<std::unique_ptr<RocksDbEngine::Db>> RocksDbEngine::Db::Open(const std::string& path,
                                                                           const Options& options) {
  rocksdb::DBOptions db_options = StoreOptions(options.write_buffer_bytes);
  db_options.create_if_missing = options.create_if_missing;
  db_options.max_bgerror_resume_count = 0;
  db_options.listeners.push_back(std::make_shared<NoRecovery>(options.on_background_error));

  std::error_code error;
  const bool exists = std::filesystem::exists(path + "/CURRENT", error);
  if (error) return Denied(path, error.value(), error.message());
  if (!exists) {
    if (!options.create_if_missing) {
      return base::Refuse(absl::StatusCode::kNotFound, "STORE_NOT_FOUND",
                          absl::StrCat("there is no store in ", path));
    }
    // RocksDB would begin a new store here and delete these files as left over.
    for (const auto& file : std::filesystem::directory_iterator(path, error)) {
      const std::string extension = file.path().extension().string();
      if (extension == ".sst" || extension == ".log") {
        return Corrupt(path, "it has a store's files, but its file CURRENT is missing");
      }
    }
    // A first start that was cut short leaves RocksDB's lock, identity and notes, and no CURRENT.
    for (const auto& file : std::filesystem::directory_iterator(path, error)) {
      const std::string name = file.path().filename().string();
      const bool ours = name == "LOCK" || name == "IDENTITY" || name == "lost+found" ||
                        absl::StartsWith(name, "LOG") || absl::StartsWith(name, "MANIFEST-") ||
                        absl::StartsWith(name, "OPTIONS-") || absl::EndsWith(name, ".dbtmp");
      if (ours) continue;
      return base::Refuse(
          absl::StatusCode::kFailedPrecondition, "STORE_FOLDER_NOT_EMPTY",
          absl::StrCat("cannot make a store in ", path, ": it is not empty (it has ", name,
                       ") and holds no store. Give it a folder of its own"));
    }
    error.clear();  // no folder yet
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (error) return Denied(path, error.value(), error.message());
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      const int failed = errno;
      return Denied(path, failed, std::strerror(failed));
    }
  } else {
    // Asked before the opening, so that the error can name a newer store's tables.
    std::vector<std::string> found;
    const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(db_options, path, &found);
    if (!listed.ok()) return FromOpening(path, listed);
    for (const std::string& name : found) {
      bool known = name == rocksdb::kDefaultColumnFamilyName;
      for (int i = 0; i < kTableCount; ++i) {
        known = known || name == ColumnFamilyName(static_cast<Table>(i));
      }
      if (!known) return TooNew(path, absl::StrCat("it has a table '", name, "'"));
    }
  }

  RETURN_IF_ERROR(CheckFreeSpace(path));
  const std::shared_ptr<rocksdb::Cache> cache = BlockCache(options.block_cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions());
  for (int i = 0; i < kTableCount; ++i) {
    const Table table = static_cast<Table>(i);
    families.emplace_back(ColumnFamilyName(table), TableOptions(table, cache));
  }
  auto opened = std::make_unique<Db>();
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(db_options, path, families, &opened->handles_, &db);
  if (!status.ok()) return FromOpening(path, status);
  opened->db_.reset(db);
  return opened;
}

class RocksDbEngine::DbSnapshot : public Snapshot {
 public:
  explicit DbSnapshot(const Db* db) : db_(db), snapshot_((*db)->GetSnapshot()) {}
  ~DbSnapshot() override { (*db_)->ReleaseSnapshot(snapshot_); }

  // A commit is synced before it becomes visible (the log comes first), so the head that a snapshot
  // shows is durable (R7).
  absl::Status ReadRevision() {
    ASSIGN_OR_RETURN(const HeadRecord head, ReadHead(*this));
    revision_ = head.revision();
    return absl::OkStatus();
  }

  int64_t revision() const override { return revision_; }

  absl::StatusOr<absl::optional<std::string>> Get(Table table,
                                                  absl::string_view key) const override {
    std::string value;
    const rocksdb::Status status = (*db_)->Get(ReadOptions(), db_->of(table), ToSlice(key), &value);
    if (status.IsNotFound()) return absl::optional<std::string>();
    if (!status.ok()) return FromRocksDb("read a record", status);
    return absl::optional<std::string>(std::move(value));
  }

  absl::StatusOr<std::vector<Entry>> Scan(Table table, absl::string_view begin,
                                          absl::string_view end, size_t limit) const override {
    std::vector<Entry> entries;
    if (limit == 0) return entries;
    rocksdb::ReadOptions options = ReadOptions();
    const rocksdb::Slice bound = ToSlice(end);
    if (!end.empty()) options.iterate_upper_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> it((*db_)->NewIterator(options, db_->of(table)));
    for (it->Seek(ToSlice(begin)); it->Valid() && entries.size() < limit; it->Next()) {
      entries.push_back(Entry{it->key().ToString(), it->value().ToString()});
    }
    if (!it->status().ok()) return FromRocksDb("scan a table", it->status());
    return entries;
  }

  absl::StatusOr<std::vector<Entry>> ScanBack(Table table, absl::string_view begin,
                                              absl::string_view end, size_t limit) const override {
    std::vector<Entry> entries;
    if (limit == 0 || (!end.empty() && begin >= end)) return entries;
    rocksdb::ReadOptions options = ReadOptions();
    const rocksdb::Slice lower = ToSlice(begin);
    const rocksdb::Slice upper = ToSlice(end);
    if (!begin.empty()) options.iterate_lower_bound = &lower;
    if (!end.empty()) options.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> it((*db_)->NewIterator(options, db_->of(table)));
    for (it->SeekToLast(); it->Valid() && entries.size() < limit; it->Prev()) {
      entries.push_back(Entry{it->key().ToString(), it->value().ToString()});
    }
    if (!it->status().ok()) return FromRocksDb("scan a table", it->status());
    return entries;
  }

 private:
  rocksdb::ReadOptions ReadOptions() const {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    return options;
  }

  const Db* const db_;
  const rocksdb::Snapshot* const snapshot_;
  int64_t revision_ = 0;
};

RocksDbEngine::RocksDbEngine(std::unique_ptr<Db> db) : db_(std::move(db)) {}

RocksDbEngine::~RocksDbEngine() = default;

absl::StatusOr<std::unique_ptr<RocksDbEngine>> RocksDbEngine::Open(Options options) {
  if (options.path.empty() || options.random == nullptr || options.clock == nullptr) {
    return absl::InvalidArgumentError("a store needs a path, a source of randomness and a clock");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Db> db, Db::Open(options.path, options));
  std::unique_ptr<RocksDbEngine> engine(new RocksDbEngine(std::move(db)));
  RETURN_IF_ERROR(engine->Begin(options));
  return engine;
}

absl::Status RocksDbEngine::Migrate(const Options& options, uint32_t from_format) {
  while (true) {
    const absl::StatusOr<std::vector<Mutation>> part = NextMigration(DbSnapshot(db_.get()));
    if (!part.ok()) return Corrupt(options.path, part.status().message());
    if (part->empty()) break;
    RETURN_IF_ERROR(Write(*part, nullptr));
  }
  if (from_format != kStoreFormat && options.on_migrated) options.on_migrated(from_format);
  return absl::OkStatus();
}

absl::Status RocksDbEngine::Begin(const Options& options) {
  DbSnapshot snapshot(db_.get());
  const absl::StatusOr<absl::optional<MetaRecord>> meta =
      GetRecord<MetaRecord>(snapshot, Table::kMeta, kMetaKey);
  if (!meta.ok()) return Corrupt(options.path, meta.status().message());
  const absl::StatusOr<absl::optional<HeadRecord>> head =
      GetRecord<HeadRecord>(snapshot, Table::kMeta, kHeadKey);
  if (!head.ok()) return Corrupt(options.path, head.status().message());

  if (meta->has_value() && (*meta)->format() > kStoreFormat) {
    return TooNew(options.path,
                  absl::StrCat("format ", (*meta)->format(), ", this one reads ", kStoreFormat));
  }
  if (meta->has_value() != head->has_value()) {
    return Corrupt(options.path,
                   meta->has_value() ? "it has no HeadRecord" : "it has no MetaRecord");
  }
  if (meta->has_value()) {
    RETURN_IF_ERROR(Migrate(options, (*meta)->format()));
    epoch_ = (*meta)->epoch();
    StartAtHead((*head)->revision());
    return absl::OkStatus();
  }

  // No service has used the store yet: it is new, or its first start was cut short.
  for (int i = 0; i < kTableCount; ++i) {
    ASSIGN_OR_RETURN(const std::vector<Entry> any, snapshot.Scan(static_cast<Table>(i), "", "", 1));
    if (!any.empty()) return Corrupt(options.path, "it has records, but no MetaRecord");
  }
  MetaRecord first;
  first.set_format(kStoreFormat);
  first.set_epoch(options.random->Hex(16));
  first.set_create_time_us(absl::ToUnixMicros(options.clock->WallNow()));
  first.set_store_id(options.random->Hex(16));
  RETURN_IF_ERROR(Write({Mutation{Table::kMeta, kMetaKey, SerializeRecord(first)},
                         Mutation{Table::kMeta, kHeadKey, SerializeRecord(HeadRecord())}},
                        nullptr));
  epoch_ = first.epoch();
  created_ = true;
  StartAtHead(0);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Snapshot>> RocksDbEngine::NewSnapshot() {
  RETURN_IF_ERROR(db_->failure());
  auto snapshot = std::make_unique<DbSnapshot>(db_.get());
  RETURN_IF_ERROR(snapshot->ReadRevision());
  return snapshot;
}

absl::Status RocksDbEngine::Write(const std::vector<Mutation>& mutations, const Mutation* events) {
  rocksdb::WriteBatch batch;
  const auto add = [&](const Mutation& mutation) {
    rocksdb::ColumnFamilyHandle* const family = db_->of(mutation.table);
    return mutation.value.has_value()
               ? batch.Put(family, ToSlice(mutation.key), ToSlice(*mutation.value))
               : batch.Delete(family, ToSlice(mutation.key));
  };
  rocksdb::Status status;
  for (const Mutation& mutation : mutations) {
    if (status.ok()) status = add(mutation);
  }
  if (status.ok() && events != nullptr) status = add(*events);
  RETURN_IF_ERROR(db_->failure());
  rocksdb::WriteOptions options;
  options.sync = true;
  if (status.ok()) status = (*db_)->Write(options, &batch);
  if (!status.ok()) return db_->Fail(FromRocksDb("write a commit", status));
  return absl::OkStatus();
}

absl::Status RocksDbEngine::MergeUse(const std::vector<std::pair<std::string, UseRecord>>& uses) {
  return FoldUse({}, uses);
}

absl::Status RocksDbEngine::FoldUse(const std::vector<std::string>& removed,
                                    const std::vector<std::pair<std::string, UseRecord>>& uses) {
  rocksdb::WriteBatch batch;
  rocksdb::Status status;
  for (const std::string& key : removed) {
    if (status.ok()) status = batch.Delete(db_->of(Table::kUse), ToSlice(key));
  }
  for (const auto& [key, use] : uses) {
    if (status.ok())
      status = batch.Merge(db_->of(Table::kUse), ToSlice(key), ToSlice(SerializeRecord(use)));
  }
  // Logged but not synced: a crash of the process loses nothing, a crash of the machine the last
  // seconds.
  rocksdb::WriteOptions options;
  options.sync = false;
  RETURN_IF_ERROR(db_->failure());
  if (status.ok()) status = (*db_)->Write(options, &batch);
  if (!status.ok()) return db_->Fail(FromRocksDb("write use", status));
  return absl::OkStatus();
}

absl::Status RocksDbEngine::Checkpoint(const std::string& path) {
  RETURN_IF_ERROR(db_->failure());
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    return base::Refuse(absl::StatusCode::kAlreadyExists, "BACKUP_EXISTS",
                        absl::StrCat("cannot write a copy of the store to ", path,
                                     ": it exists. Give a path that does not"));
  }
  rocksdb::Checkpoint* raw = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(db_->get(), &raw);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  if (status.ok()) status = checkpoint->CreateCheckpoint(path);
  if (!status.ok()) return FromRocksDb("write a copy of the store", status);
  if (::chmod(path.c_str(), 0700) != 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot close ", path, " to others: ", absl::string_view(std::strerror(errno))));
  }
  return absl::OkStatus();
}

absl::Status RocksDbEngine::CompactAll() {
  for (int i = 0; i < kTableCount; ++i) {
    const rocksdb::Status status = (*db_)->CompactRange(
        rocksdb::CompactRangeOptions(), db_->of(static_cast<Table>(i)), nullptr, nullptr);
    if (!status.ok()) return FromRocksDb("compact a table", status);
  }
  return absl::OkStatus();
}

}  // namespace tollgate::storage
