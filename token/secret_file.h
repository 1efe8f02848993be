// A file with a secret in it: who may read it, and how it comes to be.
#ifndef TOLLGATE_TOKEN_SECRET_FILE_H_
#define TOLLGATE_TOKEN_SECRET_FILE_H_

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/secret.h"

namespace tollgate::token {

// Who may read such a file.
enum class SecretReaders {
  // The process's own user alone: the file is his, of mode 0600 or 0400, and no symbolic link.
  kOwner,
  // Its group, too, and it may be reached through links, and be root's: so Kubernetes mounts a
  // Secret (a link to a link, root's, mode 0440), and so it leaves the files of a volume with an
  // fsGroup (mode 0660). Others never.
  kOwnerAndGroup,
};

// One such file. A value; thread-safe.
class SecretFile {
 public:
  // `what` is how messages call it ("keyring"), `reasons` what their reasons begin with
  // ("KEYRING").
  SecretFile(std::string path, std::string what, std::string reasons,
             SecretReaders readers = SecretReaders::kOwner)
      : path_(std::move(path)),
        what_(std::move(what)),
        reasons_(std::move(reasons)),
        readers_(readers) {}

  // All of it, at most `max_bytes`. FAILED_PRECONDITION (…_PERMISSIONS) unless it is a regular file
  // that only its readers can read; NOT_FOUND (…_NOT_FOUND); FAILED_PRECONDITION: …_UNREADABLE,
  // …_MALFORMED (too large).
  absl::StatusOr<base::SecretBytes> Read(size_t max_bytes) const;
  // Makes it, durably, with mode 0600, whole or not at all. False, and nothing is changed: the name
  // is taken. FAILED_PRECONDITION (…_UNWRITABLE).
  absl::StatusOr<bool> Create(absl::string_view bytes) const;
  // As Create, in the place of the file that may be there.
  absl::Status Replace(absl::string_view bytes) const;
  // Makes the name durable: whoever created the file may have been killed before it was. Fails
  // silently, for a read-only folder is not ours to sync.
  void SyncName() const;

  // `what PATH: why`, with a reason that ends in `reason` ("MALFORMED").
  absl::Status Refused(absl::string_view reason, absl::string_view why) const;

 private:
  // Whether others can read the file with this status.
  absl::Status CheckReaders(const struct stat& info) const;
  absl::Status Unwritable(absl::string_view doing, int error) const;
  // Writes a file beside it, durably and for its owner only, and returns its name. Nothing is left
  // behind on an error.
  absl::StatusOr<std::string> WriteBeside(absl::string_view bytes) const;

  const std::string path_;
  const std::string what_;
  const std::string reasons_;
  const SecretReaders readers_;
};

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_SECRET_FILE_H_
