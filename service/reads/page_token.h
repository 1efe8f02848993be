// Opaque page tokens: where a list goes on, bound to the list that it belongs to.
#ifndef TOLLGATE_SERVICE_READS_PAGE_TOKEN_H_
#define TOLLGATE_SERVICE_READS_PAGE_TOKEN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tollgate::service {

// A page token that goes on after `key`, for the list that `binding` describes (which list, of
// what, with which filter). It holds nothing that its reader has not seen; a checksum, not a
// signature, guards it: whoever makes one up could as well have paged there.
std::string MakePageToken(absl::string_view binding, absl::string_view key);

// The key it goes on after; "" for the first page (an empty token). INVALID_ARGUMENT, field
// page_token: PAGE_TOKEN_MALFORMED for what no list has given out, PAGE_TOKEN_MISMATCH for another
// list's.
absl::StatusOr<std::string> ReadPageToken(absl::string_view binding, absl::string_view token);

// 0: `usual`; above 1000: 1000. INVALID_ARGUMENT, PAGE_SIZE_NEGATIVE.
absl::StatusOr<size_t> ReadPageSize(int32_t page_size, size_t usual);

// A page ends, too, once it holds so many bytes: far below the 4 MiB that a client takes by
// default, however long the longest item is.
inline constexpr size_t kMaxPageBytes = 1 << 20;

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_PAGE_TOKEN_H_
