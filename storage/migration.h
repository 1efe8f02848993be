// Brings a store of an earlier format to this build's, one format after the other.
#ifndef TOLLGATE_STORAGE_MIGRATION_H_
#define TOLLGATE_STORAGE_MIGRATION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/engine.h"
#include "tollgate/store/v1/records.pb.h"

namespace tollgate::storage {

// MetaRecord.store_id; of a store of format 1 the id that its migration gives it, so that a copy
// from before the migration has the same one.
std::string StoreIdOf(const tollgate::store::v1::MetaRecord& meta);

// What an engine writes next, in one atomic and durable write, to bring the store that `view` shows
// to kStoreFormat; none where it has that format. Pure. Each part is bounded, and only the last of
// a step changes the format: a migration that was cut short goes on from what is there. No part
// takes a revision: the history that the store tells of stays what it was. DATA_LOSS: it is no
// whole store, or of a format that there never was.
absl::StatusOr<std::vector<Mutation>> NextMigration(const View& view);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_MIGRATION_H_
