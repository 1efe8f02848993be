// What was pasted where a token string was asked for, named for what it is.
#ifndef TOLLGATE_TOKEN_PASTED_TEXT_H_
#define TOLLGATE_TOKEN_PASTED_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tollgate::token {

// Why `text` is no token string, as the end of a sentence about it: "begins with "Bearer ", which
// belongs to the header; without it, it is a token string". Empty: it is one, of some brand. Says
// nothing of the text itself but its length and which of the usual companions it has, so that it
// may be shown where the text may not.
std::string FaultOfPastedText(absl::string_view text);

}  // namespace tollgate::token

#endif  // TOLLGATE_TOKEN_PASTED_TEXT_H_
