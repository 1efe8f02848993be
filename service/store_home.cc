#include "service/store_home.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/bad_flag.h"
#include "base/log.h"
#include "base/status.h"
#include "service/history/history.h"
#include "service/history/sealing_key.h"
#include "storage/engines.h"
#include "storage/schema.h"

namespace tollgate::service {
namespace {

namespace fs = std::filesystem;
using store::v1::MetaRecord;

absl::StatusOr<std::string> EpochOf(storage::Engine& engine) {
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot, engine.NewSnapshot());
  ASSIGN_OR_RETURN(
      const absl::optional<MetaRecord> meta,
      storage::GetRecord<MetaRecord>(*snapshot, storage::Table::kMeta, storage::kMetaKey));
  if (!meta.has_value()) {
    return base::Refuse(absl::StatusCode::kDataLoss, "STORE_CORRUPT",
                        "the store has no MetaRecord");
  }
  return meta->epoch();
}

void TellOfMigration(const std::string& name, uint32_t from_format) {
  base::Log(base::LogLevel::kInfo,
            "the store was brought to this version's format: older versions refuse it from now on",
            {{"store", name},
             {"from", static_cast<int64_t>(from_format)},
             {"to", static_cast<int64_t>(storage::kStoreFormat)}});
}

// A mistyped name begins a journal like a first start does, and restores would do without all
// that the real one knows.
absl::Status WarnOfNewJournal(storage::JournaledEngine& journaled, const StoreHome& home) {
  if (!journaled.created_journal()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot, journaled.NewSnapshot());
  if (snapshot->revision() == 0) return absl::OkStatus();
  base::Log(
      base::LogLevel::kWarning,
      "began a new journal for a store that is not new: it knows nothing of what was revoked "
      "before, so only backups from now on can be restored with it. If the store had another "
      "journal, stop and name that one: --journal FILE",
      {{"journal", home.journal()}, {"store", home.name()}, {"revision", snapshot->revision()}});
  return absl::OkStatus();
}

// `readers` may read it. `may_make`: whether one may be made at this place, and `left_behind`: why
// the right one may not be there; empty: nothing speaks for that.
absl::StatusOr<token::Keyring> OpenKeyring(const std::string& path, storage::Engine& engine,
                                           base::Random& random, token::SecretReaders readers,
                                           const absl::Status& may_make) {
  if (path.empty()) return token::Keyring::Generate(random);  // in no folder, and not asked for
  std::error_code error;
  if (fs::exists(path, error) || error) return token::Keyring::Load(path, readers);
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot, engine.NewSnapshot());
  ASSIGN_OR_RETURN(const std::vector<storage::Entry> digests,
                   snapshot->Scan(storage::Table::kDigests, "", "", 1));
  if (!digests.empty()) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "KEYRING_MISSING",
        absl::StrCat("refusing to start without the keyring ", path,
                     ": the store holds tokens, and only their own keyring can verify "
                     "them.",
                     may_make.ok() ? ""
                                   : " It lay on another file system than the store: a "
                                     "container's, say, with which it went.",
                     "\n  Put it back from where it is kept:  ", path,
                     "\n  or say where it is:                 --keyring FILE"));
  }
  RETURN_IF_ERROR(may_make);
  ASSIGN_OR_RETURN(token::Keyring keyring, token::Keyring::LoadOrCreate(path, random, readers));
  base::Log(base::LogLevel::kInfo,
            "made a keyring: keep a copy of it, apart from the store's backups",
            {{"keyring", path}});
  return keyring;
}

// A key that is lost takes the proofs with it: until they have new ones, validators cannot show
// that the store was put back.
absl::StatusOr<std::shared_ptr<const lease::Sealer>> OpenSealer(const std::string& path,
                                                                storage::Engine& engine,
                                                                const std::string& epoch,
                                                                base::Random& random,
                                                                token::SecretReaders readers) {
  ASSIGN_OR_RETURN(SealingKey key, OpenSealingKey(path, epoch, random, readers));
  if (key.origin == SealingKeyOrigin::kMade && !path.empty()) {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::Snapshot> snapshot, engine.NewSnapshot());
    ASSIGN_OR_RETURN(const History history, ReadHistory(*snapshot));
    if (history.terms.empty()) {
      base::Log(base::LogLevel::kInfo, "made a sealing key: keep it with the store",
                {{"seal", path}});
    } else {
      base::Log(base::LogLevel::kWarning,
                "the sealing key was missing, and was made anew: until each validator has followed "
                "this start, none can prove that the store was put back to an older state",
                {{"seal", path}});
    }
  }
  if (key.origin == SealingKeyOrigin::kReplaced) {
    base::Log(base::LogLevel::kInfo,
              "made a new sealing key, for the store's new epoch: proofs of the one before need "
              "none any more",
              {{"seal", path}, {"epoch", epoch}});
  }
  return std::move(key.sealer);
}

absl::optional<uint64_t> DeviceOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::nullopt;
  return info.st_dev;
}

// A part of the start, which a disk can make as long as it likes.
template <class Work>
auto Opening(const StoreHome::Watch& watch, const char* what, const std::string& place, Work work) {
  const storage::WatchedJob job(watch.work, storage::DiskJobKind::kLong, what, place);
  const storage::DiskStep step = job.Step();
  return work();
}

void OnBackgroundError(const std::string& place, const StoreHome::Watch& watch,
                       const absl::Status& error) {
  if (absl::IsDataLoss(error)) {
    if (watch.on_damage) watch.on_damage(error);
    return;
  }
  base::Log(base::LogLevel::kWarning,
            "the store's disk refused work that it does by itself: the next write ends the process "
            "(R7)",
            {{"store", place}, {"status", error}});
}

// "rocksdb:foo" is the folder `foo`, and what was called so before there were engines to name is
// the folder `rocksdb:foo`: where that is there, nobody can say which is meant.
absl::Status CheckMeansOneFolder(const std::string& store, const storage::EngineUri& uri) {
  const bool without_engine = uri.location.size() == store.size();
  const bool is_path = absl::StartsWith(uri.location, "/") ||
                       absl::StartsWith(uri.location, "./") ||
                       absl::StartsWith(uri.location, "../");  // and so it says what it means
  std::error_code error;
  if (without_engine || is_path || !fs::is_directory(store, error)) return absl::OkStatus();
  return base::BadFlag(
      "store",
      absl::StrCat("'", store, "' may mean two folders, for there is one of that name; write ./",
                   store, " for it, or ", uri.driver->scheme(), ":./", uri.location,
                   " for the folder ", uri.location));
}

}  // namespace

std::string PlainPath(absl::string_view path) {
  if (path.empty()) return "";
  const bool rooted = path[0] == '/';
  std::vector<absl::string_view> names;
  size_t resolved = 0;  // so many of them the file system has to look at
  for (const absl::string_view name : absl::StrSplit(path, '/')) {
    if (name.empty() || name == ".") continue;
    names.push_back(name);
    if (name == ".." && (rooted || (names.size() > 1 && names[names.size() - 2] != ".."))) {
      resolved = names.size();
    }
  }
  const bool nameless = !rooted && (names.empty() || names.back() == "..");
  if (nameless) resolved = names.size();
  if (resolved == 0 && !nameless) {
    return absl::StrCat(rooted ? "/" : "", absl::StrJoin(names, "/"));
  }
  const std::string asked = absl::StrCat(
      rooted ? "/" : "./", absl::StrJoin(names.begin(), names.begin() + resolved, "/"));
  std::error_code error;
  fs::path found = fs::weakly_canonical(fs::absolute(asked), error);
  if (error) found = fs::absolute(asked).lexically_normal();
  // Absolute and without `..` now.
  return PlainPath(
      absl::StrCat(found.string(), "/", absl::StrJoin(names.begin() + resolved, names.end(), "/")));
}

absl::Status SyncToDisk(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (synced) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot sync ", path, ": ", std::strerror(error)));
}

bool OnLocalFileSystem(const std::string& folder) {
  // As in linux/magic.h, and those of ZFS and of what its kernel's headers leave out.
  constexpr uint32_t kLocal[] = {
      0xEF53,      // ext2, ext3, ext4
      0x58465342,  // XFS
      0x9123683E,  // Btrfs
      0x01021994,  // tmpfs
      0x794C7630,  // overlayfs
      0xF2F52010,  // F2FS
      0x2FC12FC1,  // ZFS
      0xCA451A4E,  // bcachefs
  };
  struct statfs info;
  if (folder.empty() || statfs(folder.c_str(), &info) != 0) return false;
  const auto type = static_cast<uint32_t>(info.f_type);
  return std::find(std::begin(kLocal), std::end(kLocal), type) != std::end(kLocal);
}

std::string FolderOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

absl::StatusOr<StoreHome> StoreHome::At(Options options) {
  return At(std::move(options), storage::Engines());
}

absl::StatusOr<StoreHome> StoreHome::At(Options options, const storage::EngineRegistry& engines) {
  StoreHome home;
  absl::StatusOr<storage::EngineUri> uri = engines.Parse(options.store);
  if (!uri.ok()) {
    // An existing folder of that name is from before engines had names.
    std::error_code error;
    if (options.store.empty() || !fs::is_directory(options.store, error)) {
      return base::BadFlag("store", uri.status().message());
    }
    uri = storage::EngineUri{&engines.default_driver(), options.store};
  }
  home.uri_ = *std::move(uri);
  home.written_ = home.uri_.location;
  if (home.traits().in_folder) {
    RETURN_IF_ERROR(CheckMeansOneFolder(options.store, home.uri_));
    home.uri_.location = PlainPath(home.uri_.location);
    if (home.uri_.location.empty()) {
      return base::BadFlag("store", absl::StrCat("'", options.store,
                                                 "' names no folder; write one after the colon"));
    }
    if (home.uri_.location == "/") {
      return base::BadFlag("store",
                           absl::StrCat("'", options.store,
                                        "' is the root of the file system, and nothing can lie "
                                        "beside it; name a folder of the store's own, as in "
                                        "/var/lib/tollgate"));
    }
  } else if (!home.uri_.location.empty()) {
    return base::BadFlag("store", absl::StrCat("'", options.store, "': write ",
                                               home.uri_.driver->scheme(), ": alone"));
  }
  home.name_ = engines.ToText(home.uri_);
  home.options_ = std::move(options);
  if (home.options_.keyring.empty()) home.options_.keyring = home.Beside(".keyring");
  if (home.options_.seal.empty()) home.options_.seal = home.Beside(".seal");
  if (!home.options_.device_of) home.options_.device_of = DeviceOf;
  if (home.options_.no_journal) {
    home.options_.journal.clear();
  } else if (home.options_.journal.empty()) {
    home.options_.journal = home.Beside(".journal");
  }
  return home;
}

const std::string& StoreHome::folder() const {
  return uri_.location;  // checked by At: empty where the engine is in none
}

std::string StoreHome::head_mark() const {
  if (folder().empty()) return "";
  return journal().empty() ? BesideTheSeal(".mark") : absl::StrCat(journal(), ".mark");
}

std::string StoreHome::BesideTheSeal(absl::string_view ending) const {
  const std::string beside = Beside(ending);
  return beside.empty() || seal() == Beside(".seal") ? beside : absl::StrCat(seal(), ending);
}

bool StoreHome::journal_is_beside() const { return journal() == Beside(".journal"); }

std::string StoreHome::Beside(absl::string_view ending) const {
  return folder().empty() ? std::string() : absl::StrCat(folder(), ending);
}

absl::Status StoreHome::CheckNotElsewhere(const std::string& place, absl::string_view ending,
                                          absl::string_view flag) const {
  std::error_code error;
  if (folder().empty() || place != Beside(ending) || fs::exists(place, error)) {
    return absl::OkStatus();
  }
  // The ending was put after the path as it was given: after `x/`, `x/.` and `x/..`.
  for (const std::string& old :
       {absl::StrCat(written_, ending), absl::StrCat(folder(), "/", ending),
        absl::StrCat(folder(), "/.", ending)}) {
    if (!fs::exists(old, error)) continue;
    std::string message = absl::StrCat(
        "refusing to start without ", place, ": ", old,
        " is where an older version kept it.\n  Move it:                   mv ", old, " ", place);
    if (!flag.empty()) {
      absl::StrAppend(&message, "\n  or leave it and name it:   --", flag, " ", old);
    }
    return base::Refuse(absl::StatusCode::kFailedPrecondition, "STORE_FILES_ELSEWHERE", message);
  }
  return absl::OkStatus();
}

std::string StoreHome::LeftBehind() const {
  if (folder().empty()) return "";
  const absl::optional<uint64_t> of_store = options_.device_of(folder());
  const absl::optional<uint64_t> of_parent = options_.device_of(FolderOf(folder()));
  if (!of_store.has_value() || !of_parent.has_value() || of_store == of_parent) return "";
  std::vector<std::string> files;
  if (keyring() == Beside(".keyring")) {
    files.push_back(absl::StrCat("the keyring ", keyring(), " (--keyring FILE)"));
  }
  if (journal_is_beside() && !journal().empty()) {
    files.push_back(absl::StrCat("the journal ", journal(), " (--journal FILE)"));
  }
  if (seal() == Beside(".seal")) {
    files.push_back(absl::StrCat("the sealing key ", seal(), " (--seal FILE)"));
  }
  return absl::StrJoin(files, ", ");
}

absl::Status StoreHome::RefuseLeftBehind() const {
  const std::string left_behind = LeftBehind();
  if (left_behind.empty()) return absl::OkStatus();
  return base::BadFlag(
      "store",
      absl::StrCat("refusing to use ", folder(),
                   ", the top of a file system, for the store: ", left_behind,
                   " would lie beside it, on another one. In a container that one goes when the "
                   "container does",
                   keyring() == Beside(".keyring")
                       ? ", and without its keyring no token of the store is good"
                       : "",
                   ".\n  Give the store a folder on its volume:  --store ", folder(),
                   "/store\n  or say where each is to lie:           the flags above"));
}

absl::Status StoreHome::CheckNotMissing() const {
  std::error_code error;
  if (folder().empty() || journal().empty() || driver().HoldsStore(folder())) {
    return absl::OkStatus();
  }
  for (const auto& entry : fs::directory_iterator(folder(), error)) {
    // Something is there: the engine will tell what.
    if (entry.path().filename() != "lost+found") return absl::OkStatus();
  }
  const uintmax_t size = fs::file_size(journal(), error);
  if (error || size == 0) return absl::OkStatus();
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "STORE_MISSING",
      absl::StrCat("refusing to make a new store in ", folder(), ": its journal ", journal(),
                   " tells of one that was here, and is gone. It was wiped, or its disk is not "
                   "mounted.\n  Mount it, or restore a backup:       tollgated restore --help\n"
                   "  or the journal is another store's:   --journal FILE\n"
                   "  or begin without what was revoked:   mv ",
                   journal(), " ", journal(), ".old"));
}

absl::Status StoreHome::CheckNothingElsewhere() const {
  RETURN_IF_ERROR(CheckNotElsewhere(mark(), ".rolled-back", ""));
  RETURN_IF_ERROR(CheckNotElsewhere(journal(), ".journal", "journal"));
  RETURN_IF_ERROR(CheckNotElsewhere(keyring(), ".keyring", "keyring"));
  return CheckNotMissing();
}

absl::StatusOr<OpenStore> StoreHome::Open(base::Random& random, const base::Clock& clock,
                                          const Watch& watch) const {
  RETURN_IF_ERROR(Opening(watch, "looking for the store's files", FolderOf(folder()),
                          [this] { return CheckNothingElsewhere(); }));
  const absl::Status may_make = RefuseLeftBehind();
  if (!may_make.ok() && !driver().HoldsStore(folder())) return may_make;
  if (!traits().durable) {
    base::Log(base::LogLevel::kWarning, "the store ends with this process: nothing in it is kept",
              {{"store", name()}});
  }
  OpenStore store;
  storage::EngineOpenOptions engine;
  engine.location = folder();
  engine.random = &random;
  engine.clock = &clock;
  engine.on_migrated = [this](uint32_t from_format) { TellOfMigration(name(), from_format); };
  engine.on_background_error = [place = folder(), watch](const absl::Status& error) {
    OnBackgroundError(place, watch, error);
  };
  ASSIGN_OR_RETURN(store.files, Opening(watch, "opening the store", folder(),
                                        [&] { return driver().Open(engine); }));
  storage::WatchedEngine::Options watched;
  watched.place = name();
  watched.work = watch.work;
  watched.on_damage = watch.on_damage;
  store.watched = std::make_unique<storage::WatchedEngine>(store.files.get(), std::move(watched));
  store.engine = store.watched.get();
  ASSIGN_OR_RETURN(store.epoch, EpochOf(*store.engine));
  RETURN_IF_ERROR(CheckNotRolledBack(store.epoch));
  if (!head_mark().empty()) {
    storage::MarkedEngine::Options marked;
    marked.path = head_mark();
    marked.on_failed = [path = head_mark()](const absl::Status& status) {
      base::Log(base::LogLevel::kError,
                "the head mark is of no use: the store goes on without it, and should it lose its "
                "last commits in a crash, this might not be noticed",
                {{"mark", path}, {"status", status}});
    };
    marked.work = watch.work;
    ASSIGN_OR_RETURN(store.marked, Opening(watch, "reading the head mark", head_mark(), [&] {
                       return storage::MarkedEngine::Open(store.engine, std::move(marked));
                     }));
    store.engine = store.marked.get();
  }
  if (!journal().empty()) {
    ASSIGN_OR_RETURN(store.journaled, Opening(watch, "opening the journal", journal(), [&] {
                       return storage::JournaledEngine::Open(store.engine, journal(), watch.work);
                     }));
    RETURN_IF_ERROR(WarnOfNewJournal(*store.journaled, *this));
    store.engine = store.journaled.get();
  }
  ASSIGN_OR_RETURN(token::Keyring opened, Opening(watch, "opening the keyring", keyring(), [&] {
                     return OpenKeyring(keyring(), *store.engine, random, options_.secret_readers,
                                        may_make);
                   }));
  store.keyring = std::make_unique<const token::Keyring>(std::move(opened));
  if (!may_make.ok()) {
    base::Log(base::LogLevel::kWarning,
              "what belongs to the store lies on another file system than it: in a container that "
              "goes when the container does. Stop the service, move the store into a folder of its "
              "volume and these files beside it, or name other places for them",
              {{"store", name()}, {"files", LeftBehind()}});
  }
  ASSIGN_OR_RETURN(store.sealer, Opening(watch, "opening the sealing key", seal(), [&] {
                     return OpenSealer(seal(), *store.engine, store.epoch, random,
                                       options_.secret_readers);
                   }));
  return store;
}

absl::StatusOr<std::unique_ptr<storage::Engine>> StoreHome::OpenEngine(
    const std::string& folder, base::Random& random, const base::Clock& clock) const {
  storage::EngineOpenOptions engine;
  engine.location = folder;
  engine.create_if_missing = false;
  engine.random = &random;
  engine.clock = &clock;
  return driver().Open(engine);
}

absl::Status StoreHome::MarkRolledBack(const std::string& epoch) const {
  const std::string path = mark();
  if (path.empty()) return absl::OkStatus();
  // Whole or not at all: the process may be ended in the middle of it.
  const std::string beside = absl::StrCat(path, ".new");
  const auto failed = [](const std::string& what) {
    return absl::UnavailableError(absl::StrCat("cannot write ", what, ": ", std::strerror(errno)));
  };
  {
    std::ofstream file(beside, std::ios::trunc);
    file << epoch << "\n";
    file.close();
    if (!file) return failed(beside);
  }
  RETURN_IF_ERROR(SyncToDisk(beside));
  if (std::rename(beside.c_str(), path.c_str()) != 0) return failed(path);
  return SyncToDisk(FolderOf(path));
}

absl::Status StoreHome::CheckNotRolledBack(const std::string& epoch) const {
  // Of an older version, which knew one place only, too.
  for (const std::string& path : {mark(), Beside(".rolled-back")}) {
    struct stat info;
    if (path.empty() || (::lstat(path.c_str(), &info) != 0 && errno == ENOENT)) continue;
    std::ifstream file(path);
    std::string marked;
    if (!(file >> marked) || marked.size() < epoch.size()) {
      return base::Refuse(
          absl::StatusCode::kFailedPrecondition, "STORE_ROLLED_BACK",
          absl::StrCat("refusing to serve ", name(), ": ", path,
                       ", which says of which history the store was shown to be an old copy, "
                       "cannot be read.\n  Make it readable; or, where it is empty, begin a new "
                       "history:  tollgated new-epoch --store ",
                       name(), ", and remove it"));
    }
    if (marked == epoch) return RefuseRolledBack();
  }
  return absl::OkStatus();
}

absl::Status StoreHome::RefuseRolledBack() const {
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "STORE_ROLLED_BACK",
      absl::StrCat("refusing to serve ", name(),
                   ": it is older than what a validator has seen of it, so it was rolled "
                   "back, or is an old copy.\n"
                   "  Begin a new history on it, with what the journal knows:  tollgated "
                   "new-epoch --store ",
                   name()));
}

void StoreHome::ForgetRolledBack() const {
  std::error_code error;
  for (const std::string& path : {mark(), Beside(".rolled-back")}) {
    if (!path.empty()) fs::remove(path, error);
  }
}

}  // namespace tollgate::service
