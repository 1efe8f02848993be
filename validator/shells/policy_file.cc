#include "validator/shells/policy_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/thread.h"

namespace tollgate::validator {
namespace {

absl::Status Unreadable(const std::string& path, absl::string_view why) {
  return base::Refuse(absl::StatusCode::kInvalidArgument, "POLICY_UNREADABLE",
                      absl::StrCat("cannot read the policy file ", path, ": ", why,
                                   ". Which it is:  --policy FILE"));
}

std::string ErrnoText() {
  char buffer[128];
  return strerror_r(errno, buffer, sizeof(buffer));
}

int64_t Nanos(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PolicyFile>> PolicyFile::Open(Options options) {
  std::unique_ptr<PolicyFile> file(new PolicyFile(std::move(options)));
  bool whole = false;
  Loaded loaded = file->Load(&file->read_, &whole);
  RETURN_IF_ERROR(loaded.status());
  file->Take(std::move(loaded));
  return file;
}

PolicyFile::~PolicyFile() { Stop(); }

absl::Status PolicyFile::Watch(std::function<void(bool ok)> tell) {
  tell_ = std::move(tell);
  ASSIGN_OR_RETURN(thread_, base::StartThread([this] { Run(); }));
  return absl::OkStatus();
}

void PolicyFile::Reload() {
  std::lock_guard<std::mutex> lock(wake_mu_);
  asked_ = true;
  wake_.notify_all();
}

void PolicyFile::Stop() {
  {
    std::lock_guard<std::mutex> lock(wake_mu_);
    stopped_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const policy::Policy> PolicyFile::Current() const {
  absl::ReaderMutexLock lock(&mu_);
  return current_;
}

PolicyFile::Stats PolicyFile::stats() const {
  absl::ReaderMutexLock lock(&mu_);
  return stats_;
}

void PolicyFile::Run() {
  Version seen = read_;
  while (true) {
    bool asked = false;
    {
      const auto next =
          std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(options_.look_interval);
      std::unique_lock<std::mutex> lock(wake_mu_);
      wake_.wait_until(lock, next, [this] { return asked_ || stopped_; });
      if (stopped_) return;
      asked = std::exchange(asked_, false);
    }
    const Version now = Look();
    const bool is_new = now != read_ && now == seen;
    seen = now;
    if (!asked && !is_new) continue;
    Version version;
    bool whole = false;
    Loaded loaded = Load(&version, &whole);
    if (!whole) continue;  // it is being written: a later look finds what came of it
    read_ = version;
    Take(std::move(loaded));
  }
}

PolicyFile::Version PolicyFile::Look() const {
  Version version;
  struct stat file{};
  if (stat(options_.path.c_str(), &file) != 0) return version;
  version.there = true;
  version.device = file.st_dev;
  version.inode = file.st_ino;
  version.size = file.st_size;
  version.modified_ns = Nanos(file.st_mtim);
  version.changed_ns = Nanos(file.st_ctim);
  return version;
}

PolicyFile::Loaded PolicyFile::Load(Version* version, bool* whole) const {
  *version = Look();
  *whole = true;
  // Not held up by a pipe that nobody writes.
  const int fd = open(options_.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return Unreadable(options_.path, ErrnoText());
  struct stat file{};
  if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
    close(fd);
    return Unreadable(options_.path, "it is no regular file");
  }
  std::string text(kMostBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(fd, &text[size], text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      absl::Status failed = Unreadable(options_.path, ErrnoText());
      close(fd);
      return failed;
    }
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  close(fd);
  if (size > kMostBytes) {
    return Unreadable(options_.path, absl::StrCat("it has more than ", kMostBytes, " bytes"));
  }
  *whole = Look() == *version;
  text.resize(size);
  return options_.parse(text, options_.path);
}

void PolicyFile::Take(Loaded loaded) {
  std::shared_ptr<const policy::Policy> former;  // destroyed without the lock
  bool first = false;
  const absl::Status status = loaded.status();
  Stats now;
  {
    absl::MutexLock lock(&mu_);
    first = current_ == nullptr;
    stats_.ok = status.ok();
    if (status.ok()) {
      former = std::exchange(current_, *std::move(loaded));
      stats_.fingerprint = current_->fingerprint();
      stats_.loaded = options_.clock->WallNow();
      ++stats_.loads;
    } else {
      ++stats_.failures;
    }
    now = stats_;
  }
  if (!now.ok) {
    base::Log(base::LogLevel::kError,
              "the policy file is refused: what was in force stays in force",
              {{"reason", base::ReasonOf(status)},
               {"error", status.message()},
               {"in_force", now.fingerprint}});
  } else {
    base::Log(base::LogLevel::kInfo, first ? "policy in force" : "policy in force, read anew",
              {{"policy", options_.path}, {"fingerprint", now.fingerprint}});
  }
  if (tell_) tell_(now.ok);
}

}  // namespace tollgate::validator
