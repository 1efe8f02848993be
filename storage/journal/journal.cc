#include "storage/journal/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "storage/schema.h"

namespace tollgate::storage {
namespace {

using store::v1::JournalRecord;
using store::v1::JournalSection;

constexpr size_t kFrameBytes = 8;
// A commit holds at most some thousand tokens, so a longer payload is not a record.
constexpr uint32_t kMaxPayload = 256u << 20;

const std::array<uint32_t, 256>& CrcTable() {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      made[i] = c;
    }
    return made;
  }();
  return table;
}

// IEEE 802.3.
uint32_t Crc32(absl::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    crc = CrcTable()[(crc ^ static_cast<uint8_t>(byte)) & 0xFF] ^ (crc >> 8);
  }
  return crc ^ 0xFFFFFFFFu;
}

void PutFixed32(uint32_t value, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t GetFixed32(absl::string_view bytes) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

absl::Status Unreadable(const std::string& path, int error) {
  if (error == ENOENT) {
    return base::Refuse(absl::StatusCode::kNotFound, "JOURNAL_NOT_FOUND",
                        absl::StrCat("there is no journal ", path));
  }
  return base::Refuse(absl::StatusCode::kFailedPrecondition, "JOURNAL_UNREADABLE",
                      absl::StrCat("cannot read the journal ", path, ": ",
                                   absl::string_view(std::strerror(error))));
}

absl::Status InUse(const std::string& path, absl::string_view what) {
  return base::Refuse(
      absl::StatusCode::kFailedPrecondition, "JOURNAL_IN_USE",
      absl::StrCat("cannot open the journal ", path, ": another process has it open. ", what));
}

absl::Status Corrupt(const std::string& path, absl::string_view why) {
  return base::Refuse(absl::StatusCode::kDataLoss, "JOURNAL_CORRUPT",
                      absl::StrCat("the journal ", path, " is not whole: ", why,
                                   ". Keep a copy of it, and put it back from one that is whole"));
}

// Reads `count` bytes at `offset`, or all that are there.
absl::StatusOr<std::string> ReadAt(const std::string& path, int fd, int64_t offset, size_t count) {
  std::string bytes(count, '\0');
  size_t got = 0;
  while (got < count) {
    const ssize_t n = ::pread(fd, &bytes[got], count - got, offset + static_cast<int64_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Unreadable(path, errno);
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

// Parses the whole record at the beginning of `bytes`, and returns its length on disk; 0: there is
// none.
size_t ParseFrame(absl::string_view bytes, JournalRecord* record) {
  if (bytes.size() < kFrameBytes) return 0;
  const uint32_t length = GetFixed32(bytes);
  if (length == 0 || length > kMaxPayload || length > bytes.size() - kFrameBytes) return 0;
  const absl::string_view payload = bytes.substr(kFrameBytes, length);
  if (Crc32(payload) != GetFixed32(bytes.substr(4))) return 0;
  if (!record->ParseFromArray(payload.data(), static_cast<int>(payload.size()))) return 0;
  return kFrameBytes + length;
}

// Whether a whole record lies anywhere in `bytes`. If so, the bytes before it were damaged after
// their sync, and are not just the end of a write that was cut short.
bool HoldsARecord(absl::string_view bytes) {
  JournalRecord record;
  for (size_t i = 1; i + kFrameBytes < bytes.size(); ++i) {
    if (ParseFrame(bytes.substr(i), &record) != 0) return true;
  }
  return false;
}

absl::StatusOr<JournalScan> Scan(
    const std::string& path, int fd,
    const std::function<absl::Status(const JournalRecord&, int64_t)>& on_record) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return Unreadable(path, errno);
  JournalScan scan;
  JournalRecord record;
  while (scan.good_bytes < status.st_size) {
    ASSIGN_OR_RETURN(std::string bytes, ReadAt(path, fd, scan.good_bytes, kFrameBytes));
    // A length that was damaged may ask for more than there is.
    const int64_t left = status.st_size - scan.good_bytes - static_cast<int64_t>(kFrameBytes);
    if (bytes.size() == kFrameBytes && GetFixed32(bytes) <= std::min<int64_t>(kMaxPayload, left)) {
      ASSIGN_OR_RETURN(
          const std::string payload,
          ReadAt(path, fd, scan.good_bytes + static_cast<int64_t>(kFrameBytes), GetFixed32(bytes)));
      bytes += payload;
    }
    const size_t length = ParseFrame(bytes, &record);
    if (length == 0) {
      ASSIGN_OR_RETURN(
          const std::string rest,
          ReadAt(path, fd, scan.good_bytes, static_cast<size_t>(status.st_size - scan.good_bytes)));
      if (HoldsARecord(rest)) {
        return Corrupt(path, absl::StrCat("the record at byte ", scan.good_bytes,
                                          " is damaged, and there are others after it"));
      }
      scan.torn_bytes = static_cast<int64_t>(rest.size());
      break;
    }
    if (scan.records == 0) {
      if (!record.has_header()) return Corrupt(path, "it does not begin as a journal");
      if (record.header().format() > kJournalFormat) {
        return base::Refuse(
            absl::StatusCode::kFailedPrecondition, "JOURNAL_TOO_NEW",
            absl::StrCat("cannot read the journal ", path, ": a newer Tollgate wrote it (format ",
                         record.header().format(), ", this one reads ", kJournalFormat,
                         "). Use that version"));
      }
      scan.store_create_time_us = record.header().store_create_time_us();
    } else {
      RETURN_IF_ERROR(on_record(record, scan.good_bytes));
    }
    scan.good_bytes += static_cast<int64_t>(length);
    ++scan.records;
  }
  return scan;
}

std::string MadeAt(int64_t create_time_us) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E3S UTC", absl::FromUnixMicros(create_time_us),
                          absl::UTCTimeZone());
}

absl::Status SyncFolderOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const std::string folder = parent.empty() ? std::string(".") : parent;
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, folder);
  const int synced = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  return synced == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, folder);
}

}  // namespace

std::string FrameJournalRecord(const JournalRecord& record) {
  const std::string payload = SerializeRecord(record);
  std::string framed;
  framed.reserve(kFrameBytes + payload.size());
  PutFixed32(static_cast<uint32_t>(payload.size()), &framed);
  PutFixed32(Crc32(payload), &framed);
  return framed.append(payload);
}

absl::StatusOr<JournalScan> ScanJournal(
    const std::string& path,
    const std::function<absl::Status(const JournalRecord&, int64_t)>& on_record) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Unreadable(path, errno);
  if (::flock(fd, LOCK_SH | LOCK_NB) != 0) {  // an entry may be half-way
    ::close(fd);
    return InUse(path, "Stop that one first");
  }
  absl::StatusOr<JournalScan> scan = Scan(path, fd, on_record);
  ::close(fd);
  if (scan.ok() && scan->records == 0) return Corrupt(path, "it is empty");
  return scan;
}

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(
    const std::string& path, int64_t store_create_time_us, const JournalSection& first_section,
    const std::function<absl::Status(const JournalRecord&, int64_t)>& on_record, DiskWork* work) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return base::Refuse(absl::StatusCode::kUnavailable, "JOURNAL_UNWRITABLE",
                        absl::StrCat("cannot open the journal ", path, ": ",
                                     absl::string_view(std::strerror(errno)),
                                     ". Check its folder, or name another: --journal FILE"));
  }
  std::unique_ptr<Journal> journal(new Journal(path, fd, work));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return InUse(path, "Each store has a journal of its own: --journal FILE");
  }
  ASSIGN_OR_RETURN(const JournalScan scan, Scan(path, fd, on_record));
  if (scan.records > 0 && scan.store_create_time_us != store_create_time_us) {
    return base::Refuse(
        absl::StatusCode::kFailedPrecondition, "JOURNAL_OF_ANOTHER_STORE",
        absl::StrCat("the journal ", path, " is of a store that was made at ",
                     MadeAt(scan.store_create_time_us), ", and this store was made at ",
                     MadeAt(store_create_time_us),
                     ".\n  If this store is a new one in the place of one that was lost, restore a "
                     "backup:  tollgated restore --help\n  Otherwise each store has a journal of "
                     "its own:  --journal FILE"));
  }
  JournalRecord record;
  record.mutable_header()->set_format(kJournalFormat);
  record.mutable_header()->set_store_create_time_us(store_create_time_us);
  if (scan.records == 0 && scan.torn_bytes > 0) {
    // A part of the header is left by a first start that was cut short. Any other file belongs to
    // somebody.
    ASSIGN_OR_RETURN(const std::string found,
                     ReadAt(path, fd, 0, static_cast<size_t>(scan.torn_bytes)));
    if (!absl::StartsWith(FrameJournalRecord(record), found) &&
        found.find_first_not_of('\0') != std::string::npos) {
      return Corrupt(path, "it does not begin as a journal");
    }
  }
  // The header alone is also left by a first start that was cut short; the journal is begun anew.
  journal->created_ = scan.records < 2;
  if (journal->created_ || scan.torn_bytes > 0) {
    RETURN_IF_ERROR(journal->CutTo(journal->created_ ? 0 : scan.good_bytes));
  }
  journal->end_ = journal->created_ ? 0 : scan.good_bytes;
  RETURN_IF_ERROR(journal->Reserve());
  if (!journal->created_) return journal;

  RETURN_IF_ERROR(journal->Append(record));
  *record.mutable_section() = first_section;
  RETURN_IF_ERROR(journal->Append(record));
  const absl::Status synced = SyncFolderOf(path);
  if (!synced.ok()) return journal->Unwritable(synced.message());
  return journal;
}

Journal::~Journal() { ::close(fd_); }

absl::Status Journal::Unwritable(absl::string_view doing) const {
  return base::Refuse(absl::StatusCode::kUnavailable, "JOURNAL_UNWRITABLE",
                      absl::StrCat("cannot write to the journal ", path_, ": ", doing,
                                   ". What cannot be journaled is not accepted"));
}

absl::Status Journal::Reserve() const {
  const DiskStep step = write_.Step();
  int result = 0;
  do {
    result = ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, end_, kJournalReserve);
  } while (result != 0 && errno == EINTR);
  // A file system that reserves nothing says so otherwise, and tells when it is full in time to
  // refuse a revocation, no sooner.
  if (result == 0 || (errno != ENOSPC && errno != EDQUOT && errno != EIO)) return absl::OkStatus();
  const int error = errno;
  return base::Refuse(
      absl::StatusCode::kUnavailable, "JOURNAL_UNWRITABLE",
      absl::StrCat("refusing to start: the journal ", path_,
                   " cannot grow: ", absl::string_view(std::strerror(error)),
                   ". What cannot be journaled is not accepted, so no token could be revoked.\n"
                   "  Make room on its disk, or name a file on another:  --journal FILE"));
}

absl::Status Journal::Append(const JournalRecord& record) {
  if (broken_) return Unwritable("an earlier write failed half-way");
  const DiskStep step = write_.Step();
  const std::string bytes = FrameJournalRecord(record);
  if (bytes.size() - kFrameBytes > kMaxPayload) return Unwritable("the commit is too large");
  size_t put = 0;
  int error = 0;
  while (put < bytes.size() && error == 0) {
    const ssize_t n =
        ::pwrite(fd_, bytes.data() + put, bytes.size() - put, end_ + static_cast<int64_t>(put));
    if (n > 0) {
      put += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      error = n == 0 ? EIO : errno;
    }
  }
  if (error == 0 && ::fdatasync(fd_) != 0) error = errno;
  if (error != 0) {
    broken_ = !CutTo(end_).ok();
    return Unwritable(std::strerror(error));
  }
  end_ += static_cast<int64_t>(bytes.size());
  return absl::OkStatus();
}

absl::Status Journal::CutTo(int64_t offset) {
  const DiskStep step = write_.Step();
  if (::ftruncate(fd_, offset) != 0 || ::fdatasync(fd_) != 0) {
    return Unwritable(std::strerror(errno));
  }
  end_ = offset;
  return absl::OkStatus();
}

}  // namespace tollgate::storage
