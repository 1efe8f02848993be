#include "validator/shells/witness_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace tollgate::validator {
namespace {

using tollgate::v1::Proof;

constexpr absl::string_view kMagic = "tgproof1";
constexpr size_t kFileSize = 4096;
constexpr size_t kSlots = 2;
constexpr size_t kSlotSize = kFileSize / kSlots;

// A slot as it lies in the file, in this machine's byte order: the file does not travel.
struct Slot {
  char magic[8];
  unsigned char checksum[16];  // of all that follows
  uint64_t sequence;
  uint64_t size;
  char proof[kSlotSize - 40];
};
static_assert(sizeof(Slot) == kSlotSize);

void Checksum(const Slot& slot, unsigned char* out) {
  crypto_generichash(out, sizeof(slot.checksum),
                     reinterpret_cast<const unsigned char*>(&slot.sequence),
                     sizeof(slot) - offsetof(Slot, sequence), nullptr, 0);
}

absl::Status Unusable(const std::string& path, absl::string_view why) {
  return base::Refuse(absl::StatusCode::kFailedPrecondition, "STATE_DIR_UNUSABLE",
                      absl::StrCat("the state folder's file ", path, " ", why));
}

std::string ErrnoText(int error) {
  char buffer[128];
  return strerror_r(error, buffer, sizeof(buffer));
}

}  // namespace

absl::StatusOr<std::unique_ptr<WitnessFile>> WitnessFile::Open(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/proof");
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (fd < 0) {
    return Unusable(path, absl::StrCat("cannot be opened: ", ErrnoText(errno),
                                       ". --state-dir names a folder that exists and that this "
                                       "process may write"));
  }
  const auto refuse = [fd](const absl::Status& status) {
    close(fd);
    return status;
  };
  struct stat info;
  if (fstat(fd, &info) != 0) return refuse(Unusable(path, ErrnoText(errno)));
  if (!S_ISREG(info.st_mode)) return refuse(Unusable(path, "is no regular file"));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return refuse(base::Refuse(absl::StatusCode::kFailedPrecondition, "STATE_DIR_IN_USE",
                               absl::StrCat("another process uses the state folder ", folder,
                                            ": each validator needs one of its own")));
  }
  if (info.st_size != 0 && info.st_size != static_cast<off_t>(kFileSize)) {
    return refuse(Unusable(path, "is no validator's: remove it, or name another folder"));
  }
  // The blocks are there from now on: a full disk cannot end the process later.
  const int allocated = posix_fallocate(fd, 0, kFileSize);
  if (allocated != 0) {
    return refuse(Unusable(path, absl::StrCat("cannot be made: ", ErrnoText(allocated))));
  }
  void* const mapped = mmap(nullptr, kFileSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) {
    return refuse(Unusable(path, absl::StrCat("cannot be mapped: ", ErrnoText(errno))));
  }
  std::unique_ptr<WitnessFile> file(new WitnessFile(fd, static_cast<char*>(mapped)));
  if (!file->Load()) return Unusable(path, "is no validator's: remove it, or name another folder");
  return file;
}

WitnessFile::~WitnessFile() {
  munmap(bytes_, kFileSize);
  close(fd_);
}

// False: what is there was not written by this class.
bool WitnessFile::Load() {
  for (size_t i = 0; i < kSlots; ++i) {
    Slot slot;
    std::memcpy(&slot, bytes_ + i * kSlotSize, sizeof(slot));
    const bool empty =
        std::all_of(slot.magic, slot.magic + sizeof(slot.magic), [](char c) { return c == 0; });
    if (empty) continue;
    if (absl::string_view(slot.magic, sizeof(slot.magic)) != kMagic) return false;
    unsigned char checksum[sizeof(slot.checksum)];
    Checksum(slot, checksum);
    // One that was being written as the machine stopped: the other slot is whole.
    if (std::memcmp(checksum, slot.checksum, sizeof(checksum)) != 0) continue;
    Proof proof;
    if (slot.sequence <= sequence_ || slot.size > sizeof(slot.proof) ||
        !proof.ParseFromArray(slot.proof, static_cast<int>(slot.size))) {
      continue;
    }
    sequence_ = slot.sequence;
    found_ = std::move(proof);
  }
  return true;
}

void WitnessFile::Keep(const Proof& proof) {
  Slot slot = {};
  slot.size = proof.ByteSizeLong();
  if (slot.size > sizeof(slot.proof)) return;  // none that a service makes
  proof.SerializeToArray(slot.proof, sizeof(slot.proof));
  slot.sequence = ++sequence_;
  std::memcpy(slot.magic, kMagic.data(), sizeof(slot.magic));
  Checksum(slot, slot.checksum);
  std::memcpy(bytes_ + (sequence_ % kSlots) * kSlotSize, &slot, sizeof(slot));
  // Before the acknowledgement that is written next, as a dying process is seen by its heir.
  std::atomic_signal_fence(std::memory_order_release);
}

}  // namespace tollgate::validator
