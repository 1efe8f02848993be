// The embedded store: RocksDB in a folder of this machine.
#ifndef TOLLGATE_STORAGE_ROCKSDB_ROCKSDB_ENGINE_H_
#define TOLLGATE_STORAGE_ROCKSDB_ROCKSDB_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/random.h"
#include "storage/embedded_engine.h"

namespace tollgate::storage {

// Each table is a column family of its own, tuned to its use; each commit is one synced write
// batch. Thread-safe. Snapshots must not outlive it. docs/store.md describes what lies on disk.
// After the first failed write, of either kind, every call answers UNAVAILABLE and nothing is
// written any more, not even on closing.
class RocksDbEngine : public EmbeddedEngine {
 public:
  struct Options {
    std::string path;  // a folder of its own, made with mode 0700
    bool create_if_missing = true;
    base::Random* random = nullptr;      // makes the epoch of a new store; needed during Open only
    const base::Clock* clock = nullptr;  // dates a new store; needed during Open only
    std::function<void(uint32_t from_format)> on_migrated;  // during Open; may be empty
    // As EngineOpenOptions says; may be empty.
    std::function<void(const absl::Status&)> on_background_error;
    size_t block_cache_bytes = 64 << 20;   // uncompressed blocks, all tables together
    size_t write_buffer_bytes = 64 << 20;  // what is not yet in a table file, all tables together
  };
  // Opens, or makes, a store; one of an older format is brought to this build's first, where it
  // stays: an older program refuses it from then on. Errors, by reason:
  //   STORE_NOT_FOUND   NOT_FOUND            there is none, and none is to be made
  //   STORE_IN_USE      FAILED_PRECONDITION  another process (or this one) has it open
  //   STORE_TOO_NEW     FAILED_PRECONDITION  a newer Tollgate wrote it
  //   STORE_UNREADABLE  FAILED_PRECONDITION  the folder cannot be read or written
  //   STORE_READ_ONLY   FAILED_PRECONDITION  its file system is mounted so
  //   STORE_DISK_FAILED UNAVAILABLE          its disk answers with errors
  //   TOO_FEW_FILES     RESOURCE_EXHAUSTED   this process may open no more files
  //   STORE_FOLDER_NOT_EMPTY  FAILED_PRECONDITION  the folder holds files, and no store
  //   STORE_DISK_FULL   UNAVAILABLE          less than 16 MiB and the size of its logs is free
  //   STORE_CORRUPT     DATA_LOSS            the folder does not hold a whole store
  // INVALID_ARGUMENT without path, random or clock.
  static absl::StatusOr<std::unique_ptr<RocksDbEngine>> Open(Options options);

  ~RocksDbEngine() override;

  // The epoch of this store's history: 32 hex digits.
  const std::string& epoch() const { return epoch_; }
  // Whether this Open made the store.
  bool created() const { return created_; }

  absl::StatusOr<std::unique_ptr<Snapshot>> NewSnapshot() override;
  absl::Status MergeUse(
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  absl::Status FoldUse(
      const std::vector<std::string>& removed,
      const std::vector<std::pair<std::string, tollgate::store::v1::UseRecord>>& uses) override;
  // Makes hard links where `path` is on the same file system. ALREADY_EXISTS where `path` exists.
  absl::Status Checkpoint(const std::string& path) override;

  // Writes all memory to table files and merges all files of every table. For tests and
  // maintenance. Slow on a large store.
  absl::Status CompactAll();

 protected:
  absl::Status Write(const std::vector<Mutation>& mutations, const Mutation* events) override;

 private:
  class Db;  // hides RocksDB from whoever includes this header
  class DbSnapshot;

  explicit RocksDbEngine(std::unique_ptr<Db> db);
  // Reads MetaRecord and HeadRecord, or writes the first ones.
  absl::Status Begin(const Options& options);
  // Brings an older store to this build's format.
  absl::Status Migrate(const Options& options, uint32_t from_format);

  const std::unique_ptr<Db> db_;
  std::string epoch_;
  bool created_ = false;
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ROCKSDB_ROCKSDB_ENGINE_H_
