#include "token/keyring.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/invariant.h"
#include "base/status.h"

namespace tollgate::token {
namespace {

constexpr size_t kKeySize = 32;
constexpr size_t kMaxPeppers = 16;
// Larger numbers are left to ids that a rotation adds.
constexpr uint64_t kMaxId = 0x7FFFFFFF;
// Sixteen peppers take 2 KiB; the rest is room for white space.
constexpr size_t kMaxFileSize = 64 * 1024;

absl::Status Refused(absl::string_view reason, absl::string_view path, absl::string_view why) {
  return base::Refuse(absl::StatusCode::kFailedPrecondition, reason,
                      absl::StrCat("keyring ", path, ": ", why));
}

std::string ErrnoText(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof(buffer));
}

// A descriptor that closes itself.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() { Close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  bool Close() {
    const int fd = fd_;
    fd_ = -1;
    return fd < 0 || close(fd) == 0;
  }

 private:
  int fd_;
};

// A strict reader of the one shape of JSON that a keyring has. A general parser
// would leave copies of the keys in buffers that nobody wipes.
class Reader {
 public:
  explicit Reader(absl::string_view text) : rest_(text) {}

  // Takes `c`, after white space; false: another character is next.
  bool Take(char c) {
    SkipSpace();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool AtEnd() {
    SkipSpace();
    return rest_.empty();
  }
  // A string without escapes: neither a name nor a key here needs one.
  bool String(absl::string_view* out) {
    if (!Take('"')) return false;
    const size_t end = rest_.find_first_of("\"\\");
    if (end == absl::string_view::npos || rest_[end] != '"') return false;
    *out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
  }
  // 1 to kMaxId, without sign, fraction or leading zero.
  bool Number(uint32_t* out) {
    SkipSpace();
    uint64_t value = 0;
    size_t n = 0;
    for (; n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9'; ++n) {
      value = value * 10 + static_cast<uint64_t>(rest_[n] - '0');
      if (value == 0 || value > kMaxId) return false;
    }
    if (n == 0) return false;
    rest_.remove_prefix(n);
    *out = static_cast<uint32_t>(value);
    return true;
  }
  // Reads an object. `member` is called with each name, at its value, and reads the value; false:
  // it does not know the name, or the value is wrong.
  template <typename Member>
  bool Object(Member member) {
    if (!Take('{')) return false;
    if (Take('}')) return true;
    do {
      absl::string_view name;
      if (!String(&name) || !Take(':') || !member(name)) return false;
    } while (Take(','));
    return Take('}');
  }
  template <typename Element>
  bool Array(Element element) {
    if (!Take('[')) return false;
    if (Take(']')) return true;
    do {
      if (!element()) return false;
    } while (Take(','));
    return Take(']');
  }

 private:
  void SkipSpace() {
    const size_t n = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(n, rest_.size()));
  }
  absl::string_view rest_;
};

bool ReadKey(absl::string_view hex, base::SecretBytes* key) {
  if (hex.size() != 2 * kKeySize) return false;
  base::SecretBytes bytes(kKeySize);
  size_t length = 0;
  if (sodium_hex2bin(bytes.MutableSecret().data(), kKeySize, hex.data(), hex.size(), nullptr,
                     &length, nullptr) != 0 ||
      length != kKeySize) {
    return false;
  }
  *key = std::move(bytes);
  return true;
}

std::string Folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes a new name in the folder survive a power loss.
bool SyncFolder(const std::string& path) {
  File folder(open(Folder(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder.open() && fsync(folder.fd()) == 0;
}

bool WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Writes a file beside `path`, durably and for its owner only, and returns its
// name. Nothing is left behind on an error.
absl::StatusOr<std::string> WriteBeside(const std::string& path, absl::string_view bytes) {
  const std::string temporary = absl::StrCat(path, ".new-", base::SystemRandom().Hex(8));
  File file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.open()) {
    return Refused("KEYRING_UNWRITABLE", path,
                   absl::StrCat("cannot be created: ", ErrnoText(errno),
                                ". Name a file in a folder that this process may write"));
  }
  // A umask may have removed the owner's own bits; it cannot have added any.
  if (fchmod(file.fd(), 0600) != 0 || !WriteAll(file.fd(), bytes) || fsync(file.fd()) != 0 ||
      !file.Close()) {
    const int error = errno;
    unlink(temporary.c_str());
    return Refused("KEYRING_UNWRITABLE", path,
                   absl::StrCat("cannot be written: ", ErrnoText(error)));
  }
  return temporary;
}

// Gives the file its name, unless the name is taken. Returns 0, or the error.
int NameIfFree(const std::string& temporary, const std::string& path) {
  if (link(temporary.c_str(), path.c_str()) == 0) {
    unlink(temporary.c_str());
    return 0;
  }
  int error = errno;
  if (error == EEXIST) return error;
  // For a file system without hard links.
  if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  return errno == EEXIST ? EEXIST : error;
}

}  // namespace

Keyring Keyring::Generate(base::Random& random) {
  Keyring keyring;
  keyring.primary_id_ = 1;
  keyring.peppers_.push_back({1, base::SecretBytes(kKeySize)});
  random.Fill(keyring.peppers_.back().key.MutableSecret());
  return keyring;
}

absl::StatusOr<Keyring> Keyring::Load(const std::string& path) {
  // Non-blocking, so that a FIFO in place of the file cannot hang the start.
  File file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.open()) {
    const int error = errno;
    if (error == ENOENT) {
      return base::Refuse(absl::StatusCode::kNotFound, "KEYRING_NOT_FOUND",
                          absl::StrCat("keyring ", path, ": there is no such file"));
    }
    if (error == ELOOP) {
      return Refused("KEYRING_PERMISSIONS", path,
                     "is a symbolic link. Name the file itself, so that nobody can put another "
                     "in its place");
    }
    return Refused("KEYRING_UNREADABLE", path,
                   absl::StrCat("cannot be opened: ", ErrnoText(error)));
  }
  struct stat info;
  if (fstat(file.fd(), &info) != 0) {
    return Refused("KEYRING_UNREADABLE", path, ErrnoText(errno));
  }
  if (!S_ISREG(info.st_mode)) return Refused("KEYRING_PERMISSIONS", path, "is no regular file");
  const mode_t mode = info.st_mode & 07777;
  if (mode != 0600 && mode != 0400) {
    return Refused("KEYRING_PERMISSIONS", path,
                   absl::StrCat("has mode ", absl::Hex(mode >> 6 & 7), absl::Hex(mode >> 3 & 7),
                                absl::Hex(mode & 7),
                                ", which its owner alone must be able to read. chmod 600 ", path));
  }
  if (info.st_uid != geteuid()) {
    return Refused("KEYRING_PERMISSIONS", path,
                   absl::StrCat("belongs to user ", info.st_uid, ", and this process runs as ",
                                geteuid(), ". chown it, or run as its owner"));
  }
  if (static_cast<uint64_t>(info.st_size) > kMaxFileSize) {
    return Refused("KEYRING_MALFORMED", path, "is larger than 64 KiB");
  }
  // One byte more than expected, to notice a file that grows meanwhile.
  base::SecretBytes text(static_cast<size_t>(info.st_size) + 1);
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(file.fd(), text.MutableSecret().data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Refused("KEYRING_UNREADABLE", path, ErrnoText(errno));
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  if (size != static_cast<size_t>(info.st_size)) {
    return Refused("KEYRING_UNREADABLE", path, "changed while it was read. Try again");
  }
  auto keyring = FromText(text.RevealSecret().substr(0, size));
  if (!keyring.ok()) return Refused("KEYRING_MALFORMED", path, keyring.status().message());
  return keyring;
}

absl::StatusOr<Keyring> Keyring::LoadOrCreate(const std::string& path, base::Random& random) {
  auto loaded = Load(path);
  if (loaded.ok()) {
    // The process that created the file may have been killed before its name was durable. A failed
    // sync is no error: the folder may be read-only, and then another process made the file.
    SyncFolder(path);
    return loaded;
  }
  if (loaded.status().code() != absl::StatusCode::kNotFound) return loaded;

  Keyring keyring = Generate(random);
  ASSIGN_OR_RETURN(const std::string temporary, WriteBeside(path, keyring.ToText().RevealSecret()));
  const int error = NameIfFree(temporary, path);
  if (error != 0) {
    unlink(temporary.c_str());
    if (error != EEXIST) {
      return Refused("KEYRING_UNWRITABLE", path,
                     absl::StrCat("cannot be named: ", ErrnoText(error)));
    }
  }
  if (!SyncFolder(path)) {
    return Refused("KEYRING_UNWRITABLE", path,
                   absl::StrCat("its folder cannot be synced: ", ErrnoText(errno)));
  }
  // Another process was quicker; its keyring is the valid one, because digests may have been made
  // with it.
  if (error == EEXIST) return Load(path);
  return keyring;
}

StoredDigest Keyring::Digest(const EdgeDigest& edge) const {
  const auto primary = std::find_if(peppers_.begin(), peppers_.end(), [this](const Pepper& pepper) {
    return pepper.id == primary_id_;
  });
  // No factory makes a keyring without its primary pepper.
  TOLLGATE_INVARIANT(primary != peppers_.end(), "a keyring has its primary pepper");
  return StoredDigest::Of(edge, primary->key.RevealSecret());
}

std::vector<std::pair<uint32_t, StoredDigest>> Keyring::Candidates(const EdgeDigest& edge) const {
  std::vector<std::pair<uint32_t, StoredDigest>> candidates;
  candidates.reserve(peppers_.size());
  for (const Pepper& pepper : peppers_) {
    candidates.emplace_back(pepper.id, StoredDigest::Of(edge, pepper.key.RevealSecret()));
    // The primary first: most tokens lie there.
    if (pepper.id == primary_id_) std::swap(candidates.front(), candidates.back());
  }
  return candidates;
}

std::vector<std::pair<uint32_t, std::string>> Keyring::CheckValues() const {
  constexpr absl::string_view kText = "tollgate keyring check";
  std::vector<std::pair<uint32_t, std::string>> values;
  for (const Pepper& pepper : peppers_) {
    std::string value(kKeySize, '\0');
    crypto_generichash(reinterpret_cast<unsigned char*>(value.data()), value.size(),
                       reinterpret_cast<const unsigned char*>(kText.data()), kText.size(),
                       reinterpret_cast<const unsigned char*>(pepper.key.RevealSecret().data()),
                       kKeySize);
    values.emplace_back(pepper.id, std::move(value));
  }
  return values;
}

absl::StatusOr<Keyring> Keyring::FromText(absl::string_view text) {
  Reader reader(text);
  Keyring keyring;
  uint32_t format = 0;
  std::string problem;
  const auto say = [&problem](absl::string_view what) {
    problem = std::string(what);
    return false;
  };
  const auto pepper = [&] {
    Pepper read{0, base::SecretBytes()};
    const bool well_formed = reader.Object([&](absl::string_view name) {
      if (name == "id" && read.id == 0) return reader.Number(&read.id);
      absl::string_view hex;
      if (name == "key" && read.key.empty()) {
        return reader.String(&hex) &&
               (ReadKey(hex, &read.key) || say("a key must be 64 hexadecimal digits"));
      }
      return say("a pepper has an id and a key, each once, and nothing else");
    });
    if (!well_formed) return false;
    if (read.id == 0 || read.key.empty()) return say("a pepper lacks its id or its key");
    for (const Pepper& other : keyring.peppers_) {
      if (other.id == read.id) return say(absl::StrCat("two peppers have the id ", read.id));
    }
    if (keyring.peppers_.size() == kMaxPeppers) return say("there are more than 16 peppers");
    keyring.peppers_.push_back(std::move(read));
    return true;
  };
  const bool well_formed = reader.Object([&](absl::string_view name) {
    if (name == "format" && format == 0) return reader.Number(&format);
    if (name == "primary" && keyring.primary_id_ == 0) return reader.Number(&keyring.primary_id_);
    if (name == "peppers" && keyring.peppers_.empty()) return reader.Array(pepper);
    return say("it has format, primary and peppers, each once, and nothing else");
  }) && reader.AtEnd();
  if (well_formed && format > 1) {
    say(absl::StrCat("its format is ", format, ", and this program knows format 1 only"));
  } else if (well_formed && format == 0) {
    say("it lacks its format");
  } else if (well_formed && keyring.peppers_.empty()) {
    say("it has no pepper");
  } else if (well_formed &&
             std::none_of(keyring.peppers_.begin(), keyring.peppers_.end(),
                          [&](const Pepper& p) { return p.id == keyring.primary_id_; })) {
    say("its primary is none of its peppers");
  } else if (well_formed) {
    return keyring;
  }
  if (problem.empty()) {
    problem = "it is not JSON of the form {\"format\":1,\"primary\":1,\"peppers\":[…]}";
  }
  return absl::InvalidArgumentError(problem);
}

base::SecretBytes Keyring::ToText() const {
  const std::string head =
      absl::StrCat("{\"format\":1,\"primary\":", primary_id_, ",\"peppers\":[");
  constexpr absl::string_view kTail = "]}\n";
  // A pepper takes at most {"id":4294967295,"key":"…"} and a comma.
  base::SecretBytes text(head.size() + peppers_.size() * (2 * kKeySize + 32) + kTail.size());
  char* out = reinterpret_cast<char*>(text.MutableSecret().data());
  const char* const begin = out;
  const auto put = [&out](absl::string_view s) {
    std::memcpy(out, s.data(), s.size());
    out += s.size();
  };
  put(head);
  for (size_t i = 0; i < peppers_.size(); ++i) {
    put(absl::StrCat(i == 0 ? "" : ",", "{\"id\":", peppers_[i].id, ",\"key\":\""));
    // sodium_bin2hex writes a NUL behind the digits, where the quote goes next.
    sodium_bin2hex(out, 2 * kKeySize + 1,
                   reinterpret_cast<const unsigned char*>(peppers_[i].key.RevealSecret().data()),
                   kKeySize);
    out += 2 * kKeySize;
    put("\"}");
  }
  put(kTail);
  return base::SecretBytes::CopyOf(text.RevealSecret().substr(0, static_cast<size_t>(out - begin)));
}

}  // namespace tollgate::token
