// The journal's file: an append-only list of the changes that took permission away (R17).
//
// The file lies outside the store, best on another disk. A record is
//   length (4 bytes, little endian) | CRC-32 of the payload (4 bytes, little endian) | payload
// where the payload is a serialised JournalRecord. The first record is a JournalHeader, the second
// a JournalSection. Each record is synced before the next is begun, so only the last can be torn.
#ifndef TOLLGATE_STORAGE_JOURNAL_JOURNAL_H_
#define TOLLGATE_STORAGE_JOURNAL_JOURNAL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/disk_work.h"
#include "tollgate/store/v1/journal.pb.h"

namespace tollgate::storage {

// The format this build reads and writes.
inline constexpr uint32_t kJournalFormat = 1;

// An opening reserves so much room on the disk for what is appended next. A journal whose disk is
// full would otherwise let a service start, and end it at the first revocation. The entry of a
// commit that changes a thousand tokens fits (about 200 bytes each); the file's length stays as it
// is.
inline constexpr int64_t kJournalReserve = 256 << 10;

// How a scan ended.
struct JournalScan {
  int64_t good_bytes = 0;  // up to the end of the last whole record
  int64_t torn_bytes = 0;  // after it: a record that was being written as the machine stopped
  int64_t records = 0;
  int64_t store_create_time_us = 0;  // the header's
};

// Reads a journal from its beginning. Calls `on_record` with each record after the header, and with
// the offset at which the record begins. An error of `on_record` ends the scan. Errors, by reason:
//   JOURNAL_NOT_FOUND   NOT_FOUND
//   JOURNAL_UNREADABLE  FAILED_PRECONDITION
//   JOURNAL_TOO_NEW     FAILED_PRECONDITION
//   JOURNAL_IN_USE      FAILED_PRECONDITION: a process has the journal open for appending
//   JOURNAL_CORRUPT     DATA_LOSS: not a journal, or a record before the last is damaged. A damaged
//                       last record is no error: it is counted in torn_bytes
absl::StatusOr<JournalScan> ScanJournal(
    const std::string& path,
    const std::function<absl::Status(const tollgate::store::v1::JournalRecord&, int64_t offset)>&
        on_record);

// A journal open for appending; no one else can open it meanwhile. Not thread-safe.
class Journal {
 public:
  // Opens the journal, or makes one (mode 0600) with this header and section. Calls `on_record` as
  // ScanJournal does, but not for records that this call has made. A torn end is cut off. What it
  // writes is told to `work`, which outlives it and may be null. Errors: ScanJournal's, and
  //   JOURNAL_OF_ANOTHER_STORE  FAILED_PRECONDITION  its header names another store
  //   JOURNAL_UNWRITABLE        UNAVAILABLE          the disk; kJournalReserve bytes more must find
  //                                                  room on it, as far as its file system can say
  static absl::StatusOr<std::unique_ptr<Journal>> Open(
      const std::string& path, int64_t store_create_time_us,
      const tollgate::store::v1::JournalSection& first_section,
      const std::function<absl::Status(const tollgate::store::v1::JournalRecord&, int64_t offset)>&
          on_record,
      DiskWork* work = nullptr);
  ~Journal();

  // Appends and syncs. UNAVAILABLE, JOURNAL_UNWRITABLE: whatever was written of the record was cut
  // off again; where even the cut fails, every later Append fails.
  absl::Status Append(const tollgate::store::v1::JournalRecord& record);
  // Cuts off everything from `offset` on, and syncs. UNAVAILABLE, JOURNAL_UNWRITABLE.
  absl::Status CutTo(int64_t offset);
  // Where the next record begins.
  int64_t end() const { return end_; }
  bool created() const { return created_; }
  const std::string& path() const { return path_; }

 private:
  Journal(std::string path, int fd, DiskWork* work)
      : path_(std::move(path)),
        fd_(fd),
        write_(work, DiskJobKind::kWrite, "a write to the journal", path_) {}
  absl::Status Unwritable(absl::string_view doing) const;
  absl::Status Reserve() const;

  const std::string path_;
  const int fd_;
  const WatchedJob write_;
  int64_t end_ = 0;
  bool created_ = false;
  bool broken_ = false;  // a failed append could not be cut off
};

// The record's bytes on disk. For tests, too.
std::string FrameJournalRecord(const tollgate::store::v1::JournalRecord& record);

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_JOURNAL_JOURNAL_H_
