// Opaque page tokens. Each says where a list goes on, and is bound to that list.
#ifndef TOLLGATE_SERVICE_READS_PAGE_TOKEN_H_
#define TOLLGATE_SERVICE_READS_PAGE_TOKEN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tollgate::service {

// A page token that goes on after `key`, in the list that `binding` describes (which list, of what,
// with which filter). The token holds nothing that its reader has not seen. A checksum guards it,
// not a signature: a caller that makes one up could have paged there anyway.
std::string MakePageToken(absl::string_view binding, absl::string_view key);

// The key after which the page begins; "" for the first page (an empty token). INVALID_ARGUMENT,
// field page_token: PAGE_TOKEN_MALFORMED for a token that no list has given out,
// PAGE_TOKEN_MISMATCH for a token of another list.
absl::StatusOr<std::string> ReadPageToken(absl::string_view binding, absl::string_view token);

// The page's size: `usual` for 0, and at most 1000. INVALID_ARGUMENT, PAGE_SIZE_NEGATIVE.
absl::StatusOr<size_t> ReadPageSize(int32_t page_size, size_t usual);

// A page also ends once it holds this many bytes. That is far below the 4 MiB that a client takes
// by default, however long the longest item is.
inline constexpr size_t kMaxPageBytes = 1 << 20;

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_READS_PAGE_TOKEN_H_
