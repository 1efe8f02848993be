// Members: whom a binding names. Pure.
#ifndef TOLLGATE_SERVICE_ACCESS_MEMBER_H_
#define TOLLGATE_SERVICE_ACCESS_MEMBER_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tollgate::service {

// The longest member: that of a SPIFFE id (SPIFFE-ID, section 2.3).
inline constexpr size_t kLongestMember = 2048;

// OK for what a binding can name: `operator:NAME`, the owner of operator tokens; `local`;
// `unix:NAME`, of a name as net::NameOfUnixUser gives it; `spiffe://trust-domain/path`, where a
// segment of the path may be `*`, and the last one `**`. INVALID_ARGUMENT, BAD_MEMBER, names
// `field`.
absl::Status CheckMember(absl::string_view member, absl::string_view field);

// Whether a member that CheckMember let through stands for many callers.
bool IsPattern(absl::string_view member);

// Whether the caller of that name (ActorOf) is whom the member names: `*` is any one segment, a
// last `**` one or more. A caller whose segments are none that SPIFFE allows is met by no wildcard.
bool IsMember(absl::string_view caller, absl::string_view member);

}  // namespace tollgate::service

#endif  // TOLLGATE_SERVICE_ACCESS_MEMBER_H_
