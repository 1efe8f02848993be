// How each table is tuned. Private to storage/rocksdb.
#ifndef TOLLGATE_STORAGE_ROCKSDB_TABLE_OPTIONS_H_
#define TOLLGATE_STORAGE_ROCKSDB_TABLE_OPTIONS_H_

#include <memory>

#include "rocksdb/cache.h"
#include "rocksdb/options.h"
#include "storage/engine.h"

namespace tollgate::storage {

// The whole store's options. `write_buffer_bytes`: of all tables together.
rocksdb::DBOptions StoreOptions(size_t write_buffer_bytes);

// What all tables read through: `bytes` of uncompressed blocks, filters and indexes.
std::shared_ptr<rocksdb::Cache> BlockCache(size_t bytes);

// One table's options.
rocksdb::ColumnFamilyOptions TableOptions(Table table,
                                          const std::shared_ptr<rocksdb::Cache>& cache);

// The name of a table's column family: its TableName. RocksDB's own "default" family cannot be left
// out, and stays empty.
std::string ColumnFamilyName(Table table);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ROCKSDB_TABLE_OPTIONS_H_
