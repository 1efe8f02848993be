#include "storage/journal/head_mark.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/invariant.h"
#include "token/fingerprint.h"

namespace tollgate::storage {
namespace {

// magic (8) | store id (32) | epoch (32) | revision (8, little endian) | fingerprint (32) |
// BLAKE2b-256 of all before (32). Texts are filled up with zeros. Shorter than a disk's sector.
constexpr absl::string_view kMagic = "tgmark1\n";
constexpr size_t kField = 32;
constexpr size_t kChecked = 8 + 2 * kField + 8 + kField;
constexpr size_t kBytes = kChecked + kField;

std::string Checksum(absl::string_view bytes) {
  return token::Fingerprint("tollgate head mark", {bytes});
}

void PutField(absl::string_view text, std::string* out) {
  TOLLGATE_INVARIANT(text.size() <= kField, "a head mark's fields have room");
  out->append(text.data(), text.size());
  out->append(kField - text.size(), '\0');
}

std::string TakeField(absl::string_view* bytes) {
  absl::string_view field = bytes->substr(0, kField);
  bytes->remove_prefix(kField);
  while (!field.empty() && field.back() == '\0') field.remove_suffix(1);
  return std::string(field);
}

absl::Status Unavailable(absl::string_view doing, const std::string& path) {
  return absl::UnavailableError(
      absl::StrCat("cannot ", doing, " ", path, ": ", absl::string_view(std::strerror(errno))));
}

}  // namespace

HeadMark::~HeadMark() {
  if (fd_ >= 0) ::close(fd_);
}

absl::StatusOr<absl::optional<HeadMark::Head>> HeadMark::Read() const {
  const int fd = ::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT) return absl::optional<Head>();
    return Unavailable("read", path_);
  }
  std::string bytes(kBytes + 1, '\0');
  const ssize_t got = ::pread(fd, &bytes[0], bytes.size(), 0);
  const absl::Status unread = got < 0 ? Unavailable("read", path_) : absl::OkStatus();
  ::close(fd);
  if (!unread.ok()) return unread;
  absl::string_view rest(bytes.data(), static_cast<size_t>(got));
  if (rest.size() != kBytes || !absl::StartsWith(rest, kMagic) ||
      Checksum(rest.substr(0, kChecked)) != rest.substr(kChecked)) {
    return absl::DataLossError(absl::StrCat(path_, " is not a whole mark"));
  }
  Head head;
  rest.remove_prefix(kMagic.size());
  head.store_id = TakeField(&rest);
  head.epoch = TakeField(&rest);
  uint64_t revision = 0;
  for (int i = 7; i >= 0; --i) revision = revision << 8 | static_cast<uint8_t>(rest[i]);
  head.revision = static_cast<int64_t>(revision);
  rest.remove_prefix(8);
  // A hash may end in zeros.
  const absl::string_view fingerprint = rest.substr(0, kField);
  if (fingerprint.find_first_not_of('\0') != absl::string_view::npos) {
    head.fingerprint = std::string(fingerprint);
  }
  return absl::optional<Head>(std::move(head));
}

absl::Status HeadMark::Write(const Head& head) {
  std::string bytes(kMagic);
  bytes.reserve(kBytes);
  PutField(head.store_id, &bytes);
  PutField(head.epoch, &bytes);
  for (int shift = 0; shift < 64; shift += 8) {
    bytes.push_back(static_cast<char>(static_cast<uint64_t>(head.revision) >> shift));
  }
  PutField(head.fingerprint, &bytes);
  bytes += Checksum(bytes);
  if (fd_ < 0) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) return Unavailable("write", path_);
  }
  ssize_t put = -1;
  do {
    put = ::pwrite(fd_, bytes.data(), bytes.size(), 0);
  } while (put < 0 && errno == EINTR);
  if (put >= 0 && put != static_cast<ssize_t>(bytes.size())) errno = ENOSPC;
  if (put == static_cast<ssize_t>(bytes.size())) return absl::OkStatus();
  const absl::Status failed = Unavailable("write", path_);
  ::close(fd_);
  fd_ = -1;
  return failed;
}

}  // namespace tollgate::storage
