// A small file that says how far the store was durable when last anybody could have heard of it.
//
// A journal knows what took permission away, and is told how far the store is only now and then.
// The head mark is the second witness: it is overwritten in place after each commit and never
// synced. So it outlives the process, whatever becomes of the store's own last bytes; a machine
// that loses power may leave an older one, which says less and nothing wrong.
#ifndef TOLLGATE_STORAGE_JOURNAL_HEAD_MARK_H_
#define TOLLGATE_STORAGE_JOURNAL_HEAD_MARK_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"

namespace tollgate::storage {

// One file. Not thread-safe.
class HeadMark {
 public:
  // A commit, and the history that it is of.
  struct Head {
    std::string store_id;  // at most 32 bytes, as is the epoch
    std::string epoch;
    int64_t revision = 0;
    std::string fingerprint;  // 32 bytes, or empty
  };

  explicit HeadMark(std::string path) : path_(std::move(path)) {}
  ~HeadMark();
  HeadMark(const HeadMark&) = delete;
  HeadMark& operator=(const HeadMark&) = delete;

  // nullopt where there is no file. DATA_LOSS: what is there is no whole mark (a write was torn).
  // UNAVAILABLE: it cannot be read.
  absl::StatusOr<absl::optional<Head>> Read() const;
  // Overwrites it (mode 0600, made where there is none), in one write that is not synced.
  // UNAVAILABLE: the disk; the next Write tries anew.
  absl::Status Write(const Head& head);

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  int fd_ = -1;  // once something was written
};

}  // namespace tollgate::storage

#endif  // TOLLGATE_STORAGE_JOURNAL_HEAD_MARK_H_
