// What all fuzz targets share: one entry point, which must return, and claims that end the process
// when they do not hold.
#ifndef TOLLGATE_TESTS_FUZZ_FUZZ_H_
#define TOLLGATE_TESTS_FUZZ_FUZZ_H_

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

// Looks at one input, whatever it holds. Called by libFuzzer, or by replay_main.cc.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Ends the process by abort(), which both libFuzzer and ctest see, when `claim` does not hold.
#define FUZZ_CLAIM(claim)                                                             \
  do {                                                                                \
    if (!(claim)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
      std::abort();                                                                   \
    }                                                                                 \
  } while (false)

namespace tollgate::fuzz {

// Takes a piece off the input: two bytes that say its length, the low one first, and so many bytes,
// or what is left. False: not even a length is left, and the input is empty now.
inline bool TakePiece(absl::string_view* input, absl::string_view* piece) {
  if (input->size() < 2) {
    *input = absl::string_view();
    return false;
  }
  const size_t size = static_cast<uint8_t>((*input)[0]) | static_cast<uint8_t>((*input)[1]) << 8;
  input->remove_prefix(2);
  *piece = input->substr(0, size);
  input->remove_prefix(piece->size());
  return true;
}

// A file without a name that holds `text`, open to its owner alone.
class MemoryFile {
 public:
  explicit MemoryFile(absl::string_view text) : fd_(memfd_create("fuzzed", MFD_CLOEXEC)) {
    FUZZ_CLAIM(fd_ >= 0 && fchmod(fd_, 0600) == 0);
    FUZZ_CLAIM(write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

 private:
  const int fd_;
};

}  // namespace tollgate::fuzz

#endif  // TOLLGATE_TESTS_FUZZ_FUZZ_H_
