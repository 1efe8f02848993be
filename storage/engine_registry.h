// The registry of engines, and how a text names one: `rocksdb:/var/lib/tollgate`, or a bare path.
#ifndef TOLLGATE_STORAGE_ENGINE_REGISTRY_H_
#define TOLLGATE_STORAGE_ENGINE_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/random.h"
#include "storage/engine.h"

namespace tollgate::storage {

// What an engine can do beyond the contract of engine.h. Callers ask for traits in place of the
// engine's name.
struct EngineTraits {
  // The engine's location is a folder of this host: other files can lie beside the folder, and a
  // checkpoint is a folder that can be copied, moved and opened. False: there is no location, or
  // the location is not a path.
  bool in_folder = false;
  // What was committed outlives the process.
  bool durable = false;
};

struct EngineOpenOptions {
  std::string location;  // what follows the scheme; a path where the engine is in a folder
  bool create_if_missing = true;
  // Both are needed only while the store is opened: for a new store's epoch, and its date.
  base::Random* random = nullptr;
  const base::Clock* clock = nullptr;
  // Called while it is opened, once a store of an earlier format was brought to this build's; may
  // be empty.
  std::function<void(uint32_t from_format)> on_migrated;
  // Called when work that the engine does by itself (writing and merging files) has failed:
  // DATA_LOSS where what it read was damaged. From then on writes fail. On a thread of the
  // engine's, which must not be held up; may be empty; outlives the engine.
  std::function<void(const absl::Status&)> on_background_error;
};

// One kind of engine. Its own folder implements it; storage/engines.cc lists it. Immutable,
// thread-safe.
class EngineDriver {
 public:
  virtual ~EngineDriver() = default;

  // What stands before the colon: a lower-case letter, then lower-case letters, digits, '+', '-'
  // and '.'; at least two characters. No two drivers have the same scheme.
  virtual absl::string_view scheme() const = 0;
  virtual EngineTraits traits() const = 0;

  // Opens the store at the location, or makes it. Errors, by reason: STORE_NOT_FOUND, STORE_IN_USE,
  // STORE_TOO_NEW, STORE_UNREADABLE, STORE_READ_ONLY, STORE_FOLDER_NOT_EMPTY, STORE_DISK_FULL,
  // STORE_DISK_FAILED, STORE_CORRUPT, TOO_FEW_FILES;
  // INVALID_ARGUMENT where an option is missing.
  virtual absl::StatusOr<std::unique_ptr<Engine>> Open(const EngineOpenOptions& options) const = 0;

  // Whether `folder` holds a store, or a checkpoint of one. The store is not opened, and may be
  // damaged. For engines in a folder.
  virtual bool HoldsStore(const std::string& folder) const { return false; }
  // Whether a copy of the folder needs the file of this name. False for a file that belongs to the
  // process that had the store open. For engines in a folder.
  virtual bool BelongsToCopy(absl::string_view file_name) const { return true; }
};

// The parsed name of a store.
struct EngineUri {
  const EngineDriver* driver = nullptr;  // never null; lives as long as the registry
  std::string location;
};

// The engines that a program knows. Immutable, thread-safe.
class EngineRegistry {
 public:
  // The first driver is the default. At least one driver, and no scheme twice; otherwise the
  // program ends.
  explicit EngineRegistry(std::vector<std::unique_ptr<const EngineDriver>> drivers);

  // Parses `SCHEME:LOCATION`, or a path, which names the default engine's store. Text with a '/'
  // before its first colon is a path, whatever follows: `/srv/a:b` and `./a:b`. INVALID_ARGUMENT:
  // an empty text, or an unknown scheme; the message lists the known schemes and says how to write
  // a path.
  absl::StatusOr<EngineUri> Parse(absl::string_view text) const;
  // The shortest text from which Parse gives `uri` again.
  std::string ToText(const EngineUri& uri) const;

  // Every scheme, the default's first.
  std::vector<std::string> schemes() const;
  const EngineDriver& default_driver() const { return *drivers_[0]; }

 private:
  const std::vector<std::unique_ptr<const EngineDriver>> drivers_;
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_ENGINE_REGISTRY_H_
