// A journal's file (R17). Any bytes are refused, or read as a list of whole records that another
// start reads the same; and of a journal that was written and then cut anywhere, or damaged
// anywhere, nothing is read but what was written, from its beginning, without a gap.
//
// Input: two bytes that say where it is cut, two that say where it is damaged, and bytes that are
// taken for a file, and from which a journal is made.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "storage/journal/journal.h"
#include "storage/schema.h"
#include "tests/fuzz/fuzz.h"

namespace tollgate::fuzz {
namespace {

using storage::Journal;
using storage::JournalScan;
using store::v1::JournalRecord;
using store::v1::JournalSection;

constexpr int64_t kStore = 1'700'000'000'000'000;

// One file of this process, in memory where there is such a folder; removed at its end.
class File {
 public:
  File() {
    for (const char* folder : {"/dev/shm", "/tmp"}) {
      path_ = absl::StrCat(folder, "/journal_fuzz-XXXXXX");
      const int fd = mkstemp(path_.data());
      if (fd < 0) continue;
      close(fd);
      return;
    }
    std::abort();
  }
  ~File() { unlink(path_.c_str()); }
  void Hold(absl::string_view bytes) {
    const int fd = open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    FUZZ_CLAIM(fd >= 0);
    FUZZ_CLAIM(write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    close(fd);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// What a reading gave.
struct Found {
  absl::Status status;
  JournalScan scan;
  std::vector<std::string> records;  // after the header, as they are on disk
};

Found Read(const File& file) {
  Found found;
  const auto scan =
      storage::ScanJournal(file.path(), [&found](const JournalRecord& record, int64_t offset) {
        FUZZ_CLAIM(offset > 0);
        found.records.push_back(storage::FrameJournalRecord(record));
        return absl::OkStatus();
      });
  found.status = scan.status();
  if (scan.ok()) found.scan = *scan;
  return found;
}

bool IsRefusal(const absl::Status& status) {
  const std::string reason = base::ReasonOf(status);
  return reason == "JOURNAL_CORRUPT" || reason == "JOURNAL_TOO_NEW" ||
         reason == "JOURNAL_OF_ANOTHER_STORE";
}

bool IsBeginningOf(const std::vector<std::string>& part, const std::vector<std::string>& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

// Opened for appending, it has what a reader finds; what is appended comes after that, and a torn
// end is gone.
void LookAtAppending(const File& file, const Found& found) {
  JournalSection section;
  section.set_epoch("another");
  std::vector<std::string> replayed;
  auto journal = Journal::Open(file.path(), found.scan.store_create_time_us, section,
                               [&replayed](const JournalRecord& record, int64_t) {
                                 replayed.push_back(storage::FrameJournalRecord(record));
                                 return absl::OkStatus();
                               });
  FUZZ_CLAIM(journal.ok());
  FUZZ_CLAIM((*journal)->created() == found.records.empty());
  FUZZ_CLAIM(replayed == found.records);
  JournalRecord more;
  more.mutable_mark()->set_revision(7);
  FUZZ_CLAIM((*journal)->Append(more).ok());
  std::vector<std::string> expected = found.records;
  if (expected.empty()) {
    JournalRecord first;
    *first.mutable_section() = section;
    expected.push_back(storage::FrameJournalRecord(first));
  }
  expected.push_back(storage::FrameJournalRecord(more));
  journal->reset();
  const Found again = Read(file);
  FUZZ_CLAIM(again.status.ok() && again.scan.torn_bytes == 0);
  FUZZ_CLAIM(again.records == expected);
}

void LookAtBytes(File* file, absl::string_view bytes) {
  file->Hold(bytes);
  const Found found = Read(*file);
  if (found.status.ok()) {
    FUZZ_CLAIM(found.scan.records >= 1);
    FUZZ_CLAIM(static_cast<int64_t>(found.records.size()) == found.scan.records - 1);
    FUZZ_CLAIM(found.scan.good_bytes + found.scan.torn_bytes == static_cast<int64_t>(bytes.size()));
    // The part that is good is all that it says.
    file->Hold(bytes.substr(0, static_cast<size_t>(found.scan.good_bytes)));
    const Found good = Read(*file);
    FUZZ_CLAIM(good.status.ok() && good.scan.torn_bytes == 0 && good.records == found.records);
    file->Hold(bytes);
  } else {
    FUZZ_CLAIM(IsRefusal(found.status));
  }
  // What is no journal is somebody's file, and stays as it is.
  if (found.status.ok()) LookAtAppending(*file, found);
}

// A journal whose entries have what the input says in them.
std::vector<std::string> Written(absl::string_view input) {
  std::vector<std::string> frames;
  JournalRecord record;
  record.mutable_header()->set_format(storage::kJournalFormat);
  record.mutable_header()->set_store_create_time_us(kStore);
  frames.push_back(storage::FrameJournalRecord(record));
  record.mutable_section()->set_epoch("epoch");
  frames.push_back(storage::FrameJournalRecord(record));
  for (int64_t revision = 1; !input.empty() && revision < 20; ++revision) {
    const size_t tokens = static_cast<uint8_t>(input.front()) % 5;
    input.remove_prefix(1);
    record.Clear();
    if (tokens == 0) {
      record.mutable_mark()->set_revision(revision);
    } else {
      record.mutable_commit()->set_revision(revision);
      for (size_t i = 0; i < tokens; ++i) {
        // Texts as they are stored hold no control characters, so no text looks like a record.
        std::string text(input.substr(0, 20 * i));
        input.remove_prefix(text.size());
        for (char& c : text) c = static_cast<char>('a' + (static_cast<uint8_t>(c) % 26));
        record.mutable_commit()->add_tokens()->set_token_id(text);
      }
    }
    frames.push_back(storage::FrameJournalRecord(record));
  }
  return frames;
}

void LookAtWritten(File* file, size_t cut_at, size_t damage_at, absl::string_view input) {
  std::vector<std::string> frames = Written(input);
  std::string bytes;
  for (const std::string& frame : frames) bytes += frame;
  const std::vector<std::string> all(frames.begin() + 1, frames.end());

  // Cut where the machine stopped.
  const size_t cut = cut_at % (bytes.size() + 1);
  size_t whole = 0;
  size_t whole_bytes = 0;
  while (whole < frames.size() && whole_bytes + frames[whole].size() <= cut) {
    whole_bytes += frames[whole++].size();
  }
  file->Hold(absl::string_view(bytes).substr(0, cut));
  Found found = Read(*file);
  FUZZ_CLAIM(found.status.ok() == (whole > 0));
  if (whole > 0) {
    FUZZ_CLAIM(found.records.size() == whole - 1 && IsBeginningOf(found.records, all));
    FUZZ_CLAIM(found.scan.good_bytes == static_cast<int64_t>(whole_bytes));
    FUZZ_CLAIM(found.scan.torn_bytes == static_cast<int64_t>(cut - whole_bytes));
    FUZZ_CLAIM(found.scan.store_create_time_us == kStore);
    LookAtAppending(*file, found);
  } else {
    // Its first start was cut short: it is begun anew.
    JournalSection section;
    const auto begun =
        Journal::Open(file->path(), kStore, section,
                      [](const JournalRecord&, int64_t) { return absl::OkStatus(); });
    FUZZ_CLAIM(begun.ok() && (*begun)->created());
  }

  // One byte of it damaged. Only the last record may be taken for a torn one; what came before it
  // was synced.
  std::string damaged = bytes;
  const size_t at = damage_at % bytes.size();
  damaged[at] = static_cast<char>(damaged[at] ^ (1 << (damage_at / bytes.size() % 8)));
  file->Hold(damaged);
  found = Read(*file);
  const size_t last_begins = bytes.size() - frames.back().size();
  if (at < last_begins) {
    FUZZ_CLAIM(IsRefusal(found.status));
  } else {
    FUZZ_CLAIM(found.status.ok() && found.records.size() == all.size() - 1);
  }
  FUZZ_CLAIM(IsBeginningOf(found.records, all));
}

void Look(absl::string_view input) {
  static auto* const file = new File;
  static const bool at_end = [] {
    std::atexit([] { delete file; });
    return true;
  }();
  (void)at_end;
  if (input.size() < 4) return;
  const auto number = [&input](size_t i) {
    return static_cast<size_t>(static_cast<uint8_t>(input[i]) << 8 |
                               static_cast<uint8_t>(input[i + 1]));
  };
  const size_t cut_at = number(0);
  const size_t damage_at = number(2);
  input.remove_prefix(4);
  LookAtBytes(file, input);
  LookAtWritten(file, cut_at, damage_at, input);
}

}  // namespace
}  // namespace tollgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tollgate::fuzz::Look(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
