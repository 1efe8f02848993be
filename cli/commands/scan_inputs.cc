#include "cli/commands/scan_inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <istream>
#include <utility>

#include "absl/cleanup/cleanup.h"

namespace tollgate::cli {
namespace {

// Half of a second-level cache: what was read is still there when it is scanned.
constexpr size_t kBufferSize = 256 << 10;

int ByName(const FTSENT** a, const FTSENT** b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

}  // namespace

ScanInputs::ScanInputs(leaks::TokenScanner& scanner, Told told)
    : scanner_(scanner), told_(std::move(told)), buffer_(kBufferSize) {}

bool ScanInputs::Feed(const std::string& path, size_t size) {
  bool goes_on = true;
  totals_.bytes += static_cast<int64_t>(size);
  scanner_.Feed(buffer_.RevealSecret().substr(0, size), [&](const leaks::FoundToken& found) {
    if (goes_on) goes_on = told_.found(path, found);
  });
  told_.reading(path);
  return goes_on;
}

bool ScanInputs::ReadStream(const std::string& name, std::istream& in) {
  ++totals_.files;
  const absl::Cleanup wipe = [this] { scanner_.StartOver(); };
  auto* const bytes = reinterpret_cast<char*>(buffer_.MutableSecret().data());
  do {
    in.read(bytes, kBufferSize);
    if (in.gcount() > 0 && !Feed(name, static_cast<size_t>(in.gcount()))) return false;
  } while (in);
  if (in.bad()) told_.unreadable(name, "reading it failed");
  return true;
}

bool ScanInputs::ReadFile(const std::string& path, Named named) {
  // What was a file when its folder was listed may be a link or a pipe by now.
  const int below = named == Named::kYes ? 0 : O_NOFOLLOW | O_NONBLOCK;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | below);
  if (file < 0) {
    told_.unreadable(path, strerror(errno));
    return true;
  }
  const absl::Cleanup done = [this, file] {
    close(file);
    scanner_.StartOver();
  };
  struct stat is;
  if (named == Named::kNo && (fstat(file, &is) != 0 || !S_ISREG(is.st_mode))) return true;
  ++totals_.files;
  while (true) {
    const ssize_t size = read(file, buffer_.MutableSecret().data(), kBufferSize);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) told_.unreadable(path, strerror(errno));
    if (size <= 0) break;
    if (!Feed(path, static_cast<size_t>(size))) return false;
  }
  return true;
}

bool ScanInputs::ReadPath(const std::string& path) {
  std::string root = path;
  char* roots[] = {root.data(), nullptr};
  FTS* const walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, &ByName);
  if (walk == nullptr) {
    told_.unreadable(path, strerror(errno));
    return true;
  }
  const absl::Cleanup done = [walk] { fts_close(walk); };
  for (errno = 0; FTSENT* const at = fts_read(walk); errno = 0) {
    const bool named = at->fts_level == FTS_ROOTLEVEL;
    switch (at->fts_info) {
      case FTS_F:
        if (!ReadFile(at->fts_path, named ? Named::kYes : Named::kNo)) return false;
        break;
      case FTS_DEFAULT:
        if (named && !ReadFile(at->fts_path, Named::kYes)) return false;
        break;
      case FTS_SLNONE:
        if (named) told_.unreadable(at->fts_path, strerror(ENOENT));
        break;
      case FTS_NS:
      case FTS_DNR:
      case FTS_ERR:
        told_.unreadable(at->fts_path, strerror(at->fts_errno));
        break;
      default:
        break;
    }
  }
  if (errno != 0) told_.unreadable(path, strerror(errno));
  return true;
}

}  // namespace tollgate::cli
