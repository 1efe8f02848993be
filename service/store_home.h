// Where a store's files lie, and how they are opened, alike for serving, for `restore` and for
// `new-epoch`.
//
//   DIR               the engine's folder
//   DIR.keyring       the peppers, unless they are kept elsewhere
//   DIR.journal       what took permission away (R17), unless it is kept elsewhere
//   DIR.seal          the key that seals proofs of this epoch (R19), unless it is kept elsewhere
//   DIR.journal.mark  how far the store was when last anybody could hear of it: beside the journal, or
//                     DIR.mark where there is none (storage/journal/head_mark.h)
//   DIR.rolled-back   a mark: this epoch of the store was shown to be an old copy (R11)
//   DIR.restoring     a store that a restore is making; renamed to DIR once it is whole
#ifndef TOLLGATE_SERVICE_STORE_HOME_H_
#define TOLLGATE_SERVICE_STORE_HOME_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "base/clock.h"
#include "base/random.h"
#include "lease/proof.h"
#include "storage/disk_work.h"
#include "storage/engine_registry.h"
#include "storage/journal/journaled_engine.h"
#include "storage/journal/marked_engine.h"
#include "storage/watched_engine.h"
#include "token/keyring.h"
#include "token/secret_file.h"

namespace tollgate::service {

// A store that is open for serving. Move-only. Its parts are closed in the reverse order.
struct OpenStore {
  std::unique_ptr<storage::Engine> files;  // the engine as its driver opened it
  std::unique_ptr<storage::WatchedEngine> watched;
  std::unique_ptr<storage::MarkedEngine> marked;        // null where the store is in no folder
  std::unique_ptr<storage::JournaledEngine> journaled;  // null without a journal
  storage::Engine* engine = nullptr;                    // the one to use: of these, the outermost
  std::unique_ptr<const token::Keyring> keyring;
  std::string epoch;  // of the store's history
  std::shared_ptr<const lease::Sealer> sealer;
};

// A value; thread-safe.
class StoreHome {
 public:
  struct Options {
    // A path, or `ENGINE:LOCATION` (storage/engine_registry.h).
    std::string store;
    // Paths of files; empty: the places above. A store in no folder has no files beside it: its
    // keyring is made anew each time, in memory, and it has no journal.
    std::string keyring;
    std::string journal;
    std::string seal;
    // Keep no journal; `journal` is empty then.
    bool no_journal = false;
    // Who may read the keyring and the sealing key.
    token::SecretReaders secret_readers = token::SecretReaders::kOwner;
    // Which file system a path is on; nullopt: there is no such path. Empty: the kernel is asked.
    std::function<absl::optional<uint64_t>(const std::string&)> device_of;
  };
  // INVALID_ARGUMENT, BAD_FLAG, field "store": it is empty, or of an unknown engine, or a folder
  // that nothing can lie beside ("/"), or it may mean either of two folders. Looks at the file
  // system for `..` and for folders whose names have a colon, and for nothing that is in the store.
  // `engines` outlives it.
  static absl::StatusOr<StoreHome> At(Options options, const storage::EngineRegistry& engines);
  // The same with this build's engines.
  static absl::StatusOr<StoreHome> At(Options options);

  // The store's name, as written after --store.
  const std::string& name() const { return name_; }
  storage::EngineTraits traits() const { return uri_.driver->traits(); }
  const storage::EngineDriver& driver() const { return *uri_.driver; }
  // The engine's folder; empty where the engine is in none. The other paths are then empty too,
  // unless they were given.
  const std::string& folder() const;
  const std::string& keyring() const { return options_.keyring; }
  const std::string& journal() const { return options_.journal; }
  // Whether the journal lies at its default place.
  bool journal_is_beside() const;
  const std::string& seal() const { return options_.seal; }
  // Where a first start leaves the operator token that it makes; empty where the store is in no
  // folder.
  std::string operator_token() const { return Beside(".operator"); }
  std::string head_mark() const;
  std::string mark() const { return BesideTheSeal(".rolled-back"); }
  std::string unfinished() const { return Beside(".restoring"); }

  // Who is told of what the store's disks do. Both may be empty; both outlive what is opened.
  struct Watch {
    storage::DiskWork* work = nullptr;
    // Something of the store cannot be read as it was written: each time, on any thread. Must wait
    // for nothing.
    std::function<void(const absl::Status&)> on_damage;
  };
  // Opens all of it, and makes what is missing, in the order in which what is wrong with one must
  // keep the next from being touched: what an older version left elsewhere, the engine (one process
  // a store), the marks, the journal, the keyring, the sealing key. A keyring is made for a store
  // without tokens only: a store that holds some cannot verify any without its own, and a fresh one
  // would call every one unknown (I7). Errors, by reason: STORE_FILES_ELSEWHERE; STORE_MISSING;
  // BAD_FLAG, field "store" (the folder is the top of a volume, and what lies beside it is not on
  // that);
  // EngineDriver::Open's; STORE_ROLLED_BACK (MarkedEngine::Open's, too);
  // JournaledEngine::Open's; KEYRING_MISSING and
  // Keyring::Load's; OpenSealingKey's. Nothing is left open after an error.
  absl::StatusOr<OpenStore> Open(base::Random& random, const base::Clock& clock,
                                 const Watch& watch) const;
  absl::StatusOr<OpenStore> Open(base::Random& random, const base::Clock& clock) const {
    return Open(random, clock, Watch());
  }
  // Opens only the engine, which must exist, in the home's folder or in another one. Does not look
  // at mark, journal or keyring.
  absl::StatusOr<std::unique_ptr<storage::Engine>> OpenEngine(const std::string& folder,
                                                              base::Random& random,
                                                              const base::Clock& clock) const;

  // Marks the store of this epoch as rolled back (R11), durably. A supervisor's next start then
  // neither serves the store again nor writes to it until its revisions have caught up, which would
  // hide the roll-back. UNAVAILABLE: the disk. Does nothing where the store is in no folder.
  absl::Status MarkRolledBack(const std::string& epoch) const;
  // STORE_ROLLED_BACK, FAILED_PRECONDITION, where the store of this epoch is marked, or there is a
  // mark that does not say of which epoch it is.
  absl::Status CheckNotRolledBack(const std::string& epoch) const;
  // Removes the mark, after a new history has begun.
  void ForgetRolledBack() const;

 private:
  StoreHome() = default;
  std::string Beside(absl::string_view ending) const;
  // Beside the store; or beside the sealing key, where a flag says where that lies: the place
  // beside the store may then be a container's own disk, which goes with the container.
  std::string BesideTheSeal(absl::string_view ending) const;
  absl::Status RefuseRolledBack() const;
  // FAILED_PRECONDITION, STORE_FILES_ELSEWHERE: nothing is at `place`, and a file is where an older
  // version put it. `flag` names a file that is to stay where it is; empty: there is none.
  absl::Status CheckNotElsewhere(const std::string& place, absl::string_view ending,
                                 absl::string_view flag) const;
  // The same of each file that an older version may have put elsewhere; and CheckNotMissing.
  absl::Status CheckNothingElsewhere() const;
  // What would be made beside the folder, and so on another file system than the store, though no
  // flag asks for that: a container's, say, which goes with it, while the store's volume stays. In
  // words, each with its flag; empty: nothing.
  std::string LeftBehind() const;
  // The refusal of that: INVALID_ARGUMENT, BAD_FLAG.
  absl::Status RefuseLeftBehind() const;
  // FAILED_PRECONDITION, STORE_MISSING: nothing is in the folder, and a journal tells of a store. A
  // new one in its place would make every token unknown.
  absl::Status CheckNotMissing() const;

  storage::EngineUri uri_;  // its location is plain
  std::string written_;     // the location as it was given
  Options options_;         // with the places filled in
  std::string name_;
};

// The same path in its shortest form: without doubled and trailing slashes and without `.`. A `..`
// after a name is resolved by the file system, since a link may stand before it. The result never
// ends in a slash, `.` or `..`, so that the path with an ending names a file beside it; the
// exceptions are "/", and "" for "". A relative path stays relative where that is possible.
std::string PlainPath(absl::string_view path);

// Makes a file, or a folder's entries, durable. UNAVAILABLE.
absl::Status SyncToDisk(const std::string& path);
// Whether the folder's file system is of this machine alone, so that a lock in it keeps out every
// other process there is. False where that is not known.
bool OnLocalFileSystem(const std::string& folder);
// The folder that holds `path`; "." for a mere name.
std::string FolderOf(const std::string& path);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_STORE_HOME_H_
