// The file by which a script or a supervisor learns that a process serves, and where.
#ifndef TOLLGATE_NET_READY_FILE_H_
#define TOLLGATE_NET_READY_FILE_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tollgate::net {

// One of this process. It is locked (flock) for as long as the process lives, so that another one
// can tell it from what a dead process has left. Not thread-safe.
class ReadyFile {
 public:
  // Puts `json` into the file at `path`, whole or not at all (a temporary file, then rename), in
  // place of whatever is there. UNAVAILABLE, SYSTEM_ERROR.
  static absl::StatusOr<std::unique_ptr<ReadyFile>> Write(const std::string& path,
                                                          absl::string_view json);
  // Removes what a dead process has left at `path`. The file of one that runs stays, and so does
  // what is no regular file or cannot be told from one's that runs.
  static void RemoveStale(const std::string& path);
  // Removes it, unless another file is in its place by now.
  ~ReadyFile();
  ReadyFile(const ReadyFile&) = delete;
  ReadyFile& operator=(const ReadyFile&) = delete;

 private:
  ReadyFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;  // holds the lock
};

}  // namespace tollgate::net

#endif  // TOLLGATE_NET_READY_FILE_H_
