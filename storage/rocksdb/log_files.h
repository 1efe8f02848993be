// The file system as the store's log sees it.
#ifndef TOLLGATE_STORAGE_ROCKSDB_LOG_FILES_H_
#define TOLLGATE_STORAGE_ROCKSDB_LOG_FILES_H_

#include <cstddef>

#include "rocksdb/env.h"

namespace tollgate::storage {

// A log's space is taken from the disk ahead of what is written, so that a sync has less to write,
// but so much at a time. RocksDB itself takes a whole write buffer's worth, 64 MiB here, for an
// empty store as for a full one, and has no option for it.
inline constexpr size_t kLogStepBytes = size_t{1} << 20;

// The machine's own environment, but for the steps of "*.log". Lives as long as the process.
// Thread-safe.
rocksdb::Env* LogFilesInSteps();

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ROCKSDB_LOG_FILES_H_
