#include "storage/rocksdb/table_options.h"

#include <string>

#include "rocksdb/filter_policy.h"
#include "rocksdb/merge_operator.h"
#include "rocksdb/table.h"
#include "storage/rocksdb/log_files.h"
#include "storage/schema.h"

namespace tollgate::storage {
namespace {

// MergeUse, in RocksDB's terms: deltas are UseRecords, and so is the base.
class UseMergeOperator : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const rocksdb::Slice& key, const rocksdb::Slice* existing, const rocksdb::Slice& delta,
             std::string* merged, rocksdb::Logger* logger) const override {
    store::v1::UseRecord base;
    store::v1::UseRecord more;
    // An unreadable record counts as nothing: a refusal would stop compaction, and with it the
    // whole store, for the sake of a "last used".
    if (existing != nullptr &&
        !base.ParseFromArray(existing->data(), static_cast<int>(existing->size()))) {
      base.Clear();
    }
    if (more.ParseFromArray(delta.data(), static_cast<int>(delta.size()))) {
      MergeUseRecord(more, &base);
    }
    *merged = SerializeRecord(base);
    return true;
  }
  // Stored with the tables: a change of meaning needs a new name.
  const char* Name() const override { return "tollgate.UseRecord.1"; }
};

}  // namespace

rocksdb::DBOptions StoreOptions(size_t write_buffer_bytes) {
  rocksdb::DBOptions options;
  options.create_missing_column_families = true;
  options.env = LogFilesInSteps();
  // The list of files grows by some hundred bytes a table: 4 MiB ahead is for larger stores.
  options.manifest_preallocation_size = size_t{64} << 10;
  options.paranoid_checks = true;
  // Recovery stops at the first record that is not whole. What was synced is
  // whole, so only unsynced use can be missing (I4).
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.max_background_jobs = 2;
  options.db_write_buffer_size = write_buffer_bytes;
  // A table that is seldom written must not keep old logs alive for ever.
  options.max_total_wal_size = write_buffer_bytes;
  options.bytes_per_sync = 1 << 20;
  options.max_open_files = 512;
  // The info log is for whoever debugs RocksDB: keep it small, warnings only.
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.max_log_file_size = 1 << 20;
  options.keep_log_file_num = 2;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

std::shared_ptr<rocksdb::Cache> BlockCache(size_t bytes) {
  rocksdb::LRUCacheOptions options;
  options.capacity = bytes;
  // Few shards, and so large ones: a filter of a large table is half a megabyte, and in one of the
  // 64 shards that RocksDB makes by itself two of them push each other out at every look-up.
  options.num_shard_bits = 2;
  // Filters and indexes, which every look-up needs, are let go after all data blocks.
  options.high_pri_pool_ratio = 0.5;
  return rocksdb::NewLRUCache(options);
}

rocksdb::ColumnFamilyOptions TableOptions(Table table,
                                          const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options;
  rocksdb::BlockBasedTableOptions blocks;
  blocks.block_cache = cache;
  blocks.format_version = 5;
  blocks.cache_index_and_filter_blocks = true;
  blocks.cache_index_and_filter_blocks_with_high_priority = true;
  blocks.pin_l0_filter_and_index_blocks_in_cache = true;
  options.write_buffer_size = 8 << 20;
  options.compression = rocksdb::kLZ4Compression;
  options.level_compaction_dynamic_level_bytes = true;

  switch (table) {
    case Table::kTokens:
    case Table::kRequests:
    case Table::kCohorts:
    case Table::kSessions:
      // Looked up one by one, often for a key that is not there.
      blocks.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
      options.write_buffer_size = 16 << 20;
      break;
    case Table::kDigests:
      // Only ever looked up, never scanned, and random: a hash within the
      // block, and no compression, which could not gain anything.
      blocks.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
      blocks.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
      options.compression = rocksdb::kNoCompression;
      options.write_buffer_size = 16 << 20;
      break;
    case Table::kEvents:
    case Table::kAudit:
      // Appended to in key order, read by long scans: large blocks, no filter.
      blocks.block_size = 32 << 10;
      options.compression = rocksdb::kZSTD;
      options.write_buffer_size = 16 << 20;
      break;
    case Table::kUse:
      // Many small merges into few keys, then scanned by token.
      options.merge_operator = std::make_shared<UseMergeOperator>();
      options.max_successive_merges = 64;
      options.write_buffer_size = 16 << 20;
      break;
    case Table::kDue:
      // A queue: its front is deleted all the time, so tombstones gather
      // exactly where the sweep begins to read.
      options.periodic_compaction_seconds = 24 * 60 * 60;
      break;
    case Table::kFingerprints:
      // One small row a commit, appended in key order, dropped from the front; the hashes are
      // random, so compression could not gain anything.
      options.compression = rocksdb::kNoCompression;
      options.write_buffer_size = 4 << 20;
      break;
    case Table::kMeta:
    case Table::kBindings:
      options.write_buffer_size = 1 << 20;
      break;
    case Table::kWorkspaces:
    case Table::kLabels:
    case Table::kAuditByToken:
      break;
  }
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(blocks));
  return options;
}

std::string ColumnFamilyName(Table table) { return std::string(TableName(table)); }

}  // namespace tollgate::storage
